"""The web application over a Conductor that has collected events, for tests of pages that show them."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import worlds
from routes import LIST, ORIGIN, PASSWORD

from conductor.operations import accounts, general, sessions
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.web import auth
from conductor.web.app import create_app


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


def told(folder: Path, spec: TenantSpec, tell: Callable[[Site], Awaitable[None]]) -> None:
    """Tell a story on a Conductor that has collected what such a tenant has."""

    async def work() -> None:
        async with worlds.collecting(folder, spec) as world:
            site = Site(world)
            await site.collect()
            await tell(site)

    worlds.run(work)
