"""The web application over a database, for tests of what holds for every route; and who may use which."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2

from conductor import catalog
from conductor.core.errors import NotFound
from conductor.indexer.geography import Geography
from conductor.observe import Metrics, Pulse
from conductor.operations import accounts, sessions
from conductor.operations.system import Options
from conductor.store import schema
from conductor.store.database import Database, sqlite_url
from conductor.store.vault import Vault
from conductor.web import auth
from conductor.web.app import create_app
from conductor.web.throttle import Throttle

PASSWORD = "correct horse battery staple"
ORIGIN = "https://conductor.test"
OURS = {"Sec-Fetch-Site": "same-origin"}
JSON = {"Content-Type": "application/json", "X-Conductor": "1", **OURS}
NOBODY, VIEWER, ANALYST, ADMIN, LOCAL = "nobody", "viewer", "analyst", "admin", "local"
RANKS = (NOBODY, VIEWER, ANALYST, ADMIN)
LIST = "/admin/settings/integrations"
API = "/api/v1"

# Who may use each route: this role and those above it. A new route needs a line here.
ACCESS = {
    "GET /static/{digest}/{name:path}": NOBODY,
    "GET /favicon.ico": NOBODY,
    "GET /healthz": NOBODY,
    "GET /readyz": NOBODY,
    "GET /metrics": VIEWER,
    "GET /setup": NOBODY,
    "POST /setup": NOBODY,
    "GET /setup/source": ADMIN,
    "GET /auth/login": NOBODY,
    "POST /auth/login": NOBODY,
    "POST /auth/logout": NOBODY,
    "GET /account": VIEWER,
    "POST /account": VIEWER,
    "POST /account/look": VIEWER,
    "GET /live": VIEWER,
    "GET /admin/settings/general": ADMIN,
    "POST /admin/settings/general": ADMIN,
    "POST /account/password": VIEWER,
    "POST /account/sessions": VIEWER,
    "GET /": VIEWER,
    "GET /help": VIEWER,
    "GET /help/{topic}": VIEWER,
    "GET /signals/search": VIEWER,
    "POST /signals/columns": VIEWER,
    "GET /signals/range": VIEWER,
    "GET /signals/search/counts": VIEWER,
    "GET /signals/search/map": VIEWER,
    "GET /signals/search/facets": VIEWER,
    "GET /signals/search/facet": VIEWER,
    "GET /signals/live": VIEWER,
    "GET /signals/suggest": VIEWER,
    "GET /signals/saved": VIEWER,
    "POST /signals/saved": ANALYST,
    "GET /signals/saved/{slug}": VIEWER,
    "POST /signals/saved/{slug}": ANALYST,
    "POST /signals/share": VIEWER,
    "GET /signals/export": ANALYST,
    "POST /signals/export": ANALYST,
    "GET /signals/exports": ANALYST,
    "GET /signals/exports/{export}/file": ANALYST,
    "GET /signals/exports/{export}/manifest": ANALYST,
    "POST /signals/exports/{export}/drop": ANALYST,
    "GET /s/{slug}": VIEWER,
    "GET /signals/selected": VIEWER,
    "GET /signals/selected.json": VIEWER,
    "GET /signals/events/{id}": VIEWER,
    "POST /signals/events/{id}/unmask": ANALYST,
    f"GET {LIST}": VIEWER,
    f"GET {LIST}/new": ADMIN,
    f"POST {LIST}/new": ADMIN,
    f"GET {LIST}/new/hint": ADMIN,
    f"GET {LIST}/{{name}}": VIEWER,
    f"GET {LIST}/{{name}}/polls/{{poll}}": VIEWER,
    f"POST {LIST}/{{name}}": ADMIN,
    f"POST {LIST}/{{name}}/enabled": ADMIN,
    f"POST {LIST}/{{name}}/poll": ANALYST,
    f"POST {LIST}/{{name}}/gaps/{{gap}}": ANALYST,
    f"POST {LIST}/{{name}}/gaps/{{gap}}/recover": ANALYST,
    f"POST {LIST}/{{name}}/backfills": ANALYST,
    f"POST {LIST}/{{name}}/backfills/{{backfill}}": ANALYST,
    f"POST {LIST}/{{name}}/remove": ADMIN,
    f"GET {API}/openapi.json": VIEWER,
    f"GET {API}/status": VIEWER,
    f"POST {API}/support-bundle": ADMIN,
    f"GET {API}/integrations": VIEWER,
    f"POST {API}/integrations": ADMIN,
    f"POST {API}/integrations/test": ADMIN,
    f"POST {API}/integrations/preview": ADMIN,
    f"GET {API}/integrations/{{name}}": VIEWER,
    f"PATCH {API}/integrations/{{name}}": ADMIN,
    f"DELETE {API}/integrations/{{name}}": ADMIN,
    f"POST {API}/integrations/{{name}}/enable": ADMIN,
    f"POST {API}/integrations/{{name}}/disable": ADMIN,
    f"POST {API}/integrations/{{name}}/poll": ANALYST,
    f"GET {API}/integrations/{{name}}/polls": VIEWER,
    f"GET {API}/integrations/{{name}}/polls/{{poll}}": VIEWER,
    f"GET {API}/integrations/{{name}}/gaps": VIEWER,
    f"POST {API}/integrations/{{name}}/gaps/{{gap}}/close": ANALYST,
    f"POST {API}/integrations/{{name}}/gaps/{{gap}}/recover": ANALYST,
    f"GET {API}/integrations/{{name}}/backfills": VIEWER,
    f"POST {API}/integrations/{{name}}/backfills": ANALYST,
    f"POST {API}/integrations/{{name}}/backfills/{{backfill}}/{{deed}}": ANALYST,
    f"GET {API}/artifacts/search": VIEWER,
    f"GET {API}/artifacts/count": VIEWER,
    f"GET {API}/artifacts/histogram": VIEWER,
    f"GET {API}/artifacts/facets": VIEWER,
    f"GET {API}/artifacts/export": ANALYST,
    f"GET {API}/exports": ANALYST,
    f"POST {API}/exports": ANALYST,
    f"GET {API}/exports/{{export}}": ANALYST,
    f"DELETE {API}/exports/{{export}}": ANALYST,
    f"GET {API}/exports/{{export}}/file": ANALYST,
    f"GET {API}/exports/{{export}}/manifest": ANALYST,
    f"GET {API}/artifacts/live": VIEWER,
    f"GET {API}/artifacts/{{id}}": VIEWER,
    f"GET {API}/artifacts/{{id}}/evidence": VIEWER,
    f"POST {API}/artifacts/{{id}}/unmask": ANALYST,
    f"GET {API}/saved": VIEWER,
    f"POST {API}/saved": ANALYST,
    f"GET {API}/saved/{{slug}}": VIEWER,
    f"PATCH {API}/saved/{{slug}}": ANALYST,
    f"DELETE {API}/saved/{{slug}}": ANALYST,
    f"GET {API}/users": ADMIN,
    f"POST {API}/users": ADMIN,
    f"PATCH {API}/users/{{email}}": ADMIN,
    f"POST {API}/users/{{email}}/password": LOCAL,
    f"GET {API}/tokens": ADMIN,
    f"POST {API}/tokens": ADMIN,
    f"POST {API}/tokens/{{token_id}}/rotate": ADMIN,
    f"DELETE {API}/tokens/{{token_id}}": ADMIN,
    f"GET {API}/invitations": ADMIN,
    f"POST {API}/invitations": ADMIN,
    f"DELETE {API}/invitations/{{email}}": ADMIN,
    f"POST {API}/setup-link": LOCAL,
    "GET /admin/users": ADMIN,
    "POST /admin/users": ADMIN,
    "POST /admin/users/{email}": ADMIN,
    "POST /admin/users/{email}/withdraw": ADMIN,
    "GET /admin/settings/tokens": ADMIN,
    "POST /admin/settings/tokens": ADMIN,
    "POST /admin/settings/tokens/{token_id}/rotate": ADMIN,
    "POST /admin/settings/tokens/{token_id}/revoke": ADMIN,
    "GET /admin/settings/notifications": ADMIN,
    "GET /admin/settings/notifications/new": ADMIN,
    "POST /admin/settings/notifications/new": ADMIN,
    "GET /admin/settings/notifications/{name}": ADMIN,
    "POST /admin/settings/notifications/{name}": ADMIN,
    "POST /admin/settings/notifications/{name}/test": ADMIN,
    "POST /admin/settings/notifications/{name}/remove": ADMIN,
    f"GET {API}/notifications/channels": ADMIN,
    f"POST {API}/notifications/channels": ADMIN,
    f"GET {API}/notifications/channels/{{name}}": ADMIN,
    f"PATCH {API}/notifications/channels/{{name}}": ADMIN,
    f"DELETE {API}/notifications/channels/{{name}}": ADMIN,
    f"POST {API}/notifications/channels/{{name}}/test": ADMIN,
    f"GET {API}/notifications/history": ADMIN,
    "GET /invite": NOBODY,
    "POST /invite": NOBODY,
    "GET /admin/audit": ADMIN,
    "POST /admin/audit/verify": ADMIN,
    "POST /admin/audit/file": ADMIN,
    f"GET {API}/audit": ADMIN,
    f"GET {API}/audit/verify": ADMIN,
    f"GET {API}/settings": ADMIN,
    f"PATCH {API}/settings": ADMIN,
    f"POST {API}/backups": LOCAL,
    f"POST {API}/key/rotate": LOCAL,
}
CHANGING = sorted(route for route in ACCESS if not route.startswith("GET "))
CHANGING_PAGES = [route for route in CHANGING if API not in route]
CHANGING_API = [route for route in CHANGING if API in route]


class Clock:
    """Wall time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def move(self, **span: float) -> None:
        """Later by that much."""
        self.now += timedelta(**span)


