"""What helps somebody else to find a fault here, in parts, without secrets, passwords and events. Nothing leaves by
itself: the command that asks for it writes a file."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import prometheus_client

from conductor import __version__
from conductor.core import clock
from conductor.core.wording import duration
from conductor.observe import redactor
from conductor.operations import figures, history, statuses
from conductor.operations.statuses import Status
from conductor.operations.system import System
from conductor.store import audit

BETWEEN = "\n\x1f\n"
POLLS, SOURCES = 20, 50  # of a source, and how many sources' polls are told: those that need somebody first
CONTENTS = {
    "about.txt": "versions, platform, how long it runs",
    "settings.txt": "the settings, without passwords",
    "sources.json": "the integrations with their settings and health, without secrets",
    "polls.json": f"the last {POLLS} polls of {SOURCES} sources with their requests, without what was answered",
    "pipeline.json": "what came in, waits and failed; the room on the disk",
    "metrics.txt": "the figures of /metrics",
    "log.txt": "the last warnings and errors",
}
Shape = Callable[[Any], Mapping[str, Any]]


async def bundle(system: System, integration: Shape, poll: Shape, exchange: Shape, *, by: str) -> dict[str, str]:
    """The parts by name; the shapes are how things look as JSON. That it was made is in the audit log."""
    await system.database.write(lambda connection: audit.append(connection, by, "support.bundle", "bundle"))
    found = await statuses.overview(system)
    parts = {
        "about.txt": _about(),
        "settings.txt": "".join(f"{item.name}={item.value} ({item.source})\n" for item in system.settings.told),
        "sources.json": _json([integration(status) for status in found]),
        "polls.json": _json(await _polls(system, found, poll, exchange)),
        "pipeline.json": _json(await _pipeline(system, found)),
        "metrics.txt": prometheus_client.generate_latest(system.metrics.registry).decode(),
        "log.txt": "".join(f"{line}\n" for line in figures.last_lines()),
    }
    return {name: text if name.endswith(".json") else redactor.clean(text) for name, text in parts.items()}


async def _polls(system: System, found: Sequence[Status], poll: Shape, exchange: Shape) -> dict[str, Any]:
    told: dict[str, list[Mapping[str, Any]]] = {}
    for status in sorted(found, key=lambda status: status.health.state.calm)[:SOURCES]:
        name = status.integration.name
        told[name] = []
        for one in await history.recent_polls(system, name, POLLS):
            _, exchanges = await history.one_poll(system, name, one.id)
            requests = [{**exchange(item), "body": f"({len(item.body)} bytes)"} for item in exchanges]
            told[name].append({**poll(one), "exchanges": requests})
    return told


async def _pipeline(system: System, found: Sequence[Status]) -> dict[str, Any]:
    room = await figures.room(system, sum(status.events_24h for status in found))
    return {"stages": [*await figures.pipeline(system), await figures.searchable(system)], "room": room}


def _about() -> str:
    return (
        f"Conductor {__version__}\nPython {sys.version.partition(' ')[0]}\n{platform.platform()}\n"
        f"made {clock.to_text(clock.now())}\nruns for {duration(figures.uptime())}\n"
    )


def _json(content: Any) -> str:
    """Every text in it without secrets, all at once: there may be thousands of both. The whole as text would not be
    JSON any more."""
    plain = msgspec.to_builtins(content)
    texts = list(_texts(plain))
    clean = iter(redactor.clean(BETWEEN.join(texts)).split(BETWEEN))
    return msgspec.json.format(msgspec.json.encode(_replaced(plain, clean)), indent=1).decode()


def _texts(content: Any) -> Iterator[str]:
    match content:
        case str():
            yield content.replace(BETWEEN, " ")
        case dict():
            for value in content.values():
                yield from _texts(value)
        case list():
            for value in content:
                yield from _texts(value)


def _replaced(content: Any, texts: Iterator[str]) -> Any:
    """The same with the next text for each text in it."""
    match content:
        case str():
            return next(texts)
        case dict():
            return {name: _replaced(value, texts) for name, value in content.items()}
        case list():
            return [_replaced(value, texts) for value in content]
    return content
