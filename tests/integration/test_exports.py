"""Exports: whole, exact, safe in a spreadsheet, with a manifest that proves them; by page, API and command line."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from routes import API
from sites import Site, told

from conductor.analytics import parquet
from conductor.analytics.engine import Analytics
from conductor.core import clock
from conductor.core.errors import Invalid, NotFound
from conductor.core.sight import Sight
from conductor.operations import auditing, exporting, formats, search
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit

Tell = Callable[[Site], Awaitable[None]]
HISTORY = 1300  # more than a page


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Tell], None]:
    """Tells a story on a Conductor with events and a user of each role."""
    return lambda tell: told(tmp_path, TenantSpec(history=HISTORY, shape="odd"), tell)


async def _everything(site: Site, **asked: Any) -> list[Any]:
    rows, after = [], None
    while True:
        page = await search.search(site.world.system, Request(limit=1000, after=after, **asked))
        rows += page.rows
        after = page.next
        if after is None:
            return rows


@pytest.mark.usefixtures("each_analytics")
@pytest.mark.parametrize("kind", ["ndjson", "json"])
def test_a_json_export_has_every_event_with_its_exact_bytes(run: Any, kind: str) -> None:
    async def tell(site: Site) -> None:
        rows = await _everything(site)
        assert len(rows) > 1000
        async with site.browser("analyst") as http:
            answer = await http.get(f"{API}/artifacts/export?format={kind}")
        if kind == "json":
            found = json.loads(answer.content)
        else:
            found = [json.loads(line) for line in answer.content.splitlines()]
        assert [item["id"] for item in found] == [row["id"] for row in rows]
        assert list(found[0]) == list(exporting.COLUMNS)
        for row in rows:
            raw = row["raw"]
            if raw.startswith(b"{") and b"\n" not in raw:
                assert raw in answer.content

    run(tell)


def test_a_csv_export_can_be_read_back_and_holds_no_formulas(run: Any) -> None:
    async def tell(site: Site) -> None:
        rows = await _everything(site, q="type:*")
        async with site.browser("analyst") as http:
            asked = f"{API}/artifacts/export?format=csv&q=type:*"
            answer = await http.get(asked)
            assert answer.headers["content-disposition"].startswith("attachment; ")  # no browser shows it as a page
            assert answer.headers["x-content-type-options"] == "nosniff"
            safe = list(csv.reader(io.StringIO(answer.text, newline="")))
            plain = list(csv.reader(io.StringIO((await http.get(f"{asked}&plain=true")).text, newline="")))
        assert safe[0] == list(exporting.COLUMNS)
        assert len(safe) == len(plain) == len(rows) + 1
        cells = [cell for line in safe[1:] for cell in line]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        risky = [
            (line, at)
            for line in range(len(plain))
            for at, cell in enumerate(plain[line])
            if cell[:1] in "=+-@" and cell
        ]
        for line, at in risky:
            assert safe[line][at] == f"'{plain[line][at]}"

    run(tell)


def test_a_parquet_export_has_the_same_cells_with_types(run: Any, tmp_path: Path) -> None:
    async def tell(site: Site) -> None:
        now = exporting.fixed(Request()).end
        async with site.browser("analyst") as http:
            for more in ("", "&columns=time,own,asn,raw", "&q=ip:198.18.0.99"):
                asked = f"{API}/artifacts/export?to={now}{more}"
                lines = (await http.get(f"{asked}&format=ndjson")).content.splitlines()
                answer = await http.get(f"{asked}&format=parquet")
                wanted = [json.loads(line) for line in lines]
                types, found = _parquet(tmp_path / "export.parquet", answer.content)
                assert answer.headers["conductor-count"] == str(len(wanted))
                for row in found:
                    row["raw"] = _object(row["raw"])
                assert found == wanted
                assert types["time"] == "TIMESTAMP WITH TIME ZONE"
                assert (types["own"], types["asn"], types["raw"]) == ("BOOLEAN", "UINTEGER", "VARCHAR")
        assert not list((site.world.system.settings.directory / "exports").iterdir())

    run(tell)


def test_the_rows_of_parquet_are_in_groups_of_bounded_size(tmp_path: Path) -> None:
    async def tell() -> None:
        engine = Analytics(tmp_path / "engine")
        await engine.open(lambda client: None)
        row = {"id": "x", "own": True, "asn": 2**32 - 1, "time": "1969-12-31T23:59:59.001Z", "raw": b"\xff"}
        source, target = tmp_path / "rows", tmp_path / "file"
        source.write_bytes(b"".join(formats.Rows(list(row)).rows([row] * 1000) for _ in range(60)))
        await engine.files(lambda client: parquet.write(client, source, list(row), target), parquet.stop)
        await engine.close()
        groups = duckdb.sql(f"SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata('{target}')")
        sizes = [size for _, size in groups.fetchall()]
        assert sum(sizes) == 60_000
        assert max(sizes) < 20_000
        (found,) = set(duckdb.sql(f"SELECT id, own, asn, epoch_ms(time), raw FROM read_parquet('{target}')").fetchall())
        assert found == ("x", True, 2**32 - 1, -999, "�")

    asyncio.run(tell())


def test_parquet_is_made_here_where_a_server_is_searched_and_ends_when_nobody_waits(tmp_path: Path) -> None:
    async def tell() -> None:
        engine = Analytics(tmp_path / "unused", url="http://127.0.0.1:1")
        source, target = tmp_path / "rows", tmp_path / "file"
        row = dict.fromkeys(exporting.COLUMNS, "x" * 50) | {"own": True, "parsed": True, "asn": 1}
        row |= {"time": "2026-11-20T14:00:00.000Z", "collected_at": "2026-11-20T14:00:00.000Z"}
        source.write_bytes(formats.Rows(exporting.COLUMNS).rows([row] * 1000) * 2000)

        def write(client: Any) -> None:
            begun.set()
            parquet.write(client, source, exporting.COLUMNS, target)

        begun = threading.Event()
        making = asyncio.create_task(engine.files(write, parquet.stop))
        await asyncio.to_thread(begun.wait)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert not target.exists() or target.read_bytes()[-4:] != b"PAR1"  # which ends a whole one
        target.unlink(missing_ok=True)
        source.write_bytes(formats.Rows(exporting.COLUMNS).rows([row] * 10))
        await engine.files(write, parquet.stop)
        assert duckdb.sql(f"SELECT count() FROM read_parquet('{target}')").fetchall() == [(10,)]
        await engine.close()
        assert not (tmp_path / "unused").exists()

    asyncio.run(tell())


def _parquet(path: Path, content: bytes) -> tuple[dict[str, str], list[dict[str, Any]]]:
    path.write_bytes(content)
    with duckdb.connect() as reader:
        reader.execute("SET TimeZone = 'UTC'")
        read = reader.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in read.description]
        types = {column[0]: str(column[1]) for column in read.description}
        rows = [dict(zip(names, row, strict=True)) for row in read.fetchall()]
    return types, [{name: _told(value) for name, value in row.items()} for row in rows]


def _told(value: Any) -> Any:
    return clock.to_text(value) if isinstance(value, datetime) else value


def _object(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def test_a_formula_gets_an_apostrophe() -> None:
    row = {"user_name": "=HYPERLINK(1)", "ip": "-1", "own": True, "raw": b'{"a":1}'}
    made = formats.Csv(list(row)).rows([row])
    assert made == b'\'=HYPERLINK(1),\'-1,true,"{""a"":1}"\r\n'
    assert formats.Csv(["ip"], plain=True).rows([row]) == b"-1\r\n"


def test_the_zip_of_the_page_has_a_manifest_that_proves_the_file(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            answer = await http.get("/signals/export?q=outcome:failure&last=30d&cols=date,ip,type&format=csv")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            names = archive.namelist()
            content, manifest = archive.read(names[0]), json.loads(archive.read("manifest.json"))
        count = await search.count(site.world.system, Request(q="outcome:failure", last="30d"))
        assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
        assert (manifest["size"], manifest["count"], manifest["file"]) == (len(content), count, names[0])
        assert manifest["columns"] == ["time", "ip", "type"]
        assert (manifest["query"], manifest["by"]) == ("outcome:failure", "analyst@conductor.test")
        assert manifest["complete"] is (not manifest["gaps"] and not manifest["behind"])
        assert manifest["range"]["from"] < manifest["range"]["to"]
        assert content.count(b"\r\n") == count + 1
        (entry,) = await auditing.entries(site.world.system, audit.Wanted(action="events.exported"), 10)
        assert entry.detail["q"] == "outcome:failure"

    run(tell)


def test_who_may_only_look_takes_nothing_away_and_hidden_data_stays_hidden(run: Any, tmp_path: Path) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            assert (await http.get("/signals/export?format=csv")).status_code == 403
            assert "Export" not in (await http.get("/signals/search?last=7d")).text
        await site.mask("analyst")
        async with site.browser("analyst") as http:
            for kind in exporting.FORMATS:
                some = "" if kind == "ndjson" else f"&ids={','.join(row['id'] for row in site.rows[:100])}"
                answer = await http.get(f"{API}/artifacts/export?format={kind}{some}")
                text = str(_parquet(tmp_path / "x", answer.content)) if kind == exporting.PARQUET else answer.text
                seen = site.seen(text)
                assert not {value for value in seen if not value.isdigit()}  # a number is a part of others

    run(tell)


def test_what_cannot_be_exported_is_told_before_the_file_begins(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            for asked, status in {
                "format=xml": 422,
                "columns=nope": 422,
                "format=parquet&part=true": 422,
                "ids=nope": 422,
                "ids=": 422,
                f"ids={','.join(f'{number:032x}' for number in range(1001))}": 422,
                "q=type:(": 400,
                "last=never": 422,
            }.items():
                assert (await http.get(f"{API}/artifacts/export?{asked}")).status_code == status, asked

            async def away(*_: Any, **__: Any) -> None:
                raise NotFound("gone")

            with pytest.MonkeyPatch.context() as broken:
                broken.setattr(search, "search", away)
                assert (await http.get(f"{API}/artifacts/export")).status_code == 404

    run(tell)


@pytest.mark.parametrize("kind", [kind for kind in exporting.FORMATS if kind != exporting.PARQUET])
def test_parts_put_together_are_the_whole(run: Any, kind: str) -> None:
    async def tell(site: Site) -> None:
        now = exporting.fixed(Request())
        asked = f"{API}/artifacts/export?format={kind}&to={now.end}"
        async with site.browser("analyst") as http:
            whole = (await http.get(asked)).content
            parts, after, count = [], "", 0
            while True:
                part = await http.get(f"{asked}&part=true&limit=400{f'&after={after}' if after else ''}")
                parts.append(part.content)
                count += int(part.headers["conductor-count"])
                after = part.headers.get("conductor-next", "")
                if not after:
                    break
            none = await http.get(f"{asked}&q=ip:198.18.0.99")
        assert b"".join(parts) == whole
        assert len(parts) == 4
        assert count == await search.count(site.world.system, Request())
        header = whole.partition(b"\r\n")[0] + b"\r\n"
        assert none.content == {"csv": header, "json": b"[\n]\n", "ndjson": b""}[kind]

    run(tell)


def test_chosen_events_are_exported_alone(run: Any) -> None:
    async def tell(site: Site) -> None:
        rows = await _everything(site)
        ids = [rows[at]["id"] for at in (3, 700, 1200)]
        gone = "0" * 32
        async with site.browser("analyst") as http:
            asked = f"{API}/artifacts/export?format=csv&columns=id&q=nothing&ids={ids[2]}&ids={ids[0]},{ids[1]}"
            assert (await http.get(asked)).text.split() == ["id", *ids]
            packed = await http.get(f"/signals/export?format=ndjson&all=true&ids={ids[0]}&ids={ids[1]},{ids[2]},{gone}")
        with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
            lines = archive.read(archive.namelist()[0]).splitlines()
            manifest = json.loads(archive.read("manifest.json"))
        assert [json.loads(line)["id"] for line in lines] == ids
        assert (manifest["ids"], manifest["count"], manifest["complete"]) == ([*ids, gone], 3, False)
        assert "query" not in manifest and "range" not in manifest
        found = await search.search(site.world.system, exporting.chosen(ids), Sight(only=frozenset({99})))
        assert found.rows == []

    run(tell)


def test_only_formats_and_columns_that_there_are() -> None:
    with pytest.raises(Invalid):
        exporting.check("xml", [])
    with pytest.raises(Invalid):
        exporting.check("csv", ["nope"])
