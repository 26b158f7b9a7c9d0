"""Counts of what matches: over time, and by the values of a field. All of them are exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from conductor.analytics import compile as compiling
from conductor.analytics.artifacts import TABLE
from conductor.analytics.buckets import Buckets
from conductor.analytics.search import Criteria, selected
from conductor.analytics.syntax import Everything, Query
from conductor.core import clock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

MOST_VALUES = 1000
_STEP = "intDiv(toUnixTimestamp64Micro(time) - {origin:Int64}, {step:Int64})"


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


def extent(client: Client) -> tuple[datetime, datetime] | None:
    """The times of the oldest and the newest artifact, None when there is none."""
    result = client.query(
        f"SELECT count(), toUnixTimestamp64Micro(min(time)), toUnixTimestamp64Micro(max(time)) FROM {TABLE}"
    ).result_rows[0]
    return (clock.from_micros(int(result[1])), clock.from_micros(int(result[2]))) if result[0] else None


def histogram(client: Client, criteria: Criteria, buckets: Buckets, by: str = "") -> Sequence[Mapping[str, int]]:
    """For each bar how many match, by the values of a field; without one, all under the empty text."""
    part, parameters = compiling.value_of(by) if by else ("''", {})
    columns = f"{_STEP} AS step, {part} AS part, count()"
    bars: list[dict[str, int]] = [{} for _ in range(len(buckets))]
    for step, value, count in _rows(client, criteria, columns, "GROUP BY step, part", parameters | _steps(buckets)):
        bar = bars[buckets.bar(int(step))]
        bar[str(value)] = bar.get(str(value), 0) + int(count)
    return bars


def top(client: Client, criteria: Criteria, field: str, limit: int, containing: str = "") -> Top:
    """The most frequent values of a field among what matches, of those that contain a text.

    Upper and lower case are one, as they are in a search.
    """
    value, parameters = compiling.value_of(field)
    where, more = selected(criteria)
    columns = f"SELECT {value} AS value, count() AS n FROM {TABLE} WHERE {where} GROUP BY value"
    rest = "HAVING positionCaseInsensitiveUTF8(shown, {containing:String}) > 0 " if containing else ""
    rest += f"ORDER BY shown = '' DESC, many DESC, shown LIMIT {max(1, limit) + 1:d}"
    rows = client.query(
        f"SELECT toString(argMax(value, n)) AS shown, sum(n) AS many, count() OVER () AS distinct FROM ({columns}) "
        f"GROUP BY lowerUTF8(toString(value)) {rest}",
        parameters=parameters | more | {"containing": containing},
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
    columns, rest = f"{place} AS place, {_STEP} AS step, count()", "GROUP BY place, step HAVING place > 0"
    found = [[0] * len(buckets) for _ in values]
    for at, step, count in _rows(client, criteria, columns, rest, parameters | _steps(buckets)):
        found[int(at) - 1][buckets.bar(int(step))] += int(count)
    return dict(zip(values, found, strict=True))


def alone(client: Client, criteria: Criteria, conditions: Sequence[Query]) -> list[int]:
    """In the range of the criteria how many match each of these by itself."""
    counts: list[str] = []
    parameters: dict[str, object] = {}
    for number, condition in enumerate(conditions):
        compiled = compiling.compile(
            condition, integrations=criteria.integrations, now=criteria.now, prefix=f"c{number}_"
        )
        counts.append(f"countIf({compiled.sql})")
        parameters |= compiled.parameters
    everything = replace(criteria, query=Query(Everything()))
    return [int(count) for count in _rows(client, everything, ", ".join(counts), "", parameters)[0]]


def _rows(
    client: Client, criteria: Criteria, columns: str, rest: str, parameters: Mapping[str, object]
) -> Sequence[Sequence[Any]]:
    where, more = selected(criteria)
    found: Sequence[Sequence[Any]] = client.query(
        f"SELECT {columns} FROM {TABLE} WHERE {where} {rest}", parameters={**parameters, **more}
    ).result_rows
    return found


def _place(field: str, values: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Which of these values it is, counted from 1, in any case; 0 for others."""
    value, parameters = compiling.value_of(field)
    wanted = "arrayMap(text -> lowerUTF8(text), {wanted:Array(String)})"
    return f"indexOf({wanted}, lowerUTF8(toString({value})))", parameters | {"wanted": list(values)}


def _steps(buckets: Buckets) -> dict[str, object]:
    return {"origin": clock.to_micros(buckets.edges[0]), "step": buckets.step * 1_000_000}
