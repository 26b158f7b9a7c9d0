"""The journal's contract, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, select

from conductor.core import signal as signals
from conductor.core.errors import Fenced, NotFound
from conductor.core.integration import Integration
from conductor.core.signal import Checkpoint, Quarantined, Signal
from conductor.store import expiry, gaps, integrations, journal, polls, schema
from conductor.store.database import Database
from conductor.store.journal import Committed, Page, Position

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
ODD_BODIES = (
    b"",
    b"\x00",
    b'{"a":"\x00"}',
    b"\xff\xfe\x80",
    b'"\\ud800"',
    b"\xed\xa0\x80",
    b'{ "a" :1 }\r\n',
    b"[" * 9000,
)
TABLES = ("fences", "checkpoints", "batches", "signal_keys", "polls")


def add(connection: Connection, name: str = "prod") -> Integration:
    return integrations.add(connection, name, "auth0", {}, enabled=True, by="admin")


def own(connection: Connection, name: str = "prod") -> tuple[Position, int]:
    """A new integration's owner with an open poll."""
    position = journal.take_over(connection, add(connection, name).id)
    return position, polls.begin(connection, position, NOW)


def at(minute: int) -> Checkpoint:
    return Checkpoint(b"log-%d" % minute, NOW + timedelta(minutes=minute))


def page(
    poll_id: int, *bodies: bytes | Signal, checkpoint: Checkpoint | None = None, covered: datetime | None = None
) -> Page:
    """A page of bodies; each is its own id unless it is a signal already."""
    found = [body if isinstance(body, Signal) else Signal(body.decode(), body) for body in bodies]
    return Page(poll_id, found, checkpoint, covered)


def everything(connection: Connection) -> dict[str, list[Any]]:
    """All rows of the tables that a commit touches."""
    tables = {name: schema.metadata.tables[name] for name in TABLES}
    return {name: sorted(map(tuple, connection.execute(select(table)))) for name, table in tables.items()}


def told(connection: Connection, integration_id: int) -> list[Signal]:
    """All signals that a reader of the journal gets."""
    return [signal for batch in journal.read(connection, integration_id, 1, 10**9) for signal in batch.signals]


def test_one_transaction_holds_batch_keys_checkpoint_and_counts(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        position, poll_id = own(connection)
    with store_engine.connect() as connection, connection.begin() as transaction:
        before = everything(connection)
        journal.commit(connection, position, page(poll_id, b"a", b"b", checkpoint=at(1)), NOW)
        transaction.rollback()
    with store_engine.begin() as connection:
        assert everything(connection) == before
        done = journal.commit(connection, position, page(poll_id, b"a", b"b", checkpoint=at(1)), NOW)
    with store_engine.begin() as connection:
        assert (done.new, done.duplicates, done.conflicts, done.batch) == (2, 0, 0, 1)
        assert told(connection, position.integration_id) == [Signal("a", b"a"), Signal("b", b"b")]
        stands = journal.positions(connection)[position.integration_id]
        assert (stands.checkpoint, stands.version) == (at(1), 1)
        keys = connection.execute(select(schema.signal_keys.c.key, schema.signal_keys.c.digest)).all()
        assert {(bytes(key), bytes(digest)) for key, digest in keys} == {
            (signals.key(position.integration_id, text), signals.digest(text.encode())) for text in "ab"
        }
        poll = polls.get(connection, poll_id)
        assert (poll.fetched, poll.new, poll.duplicates, poll.conflicts, poll.position_to) == (2, 2, 0, 0, at(1).time)


def test_a_batch_row_tells_its_lane_poll_time_count_and_size(connection: Connection) -> None:
    position, poll_id = own(connection)
    fresh = page(poll_id, b"a" * 500, b"b" * 500)
    journal.commit(connection, position, fresh, NOW)
    row = connection.execute(select(schema.batches)).one()
    assert (row.lane, row.poll_id, row.signals) == ("live", poll_id, 2)
    assert row.size > 1000 > len(row.body)
    assert journal.read(connection, position.integration_id, 1, 1)[0].committed_at == NOW


@pytest.mark.parametrize("raw", ODD_BODIES, ids=repr)
def test_f21_bodies_are_kept_to_the_byte(connection: Connection, raw: bytes) -> None:
    position, poll_id = own(connection)
    journal.commit(connection, position, page(poll_id, Signal("odd", raw), b"plain"), NOW)
    assert journal.find(connection, position.integration_id, 1, 0).raw == raw
    assert told(connection, position.integration_id)[1].raw == b"plain"


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "\x00", "", "é", "\U0001f600", "x" * 5000], ids=ascii)
def test_f22_no_id_can_fail_a_page(connection: Connection, name: str) -> None:
    position, poll_id = own(connection)
    odd = page(poll_id, Signal(name, b"odd"), b"plain", checkpoint=at(1))
    assert journal.commit(connection, position, odd, NOW).new == 2
    assert told(connection, position.integration_id) == [Signal(name, b"odd"), Signal("plain", b"plain")]


