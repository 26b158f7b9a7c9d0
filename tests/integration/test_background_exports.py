"""Exports in the background: whole across any end of the process, for nobody else to see, and gone in time."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from routes import API, JSON, ORIGIN, OURS
from sites import Site, told

from conductor.core import clock
from conductor.core.errors import Conflict, Forbidden, NotFound, StoreAway
from conductor.core.sight import Sight
from conductor.operations import accounts, auditing, exporting, exports, making, search, tokens
from conductor.operations.accounts import LOCAL
from conductor.operations.exports import Job, Reader, Wanted
from conductor.operations.search import Request
from conductor.operations.system import System
from conductor.simulator.tenant import TenantSpec
from conductor.store.accounts import User

Tell = Callable[[Site], Awaitable[None]]
HISTORY = 2300  # some pages
EVERYBODY = Reader(LOCAL, everybody=True)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tell], None]:
    """Tells a story on a Conductor with events and a user of each role; how far it is is noted after each page."""
    monkeypatch.setattr(making, "PAGES", 1)
    monkeypatch.setattr(making, "WAITS", ())
    return lambda tell: told(tmp_path, TenantSpec(history=HISTORY, shape="odd"), tell)


async def _user(site: Site, role: str, sight: Sight | None = None) -> Reader:
    found = next(user for user in await accounts.users(site.world.system) if user.role == role)
    return Reader(User(**{name: getattr(found, name) for name in User.__slots__} | {"sight": sight or Sight()}))


async def _made(system: System, reader: Reader, kind: str = "ndjson", **more: Any) -> Job:
    job = await exports.ask(system, Wanted(Request(), kind, **more), reader)
    await making.look(system)
    return await exports.find(system, job.id, reader)


async def _streamed(system: System, job: Job) -> bytes:
    made = exporting.prepare(system, exports.request_of(job), job.asked["format"], [], by="test")
    return b"".join([piece async for piece in made.pages()])


@pytest.mark.parametrize("kind", ["csv", "json", "ndjson"])
def test_the_file_is_what_the_stream_is_and_its_manifest_proves_it(run: Any, kind: str) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await _made(system, reader, kind)
        assert (job.state, job.count, job.total) == ("done", job.total, await search.count(system, Request()))
        taken, path = await exports.take(system, job.id, reader)
        content = path.read_bytes()
        assert (content == await _streamed(system, job)) is True
        manifest = json.loads(await exports.manifest(system, job.id, reader))
        assert manifest["sha256"] == hashlib.sha256(content).hexdigest() == taken.sha256
        assert (manifest["size"], manifest["count"], manifest["file"]) == (
            len(content),
            job.count,
            exports.name_of(job),
        )
        assert (manifest["by"], manifest["masked"]) == ("analyst@conductor.test", False)
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        deeds = [entry.action for entry in await auditing.entries(system, auditing.Wanted("export."), 10)]
        assert deeds == ["export.downloaded", "export.started"]

    run(tell)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_it_goes_on_where_it_was_and_has_each_event_once(run: Any, kind: str) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await exports.ask(system, Wanted(Request(), kind), reader)
        write, written = making._write, []

        def then_lost(path: Path, content: bytes, **more: Any) -> None:
            write(path, content, **more)
            written.append(content)
            if len(written) == 2:  # a page is in the file, and nobody knows
                raise StoreAway

        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(making, "_write", then_lost)
            with pytest.raises(StoreAway):
                await making.look(system)
        left = await exports.find(system, job.id, reader)
        assert (left.state, left.count, left.size) == ("running", 1000, len(written[0]))
        await making.look(system)
        done = await exports.find(system, job.id, reader)
        assert (done.state, done.count) == ("done", done.total)
        _, path = await exports.take(system, job.id, reader)
        assert (await _streamed(system, done) == path.read_bytes()) is True
        assert {item.name for item in path.parent.iterdir()} == {path.name, f"{path.name}.manifest.json"}

    run(tell)


def test_it_begins_anew_when_its_file_is_not_as_it_was_left(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await exports.ask(system, Wanted(Request(), "ndjson"), reader)
        told = {"place": "1.1.1.1", "size": 5, "count": 7, "missing": {"gaps": {}, "behind": []}}
        await system.database.write(lambda connection: making.store.advance(connection, job.id, **told))
        await making.look(system)
        _, path = await exports.take(system, job.id, reader)
        assert (await _streamed(system, job) == path.read_bytes()) is True

    run(tell)


def test_it_is_seen_and_taken_by_who_made_it_and_by_administrators_alone(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, maker, other = site.world.system, await _user(site, "analyst"), await _user(site, "viewer")
        job = await _made(system, maker)
        assert await exports.listed(system, other) == []
        for deed in (exports.find, exports.take, exports.manifest, exports.drop):
            with pytest.raises(NotFound):
                await deed(system, job.id, other)
        assert [item.id for item in await exports.listed(system, EVERYBODY)] == [job.id]
        assert (await exports.take(system, job.id, EVERYBODY))[0] == job
        for less in (Sight(masked=True), Sight(only=frozenset({1}))):
            with pytest.raises(Forbidden):
                await exports.take(system, job.id, await _user(site, "analyst", less))

    run(tell)


def test_what_was_hidden_or_taken_away_meanwhile_ends_it(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await exports.ask(system, Wanted(Request(), "csv"), reader)
        await site.mask("analyst")
        await making.look(system)
        failed = await exports.find(system, job.id, reader)
        assert (failed.state, failed.reason) == ("failed", "Personal data was hidden meanwhile. Export again.")
        masked = await _user(site, "analyst", Sight(masked=True))
        job = await _made(system, masked, "ndjson")
        assert job.state == "done"
        _, path = await exports.take(system, job.id, masked)
        assert json.loads(await exports.manifest(system, job.id, masked))["masked"] is True
        assert not {value for value in site.seen(path.read_text()) if not value.isdigit()}
        job = await exports.ask(system, Wanted(Request(), "csv"), masked)
        await accounts.edit_user(system, "analyst@conductor.test", by="test", role="viewer")
        await making.look(system)
        assert "may not export any more" in (await exports.find(system, job.id, masked)).reason
        with pytest.raises(Conflict, match="failed"):
            await exports.take(system, job.id, masked)

    run(tell)


def test_it_is_cancelled_and_deleted_and_its_file_is_gone(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        done, waiting = await _made(system, reader), await exports.ask(system, Wanted(Request(), "csv"), reader)
        with pytest.raises(Conflict, match="not done yet"):
            await exports.take(system, waiting.id, reader)
        advance = making.store.advance

        def cancelled(connection: Any, *given: Any, **more: Any) -> bool:
            making.store.cancel(connection, waiting.id)
            return advance(connection, *given, **more)

        with pytest.MonkeyPatch.context() as meanwhile:
            meanwhile.setattr(making.store, "advance", cancelled)
            await making.look(system)
        assert (await exports.find(system, waiting.id, reader)).state == "cancelled"
        _, path = await exports.take(system, done.id, reader)
        assert {item.name for item in path.parent.iterdir()} == {path.name, f"{path.name}.manifest.json"}
        assert (await exports.drop(system, done.id, reader)).state == "expired"
        with pytest.raises(NotFound, match="It was deleted by analyst"):
            await exports.take(system, done.id, reader)
        with pytest.raises(Conflict):
            await exports.drop(system, done.id, reader)
        await making.look(system)
        assert not list(path.parent.iterdir())

    run(tell)


def test_files_go_after_a_week_and_when_the_disk_is_nearly_full(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        first, second = await _made(system, reader), await _made(system, reader)
        folder = (await exports.take(system, first.id, reader))[1].parent
        system.database.low = True
        late = await exports.ask(system, Wanted(Request(), "csv"), reader)
        await making.look(system)
        assert [(item.state, item.reason) for item in await exports.listed(system, reader)] == [
            ("failed", making.NO_ROOM),
            ("done", ""),
            ("expired", "The disk was nearly full."),
        ]
        assert {item.name.partition(".")[0] for item in folder.iterdir()} == {str(second.id)}
        system.database.low = False
        now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=6, hours=23))
        await making.look(system)
        assert (await exports.find(system, second.id, reader)).state == "done"
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=7, hours=1))
        await making.look(system)
        assert (await exports.find(system, second.id, reader)).reason == "It was kept for 7 days."
        assert not list(folder.iterdir())
        await system.database.write(lambda connection: making.store.forget(connection, clock.now()))
        assert late and await exports.listed(system, reader) == []

    run(tell)


def test_a_mistake_fails_one_export_and_not_the_process(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        bad, good = [await exports.ask(system, Wanted(Request(), kind), reader) for kind in ("csv", "json")]
        step = making._step

        async def broken(system: Any, job: Job, *rest: Any) -> Any:
            if job.id == bad.id:
                raise ZeroDivisionError
            return await step(system, job, *rest)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(making, "_step", broken)
            await making.look(system)
        assert (await exports.find(system, bad.id, reader)).reason == making.CRASHED
        assert (await exports.find(system, good.id, reader)).state == "done"

    run(tell)


def test_a_source_that_caught_up_meanwhile_was_behind_all_the_same(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await exports.ask(system, Wanted(Request(), "csv"), reader)
        find, pages = search.search, []

        async def behind_at_first(*given: Any, **more: Any) -> Any:
            found = await find(*given, **more)
            pages.append(found)
            return replace(found, behind=["prod"] if len(pages) == 1 else [], gaps=[], complete=len(pages) > 1)

        with pytest.MonkeyPatch.context() as told:
            told.setattr(search, "search", behind_at_first)
            await making.look(system)
        manifest = json.loads(await exports.manifest(system, job.id, reader))
        assert (manifest["complete"], manifest["behind"]) == (False, ["prod"])
        assert len(pages) > 2

    run(tell)


def test_too_many_at_once_are_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        monkeypatch.setattr(exports, "MOST", 1)
        await exports.ask(system, Wanted(Request(), "csv"), reader)
        with pytest.raises(Conflict, match="not done yet"):
            await exports.ask(system, Wanted(Request(), "csv"), reader)

    run(tell)


def test_pages_and_api_ask_for_exports_list_them_send_them_and_end_them(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell(site: Site) -> None:
        system = site.world.system
        async with site.browser("analyst") as http:
            assert "No exports in the background yet" in (await http.get("/signals/exports")).text
            at_once = await _export(http, q="type:fp", format="csv")
            assert (at_once.status_code, at_once.headers["content-type"]) == (200, "application/zip")
            asked = await _export(http, q="type:fp", format="csv", background="1")
            assert (asked.status_code, asked.headers["location"]) == (303, "/signals/exports")
            monkeypatch.setattr(exports, "LARGE", 10)
            large = await _export(http, format="json")
            assert (large.status_code, large.headers["location"]) == (303, "/signals/exports")
            body = {"ids": [site.rows[0]["id"]], "format": "ndjson", "columns": ["id", "raw"]}
            chosen = (await http.post(f"{API}/exports", json=body, headers=JSON)).json()
            assert (chosen["state"], chosen["total"], chosen["ids"]) == ("waiting", 1, body["ids"])
            early = await http.get(f"{API}/exports/{chosen['id']}/file")
            assert (early.status_code, early.json()["error"]["code"]) == (409, "export.notready")
            assert 'hx-trigger="every 2s"' in (await http.get("/signals/exports")).text
            await making.look(system)
            page = (await http.get("/signals/exports")).text
            assert ("1 chosen event" in page, page.count("/file"), "every 2s" in page) == (True, 3, False)
            found = (await http.get(f"{API}/exports")).json()["exports"]
            assert [item["state"] for item in found] == ["done"] * 3
            whole = await http.get(f"{API}/exports/{chosen['id']}/file")
            assert json.loads(whole.content)["id"] == body["ids"][0]
            rest = await http.get(f"/signals/exports/{chosen['id']}/file", headers={"Range": "bytes=5-"})
            assert (rest.status_code, rest.content) == (206, whole.content[5:])
            manifest = (await http.get(f"/signals/exports/{chosen['id']}/manifest")).json()
            assert manifest["sha256"] == hashlib.sha256(whole.content).hexdigest()
            assert manifest["file"] in whole.headers["content-disposition"]
            token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
            assert token
            data = {"csrf": token[1]}
            for _ in range(2):  # once more is no mistake
                gone = await http.post(f"/signals/exports/{chosen['id']}/drop", headers=OURS, data=data)
                assert gone.status_code == 303
            assert "It was deleted by analyst@conductor.test" in (await http.get("/signals/exports")).text
            last = await http.request("DELETE", f"{API}/exports/{found[1]['id']}", json={}, headers=JSON)
            assert last.json()["state"] == "expired"

    run(tell)


def test_a_token_that_may_only_export_sees_its_own(run: Any) -> None:
    async def tell(site: Site) -> None:
        system = site.world.system
        await exports.ask(system, Wanted(Request(), "csv"), await _user(site, "analyst"))
        seen = []
        for scope in ("signals:export", "admin"):
            _, secret = await tokens.create(system, scope, [scope], by="test")
            transport = httpx2.ASGITransport(app=site.app)
            async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                http.headers["Authorization"] = f"Bearer {secret}"
                seen.append(len((await http.get(f"{API}/exports")).json()["exports"]))
        assert seen == [0, 1]

    run(tell)


async def _export(http: httpx2.AsyncClient, **typed: str) -> httpx2.Response:
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await http.get("/signals/search?last=7d")).text)
    assert token
    data = {"csrf": token[1], "last": "custom", "from": "2020-01-01T00:00:00Z", **typed}
    return await http.post("/signals/export", headers=OURS, data=data)


def test_each_data_directory_makes_its_own_and_says_where_a_file_is(run: Any) -> None:
    async def tell(site: Site) -> None:
        system, reader = site.world.system, await _user(site, "analyst")
        job = await exports.ask(system, Wanted(Request(), "csv"), reader)
        folder = exporting.folder(system)
        with pytest.MonkeyPatch.context() as shared:
            shared.setattr(system.membership, "shared", True)
            await making.look(system)
            assert (await exports.find(system, job.id, reader)).state == "waiting"
            here = await _made(system, reader, "ndjson")
            assert here.home == (folder / "home").read_text() != ""
            (folder / "home").write_text("another")
            with pytest.raises(exports.Elsewhere, match=here.host):
                await exports.take(system, here.id, reader)

    run(tell)
