"""Backfills and gaps as people meet them: REST, command line and pages over a whole Conductor."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result
from spans import DAY, HOUR, catch_up, poller
from worlds import Collecting, collecting, run

from conductor import cli
from conductor.core import clock
from conductor.core.errors import Conflict, Invalid, NotFound
from conductor.operations import backfills, gaps, integrations, statuses
from conductor.operations.backfills import Standing
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit
from conductor.store import backfills as stored
from conductor.store import gaps as stored_gaps
from conductor.store.database import Connection
from conductor.web.app import create_app

BACKFILLS = "/api/v1/integrations/prod/backfills"
TAB = "/admin/settings/integrations/prod?tab="


@asynccontextmanager
async def rest(it: Collecting) -> AsyncIterator[httpx2.AsyncClient]:
    """The local API, which is an administrator's."""
    transport = httpx2.ASGITransport(app=create_app(it.system, local=True))
    async with httpx2.AsyncClient(transport=transport, base_url="http://conductor.test") as http:
        yield http


async def record(it: Collecting, hours: float = 20) -> int:
    """A gap of an hour's length; its id."""
    begins = clock.now() - hours * HOUR
    gap = await it.system.database.write(
        lambda connection: stored_gaps.record(connection, 1, begins, begins + HOUR, "checkpoint.expired")
    )
    return gap.id


def test_a_backfill_is_started_watched_and_steered_over_rest(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it, rest(it) as http:
            await it.add(start_from="now")
            await it.poll()
            asked = await http.post(BACKFILLS, json={"from": "5d", "dry_run": True})
            assert list(asked.json()) == ["estimate"]
            assert (await http.get(BACKFILLS)).json() == {"backfills": []}
            started = await http.post(BACKFILLS, json={"from": "5d"})
            assert started.status_code == 201
            number = started.json()["id"]
            async with poller(it) as running:
                await running.behind()
                await running.behind()
                (item,) = (await http.get(BACKFILLS)).json()["backfills"]
                assert (item["state"], item["fetched"], item["new"], item["duplicates"]) == ("running", 200, 200, 0)
                assert 0.3 < item["covered"] < 0.5
                paused = await http.post(f"{BACKFILLS}/{number}/pause", json={})
                assert paused.json()["state"] == "paused"
                assert await running.behind() is None
            again = await http.post(f"{BACKFILLS}/{number}/pause", json={})
            assert again.status_code == 409
            await http.post(f"{BACKFILLS}/{number}/resume", json={})
            await catch_up(it)
            (item,) = (await http.get(BACKFILLS)).json()["backfills"]
            assert (item["state"], item["covered"], item["asked_by"]) == ("done", 1.0, "local")
            stopped = await http.post(f"{BACKFILLS}/{number}/stop", json={})
            assert stopped.status_code == 409
            deeds = [entry.action for entry in await it.system.database.read(lambda c: audit.recent(c, 9))]
            assert deeds[:3] == ["backfill.resume", "backfill.pause", "backfill.started"]

    run(work)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"from": "yesterday-ish"}, "from"),
        ({"from": ""}, "from"),
        ({"from": "2099-01-01"}, "from"),
        ({"from": "1m"}, "from"),
        ({"from": "5d", "to": "never"}, "to"),
        ({"from": "5d", "to": "2020-01-01"}, "from"),
    ],
)
def test_a_span_that_cannot_be_read_is_refused(tmp_path: Path, body: dict[str, str], field: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=20)) as it:
            await it.add()
            await it.poll()
            with pytest.raises(Invalid) as refused:
                await backfills.start(it.system, "prod", body["from"], body.get("to"), by="ana")
            assert list(refused.value.fields) == [field]

    run(work)


def test_the_end_of_a_span_is_where_live_collection_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=20)) as it:
            await it.add()
            await it.poll()
            covered = (await statuses.status(it.system, "prod")).covered_until
            for end in (None, "2099-01-01"):
                assert (await backfills.start(it.system, "prod", "5d", end, by="ana")).work.ends == covered

    run(work)


def test_an_estimate_follows_from_the_last_day_and_the_share_of_the_limit(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=1500, days=1, plan="essentials", rate_limit="plan")) as it:
            await it.add(rate_share=50, plan="essentials", start_from="now")
            unknown = await backfills.estimate(it.system, "prod", "4d", None)
            assert (unknown.events, unknown.requests, unknown.takes) == (None, None, None)
            await integrations.edit(it.system, "prod", {"start_from": "all"}, by="ana")
            await it.poll()
            known = await backfills.estimate(it.system, "prod", "4d", None)
            assert known.events == pytest.approx(6000, rel=0.02)  # of the 1,500 a day that are stored
            assert known.requests == pytest.approx(62, abs=2)
            assert known.takes is not None
            assert known.takes.total_seconds() == pytest.approx((known.requests or 0) / (100 / 60 * 0.5), rel=0.01)

    run(work)


