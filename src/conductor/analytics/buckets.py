"""How a time range is cut into the bars of a histogram: round widths, in the user's own zone."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

MOST = 60  # bars
_MINUTE, _DAY = 60, 86_400  # seconds
_WITHIN_DAY = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 43_200)  # seconds
_DAYS = (1, 7, 30, 90, 365)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Bars between `edges` (in UTC), of which there is one more than bars. All are whole `step`s (seconds) apart."""

    edges: tuple[datetime, ...]
    step: int

    def __len__(self) -> int:
        return len(self.edges) - 1

    def bar(self, step: int) -> int:
        """The number of the bar in which a step lies."""
        return bisect_right(self.edges, self.edges[0] + timedelta(seconds=step * self.step)) - 1


def cut(start: datetime, end: datetime, zone: tzinfo = UTC, most: int = MOST) -> Buckets:
    """Bars over a range, `most` at the most, of which the first and the last may reach out of it.

    They begin at round times of the zone; days have the length that they have there.
    """
    seconds = max((end - start).total_seconds(), 1.0)
    fitting = most - 1  # one more is needed when the range does not begin at an edge
    for width in _WITHIN_DAY:
        if seconds <= width * fitting:
            return _within_day(start, end, zone, width)
    days = next((days for days in _DAYS if seconds <= days * _DAY * fitting), math.ceil(seconds / _DAY / fitting))
    return _of_days(start, end, zone, days)


def _within_day(start: datetime, end: datetime, zone: tzinfo, width: int) -> Buckets:
    """Bars of the same length; the zone's offset on the first day tells what is round."""
    offset = start.astimezone(zone).replace(hour=0, minute=0).utcoffset() or timedelta(0)
    local = start.timestamp() + offset.total_seconds()
    first = local // width * width - offset.total_seconds()
    count = max(1, math.ceil((end.timestamp() - first) / width))
    return Buckets(tuple(datetime.fromtimestamp(first + width * at, UTC) for at in range(count + 1)), width)


def _of_days(start: datetime, end: datetime, zone: tzinfo, days: int) -> Buckets:
    """Midnights of the zone, which are not always 24 hours apart."""
    day = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    edges = [day.replace(tzinfo=zone).astimezone(UTC)]
    while len(edges) < 2 or edges[-1] < end:
        day += timedelta(days=days)
        edges.append(day.replace(tzinfo=zone).astimezone(UTC))
    step = math.gcd(*(int((later - earlier).total_seconds()) for earlier, later in pairwise(edges)))
    if step % _MINUTE:  # before 1972 there were zones with seconds
        return _of_days(start, end, UTC, days)
    return Buckets(tuple(edges), step)
