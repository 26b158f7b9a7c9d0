"""Leases on SQLite and PostgreSQL alike: who may take what over, by whose clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, select, text, update

from conductor.core import clock
from conductor.core.errors import Fenced, Held
from conductor.store import database as databases
from conductor.store import integrations, journal, leases, polls, schema
from conductor.store.database import Database
from conductor.store.journal import Page
from conductor.store.leases import Worker

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ONE, TWO = (Worker(name, f"{name}.example.com", 1, f"artifacts/{name}", NOW) for name in ("one", "two"))


def add(connection: Connection, name: str = "prod") -> int:
    return integrations.add(connection, name, "auth0", {}, enabled=True, by="admin").id


def let_run_out(connection: Connection, worker: Worker) -> None:
    here = schema.workers.c.id == worker.id
    connection.execute(update(schema.workers).where(here).values(expires=leases.store_now() - 1))


def owner(connection: Connection, integration_id: int) -> str:
    return leases.view(connection).owners.get(integration_id, "")


def test_f64_what_a_living_worker_owns_nobody_takes_over(connection: Connection) -> None:
    id_ = add(connection)
    leases.renew(connection, ONE)
    leases.renew(connection, TWO)
    held = journal.take_over(connection, id_, worker="one")
    for other in ("two", ""):
        with pytest.raises(Held):
            journal.take_over(connection, id_, worker=other)
    assert leases.claim(connection, "two", [id_]) == frozenset()
    journal.check_fence(connection, held)
    assert owner(connection, id_) == "one"


def test_f64_f66_a_worker_whose_lease_ran_out_is_fenced_inside_its_commit(connection: Connection) -> None:
    id_ = add(connection)
    leases.renew(connection, ONE)
    zombie = journal.take_over(connection, id_, worker="one")
    poll = polls.begin(connection, zombie, NOW)
    leases.renew(connection, TWO)
    let_run_out(connection, ONE)
    assert leases.claim(connection, "two", [id_]) == {id_}
    with pytest.raises(Fenced):
        journal.commit(connection, zombie, Page(poll, [], None, NOW), NOW)
    leases.renew(connection, ONE)  # it wakes up and renews: what it lost stays lost
    with pytest.raises(Held):
        journal.take_over(connection, id_, worker="one")


def test_an_owner_takes_over_from_itself_and_the_epoch_grows(connection: Connection) -> None:
    id_ = add(connection)
    leases.renew(connection, ONE)
    leases.claim(connection, "one", [id_])
    first = journal.take_over(connection, id_, worker="one")
    second = journal.take_over(connection, id_, worker="one")
    assert second.epoch == first.epoch + 1


def test_what_was_released_is_free_and_a_worker_that_left_is_gone(connection: Connection) -> None:
    ids = [add(connection, name) for name in ("a", "b", "c")]
    for worker in (ONE, TWO):
        leases.renew(connection, worker)
    assert leases.claim(connection, "one", ids) == set(ids)
    leases.release(connection, "two", ids)  # not its own
    assert set(leases.view(connection).owners.values()) == {"one"}
    leases.release(connection, "one", ids[:1])
    assert leases.claim(connection, "two", ids) == {ids[0]}
    leases.leave(connection, "one")
    assert [worker.id for worker in leases.living(connection)] == ["two"]
    assert leases.claim(connection, "two", ids) == set(ids)


def test_a_renewal_keeps_the_row_and_who_joins_forgets_the_long_dead(connection: Connection) -> None:
    leases.renew(connection, ONE)
    leases.renew(connection, TWO)
    before = {worker.id: worker for worker in leases.living(connection)}
    let_run_out(connection, ONE)
    assert [worker.id for worker in leases.living(connection)] == ["two"]
    connection.execute(update(schema.workers).values(expires=leases.store_now() - leases.FORGET - 1))
    leases.renew(connection, TWO)
    assert leases.living(connection) == [before["two"]]
    leases.renew(connection, Worker("three", "three.example.com", 1, "artifacts/three"))
    assert set(connection.execute(select(schema.workers.c.id)).scalars()) == {"two", "three"}


def test_a_poll_is_asked_for_and_answered(connection: Connection) -> None:
    id_, other = add(connection), add(connection, "other")
    assert leases.view(connection).asked == frozenset()
    leases.ask(connection, id_)
    assert leases.view(connection).asked == {id_}
    leases.answer(connection, [id_, other])
    assert leases.view(connection).asked == frozenset()


def test_f69_lease_time_is_the_databases(migrated_postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's clock says, PostgreSQL's own decides."""
    with engine(Database(migrated_postgresql_url)) as found, found.begin() as connection:
        for skew in (timedelta(minutes=-2), timedelta(minutes=2), timedelta(days=400)):
            monkeypatch.setattr(clock, "now", lambda skew=skew: datetime.now(UTC) + skew)
            leases.renew(connection, ONE)
            told = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            until = connection.execute(select(schema.workers.c.expires)).scalar_one()
            left = clock.from_micros(until) - told
            assert timedelta(0) < left <= leases.TTL * clock.MICROSECOND
            assert [worker.id for worker in leases.living(connection)] == ["one"]


def test_f69_on_sqlite_the_clock_is_the_one_the_database_was_given(migrated_sqlite_url: str) -> None:
    times = [NOW]
    with engine(Database(migrated_sqlite_url, now=lambda: times[-1])) as found, found.begin() as connection:
        leases.renew(connection, ONE)
        times.append(NOW + leases.TTL * clock.MICROSECOND - clock.MICROSECOND)
        assert [worker.started_at for worker in leases.living(connection)] == [NOW]
        times.append(NOW + leases.TTL * clock.MICROSECOND)
        assert leases.living(connection) == []


def test_a_worker_stopped_inside_a_commit_holds_up_nothing_else(migrated_postgresql_url: str) -> None:
    """Its row stays locked until PostgreSQL ends its session; the others are claimed meanwhile."""
    with engine(Database(migrated_postgresql_url)) as one, engine(Database(migrated_postgresql_url)) as two:
        with one.begin() as connection:
            ids = [add(connection, name) for name in ("a", "b", "c")]
            leases.renew(connection, ONE)
            leases.claim(connection, "one", ids)
            stopped = journal.take_over(connection, ids[0], worker="one")
        with one.begin() as connection:
            journal.check_fence(connection, stopped)
            with two.begin() as other:
                let_run_out(other, ONE)
                leases.renew(other, TWO)
                assert leases.claim(other, "two", ids) == set(ids[1:])
        with two.begin() as other:
            assert leases.claim(other, "two", ids) == set(ids)


def test_only_a_database_that_others_can_reach_is_shared(migrated_sqlite_url: str) -> None:
    assert not Database(migrated_sqlite_url).shared
    assert Database(migrated_sqlite_url, shared=True).shared
    assert Database("postgresql+psycopg://conductor@127.0.0.1/none").shared


@contextmanager
def engine(database: databases.Database) -> Iterator[Engine]:
    try:
        yield database.engine
    finally:
        database.engine.dispose()
