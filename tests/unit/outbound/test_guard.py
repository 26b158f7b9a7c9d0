"""The egress guard against a table of hosts and addresses."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest

from conductor.core.errors import ConductorError, Misconfigured, SourceError, Unavailable
from conductor.outbound import client, failures, guard
from conductor.outbound.guard import GuardedBackend, Policy, parse_networks

PUBLIC = """
    1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 168.63.129.15 168.63.129.17 169.253.255.255 172.15.255.255
    172.32.0.1 192.0.1.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 223.255.255.255 11.0.0.1 128.0.0.1
    2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450:4001:80b::200e 2003::1 2600:: ::ffff:8.8.8.8
""".split()

DENIED = {
    "this network": "0.0.0.0 0.1.2.3",
    "private": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255",
    "carrier": "100.64.0.1 100.127.255.255",
    "loopback": "127.0.0.1 127.0.0.2 127.255.255.254 ::1",
    "azure's wire server": "168.63.129.16",
    "metadata and link-local": "169.254.169.254 169.254.0.1 169.254.170.2 fe80::1 fe80::1%eth0 febf::1",
    "metadata over IPv6": "fd00:ec2::254",
    "protocol and documentation": "192.0.0.1 192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1 192.0.0.192",
    "benchmarks": "198.18.0.1 198.19.255.255",
    "AS112 and relays": "192.31.196.1 192.52.193.1 192.175.48.1 192.88.99.1 2620:4f:8000::1",
    "multicast": "224.0.0.1 239.255.255.255 ff02::1 ff0e::1",
    "reserved and broadcast": "240.0.0.1 255.255.255.255",
    "unspecified": ":: ::2",
    "IPv4-compatible": "::127.0.0.1 ::8.8.8.8",
    "IPv4-mapped": "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::ffff:168.63.129.16",
    "IPv4-translated": "::ffff:0:127.0.0.1",
    "NAT64": "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b::a9fe:a9fe 64:ff9b:1::1",
    "6to4": "2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe::",
    "Teredo and ORCHID": "2001::1 2001:0:7f00:1:: 2001:10::1 2001:20::1",
    "discard": "100::1 100:0:0:1::1",
    "segment routing": "5f00::1",
    "unique local": "fc00::1 fdff::1",
    "site-local": "fec0::1 feff::1",
}
EACH_DENIED = [pytest.param(text, id=f"{why}: {text}") for why, texts in DENIED.items() for text in texts.split()]

ODD = """
    2130706433 017700000001 0x7f000001 0x7f.1 0X7F.0.0.1 127.1 127.0.1 10.1 0177.0.0.1 127.0.0.01 127.0.0.1. 8.8.8.8. 0
    4294967295 1.2.3.4.5 256.256.256.256 999.1 example.123 example.0x7f １２７.0.0.１ ①②⑦.⓪.⓪.① 0x
    127。0。0。1 127．0．0．1 127｡0｡0｡1 ｌｏｃａｌｈｏｓｔ ⓛⓞⓒⓐⓛⓗⓞⓢⓣ 169.254.43518 0251.0376.0251.0376 0xa9fea9fe 0xa9.0xfe.0xa9.0xfe
    ١٢٧.٠.٠.١ 127.0.0.1\u200b bücher.example
""".split()


def refusal(host: str, port: int = 443, policy: Policy | None = None) -> ConductorError:
    with pytest.raises(SourceError) as caught:
        asyncio.run(checked(host, port, policy or Policy()))
    return caught.value


async def checked(host: str, port: int, policy: Policy) -> None:
    policy.check(host, await guard.resolve(host, port), port)


@pytest.mark.parametrize("text", PUBLIC)
def test_s02_a_public_address_is_permitted_on_the_port_of_https_only(text: str) -> None:
    asyncio.run(checked(text, 443, Policy()))
    for port in (80, 22, 8443, 6379, 444, 0):
        assert refusal(text, port).code == "net.port.refused"


@pytest.mark.parametrize("text", EACH_DENIED)
def test_s02_f38_an_address_that_is_never_a_vendors_is_refused(text: str) -> None:
    error = refusal(text)
    assert isinstance(error, Misconfigured)
    assert error.code == "net.address.private"
    assert error.facts["domain"] == text


@pytest.mark.parametrize("text", ["::1", "fe80::1", "2002:7f00:1::"])
def test_s02_brackets_change_nothing(text: str) -> None:
    assert refusal(f"[{text}]").code == "net.address.private"


@pytest.mark.parametrize("host", ODD)
def test_s02_an_odd_way_to_write_an_address_never_reaches_the_resolver(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: pytest.fail("the resolver was asked"))
    assert refusal(host).code == "net.address.odd"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1"])
def test_s02_f38_what_resolves_to_this_machine_is_refused(host: str) -> None:
    assert refusal(host).code == "net.address.private"


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """The system's resolver gives these answers; each question is written down."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        family = [socket.AF_INET6 if ":" in text else socket.AF_INET for text in addresses]
        return [(kind, socket.SOCK_STREAM, 6, "", (text, port)) for kind, text in zip(family, addresses, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "addresses",
    [
        ("8.8.8.8", "10.0.0.1"),
        ("10.0.0.1", "8.8.8.8"),
        ("8.8.8.8", "::1"),
        ("2606:4700::1", "169.254.169.254"),
        ("8.8.8.8", "fe80::1%eth0"),
    ],
)
def test_s02_f38_a_mixed_answer_is_refused_whole(monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]) -> None:
    answer(monkeypatch, *addresses)
    assert refusal("rebind.example").code == "net.address.private"


