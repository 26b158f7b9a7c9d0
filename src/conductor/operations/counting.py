"""Counts of what a search finds: over time, and by the values of fields. Exact, and as honest about gaps as rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from conductor.analytics import buckets as cutting
from conductor.analytics import editing, tally
from conductor.analytics import search as finding
from conductor.analytics.buckets import Buckets
from conductor.analytics.query import canonical, parse
from conductor.analytics.search import Criteria
from conductor.analytics.timerange import TimeRange
from conductor.core import fields, masking
from conductor.core.artifact import SEVERITY_NAMES
from conductor.core.errors import Invalid
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import search
from conductor.operations.search import GapInRange, Request
from conductor.operations.system import System

PARTS = 5  # of a bar by their own names; the others are one
OTHER = "other"
VALUES = 10
BARS = cutting.MOST
TERMS = 10  # that are counted each by itself
NUMBERED = ("integration", "severity")
LINE = 30  # bars of the small chart beside a value
_FIELD = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$-]{0,199}")


@dataclass(frozen=True, slots=True)
class Bar:
    """From `begins` to `ends`, within the range. `missed` says that a gap lies in it; `before` counts the same time
    of the range before, None when that was not asked."""

    begins: datetime
    ends: datetime
    counts: Mapping[str, int]
    missed: bool
    before: int | None = None

    @property
    def total(self) -> int:
        """All parts."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars over the range that was searched; `parts` are the values of `by`, the most frequent first."""

    bars: Sequence[Bar]
    by: str
    parts: Sequence[str]
    total: int
    before: int | None
    span: TimeRange
    complete: bool
    gaps: Sequence[GapInRange]
    behind: Sequence[str]


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a field with its count; `hidden` when personal data was taken out of it. `line` counts it over time;
    `before` is its count in the range before, None when that was not asked."""

    text: str
    count: int
    hidden: bool = False
    line: Sequence[int] = ()
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent values of a field. `distinct` counts all there are, `missing` the events without one."""

    field: str
    values: Sequence[Value]
    distinct: int
    missing: int


async def histogram(
    system: System,
    request: Request,
    sight: Sight = EVERYTHING,
    *,
    by: str = "",
    zone: tzinfo = UTC,
    compare: bool = False,
    most: int = BARS,
) -> Histogram:
    """How many match over time, and with `compare` in the range before. Raises QueryError, Invalid, StoreError."""
    by = field_named(by) if by else ""
    criteria, named = await search.criteria_of(system, request, sight)
    show = _Shown(by, named, sight)

    def read(client: Any) -> tuple[Buckets | None, Sequence[Mapping[str, int]], list[int] | None]:
        cut = _cut(client, criteria.span, zone, most)
        if cut is None:
            return None, [], None
        counts = tally.histogram(client, criteria, cut, by)
        return cut, counts, _before(client, criteria, cut) if compare else None

    cut, counts, before = await system.analytics.read(read)
    missing, behind = await search.missing_in(system, criteria.span, named)
    totals: Counter[str] = Counter()
    for bar in counts:
        for value, count in bar.items():
            totals[show.name(value)] += count
    own = [name for name, _ in totals.most_common(PARTS)]
    parts = [*own, OTHER] if len(totals) > PARTS else own
    return Histogram(
        bars=_bars(cut, criteria.span, [show.folded(bar, own) for bar in counts], before, missing) if cut else [],
        by=by,
        parts=parts,
        total=totals.total(),
        before=sum(before) if before is not None else None,
        span=criteria.span,
        complete=not missing and not behind,
        gaps=missing,
        behind=behind,
    )


async def facets(
    system: System,
    request: Request,
    names: Iterable[str],
    sight: Sight = EVERYTHING,
    *,
    limit: int = VALUES,
    compare: bool = False,
    zone: tzinfo | None = None,
    like: str = "",
) -> list[Facet]:
    """The most frequent values of each of these fields, of those that have a text in them.

    With `compare` their counts in the range before, with a zone their counts over time. Raises QueryError, Invalid,
    StoreError.
    """
    wanted = list(dict.fromkeys(field_named(name) for name in names))
    limit = max(1, min(limit, tally.MOST_VALUES))
    criteria, named = await search.criteria_of(system, request, sight)
    earlier = _earlier(criteria) if compare else None

    def read(client: Any) -> list[Facet]:
        cut = _cut(client, criteria.span, zone, LINE) if zone else None
        shows = [_Shown(field, named, sight) for field in wanted]
        return [
            _facet(client, criteria, show, _top(client, criteria, show, limit, like), earlier, cut) for show in shows
        ]

    return await system.analytics.read(read)


