"""Rows, counts and single artifacts. What a user typed enters as bound parameters only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from conductor.analytics import compile as compiling
from conductor.analytics.artifacts import HOUR, HOUR_LENGTH, TABLE
from conductor.analytics.syntax import Query
from conductor.analytics.timerange import TimeRange
from conductor.core import clock
from conductor.core.artifact import SEVERITY_NAMES, Artifact
from conductor.core.errors import Invalid
from conductor.core.schedule import Span

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

MOST_ROWS = 1000
_PLACE = re.compile(r"-?[0-9]{1,17}\.[0-9]{1,9}\.[0-9]{1,18}\.[0-9]{1,4}")
_TIMES = ("time", "collected_at")
_ORDER = ("time", "integration_id", "batch", "`row`")
_COLUMNS = ("id", "collected_at", "integration_id", "connector", "batch", "row", *Artifact.__struct_fields__, "raw")
_EXPRESSIONS = {
    "id": "lower(hex(id)) AS hex_id",
    "time": "toUnixTimestamp64Micro(time) AS time_micros",
    "collected_at": "toUnixTimestamp64Micro(collected_at) AS collected_micros",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in the order, to page on from it: by time, ties by where it was collected."""

    time: int
    integration_id: int
    batch: int
    row: int

    def __str__(self) -> str:
        return f"{self.time}.{self.integration_id}.{self.batch}.{self.row}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The inverse of str. Raises Invalid for the field `after`."""
        place = cls(*map(int, text.split("."))) if _PLACE.fullmatch(text) else None
        if place is None or abs(place.time) > clock.to_micros(clock.LATEST):
            raise Invalid({"after": "This is not a place to go on from."})
        return place

    @classmethod
    def at(cls, moment: datetime) -> Place:
        """The one between all rows before a moment and all from that moment on."""
        return cls(clock.to_micros(moment) - 1, 999_999_999, 0, 0)


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is asked: a parsed query, a time range, the names of the integrations by which it may select, and the ids
    of the `only` ones that may be found, None for all; with `ids` those events alone."""

    query: Query
    span: TimeRange
    integrations: Mapping[str, int]
    now: datetime
    only: Set[int] | None = None
    hourly: bool = False
    ids: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """Which rows of what matches: the newest, or the oldest, `limit` at the most; those after a place in that order."""

    limit: int
    after: Place | None = None
    oldest_first: bool = False
    raw: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """One artifact as it is stored. `raw` is the vendor's exact bytes."""

    id: str
    place: Place
    time: datetime
    collected_at: datetime
    integration_id: int
    connector: str
    fields: Mapping[str, Any]
    raw: bytes


def rows(client: Client, criteria: Criteria, listing: Listing) -> tuple[list[Found], list[TimeRange]]:
    """The rows of a day, of three more where these are too few; and where to look further, in the order of the rows.

    What is frequent is found in the first day, and each look costs something. The rest is two spans to look through at
    once: the engine reads the lists of words of a text index on one processor.
    """
    near, further = _spans(client, criteria.span, listing)
    found: list[Found] = []
    for span in near:
        wanted = replace(listing, limit=listing.limit - len(found))
        found += rows_within(client, criteria, wanted, span)
        if len(found) == listing.limit:
            return found, []
    return found, further


def fresh(
    client: Client, criteria: Criteria, listing: Listing, since: Mapping[int, int], upto: Mapping[int, int]
) -> list[Found]:
    """Of what matches the rows in batches of each integration after one and up to another."""
    where, parameters = selected(criteria)
    for sign, marks, name in ((">", since, "since"), ("<=", upto, "upto")):
        ids, ends = f"{{{name}_ids:Array(UInt32)}}", f"{{{name}:Array(UInt64)}}"
        where += f" AND batch {sign} transform(integration_id, {ids}, {ends}, toUInt64(0))"
        parameters |= {f"{name}_ids": list(marks), name: list(marks.values())}
    return _listed(client, where, parameters, listing)


def rows_within(client: Client, criteria: Criteria, listing: Listing, span: TimeRange) -> list[Found]:
    """Of what matches the rows in this span, instead of that of the criteria."""
    where, parameters = selected(replace(criteria, span=span))
    return _listed(client, where, parameters, listing)


def _listed(client: Client, where: str, parameters: dict[str, object], listing: Listing) -> list[Found]:
    if (after := listing.after) is not None:
        place = "(fromUnixTimestamp64Micro({at:Int64}), {ai:UInt32}, {ab:UInt64}, {ar:UInt16})"
        where += f" AND (time, integration_id, batch, `row`) {'>' if listing.oldest_first else '<'} {place}"
        parameters |= {"at": after.time, "ai": after.integration_id, "ab": after.batch, "ar": after.row}
    order = ", ".join(f"{column} {'ASC' if listing.oldest_first else 'DESC'}" for column in _ORDER)
    return _select(client, f"WHERE {where} ORDER BY {order} LIMIT {listing.limit:d}", parameters, raw=listing.raw)


