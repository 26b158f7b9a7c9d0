"""With a ClickHouse server: it may be away, come back, refuse and forget, and no event is lost or there twice for it.

What answers is the embedded engine behind a socket (tests/clickhouse.py).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import trustme
from clickhouse import GRANTS, PASSWORD, USER, Engine
from worlds import Collecting, collecting, run

from conductor import settings
from conductor.analytics import artifacts
from conductor.analytics.artifacts import Block
from conductor.analytics.engine import Analytics
from conductor.analytics.server import SearchAway, Server
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.connector import StepState
from conductor.core.errors import SettingsError
from conductor.core.signal import Signal
from conductor.indexer.indexer import Indexer
from conductor.operations import doctor, figures, retention
from conductor.simulator.tenant import TenantSpec
from conductor.store import cursors
from conductor.web.app import create_app

SPEC = TenantSpec(history=300, days=2)


class Line:
    """A TCP proxy before a ClickHouse that cuts a connection in the middle of an insert, or before its answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cuts: list[str] = []  # what to do with the next inserts: "body" and "answer"
        self.done = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        cut = asyncio.Event()
        backward = asyncio.create_task(self._backward(back, writer, cut))
        try:
            while data := await reader.read(65_536):
                if b"INSERT+INTO" in data or b"INSERT%20INTO" in data or b"INSERT INTO" in data:
                    what = self.cuts.pop(0) if self.cuts else ""
                    if what == "body":
                        forth.write(data[: len(data) // 2])
                        self.done += 1
                        break
                    if what == "answer":
                        cut.set()
                forth.write(data)
                await forth.drain()
        except OSError:
            pass
        finally:
            forth.transport.abort()
            writer.transport.abort()
            backward.cancel()

    async def _backward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while data := await source.read(65_536):
            if cut.is_set():  # the server has answered, and nobody hears it
                self.done += 1
                sink.transport.abort()
                return
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def _line(engine: Engine, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Line, int]]:
    line = Line(engine.port)
    async with await asyncio.start_server(line.serve, "127.0.0.1", 0, ssl=tls) as server:
        yield line, server.sockets[0].getsockname()[1]


async def _everything_once(it: Collecting) -> None:
    await it.index()
    assert sorted(await it.ids()) == it.world.log_ids()


async def _in_the_end(it: Collecting) -> None:
    """Index as `run` does: what fails is tried again."""
    while True:
        try:
            return await _everything_once(it)
        except SearchAway:
            await asyncio.sleep(0.05)


def test_a_server_that_is_away_at_the_start_is_used_when_it_is_there(tmp_path: Path, own_clickhouse: Engine) -> None:
    async def work() -> None:
        own_clickhouse.kill()
        async with collecting(tmp_path, SPEC, clickhouse_url=own_clickhouse.database("conductor")) as it:
            await it.add()
            with pytest.raises(SearchAway):
                await it.poll()  # it is committed; what fails is the index
            ends = await it.system.database.read(lambda c: cursors.behind(c, it.system.indexer.reader))
            assert ends[0].last > 0
            assert "does not answer" in it.system.analytics.away
            await _told_on_the_pages(it)
            assert (await retention.expire(it.system))["days"] == 0  # what else is old goes all the same
            own_clickhouse.start()
            await _in_the_end(it)
            assert it.system.analytics.away == ""
            assert (await figures.services(it.system))[2].color == "green"

    run(work)


async def _told_on_the_pages(it: Collecting) -> None:
    transport = httpx2.ASGITransport(app=create_app(it.system, local=True), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://conductor.test") as http:
        told = await http.get("/api/v1/artifacts/search?q=*")
        assert told.status_code == 503
        error = told.json()["error"]
        assert (error["code"], error["title"]) == ("local.analytics.away", "Search is not available.")
        assert "does not answer" in error["detail"]
        assert "Collecting goes on" in error["detail"]
        page = await http.get("/?tab=services")
        assert page.status_code == 200
        assert "does not answer" in page.text
    assert (await figures.services(it.system))[2].color == "amber"


def test_a_server_that_is_killed_under_the_indexer_loses_and_doubles_nothing(
    tmp_path: Path, own_clickhouse: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC, clickhouse_url=own_clickhouse.database("conductor")) as it:
            await it.add()
            await it.poll()
            await _everything_once(it)
            own_clickhouse.kill()
            for _ in range(40):
                it.world.first.add({"type": "s"}, clock.now())
            with pytest.raises(SearchAway):
                await it.poll()
            indexing = asyncio.create_task(it.system.indexer.run())
            while "indexer: paused" not in caplog.text:
                await asyncio.sleep(0.01)
            own_clickhouse.start()
            it.system.indexer.wake()
            while it.system.analytics.away:
                it.system.indexer.wake()
                await asyncio.sleep(0.05)
            await _until_all_is_there(it)
            it.system.indexer.stop()
            await indexing
            assert "indexer: goes on" in caplog.text
            await _everything_once(it)

    with caplog.at_level(logging.INFO):
        run(work)


async def _until_all_is_there(it: Collecting) -> None:
    while await it.count() < len(it.world.log_ids()):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("cut", ["body", "answer"])
def test_an_insert_whose_connection_breaks_is_there_once(tmp_path: Path, own_clickhouse: Engine, cut: str) -> None:
    async def work() -> None:
        async with _line(own_clickhouse) as (line, port):
            url = own_clickhouse.database("conductor").replace(f":{own_clickhouse.port}/", f":{port}/")
            async with collecting(tmp_path, SPEC, clickhouse_url=url) as it:
                await it.add()
                line.cuts = [cut] * 4
                with pytest.raises(SearchAway):
                    await it.poll()
                assert line.done
                line.cuts = []
                await _in_the_end(it)

    run(work)


def test_a_server_that_forgot_everything_is_filled_again(tmp_path: Path, own_clickhouse: Engine) -> None:
    async def work() -> None:
        async with collecting(tmp_path, SPEC, clickhouse_url=own_clickhouse.database("conductor")) as it:
            await it.add()
            await it.poll()
            own_clickhouse.tell("DROP DATABASE conductor SYNC")
            with pytest.raises(SearchAway):
                await it.count()
            await _in_the_end(it)  # nothing new was collected: that it is empty is noticed all the same

    run(work)


def test_an_insert_that_is_sent_again_is_there_once(own_clickhouse: Engine) -> None:
    async def work() -> None:
        analytics = Analytics(None, url=own_clickhouse.database("conductor"))
        await analytics.open(artifacts.prepare)
        rows = [(Signal("9001", b"{}"), Artifact(time=clock.to_micros(clock.now()), log_id="9001", type="s"))]
        block = artifacts.block(1, "auth0", 1, clock.now(), rows)
        for _ in range(3):
            await analytics.write(lambda client: artifacts.insert(client, [block], "token"))
            assert await analytics.read(artifacts.size) == (1, (await analytics.read(artifacts.size))[1])
        assert await analytics.read(lambda client: artifacts.counted(client, 1, 0, 9)) == {1: 1}
        await analytics.close()

    run(work)


def test_a_search_cannot_write(own_clickhouse: Engine) -> None:
    async def work() -> None:
        analytics = Analytics(None, url=own_clickhouse.database("conductor"))
        await analytics.open(artifacts.prepare)
        with pytest.raises(SearchAway, match="readonly"):
            await analytics.read(lambda client: client.command("TRUNCATE TABLE artifacts"))
        assert analytics.away == ""  # one question that was refused; the server is fine
        assert await analytics.read(artifacts.size) == (0, 0)
        await analytics.close()

    run(work)


async def _away(url: str) -> str:
    analytics = Analytics(None, url=url)
    await analytics.open(artifacts.prepare)
    try:
        with pytest.raises(SearchAway) as refused:
            await analytics.read(artifacts.size)
        assert str(refused.value) == analytics.away
        return analytics.away
    finally:
        await analytics.close()


def test_what_is_wrong_is_told_and_the_password_never(own_clickhouse: Engine, caplog: pytest.LogCaptureFixture) -> None:
    here = f"127.0.0.1:{own_clickhouse.port}"

    async def work() -> None:
        wrong = await _away(f"http://narrow:hush-hush@{here}/narrow")
        assert wrong == (
            f"The ClickHouse server {here}/narrow does not accept the user or the password in CONDUCTOR_CLICKHOUSE_URL."
        )
        assert "GRANT CREATE DATABASE ON other.*" in (
            await _away(f"http://narrow:narrow@{here}/other")
        ).upper().replace("OTHER", "other")
        own_clickhouse.tell("CREATE DATABASE narrow")
        assert "CREATE TABLE ON narrow.artifacts" in await _away(f"http://reader:reader@{here}/narrow")
        assert "Connection refused" in await _away("http://u:hush-hush@127.0.0.1:1/x")
        assert "SSL" in await _away(f"https://u:hush-hush@{here}/x")
        step = await doctor.search(f"http://reader:reader@{here}/narrow")
        assert step.state is StepState.FAILED
        assert "INSERT" in step.text
        told = [wrong, caplog.text, step.text, repr(Server.parse(f"http://narrow:hush-hush@{here}/narrow"))]
        assert not [text for text in told if "hush" in text]
        assert "Retrying" not in caplog.text  # nor does the client tell beside us, at every try

    run(work)


def test_the_rights_that_the_guide_asks_for_are_enough(tmp_path: Path, own_clickhouse: Engine) -> None:
    guide = (Path(__file__).parents[2] / "docs/how-to/clickhouse-server.md").read_text()
    assert f"GRANT {GRANTS} ON conductor.* TO conductor;" in guide
    assert "GRANT SELECT ON system.parts TO conductor;\nGRANT TABLE ENGINE ON MergeTree TO conductor;" in guide
    url = f"http://narrow:narrow@127.0.0.1:{own_clickhouse.port}/narrow"

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=300, days=6), clickhouse_url=url, retention_days=2) as it:
            await it.add()
            await it.poll()
            await _everything_once(it)
            assert (await retention.expire(it.system))["days"] >= 4
            await it.system.analytics.write(artifacts.settle)
            await it.system.analytics.write(lambda client: artifacts.remove(client, 1, 1))
            await it.system.analytics.write(artifacts.clear)
        step = await doctor.search(url)
        assert (step.state, step.text.partition(" at ")[2]) == (StepState.OK, Server.parse(url).name)

    run(work)


