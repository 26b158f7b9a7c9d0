"""What belongs to the installation as a whole, written by one worker or by several at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy
from sqlalchemy import Connection, text

from conductor.store import facts

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@pytest.fixture
def shared(migrated_postgresql_url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(migrated_postgresql_url)
    yield engine
    engine.dispose()


def test_a_fact_is_replaced_and_tells_what_it_was(connection: Connection) -> None:
    assert facts.get(connection, "x") is None
    assert facts.replace(connection, "x", "1") is None
    assert facts.replace(connection, "x", "1") == "1"
    assert facts.replace(connection, "x", "2") == "1"
    assert facts.get(connection, "x") == "2"


def test_two_workers_that_write_a_new_fact_at_once_both_go_on(shared: sqlalchemy.Engine) -> None:
    def second() -> str | None:
        with shared.begin() as connection:
            return facts.replace(connection, "x", "2")

    with ThreadPoolExecutor(1) as pool, shared.connect() as first, shared.connect() as look:
        assert facts.replace(first, "x", "1") is None
        written = pool.submit(second)
        while not look.execute(WAITING).scalar():  # until it waits for the first
            look.rollback()
        first.commit()
        assert written.result(timeout=60) == "1"
        assert facts.get(first, "x") == "2"
