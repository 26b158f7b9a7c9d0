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
OTHER = "(all others)"
VALUES = 10
BARS = cutting.MOST
TERMS = 10  # that are counted each by itself
FEW_VALUED = ("", "integration", "connector", "type", "category", "outcome", "severity", "own", "parsed")
NUMBERED = ("integration", "severity")
LINE = 30  # bars of the small chart beside a value
_FIELD = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.$-]{0,199}")


@dataclass(frozen=True, slots=True)
class Bar:
    """From `begins` to `ends`, within the range: how many in `total`, and the `counts` of each part.

    `missed` says that a gap lies in it; `before` counts the same time of the range before, None when not asked.
    """

    begins: datetime
    ends: datetime
    total: int
    counts: Mapping[str, int]
    missed: bool
    before: int | None = None


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
    if compare:
        _earlier(criteria)  # refused before anything is counted

    def read(client: Any) -> _Counted | None:
        cut, whole = _cut(client, criteria, zone, most)
        return _counted(client, whole, cut, show, compare=compare) if cut else None

    counted = await system.analytics.read(read)
    missing, behind = await search.missing_in(system, criteria.span, named)
    return Histogram(
        bars=_bars(counted, criteria.span, missing) if counted else [],
        by=by,
        parts=counted.parts if counted else [],
        total=sum(counted.totals) if counted else 0,
        before=sum(counted.before) if counted and counted.before is not None else None,
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
        cut, whole = _cut(client, criteria, zone, LINE) if zone else (None, criteria)
        shows = [_Shown(field, named, sight) for field in wanted]
        return [_facet(client, whole, show, _top(client, whole, show, limit, like), earlier, cut) for show in shows]

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


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the engine counted, bar by bar: all events, those of each part by its name, and those of the range
    before."""

    cut: Buckets
    totals: Sequence[int]
    parts: Sequence[str]
    bars: Sequence[Mapping[str, int]]
    before: Sequence[int] | None


def _counted(client: Any, criteria: Criteria, cut: Buckets, show: _Shown, *, compare: bool) -> _Counted:
    """The most frequent values by their own names, the rest as one."""
    before = _before(client, criteria, cut) if compare else None
    if show.field in FEW_VALUED:
        every = [_named(show, bar) for bar in tally.histogram(client, criteria, cut, show.field)]
        totals = [bar.total() for bar in every]
        parts = [name for name, _ in sum(every, Counter()).most_common(PARTS)]
        bars = [Counter({name: bar[name] for name in parts}) for bar in every]
    else:
        totals = [sum(bar.values()) for bar in tally.histogram(client, criteria, cut)]
        texts = [value.text for value in tally.top(client, criteria, show.field, PARTS).values]
        parts, bars = list(dict.fromkeys(map(show.name, texts))), [Counter() for _ in totals]
        for text, counts in tally.lines(client, criteria, cut, show.field, texts).items():
            for bar, count in zip(bars, counts, strict=True):
                bar[show.name(text)] += count
    rests = [max(0, total - bar.total()) for total, bar in zip(totals, bars, strict=True)]
    if any(rests):  # an event with several values counts in each of their parts
        parts.append(OTHER)
        for bar, rest in zip(bars, rests, strict=True):
            bar[OTHER] = rest
    return _Counted(cut, totals, parts, [+bar for bar in bars], before)


def _named(show: _Shown, bar: Mapping[str, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for value, count in bar.items():
        counts[show.name(value)] += count
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


def _cut(client: Any, criteria: Criteria, zone: tzinfo, most: int) -> tuple[Buckets | None, Criteria]:
    """The bars of a range, and the criteria with that range whole: where it is open it ends with what is stored.

    None when nothing is.
    """
    start, end = criteria.span.start, criteria.span.end
    if start is None or end is None:
        stored = finding.extent(client)
        if stored is None:
            return None, criteria
        start, end = start or stored[0], end or stored[1] + timedelta(microseconds=1)
    end = max(end, start + timedelta(microseconds=1))
    return cutting.cut(start, end, zone, most), replace(criteria, span=TimeRange(start, end))


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


def _bars(counted: _Counted, span: TimeRange, gaps: Sequence[GapInRange]) -> list[Bar]:
    bars = []
    for at, (begins, ends) in enumerate(pairwise(counted.cut.edges)):
        begins, ends = max(begins, span.start or begins), min(ends, span.end or ends)
        missed = any(item.gap.begins < ends and item.gap.ends >= begins for item in gaps)
        before = counted.before[at] if counted.before is not None else None
        bars.append(Bar(begins, ends, counted.totals[at], counted.bars[at], missed, before))
    return bars
