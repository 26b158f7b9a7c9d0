"""A token of some integrations: what it reaches of these, and nothing of the others by any route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import worlds
from routes import ACCESS, API, LOCAL, ORIGIN

from conductor.core.errors import Invalid
from conductor.operations import integrations, tokens
from conductor.simulator.tenant import TenantSpec
from conductor.web.app import create_app

MINE, OTHER = "prod-mine", "prod-other"
SCOPES = ["signals:read", "integrations:read", "integrations:write"]


class Site:
    """Two integrations with events, and a program with a token of one of them."""

    def __init__(self, world: worlds.Collecting, http: httpx2.AsyncClient, secret: str) -> None:
        self.world, self.http, self.secret = world, http, secret

    async def ask(self, method: str, path: str, content: bytes = b"{}") -> httpx2.Response:
        body = {} if method == "GET" else {"content": content}
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        return await self.http.request(method, f"{API}{path}", headers=headers, **body)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Tells a story."""

    def start(tell: Callable[[Site], Awaitable[None]]) -> None:
        async def work() -> None:
            specs = (
                TenantSpec(name="mine", history=30, host="localhost", aliases=()),
                TenantSpec(name="other", history=40, host="127.0.0.1", aliases=(), seed=2),
            )
            async with worlds.collecting(tmp_path, *specs) as world:
                for name, tenant in ((MINE, "mine"), (OTHER, "other")):
                    await world.add(name, tenant)
                    await world.poll(name)
                app = create_app(world.system)
                app.state.stopping.set()  # what goes on for ever ends at once
                transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
                async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                    _, secret = await tokens.create(world.system, "siem", SCOPES, by="test", only=[MINE])
                    await tell(Site(world, http, secret))

        worlds.run(work)

    return start


def test_it_sees_its_own_integrations_and_their_events_only(run: Any) -> None:
    async def tell(site: Site) -> None:
        found = (await site.ask("GET", "/artifacts/search?limit=1000")).json()
        assert len(found["rows"]) == await site.world.count(f"integration:{MINE}") >= 30
        assert {row["integration"] for row in found["rows"]} == {MINE}
        assert (await site.ask("GET", "/artifacts/count")).json() == {"count": len(found["rows"])}
        listed = (await site.ask("GET", "/integrations")).json()["integrations"]
        assert [item["name"] for item in listed] == [MINE]
        told = (await site.ask("GET", "/status")).json()
        assert [item["name"] for item in told["sources"]] == [MINE]
        assert (await site.ask("GET", f"/integrations/{MINE}")).status_code == 200
        assert (await site.ask("POST", f"/integrations/{MINE}/poll")).status_code == 200

    run(tell)


def test_no_route_reaches_another_integration_or_its_events(run: Any) -> None:
    async def tell(site: Site) -> None:
        (theirs, *_) = (await worlds.search.search(site.world.system, worlds.Request(q=f"integration:{OTHER}"))).rows
        before = (await integrations.find(site.world.system, OTHER)).revision
        reached = {}
        for route, role in ACCESS.items():
            method, _, path = route.partition(" ")
            if not path.startswith(API) or role == LOCAL:
                continue
            path = path.removeprefix(API).replace("{id}", theirs["id"]).replace("{name}", OTHER)
            path = (
                path.replace("{poll}", "2").replace("{gap}", "1").replace("{backfill}", "1").replace("{deed}", "stop")
            )
            answer = await site.ask(method, path.replace("{token_id}", "1").replace("{email}", "x"))
            if answer.status_code not in (403, 404) and (OTHER in answer.text or method != "GET"):
                reached[route] = answer.status_code
        assert reached == {}
        assert (await integrations.find(site.world.system, OTHER)).revision == before
        asked = await site.ask("GET", f"/artifacts/count?q=integration:{OTHER}")
        assert asked.status_code == 422 or asked.json() == {"count": 0}
        metrics = await site.http.get("/metrics", headers={"Authorization": f"Bearer {site.secret}"})
        assert metrics.status_code == 403
        assert "limited to some integrations" in metrics.text

    run(tell)


def test_it_stays_limited_when_its_integration_is_renamed_removed_and_when_it_is_rotated(run: Any) -> None:
    async def tell(site: Site) -> None:
        (made,) = await tokens.everyone(site.world.system)
        assert made.integrations == (MINE,)
        _, site.secret = await tokens.rotate(site.world.system, made.token.id, by="test")
        count = {"count": await site.world.count(f"integration:{MINE}")}
        refused = await site.ask("PATCH", f"/integrations/{MINE}", b'{"name": "prod-other", "test": false}')
        assert refused.status_code == 403  # it would tell which names there are
        await integrations.edit(site.world.system, MINE, {}, by="test", new_name="prod-new", test=False)
        assert (await site.ask("GET", "/artifacts/count")).json() == count
        await integrations.remove(site.world.system, "prod-new", by="test")
        assert (await site.ask("GET", "/integrations")).json() == {"integrations": []}
        assert (await site.ask("GET", "/artifacts/count")).json() == count
        assert {told.integrations for told in await tokens.everyone(site.world.system)} == {("prod-new (removed)",)}

    run(tell)


@pytest.mark.parametrize(
    ("scopes", "only", "told"),
    [
        (["signals:read"], ["nothing"], "There is no integration `nothing`."),
        (["admin"], [MINE], "A token that may do everything cannot be limited to some integrations."),
    ],
)
def test_what_cannot_be_limited_is_refused(run: Any, scopes: list[str], only: list[str], told: str) -> None:
    async def tell(site: Site) -> None:
        with pytest.raises(Invalid) as raised:
            await tokens.create(site.world.system, "x", scopes, by="test", only=only)
        assert raised.value.fields == {"integrations": told}

    run(tell)
