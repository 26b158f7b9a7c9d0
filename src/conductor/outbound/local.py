"""The CLI's way to Conductor's own API: through the running one's socket, or into one opened in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

TIMEOUT = httpx2.Timeout(10.0, read=600.0)  # a poll that is waited for may take long
HEADERS = {"x-conductor": "1"}


async def answers(path: Path) -> bool:
    """Whether a Conductor listens there; one that was killed leaves its socket behind."""
    if not path.is_socket():
        return False
    async with over_socket(path) as http:
        try:
            await http.get("/healthz")
        except httpx2.TransportError:
            return False
    return True


def over_socket(path: Path) -> httpx2.AsyncClient:
    """A client of the running Conductor."""
    transport = httpx2.AsyncHTTPTransport(uds=str(path), trust_env=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://conductor", timeout=TIMEOUT, headers=HEADERS)


def in_process(app: Any) -> httpx2.AsyncClient:
    """A client of an application in this process."""
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://conductor", timeout=TIMEOUT, headers=HEADERS)