def test_a_backfill_that_will_lose_events_says_which_share_would_do() -> None:
    slow = Standing(stored_work(), pace=0.5, left=8 * DAY, lost=3 * HOUR, needed_share=70)
    assert slow.warning == (
        "The vendor is deleting events faster than this backfill reads them. Raise the share of the rate limit to at "
        "least 70 %, or about 3 h 0 min of events will be lost."
    )
    assert "about 3 h 0 min of events will be lost" in Standing(stored_work(), lost=3 * HOUR, needed_share=140).warning
    assert Standing(stored_work()).warning == ""


def stored_work() -> Any:
    """Any backfill: the warning is made of the figures beside it."""
    return None


def test_how_many_events_a_gap_has_is_estimated_from_the_time_around_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=480, days=2, regular=True)) as it, rest(it) as http:
            await it.add()
            await it.poll()
            now = clock.now()

            def lose(connection: Connection) -> None:
                for ago, hours in ((30, 6), (240, 3), (1, 0.5)):
                    begins = now - ago * HOUR
                    stored_gaps.record(connection, 1, begins, begins + hours * HOUR, "checkpoint.expired")

            await it.system.database.write(lose)
            told = (await http.get("/api/v1/integrations/prod/gaps")).json()["gaps"]
            about = {gap["id"]: gap["estimate"] for gap in told}
            assert about[1] == pytest.approx(60, abs=2)  # ten an hour
            assert about[2] is None  # long before the first event
            assert about[3] == pytest.approx(5, abs=1)

    run(work)


def test_a_gap_is_recovered_again_when_a_person_asks_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=100, days=2)) as it, rest(it) as http:
            await it.add()
            await it.poll()
            gap = await record(it)
            (queued,) = await backfills.list_all(it.system, "prod")
            with pytest.raises(Conflict, match="being recovered already"):
                await gaps.recover(it.system, "prod", gap, by="ana")
            await backfills.steer(it.system, "prod", queued.work.id, "stop", by="ana")
            await catch_up(it)
            assert [item.state for item in await integrations.list_gaps(it.system, "prod")] == ["open"]
            again = await http.post(f"/api/v1/integrations/prod/gaps/{gap}/recover", json={})
            assert (again.status_code, again.json()["gap_id"]) == (201, gap)
            await catch_up(it)
            assert [item.state for item in await integrations.list_gaps(it.system, "prod")] == ["recovered"]
            with pytest.raises(Conflict, match="recovered already"):
                await gaps.recover(it.system, "prod", gap, by="ana")
            with pytest.raises(NotFound):
                await gaps.recover(it.system, "prod", 99, by="ana")

    run(work)


def test_closing_a_gap_stops_its_recovery(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=100, days=2)) as it:
            await it.add()
            await it.poll()
            gap = await record(it)
            await integrations.close_gap(it.system, "prod", gap, note="known", by="ana")
            it.world.stats.clear()
            await catch_up(it)
            assert it.world.stats.total("logs") + it.world.stats.total("search") == 0
            (told,) = await integrations.list_gaps(it.system, "prod")
            assert (told.state, told.note) == ("closed", "known")

    run(work)


def test_another_tenant_is_not_asked_for_the_spans_of_the_old_one(tmp_path: Path) -> None:
    async def work() -> None:
        specs = [TenantSpec(name="one", history=50), TenantSpec(name="two", host="127.0.0.2", aliases=(), seed=2)]
        async with collecting(tmp_path, *specs) as it:
            await it.add("prod", "one")
            await it.poll()
            await backfills.start(it.system, "prod", "5d", None, by="ana")
            await integrations.edit(it.system, "prod", it.values("two"), by="ana")
            assert [item.work.state for item in await backfills.list_all(it.system, "prod")] == ["stopped"]

    run(work)


def test_status_tells_open_and_lost_gaps_and_how_far_they_are(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=300, days=3)) as it, rest(it) as http:
            await it.add()
            await it.poll()
            gap = await record(it)
            told = (await http.get("/api/v1/status")).json()
            (item,) = told["gaps"]
            assert (item["id"], item["integration"], item["state"], item["covered"]) == (gap, "prod", "open", 0.0)
            assert (told["open_gaps"], told["sources"][0]["lost_gaps"]) == (1, 0)

    run(work)


