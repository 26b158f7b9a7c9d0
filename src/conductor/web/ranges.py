"""The time range of a search as its form shows it: a preset, or from and to in the user's own zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from conductor.analytics.timerange import PRESETS

DEFAULT = "24h"
WORDS = {
    "15m": "Last 15 minutes",
    "1h": "Last hour",
    "4h": "Last 4 hours",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
}
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Range:
    """What the URL says: `last`, or `start` and `end`; all empty means all time."""

    last: str
    start: str
    end: str

    @property
    def choice(self) -> str:
        """What is chosen in the list of presets."""
        return self.last or CUSTOM

    @property
    def options(self) -> list[tuple[str, str]]:
        """The presets; a span that is none of them is one too."""
        known = [(preset, WORDS.get(preset, f"Last {preset}")) for preset in PRESETS]
        own = [(self.last, f"Last {self.last}")] if self.last and self.last not in PRESETS else []
        return [*own, *known, (CUSTOM, "From – to")]

    @property
    def query(self) -> dict[str, str]:
        """Its part of a URL, defaults left out."""
        if self.last:
            return {} if self.last == DEFAULT else {"last": self.last}
        return {"last": CUSTOM, "from": self.start, "to": self.end}

    def input_value(self, text: str, zone: ZoneInfo) -> str:
        """A time of the URL as an input shows it: in the user's zone, other text as it is."""
        try:
            return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M")
        except ValueError:
            return text


def read(parameters: Mapping[str, str], zone: ZoneInfo) -> Range:
    """From the URL. Times without a zone are the user's; what is no time stays as typed, to be told so."""
    start, end = parameters.get("from", "").strip(), parameters.get("to", "").strip()
    last = parameters.get("last", "").strip()
    if last == CUSTOM or (not last and (start or end)):
        return Range("", _to_utc(start, zone, time.min), _to_utc(end, zone, time(23, 59)))
    return Range(last or DEFAULT, "", "")


def _to_utc(text: str, zone: ZoneInfo, of_day: time) -> str:
    """A local time as RFC 3339 in UTC, a date as that time of its day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is not None:
        return text
    if len(text) == len("2026-11-22"):
        moment = datetime.combine(moment.date(), of_day)
    exact = moment.replace(tzinfo=zone).astimezone(UTC)
    return exact.strftime("%Y-%m-%dT%H:%M:%SZ" if exact.second else "%Y-%m-%dT%H:%MZ")