async def alone(system: System, request: Request, sight: Sight = EVERYTHING) -> list[tuple[str, int]]:
    """Each of the query's terms with how many events in the range fit it alone; none when there are very many terms.

    Raises QueryError, Invalid, StoreError.
    """
    criteria, _ = await search.criteria_of(system, request, sight)
    parts = editing.parts(parse(request.q))
    if len(parts) > TERMS:
        return []
    asked = [await search.whole(system, part, sight) for part in parts]

    def read(client: Any) -> list[int]:
        return [finding.count(client, replace(criteria, query=part)) for part in asked]  # each by its own index

    counts = await system.analytics.read(read)
    return [(canonical(part), count) for part, count in zip(parts, counts, strict=True)]


def field_named(name: str) -> str:
    """A field by its name or alias; any other is a path into the record. Raises Invalid for the field `by`."""
    if (known := fields.BY_NAME.get(name)) is not None:
        if known.kind is fields.Kind.TIME:
            raise Invalid({"by": f"`{known.name}` is a time. Events can be counted by any other field."})
        return known.name
    if not _FIELD.fullmatch(name) or name in ("is", "has", "saved", "detection"):
        raise Invalid(
            {"by": f"`{name[:60]}` is not a field. Use for example `type`, `ip` or `details.request.method`."}
        )
    return name


class _Shown:
    """How the values of one field are told to somebody."""

    def __init__(self, field: str, named: Mapping[int, str], sight: Sight) -> None:
        self.field, self._named, self._masked = field, named, sight.masked

    def name(self, stored: str) -> str:
        """An integration by its name, a severity by its word; without personal data where that is hidden."""
        if self.field == "integration":
            return self._named.get(int(stored), stored)
        if self.field == "severity":
            return SEVERITY_NAMES[int(stored)]
        return masking.value(self.field, stored) if self._masked and self.field else stored

    def folded(self, bar: Mapping[str, int], own: Sequence[str]) -> Mapping[str, int]:
        """A bar by the names that are shown by themselves, and the rest."""
        counts: Counter[str] = Counter()
        for value, count in bar.items():
            name = self.name(value)
            counts[name if name in own else OTHER] += count
        return counts


def _top(client: Any, criteria: Criteria, show: _Shown, limit: int, like: str) -> tally.Top:
    """Of what is stored as a number the names are looked through here; there are few."""
    if not like or show.field not in NUMBERED:
        return tally.top(client, criteria, show.field, limit, like)
    found = tally.top(client, criteria, show.field, tally.MOST_VALUES)
    fitting = [value for value in found.values if like.lower() in show.name(value.text).lower()]
    return tally.Top(fitting[:limit], len(fitting), 0)


def _facet(
    client: Any, criteria: Criteria, show: _Shown, found: tally.Top, earlier: Criteria | None, cut: Buckets | None
) -> Facet:
    field = show.field
    texts = [value.text for value in found.values]
    lines = tally.lines(client, criteria, cut, field, texts) if cut and texts else {}
    before = tally.some(client, earlier, field, texts) if earlier and texts else None
    values = [
        Value(
            name := show.name(value.text),
            value.count,
            hidden=masking.MARK in name and masking.MARK not in value.text,
            line=lines.get(value.text, ()),
            before=None if before is None else before[value.text],
        )
        for value in found.values
    ]
    return Facet(field, values, found.distinct, found.missing)


def _cut(client: Any, span: TimeRange, zone: tzinfo, most: int) -> Buckets | None:
    """The bars of a range; where it is open it ends with what is stored, and None when nothing is."""
    start, end = span.start, span.end
    if start is None or end is None:
        stored = finding.extent(client)
        if stored is None:
            return None
        start, end = start or stored[0], end or stored[1] + timedelta(microseconds=1)
    return cutting.cut(start, max(end, start), zone, most)


def _earlier(criteria: Criteria) -> Criteria:
    """The same of the range before, which is as long. Raises Invalid for the field `compare`."""
    start, end = criteria.span.start, criteria.span.end
    if start is None or end is None:
        raise Invalid({"compare": "Choose a time range with a begin and an end to compare it with the one before."})
    return replace(criteria, span=TimeRange(start - (end - start), start))


def _before(client: Any, criteria: Criteria, cut: Buckets) -> list[int]:
    """For each bar how many matched the length of the range earlier."""
    earlier = _earlier(criteria)
    assert criteria.span.start is not None
    assert earlier.span.start is not None
    shift = criteria.span.start - earlier.span.start
    moved = replace(cut, edges=tuple(edge - shift for edge in cut.edges))
    return [sum(bar.values()) for bar in tally.histogram(client, earlier, moved)]


def _bars(
    cut: Buckets,
    span: TimeRange,
    counts: Sequence[Mapping[str, int]],
    before: Sequence[int] | None,
    gaps: Sequence[GapInRange],
) -> list[Bar]:
    bars = []
    for at, (begins, ends) in enumerate(pairwise(cut.edges)):
        begins, ends = max(begins, span.start or begins), min(ends, span.end or ends)
        missed = any(item.gap.begins < ends and item.gap.ends >= begins for item in gaps)
        bars.append(Bar(begins, ends, counts[at], missed, before[at] if before is not None else None))
    return bars
