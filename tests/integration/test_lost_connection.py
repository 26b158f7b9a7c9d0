"""A PostgreSQL whose connections break, at the worst moments: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy
from worlds import collecting, run

from conductor.core.errors import StoreAway, StoreError
from conductor.simulator.tenant import TenantSpec
from conductor.store import journal, postgresql, schema
from conductor.store.database import Connection, Database
from conductor.web.app import create_app

COMMIT = b"COMMIT"


class Line:
    """A TCP proxy before PostgreSQL that cuts the connection at a commit."""

    def __init__(self, url: str) -> None:
        self._there = sqlalchemy.make_url(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self.cuts: list[str] = []  # what to do at the next commits: let it through and cut, or cut before it; or pass
        self.silent = False  # takes what comes and answers nothing
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self.refuses:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection(self._there.host, self._there.port)
        self._writers |= {writer, forth}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(reader, forth, back))
                both.create_task(self._backward(back, writer))
        except* OSError:
            pass
        finally:
            self._writers -= {writer, forth}
            writer.transport.abort()
            forth.transport.abort()

    def cut(self) -> None:
        """Cut every connection now."""
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: asyncio.StreamReader
    ) -> None:
        while content := await source.read(65536):
            what = self.cuts.pop(0) if COMMIT in content and self.cuts else "pass"
            if what == "before":
                raise ConnectionResetError
            if what == "after":
                self._swallow = True
            if not self.silent:
                sink.write(content)
                await sink.drain()
        raise ConnectionResetError

    _swallow = False

    async def _backward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while content := await source.read(65536):
            if self._swallow and COMMIT in content:  # the server says that it has committed
                self._swallow = False
                raise ConnectionResetError
            if not self.silent:
                sink.write(content)
                await sink.drain()
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def line(url: str) -> AsyncIterator[tuple[Line, str]]:
    """The proxy, and the database's address through it."""
    proxy = Line(url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    through = sqlalchemy.make_url(url).set(port=port).render_as_string(hide_password=False)
    try:
        yield proxy, through
    finally:
        server.close()
        proxy.cut()


@pytest.mark.parametrize("what", ["before", "after"])
def test_f67_a_page_whose_commit_was_not_answered_is_stored_once(
    tmp_path: Path, migrated_postgresql_url: str, what: str
) -> None:
    async def work() -> None:
        async with (
            line(migrated_postgresql_url) as (proxy, url),
            collecting(tmp_path, TenantSpec(history=450), database_url=url) as it,
        ):
            await it.add()
            proxy.cuts = [
                "pass",
                "pass",
                "pass",
                what,
                what,
                "pass",
                what,
            ]  # the take-over, the record, the token, then pages
            poll = await it.poll()
            assert not proxy.cuts
            assert poll.result == "ok"
            assert poll.duplicates == 0, "no page was committed again that was there"
            found = await it.system.database.read(lambda connection: journal.read(connection, 1, 1, 1000))
            stored = Counter(signal.id for batch in found for signal in batch.signals)
            assert sorted(stored) == sorted(it.world.log_ids())
            assert set(stored.values()) == {1}
            assert poll.new == len(stored)
            assert sorted(await it.ids()) == sorted(stored)

    run(work)


def test_f70_a_server_that_is_away_is_told_and_waited_for(tmp_path: Path, migrated_postgresql_url: str) -> None:
    async def work() -> None:
        async with (
            line(migrated_postgresql_url) as (proxy, url),
            collecting(tmp_path, TenantSpec(history=250), database_url=url) as it,
        ):
            await it.add()
            await it.poll()
            asked = it.world.stats.total("logs")
            proxy.refuses = True
            proxy.cut()
            with pytest.raises(StoreAway):
                await it.poll()
            assert it.world.stats.total("logs") == asked, "the vendor is not asked for what cannot be kept"
            with pytest.raises(StoreAway):
                await it.system.database.write(put("x"))
            assert it.system.database.away
            assert not it.system.database.failed, "the process goes on"
            await _pages_say_so(it.system)
            proxy.refuses = False
            async with asyncio.timeout(30):
                while it.system.database.away:
                    with contextlib.suppress(StoreAway):
                        await it.poll()
            assert (await it.poll()).result == "ok"
            assert sorted(await it.ids()) == sorted(it.world.log_ids())

    run(work)


async def _pages_say_so(system: Any) -> None:
    """503 with a sentence, for programs and for people."""
    transport = httpx2.ASGITransport(create_app(system, local=True))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        told = await client.get("/api/v1/status")
        assert told.status_code == 503
        assert told.json()["error"]["code"] == "local.storage.away"
        assert told.json()["error"]["title"] == "The database does not answer."
        page = await client.get("/")
        assert page.status_code == 503
        assert "The database does not answer." in page.text
        assert "Traceback" not in page.text


def test_a_connection_that_broke_while_nobody_used_it_is_not_noticed(migrated_postgresql_url: str) -> None:
    async def work() -> None:
        async with line(migrated_postgresql_url) as (proxy, url), opened(url) as database:
            await database.write(put("a"))
            await database.read(names)
            proxy.cut()
            await database.write(put("b"))
            assert await database.read(names) == ["a", "b"]

    run(work)


def test_a_server_that_answers_nothing_is_given_up(
    migrated_postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with line(migrated_postgresql_url) as (proxy, url), opened(url) as database:
            await database.write(put("a"))
            monkeypatch.setattr(postgresql, "PATIENCE", 0.3)
            proxy.silent = True
            for attempt in (database.write(put("b")), database.read(names)):
                with pytest.raises(StoreAway):
                    await attempt
            proxy.silent = False
            proxy.cut()
            async with asyncio.timeout(30):
                while database.away:
                    with contextlib.suppress(StoreAway):
                        await database.write(put("c"))
            assert await database.read(names) == ["a", "c"]

    run(work)


def test_while_a_server_is_away_it_is_not_asked_by_everybody(migrated_postgresql_url: str) -> None:
    async def work() -> None:
        async with line(migrated_postgresql_url) as (proxy, url), opened(url) as database:
            proxy.refuses = True
            proxy.cut()
            refused = await asyncio.gather(*(database.write(put(str(n))) for n in range(500)), return_exceptions=True)
            assert {type(error) for error in refused} == {StoreAway}
            proxy.refuses = False
            async with asyncio.timeout(30):
                while database.away:
                    with contextlib.suppress(StoreAway):
                        await database.write(put("back"))

    run(work)


def test_works_that_cross_another_process_are_tried_again_alone(migrated_postgresql_url: str) -> None:
    """Two writers lock the same rows the other way round: PostgreSQL ends one, which loses nothing by it."""

    async def work() -> None:
        async with opened(migrated_postgresql_url) as one, opened(migrated_postgresql_url) as two:
            for name in ("a", "b", "c", "d"):
                await one.write(put(name))
            both = [one.write(grow(name)) for name in "abcd" * 16] + [two.write(grow(name)) for name in "dcba" * 16]
            await asyncio.gather(*both)
            values = await one.read(lambda connection: list(connection.execute(VALUES).scalars()))
            assert {len(value) for value in values} == {32}

    run(work)


def test_sqlite_that_fails_still_ends_the_process(migrated_sqlite_url: str) -> None:
    async def work() -> None:
        async with opened(migrated_sqlite_url) as database:
            with pytest.raises(StoreError) as told:
                await database.write(lambda connection: connection.exec_driver_sql("SELECT * FROM nothing"))
            assert not isinstance(told.value, StoreAway)
            assert database.failed

    run(work)


VALUES = sqlalchemy.select(schema.facts.c.value).where(schema.facts.c.name.in_(list("abcd")))


def put(name: str) -> Any:
    """A work that adds a fact."""

    def work(connection: Connection) -> None:
        connection.execute(schema.facts.insert(), {"name": name, "value": ""})

    return work


def grow(name: str) -> Any:
    """A work that changes a fact."""

    def work(connection: Connection) -> None:
        here = schema.facts.c.name == name
        connection.execute(schema.facts.update().where(here).values(value=schema.facts.c.value + "x"))

    return work


def names(connection: Connection) -> list[str]:
    """The facts there are."""
    found = connection.execute(sqlalchemy.select(schema.facts.c.name).order_by(schema.facts.c.name)).scalars()
    return [name for name in found if len(name) == 1]


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database."""
    database = Database(url)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
