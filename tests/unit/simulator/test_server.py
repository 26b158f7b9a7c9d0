from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import httpx2
import pytest

from conductor.simulator.faults import Fault
from conductor.simulator.server import Application
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOWEST = "0" * 56


@pytest.fixture
def world():
    return World(
        [TenantSpec(history=30), TenantSpec(name="globex", host="globex.localhost", aliases=())], now=lambda: NOW
    )


@pytest.fixture
def ask(world):
    """Send requests to the application in this process; the first is for a token."""

    def send(*paths, base="https://localhost:8443"):
        return asyncio.run(talk(base, paths))

    async def talk(base, paths):
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(Application(world)), base_url=base) as client:
            audience = f"{base}/api/v2/"
            fields = {"client_id": "simulated-client", "client_secret": "simulated-secret", "audience": audience}
            token = await client.post("/oauth/token", data={"grant_type": "client_credentials", **fields})
            headers = {"authorization": f"Bearer {token.json().get('access_token')}"} if token.is_success else {}
            return [await client.get(path, headers=headers) for path in paths]

    return send


def test_a_page_comes_over_asgi_with_all_headers(ask, world):
    (page,) = ask(f"/api/v2/logs?from={LOWEST}&take=5")
    assert [event["log_id"] for event in page.json()] == world.log_ids()[:5]
    assert page.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert page.headers["content-type"] == "application/json; charset=utf-8"
    assert page.headers["content-length"] == str(len(page.content))
    assert page.links["next"]["url"].startswith("https://localhost:8443/api/v2/logs?from=900")


@pytest.mark.parametrize(
    ("base", "status"),
    [
        ("https://globex.localhost:8443", 200),
        ("https://127.0.0.1", 200),
        ("https://GLOBEX.localhost", 200),
        ("https://nobody.localhost", 404),
    ],
)
def test_the_host_header_chooses_the_tenant(ask, base, status):
    (page,) = ask("/api/v2/logs", base=base)
    assert page.status_code == status


@pytest.mark.parametrize("path", ["/", "/api/v2/users", "/oauth/token"])
def test_other_paths_are_not_found(ask, path):
    (page,) = ask(path)
    assert (page.status_code, page.json()["statusCode"]) == (404, 404)


def test_the_date_can_be_missing(ask, world):
    world.faults.add(Fault("no_date", count=1))
    first, second = ask(f"/api/v2/logs?from={LOWEST}", f"/api/v2/logs?from={LOWEST}")
    assert ("date" in first.headers, "date" in second.headers) == (False, True)


def test_a_dripping_body_arrives_whole(ask, world):
    world.faults.add(Fault("drip", count=1, seconds=0))
    first, second = ask(f"/api/v2/logs?from={LOWEST}", f"/api/v2/logs?from={LOWEST}")
    assert first.content == second.content


@pytest.mark.parametrize("kind", ["truncated", "reset", "hang"])
def test_without_a_connection_to_break_it_raises(ask, world, kind):
    world.faults.add(Fault(kind, seconds=0))
    with pytest.raises(ConnectionResetError):
        ask(f"/api/v2/logs?from={LOWEST}")


def test_requests_are_remembered_without_secrets(ask, world):
    ask(f"/api/v2/logs?from={LOWEST}&take=3", "/api/v2/logs?page=2")
    seen = [(seen.endpoint, seen.status, dict(seen.query)) for seen in world.stats.seen]
    assert seen == [
        ("token", 200, {}),
        ("logs", 200, {"from": LOWEST, "take": "3"}),
        ("search", 200, {"page": "2"}),
    ]
    assert "simulated-secret" not in json.dumps(seen)
