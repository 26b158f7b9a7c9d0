"""Exports: whole, exact, safe in a spreadsheet, with a manifest that proves them; by page, API and command line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from routes import API
from sites import Site, told

from conductor.core.errors import Invalid, NotFound
from conductor.operations import auditing, exporting, search
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
            safe = list(csv.reader(io.StringIO((await http.get(asked)).text, newline="")))
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


def test_a_formula_gets_an_apostrophe() -> None:
    row = {"user_name": "=HYPERLINK(1)", "ip": "-1", "own": True, "raw": b'{"a":1}'}
    made = exporting.Csv(list(row)).rows([row])
    assert made == b'\'=HYPERLINK(1),\'-1,true,"{""a"":1}"\r\n'
    assert exporting.Csv(["ip"], plain=True).rows([row]) == b"-1\r\n"


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


def test_who_may_only_look_takes_nothing_away_and_hidden_data_stays_hidden(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            assert (await http.get("/signals/export?format=csv")).status_code == 403
            assert "Export" not in (await http.get("/signals/search?last=7d")).text
        await site.mask("analyst")
        async with site.browser("analyst") as http:
            for kind in exporting.FORMATS:
                seen = site.seen((await http.get(f"{API}/artifacts/export?format={kind}")).text)
                assert not {value for value in seen if not value.isdigit()}  # a number is a part of others

    run(tell)


def test_what_cannot_be_exported_is_told_before_the_file_begins(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            for asked, status in {
                "format=xml": 422,
                "columns=nope": 422,
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


@pytest.mark.parametrize("kind", exporting.FORMATS)
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


def test_only_formats_and_columns_that_there_are() -> None:
    with pytest.raises(Invalid):
        exporting.check("xml", [])
    with pytest.raises(Invalid):
        exporting.check("csv", ["nope"])
