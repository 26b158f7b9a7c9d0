"""The steps below HTTP, one by one, for a connection test: name, socket, certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from conductor.core.errors import Misconfigured, SourceError, Unavailable
from conductor.outbound import failures, guard

HANDSHAKE_TIMEOUT = 10.0  # seconds
PRESENTED_TIMEOUT = 3.0  # seconds; the request that failed has waited already
MOST_NAMES, LONGEST_NAME = 5, 200  # of a certificate that are told, characters
# A stranger's certificate may hold what the library does not know, and tells by exceptions of no common kind.
_ODD_CERTIFICATES = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion)


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
    raise guard.unreachable(host, port, found)


async def presented(host: str, port: int, policy: guard.Policy) -> dict[str, str]:
    """What the certificate that was refused says: its issuer, whom it is for, until when. Nothing is sent there.

    Empty when it cannot be had, or is not a certificate that can be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        address = (await addresses(host, port, policy))[0]
        async with asyncio.timeout(PRESENTED_TIMEOUT):
            _, writer = await asyncio.open_connection(str(address), port, ssl=context, server_hostname=host)
        binary = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        found = x509.load_der_x509_certificate(binary)
        told = {"issuer": _named(found.issuer), "date": f"{found.not_valid_after_utc:%-d %b %Y}"}
        return told | {"names": ", ".join(_names(found)) or _named(found.subject)}
    except (OSError, TimeoutError, ValueError, SourceError, *_ODD_CERTIFICATES):
        return {}


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


def _named(name: x509.Name) -> str:
    kinds = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
    found = [str(each.value) for kind in kinds for each in name.get_attributes_for_oid(kind)]
    return found[0][:LONGEST_NAME] if found else "nobody that it names"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value)[:LONGEST_NAME] for name in names][:MOST_NAMES]
    except (x509.ExtensionNotFound, ValueError, *_ODD_CERTIFICATES):
        return []
