"""A vendor that is simulated without sockets."""

from __future__ import annotations

import httpx2
from virtual import run

from conductor.core.config import Allowance
from conductor.outbound.client import Client, Route
from conductor.outbound.pace import Limiter


def test_a_simulated_vendor_is_spoken_to_without_sockets():
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, stream=httpx2.ByteStream(b"[]"), headers={"content-type": "application/json"})

    async def work() -> bytes:
        route = Route(opener=lambda _: httpx2.MockTransport(answer))
        async with Client("vendor", route, Limiter(), lambda _: Allowance(1.0, 1.0)) as client:
            return (await client.get("https://vendor.example/logs", {})).body

    assert run(work()) == b"[]"
    assert asked == ["https://vendor.example/logs"]