def test_each_address_is_named_once_in_the_resolvers_order(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "8.8.8.8", "2606:4700::1", "8.8.8.8")
    found = asyncio.run(guard.resolve("vendor.example", 443))
    assert found == [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("2606:4700::1")]


@pytest.mark.parametrize(
    ("allowed", "host", "port"),
    [
        ("127.0.0.0/8", "127.0.0.1", 8443),
        ("127.0.0.1", "127.0.0.1", 1),
        ("10.1.0.0/16, 192.168.7.0/24", "192.168.7.9", 443),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 3128),
        ("fd00::/8", "fd00::1", 443),
        ("8.8.8.0/24", "8.8.8.8", 8080),
    ],
)
def test_an_allowed_network_is_permitted_on_any_port(allowed: str, host: str, port: int) -> None:
    asyncio.run(checked(host, port, Policy(parse_networks(allowed.split(",")))))


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("10.1.0.0/16", "10.2.0.1"),
        ("127.0.0.1", "::1"),
        ("0.0.0.0/0", "::1"),
        ("::/0", "10.0.0.1"),
        ("10.0.0.1", "64:ff9b::a00:1"),
    ],
)
def test_s02_an_allowed_network_allows_nothing_beside_it(allowed: str, host: str) -> None:
    assert refusal(host, policy=Policy(parse_networks([allowed]))).code == "net.address.private"


def test_nothing_is_allowed_by_an_empty_list() -> None:
    assert parse_networks("".split(",")) == parse_networks([" ", ""]) == ()


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "x"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_networks([text])


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a..b", "x" * 64 + ".example", "", "a\x00b"])
def test_a_name_that_does_not_exist_is_not_found(host: str) -> None:
    error = refusal(host)
    assert isinstance(error, Unavailable)
    assert error.code in ("net.dns.notfound", "net.dns.timeout")  # the latter where this host has no DNS at all


@pytest.mark.parametrize(
    ("errno", "code"), [(socket.EAI_AGAIN, "net.dns.timeout"), (socket.EAI_NONAME, "net.dns.notfound")]
)
def test_a_silent_resolver_is_told_from_an_unknown_name(monkeypatch: pytest.MonkeyPatch, errno: int, code: str) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(errno, "resolver")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert refusal("vendor.example").code == code


def connect(policy: Policy, host: str, port: int, trusted: frozenset[tuple[str, int]] = frozenset()) -> None:
    async def scenario() -> None:
        stream = await GuardedBackend(policy, trusted=trusted).connect_tcp(host, port)
        await stream.aclose()

    asyncio.run(scenario())


