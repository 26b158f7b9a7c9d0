"""POST /oauth/token with the client credentials grant."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Mapping
from secrets import token_urlsafe
from urllib.parse import parse_qsl, urlsplit

import msgspec

from conductor.simulator import rate, tokens, world
from conductor.simulator.tenant import Tenant
from conductor.simulator.wire import Reply, Request, json_reply, oauth_error

GRANT = "client_credentials"
SECONDS_PER_TOKEN = 864  # recorded: Reset is the time of a *full* bucket, 43 minutes ahead with 97 of 100 remaining


def token(tenant: Tenant, request: Request) -> Reply:
    """Answer a token request; each one leaves an event in the tenant's own log."""
    bucket = tenant.token_bucket
    if bucket and not bucket.take(request.now):
        tenant.record_limit(request.now)
        reply = oauth_error(429, "too_many_requests", "Rate limit exceeded.").plus({"retry-after": "1"})
        return reply.plus(rate.headers(bucket))
    return _answer(tenant, request).plus(rate.headers(bucket, _full(bucket, request)))


def _full(bucket: rate.Bucket | None, request: Request) -> int:
    missing = bucket.limit.burst - bucket.remaining if bucket else 0
    return int(request.now.timestamp() + missing * SECONDS_PER_TOKEN)


def _answer(tenant: Tenant, request: Request) -> Reply:
    fields = _fields(request)
    if fields is None or "grant_type" not in fields:
        return oauth_error(400, "invalid_request", "Missing required parameter: grant_type")
    if fields["grant_type"] != GRANT:
        return oauth_error(400, "unsupported_grant_type", f"Unsupported grant type: {fields['grant_type']}")
    refusal = _refusal(tenant, fields)
    if refusal:
        _record(tenant, request, fields, "feccft")
        return refusal
    _record(tenant, request, fields, "seccft")
    return _granted(tenant, request, fields)


def _fields(request: Request) -> dict[str, str] | None:
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            fields = msgspec.json.decode(request.body, type=dict[str, str])
        except msgspec.DecodeError:
            return None
    else:
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    return fields | _basic(request.headers.get("authorization", ""))


def _basic(authorization: str) -> dict[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": name, "client_secret": secret}


def _refusal(tenant: Tenant, fields: Mapping[str, str]) -> Reply | None:
    spec = tenant.spec
    secret = fields.get("client_secret", "").encode()
    known = fields.get("client_id") == spec.client_id
    if not (known and hmac.compare_digest(secret, spec.client_secret.encode())):
        return oauth_error(401, "access_denied", "Unauthorized")
    if not spec.client_credentials:
        return oauth_error(
            403,
            "unauthorized_client",
            f"Grant type '{GRANT}' not allowed for the client.",
            error_uri="https://auth0.com/docs/clients/client-grant-types",
        )
    audience = fields.get("audience", "")
    if audience and not is_own_audience(tenant, audience):
        return oauth_error(403, "access_denied", f"Service not enabled within domain: {audience}")
    if audience and not spec.granted:
        text = f'Client "{spec.client_id}" is not authorized to access resource server "{audience}".'
        return oauth_error(403, "access_denied", text)
    return None


def is_own_audience(tenant: Tenant, audience: str) -> bool:
    """Whether this is the tenant's Management API: its canonical name, with or without a port, and the final slash."""
    parts = urlsplit(audience)
    return parts.scheme == "https" and parts.path == "/api/v2/" and parts.hostname in world.canonical(tenant.spec)


def _granted(tenant: Tenant, request: Request, fields: Mapping[str, str]) -> Reply:
    spec = tenant.spec
    shared = {"token_type": "Bearer", "expires_in": spec.token_lifetime}
    if not fields.get("audience"):
        return json_reply(200, {"access_token": token_urlsafe(24), **shared})
    issued = int(request.now.timestamp())
    claims = tokens.Claims(
        iss=f"https://{request.host}/",
        sub=f"{spec.client_id}@clients",
        aud=fields["audience"],
        iat=issued,
        exp=issued + spec.token_lifetime,
        scope=spec.scope,
    )
    return json_reply(200, {"access_token": tokens.mint(tenant.key, claims), "scope": spec.scope, **shared})


def _record(tenant: Tenant, request: Request, fields: Mapping[str, str], code: str) -> None:
    tenant.record(
        code,
        request.now,
        client_id=fields.get("client_id", ""),
        client_name="Conductor",
        audience=fields.get("audience", ""),
        ip="192.0.2.10",
        user_agent=request.headers.get("user-agent", ""),
    )
