"""Compiles an event type into byte templates: one `%` writes an event, so that a million take seconds.

A marker `{{name}}` stands for escaped text inside a string; a string that is only `{{=name}}` becomes raw JSON.
"""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

import msgspec

from conductor.simulator import event_types, shapes
from conductor.simulator.event_types import EventType

RAW_MARKER = re.compile(rb'"\{\{=(\w+)\}\}"')
TEXT_MARKER = re.compile(rb"\{\{(\w+)\}\}")
SEED = 2026  # templates are the same for all tenants; only their choice follows the tenant's seed
VARIANTS = 2 * len(shapes.CHANGES)

CLIENT = {"client_id": "{{client_id}}", "client_name": "{{client_name}}"}
PLACE = {"ip": "{{ip}}", "user_agent": "{{user_agent}}"}
CONNECTION = {
    "connection": "{{connection}}",
    "connection_id": "{{connection_id}}",
    "strategy": "{{strategy}}",
    "strategy_type": "{{strategy_type}}",
}
USER = {"user_id": "{{user_id}}", "user_name": "{{user_name}}"}
TOKEN = {"audience": "{{audience}}", "scope": "openid profile email"}
MOBILE = {"is_mobile": "{{=mobile}}"}
SDK = {"auth0_client": {"name": "auth0-spa-js", "version": "2.4.1"}}
TRACE = {
    "references": {"correlation_id": "{{n24}}", "trace_id": "{{n32}}"},
    "security_context": {"ja3": "{{n32}}", "ja4": "t13d1516h2_{{n16}}"},
}
TENANT = {"tenant_name": "{{tenant}}", "environment_name": "prod-us-1", "$event_schema": {"version": "2.0"}}
HOST = {"hostname": "{{hostname}}"}
FAMILIES: dict[str, dict[str, Any]] = {
    "user": {**CONNECTION, **CLIENT, **PLACE, **HOST, **USER, **TOKEN, **SDK, **MOBILE, **TRACE},
    "machine": {**CLIENT, **PLACE, **HOST, "audience": "{{audience}}", "scope": "read:orders write:orders", **SDK},
    "guardian": {**CLIENT, **PLACE, **HOST, **USER, **MOBILE},
    "admin": {**CONNECTION, **CLIENT, **PLACE, **USER, **HOST},
    "edge": {**CLIENT, **PLACE, **HOST, **MOBILE},
    "system": {"client_name": "", **HOST},
}


def sketch(kind: EventType) -> dict[str, Any]:
    """The event as the published schema describes it, with markers where values go."""
    event = {"date": "{{date}}", "type": kind.code, "description": kind.description}
    event |= deepcopy(FAMILIES[kind.family]) | {"details": deepcopy(kind.details)}
    if kind.details is None:
        del event["details"]
    return event | kind.top | TENANT | {"log_id": "{{log_id}}"}


def compiled(event: dict[str, Any]) -> bytes:
    """A template of this event for the `%` operator and a mapping of markers."""
    encoded = msgspec.json.encode(event).replace(b"%", b"%%")
    return TEXT_MARKER.sub(rb"%(\1)b", RAW_MARKER.sub(rb"%(\1)b", encoded))


@cache
def variants(code: str, shape: str) -> tuple[bytes, ...]:
    """All templates of a type; the last is the tidy one.

    For `plain` it is the only one. Else there is one for each way the API was seen to differ, and as many ordinary.
    """
    kind = event_types.load()[code]
    if shape == "plain":
        return (compiled(sketch(kind)),)
    rng = Random(f"{SEED}/{code}")
    events = (shapes.varied(sketch(kind), number, rng, odd=shape == "odd") for number in range(VARIANTS))
    return (*map(compiled, events), compiled(shapes.tidy(sketch(kind))))
