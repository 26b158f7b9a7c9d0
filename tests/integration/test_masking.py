"""Personal data hidden by role, on every page and route that shows events; and the way to see it, which is audited."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import worlds
from routes import ACCESS, API, JSON, LIST, ORIGIN, OURS, PASSWORD

from conductor.operations import accounts, auditing, general, sessions, tokens
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.web import auth
from conductor.web.app import create_app

SHOWN = [route.removeprefix("GET ") for route in ACCESS if route.startswith("GET ") and "/static/" not in route]


class Site:
    """A Conductor with collected events, and what in them is personal."""

    def __init__(self, world: worlds.Collecting) -> None:
        self.world = world
        self.app = create_app(world.system)
        self.app.state.stopping.set()  # what goes on for ever ends at once
        self.rows: list[dict[str, Any]] = []

    async def collect(self) -> None:
        """Some events, a poll that fails, and a user of each role."""
        await self.world.add()
        self.world.world.faults.add(Fault("malformed", count=1))
        await self.world.poll()  # its answer is kept
        await self.world.poll()
        request = worlds.Request(q="user_name:* ip:*", limit=1000)
        self.rows = [dict(row) for row in (await worlds.search.search(self.world.system, request)).rows]
        for role in accounts.ROLES:
            await accounts.add_user(self.world.system, f"{role}@conductor.test", role.title(), PASSWORD, role, "local")

    @property
    def personal(self) -> set[str]:
        """Values that nobody may see from whom they are hidden. An id that stands for a name is none."""
        found = {row[name] for row in self.rows for name in ("user_name", "ip") if len(row[name]) > 3}
        return {value for value in found if "|" not in value}

    def seen(self, text: str) -> set[str]:
        """Which of them stand there."""
        plain = html.unescape(text)
        return {value for value in self.personal if value in plain}

    @asynccontextmanager
    async def browser(self, role: str) -> AsyncIterator[httpx2.AsyncClient]:
        """As a user of that role."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            user = next(user for user in await accounts.users(self.world.system) if user.role == role)
            http.cookies.set(
                auth.SESSION_COOKIE, await sessions.open_session(self.world.system, user, ""), domain="conductor.test"
            )
            yield http

    async def mask(self, highest: str) -> None:
        """Hide personal data from that role and those below."""
        await general.change(self.world.system, {"mask": highest}, by="test")

    def address(self, path: str) -> str:
        """A route's path, to things that are there."""
        row = self.rows[0]
        path = path.replace("{id}", row["id"]).replace("{poll}", "1").replace("{name}", "prod")
        if path == "/signals/search":
            return f"{path}?last=custom&from=2020-01-01T00:00:00Z&open={row['id']}"
        return re.sub(r"{\w+}", "x", path).replace(f"{LIST}/new", f"{LIST}/new?kind=auth0")


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Tells a story on such a Conductor."""

    def start(tell: Callable[[Site], Awaitable[None]]) -> None:
        async def work() -> None:
            async with worlds.collecting(tmp_path, TenantSpec(history=120)) as world:
                site = Site(world)
                await site.collect()
                await tell(site)

        worlds.run(work)

    return start


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