def test_f25_a_record_twice_in_a_page_is_stored_once(connection: Connection) -> None:
    position, poll_id = own(connection)
    done = journal.commit(connection, position, page(poll_id, b"a", b"b", b"a", b"a", checkpoint=at(1)), NOW)
    assert (done.new, done.duplicates, done.conflicts) == (2, 2, 0)
    assert [signal.id for signal in told(connection, position.integration_id)] == ["a", "b"]


def test_f25_a_record_served_again_is_stored_once(connection: Connection) -> None:
    position, poll_id = own(connection)
    first = journal.commit(connection, position, page(poll_id, b"a", b"b", checkpoint=at(1)), NOW)
    second = journal.commit(connection, first.position, page(poll_id, b"b", b"c", checkpoint=at(2)), NOW)
    assert (second.new, second.duplicates, second.conflicts, second.batch) == (1, 1, 0, 2)
    assert [signal.id for signal in told(connection, position.integration_id)] == ["a", "b", "c"]
    poll = polls.get(connection, poll_id)
    assert (poll.fetched, poll.new, poll.duplicates) == (4, 3, 1)


def test_a_page_of_nothing_but_old_records_writes_no_batch_but_moves_on(connection: Connection) -> None:
    position, poll_id = own(connection)
    first = journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1)), NOW)
    second = journal.commit(connection, first.position, page(poll_id, b"a", checkpoint=at(2)), NOW)
    assert (second.batch, second.new, second.duplicates) == (None, 0, 1)
    assert journal.positions(connection)[position.integration_id].checkpoint == at(2)
    assert journal.stored(connection) == 1


@pytest.mark.parametrize("again", [False, True], ids=["in one page", "across pages"])
def test_f23_of_two_bodies_under_one_id_the_first_wins_and_the_others_hash_is_kept(
    connection: Connection, again: bool
) -> None:
    position, poll_id = own(connection)
    first, second = Signal("a", b"first"), Signal("a", b"second")
    if again:
        position = journal.commit(connection, position, page(poll_id, first, checkpoint=at(1)), NOW).position
        done = journal.commit(connection, position, page(poll_id, second, first), NOW)
    else:
        done = journal.commit(connection, position, page(poll_id, first, second, first), NOW)
    assert done.conflicts == 1
    assert told(connection, position.integration_id) == [first]
    assert polls.get(connection, poll_id).conflicts == 1
    (row,) = connection.execute(select(schema.quarantine)).all()
    assert (row.cause, row.signal_id, row.size, row.poll_id) == ("conflict", "a", 6, poll_id)
    assert row.sha256 == sha256(b"second").digest() == done.set_aside[0].sha256
    assert gaps.of(connection, position.integration_id) == []
    position = done.position
    done = journal.commit(connection, position, page(poll_id, second), NOW + timedelta(minutes=5))
    assert (done.conflicts, done.set_aside) == (1, ())
    third = journal.commit(connection, position, page(poll_id, Signal("a", b"third")), NOW + timedelta(minutes=5))
    assert len(third.set_aside) == 1
    assert told(connection, position.integration_id) == [first]


def test_f20_a_record_that_was_stepped_over_is_told_once_and_leaves_a_gap(connection: Connection) -> None:
    position, poll_id = own(connection)
    left = Quarantined("record.too_large", "big", None, b"seen", NOW, NOW + timedelta(seconds=1))
    over = Page(poll_id, (), at(1), None, quarantined=(left,))
    done = journal.commit(connection, position, over, NOW)
    assert done.set_aside == (left,)
    again = Page(poll_id, (), at(2), None, quarantined=(left,))
    assert journal.commit(connection, done.position, again, NOW).set_aside == ()
    (row,) = connection.execute(select(schema.quarantine)).all()
    assert (row.cause, row.signal_id, row.size, row.sha256) == ("record.too_large", "big", None, b"seen")
    (gap,) = gaps.of(connection, position.integration_id)
    assert (gap.begins, gap.ends, gap.cause, gap.state) == (left.begins, left.ends, "record.too_large", "lost")


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", "\x00", "", "x" * 5000], ids=ascii)
def test_f22_f23_no_id_with_two_bodies_can_fail_a_page(connection: Connection, name: str) -> None:
    position, poll_id = own(connection)
    done = journal.commit(connection, position, page(poll_id, Signal(name, b"1"), Signal(name, b"2")), NOW)
    assert (done.new, done.conflicts, len(done.set_aside)) == (1, 1, 1)


