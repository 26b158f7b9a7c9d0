"""The steps below HTTP, one by one, for a connection test: name, socket, certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from conductor.core.errors import Misconfigured, Unavailable
from conductor.outbound import failures, guard

HANDSHAKE_TIMEOUT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server's certificate says of itself."""

    expires: datetime
    issuer: str


async def addresses(
    host: str, port: int, policy: guard.Policy, ports: Collection[int] = guard.WEB
) -> list[guard.Address]:
    """The checked addresses of a host. Raises Unavailable or Misconfigured."""
    found = await guard.resolve(host, port)
    policy.check(host, found, port, ports)
    return found


async def connect(host: str, port: int, found: Sequence[guard.Address]) -> guard.Address:
    """The first address, in a poll's order, to which a TCP connection opens; it is closed. Raises Unavailable."""
    for address in guard.by_turns(found)[: guard.MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(guard.CONNECT_TIMEOUT):
                _, writer = await asyncio.open_connection(str(address), port)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return address
    raise unreachable(host, port, found)


def unreachable(host: str, port: int, found: Sequence[guard.Address]) -> Unavailable:
    """None of a host's addresses took a connection."""
    shown = ", ".join(str(address) for address in found)
    return Unavailable(
        f"{host} cannot be reached.", code="net.connect.blocked", domain=host, port=port, n=len(found), list=shown
    )


async def handshake(host: str, port: int, address: guard.Address, context: ssl.SSLContext) -> Certificate:
    """Check the server's certificate for this host. Raises Misconfigured."""
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            _, writer = await asyncio.open_connection(str(address), port, ssl=context, server_hostname=host)
    except TimeoutError as error:
        raise Unavailable("The TLS handshake took too long.", code="net.timeout", domain=host) from error
    except ssl.SSLCertVerificationError as error:
        raise failures.classify(error, host) from error
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured("TLS failed.", code="net.tls.failed", domain=host, reason=type(error).__name__) from error
    found = writer.get_extra_info("peercert") or {}
    writer.close()
    return Certificate(_date(found.get("notAfter", "")), _issuer(found))


def _date(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _issuer(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]]) -> str:
    names = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    return names.get("organizationName") or names.get("commonName") or "unknown"
