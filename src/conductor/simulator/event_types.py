"""The 196 event types the simulator can write, from `event_types.json` beside this file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec


class EventType(msgspec.Struct, frozen=True):
    """One type: its code, what the event says, who takes part, and how often it happens in a thousand events.

    `family` chooses the top-level members (see `templates`), `top` adds some, `details` is None where the vendor
    sends none. Texts hold `{{markers}}`.
    """

    code: str
    description: str
    family: str
    weight: int = 0
    top: dict[str, Any] = {}
    details: dict[str, Any] | None = None


@cache
def load() -> dict[str, EventType]:
    """All types by their code."""
    text = resources.files("conductor.simulator").joinpath("event_types.json").read_bytes()
    return {kind.code: kind for kind in msgspec.json.decode(text, type=list[EventType])}
