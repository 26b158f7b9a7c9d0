"""The evidence chain of the batches: one link a batch, and an anchor when the oldest go."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy
from alembic import command
from sqlalchemy import Connection, Engine, select

from conductor.core.signal import Signal
from conductor.store import audit, chain, expiry, integrations, journal, migrations, polls, schema
from conductor.store.database import Database
from conductor.store.journal import Page, Position

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
MICROS = 1_795_332_600_000_000  # the same


def own(connection: Connection, name: str = "prod") -> tuple[Position, int]:
    added = integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")
    position = journal.take_over(connection, added.id)
    return position, polls.begin(connection, position, NOW)


def commit(connection: Connection, position: Position, poll: int, *names: str, now: datetime = NOW) -> None:
    journal.commit(connection, position, Page(poll, [Signal(name, name.encode()) for name in names], None, None), now)


def fence(connection: Connection, position: Position) -> sqlalchemy.Row[tuple[object, ...]]:
    fences = schema.fences
    return connection.execute(select(fences).where(fences.c.integration_id == position.integration_id)).one()


def test_a_link_can_be_computed_again_with_sha256_alone(connection: Connection) -> None:
    position, poll = own(connection)
    commit(connection, position, poll, "a", "b")
    commit(connection, position, poll, "c")
    first, second = connection.execute(select(schema.batches).order_by(schema.batches.c.batch)).all()
    here = position.integration_id
    line = f"batch {here} 1 live {poll} {MICROS} 2 {first.size} {len(first.body)}\n".encode()
    assert first.chain == hashlib.sha256(bytes(32) + line + first.body).digest()
    line = f"batch {here} 2 live {poll} {MICROS} 1 {second.size} {len(second.body)}\n".encode()
    assert second.chain == hashlib.sha256(first.chain + line + second.body).digest()
    assert (fence(connection, position).last_batch, fence(connection, position).chain) == (2, second.chain)


def test_each_integration_has_a_chain_of_its_own(connection: Connection) -> None:
    position, poll = own(connection)
    other, other_poll = own(connection, "other")
    commit(connection, position, poll, "a")
    commit(connection, other, other_poll, "b")
    rows = {row.integration_id: row for row in connection.execute(select(schema.batches))}
    for place in (position, other):
        row = rows[place.integration_id]
        assert row.chain == chain.of_batch(None, chain.Header(*row[:7]), row.body)
        assert fence(connection, place).chain == row.chain


def test_numbers_are_contiguous_and_the_anchor_follows_what_expires(connection: Connection) -> None:
    position, poll = own(connection)
    for day in (9, 8, 7, 1):
        commit(connection, position, poll, str(day), now=NOW - timedelta(days=day))
    rows = connection.execute(select(schema.batches).order_by(schema.batches.c.batch)).all()
    assert [row.batch for row in rows] == [1, 2, 3, 4]
    assert expiry.expire_batches(connection, position.integration_id, NOW - timedelta(days=7), passed=4) == 2
    kept = fence(connection, position)
    assert (kept.expired_batch, kept.expired_chain) == (2, rows[1].chain)
    assert rows[2].chain == chain.of_batch(kept.expired_chain, chain.Header(*rows[2][:7]), rows[2].body)


def test_only_the_beginning_of_a_chain_expires(connection: Connection) -> None:
    position, poll = own(connection)
    for day in (9, 1, 8, 1):  # the clock went back between the second and the third
        commit(connection, position, poll, f"{day} {fence(connection, position)[2]}", now=NOW - timedelta(days=day))
    assert expiry.expire_batches(connection, position.integration_id, NOW - timedelta(days=5), passed=4) == 1
    assert expiry.expire_batches(connection, position.integration_id, NOW - timedelta(days=5), passed=4) == 0
    assert [batch.batch for batch in journal.read(connection, position.integration_id, 1, 9)] == [2, 3, 4]
    assert fence(connection, position).expired_batch == 1


def test_a_chain_goes_on_after_all_of_it_expired(connection: Connection) -> None:
    position, poll = own(connection)
    commit(connection, position, poll, "a", now=NOW - timedelta(days=9))
    last = fence(connection, position).chain
    assert expiry.expire_batches(connection, position.integration_id, NOW, passed=1) == 1
    commit(connection, position, poll, "b")
    row = connection.execute(select(schema.batches)).one()
    assert row.chain == chain.of_batch(last, chain.Header(*row[:7]), row.body)


@pytest.fixture
def old(store_url: str) -> Iterator[Engine]:
    """A database as the version before the chains left it."""
    database = Database(store_url)
    config = migrations.configuration()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    yield database.engine
    asyncio.run(database.close())


def test_what_earlier_versions_committed_is_linked_by_the_upgrade(old: Engine) -> None:
    packed = [journal.pack([Signal(f"log-{at}", b"raw-%d" % at)]) for at in range(500)]
    with old.begin() as connection:
        for id_, first in ((1, 1), (2, 3)):
            add = "INSERT INTO integrations VALUES (:id, :name, 'auth0', '{}', :off, 1, 0, 0, 'a', NULL)"
            connection.execute(sqlalchemy.text(add), {"id": id_, "name": f"n{id_}", "off": False})
            fields = "INSERT INTO fences (integration_id, epoch, last_batch) VALUES (:id, 1, :last)"
            connection.execute(sqlalchemy.text(fields), {"id": id_, "last": first + 499})
            names = "integration_id, batch, lane, poll_id, committed_at, signals, size, body"
            row = f"INSERT INTO batches ({names}) VALUES (:id, :batch, 'live', 1, 5, 1, :size, :body)"
            bodies = [{"id": id_, "batch": first + at, "size": s, "body": b} for at, (b, s) in enumerate(packed)]
            connection.execute(sqlalchemy.text(row), bodies)
        entry = "INSERT INTO audit (time, actor, address, action, target, detail) VALUES (:t, 'é', '', 'x', 'y', '{}')"
        connection.execute(sqlalchemy.text(entry), [{"t": at} for at in range(3)])
    migrations.upgrade(old)
    with old.begin() as connection:
        for id_, first in ((1, 1), (2, 3)):
            link = None
            batches = schema.batches
            rows = connection.execute(select(batches).where(batches.c.integration_id == id_).order_by(batches.c.batch))
            for row in rows:
                link = chain.of_batch(link, chain.Header(*row[:7]), row.body)
                assert row.chain == link
            kept = connection.execute(select(schema.fences).where(schema.fences.c.integration_id == id_)).one()
            assert (kept.chain, kept.expired_batch, kept.expired_chain) == (link, first - 1, None)
        audit.append(connection, "me", "after", "the upgrade")
        told = audit.verify(connection)
        assert (told.entries, told.broken) == (4, None)
