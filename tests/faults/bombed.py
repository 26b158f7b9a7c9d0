"""A process that asks a hostile server for each of its bombs, and tells how much memory that took at its highest.

python bombed.py PORT CA-FILE PATH…: one JSON object of path → [what it ended in, bytes above the idle process].
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path

from conductor.core.config import Allowance
from conductor.core.errors import ConductorError
from conductor.outbound import guard
from conductor.outbound.client import Client, Route
from conductor.outbound.guard import Policy
from conductor.outbound.pace import Limiter


def resident(name: str) -> int:
    """VmRSS or VmHWM, its highest so far, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def begin() -> int:
    """Let the highest be counted from now on."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


async def ask(http: Client, url: str) -> str:
    """What a request ends in."""
    try:
        return str((await http.get(url, {})).status)
    except ConductorError as error:
        return error.code
    finally:
        await http.close()


async def main(port: str, authority: str, *paths: str) -> dict[str, list[object]]:
    """Each bomb, after an ordinary request has set everything up."""
    limiter = Limiter()
    limiter.join("test", 1.0, Allowance(1000.0, 1000.0))
    route = Route(Policy(guard.parse_networks(["127.0.0.0/8"])), Path(authority).read_text())
    http = Client("acme", route, limiter, lambda announced: Allowance(1000.0, 1000.0))
    assert await ask(http, f"https://127.0.0.1:{port}/page") == "200"
    found: dict[str, list[object]] = {}
    for path in paths:
        idle = begin()
        code = await ask(http, f"https://127.0.0.1:{port}{path}")
        found[path] = [code, resident("VmHWM") - idle]
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
