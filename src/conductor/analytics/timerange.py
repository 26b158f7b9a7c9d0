"""The time range of a search: the last so long, or from one time to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from conductor.analytics import values
from conductor.analytics.syntax import Moment
from conductor.core.errors import Invalid

PRESETS = ("15m", "1h", "4h", "24h", "7d", "30d")

_LAST = re.compile(r"([0-9]{1,5})([smhdw])")
_LONGEST = timedelta(days=36_525)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start`, included, to `end`, not included; None is open. Both in UTC."""

    start: datetime | None = None
    end: datetime | None = None


def parse_last(text: str) -> timedelta:
    """How long `15m`, `24h`, `7d` or `2w` is. Raises Invalid for the field `last`."""
    found = _LAST.fullmatch(text.strip().lower())
    length = timedelta(seconds=int(found[1]) * values.UNITS[found[2]]) if found else timedelta(0)
    if not timedelta(0) < length <= _LONGEST:
        raise Invalid({"last": f"`{text}` is not a length of time. Use `15m`, `24h`, `7d` or `2w`."})
    return length


def resolve(last: str | None, start: str | None, end: str | None, now: datetime) -> TimeRange:
    """The range of `last` up to now, or from `start` to `end`; nothing given is all time.

    Start and end are RFC 3339 times or dates, or `now-2h`; those without a zone are in the zone of `now`. A date or
    minute as the end is included as a whole. Raises Invalid for the fields `last`, `from` and `to`.
    """
    if last and (start or end):
        raise Invalid({"last": "Give either `last`, or `from` and `to`."})
    if last:
        upto = values.span(Moment(offset=timedelta(0)), now)[1]
        return TimeRange(upto - parse_last(last), upto)
    found = TimeRange(
        _span("from", start, now)[0] if start else None,
        _span("to", end, now)[1] if end else None,
    )
    if found.start and found.end and found.start >= found.end:
        raise Invalid({"to": "The end must be later than the start."})
    return found


def _span(name: str, text: str, now: datetime) -> tuple[datetime, datetime]:
    point = values.moment(text.strip())
    if point is None:
        raise Invalid({name: f"`{text}` is not a time. Use `2026-11-21`, `2026-11-21T14:05Z` or `now-2h`."})
    return values.span(point, now)
