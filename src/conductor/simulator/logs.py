"""GET /api/v2/logs and /api/v2/logs/{id}: who may read, how often, and the checkpoint mode."""

from __future__ import annotations

from collections.abc import Sequence

from conductor.simulator import log_ids, rate, search, tokens
from conductor.simulator.events import Event
from conductor.simulator.tenant import Tenant
from conductor.simulator.wire import Reply, Request, api_error

SCOPES = ("read:logs", "read:logs_users")
TAKE, TAKE_MAX = 50, 100


def page(tenant: Tenant, request: Request) -> Reply:
    """A page of the log: in checkpoint mode when there is a `from`, else a search."""
    return _guarded(tenant, request) or _limited(tenant, request) or _page(tenant, request).plus(_rates(tenant))


def one(tenant: Tenant, request: Request) -> Reply:
    """One event by its id."""
    return _guarded(tenant, request) or _limited(tenant, request) or _one(tenant, request).plus(_rates(tenant))


def checkpoint(tenant: Tenant, request: Request) -> Reply:
    """Events after `from`, oldest first; every other parameter but `take` is ignored. An empty `from` is the start."""
    start = request.query["from"]
    if start and not log_ids.WELL_FORMED.fullmatch(start):
        return malformed(start)
    take = request.query.get("take", str(TAKE))
    if not take.isdecimal() or not 1 <= int(take) <= TAKE_MAX:
        return api_error(
            400, f"Query validation error: '{take}' is not between 1 and 100 on property take", "invalid_query_string"
        )
    events = tenant.after(start, request.now, int(take))
    return Reply(200, joined(events)).plus({"link": _link(request, events, take)})


def malformed(start: str) -> Reply:
    """The answer to a `from` that is no log id."""
    message = f"Query validation error: 'String '{start}' does not match pattern ^[0-9]{{56}}$' on property from"
    return api_error(400, message, "invalid_query_string")


def joined(events: Sequence[Event]) -> bytes:
    """The events as one JSON array, from their ready bytes."""
    return b"[" + b",".join([event.body for event in events]) + b"]"


def _link(request: Request, events: Sequence[Event], take: str) -> str:
    if not events:
        return f'<{request.url}>; rel="next"'
    address = f"{request.scheme}://{request.netloc}{request.path}"
    return f'<{address}?from={events[-1].log_id}&take={take}>; rel="next"'


def _page(tenant: Tenant, request: Request) -> Reply:
    return checkpoint(tenant, request) if "from" in request.query else search.page(tenant, request)


def _one(tenant: Tenant, request: Request) -> Reply:
    found = tenant.find(request.path.rpartition("/")[2], request.now)
    return Reply(200, found.body) if found else api_error(404, "Log not found.", "inexistent_log")


def _rates(tenant: Tenant) -> dict[str, str]:
    return rate.headers(tenant.logs_bucket)


def _guarded(tenant: Tenant, request: Request) -> Reply | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return api_error(401, "Missing authentication")
    claims = tokens.read(tenant.key, token, issuer=f"https://{request.host}/", now=request.now.timestamp())
    if isinstance(claims, tokens.Refusal):
        return unauthorized(claims)
    return None if set(SCOPES) & set(claims.scope.split()) else forbidden()


def unauthorized(refusal: tokens.Refusal) -> Reply:
    """The answer to a token that is not good."""
    return api_error(401, refusal.message, attributes={"error": refusal.message})


def forbidden() -> Reply:
    """The answer to a token without a scope for reading logs."""
    return api_error(403, f"Insufficient scope, expected any of: {','.join(SCOPES)}", "insufficient_scope")


def _limited(tenant: Tenant, request: Request) -> Reply | None:
    if tenant.logs_bucket is None or tenant.logs_bucket.take(request.now):
        return None
    tenant.record_limit(request.now)
    return too_many().plus(_rates(tenant))


def too_many() -> Reply:
    """The answer when the bucket is empty."""
    return api_error(429, "Global limit has been reached", "too_many_requests")
