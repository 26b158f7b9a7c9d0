"""The connection test: nine named steps, each with its own fix, stopping at the first that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from time import monotonic

from conductor.connectors.auth0 import page
from conductor.connectors.auth0.api import SCOPES, Api, events_of
from conductor.connectors.auth0.config import TenantConfig
from conductor.core.connector import CheckStep, StepState
from conductor.core.errors import SourceError, UnknownTenant
from conductor.outbound.client import Client
from conductor.outbound.oauth2 import Token, TokenSource

NAMES = ("Domain", "DNS", "Connect", "TLS", "Clock", "Token", "Scopes", "Read", "Limits")
SKEW_WARNS = 30.0  # seconds
ELSEWHERE = 8.0  # seconds, to look for a tenant in other regions, of which three or so are asked in that time
_POWERFUL = ("delete:", "update:", "create:")


async def steps(config: TenantConfig, http: Client, tokens: TokenSource) -> AsyncGenerator[CheckStep, None]:
    """Each step as it ends; after a failure the rest as skipped."""
    done = 0
    try:
        async for step in _run(config, http, tokens):
            yield step
            done += 1
    except SourceError as error:
        facts = {"domain": config.domain, **error.facts}
        if isinstance(error, UnknownTenant):
            facts["found"] = await elsewhere(config, http)
        yield CheckStep(NAMES[done], StepState.FAILED, str(error), error.code, facts)
        for name in NAMES[done + 1 :]:
            yield CheckStep(name, StepState.SKIPPED, "not tried")


async def elsewhere(config: TenantConfig, http: Client) -> str:
    """The first other region in which a tenant of that name answers, empty for none. No secret is sent there.

    Every tenant publishes its metadata (OpenID Connect Discovery 1.0, section 4).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(ELSEWHERE):
            for domain in config.elsewhere:
                with suppress(SourceError):
                    answer = await http.get(f"https://{domain}/.well-known/openid-configuration", {})
                    if answer.status == 200:
                        return domain
    return ""


async def _run(config: TenantConfig, http: Client, tokens: TokenSource) -> AsyncIterator[CheckStep]:
    yield _domain(config)
    async for step in _network(config, http):
        yield step
    api = Api(config, http, tokens)
    await tokens.forget()  # a fresh token tells the scopes of now, and its answer the clock
    try:
        token = await api.any_token()
    except SourceError:
        yield _clock(http)
        raise
    yield _clock(http)
    yield _ok("Token", f"issued, valid until {token.expires_at:%-d %b %H:%M} UTC")
    await api.token()
    yield _scopes(token)
    answer = await api.logs({"per_page": "1", "fields": "log_id,date", "include_fields": "true"})
    yield _read(events_of(answer), page.signals(answer.body)[:1] != [])
    yield _limits(http)


def _domain(config: TenantConfig) -> CheckStep:
    if config.is_custom and not config.tenant_domain:
        facts = {"domain": config.domain}
        text = f"{config.domain}, a custom domain without its tenant domain"
        return CheckStep("Domain", StepState.WARNING, text, "auth0.domain.custom", facts)
    tenant = f", tenant {config.tenant_domain}" if config.tenant_domain else _region(config.host)
    return _ok("Domain", f"{config.domain}{tenant}")


def _region(host: str) -> str:
    parts = host.removesuffix(".auth0.com").split(".")
    return f", region {parts[-1].upper()}" if host.endswith(".auth0.com") and len(parts) > 1 else ""


async def _network(config: TenantConfig, http: Client) -> AsyncIterator[CheckStep]:
    if http.proxied:
        for name in ("DNS", "Connect", "TLS"):
            yield _ok(name, "through the proxy")
        return
    begun = monotonic()
    found = await http.addresses(config.host, config.port)
    yield _ok("DNS", f"{', '.join(map(str, found[:3]))} ({_milliseconds(begun)} ms)")
    begun = monotonic()
    answering = await http.connect(config.host, config.port, found)
    yield _ok("Connect", f"TCP {config.port}, no proxy ({_milliseconds(begun)} ms)")
    certificate = await http.handshake(config.host, config.port, answering)
    yield _ok("TLS", f"valid to {certificate.expires:%-d %b %Y}, issued by {certificate.issuer}")


def _clock(http: Client) -> CheckStep:
    skew = http.usage.skew
    if skew is None:
        return _ok("Clock", "Auth0 did not tell its time")
    text = f"{abs(skew):.1f} s from Auth0"
    if abs(skew) <= SKEW_WARNS:
        return _ok("Clock", text)
    return CheckStep("Clock", StepState.WARNING, text, "host.clock.skew", http.usage.clocks)


def _scopes(token: Token) -> CheckStep:
    if token.scopes is None:
        return _ok("Scopes", "not told by Auth0")
    more = sorted(set(token.scopes) - SCOPES)
    if not more:
        return _ok("Scopes", "read:logs and nothing else")
    worst = next((scope for scope in more if scope.startswith(_POWERFUL)), more[0])
    text = f"read:logs, plus {len(more)} more: remove what you do not need"
    return CheckStep("Scopes", StepState.WARNING, text, "auth0.scope.excess", {"n": len(more), "worst": worst})


def _read(events: list[object], found: bool) -> CheckStep:
    if not found:
        return _ok("Read", "allowed; the log is empty")
    first = events[0] if events else {}
    date = first.get("date") if isinstance(first, dict) else None
    return _ok("Read", f"1 event returned, newest {date if isinstance(date, str) else 'without a date'}")


def _limits(http: Client) -> CheckStep:
    usage = http.usage
    if usage.limit is None:
        return _ok("Limits", "not told by Auth0")
    return _ok("Limits", f"{usage.remaining} of {usage.limit} requests left")


def _ok(name: str, text: str) -> CheckStep:
    return CheckStep(name, StepState.OK, text)


def _milliseconds(begun: float) -> int:
    return round((monotonic() - begun) * 1000)