def test_tls_needs_an_authority_that_is_trusted(
    tmp_path: Path, own_clickhouse: Engine, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    secret = quote(PASSWORD, safe="")

    async def work() -> None:
        async with _line(own_clickhouse, server_tls) as (_, port):
            url = f"https://{USER}:{secret}@127.0.0.1:{port}/conductor"
            assert "CERTIFICATE_VERIFY_FAILED" in await _away(url)
            analytics = Analytics(None, url=f"{url}?ca_cert={quote(str(bundle))}")
            await analytics.open(artifacts.prepare)
            assert await analytics.read(artifacts.size) == (0, 0)
            await analytics.close()

    run(work)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("clickhouse.example.com:8123", "must look like"),
        ("clickhouse://u:hush@host/x", "must look like"),
        ("http://u:hu/sh@host:8123/x", "%2F"),
        ("http://u:hush@host/x/y", "must look like"),
        ("http://u:hush@host/x?verify=false", "no option verify"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match="CONDUCTOR_CLICKHOUSE_URL") as refused:
        settings.load({"clickhouse_url": url})
    assert told in str(refused.value)
    assert "hush" not in str(refused.value)


def test_one_server_is_one_target_however_it_is_written() -> None:
    names = {Server.parse(url).name for url in ("http://a:b@host/x", "http://c@host:8123/x", "http://host:8123/x/")}
    assert names == {"host:8123/x"}
    assert Server.parse("https://host").name == "host:8443/default"


def test_two_that_index_into_one_server_at_once_put_every_event_there_once(
    tmp_path: Path, own_clickhouse: Engine, migrated_postgresql_url: str
) -> None:
    """One of several indexes; while they change places two may, for a moment, and neither may trust in being alone."""

    async def work() -> None:
        shared = _shared(tmp_path, own_clickhouse, migrated_postgresql_url)
        async with (
            collecting(tmp_path / "one", TenantSpec(history=900, days=3), **shared) as one,
            collecting(tmp_path / "two", TenantSpec(history=1), **shared) as two,
        ):
            await one.add()
            both = (one.system.indexer, two.system.indexer)
            await asyncio.gather(one.poll(), *(_index(indexer) for indexer in both))
            for _ in range(6):
                for _ in range(150):
                    one.world.first.add({"type": "s"}, clock.now())
                await asyncio.gather(one.poll(), *(_index(indexer) for indexer in both))
            while await two.count() < len(one.world.log_ids()):  # a poll may leave something for the next one
                await one.poll()
            assert sorted(await two.ids()) == one.world.log_ids()

    run(work)


def _shared(folder: Path, engine: Engine, database_url: str) -> dict[str, Any]:
    key = str(folder / "conductor.key")
    return {"clickhouse_url": engine.database("conductor"), "database_url": database_url, "key_file": key}


async def _index(indexer: Indexer) -> None:
    for _ in range(20):
        await indexer.catch_up()


def test_who_comes_late_inserts_nothing_that_another_did_for_it(
    tmp_path: Path, own_clickhouse: Engine, migrated_postgresql_url: str
) -> None:
    """One announces a range and is stopped there; the other takes over, and then the first goes on."""

    async def work() -> None:
        shared = _shared(tmp_path, own_clickhouse, migrated_postgresql_url)
        async with (
            collecting(tmp_path / "one", SPEC, **shared) as one,
            collecting(tmp_path / "two", TenantSpec(history=1), **shared) as two,
        ):
            await one.add()
            insert, stopped, go = one.system.indexer._add, asyncio.Event(), asyncio.Event()

            async def late(blocks: Sequence[Block], token: str) -> None:
                stopped.set()
                await go.wait()
                await insert(blocks, token)

            one.system.indexer._add = late  # type: ignore[method-assign]
            polling = asyncio.create_task(one.poll())
            await stopped.wait()
            await two.index()
            go.set()
            await polling
            await two.index()
            assert sorted(await two.ids()) == one.world.log_ids()

    run(work)


def test_among_workers_nobody_indexes_before_it_knows_the_others(
    tmp_path: Path, own_clickhouse: Engine, migrated_postgresql_url: str
) -> None:
    async def work() -> None:
        shared = _shared(tmp_path, own_clickhouse, migrated_postgresql_url)
        async with collecting(tmp_path / "one", **shared) as one, collecting(tmp_path / "two", **shared) as two:
            members = [it.system.membership for it in (one, two)]
            assert [member.indexes() for member in members] == [False, False]
            for member in members:
                await member.join()
            for it, member in zip((one, two), members, strict=True):
                await member.share({}, await it.system.database.read(member.look))
            assert sorted(member.indexes() for member in members) == [False, True]

    run(work)