def _spans(client: Client, span: TimeRange, listing: Listing) -> tuple[list[TimeRange], list[TimeRange]]:
    """The span cut at midnights, where partitions end, in the order of the rows: a day and three more; two halves of
    what is left."""
    stored = extent(client)
    if stored is None:
        return [], []
    start = max(span.start or stored[0], stored[0])
    end = min(span.end or clock.LATEST, stored[1] + clock.MICROSECOND)
    if listing.after is not None:
        place = clock.from_micros(listing.after.time)
        start, end = (max(start, place), end) if listing.oldest_first else (start, min(end, place + clock.MICROSECOND))
    near: list[TimeRange] = []
    for days in (1, 3):
        if start >= end:
            return near, []
        if listing.oldest_first:
            cut = min(end, clock.day(start) + timedelta(days=days))
            near.append(TimeRange(start, cut))
            start = cut
        else:
            cut = max(start, clock.day(end - clock.MICROSECOND) - timedelta(days=days - 1))
            near.append(TimeRange(cut, end))
            end = cut
    return near, _halves(start, end, oldest_first=listing.oldest_first)


def _halves(start: datetime, end: datetime, *, oldest_first: bool) -> list[TimeRange]:
    """Cut at the midnight before its middle, in the order of the rows; those that have any length."""
    middle = max(start, clock.day(start + (end - start) / 2))
    halves = [TimeRange(first, after) for first, after in ((start, middle), (middle, end)) if first < after]
    return halves if oldest_first else halves[::-1]


def count(client: Client, criteria: Criteria) -> int:
    """How many artifacts match, exactly."""
    where, parameters = selected(criteria)
    return int(client.query(f"SELECT count() FROM {TABLE} WHERE {where}", parameters=parameters).result_rows[0][0])


def counts(client: Client, integration_id: int, spans: Sequence[Span]) -> list[int]:
    """How many artifacts an integration has in each of these spans, of which there is one at the least."""
    parameters: dict[str, object] = {
        "integration": integration_id,
        "begins": clock.to_micros(min(span.begins for span in spans)),
        "ends": clock.to_micros(max(span.ends for span in spans)),
    }
    parts = []
    for number, span in enumerate(spans):
        parameters |= {f"b{number}": clock.to_micros(span.begins), f"e{number}": clock.to_micros(span.ends)}
        parts.append(f"countIf(at >= {{b{number}:Int64}} AND at < {{e{number}:Int64}})")
    columns = ", ".join(parts)
    where = "integration_id = {integration:UInt32} AND time >= fromUnixTimestamp64Micro({begins:Int64})"
    where += " AND time < fromUnixTimestamp64Micro({ends:Int64})"
    found = client.query(
        f"WITH toUnixTimestamp64Micro(time) AS at SELECT {columns} FROM {TABLE} WHERE {where}", parameters=parameters
    )
    return [int(number) for number in found.result_rows[0]]


def get(client: Client, artifact_id: str) -> Found | None:
    """One artifact by its id (32 hexadecimal digits)."""
    found = _select(client, "WHERE id = unhex({id:String}) LIMIT 1", {"id": artifact_id})
    return found[0] if found else None


def extent(client: Client) -> tuple[datetime, datetime] | None:
    """The times of the oldest and the newest artifact, None when there is none."""
    result = client.query(
        f"SELECT count(), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time)) FROM {TABLE}"
    ).result_rows[0]
    return (clock.from_micros(int(result[1])), clock.from_micros(int(result[2]))) if result[0] else None


def selected(criteria: Criteria, prefix: str = "p") -> tuple[str, dict[str, object]]:
    """The condition for WHERE, and the values of its parameters, whose names begin with the prefix."""
    condition = compiling.compile(criteria.query, integrations=criteria.integrations, now=criteria.now, prefix=prefix)
    parts, parameters = [f"({condition.sql})"], dict(condition.parameters)
    for sign, moment, name in ((">=", criteria.span.start, "start"), ("<", criteria.span.end, "end")):
        if moment is not None:
            value = f"{{{prefix}{name}:Int64}}"
            parts.append(
                f"{HOUR} {sign} {value}" if criteria.hourly else f"time {sign} fromUnixTimestamp64Micro({value})"
            )
            micros = clock.to_micros(moment)
            parameters[f"{prefix}{name}"] = micros // HOUR_LENGTH if criteria.hourly else micros
    if criteria.only is not None:
        parts.append(f"has({{{prefix}only:Array(UInt32)}}, integration_id)")
        parameters[f"{prefix}only"] = sorted(criteria.only)
    if criteria.ids:
        parts.append(f"id IN arrayMap(one -> unhex(one), {{{prefix}ids:Array(String)}})")
        parameters[f"{prefix}ids"] = list(criteria.ids)
    return " AND ".join(parts), parameters


def _select(client: Client, rest: str, parameters: dict[str, object], *, raw: bool = True) -> list[Found]:
    columns = ", ".join(_EXPRESSIONS.get(name, f"`{name}`") for name in (_COLUMNS if raw else _COLUMNS[:-1]))
    result = client.query(
        f"SELECT {columns} FROM {TABLE} {rest}", parameters=parameters, column_formats={"raw": "bytes"}
    )
    return [_found(row if raw else (*row, b"")) for row in result.result_rows]


def _found(row: Sequence[Any]) -> Found:
    values = dict(zip(_COLUMNS, row, strict=True))
    fields = {name: values[name] for name in Artifact.__struct_fields__ if name not in _TIMES}
    fields["severity"] = SEVERITY_NAMES[fields["severity"]]
    raw = values["raw"]
    return Found(
        id=values["id"],
        place=Place(values["time"], values["integration_id"], values["batch"], values["row"]),
        time=clock.from_micros(values["time"]),
        collected_at=clock.from_micros(values["collected_at"]),
        integration_id=values["integration_id"],
        connector=values["connector"],
        fields=fields,
        raw=raw if isinstance(raw, bytes) else str(raw).encode("utf-8", "surrogateescape"),
    )
