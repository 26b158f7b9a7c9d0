"""Facts put into sentences for people: texts with places in braces, spans and moments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

LONGEST_FACT = 500  # characters
_SENTENCE = re.compile(r"(?<=[.!?]) (?=\S)")
_PLACE = re.compile(r"\{(\w+)\}", re.ASCII)


def fill(text: str, facts: Mapping[str, Any]) -> str:
    """A text with the facts filled in. A sentence about a fact that is not known is left out; where none is left, an
    ellipsis stands for it.

    Not `str.format`: a text may be an upstream's own words, with any braces in them.
    """
    sentences = _SENTENCE.split(text)
    known = [one for one in sentences if all(_known(facts.get(name)) for name in _PLACE.findall(one))]
    return _PLACE.sub(lambda found: _shown(facts.get(found[1])), " ".join(known or sentences))


def _known(fact: Any) -> bool:
    return fact is not None and fact != ""


def _shown(fact: Any) -> str:
    """A fact as text: it may be a stranger's, so it is short, and nothing in it moves a terminal's cursor."""
    if not _known(fact):
        return "…"
    text = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(fact)[: LONGEST_FACT + 1]
    )
    return text if len(text) <= LONGEST_FACT else f"{text[:LONGEST_FACT]}…"


def moment(at: datetime | None) -> str:
    """29 Nov 14:05 UTC; empty for None."""
    return "" if at is None else f"{at:%-d %b %H:%M} UTC"


def duration(span: timedelta) -> str:
    """34 s, 12 min, 4 h 10 min, 4 d 22 h."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 120:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
