"""A desk to call a simulated world from, with a clock that moves only when told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from conductor.simulator.server import Application
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.wire import Reply, Request
from conductor.simulator.world import World

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Desk:
    specs: tuple[TenantSpec, ...]
    now: datetime = START
    host: str = "localhost"
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = World(self.specs, now=lambda: self.now)
        self.application = Application(self.world)
        self.tenant = self.world.first

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def send(self, method: str, path: str, query: dict[str, Any] | None = None, **more: Any) -> Reply:
        query = {name: str(value) for name, value in (query or {}).items()}
        headers = {**self.headers, **more.pop("headers", {})}
        target = f"{path}?{urlencode(query)}" if query else path
        host = more.pop("host", self.host)
        request = Request(
            method=method, path=path, host=host, netloc=f"{host}:8443", now=self.now, target=target,
            query=query, headers=headers, **more,
        )  # fmt: skip
        return self.application.answer(request)

    def get(self, path: str = "/api/v2/logs", **query: Any) -> Reply:
        return self.send("GET", path, {name.rstrip("_"): value for name, value in query.items()})

    def token(self, host: str | None = None, **changes: Any) -> Reply:
        spec = self.tenant.spec
        fields = {
            "grant_type": "client_credentials",
            "client_id": spec.client_id,
            "client_secret": spec.client_secret,
            "audience": f"https://{spec.host}/api/v2/",
        } | changes
        body = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self.send("POST", "/oauth/token", body=body, headers=headers, host=host or self.host)

    def login(self) -> Desk:
        self.headers["authorization"] = f"Bearer {decoded(self.token())['access_token']}"
        return self

    def control(self, method: str, path: str, query: dict[str, Any] | None = None, **body: Any) -> Any:
        return decoded(self.send(method, f"/_simulator/{path}", query, body=json.dumps(body).encode()))


def decoded(reply: Reply) -> Any:
    return json.loads(reply.body)


@pytest.fixture
def desk() -> Callable[..., Desk]:
    """A world with one tenant, whose spec the arguments change."""
    return lambda **spec: Desk((TenantSpec(**spec),))


@pytest.fixture
def body() -> Callable[[Reply], Any]:
    """A reply's body, decoded."""
    return decoded


@pytest.fixture
def start() -> datetime:
    """When every desk's clock begins."""
    return START


@pytest.fixture
def pages() -> Callable[..., list[list[dict[str, Any]]]]:
    """All pages from an id on, as a collector reads them."""

    def read(desk: Desk, log_id: str = "0" * 56, take: int = 100) -> list[list[dict[str, Any]]]:
        found = []
        while page := decoded(desk.get(from_=log_id, take=take)):
            found.append(page)
            log_id = page[-1]["log_id"]
        return found

    return read


@pytest.fixture
def read_ids(pages: Callable[..., list[list[dict[str, Any]]]]) -> Callable[..., list[str]]:
    """All ids from an id on, in the order they are served."""
    return lambda desk, *more: [event["log_id"] for page in pages(desk, *more) for event in page]