def test_f58_two_integrations_keep_the_same_id_each(connection: Connection) -> None:
    one, first = own(connection, "one")
    two, second = own(connection, "two")
    assert journal.commit(connection, one, page(first, b"a"), NOW).new == 1
    assert journal.commit(connection, two, page(second, b"a"), NOW).new == 1


def test_lanes_share_the_keys_and_the_batch_counter_but_not_the_checkpoint(connection: Connection) -> None:
    live, poll_id = own(connection)
    journal.commit(connection, live, page(poll_id, b"a", checkpoint=at(5)), NOW)
    backfill = journal.take_over(connection, live.integration_id, "backfill")
    assert backfill.checkpoint is None
    done = journal.commit(connection, backfill, page(poll_id, b"a", b"old", checkpoint=at(-9)), NOW)
    assert (done.new, done.duplicates, done.batch) == (1, 1, 2)
    assert journal.positions(connection)[live.integration_id].checkpoint == at(5)
    assert journal.positions(connection, "backfill")[live.integration_id].checkpoint == at(-9)


def test_an_empty_page_with_a_standing_checkpoint_writes_nothing(connection: Connection) -> None:
    position, poll_id = own(connection)
    position = journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1), covered=NOW), NOW).position
    before = everything(connection)
    for quiet in (page(poll_id), page(poll_id, checkpoint=at(1), covered=NOW)):
        done = journal.commit(connection, position, quiet, NOW + timedelta(hours=1))
        assert done == Committed(position, 0, 0, 0, None)
    assert everything(connection) == before


def test_covered_until_is_written_without_a_checkpoint(connection: Connection) -> None:
    position, poll_id = own(connection)
    done = journal.commit(connection, position, page(poll_id, covered=NOW), NOW)
    stands = journal.take_over(connection, position.integration_id)
    assert (stands.checkpoint, stands.covered_until, stands.version) == (None, NOW, 1)
    journal.commit(connection, replace(done.position, epoch=stands.epoch), page(poll_id, checkpoint=at(3)), NOW)
    stands = journal.take_over(connection, position.integration_id)
    assert (stands.checkpoint, stands.covered_until, stands.version) == (at(3), NOW, 2)


def test_batch_numbers_have_no_holes_though_commits_fail(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        position, poll_id = own(connection)
    for number in range(6):
        if number % 2:
            with store_engine.connect() as connection, connection.begin() as transaction:
                journal.commit(connection, position, page(poll_id, b"lost %d" % number), NOW)
                transaction.rollback()
        with store_engine.begin() as connection:
            journal.commit(connection, position, page(poll_id, b"kept %d" % number), NOW)
    with store_engine.begin() as connection:
        found = journal.read(connection, position.integration_id, 1, 100)
        assert [batch.batch for batch in found] == [1, 2, 3, 4, 5, 6]
        assert [signal.id for signal in told(connection, position.integration_id)] == [f"kept {n}" for n in range(6)]


@contextmanager
def refused(engine: Engine, error: type[Exception] = Fenced) -> Iterator[Connection]:
    """A transaction that is refused and leaves nothing behind."""
    with engine.begin() as connection:
        before = everything(connection)
    with pytest.raises(error), engine.begin() as connection:
        yield connection
    with engine.begin() as connection:
        assert everything(connection) == before


def test_an_older_owner_is_fenced_and_leaves_nothing_behind(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        old, poll_id = own(connection)
        new = journal.take_over(connection, old.integration_id)
        assert new.epoch == old.epoch + 1
    for late in (page(poll_id, b"a", checkpoint=at(1)), page(poll_id, b"a"), page(poll_id)):
        with refused(store_engine) as connection:
            journal.commit(connection, old, late, NOW)
    with store_engine.begin() as connection:
        assert journal.commit(connection, new, page(poll_id, b"a", checkpoint=at(1)), NOW).new == 1


def test_positions_that_are_only_looked_at_commit_nothing(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        position, poll_id = own(connection)
        journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1)), NOW)
        seen = journal.positions(connection)[position.integration_id]
    with refused(store_engine) as connection:
        journal.commit(connection, seen, page(poll_id, b"b", checkpoint=at(2)), NOW)


