"""What an analyst asks of millions of events, for whoever is asked: each round of a kind asks something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

FACETS = ("integration", "type", "outcome", "client_name", "country")
APPLICATIONS = ("iOS app", "Web shop", "Android app", "Partner portal", "Customer portal", "Support desk")
TYPES = ("fp", "f", "s", "scp", "pwd_leak")
OCCURRING = ("inkgo", "almon", "ogwoo", "unipe", "uince", "utmeg", "edar", "ilia")  # parts of the simulator's names
ABSENT = tuple(f"qz{first}{second}wv" for first in "abcdefg" for second in "abcdefg")
DAY, MONTH = timedelta(days=1), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Question:
    """Over a range that ends with `end`: the events with these values, this word and this part of a word.

    `wanted` is "rows" (the newest 200), "facets" (of FACETS), "histogram" (by outcome), or "one", which has just an id.
    """

    wanted: str
    start: str | None = None
    end: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    word: str = ""
    part: str = ""
    id: str = ""

    @property
    def q(self) -> str:
        """In Conductor's language."""
        terms = [f'{name}:"{value}"' for name, value in self.filters]
        terms += [f'"{self.word}"'] if self.word else []
        terms += [f"*{self.part}*"] if self.part else []
        return " ".join(terms) or "*"


Ask = Callable[[int], Question]


def kinds(known: Mapping[str, Any]) -> dict[str, Ask]:
    """The kinds of questions; `known` has the `time` of the newest event, and `ids` and `event_ids` of others.

    Ranges end with the newest event, or some minutes before, so that they are full of events. An engine remembers what
    it was asked, so the number of the round changes the question.
    """

    def over(length: timedelta | None, wanted: str, *choices: Mapping[str, Any]) -> Ask:
        def ask(number: int) -> Question:
            end = back(known["time"], timedelta(minutes=7 * number))
            start = back(end, length) if length else None
            return Question(wanted, start, end, **(choices[number % len(choices)] if choices else {}))

        return ask

    apps = [{"filters": (("type", "fp"), ("client_name", name))} for name in APPLICATIONS]
    return {
        "newest 200 in 24 h": over(DAY, "rows"),
        "two field filters": over(None, "rows", *apps),
        "a rare word over all time": over(None, "rows", *({"word": text} for text in known["ids"])),
        "a common word with a filter": over(
            None, "rows", *({"word": "password", "filters": (("type", name),)} for name in TYPES)
        ),
        "a substring that occurs": over(None, "rows", *({"part": part} for part in OCCURRING)),
        "a substring that does not occur": over(None, "rows", *({"part": part} for part in ABSENT)),
        "top 10 of five fields, 24 h": over(DAY, "facets"),
        "top 10 of five fields, 30 days": over(MONTH, "facets"),
        "histogram of 30 days": over(MONTH, "histogram"),
        "histogram of 30 days, two filters": over(MONTH, "histogram", *apps),
        "one by its id": lambda number: Question("one", id=known["event_ids"][number % len(known["event_ids"])]),
    }


def back(moment: str, by: timedelta) -> str:
    """So long before."""
    return (datetime.fromisoformat(moment) - by).isoformat()
