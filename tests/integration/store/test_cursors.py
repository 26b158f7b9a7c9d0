"""Readers' places in the journal, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection

from conductor.core.signal import Signal
from conductor.store import cursors, integrations, journal
from conductor.store.cursors import Cursor
from conductor.store.journal import Page

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
READER = "indexer/here"


def add(connection: Connection, name: str, batches: int) -> int:
    """An integration with that many batches."""
    added = integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")
    position = journal.take_over(connection, added.id)
    for number in range(batches):
        journal.commit(connection, position, Page(0, [Signal(str(number), b"")], None, None), NOW)
    return added.id


@pytest.fixture
def prod(connection: Connection) -> int:
    """An integration with three batches."""
    return add(connection, "prod", 3)


def test_a_new_reader_is_behind_from_the_first_batch(connection: Connection, prod: int) -> None:
    add(connection, "silent", 0)
    assert cursors.behind(connection, READER) == [Cursor(prod, 0, None, 3)]


def test_a_range_is_written_down_before_it_is_done(connection: Connection, prod: int) -> None:
    cursors.announce(connection, READER, prod, 0, 2)
    assert cursors.behind(connection, READER) == [Cursor(prod, 0, 2, 3)]
    cursors.advance(connection, READER, prod, 2)
    assert cursors.behind(connection, READER) == [Cursor(prod, 2, None, 3)]
    cursors.announce(connection, READER, prod, 2, 3)
    assert cursors.behind(connection, READER) == [Cursor(prod, 2, 3, 3)]
    cursors.advance(connection, READER, prod, 3)
    assert cursors.behind(connection, READER) == []


def test_of_two_that_announce_one_is_first_and_the_other_moves_nothing(connection: Connection, prod: int) -> None:
    assert cursors.announce(connection, READER, prod, 0, 2)
    assert not cursors.announce(connection, READER, prod, 0, 3)
    cursors.advance(connection, READER, prod, 3)
    assert cursors.behind(connection, READER) == [Cursor(prod, 0, 2, 3)]
    cursors.advance(connection, READER, prod, 2)
    assert not cursors.announce(connection, READER, prod, 0, 3)
    assert cursors.announce(connection, READER, prod, 2, 3)


def test_readers_do_not_move_each_other(connection: Connection, prod: int) -> None:
    for reader, to in ((READER, 3), ("exporter", 1)):
        cursors.announce(connection, reader, prod, 0, to)
        cursors.advance(connection, reader, prod, to)
    assert cursors.behind(connection, READER) == []
    assert cursors.behind(connection, "exporter") == [Cursor(prod, 1, None, 3)]


def test_the_slowest_reader_decides_what_has_been_passed(connection: Connection, prod: int) -> None:
    other = add(connection, "other", 1)
    assert cursors.passed(connection, READER, "exporter") == {}
    for reader, integration, to in ((READER, prod, 3), ("exporter", prod, 1), (READER, other, 1)):
        cursors.announce(connection, reader, integration, 0, to)
        assert cursors.passed(connection, READER, "exporter").get(integration, 0) <= 1
        cursors.advance(connection, reader, integration, to)
    assert cursors.passed(connection, READER, "exporter") == {prod: 1}  # of `other`, the exporter has read nothing
    assert cursors.passed(connection, READER) == {prod: 3, other: 1}


def test_an_announced_range_has_not_been_passed(connection: Connection, prod: int) -> None:
    cursors.announce(connection, READER, prod, 0, 3)
    assert cursors.passed(connection, READER) == {prod: 0}


def test_a_reader_whose_target_is_empty_begins_again(connection: Connection, prod: int) -> None:
    for reader in (READER, "exporter"):
        cursors.announce(connection, reader, prod, 0, 3)
        cursors.advance(connection, reader, prod, 3)
    cursors.reset(connection, READER)
    assert cursors.behind(connection, READER) == [Cursor(prod, 0, None, 3)]
    assert cursors.behind(connection, "exporter") == []
