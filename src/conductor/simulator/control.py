"""The control API: what a test or a demonstration asks the simulator itself, on any host name.

    GET    /_simulator/                    faults that exist, tenants, their settings without the secret
    GET    /_simulator/log-ids?tenant=     ids the API would serve now, oldest first, and those not visible yet
    POST   /_simulator/events?tenant=      {"event": {...}, "late": seconds} adds one; {"type": "fp"} writes one
    GET    /_simulator/stats               requests by tenant, endpoint and status;  DELETE forgets them
    GET    /_simulator/faults              the active ones;  DELETE ends them (?kind= those of a kind)
    POST   /_simulator/faults              {"kind": "server_error", "count": 3, "endpoint": "logs"}: see `faults.Fault`
    PATCH  /_simulator/tenants/NAME        settings of `tenant.TenantSpec`: client_secret, scope, plan, rate_limit ...

Without `tenant` the first one is meant. Whoever reaches the port may use it: the simulator is not for production.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgspec

from conductor.simulator import event_types, rate
from conductor.simulator.faults import KINDS, Fault
from conductor.simulator.tenant import Tenant
from conductor.simulator.wire import Reply, Request, api_error, json_reply
from conductor.simulator.world import World

PREFIX = "/_simulator/"
CHANGEABLE = frozenset(
    [
        "client_id",
        "client_secret",
        "plan",
        "rate_limit",
        "scope",
        "granted",
        "client_credentials",
        "token_lifetime",
        "custom_domain",
    ]
)
FAULT_MEMBERS = tuple(member.name for member in fields(Fault) if not member.name.startswith("_"))


class ControlError(Exception):
    """The request to the control API makes no sense; says why."""


def answer(world: World, request: Request) -> Reply:
    """Answer one request to the control API."""
    try:
        return _answer(world, request)
    except (ControlError, msgspec.DecodeError, ValueError, TypeError) as error:
        return api_error(400, str(error))


def _answer(world: World, request: Request) -> Reply:
    match request.method, request.path.removeprefix(PREFIX).rstrip("/").split("/"):
        case "GET", [""]:
            return json_reply(200, _overview(world))
        case "GET", ["log-ids"]:
            return json_reply(200, _log_ids(world, request))
        case "POST", ["events"]:
            return json_reply(200, {"log_id": _add_event(_tenant(world, request), request)})
        case "GET" | "DELETE", ["stats"]:
            return json_reply(200, _stats(world, request))
        case "GET" | "POST" | "DELETE", ["faults"]:
            return json_reply(200, _faults(world, request))
        case "PATCH", ["tenants", name] if name in world.tenants:
            return json_reply(200, _change(world.tenants[name], request))
        case _:
            return api_error(404, "There is no such control")


def _overview(world: World) -> dict[str, Any]:
    return {"tenants": {name: _settings(tenant) for name, tenant in world.tenants.items()}, "fault_kinds": list(KINDS)}


def _settings(tenant: Tenant) -> dict[str, Any]:
    names = (member.name for member in fields(tenant.spec) if member.name != "client_secret")
    return {name: getattr(tenant.spec, name) for name in names}


def _tenant(world: World, request: Request) -> Tenant:
    name = request.query.get("tenant", world.first.spec.name)
    if name not in world.tenants:
        raise ControlError(f"There is no tenant {name!r}")
    return world.tenants[name]


def _log_ids(world: World, request: Request) -> dict[str, Any]:
    tenant = _tenant(world, request)
    return {"log_ids": world.log_ids(tenant.spec.name), "hidden": tenant.hidden_ids()}


def _add_event(tenant: Tenant, request: Request) -> str:
    wanted = _body(request)
    tenant.advance(request.now)
    if "type" in wanted and wanted["type"] in event_types.load():
        return tenant.record(wanted["type"], request.now).log_id
    if not isinstance(wanted.get("event"), dict):
        raise ControlError('Send {"event": {...}} or {"type": one of the known codes}')
    return tenant.add(wanted["event"], request.now, late=wanted.get("late")).log_id


def _stats(world: World, request: Request) -> dict[str, Any]:
    counts = [
        {"tenant": tenant, "endpoint": endpoint, "status": status, "count": count}
        for (tenant, endpoint, status), count in sorted(world.stats.counts.items())
    ]
    if request.method == "DELETE":
        world.stats.clear()
    return {"requests": counts, "token_requests": sum(row["count"] for row in counts if row["endpoint"] == "token")}


def _faults(world: World, request: Request) -> dict[str, Any]:
    match request.method:
        case "POST":
            world.faults.add(_fault(_body(request)))
        case "DELETE":
            world.faults.clear(request.query.get("kind", ""))
    return {"faults": [{name: getattr(fault, name) for name in FAULT_MEMBERS} for fault in world.faults.active]}


def _fault(wanted: dict[str, Any]) -> Fault:
    unknown = wanted.keys() - set(FAULT_MEMBERS)
    if unknown:
        raise ControlError(f"A fault has no {', '.join(sorted(unknown))}")
    return Fault(**wanted)


def _change(tenant: Tenant, request: Request) -> dict[str, Any]:
    wanted = _body(request)
    refused = wanted.keys() - CHANGEABLE
    if refused:
        raise ControlError(f"Cannot change {', '.join(sorted(refused))}")
    rate.parse(wanted.get("rate_limit", "none"), wanted.get("plan", tenant.spec.plan))
    tenant.change(request.now, **wanted)
    return _settings(tenant)


def _body(request: Request) -> dict[str, Any]:
    return msgspec.json.decode(request.body, type=dict[str, Any])
