"""The search mode of GET /api/v2/logs: newest first by id, at most 1,000 results, a little of the query language.

Of the language it knows terms joined by AND: `field:value`, `field:"value"` and `field:[from TO to]`, where `*` is
an open end. That covers what collectors send.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from conductor.core import clock
from conductor.simulator.events import Event
from conductor.simulator.tenant import Tenant
from conductor.simulator.wire import Reply, Request, api_error, json_reply

PER_PAGE, PER_PAGE_MAX, CEILING = 50, 100, 1_000
QUERY_MAX = 4_096  # characters
FIELDS = frozenset(
    [
        "client_id",
        "client_name",
        "connection",
        "connection_id",
        "description",
        "date",
        "hostname",
        "ip",
        "log_id",
        "organization_id",
        "user_id",
        "user_name",
        "user_agent",
        "strategy",
        "strategy_type",
        "type",
        "agent_id",
    ]
)
RANGE = re.compile(r"[\[{](\S+) TO (\S+)[\]}]")
TERM = re.compile(r'\s*(\w+):([\[{]\S+ TO \S+[\]}]|"[^"]*"|\S+)\s*')

Keeps = Callable[[Event], bool]


class SearchError(Exception):
    """The search cannot be done; holds the reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def page(tenant: Tenant, request: Request) -> Reply:
    """One page of results."""
    try:
        return _page(tenant, request)
    except SearchError as error:
        return error.reply


def _page(tenant: Tenant, request: Request) -> Reply:
    if len(request.target) > QUERY_MAX:
        raise SearchError(api_error(414, "Request-URI Too Large"))
    number = _number(request, "page", 0, None)
    size = _number(request, "per_page", PER_PAGE, PER_PAGE_MAX)
    if (number + 1) * size > CEILING:
        raise SearchError(_beyond(request, number))
    matching = _matching(tenant, request, number * size + size)
    events = [msgspec.json.decode(event.body) for event in matching[number * size :]]
    chosen = [_projected(event, request.query) for event in events]
    return json_reply(200, _wrapped(chosen, number, size) if request.query.get("include_totals") == "true" else chosen)


def _number(request: Request, name: str, default: int, most: int | None) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or (most is not None and int(text) > most):
        message = f"Query validation error: '{text}' is not allowed on property {name}"
        raise SearchError(api_error(400, message, "invalid_query_string"))
    return int(text)


def _beyond(request: Request, number: int) -> Reply:
    return api_error(
        400,
        f"Requesting page {number + 1} exceeds the allowed maximum of 1000 records: please consider searching by"
        " checkpoint https://auth0.com/docs/logs/retrieve-log-events-using-mgmt-api#get-logs-by-checkpoint",
        "invalid_paging",
    )


def _matching(tenant: Tenant, request: Request, count: int) -> list[Event]:
    conditions = _conditions(request.query.get("q") or request.query.get("search") or "")
    ordered = _ordered(tenant.visible(request.now), request.query.get("sort", ""))
    most = tenant.spec.searchable or sys.maxsize
    wanted = (event for event in ordered if len(event.body) <= most and all(keeps(event) for keeps in conditions))
    return list(islice(wanted, count))


def _ordered(events: Sequence[Event], sort: str) -> Sequence[Event]:
    name, _, direction = (sort or "log_id:-1").partition(":")
    if name not in ("date", "log_id") or direction not in ("1", "-1"):
        raise SearchError(api_error(400, f"Query validation error: '{sort}' on property sort", "invalid_query_string"))
    ordered = events if name == "log_id" else sorted(events, key=lambda event: event.date)
    return ordered if direction == "1" else ordered[::-1]


def _conditions(query: str) -> list[Keeps]:
    return [_condition(part) for part in query.split(" AND ") if part.strip()]


def _condition(part: str) -> Keeps:
    term = TERM.fullmatch(part)
    if term is None:
        raise SearchError(_query_error(f"cannot read {part!r}"))
    name, value = term.groups()
    if name not in FIELDS:
        raise SearchError(_query_error(f'unknown field "{name}"'))
    between = RANGE.fullmatch(value)
    if between is None:
        return lambda event: msgspec.json.decode(event.body).get(name) == value.strip('"')
    return _between(name, *between.groups())


def _between(name: str, low: str, high: str) -> Keeps:
    if name == "date":
        first, last = _micros(low, 0), _micros(high, 2**62)
        return lambda event: first <= event.date <= last
    top = "~" if high == "*" else high
    bottom = "" if low == "*" else low
    if name == "log_id":
        return lambda event: bottom <= event.log_id <= top
    return lambda event: bottom <= str(msgspec.json.decode(event.body).get(name)) <= top


def _micros(text: str, default: int) -> int:
    if text == "*":
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SearchError(_query_error(f"cannot read the date {text!r}")) from error
    return clock.to_micros(moment if moment.tzinfo else moment.replace(tzinfo=clock.EPOCH.tzinfo))


def _query_error(text: str) -> Reply:
    return api_error(400, f"The search query string has an error: {text}", "invalid_query_string")


def _projected(event: dict[str, Any], query: Any) -> dict[str, Any]:
    names = set(query.get("fields", "").split(","))
    if names == {""}:
        return event
    if query.get("include_fields") == "false":
        return {name: value for name, value in event.items() if name not in names}
    return {name: value for name, value in event.items() if name in names | {"_id"}}


def _wrapped(events: list[dict[str, Any]], number: int, size: int) -> dict[str, Any]:
    return {"start": number * size, "limit": size, "length": len(events), "total": len(events), "logs": events}
