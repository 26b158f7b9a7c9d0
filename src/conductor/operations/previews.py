"""A look at what a source would bring: its newest records beside what becomes of them. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from conductor.core import clock, masking
from conductor.core.artifact import SEVERITY_NAMES
from conductor.core.connector import Connector
from conductor.core.errors import NormalizeError, SourceError
from conductor.core.signal import Signal
from conductor.operations import auditing, configs, integrations
from conductor.operations.system import System
from conductor.outbound.client import Usage

COUNT = 10


@dataclass(frozen=True, slots=True)
class Shown:
    """One record exactly as received, and its fields; none when it could not be understood."""

    raw: bytes
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """The newest records, the newest first, and how many requests the look cost."""

    events: tuple[Shown, ...]
    requests: int


async def preview(
    system: System, slug: str, values: Mapping[str, Any], *, by: str, name: str | None = None, masked: bool = False
) -> Preview:
    """Of typed values, or of a saved integration (`name`) with some of them changed; `masked` without personal data.

    Raises Invalid, NotFound, and a SourceError when the source cannot be read.
    """
    if name is not None:
        found = await integrations.find(system, name)
        slug, config = found.connector, await configs.merged(system, found, values, name)
    else:
        config = system.catalog.get(slug).Config.parse(values)
    source = system.assembly.trial(slug, config)
    source.http.usage = usage = Usage()
    try:
        newest = await source.connector.newest(COUNT)
        shown = (Shown(signal.raw, _fields(source.connector, signal)) for signal in newest)
        return Preview(tuple(_masked(one) for one in shown) if masked else tuple(shown), usage.requests)
    except SourceError as error:
        await auditing.refused(system, error.code, slug, error.facts, by=by)
        raise
    finally:
        await source.close()


def _masked(shown: Shown) -> Shown:
    fields = masking.artifact({**shown.fields, "raw": shown.raw})
    return Shown(fields.pop("raw"), fields)


def _fields(connector: Connector, signal: Signal) -> dict[str, Any]:
    try:
        artifact = msgspec.structs.asdict(connector.normalize(signal))
    except NormalizeError:
        return {}
    artifact["time"] = clock.to_text(clock.from_micros(artifact["time"]))
    artifact["severity"] = SEVERITY_NAMES[artifact["severity"]]
    return {name: value for name, value in artifact.items() if value not in ("", 0) or value is True}
