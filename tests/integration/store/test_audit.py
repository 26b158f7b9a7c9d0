"""The audit log: append-only, and a chain that tells what was done to it past Conductor."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy
from sqlalchemy import Connection, Engine, text

from conductor.store import audit, schema
from conductor.store.database import Database


def fill(connection: Connection, count: int = 5) -> None:
    for number in range(count):
        audit.append(connection, "ana@example.com", "user.edit", f"é {number}", {"role": "admin"}, address="::1")


def unlock(connection: Connection) -> None:
    """What somebody with the database's own tools can do."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        return
    for deed in ("update", "delete"):
        connection.execute(text(f"DROP TRIGGER audit_keeps_{deed}"))


def newest_id(connection: Connection) -> int:
    return audit.recent(connection, 1)[0].id


@pytest.mark.parametrize("deed", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit WHERE id > 0"])
def test_no_entry_is_changed_or_deleted(store_engine: Engine, deed: str) -> None:
    with store_engine.begin() as connection:
        fill(connection)
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"), store_engine.begin() as connection:
        connection.execute(text(deed))
    with store_engine.begin() as connection:
        assert audit.verify(connection) == audit.Verdict(5)


def test_an_empty_log_is_intact(connection: Connection) -> None:
    assert audit.verify(connection) == audit.Verdict(0)


def test_a_link_can_be_computed_again_with_sha256_alone(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        fill(connection, 1)
        row = connection.execute(sqlalchemy.select(schema.audit)).one()
    fields = [row.id, row.time, "ana@example.com", "::1", "user.edit", "é 0", '{"role":"admin"}']
    line = "entry " + json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n"
    assert row.chain == hashlib.sha256(bytes(32) + line.encode()).digest()


@pytest.mark.parametrize(
    ("deed", "broken", "reason"),
    [
        ("UPDATE audit SET actor = 'x' WHERE id = 3", 3, "changed"),
        ("UPDATE audit SET time = time + 1 WHERE id = 3", 3, "changed"),
        ("UPDATE audit SET detail = '{}' WHERE id = 5", 5, "changed"),
        ("DELETE FROM audit WHERE id = 3", 4, "removed"),
        ("DELETE FROM audit WHERE id = 1", 2, "removed"),
        ("DELETE FROM audit WHERE id = 5", 5, "missing at the end"),
        ("DELETE FROM audit", 1, "missing at the end"),
        ("UPDATE audit SET id = 7 WHERE id = 4", 5, "removed"),
        (
            "INSERT INTO audit SELECT id + 90, time, actor, address, action, target, detail, chain FROM audit",
            95,
            "past",
        ),
    ],
)
def test_whatever_is_done_to_the_log_past_conductor_is_noticed(
    store_engine: Engine, deed: str, broken: int, reason: str
) -> None:
    with store_engine.begin() as connection:
        fill(connection)
        unlock(connection)
        connection.execute(text(deed))
        found = audit.verify(connection)
    assert found.broken == broken
    assert reason in found.reason


def test_the_log_goes_on_without_its_end_and_tells_of_the_loss(connection: Connection) -> None:
    fill(connection)
    connection.execute(text("DELETE FROM facts WHERE name = 'audit_chain'"))
    assert "missing" in audit.verify(connection).reason
    fill(connection)
    assert audit.verify(connection).broken == 6


def test_processes_that_share_a_database_append_to_one_chain(migrated_url: str) -> None:
    def work(_number: int) -> None:
        database = Database(migrated_url)
        for _ in range(10):
            with database.engine.begin() as connection:
                fill(connection, 2)
        database.engine.dispose()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    engine = Database(migrated_url).engine
    with engine.begin() as connection:
        assert audit.verify(connection) == audit.Verdict(80)
        assert newest_id(connection) == 80
    engine.dispose()