class World:
    """An app over a real database, with an administrator, and browsers for it."""

    def __init__(self, system: Any, app: Any) -> None:
        self.system = system
        self.app = app

    def browser(self, origin: str = ORIGIN) -> httpx2.AsyncClient:
        """Nobody is signed in."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url=origin)

    @asynccontextmanager
    async def signed_in(self, role: str) -> AsyncIterator[httpx2.AsyncClient]:
        """As a user of that role."""
        async with self.browser() as http:
            if role != NOBODY:
                token = await sessions.login(self.system, f"{role}@example.com", PASSWORD, "")
                http.cookies.set(auth.SESSION_COOKIE, token, domain="conductor.test")
            yield http

    async def throttle(self, now: Callable[[], float]) -> None:
        """Count attempts by this clock."""
        self.app.state.throttle = Throttle(now)


class _Analytics:
    away = ""

    async def read(self, work: object) -> Any:
        raise NotFound("There is nothing here.")


async def story(folder: Path, tell: Callable[[World], Awaitable[Any]], *, local: bool = False) -> Any:
    """Tell it in a world of its own."""
    database = Database(sqlite_url(folder / "c.db"))
    schema.metadata.create_all(database.engine)
    await database.open()
    system = SimpleNamespace(
        database=database,
        vault=Vault(b"k" * 32),
        catalog=catalog.load(),
        analytics=_Analytics(),
        supervisor=SimpleNamespace(poll_now=None),
        pulse=Pulse(),
        metrics=Metrics(),
        indexer=SimpleNamespace(reader="nobody", geography=Geography(())),
        settings=Options(ORIGIN),
    )
    try:
        app = create_app(system, local=local)
        app.state.stopping.set()  # what goes on for ever ends at once
        return await tell(World(system, app))
    finally:
        await database.close()


async def people(world: World) -> None:
    """A user of each role."""
    for role in accounts.ROLES:
        await accounts.add_user(world.system, f"{role}@example.com", role.title(), PASSWORD, role, "local")


def address(route: str) -> tuple[str, str]:
    """A method and a path that leads to the route, though not to a thing."""
    method, _, path = route.partition(" ")
    path = (
        path.replace("{gap}", "1")
        .replace("{export}", "1")
        .replace("{backfill}", "1")
        .replace("{deed}", "pause")
        .replace("{digest}", "0")
        .replace("{name:path}", "x.css")
        .replace("/new/hint", "/new/hint?kind=x&field=y")
    )
    return method, re.sub(r"/new$", "/new?kind=x", re.sub(r"{\w+}", "nothing", path))
