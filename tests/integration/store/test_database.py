"""One writer and a few readers on real databases, and the history of their schema."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, insert, select

from conductor.core.errors import Conflict, SettingsError, StoreError, StoreFull, StorePaused
from conductor.store import audit, integrations, migrations, schema, sqlite
from conductor.store.database import GROUP, Database, sqlite_url

FACTS = schema.facts


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def put(name: str, value: str = "") -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(insert(FACTS), {"name": name, "value": value})

    return work


def names(connection: Connection) -> list[str]:
    mine = FACTS.c.name != audit.HEAD
    return list(connection.execute(select(FACTS.c.name).where(mine).order_by(FACTS.c.name)).scalars())


def refuse(_connection: Connection) -> NoReturn:
    raise Conflict("no")


def fill(connection: Connection) -> None:
    """Write more than the small disk holds, as one work of a few statements."""
    for number in range(64):
        connection.execute(insert(FACTS), {"name": f"big {number}", "value": "x" * 100_000})


class Held:
    """Writes that wait at the writer: a gate keeps it busy until all of them were asked for."""

    def __init__(self, database: Database) -> None:
        self._gate = threading.Event()
        self._database = database
        busy = threading.Event()
        self._asked: list[Awaitable[Any]] = [database.write(lambda _: (busy.set(), self._gate.wait(10)))]
        assert busy.wait(10)

    def write(self, work: Callable[[Connection], Any]) -> None:
        self._asked.append(self._database.write(work))

    async def answers(self) -> list[Any]:
        """Let them go; what each was answered."""
        self._gate.set()
        return (await asyncio.gather(*self._asked, return_exceptions=True))[1:]


def test_the_writers_pragmas_are_really_set(migrated_sqlite_url: str) -> None:
    def pragmas(connection: Connection) -> dict[str, Any]:
        asked = ("journal_mode", "synchronous", "trusted_schema", "foreign_keys", "mmap_size", "busy_timeout")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked}

    async def scenario() -> dict[str, Any]:
        async with opened(migrated_sqlite_url) as database:
            return await database.write(pragmas)

    full = 2
    assert asyncio.run(scenario()) == {
        "journal_mode": "wal", "synchronous": full, "trusted_schema": 0, "foreign_keys": 1, "mmap_size": 0, "busy_timeout": 5000,
    }  # fmt: skip


def test_writes_happen_in_the_order_in_which_they_were_asked_for(migrated_url: str) -> None:
    async def scenario() -> list[int]:
        order: list[int] = []
        async with opened(migrated_url) as database:
            await asyncio.gather(*(database.write(lambda _, n=n: order.append(n)) for n in range(300)))
        return order

    assert asyncio.run(scenario()) == list(range(300))


def test_the_answer_comes_after_the_commit(migrated_url: str) -> None:
    async def scenario() -> list[str]:
        async with opened(migrated_url) as database, opened(migrated_url) as other:
            await database.write(put("a"))
            return await other.read(names)

    assert asyncio.run(scenario()) == ["a"]


def test_a_reader_is_kept_and_sees_what_was_written_since_even_after_an_error(migrated_sqlite_url: str) -> None:
    def look(connection: Connection) -> tuple[object, list[str]]:
        return connection.connection.dbapi_connection, names(connection)

    def fail(connection: Connection) -> None:
        names(connection)
        refuse(connection)

    async def scenario() -> list[tuple[object, list[str]]]:
        async with opened(migrated_sqlite_url) as database:
            seen = [await database.read(look)]
            with pytest.raises(Conflict):
                await database.read(fail)
            await database.write(put("a"))
            return [*seen, await database.read(look)]

    (one, before), (other, after) = asyncio.run(scenario())
    assert (before, after) == ([], ["a"])
    assert one is other
    path = sqlalchemy.make_url(migrated_sqlite_url).database
    assert not Path(f"{path}-wal").exists()  # folded in by the last connection that closes


def test_waiting_writes_are_committed_together_up_to_a_group(migrated_url: str) -> None:
    async def scenario() -> int:
        commits = []
        async with opened(migrated_url) as database:
            event.listen(database.engine, "commit", commits.append)
            held = Held(database)
            for number in range(GROUP + 5):
                held.write(put(f"{number:03}"))
            assert await held.answers() == [None] * (GROUP + 5)
            assert len(await database.read(names)) == GROUP + 5
        return len(commits)

    assert asyncio.run(scenario()) == 1 + 1 + 1  # the gate, a full group, the rest


def test_an_error_inside_a_group_takes_nothing_of_the_others_with_it(migrated_url: str) -> None:
    def half(connection: Connection) -> None:
        put("half")(connection)
        refuse(connection)

    async def scenario() -> tuple[list[Any], list[str]]:
        async with opened(migrated_url) as database:
            held = Held(database)
            for work in (put("a"), half, put("a"), put("b")):
                held.write(work)
            return await held.answers(), await database.read(names)

    answers, found = asyncio.run(scenario())
    assert [type(answer) for answer in answers] == [type(None), Conflict, sqlalchemy.exc.IntegrityError, type(None)]
    assert found == ["a", "b"]


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
def test_a_work_that_raises_is_rolled_back_and_the_writer_goes_on(migrated_url: str, together: bool) -> None:
    def half(connection: Connection) -> None:
        put("half")(connection)
        refuse(connection)

    async def scenario() -> list[str]:
        async with opened(migrated_url) as database:
            held = Held(database) if together else None
            if held:
                held.write(half)
                held.write(half)
                assert [type(answer) for answer in await held.answers()] == [Conflict, Conflict]
            else:
                with pytest.raises(Conflict):
                    await database.write(half)
            await database.write(put("after"))
            assert database.failed is None
            return await database.read(names)

    assert asyncio.run(scenario()) == ["after"]


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
def test_a_value_that_the_database_refuses_is_the_works_fault_and_not_the_disks(
    migrated_postgresql_url: str, together: bool
) -> None:
    """PostgreSQL takes no NUL in a text, SQLite does; what a vendor sends must never end the process."""

    async def scenario() -> list[str]:
        async with opened(migrated_postgresql_url) as database:
            held = Held(database)
            held.write(put("nul", "\x00"))
            if together:
                held.write(put("a"))
            assert isinstance((await held.answers())[0], Exception)
            await database.write(put("after"))
            return await database.read(names)

    assert asyncio.run(scenario()) == (["a", "after"] if together else ["after"])


def test_a_caller_that_gives_up_does_not_stop_the_write_or_the_others(migrated_url: str) -> None:
    async def scenario() -> list[str]:
        async with opened(migrated_url) as database:
            gate = threading.Event()
            first = database.write(lambda _: gate.wait(10))
            given_up = asyncio.ensure_future(database.write(put("given up")))
            other = database.write(put("other"))
            given_up.cancel()
            gate.set()
            await asyncio.gather(first, other)
            return await database.read(names)

    assert asyncio.run(scenario()) == ["given up", "other"]


def test_a_reader_cannot_write(migrated_url: str) -> None:
    async def scenario() -> list[str]:
        async with opened(migrated_url) as database:
            with pytest.raises(StoreError, match=r"read.?only"):
                await database.read(put("a"))
            assert database.failed is None
            await database.write(put("b"))
            return await database.read(names)

    assert asyncio.run(scenario()) == ["b"]


def test_readers_go_on_while_the_writer_is_in_a_transaction(migrated_url: str) -> None:
    async def scenario() -> list[str]:
        async with opened(migrated_url) as database:
            gate = threading.Event()

            def slow(connection: Connection) -> None:
                put("a")(connection)
                gate.wait(10)

            writing = database.write(slow)
            found = await database.read(names)
            gate.set()
            await writing
            return found

    assert asyncio.run(scenario()) == []


def test_closing_finishes_what_is_waiting(migrated_url: str) -> None:
    async def scenario() -> list[str]:
        database = Database(migrated_url)
        await database.open()
        asked = [database.write(put(f"{n:03}")) for n in range(100)]
        await database.close()
        assert all(write.done() for write in asked if isinstance(write, asyncio.Future))
        async with opened(migrated_url) as again:
            return await again.read(names)

    assert len(asyncio.run(scenario())) == 100


def test_opening_and_closing_are_safe_twice_and_closing_without_opening(migrated_url: str) -> None:
    async def scenario() -> None:
        database = Database(migrated_url)
        await database.open()
        await database.open()
        await database.write(put("a"))
        await database.close()
        await database.close()
        await Database(migrated_url).close()

    asyncio.run(scenario())


def test_a_database_that_is_not_open_says_so(migrated_url: str) -> None:
    async def scenario() -> None:
        database = Database(migrated_url)
        with pytest.raises(StoreError, match="not open"):
            await database.read(names)
        with pytest.raises(StoreError, match="not open"):
            await database.write(put("a"))
        await database.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["a b", "100%", "50%25", "a#b", "what?", "é"])
def test_any_directory_name_can_hold_the_database(tmp_path: Path, migrated_sqlite_file: Path, name: str) -> None:
    path = tmp_path / name / "conductor.db"
    path.parent.mkdir()
    path.write_bytes(migrated_sqlite_file.read_bytes())

    async def scenario() -> list[str]:
        async with opened(sqlite_url(path)) as database:
            await database.write(put("a"))
            return await database.read(names)

    assert asyncio.run(scenario()) == ["a"]
    assert {found.name for found in tmp_path.iterdir()} == {name}


@contextlib.contextmanager
def small_disk(directory: Path, skip_or_fail: Callable[[str], NoReturn], size: str = "1m") -> Iterator[Path]:
    """A tmpfs of that size."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        skip_or_fail("a tmpfs cannot be mounted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a group"])
