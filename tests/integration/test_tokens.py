"""API tokens: each scope reaches its routes and no other, and a token ends when it should."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from routes import ACCESS, ADMIN, API, JSON, LOCAL, NOBODY, ORIGIN, Clock, World, address, people, story

from conductor.cli import token as cli
from conductor.core import clock
from conductor.core.errors import Conflict, Invalid, NotFound, StoreFull
from conductor.operations import auditing, tokens

PROGRAMS = [route for route in ACCESS if API in route] + ["GET /metrics"]
HERE = "127.0.0.1"


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "now", lambda: moved.now)
    return moved


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[World], Awaitable[Any]]], Any]:
    """Runs a story in a world."""
    return lambda tell, local=False: asyncio.run(story(tmp_path, tell, local=local))


def _wanted(route: str) -> str:
    """The scope that a route asks for, written down a second time."""
    method, _, path = route.partition(" ")
    if path == f"{API}/artifacts/export" or path.startswith(f"{API}/exports"):
        return "signals:export"
    if path.startswith((f"{API}/artifacts", f"{API}/saved")) and method == "GET":
        return "signals:read"
    if path.startswith((f"{API}/integrations", f"{API}/status", f"{API}/openapi.json", "/metrics")):
        return "integrations:read" if method == "GET" else "integrations:write"
    return "admin"


GRANTED = {
    "signals:read": {"signals:read"},
    "signals:export": {"signals:export"},
    "integrations:read": {"integrations:read"},
    "integrations:write": {"integrations:read", "integrations:write"},
    "admin": {"signals:read", "signals:export", "integrations:read", "integrations:write", "admin"},
}


async def _made(world: World, *scopes: str, **more: Any) -> str:
    return (await tokens.create(world.system, "grafana", scopes, by="ana", **more))[1]


async def _asked(world: World, secret: str, route: str, **more: Any) -> Any:
    """As a script asks: no cookie, no Origin, no header but its own."""
    method, path = address(route)
    headers = {"Authorization": f"Bearer {secret}", **JSON}
    headers = {name: value for name, value in headers.items() if name.lower() in ("authorization", "content-type")}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app, raise_app_exceptions=False, client=(HERE, 1)), base_url=ORIGIN
    ) as http:
        body = {} if method == "GET" else {"content": b"{}"}
        return await http.request(method, path, headers=headers, **body, **more)


def test_the_command_line_knows_every_scope() -> None:
    assert tuple(tokens.SCOPES) == cli.SCOPES
    assert set(GRANTED) == set(tokens.SCOPES)


@pytest.mark.parametrize("scope", GRANTED)
def test_s16_a_token_passes_where_its_scope_allows_and_nowhere_else(run: Any, scope: str) -> None:
    async def tell(world: World) -> None:
        await people(world)
        secret = await _made(world, scope)
        wrong = {}
        for route in PROGRAMS:
            response = await _asked(world, secret, route)
            may = ACCESS[route] != LOCAL and _wanted(route) in GRANTED[scope]
            if (response.status_code == 403) is may or response.status_code in (401, 500):
                wrong[route] = response.status_code
        assert wrong == {}

    run(tell)


def test_s16_pages_take_no_token(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        secret = await _made(world, "admin")
        for route in ACCESS:
            if route not in PROGRAMS and ACCESS[route] != NOBODY and route.startswith("GET "):
                response = await _asked(world, secret, route)
                assert (response.status_code, response.headers["location"][:11]) == (303, "/auth/login"), route

    run(tell)


def test_a_session_beside_a_token_does_not_count(run: Any) -> None:
    async def tell(world: World) -> None:
        await people(world)
        weak = {"Authorization": f"Bearer {await _made(world, 'signals:read')}"}
        async with world.signed_in(ADMIN) as http:
            assert (await http.get(f"{API}/users")).status_code == 200
            assert (await http.get(f"{API}/users", headers=weak)).status_code == 403
            assert (await http.get(f"{API}/users", headers={"Authorization": "Bearer cdr_x"})).status_code == 401

    run(tell)


def test_a_token_ends_when_it_expires_or_is_revoked_and_says_so(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        made, secret = await tokens.create(world.system, "grafana", ["integrations:read"], by="ana", days=1)
        assert secret.startswith("cdr_")
        assert (await _asked(world, secret, f"GET {API}/status")).status_code == 200
        time.move(hours=24)
        late = await _asked(world, secret, f"GET {API}/status")
        assert (late.status_code, late.json()["error"]["code"]) == (401, "token.refused")
        assert "This API token is expired." in late.json()["error"]["title"]
        other, second = await tokens.create(world.system, "other", ["integrations:read"], by="ana")
        await tokens.revoke(world.system, other.id, by="ana")
        assert "revoked" in (await _asked(world, second, f"GET {API}/status")).json()["error"]["title"]
        with pytest.raises(Conflict):
            await tokens.rotate(world.system, made.id, by="ana")
        with pytest.raises(NotFound):
            await tokens.revoke(world.system, 99, by="ana")
        stored = await world.system.database.read(lambda c: str(c.exec_driver_sql("SELECT * FROM api_tokens").all()))
        assert secret not in stored
        actions = [entry.action for entry in await auditing.entries(world.system, auditing.Wanted(), 9)]
        assert actions == ["access.denied", "token.revoked", "token.created", "access.denied", "token.created"]

    run(tell)


def test_a_rotated_token_works_for_another_day_beside_its_successor(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        made, old = await tokens.create(
            world.system, "grafana", ["integrations:read"], by="ana", days=30, networks=[HERE]
        )
        successor, new = await tokens.rotate(world.system, made.id, by="ana")
        assert (successor.name, successor.scopes, successor.networks) == (made.name, made.scopes, made.networks)
        assert successor.expires_at - successor.created_at == timedelta(days=30)
        time.move(hours=23, minutes=59)
        assert {(await _asked(world, secret, f"GET {API}/status")).status_code for secret in (old, new)} == {200}
        time.move(minutes=1)
        assert (await _asked(world, old, f"GET {API}/status")).status_code == 401
        assert (await _asked(world, new, f"GET {API}/status")).status_code == 200

    run(tell)


def test_a_token_comes_from_its_networks_only_and_its_use_is_told(run: Any, time: Clock) -> None:
    async def tell(world: World) -> None:
        away = await _made(world, "integrations:read", networks=["203.0.113.0/24"])
        refused = await _asked(world, away, f"GET {API}/status")
        assert refused.status_code == 401
        assert f"may not be used from {HERE}" in refused.json()["error"]["title"]
        made, here = await tokens.create(
            world.system, "grafana", ["integrations:read"], by="ana", networks=["127.0.0.0/8", "2001:db8::/32"]
        )
        assert (await _asked(world, here, f"GET {API}/status")).status_code == 200
        (told,) = [item.token for item in await tokens.everyone(world.system) if item.token.id == made.id]
        assert (told.used_at, told.used_from) == (time.now, HERE)
        assert not tokens.allowed(told, "unix")
        assert tokens.allowed(told, "2001:db8::7")
        assert tokens.allowed(told, "::ffff:127.0.0.1")

    run(tell)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["signals:read", "everything"]}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
        ({"networks": ["here"]}, "networks"),
    ],
)
def test_what_cannot_be_made_is_told_by_field(run: Any, values: dict[str, Any], field: str) -> None:
    async def tell(world: World) -> None:
        given: dict[str, Any] = {"name": "x", "scopes": ["admin"], "days": 1, "networks": [], **values}
        name, scopes = given.pop("name"), given.pop("scopes")
        with pytest.raises(Invalid) as refused:
            await tokens.create(world.system, name, scopes, by="ana", **given)
        assert list(refused.value.fields) == [field]
        assert await tokens.everyone(world.system) == []

    run(tell)


def test_nobody_is_refused_because_their_last_use_cannot_be_noted(
    run: Any, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(work: object) -> None:
        raise StoreFull("The disk is full.")

    async def tell(world: World) -> None:
        await people(world)
        secret = await _made(world, "integrations:read")
        async with world.signed_in(ADMIN) as http:
            time.move(minutes=10)
            monkeypatch.setattr(world.system.database, "write", full)
            assert (await http.get("/account")).status_code == 200
        assert (await _asked(world, secret, f"GET {API}/status")).status_code == 200

    run(tell)
