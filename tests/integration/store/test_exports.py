"""Exports in the store: how far each is, and what ends it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.store import exports
from conductor.store.exports import ACTIVE, DONE, Job

NOTHING: dict[str, Any] = {"gaps": {}, "behind": []}


def _added(connection: Connection, **more: str) -> Job:
    known = {"made_by": "ana", "home": "", "host": "logs-1"} | more
    return exports.add(connection, asked={"format": "csv"}, total=7, missing=NOTHING, **known)


def test_how_far_it_is_is_one_note(connection: Connection) -> None:
    job = _added(connection)
    assert (job.state, job.place, job.size, job.count, job.active) == ("waiting", "", 0, 0, True)
    assert exports.begin(connection, job.id)
    missing = {"gaps": {"prod 1": {"cause": "x"}}, "behind": ["prod"]}
    assert exports.advance(connection, job.id, place="1.2.3.4", size=2**40, count=5, missing=missing)
    found = exports.get(connection, job.id)
    assert (found.state, found.place, found.size, found.count, found.missing) == (
        "running",
        "1.2.3.4",
        2**40,
        5,
        missing,
    )
    assert exports.advance(connection, job.id, place=None, size=2**40, count=7, missing=missing)
    assert exports.finish(connection, job.id, size=9, sha256="ab")
    done = exports.get(connection, job.id)
    assert (done.state, done.place, done.size, done.sha256, done.active) == ("done", None, 9, "ab", False)


def test_what_ended_changes_no_more(connection: Connection) -> None:
    job = _added(connection)
    assert exports.cancel(connection, job.id)
    assert not exports.begin(connection, job.id)
    assert not exports.advance(connection, job.id, place=None, size=1, count=1, missing=NOTHING)
    assert not exports.finish(connection, job.id, size=1, sha256="x")
    assert not exports.fail(connection, job.id, "x")
    assert not exports.cancel(connection, job.id)
    assert not exports.expire(connection, job.id, "x")
    assert exports.get(connection, job.id).state == "cancelled"


def test_what_is_begun_comes_before_what_waits_and_each_house_has_its_own(connection: Connection) -> None:
    waiting, begun, other = _added(connection), _added(connection), _added(connection, home="there", made_by="bob")
    exports.begin(connection, begun.id)
    assert [job.id for job in exports.of(connection, "", ACTIVE)] == [begun.id, waiting.id]
    assert [job.id for job in exports.of(connection, "there", ACTIVE)] == [other.id]
    assert [job.id for job in exports.recent(connection, 2)] == [other.id, begun.id]
    assert [job.id for job in exports.recent(connection, 9, "bob")] == [other.id]
    assert exports.active(connection, "ana") == 2


def test_those_without_a_file_are_forgotten_in_time(connection: Connection) -> None:
    failed, done, waiting = (_added(connection) for _ in range(3))
    exports.fail(connection, failed.id, "x")
    exports.finish(connection, done.id, size=1, sha256="x")
    exports.forget(connection, clock.now() - timedelta(hours=1))
    assert len(exports.recent(connection, 9)) == 3
    exports.forget(connection, clock.now() + timedelta(hours=1))
    assert [job.id for job in exports.recent(connection, 9)] == [waiting.id, done.id]
    assert exports.of(connection, "", (DONE,))[0].id == done.id
    with pytest.raises(NotFound):
        exports.get(connection, failed.id)