def test_a_full_disk_is_told_apart_and_writing_goes_on_when_there_is_room(
    tmp_path: Path, migrated_sqlite_file: Path, skip_or_fail: Callable[[str], NoReturn], together: bool
) -> None:
    async def scenario(disk: Path) -> list[str]:
        ballast = disk / "ballast"
        async with opened(sqlite_url(disk / "conductor.db")) as database:
            await database.write(put("before"))
            _fill_up(ballast)
            for _ in range(2):
                held = Held(database)
                held.write(fill)
                if together:
                    held.write(put("beside it"))
                answers = await held.answers()
                assert {type(answer) for answer in answers} == {StoreFull}
            assert database.failed is None
            assert await database.read(names) == ["before"]
            ballast.unlink()
            await database.write(put("after"))
            return await database.read(names)

    with small_disk(tmp_path / "disk", skip_or_fail) as disk:
        (disk / "conductor.db").write_bytes(migrated_sqlite_file.read_bytes())
        assert asyncio.run(scenario(disk)) == ["after", "before"]


def _fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


HOLD = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); input()"
)


@contextlib.contextmanager
def writing_process(path: str) -> Iterator[None]:
    """Another process, in the middle of a write."""
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield
        other.communicate(b"\n")


def test_a_second_writing_process_is_locked_out(migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)

    async def scenario() -> list[str]:
        async with opened(migrated_sqlite_url) as database:
            with writing_process(str(database.url.database)), pytest.raises(StorePaused, match="held the database"):
                await database.write(put("a"))
            return await database.read(names)

    assert asyncio.run(scenario()) == []