@pytest.fixture
def port() -> object:
    """A port of this machine that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_s02_f38_the_name_is_resolved_once_and_the_checked_address_is_connected_to(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    asked = answer(monkeypatch, "127.0.0.1")
    connect(Policy(parse_networks(["127.0.0.1"])), "vendor.example", port)
    assert [host for host in asked if host == "vendor.example"] == ["vendor.example"]


def test_f38_a_resolver_that_answers_otherwise_the_second_time_is_never_asked_twice(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    """Rebinding: between the check and the socket there is no second question."""
    answers = iter(["127.0.0.1", "169.254.169.254", "10.0.0.1"])
    asked: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        text = next(answers) if host == "rebind.example" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    policy = Policy(parse_networks(["127.0.0.1"]))
    connect(policy, "rebind.example", port)
    assert asked.count("rebind.example") == 1
    with pytest.raises(Misconfigured) as refused:  # a new connection asks anew, and is checked anew
        connect(policy, "rebind.example", port)
    assert refused.value.facts["ip"] == "169.254.169.254"


@pytest.mark.parametrize(
    ("scheme", "userinfo"),
    [("http", b""), ("ftp", b""), ("", b""), ("https", b"ann"), ("https", b"ann:pw"), ("https", b":")],
)
def test_s02_only_https_without_a_name_in_it_is_spoken(scheme: str, userinfo: bytes) -> None:
    guard.check_url("https", b"", "vendor.example")
    with pytest.raises(Misconfigured) as refused:
        guard.check_url(scheme, userinfo, "vendor.example")
    assert refused.value.code == "net.url.invalid"


@pytest.mark.parametrize(
    ("found", "tried"),
    [
        ("", ""),
        ("8.8.8.8 1.1.1.1", "8.8.8.8 1.1.1.1"),
        ("2600::1 2600::2 2600::3 8.8.8.8 1.1.1.1", "2600::1 8.8.8.8 2600::2 1.1.1.1 2600::3"),
        ("8.8.8.8 2600::1 2600::2", "8.8.8.8 2600::1 2600::2"),
    ],
)
def test_f43_both_families_have_their_turn_early(found: str, tried: str) -> None:
    addresses = [ipaddress.ip_address(text) for text in found.split()]
    assert [str(address) for address in guard.by_turns(addresses)] == tried.split()


def test_f43_what_is_tried_in_vain_leaves_time_within_a_request() -> None:
    assert guard.MOST_ADDRESSES * guard.CONNECT_TIMEOUT < client.DEADLINE


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    answer(monkeypatch, "127.0.0.2", "127.0.0.1")
    connect(Policy(parse_networks(["127.0.0.0/8"])), "vendor.example", port)


def test_an_empty_answer_connects_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    with pytest.raises(Unavailable) as caught:
        connect(Policy(), "vendor.example", 443)
    assert (caught.value.code, caught.value.facts["list"]) == ("net.connect.blocked", "")


def test_only_the_trusted_host_and_port_pass_unchecked(port: int) -> None:
    trusted = frozenset({("127.0.0.1", port)})
    connect(Policy(), "127.0.0.1", port, trusted)
    for host, other in (("127.0.0.1", port + 1), ("localhost", port)):
        with pytest.raises(Misconfigured):
            connect(Policy(), host, other, trusted)


@pytest.mark.parametrize(
    ("host", "port", "code"),
    [
        ("169.254.169.254", 443, "net.address.private"),
        ("127.0.0.1", 8443, "net.address.private"),
        ("[::1]", 443, "net.address.private"),
        ("2130706433", 443, "net.address.odd"),
        ("localhost", 443, "net.address.odd"),
        ("LOCALHOST.", 443, "net.address.odd"),
        ("a.localhost", 443, "net.address.odd"),
        ("ip6-localhost", 443, "net.address.odd"),
        ("metadata.google.internal", 443, "net.address.odd"),
        ("127。0。0。1", 443, "net.address.odd"),
        ("127.0.0.1.", 443, "net.address.odd"),
        ("::ffff:169.254.169.254", 443, "net.address.private"),
        ("fe80::1%eth0", 443, "net.address.private"),
        ("64:ff9b::a9fe:a9fe", 443, "net.address.private"),
        ("acme.us.auth0.com", 8443, "net.port.refused"),
    ],
)
def test_s02_behind_a_proxy_what_is_written_out_is_still_checked(host: str, port: int, code: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        guard.check_named(guard.Policy(), host, port)
    assert refused.value.code == code


def test_behind_a_proxy_a_vendors_name_passes() -> None:
    guard.check_named(guard.Policy(), "acme.us.auth0.com", 443)
    guard.check_named(guard.Policy(guard.parse_networks(["127.0.0.0/8"])), "127.0.0.1", 8443)


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://u:secret@proxy:3128", "http://proxy:3128"),
        ("u:secret@proxy:3128", "proxy:3128"),
        ("http://u:se/cret@proxy:3128", "http://proxy:3128"),
        ("http://u:se@cret@proxy:3128", "http://proxy:3128"),
    ],
)
def test_a_proxys_password_is_never_shown(proxy: str, shown: str) -> None:
    assert failures.without_password(proxy) == shown
