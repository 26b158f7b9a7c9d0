"""Gaps, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from conductor.core.errors import Conflict, NotFound
from conductor.store import gaps, integrations

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
EXPIRED = "checkpoint.expired"


def at(hour: float) -> datetime:
    return NOW + timedelta(hours=hour)


@pytest.fixture
def prod(connection: Connection) -> int:
    """An integration's id."""
    return add(connection, "prod")


def add(connection: Connection, name: str) -> int:
    return integrations.add(connection, name, "auth0", {}, enabled=True, by="admin").id


def test_a_gap_is_open_until_somebody_closes_it_with_a_note(connection: Connection, prod: int) -> None:
    gap = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    assert (gap.begins, gap.ends, gap.cause, gap.state, gap.closed_at) == (at(0), at(1), EXPIRED, "open", None)
    assert gaps.told(connection, [prod]) == {prod: [gap]}
    closed = gaps.close(connection, prod, gap.id, note="Exported by hand.", by="ann")
    assert (closed.state, closed.note, closed.closed_by) == ("closed", "Exported by hand.", "ann")
    assert closed.closed_at is not None
    assert gaps.told(connection, [prod]) == {}
    assert gaps.of(connection, prod) == [closed]


def test_a_closed_gap_cannot_be_closed_again(connection: Connection, prod: int) -> None:
    gap = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    gaps.close(connection, prod, gap.id, note="first", by="ann")
    with pytest.raises(Conflict, match="closed already"):
        gaps.close(connection, prod, gap.id, note="second", by="eve")
    assert gaps.of(connection, prod)[0].note == "first"


def test_a_gap_is_closed_only_through_its_own_integration(connection: Connection, prod: int) -> None:
    gap = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    with pytest.raises(NotFound):
        gaps.close(connection, add(connection, "other"), gap.id, note="not mine", by="eve")
    assert gaps.of(connection, prod) == [gap]


@pytest.mark.parametrize(
    ("begins", "ends", "whole"),
    [
        pytest.param(0.5, 2, (0, 2), id="longer at its end"),
        pytest.param(-1, 0, (-1, 1), id="longer at its beginning"),
        pytest.param(1, 2, (0, 2), id="touching"),
        pytest.param(-1, 5, (-1, 5), id="around it"),
        pytest.param(0.2, 0.4, (0, 1), id="inside it"),
    ],
)
def test_a_gap_that_touches_an_open_one_makes_that_longer(
    connection: Connection, prod: int, begins: float, ends: float, whole: tuple[float, float]
) -> None:
    first = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    second = gaps.record(connection, prod, at(begins), at(ends), EXPIRED)
    assert second.id == first.id
    assert [(gap.begins, gap.ends) for gap in gaps.of(connection, prod)] == [(at(whole[0]), at(whole[1]))]


def test_gaps_apart_of_another_cause_or_integration_stay_apart(connection: Connection, prod: int) -> None:
    other = add(connection, "other")
    gaps.record(connection, prod, at(0), at(1), EXPIRED)
    gaps.record(connection, prod, at(1.1), at(2), EXPIRED)
    gaps.record(connection, prod, at(0), at(1), "another cause")
    gaps.record(connection, other, at(0), at(1), EXPIRED)
    told = gaps.told(connection, [prod, other])
    assert {name: len(found) for name, found in told.items()} == {prod: 3, other: 1}


def test_a_closed_gap_does_not_swallow_a_new_one(connection: Connection, prod: int) -> None:
    old = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    gaps.close(connection, prod, old.id, note="known", by="ann")
    new = gaps.record(connection, prod, at(0), at(2), EXPIRED)
    assert new.id != old.id
    assert [gap.state for gap in gaps.of(connection, prod)] == ["open", "closed"]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(None, None, 2), (0, 1, 1), (1, None, 2), (None, 0, 1), (1.5, 1.9, 0), (4, None, 0), (None, -1, 0), (3, 3, 1)],
)
def test_a_search_is_told_of_the_gaps_it_touches(
    connection: Connection, prod: int, start: float | None, end: float | None, found: int
) -> None:
    gaps.record(connection, prod, at(2), at(3), EXPIRED)
    first = gaps.record(connection, prod, at(0), at(1), EXPIRED)
    gaps.close(connection, prod, first.id, note="closed is not recovered", by="ann")
    touched = gaps.between(connection, None if start is None else at(start), None if end is None else at(end))
    assert len(touched) == found
    assert touched == sorted(touched, key=lambda gap: gap.begins)
