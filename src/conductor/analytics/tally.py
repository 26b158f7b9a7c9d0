"""Counts of what matches: over time, and by the values of a field. All of them are exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from conductor.analytics import compile as compiling
from conductor.analytics.artifacts import HOUR, HOUR_LENGTH, HOURLY, TABLE
from conductor.analytics.buckets import Buckets
from conductor.analytics.search import Criteria, selected
from conductor.analytics.timerange import TimeRange
from conductor.core import clock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

MOST_VALUES = 1000
_LENGTH = timedelta(hours=1)
_HOURLY_NAMES = {"integration": "integration_id"}
_STEP = "intDiv(toUnixTimestamp64Micro(time) - {origin:Int64}, {step:Int64})"
_STEP_OF_HOUR = f"intDiv({HOUR} * {HOUR_LENGTH} - {{origin:Int64}}, {{step:Int64}})"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a field, as most events write it, and how many have it in any case."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class Top:
    """The most frequent values of a field. `distinct` counts all there are, `missing` the events without one."""

    values: Sequence[Value]
    distinct: int
    missing: int


def histogram(client: Client, criteria: Criteria, buckets: Buckets, by: str = "") -> Sequence[Mapping[str, int]]:
    """For each bar how many match, by the values of a field; without one, all under the empty text."""
    part, parameters = compiling.value_of(by) if by else ("''", {})
    bars: list[dict[str, int]] = [{} for _ in range(len(buckets))]
    for piece, hourly in _pieces(criteria, by, split=_in_hours(buckets)):
        columns = f"{_STEP_OF_HOUR if hourly else _STEP} AS step, {part} AS part, count()"
        for step, value, count in _rows(client, piece, columns, "GROUP BY step, part", parameters | _steps(buckets)):
            bar = bars[buckets.bar(int(step))]
            bar[str(value)] = bar.get(str(value), 0) + int(count)
    return bars


def top(client: Client, criteria: Criteria, field: str, limit: int, containing: str = "") -> Top:
    """The most frequent values of a field among what matches, of those that contain a text.

    Upper and lower case are one, as they are in a search.
    """
    value, parameters = compiling.value_of(field)
    columns, known = [], dict(parameters)
    for number, (piece, _) in enumerate(_pieces(criteria, field)):
        where, more = selected(piece, prefix=f"s{number}_")
        columns.append(f"SELECT {value} AS value, count() AS n FROM {TABLE} WHERE {where} GROUP BY value")
        known |= more
    counted = " UNION ALL ".join(columns)
    rest = "HAVING positionCaseInsensitiveUTF8(shown, {containing:String}) > 0 " if containing else ""
    rest += f"ORDER BY shown = '' DESC, many DESC, shown LIMIT {max(1, limit) + 1:d}"
    rows = client.query(
        f"SELECT toString(argMax(value, n)) AS shown, sum(n) AS many, count() OVER () AS distinct FROM ({counted}) "
        f"GROUP BY lowerUTF8(toString(value)) {rest}",
        parameters=known | {"containing": containing},
    ).result_rows
    found = [Value(str(shown), int(many)) for shown, many, _ in rows]
    distinct = int(rows[0][2]) if rows else 0
    missing = found.pop(0).count if found and not found[0].text else 0
    return Top(found[:limit], distinct - bool(missing), missing)


def some(client: Client, criteria: Criteria, field: str, values: Sequence[str]) -> dict[str, int]:
    """How many match with each of these values of a field."""
    place, parameters = _place(field, values)
    columns, rest = f"{place} AS place, count()", "GROUP BY place HAVING place > 0"
    found = {int(at): int(count) for at, count in _rows(client, criteria, columns, rest, parameters)}
    return {text: found.get(at, 0) for at, text in enumerate(values, 1)}


def lines(
    client: Client, criteria: Criteria, buckets: Buckets, field: str, values: Sequence[str]
) -> dict[str, list[int]]:
    """For each of these values of a field how many match in each bar."""
    place, parameters = _place(field, values)
    rest = "GROUP BY place, step HAVING place > 0"
    found = [[0] * len(buckets) for _ in values]
    for piece, hourly in _pieces(criteria, field, split=_in_hours(buckets)):
        columns = f"{place} AS place, {_STEP_OF_HOUR if hourly else _STEP} AS step, count()"
        for at, step, count in _rows(client, piece, columns, rest, parameters | _steps(buckets)):
            found[int(at) - 1][buckets.bar(int(step))] += int(count)
    return dict(zip(values, found, strict=True))


def _rows(
    client: Client, criteria: Criteria, columns: str, rest: str, parameters: Mapping[str, object]
) -> Sequence[Sequence[Any]]:
    where, more = selected(criteria)
    found: Sequence[Sequence[Any]] = client.query(
        f"SELECT {columns} FROM {TABLE} WHERE {where} {rest}", parameters={**parameters, **more}
    ).result_rows
    return found


def _pieces(criteria: Criteria, field: str, *, split: bool = True) -> list[tuple[Criteria, bool]]:
    """The same range in pieces, each with whether it is of whole hours, which are counted already.

    One piece where that does not help: the hour's counts know of a few fields only.
    """
    start, end = criteria.span.start, criteria.span.end
    asked = {_HOURLY_NAMES.get(name, name) for name in (*criteria.query.fields, *([field] if field else []))}
    if not split or start is None or end is None or not any(asked <= set(columns) for columns in HOURLY.values()):
        return [(criteria, False)]
    first, last = clock.hour(start + _LENGTH - clock.MICROSECOND), clock.hour(end)
    if last - first < _LENGTH or first <= clock.EPOCH:
        return [(criteria, False)]
    spans = [(TimeRange(start, first), False), (TimeRange(first, last), True), (TimeRange(last, end), False)]
    return [
        (replace(criteria, span=span, hourly=whole), whole)
        for span, whole in spans
        if span.start is not None and span.end is not None and span.start < span.end
    ]


def _place(field: str, values: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Which of these values it is, counted from 1, in any case; 0 for others."""
    value, parameters = compiling.value_of(field)
    wanted = "arrayMap(text -> lowerUTF8(text), {wanted:Array(String)})"
    return f"indexOf({wanted}, lowerUTF8(toString({value})))", parameters | {"wanted": list(values)}


def _in_hours(buckets: Buckets) -> bool:
    """Whether every bar is of whole hours."""
    return all(micros % HOUR_LENGTH == 0 for micros in _steps(buckets).values())


def _steps(buckets: Buckets) -> dict[str, int]:
    return {"origin": clock.to_micros(buckets.edges[0]), "step": buckets.step * 1_000_000}
