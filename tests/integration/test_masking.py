"""Personal data hidden by role, on every page and route that shows events; and the way to see it, which is audited."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from routes import ACCESS, API, JSON, LIST, OURS
from sites import Site, told

from conductor.operations import auditing, tokens
from conductor.simulator.tenant import TenantSpec

SHOWN = [route.removeprefix("GET ") for route in ACCESS if route.startswith("GET ") and "/static/" not in route]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Tells a story on such a Conductor."""
    return lambda tell: told(tmp_path, TenantSpec(history=120), tell)


@pytest.mark.parametrize("role", ["viewer", "analyst"])
def test_nothing_personal_on_any_page_or_route_of_those_it_is_hidden_from(run: Any, role: str) -> None:
    async def tell(site: Site) -> None:
        async with site.browser(role) as http:
            before, after = {}, {}
            for path in SHOWN:
                before[path] = site.seen((await http.get(site.address(path))).text)
            await site.mask("analyst")
            for path in SHOWN:
                after[path] = site.seen((await http.get(site.address(path))).text)
        showing = {path for path, found in before.items() if found}
        assert {
            "/signals/search",
            "/signals/events/{id}",
            f"{API}/artifacts/search",
            f"{API}/artifacts/{{id}}",
            f"{LIST}/{{name}}/polls/{{poll}}",
        } <= showing
        assert {path: found for path, found in after.items() if found} == {}

    run(tell)


def test_administrators_see_all_until_it_is_hidden_from_everyone_and_tokens_then_too(run: Any) -> None:
    async def tell(site: Site) -> None:
        _, secret = await tokens.create(site.world.system, "siem", ["signals:read"], by="test")
        bearer = {"Authorization": f"Bearer {secret}"}
        async with site.browser("admin") as http:
            for mask, hidden in (("analyst", False), ("admin", True)):
                await site.mask(mask)
                for path in ("/signals/search", "/signals/events/{id}"):
                    assert bool(site.seen((await http.get(site.address(path))).text)) is not hidden
                answer = await http.get(f"{API}/artifacts/search", headers=bearer)
                assert bool(site.seen(answer.text)) is not hidden
                assert {row["masked"] for row in answer.json()["rows"]} == {hidden}

    run(tell)


def test_a_search_for_an_exact_value_finds_it_and_shows_it_hidden(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.mask("viewer")
        name, ip = site.rows[0]["user_name"], site.rows[0]["ip"]
        async with site.browser("viewer") as http:
            answer = await http.get(f"{API}/artifacts/search", params={"q": f'user_name:"{name}" ip:"{ip}"'})
            found = next(row for row in answer.json()["rows"] if row["id"] == site.rows[0]["id"])
            assert (found["user_name"], found["ip"]) != (name, ip)
            assert found["user_name"].startswith(name[0] + "•••")
            assert name not in json.dumps(found["raw"], ensure_ascii=False)

    run(tell)


def test_an_analyst_sees_one_event_whole_and_the_audit_log_tells_it(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.mask("analyst")
        row = site.rows[0]
        page, deed = f"/signals/events/{row['id']}", f"/signals/events/{row['id']}/unmask"
        async with site.browser("analyst") as http:
            hidden = (await http.get(page)).text
            assert "Personal data is hidden from your role." in hidden
            csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', hidden)
            assert csrf
            shown = (await http.post(deed, headers=OURS, data={"csrf": csrf[1]})).text
            assert {row["user_name"], row["ip"]} <= site.seen(shown)
            assert "hidden from your role" not in shown
            assert site.seen((await http.get(page)).text) == set()  # this once
            again = await http.post(f"{API}/artifacts/{row['id']}/unmask", headers=JSON, content=b"{}")
            assert again.json()["user_name"] == row["user_name"]
            assert (
                await http.post(deed.replace(row["id"], "0" * 32), headers=OURS, data={"csrf": csrf[1]})
            ).status_code == 404
        told = await auditing.entries(site.world.system, auditing.Wanted(action="event.unmasked"), 10)
        assert [(entry.actor, entry.target, entry.detail["integration"]) for entry in told] == [
            ("analyst@conductor.test", row["id"], "prod")
        ] * 2

    run(tell)


def test_a_viewer_cannot_and_is_told_who_can(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.mask("viewer")
        row = site.rows[0]
        async with site.browser("viewer") as http:
            page = (await http.get(f"/signals/events/{row['id']}")).text
            assert "An analyst or an administrator can see it." in page
            assert "/unmask" not in page
            refused = await http.post(f"{API}/artifacts/{row['id']}/unmask", headers=JSON, content=b"{}")
            assert refused.status_code == 403
            evidence = await http.get(f"{API}/artifacts/{row['id']}/evidence")
            assert (evidence.status_code, evidence.json()["error"]["title"]) == (
                403,
                "Personal data is hidden from your role, and evidence cannot be without it.",
            )

    run(tell)


def test_a_token_that_reads_cannot_look_behind(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.mask("admin")
        _, secret = await tokens.create(site.world.system, "siem", ["signals:read"], by="test")
        async with site.browser("admin") as http:
            refused = await http.post(
                f"{API}/artifacts/{site.rows[0]['id']}/unmask",
                headers={"Authorization": f"Bearer {secret}", **JSON},
                content=b"{}",
            )
            assert refused.status_code == 403

    run(tell)


def test_a_preview_hides_it_too(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("admin") as http:
            for mask, hidden in (("nobody", False), ("admin", True)):
                await site.mask(mask)
                body = json.dumps({"name": "prod", "config": {}})
                seen = (await http.post(f"{API}/integrations/preview", headers=JSON, content=body)).text
                assert bool(site.seen(seen)) is not hidden
                assert json.loads(seen)["events"]

    run(tell)
