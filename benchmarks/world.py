"""A simulator in a process of its own and a Conductor in this one, for the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conductor import app, observe
from conductor.operations import integrations
from conductor.operations.system import System
from conductor.settings import Settings

RATE = "5000/s"  # what the simulated tenant allows, so that the limit is not what is measured


@dataclass(frozen=True, slots=True)
class Tenant:
    """What to type into the form."""

    domain: str
    client_id: str
    client_secret: str
    ca: str

    def values(self, **more: Any) -> dict[str, Any]:
        """The config of an integration."""
        fixed = {"domain": self.domain, "client_id": self.client_id, "client_secret": self.client_secret}
        return fixed | {"ca_bundle": self.ca, "plan": "enterprise", "rate_share": 100} | more


@contextmanager
def simulated(history: int, *, days: float = 5.0, rate: float = 0.0, rate_limit: str = RATE) -> Iterator[Tenant]:
    """A simulated tenant, in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        options = {"--history": history, "--days": days, "--rate": rate, "--rate-limit": rate_limit}
        options |= {"--ready-file": ready, "--ca-dir": folder}
        words = [str(word) for pair in options.items() for word in pair]
        process = subprocess.Popen(
            [sys.executable, "-m", "conductor", "simulate", "auth0", *words], stderr=subprocess.DEVNULL
        )
        try:
            while not ready.exists():
                time.sleep(0.1)
            told = json.loads(ready.read_text())
            found = told["tenants"][0]
            yield Tenant(found["domain"], found["client_id"], found["client_secret"], Path(told["ca"]).read_text())
        finally:
            process.terminate()
            process.wait()


@asynccontextmanager
async def conductor() -> AsyncIterator[System]:
    """A Conductor with empty stores, without web server."""
    observe.set_up()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), allow_private_targets="127.0.0.0/8,::1/128")
        with app.owned(settings.data) as directory:
            async with app.opened(settings, directory) as system:
                yield system


async def add(system: System, name: str, tenant: Tenant, **more: Any) -> None:
    """An integration of that tenant, switched off, untested."""
    await integrations.add(system, name, "auth0", tenant.values(**more), enabled=False, by="bench", test=False)
