"""Proving the journal: whatever is done to it past Conductor is told, with the first place and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from conductor.core.errors import NotFound
from conductor.core.signal import Signal
from conductor.store import evidence, expiry, integrations, journal, polls, schema
from conductor.store.evidence import Depth, Proof
from conductor.store.journal import Page

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
BATCHES = 130  # more than two chunks
ALL = Depth(NOW - timedelta(days=30), every_key=True)
SAMPLED = Depth(NOW - timedelta(days=30))


def fill(connection: Connection, name: str, *, batches: int = BATCHES, age: timedelta = timedelta(0)) -> int:
    """An integration with batches of three events, a minute apart."""
    added = integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")
    position = journal.take_over(connection, added.id)
    poll = polls.begin(connection, position, NOW)
    for number in range(1, batches + 1):
        found = [Signal(f"{number}-{at}", b"raw %d %d" % (number, at)) for at in range(3)]
        now = NOW - age + timedelta(minutes=number)
        position = journal.commit(connection, position, Page(poll, found, None, None), now).position
    return added.id


def prove(engine: Engine, depth: Depth = SAMPLED) -> dict[str, Proof]:
    return {proof.name: proof for proof in evidence.prove(engine, depth)}


def test_what_was_committed_is_proved_to_the_last_key(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        fill(connection, "prod")
        fill(connection, "empty", batches=0)
    found = prove(store_engine, ALL)
    assert (found["prod"].broken, found["prod"].batches, found["prod"].events) == (None, BATCHES, 3 * BATCHES)
    assert found["prod"].begins == NOW + timedelta(minutes=1)
    assert found["prod"].ends == NOW + timedelta(minutes=BATCHES)
    assert (found["empty"].broken, found["empty"].batches) == (None, 0)


@pytest.mark.parametrize("upto", [1, 60, BATCHES])
def test_a_chain_whose_beginning_was_let_go_is_proved_from_its_anchor(store_engine: Engine, upto: int) -> None:
    with store_engine.begin() as connection:
        here = fill(connection, "prod")
        assert expiry.expire_batches(connection, here, NOW + timedelta(days=1), passed=upto) == upto
    found = prove(store_engine)["prod"]
    assert (found.broken, found.batches) == (None, BATCHES - upto)


DEEDS = {
    "body": (
        "UPDATE batches SET body = other.body FROM batches other WHERE other.batch = 78 AND batches.batch = 77",
        77,
    ),
    "time": ("UPDATE batches SET committed_at = committed_at + 1 WHERE batch = 77", 77),
    "count": ("UPDATE batches SET signals = 4 WHERE batch = 77", 77),
    "size": ("UPDATE batches SET size = size + 1 WHERE batch = 77", 77),
    "lane": ("UPDATE batches SET lane = 'audit' WHERE batch = 77", 77),
    "poll": ("UPDATE batches SET poll_id = 99 WHERE batch = 77", 77),
    "link": (
        "UPDATE batches SET chain = other.chain FROM batches other WHERE other.batch = 3 AND batches.batch = 77",
        77,
    ),
    "no link": ("UPDATE batches SET chain = NULL WHERE batch = 77", 77),
    "one gone": ("DELETE FROM batches WHERE batch = 77", 77),
    "first gone": ("DELETE FROM batches WHERE batch = 1", 1),
    "all gone": ("DELETE FROM batches", 1),
    "last gone": (f"DELETE FROM batches WHERE batch = {BATCHES}", BATCHES),
    "swapped": ("UPDATE batches SET batch = CASE batch WHEN 77 THEN 500 ELSE batch END", 77),
    "head": ("UPDATE fences SET chain = NULL", BATCHES),
    "anchor": ("UPDATE fences SET expired_batch = 7", 8),
    "keys": ("DELETE FROM signal_keys", 1),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_the_first_place_that_does_not_hold_is_told(store_engine: Engine, deed: str) -> None:
    statement, first = DEEDS[deed]
    with store_engine.begin() as connection:
        fill(connection, "prod")
        connection.execute(text(statement))
    broken = prove(store_engine)["prod"].broken
    assert broken is not None
    assert broken.first == first


def test_missing_batches_are_told_with_their_numbers_and_the_times_around_them(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        fill(connection, "prod")
        fill(connection, "other")
        prod = "(SELECT id FROM integrations WHERE name = 'prod')"
        connection.execute(text(f"DELETE FROM batches WHERE batch BETWEEN 60 AND 110 AND integration_id = {prod}"))
    found = prove(store_engine)
    broken = found["prod"].broken
    assert broken is not None
    assert (broken.what, broken.first, broken.last) == ("missing", 60, 110)
    assert (broken.begins, broken.ends) == (NOW + timedelta(minutes=59), NOW + timedelta(minutes=111))
    assert found["prod"].batches == 59
    assert found["other"].broken is None


def test_one_lost_key_is_found_when_every_key_is_looked_up(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        here = fill(connection, "prod")
        key = evidence.signals.key(here, "77-1")
        connection.execute(schema.signal_keys.delete().where(schema.signal_keys.c.key == key))
    broken = prove(store_engine, ALL)["prod"].broken
    assert broken is not None
    assert (broken.first, broken.events) == (77, 3)


def test_keys_that_have_passed_their_time_are_not_missed(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        fill(connection, "prod", age=timedelta(days=60))
        expiry.expire_keys(connection, NOW - timedelta(days=37))
    assert prove(store_engine, ALL)["prod"].broken is None


def test_what_retention_lets_go_during_the_proof_is_not_missed(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        here = fill(connection, "prod")
        fence = connection.execute(schema.fences.select()).one()
        expiry.expire_batches(connection, here, NOW + timedelta(days=1), passed=60)
    chunks = list(evidence._chunks(store_engine, fence, evidence._End(0, None)))
    assert [row.batch for chunk in chunks for row in chunk.rows] == list(range(61, BATCHES + 1))
    assert all(evidence._examine(store_engine, chunk, SAMPLED) is None for chunk in chunks)


def test_a_cursor_beyond_the_journal_is_told(connection: Connection) -> None:
    here = fill(connection, "prod", batches=2)
    row = {"reader": "artifacts/x", "integration_id": here, "batch": 2, "pending_to": None}
    connection.execute(schema.cursors.insert(), row)
    assert evidence.cursors_ahead(connection) == []
    connection.execute(schema.cursors.update().values(pending_to=3))
    assert evidence.cursors_ahead(connection) == [f"artifacts/x is ahead of integration {here}"]


def test_one_batch_is_proved_alone(connection: Connection) -> None:
    here = fill(connection, "prod", batches=3)
    expiry.expire_batches(connection, here, NOW + timedelta(minutes=2), passed=1)
    second, third = (evidence.sealed(connection, here, batch) for batch in (2, 3))
    assert second.holds
    assert third.holds
    assert third.before == second.link
    connection.execute(text("UPDATE batches SET poll_id = 99 WHERE batch = 3"))
    assert not evidence.sealed(connection, here, 3).holds
    with pytest.raises(NotFound):
        evidence.sealed(connection, here, 1)