def test_the_pages_start_steer_and_explain(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it, rest(it) as http:
            await it.add(start_from="now")
            await it.poll()
            here = "/admin/settings/integrations/prod/backfills"
            assert "Nothing to backfill." in (await http.get(TAB + "backfill")).text
            wrong = await http.post(here, data={"from": "soon", "do": "start"})
            assert wrong.status_code == 422
            assert 'href="#f-from"' in wrong.text
            asked = await http.post(here, data={"from": "5d", "do": "estimate"})
            assert "How much that is will show itself" in asked.text or "About" in asked.text
            assert 'value="5d"' in asked.text
            await http.post(here, data={"from": "5d", "do": "start"})
            async with poller(it) as running:
                await running.behind()
            page = (await http.get(TAB + "backfill")).text
            assert re.search(r"<progress [^>]*value=\"[1-9]", page)
            assert "100 events (0 already had)" in page
            (item,) = await backfills.list_all(it.system, "prod")
            await http.post(f"{here}/{item.work.id}", data={"do": "pause"})
            assert "Resume" in (await http.get(TAB + "backfill")).text
            await http.post(f"{here}/{item.work.id}", data={"do": "stop"})
            assert "stopped" in (await http.get(TAB + "backfill")).text
            gap = await record(it)
            page = (await http.get(TAB + "gaps")).text
            assert "open 0 %" in page
            assert "Close gap" in page
            queued = (await it.system.database.read(lambda c: stored.unfinished(c, [1])))[0]
            await backfills.steer(it.system, "prod", queued.id, "stop", by="ana")
            assert "Recover" in (await http.get(TAB + "gaps")).text
            await http.post(f"/admin/settings/integrations/prod/gaps/{gap}/recover", data={})
            await catch_up(it)
            assert "recovered" in (await http.get(TAB + "gaps")).text

    run(work)


def test_the_command_line_starts_shows_and_steers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def prepare() -> None:
        async with collecting(tmp_path, TenantSpec(history=900, days=9)) as it:
            await it.add()
            await it.poll()
            await record(it)

    run(prepare)
    data = str(tmp_path / "data")

    def tell(*words: str) -> Result:
        return CliRunner().invoke(cli.main, ["integration", *words, "--data", data], catch_exceptions=False)

    cost = tell("backfill", "prod", "start", "--from", "5d", "--dry-run")
    assert re.search(r"about [\d,]+ events, \d+ requests, .* at 100 % of the limit\.", cost.stdout)
    started = tell("backfill", "prod", "start", "--from", "5d", "--yes")
    assert started.stdout.splitlines() == [
        "Started backfill 2, behind live collection. It survives restarts.",
        "Next:  conductor integration backfill prod status",
    ]
    shown = tell("backfill", "prod", "status").stdout
    assert re.search(r"2 +person +waiting +0%", shown)
    assert re.search(r"1 +gap +waiting +0%", shown)
    assert tell("backfill", "prod", "pause", "2").stdout == "Backfill 2 is paused.\n"
    assert tell("backfill", "prod", "resume").stdout == "Backfill 2 goes on.\n"
    assert "There are 2 backfills to stop" in tell("backfill", "prod", "stop").stderr
    assert tell("backfill", "prod", "stop", "2").stdout == "Backfill 2 is stopped.\n"
    refused = tell("backfill", "prod", "start", "--from", "soon", "--yes")
    assert (refused.exit_code, "Say where" in refused.stderr or "not a time" in refused.stderr) == (2, True)
    assert json.loads(tell("backfill", "prod", "status", "--json").stdout)["backfills"][0]["state"] == "stopped"
    assert "being recovered already" in tell("gaps", "prod", "--recover", "1").stderr
    status = CliRunner().invoke(cli.main, ["status", "--data", data]).stdout
    assert re.search(r"Open gaps: 1 \(prod .* to .*, recovering 0%\)", status)


def test_the_loss_clock_goes_on_while_an_integration_is_off(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=50)) as it, rest(it) as http:
            await it.add(plan="essentials")
            await it.poll()
            told = (await http.get("/api/v1/integrations/prod")).json()
            assert told["enabled"] is False
            left = (await statuses.status(it.system, "prod")).loss_at
            assert left is not None
            assert told["loss_at"] == clock.to_text(left)
            assert told["health"]["sentence"].endswith(f"Turn on before {left:%-d %b %H:%M} UTC to lose nothing.")
            assert timedelta(days=4.9) < left - clock.now() < timedelta(days=5)
            assert "Turn on before" in (await http.get("/admin/settings/integrations")).text

    run(work)
