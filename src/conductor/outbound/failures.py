"""From what a network library raises to the error an operator can act on."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import timedelta

import httpx2

from conductor.core import clock
from conductor.core.errors import Misconfigured, SourceError, Unavailable

DATELESS = timedelta(seconds=120)  # how far local time is set back when a server tells no Date


def classify(error: Exception, host: str, proxy: str = "") -> SourceError:
    """The narrowest SourceError for a failed exchange with `host`."""
    for cause in _chain(error):
        if isinstance(cause, SourceError):
            return _no_proxy(host, proxy) if proxy and cause.code == "net.connect.blocked" else cause
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause, host)
    if isinstance(error, httpx2.ProxyError):
        return _proxy(error, host, proxy)
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        if proxy and not any(isinstance(cause, ssl.SSLError) for cause in _chain(error)):
            return _proxy(error, host, proxy)
        return _connect(error, host)
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return Misconfigured(f"{host} cannot be used in an address.", code="net.url.invalid", domain=host)
    if isinstance(error, httpx2.TimeoutException):
        return Unavailable("The answer took too long.", code="net.timeout", domain=host)
    return Unavailable("The connection broke.", code="net.broken", domain=host)


def without_password(proxy: str) -> str:
    """A proxy's address as it may be shown."""
    return re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1", proxy, flags=re.IGNORECASE)


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _connect(error: Exception, host: str) -> SourceError:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return Misconfigured(
                f"TLS failed: {cause.reason}.", code="net.tls.failed", domain=host, reason=cause.reason
            )
    return Unavailable(f"{host} cannot be reached.", code="net.connect.blocked", domain=host)


def _certificate(error: ssl.SSLCertVerificationError, host: str) -> Misconfigured:
    """OpenSSL's verify codes: 10 expired, 9 not yet valid, 62 host name, 64 address; the rest is not trusted."""
    code = {10: "net.tls.expired", 9: "net.tls.expired", 62: "net.tls.name", 64: "net.tls.name"}
    return Misconfigured(
        error.verify_message,
        code=code.get(error.verify_code, "net.tls.untrusted"),
        domain=host,
        reason=error.verify_message,
        now=f"{clock.now():%-d %b %Y %H:%M} UTC",
    )


def _no_proxy(host: str, proxy: str) -> Misconfigured:
    shown = without_password(proxy)
    return Misconfigured(f"The proxy {shown} does not answer.", code="net.proxy.unreachable", proxy=shown, domain=host)


def _proxy(error: Exception, host: str, proxy: str) -> Misconfigured:
    shown = without_password(proxy)
    status = re.match(r"(\d{3})", str(error))
    if status is None:
        return _no_proxy(host, proxy)
    if status.group(1) == "407":
        return Misconfigured("The proxy wants a password.", code="net.proxy.auth", proxy=shown, domain=host)
    return Misconfigured(
        "The proxy refused.", code="net.proxy.denied", proxy=shown, domain=host, reason=str(error)[:100]
    )
