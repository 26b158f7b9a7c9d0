"""The records of polls, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from conductor.core.schedule import Both
from conductor.core.signal import Checkpoint, Signal
from conductor.store import integrations, journal, polls
from conductor.store.journal import Page, Position
from conductor.store.polls import Failures, Latest, Outcome, Wanted

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
GOOD = Outcome("ok", complete=True)
BAD = Outcome("net.timeout", "It took too long.")


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


@pytest.fixture
def position(connection: Connection) -> Position:
    """The owner of a new integration."""
    return own(connection, "prod")


def own(connection: Connection, name: str) -> Position:
    added = integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")
    return journal.take_over(connection, added.id)


def poll(connection: Connection, position: Position, minute: int, outcome: Outcome | None) -> int:
    poll_id = polls.begin(connection, position, at(minute))
    if outcome is not None:
        polls.end(connection, poll_id, outcome, at(minute))
    return poll_id


def test_a_new_record_is_running_from_the_checkpoint(connection: Connection, position: Position) -> None:
    poll_id = polls.begin(connection, position, NOW)
    journal.commit(connection, position, Page(poll_id, [], Checkpoint(b"x", at(-5)), None), NOW)
    again = journal.take_over(connection, position.integration_id)
    found = polls.get(connection, polls.begin(connection, again, at(1)))
    assert (found.result, found.started_at, found.finished_at) == ("running", at(1), None)
    assert (found.position_from, found.position_to) == (at(-5), at(-5))
    assert (polls.get(connection, poll_id).position_from, polls.get(connection, poll_id).position_to) == (None, at(-5))


def test_an_ended_record_tells_everything_about_its_end(connection: Connection, position: Position) -> None:
    facts = {"domain": "é", "n": 5, "odd": "\x00"}
    outcome = Outcome("rate.limited", "Slow down.", facts, True, at(9), 7, True, 100, 3)
    found = polls.end(connection, poll(connection, position, 0, None), outcome, at(2))
    assert (found.result, found.reason, found.facts) == ("rate.limited", "Slow down.", facts)
    assert (found.needs_person, found.retry_at, found.finished_at) == (True, at(9), at(2))
    assert (found.requests, found.complete, found.rate_limit, found.rate_remaining) == (7, True, 100, 3)


def test_pages_add_up_in_the_record(connection: Connection, position: Position) -> None:
    poll_id = poll(connection, position, 0, None)
    for number in (1, 2):
        found = [Signal("a", b"%d" % number), Signal(str(number), b"")]
        position = journal.commit(connection, position, Page(poll_id, found, None, None), NOW).position
    record = polls.get(connection, poll_id)
    assert (record.fetched, record.new, record.duplicates, record.conflicts) == (4, 3, 1, 1)


def test_a_failure_closes_the_open_record(connection: Connection, position: Position) -> None:
    poll_id = poll(connection, position, 0, None)
    polls.fail(connection, position.integration_id, Outcome("poller.crashed", "boom"), at(1))
    assert [found.id for found in polls.recent(connection, position.integration_id, 9)] == [poll_id]
    assert (polls.get(connection, poll_id).result, polls.get(connection, poll_id).finished_at) == (
        "poller.crashed",
        at(1),
    )


def test_a_failure_before_any_poll_makes_a_record_of_its_own(connection: Connection, position: Position) -> None:
    poll(connection, position, 0, GOOD)
    polls.fail(connection, position.integration_id, Outcome("local.secret.unreadable"), at(1))
    newest, older = polls.recent(connection, position.integration_id, 9)
    assert (newest.result, newest.started_at, newest.lane) == ("local.secret.unreadable", at(1), "live")
    assert older.result == "ok"


def test_records_that_an_earlier_owner_left_open_are_closed(connection: Connection, position: Position) -> None:
    other = own(connection, "other")
    open_one, ended = poll(connection, position, 0, None), poll(connection, position, 1, GOOD)
    others = poll(connection, other, 0, None)
    polls.interrupt(connection, position.integration_id, at(5))
    assert (polls.get(connection, open_one).result, polls.get(connection, open_one).finished_at) == (
        "interrupted",
        at(5),
    )
    assert polls.get(connection, ended).result == "ok"
    assert polls.get(connection, others).result == "running"


def test_the_history_is_paged_newest_first(connection: Connection, position: Position) -> None:
    ids = [poll(connection, position, minute, GOOD) for minute in range(5)]
    poll(connection, own(connection, "other"), 9, GOOD)
    here = position.integration_id
    first = [found.id for found in polls.recent(connection, here, 2)]
    second = [found.id for found in polls.recent(connection, here, 9, before=first[-1])]
    assert first + second == ids[::-1]


def test_latest_tells_the_last_the_last_good_and_since_when_it_fails(
    connection: Connection, position: Position
) -> None:
    here = position.integration_id
    poll(connection, position, 0, BAD)
    good = poll(connection, position, 1, GOOD)
    poll(connection, position, 2, BAD)
    last = poll(connection, position, 3, BAD)
    poll(connection, position, 4, Outcome("interrupted"))
    poll(connection, position, 5, None)
    found = polls.latest(connection, [here])[here]
    assert found == Latest(polls.get(connection, last), polls.get(connection, good), at(2), at(5))


def test_one_good_poll_ends_the_failing(connection: Connection, position: Position) -> None:
    here = position.integration_id
    poll(connection, position, 0, BAD)
    assert polls.latest(connection, [here])[here].failing_since == at(0)
    poll(connection, position, 1, GOOD)
    assert polls.latest(connection, [here])[here].failing_since is None


def test_latest_answers_for_each_and_knows_nothing_of_the_unpolled(connection: Connection, position: Position) -> None:
    other, third = own(connection, "other"), own(connection, "third")
    poll(connection, position, 0, GOOD)
    poll(connection, other, 1, BAD)
    found = polls.latest(connection, [position.integration_id, other.integration_id, third.integration_id])
    results = {id_: latest.last.result if latest.last else None for id_, latest in found.items()}
    assert results == {position.integration_id: "ok", other.integration_id: "net.timeout", third.integration_id: None}
    assert found[third.integration_id] == Latest()
    assert polls.latest(connection, []) == {}


def test_other_lanes_say_nothing_about_the_live_one(connection: Connection, position: Position) -> None:
    here = position.integration_id
    backfill = journal.take_over(connection, here, "backfill")
    poll(connection, backfill, 0, BAD)
    assert polls.latest(connection, [here])[here] == Latest()


def test_records_expire_by_when_they_began(connection: Connection, position: Position) -> None:
    for minute in (0, 10, 20):
        poll(connection, position, minute, GOOD)
    assert polls.expire(connection, at(10)) == 1
    assert [found.started_at for found in polls.recent(connection, position.integration_id, 9)] == [at(20), at(10)]


def test_polls_are_listed_by_result_events_and_length(connection: Connection, position: Position) -> None:
    good = poll(connection, position, 0, GOOD)
    bad = poll(connection, position, 1, BAD)
    running = poll(connection, position, 2, None)
    journal.commit(connection, position, Page(running, [Signal("x", b"")], None, None), at(2))
    polls.end(connection, running, GOOD, at(9))

    def listed(**wanted: Any) -> list[int]:
        return [one.id for one in polls.recent(connection, position.integration_id, 9, wanted=Wanted(**wanted))]

    assert listed() == [running, bad, good]
    assert listed(result="ok") == [running, good]
    assert listed(result="failed") == [bad]
    assert listed(events=True) == [running]
    assert listed(longer=timedelta(minutes=7)) == [running]
    assert listed(longer=timedelta(minutes=8)) == []


def test_a_row_of_failures_tells_when_it_began_and_when_the_vendor_told_its_time(
    connection: Connection, position: Position
) -> None:
    here = position.integration_id
    assert polls.failures(connection, here) is None
    poll(connection, position, 0, replace(BAD, vendor_at=at(-60)))
    poll(connection, position, 1, replace(GOOD, vendor_at=at(-59)))
    assert polls.failures(connection, here) is None
    poll(connection, position, 2, BAD)
    assert polls.failures(connection, here) == Failures(at(2), None)
    poll(connection, position, 3, replace(BAD, vendor_at=at(-57)))
    poll(connection, position, 4, replace(BAD, vendor_at=at(-56)))
    assert polls.failures(connection, here) == Failures(at(2), Both(at(3), at(-57)))


def test_a_poll_that_a_stop_cut_short_is_one_without_success_too(connection: Connection, position: Position) -> None:
    """Between it and the next one the vendor may have deleted what nobody has read."""
    polls.begin(connection, position, at(0))
    assert polls.failures(connection, position.integration_id) is None
    polls.interrupt(connection, position.integration_id, at(1))
    poll(connection, position, 30, BAD)
    assert polls.failures(connection, position.integration_id) == Failures(at(0), None)
