"""What each hour brought, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from conductor.core.signal import Signal
from conductor.store import hours, integrations, journal, polls
from conductor.store.hours import Hour
from conductor.store.journal import Page, Position
from conductor.store.polls import Outcome

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
GOOD = Outcome("ok", complete=True)
BAD = Outcome("net.timeout", "It took too long.")
REFUSED = Outcome("auth0.token.badsecret", needs_person=True)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def hour(number: int, **counts: int) -> Hour:
    return Hour(datetime(2026, 11, 22, number, tzinfo=UTC), **counts)


@pytest.fixture
def position(connection: Connection) -> Position:
    """The owner of a new integration."""
    return own(connection, "prod")


def own(connection: Connection, name: str, lane: str = "live") -> Position:
    added = integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")
    return journal.take_over(connection, added.id, lane)


def poll(connection: Connection, position: Position, minute: int, outcome: Outcome, new: int = 0) -> None:
    poll_id = polls.begin(connection, position, at(minute))
    page = Page(poll_id, [Signal(f"{minute}-{n}", b"") for n in range(new)], None, None)
    journal.commit(connection, position, page, at(minute))
    polls.end(connection, poll_id, outcome, at(minute))


def test_an_hour_counts_its_polls_failures_and_new_signals(connection: Connection, position: Position) -> None:
    poll(connection, position, 0, GOOD, new=3)
    poll(connection, position, 5, BAD)
    poll(connection, position, 10, REFUSED)
    poll(connection, position, 31, GOOD, new=4)
    found = hours.of(connection, [position.integration_id], at(0))[position.integration_id]
    assert found == [hour(7, polls=3, failed=2, stopped=1, new=3), hour(8, polls=1, new=4)]


def test_a_poll_that_lasts_counts_what_it_brought_in_each_hour(connection: Connection, position: Position) -> None:
    poll_id = polls.begin(connection, position, at(0))
    for minute in (0, 60):
        journal.commit(connection, position, Page(poll_id, [Signal(f"{minute}", b"")], None, None), at(minute))
    found = hours.of(connection, [position.integration_id], at(0))[position.integration_id]
    assert found == [hour(7, new=1), hour(8, new=1)]


def test_what_is_known_already_brings_nothing_new(connection: Connection, position: Position) -> None:
    poll(connection, position, 0, GOOD, new=3)
    poll_id = polls.begin(connection, position, at(1))
    journal.commit(connection, position, Page(poll_id, [Signal("0-0", b"")], None, None), at(1))
    assert hours.new_since(connection, NOW) == {position.integration_id: 3}


def test_only_live_collection_counts(connection: Connection) -> None:
    backfill = own(connection, "older", "backfill")
    poll(connection, backfill, 0, BAD, new=2)
    assert hours.of(connection, [backfill.integration_id], NOW) == {backfill.integration_id: []}


def test_new_signals_are_summed_by_integration_from_an_hour_on(connection: Connection, position: Position) -> None:
    for minute in (-60, 0, 60):
        poll(connection, position, minute, GOOD, new=3)
    own(connection, "silent")
    assert hours.new_since(connection, NOW) == {position.integration_id: 6}


def test_hours_expire(connection: Connection, position: Position) -> None:
    for minute in (-60, 0):
        poll(connection, position, minute, GOOD)
    assert hours.expire(connection, NOW) == 1
    found = hours.of(connection, [position.integration_id], at(-120))[position.integration_id]
    assert found == [hour(7, polls=1)]


def test_a_day_has_an_hour_for_every_cell() -> None:
    day = list(hours.every(NOW - timedelta(hours=23), NOW))
    assert (len(day), day[0].hour, day[-1]) == (24, 8, datetime(2026, 11, 22, 7, tzinfo=UTC))