def test_no_take_over_comes_between_the_fence_and_the_commit(migrated_postgresql_url: str) -> None:
    """SQLite has one writer; on PostgreSQL the fence's row is locked until the commit."""
    database = Database(migrated_postgresql_url)
    other = sqlalchemy.create_engine(database.url, poolclass=sqlalchemy.NullPool)
    with database.engine.begin() as connection:
        position, poll_id = own(connection)
    with database.engine.begin() as connection:
        journal.commit(connection, position, page(poll_id, checkpoint=at(1)), NOW)
        with other.begin() as beside, beside.begin_nested() as savepoint:
            beside.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
            with pytest.raises(sqlalchemy.exc.OperationalError, match="lock timeout"):
                journal.take_over(beside, position.integration_id)
            savepoint.rollback()
    with other.begin() as beside:
        assert journal.take_over(beside, position.integration_id).checkpoint == at(1)
    asyncio.run(database.close())


@pytest.mark.parametrize("moves", [0, 1])
def test_a_checkpoint_that_moved_meanwhile_fences_and_leaves_nothing_behind(store_engine: Engine, moves: int) -> None:
    with store_engine.begin() as connection:
        stale, poll_id = own(connection)
        for minute in range(moves):
            stale = journal.commit(connection, stale, page(poll_id, checkpoint=at(minute)), NOW).position
        journal.commit(connection, stale, page(poll_id, b"a", checkpoint=at(8)), NOW)
    with refused(store_engine) as connection:
        journal.commit(connection, stale, page(poll_id, b"b", checkpoint=at(7)), NOW)


def test_a_removed_integration_is_fenced_and_cannot_be_taken_over(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        position, poll_id = own(connection)
        integrations.remove(connection, integrations.by_id(connection, position.integration_id), by="admin")
    with refused(store_engine) as connection:
        journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1)), NOW)
    with refused(store_engine, NotFound) as connection:
        journal.take_over(connection, position.integration_id)


def test_nobody_takes_over_what_does_not_exist(connection: Connection) -> None:
    with pytest.raises(NotFound):
        journal.take_over(connection, 4711)


def test_a_refused_page_takes_nothing_of_the_others_with_it(migrated_url: str) -> None:
    async def scenario() -> tuple[list[Any], list[str], int]:
        database = Database(migrated_url)
        await database.open()
        position, poll_id = await database.write(own)
        zombie, newer = position, await database.write(lambda c: journal.take_over(c, position.integration_id))
        gate = threading.Event()
        first = database.write(lambda _: gate.wait(10))
        group = [
            database.write(lambda c: journal.commit(c, newer, page(poll_id, b"a", checkpoint=at(1)), NOW)),
            database.write(lambda c: journal.commit(c, zombie, page(poll_id, b"zombie", checkpoint=at(9)), NOW)),
            database.write(lambda c: journal.commit(c, newer, page(poll_id, b"b"), NOW)),
        ]
        gate.set()
        answers = await asyncio.gather(first, *group, return_exceptions=True)
        found = await database.read(lambda c: [signal.id for signal in told(c, position.integration_id)])
        keys = await database.read(
            lambda c: c.execute(select(sqlalchemy.func.count()).select_from(schema.signal_keys)).scalar_one()
        )
        await database.close()
        return answers[1:], found, keys

    answers, found, keys = asyncio.run(scenario())
    assert [type(answer) for answer in answers] == [Committed, Fenced, Committed]
    assert (found, keys) == (["a", "b"], 2)


def test_keys_of_earlier_days_are_forgotten_and_the_others_stay(connection: Connection) -> None:
    position, poll_id = own(connection)
    other, other_poll = own(connection, "other")
    for days, name in ((3, b"oldest"), (2, b"old"), (0, b"new")):
        journal.commit(connection, position, page(poll_id, name), NOW - timedelta(days=days))
    journal.commit(connection, other, page(other_poll, b"oldest"), NOW - timedelta(days=3))
    assert expiry.expire_keys(connection, NOW - timedelta(days=2)) == 2
    done = journal.commit(connection, position, page(poll_id, b"oldest", b"old", b"new"), NOW)
    assert (done.new, done.duplicates) == (1, 2)
    assert journal.commit(connection, other, page(other_poll, b"oldest"), NOW).new == 1