def damage(path: Path) -> None:
    """Random bytes all over."""
    path.write_bytes(os.urandom(path.stat().st_size))


def test_after_a_damaged_file_the_writer_is_closed_for_good(migrated_sqlite_url: str) -> None:
    def touch(connection: Connection) -> None:
        connection.execute(select(schema.batches)).all()
        put("a")(connection)

    async def scenario() -> None:
        async with opened(migrated_sqlite_url) as database:
            damage(Path(str(database.url.database)))
            with pytest.raises(StoreError, match="The database (failed|is damaged)") as first:
                await database.write(touch)
            assert not isinstance(first.value, StoreFull)
            assert database.failed is first.value
            with pytest.raises(StoreError) as second:
                await database.write(lambda _: "never asked")
            assert second.value is first.value

    asyncio.run(scenario())


def test_the_id_of_a_deleted_row_is_never_used_again(store_engine: Engine) -> None:
    with store_engine.begin() as connection:
        table = schema.users
        row = {"email": "a@example.com", "name": "", "role": "viewer", "password": "", "created_at": 0}
        first = connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one()
        connection.execute(table.delete())
        assert connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one() > first


def test_foreign_keys_are_kept(store_engine: Engine) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError), store_engine.begin() as connection:
        connection.execute(insert(schema.fences), {"integration_id": 4711, "epoch": 0, "last_batch": 0})


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """The writing engine on an empty database."""
    database = Database(store_url)
    yield database.engine
    asyncio.run(database.close())


def test_the_schema_is_the_sum_of_its_migrations(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "render_as_batch": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def test_upgrading_twice_is_harmless(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.begin() as connection:
        integrations.add(connection, "prod", "auth0", {}, enabled=True, by="admin")
    migrations.upgrade(engine)
    with engine.begin() as connection:
        assert [found.name for found in integrations.everything(connection)] == ["prod"]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="newer Conductor"):
        migrations.upgrade(engine)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "9999"


def test_an_upgrade_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    with engine.begin() as connection:  # in the way of one of the later tables
        connection.exec_driver_sql("CREATE TABLE sessions (x INTEGER)")
    with pytest.raises(sqlalchemy.exc.DBAPIError):
        migrations.upgrade(engine)
    assert sqlalchemy.inspect(engine).get_table_names() == ["sessions"]


def test_revisions_form_one_line() -> None:
    scripts = sorted((Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))
    assert [script.name[:4] for script in scripts] == [f"{number:04}" for number in range(1, len(scripts) + 1)]
