"""Where sockets open: names are resolved once, every answer is checked, and the checked address is connected to.

The deny list is our own. `ipaddress.is_global` calls several dangerous ranges public (NAT64 and 6to4 of loopback,
IPv4-compatible addresses, site-local, multicast, Azure's wire server); see docs/explanation/egress.md.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import itertools
import socket
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpcore2

from conductor.core.errors import Misconfigured, Unavailable

HTTPS = 443
WEB = frozenset({HTTPS})
RESOLVE_TIMEOUT = 5.0  # seconds
CONNECT_TIMEOUT = 4.0  # seconds for each address
MOST_ADDRESSES = 6  # tried one after the other, so that the last still fits into a request's deadline
# Threads of their own: a resolver that is silent must not hold up what else needs one.
_RESOLVERS = ThreadPoolExecutor(8, "resolver")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DENIED_V4 = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 "
    "192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 "
    "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
)
_DENIED_V6 = (
    "::/8 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 "
    "3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8"
)
# Names that mean this machine or a cloud's metadata wherever they are resolved.
LOCAL_NAMES = frozenset("localhost localhost.localdomain ip6-localhost ip6-loopback metadata.google.internal".split())
DENIED: tuple[Network, ...] = tuple(ipaddress.ip_network(item) for item in f"{_DENIED_V4} {_DENIED_V6}".split())


@dataclass(frozen=True, slots=True)
class Policy:
    """Which addresses may be spoken to. `allowed` comes from the operator's command line only, never from a form."""

    allowed: Sequence[Network] = field(default_factory=tuple)

    def permits(self, address: Address, port: int, ports: Collection[int] = WEB) -> bool:
        """Public addresses on these ports; allowed networks on any port."""
        plain = _unmapped(address)
        if any(plain.version == network.version and plain in network for network in self.allowed):
            return True
        return port in ports and not is_denied(plain)

    def check(self, host: str, addresses: Sequence[Address], port: int, ports: Collection[int] = WEB) -> None:
        """Raise Misconfigured unless every address is permitted: a mixed answer is refused whole."""
        for address in addresses:
            if not self.permits(address, port, ports):
                private = is_denied(_unmapped(address))
                code = "net.address.private" if private else "net.port.refused"
                raise Misconfigured(
                    f"{host} is refused by the egress guard.", code=code, domain=host, ip=str(address), port=port
                )


def is_denied(address: Address) -> bool:
    """Whether the address lies in a range that is never a vendor's."""
    return any(address.version == network.version and address in network for network in DENIED)


def parse_networks(items: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as 10.0.0.0/8 or 127.0.0.1. Raises ValueError."""
    return tuple(ipaddress.ip_network(item.strip()) for item in items if item.strip())


def check_url(scheme: str, userinfo: bytes, host: str) -> None:
    """Only https is spoken, and no address carries a name or a password. Raises Misconfigured."""
    if scheme != "https" or userinfo:
        raise Misconfigured(f"{host} cannot be used in an address.", code="net.url.invalid", domain=host)


def check_named(policy: Policy, host: str, port: int) -> None:
    """What can be checked of a host that a proxy resolves: addresses written out, odd forms and the port.

    Raises Misconfigured.
    """
    literal = _literal(host)
    name = host.rstrip(".").lower()
    if literal is not None:
        policy.check(host, [literal], port)
    elif _is_odd(host) or name in LOCAL_NAMES or name.endswith(".localhost"):
        raise Misconfigured(f"{host} is refused by the egress guard.", code="net.address.odd", domain=host)
    elif port != HTTPS:
        raise Misconfigured(f"{host} is refused by the egress guard.", code="net.port.refused", domain=host, port=port)


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host name, once each. Odd numeric spellings never reach the resolver.

    Raises Misconfigured for those, Unavailable when DNS has no answer.
    """
    literal = _literal(host)
    if literal is not None:
        return [literal]
    if _is_odd(host):
        raise Misconfigured(f"{host} is an unusual way to write an address.", code="net.address.odd", domain=host)
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            answers = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, ask)
    except TimeoutError as error:
        raise Unavailable("DNS did not answer.", code="net.dns.timeout", domain=host) from error
    except (OSError, UnicodeError) as error:
        raise _dns_failure(host, error) from error
    found = dict.fromkeys(ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers)
    return list(found)


def by_turns(addresses: Sequence[Address]) -> list[Address]:
    """The addresses, the two families by turns, each in the resolver's order; the first one stays the first."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    pairs = itertools.zip_longest(first, other)
    return [address for pair in pairs for address in pair if address is not None]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """httpcore's seam for opening sockets, with the policy in it. `trusted` hosts (the operator's proxy) pass."""

    def __init__(self, policy: Policy, *, trusted: frozenset[tuple[str, int]] = frozenset()) -> None:
        self._policy = policy
        self._trusted = trusted
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first checked address that answers, IPv6 and IPv4 by turns, so that one broken family leaves
        time for the other. Raises Misconfigured or httpcore2.ConnectError."""
        addresses = await resolve(host, port)
        if (host, port) not in self._trusted:
            self._policy.check(host, addresses, port)
        failure: Exception | None = None
        for address in by_turns(addresses)[:MOST_ADDRESSES]:
            try:
                return await self._sockets.connect_tcp(
                    str(address), port, CONNECT_TIMEOUT, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise unreachable(host, port, addresses) from failure

    async def sleep(self, seconds: float) -> None:
        """Wait; part of httpcore's interface."""
        await asyncio.sleep(seconds)


def unreachable(host: str, port: int, found: Sequence[Address]) -> Unavailable:
    """None of a host's addresses took a connection."""
    shown = ", ".join(str(address) for address in found)
    return Unavailable(
        f"{host} cannot be reached.", code="net.connect.blocked", domain=host, port=port, n=len(found), list=shown
    )


def _unmapped(address: Address) -> Address:
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_odd(host: str) -> bool:
    """2130706433, 0x7f.1, 127.1, 0177.0.0.1, other scripts' digits and dots: what a resolver may read as an address.

    A name in another script is written as its `xn--` form, as every registry does.
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    return not host.isascii() or last.isdigit() or last.startswith("0x")


def _dns_failure(host: str, error: Exception) -> Unavailable:
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return Unavailable("DNS did not answer.", code="net.dns.timeout", domain=host)
    return Unavailable(f"The name {host} could not be found.", code="net.dns.notfound", domain=host)