def test_a_range_is_cut_where_it_grows_too_large(connection: Connection) -> None:
    position, poll_id = own(connection)
    for number in range(4):
        journal.commit(connection, position, page(poll_id, Signal(str(number), b"x" * 1000)), NOW)
    here = position.integration_id
    assert journal.within(connection, here, 1, 4, 10**9) == 4
    assert journal.within(connection, here, 1, 4, 2500) == 2
    assert journal.within(connection, here, 2, 4, 1) == 2


def test_another_tenants_log_begins_at_its_own_beginning(connection: Connection) -> None:
    position, poll_id = own(connection)
    done = journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1)), NOW)
    journal.forget(connection, position.integration_id)
    with pytest.raises(Fenced):
        journal.commit(connection, done.position, page(poll_id, b"b"), NOW)
    assert journal.take_over(connection, position.integration_id).checkpoint is None


def test_a_lost_position_without_another_is_forgotten(connection: Connection) -> None:
    position, poll_id = own(connection)
    done = journal.commit(connection, position, page(poll_id, b"a", checkpoint=at(1)), NOW)
    anew = journal.Page(poll_id, (), None, None, begin_anew=True)
    assert journal.commit(connection, done.position, anew, NOW).position.checkpoint is None


def test_batches_are_deleted_when_old_and_passed_by_every_reader(connection: Connection) -> None:
    position, poll_id = own(connection)
    other, other_poll = own(connection, "other")
    for days in (5, 4, 3, 0):
        journal.commit(connection, position, page(poll_id, b"%d" % days), NOW - timedelta(days=days))
    journal.commit(connection, other, page(other_poll, b"5"), NOW - timedelta(days=5))
    here = position.integration_id
    assert expiry.expire_batches(connection, here, NOW - timedelta(days=9), passed=4) == 0
    assert expiry.expire_batches(connection, here, NOW, passed=0) == 0
    assert expiry.expire_batches(connection, here, NOW - timedelta(days=3), passed=1) == 1
    assert [batch.batch for batch in journal.read(connection, here, 1, 9)] == [2, 3, 4]
    assert expiry.expire_batches(connection, here, NOW - timedelta(days=3), passed=4) == 1
    assert journal.stored(connection) == 3
    with pytest.raises(NotFound):
        journal.find(connection, here, 1, 0)
    assert journal.commit(connection, position, page(poll_id, b"5"), NOW).duplicates == 1


@pytest.mark.parametrize("index", [-1, 1])
def test_a_place_outside_the_batch_is_not_found(connection: Connection, index: int) -> None:
    position, poll_id = own(connection)
    journal.commit(connection, position, page(poll_id, b"a"), NOW)
    with pytest.raises(NotFound):
        journal.find(connection, position.integration_id, 1, index)


def test_the_age_that_was_served_is_how_old_the_checkpoint_was_when_it_was_read(connection: Connection) -> None:
    position, poll_id = own(connection)
    assert position.seen == timedelta(0)
    old = Checkpoint(b"x", NOW - timedelta(days=4))
    dateless = page(poll_id, b"a", checkpoint=Checkpoint(b"w", NOW - timedelta(days=8)))
    position = journal.commit(connection, position, dateless, NOW).position
    assert position.seen == timedelta(0)  # our own clock is no measure of what the vendor keeps
    dated = replace(page(poll_id, b"b", checkpoint=old), read_at=NOW)
    journal.commit(connection, position, dated, NOW)
    assert journal.positions(connection)[position.integration_id].seen == timedelta(days=4)
    later = NOW + timedelta(days=9)
    quiet = journal.positions(connection)[position.integration_id]
    quiet = replace(quiet, epoch=position.epoch)
    journal.commit(connection, quiet, page(poll_id, covered=later), later)
    assert journal.positions(connection)[position.integration_id].seen == timedelta(days=4)  # nothing was served since


@dataclass
class Model:
    """What the journal must hold."""

    bodies: dict[str, bytes]
    batches: list[list[str]]
    checkpoint: Checkpoint | None = None
    covered: datetime | None = None
    conflicts: int = 0

    def expect(self, found: Sequence[Signal]) -> tuple[int, int, int]:
        """Store a page; the answer is new, duplicates, conflicts."""
        fresh: list[str] = []
        conflicts = 0
        for signal in found:
            if signal.id in self.bodies:
                conflicts += self.bodies[signal.id] != signal.raw
            else:
                self.bodies[signal.id] = signal.raw
                fresh.append(signal.id)
        if fresh:
            self.batches.append(fresh)
        return len(fresh), len(found) - len(fresh), conflicts


