"""The client against another host on a bad network: packets lost, connections reset or swallowed, one family broken."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
import trustme
import virtual

sys.path.insert(0, str(Path(__file__).parent))
from elsewhere import Host, elsewhere

from conductor.core.config import Allowance
from conductor.core.errors import ConductorError, Unavailable
from conductor.outbound import client, guard
from conductor.outbound.client import Client, Route
from conductor.outbound.guard import Policy
from conductor.outbound.pace import Limiter

NAME = "vendor.example"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000
BROKEN = {"net.broken", "net.connect.blocked", "net.timeout"}
FREE = Allowance(1000.0, 1000.0)


@pytest.fixture(scope="module")
def host(skip_or_fail: Callable[[str], NoReturn]) -> Iterator[Host]:
    with elsewhere(skip_or_fail) as made:
        yield made


@dataclass
class Far:
    """A server on the other host, and clients of it on this one."""

    host: Host
    route: Route
    ports: dict[str, int]
    connections: int = 0

    def client(self) -> Client:
        limiter = Limiter()
        limiter.join("test", 1.0, FREE)
        return Client("acme", self.route, limiter, lambda _: FREE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(REPLY)
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
def run(host: Host, authority: trustme.CA) -> Iterator[Callable[..., Any]]:
    """Runs a story with a server on the other host; `hasty` lets waits pass in no time where nothing is on its way."""

    def run(tell: Callable[[Far], Coroutine[Any, Any, Any]], *, hasty: bool = True) -> Any:
        async def story() -> Any:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert(NAME, host.v4, host.v6).configure_cert(context)
            policy = Policy(guard.parse_networks([host.v4, host.v6]))
            far = Far(host, Route(policy, authority.cert_pem.bytes().decode()), {})
            listening = {"v4": host.listen(), "v6": host.listen(socket.AF_INET6)}
            servers = []
            for family, opened in listening.items():
                far.ports[family] = opened.getsockname()[1]
                servers.append(await asyncio.start_server(far.serve, sock=opened, ssl=context))
            try:
                return await tell(far)
            finally:
                for server in servers:
                    server.close()

        return virtual.run_hastily(story()) if hasty else asyncio.run(story())

    yield run
    host.rule()


async def outcome(http: Client, url: str) -> str:
    """The status, or the error's code."""
    try:
        return str((await http.get(url, {})).status)
    except ConductorError as error:
        assert isinstance(error, Unavailable)
        return error.code


def sockets() -> int:
    """How many this process has open on this host; those of the server are on the other."""
    gc.collect()
    return len(psutil.Process().net_connections("tcp"))


@pytest.mark.parametrize("way", ["input", "output"])
def test_f42_with_a_fifth_of_the_packets_lost_every_request_ends_within_its_deadline(
    run: Callable[..., Any], way: str
) -> None:
    async def tell(far: Far) -> tuple[list[str], float]:
        far.host.rule("numgen random mod 100 < 20 drop", way)
        loop = asyncio.get_running_loop()

        async def poll() -> tuple[str, float]:
            began = loop.time()
            async with far.client() as http:
                return await outcome(http, f"https://{far.host.v4}:{far.ports['v4']}/"), loop.time() - began

        ended = await asyncio.gather(*(poll() for _ in range(20)))
        return [said for said, _ in ended], max(took for _, took in ended)

    said, longest = run(tell, hasty=False)
    assert set(said) <= BROKEN | {"200"}
    assert said.count("200") >= 10, said  # lost packets are sent again below us
    assert longest < client.DEADLINE + 5  # the host may be busy; without a deadline it would be minutes


FAULTS = {
    "reset": "meta l4proto tcp reject with tcp reset",
    "no way there": "reject with icmpx type host-unreachable",
    "black hole": "drop",
}


@pytest.mark.parametrize("rule", FAULTS.values(), ids=FAULTS)
def test_f42_what_is_kept_open_breaks_is_told_and_mends_itself(run: Callable[..., Any], rule: str) -> None:
    async def tell(far: Far) -> None:
        url = f"https://{far.host.v4}:{far.ports['v4']}/"
        loop = asyncio.get_running_loop()
        async with far.client() as http:
            assert await outcome(http, url) == "200"
            far.host.rule(rule)
            began = loop.time()
            assert await outcome(http, url) in BROKEN
            assert loop.time() - began <= client.DEADLINE + 1
            far.host.rule()
            assert await outcome(http, url) == "200"

    run(tell)


def test_f42_sockets_do_not_pile_up_over_many_polls(run: Callable[..., Any]) -> None:
    """96 polls: good ones, reset ones, swallowed ones, by one client that is never closed."""

    async def tell(far: Far) -> tuple[set[str], list[int]]:
        url = f"https://{far.host.v4}:{far.ports['v4']}/"
        said, counts = set(), []
        async with far.client() as http:
            for number in range(96):
                if number % 12 == 0:
                    far.host.rule(["", *FAULTS.values()][number // 12 % 4])
                    counts.append(sockets())
                said.add(await outcome(http, url))
                await asyncio.sleep(300)
        return said, [*counts, sockets()]

    said, counts = run(tell)
    assert "200" in said
    assert said & BROKEN
    assert max(counts) <= counts[0] + 1  # the one that is kept open


V6_FAULTS = {
    "swallowed": "meta nfproto ipv6 tcp dport != 0 drop",
    "reset": "meta nfproto ipv6 meta l4proto tcp reject with tcp reset",
    "refused by a router": "meta nfproto ipv6 meta l4proto tcp reject with icmpv6 type admin-prohibited",
}


@pytest.mark.parametrize("rule", V6_FAULTS.values(), ids=V6_FAULTS)
def test_f43_broken_ipv6_is_passed_over_within_the_deadline(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    resolver = socket.getaddrinfo

    def both(name: str, port: int, *rest: Any, **more: Any) -> Any:
        """Eight IPv6 addresses before the one of IPv4, as large vendors have them."""
        if name != NAME:
            return resolver(name, port, *rest, **more)
        six = [host6[: host6.rindex("::")] + f"::{last:x}" for last in (2, *range(16, 23))]
        found = [(socket.AF_INET6, text) for text in six] + [(socket.AF_INET, host4)]
        return [(family, socket.SOCK_STREAM, 6, "", (text, port)) for family, text in found]

    async def tell(far: Far) -> None:
        nonlocal host4, host6
        host4, host6 = far.host.v4, far.host.v6
        far.route = Route(
            Policy(guard.parse_networks([host4, host6[: host6.rindex("::")] + "::/64"])), far.route.ca_bundle
        )
        far.host.rule(rule)
        monkeypatch.setattr(socket, "getaddrinfo", both)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with far.client() as http:
            assert await outcome(http, f"https://{NAME}:{far.ports['v4']}/") == "200"
            assert http.usage.requests == 1
            assert loop.time() - began < client.DEADLINE / 2
            found = await http.addresses(NAME, far.ports["v4"])
            answering = await http.connect(NAME, far.ports["v4"], found)
            assert str(answering) == host4
            assert (await http.handshake(NAME, far.ports["v4"], answering)).issuer

    host4 = host6 = ""
    run(tell)