SIGNALS = st.builds(
    Signal, st.sampled_from(["a", "b", "c", "d", "e", "\ud800", ""]), st.sampled_from([b"1", b"1", b"1", b"\x00\xff"])
)
PAGES = st.lists(SIGNALS, max_size=5)


class Journal(RuleBasedStateMachine):
    """One integration, its present owner, and owners that do not know that they are none any more."""

    url = ""
    count = 0

    def __init__(self) -> None:
        super().__init__()
        Journal.count += 1
        self.minute = 0
        self.model = Model({}, [])
        self.zombies: list[Position] = []
        self.last: list[Signal] = []
        self.database = Database(self.url)
        with self.database.engine.begin() as connection:
            self.position, self.poll_id = own(connection, f"prod-{Journal.count}")

    def teardown(self) -> None:
        asyncio.run(self.database.close())

    def commit(self, position: Position, found: Sequence[Signal], *, moves: bool, covers: bool) -> Committed:
        self.minute += 1
        checkpoint = at(self.minute) if moves else None
        covered = at(self.minute).time if covers else None
        with self.database.engine.begin() as connection:
            return journal.commit(connection, position, Page(self.poll_id, found, checkpoint, covered), NOW)

    @rule(found=PAGES, moves=st.booleans(), covers=st.booleans())
    def page(self, found: list[Signal], moves: bool, covers: bool) -> None:
        done = self.commit(self.position, found, moves=moves, covers=covers)
        expected = self.model.expect(found)
        assert (done.new, done.duplicates, done.conflicts) == expected
        assert done.batch == (len(self.model.batches) if expected[0] else None)
        if moves:
            self.model.checkpoint = at(self.minute)
        if covers:
            self.model.covered = at(self.minute).time
        self.position, self.last = done.position, found

    @precondition(lambda self: self.last)
    @rule()
    def the_same_page_again(self) -> None:
        done = self.commit(self.position, self.last, moves=False, covers=False)
        assert (done.new, done.duplicates, done.batch) == (0, len(self.last), None)

    @rule()
    def take_over(self) -> None:
        self.zombies.append(self.position)
        with self.database.engine.begin() as connection:
            self.position = journal.take_over(connection, self.position.integration_id)

    @precondition(lambda self: self.zombies)
    @rule(found=PAGES, data=st.data(), moves=st.booleans())
    def a_zombie_commits(self, found: list[Signal], data: st.DataObject, moves: bool) -> None:
        with pytest.raises(Fenced):
            self.commit(data.draw(st.sampled_from(self.zombies)), found, moves=moves, covers=False)

    @precondition(lambda self: self.position.version > 0)
    @rule(found=PAGES)
    def a_stale_version_commits(self, found: list[Signal]) -> None:
        with pytest.raises(Fenced):
            self.commit(replace(self.position, version=self.position.version - 1), found, moves=True, covers=False)

    @rule(found=PAGES)
    def crash_before_the_commit(self, found: list[Signal]) -> None:
        self.minute += 1
        with self.database.engine.connect() as connection:
            connection.begin()
            journal.commit(connection, self.position, Page(self.poll_id, found, at(self.minute), None), NOW)
            connection.invalidate()  # the socket or file is closed, with no word of goodbye
        asyncio.run(self.database.close())
        self.database = Database(self.url)
        self.take_over()

    @invariant()
    def the_journal_is_as_the_model_says(self) -> None:
        here = self.position.integration_id
        with self.database.engine.begin() as connection:
            batches = journal.read(connection, here, 1, 10**6)
            stands = journal.positions(connection).get(here)
            keys = connection.execute(
                select(sqlalchemy.func.count()).where(schema.signal_keys.c.integration_id == here)
            ).scalar_one()
        assert [batch.batch for batch in batches] == list(range(1, len(self.model.batches) + 1))
        assert [[signal.id for signal in batch.signals] for batch in batches] == self.model.batches
        assert {signal.id: signal.raw for batch in batches for signal in batch.signals} == self.model.bodies
        assert keys == len(self.model.bodies)
        assert (stands.checkpoint if stands else None) == self.model.checkpoint
        assert (stands.covered_until if stands else None) == self.model.covered


def test_whatever_happens_in_whatever_order_the_journal_holds_every_signal_once(migrated_url: str) -> None:
    machine = type("Machine", (Journal,), {"url": migrated_url})
    moderate = settings(
        max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=moderate)
