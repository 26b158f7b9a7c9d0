"""Each fault, made by a simulated vendor or network, is told with the same words by form, tile, API and command line.

The words are written out here, so that nobody changes them unawares; `{domain}`, `{client}` and `{len}` are filled in.
"""

from __future__ import annotations

import asyncio
import html
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from click.testing import CliRunner
from conftest import Wire
from worlds import Collecting, collecting, run

from conductor.cli import main
from conductor.core import clock
from conductor.operations import integrations
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.web import server
from conductor.web.app import create_app

LIST = "/admin/settings/integrations"
API = "/api/v1/integrations"


@dataclass(frozen=True, slots=True)
class Told:
    """How a fault is made, and its words. `shape` is how the tile shows it; a fault that passes is ▲ at first."""

    title: str
    body: str
    fix: tuple[str, ...]
    shape: str = "■"
    config: Mapping[str, Any] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Fault] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    polled: bool = False  # once before, with success
    peer: str = ""  # which odd server stands in the vendor's place, or in the proxy's


SECRET = (
    "Copy both again from the same application: a secret has no spaces; the one entered has 5 characters.",
    "Check that the domain {domain} is the tenant where the application lives.",
    "If the secret was rotated in Auth0, paste the new one.",
)
TOLD = {
    "auth0.domain.unknown": Told(
        "Auth0 has no tenant at {domain}.",
        "Check the spelling and the region: `{name}.us`, `.eu`, `.au`, `.jp`, … Some older US tenants have no region "
        "(`{name}.auth0.com`).",
        (
            "Check the spelling and the region: `{name}.us`, `.eu`, `.au`, `.jp`, …",
            "Some older US tenants have no region (`{name}.auth0.com`).",
        ),
        change={"host": "elsewhere.example", "aliases": ()},
    ),
    "auth0.token.badsecret": Told(
        "Auth0 did not accept the Client ID and Client Secret.",
        f"(1) {SECRET[0]} (2) {SECRET[1]} (3) {SECRET[2]} We retry once an hour.",
        SECRET,
        config={"client_secret": "wrong"},
    ),
    "auth0.token.granttype": Told(
        "This application cannot sign in by itself.",
        "It is not a Machine to Machine application. Best: create one and use its ID and secret. Or: Applications → "
        "{client} → Settings → Advanced → Grant Types → tick Client Credentials.",
        (
            "Best: create a Machine to Machine application and use its ID and secret.",
            "Or: Applications → {client} → Settings → Advanced → Grant Types → tick Client Credentials.",
        ),
        change={"client_credentials": False},
    ),
    "auth0.token.nogrant": Told(
        "The application is not linked to the Auth0 Management API.",
        "Applications → {client} → APIs tab → Auth0 Management API → turn on, tick `read:logs`, save. Takes effect at "
        "once.",
        ("Applications → {client} → APIs tab → Auth0 Management API → turn on, tick `read:logs`, save.",),
        change={"granted": False},
    ),
    "auth0.token.audience": Told(
        "Auth0 does not know the API `https://{domain}/api/v2/`.",
        "The tenant domain is wrong, most often because a custom domain was entered. Enter the `….auth0.com` tenant "
        "domain.",
        ("Enter the `….auth0.com` tenant domain.",),
        change={"host": "acme.example", "aliases": (), "custom_domain": "localhost"},
    ),
    "auth0.rate.limited": Told(
        "Auth0 asked us to slow down.",
        "Limit {limit}, reset at {reset}. We wait and continue from the saved position; nothing is skipped. If this "
        "happens often: other applications share this limit; lower the backfill share. We are {behind} behind; events "
        "are safe until {loss_time}.",
        ("If this happens often: other applications share this limit; lower the backfill share.",),
        shape="▲",
        polled=True,
        faults=(
            Fault("rate_limited", endpoint="logs", retry_after="60"),
            Fault("rate_limited", endpoint="search", retry_after="60"),
        ),
    ),
    "auth0.scope.missing": Told(
        "The application may not read logs.",
        "Permission `read:logs` is missing; it has: read:users. Applications → {client} → APIs → Auth0 Management API "
        "→ tick read:logs → Update. Then choose Test again: we ask for a fresh token, since the old one keeps its old "
        "permissions for up to 24 h.",
        (
            "Applications → {client} → APIs → Auth0 Management API → tick read:logs → Update.",
            "Then choose Test again: we ask for a fresh token.",
        ),
        change={"scope": "read:users"},
    ),
    "auth0.token.rejected": Told(
        "Auth0 rejected a token it has just issued.",
        "Usual causes: this server's clock ({skew}), or token and API on different domains. Run Test connection to see "
        "which.",
        ("Run Test connection to see which.",),
        faults=(Fault("invalid_token", endpoint="logs"), Fault("invalid_token", endpoint="search")),
    ),
    "auth0.rate.token": Told(
        "The application's token quota is used up until {reset}.",
        "We keep one token for its full life, so something else is using this application's credentials. Give "
        "Conductor its own application.",
        ("Give Conductor its own application.",),
        shape="▲",
        faults=(Fault("quota", endpoint="token"),),
    ),
    "auth0.server": Told(
        "Auth0 has a problem (HTTP 503).",
        "Nothing to do here. Retrying with growing pauses, next at {time}. See status.auth0.com for your region.",
        ("Nothing to do here. See status.auth0.com for your region.",),
        shape="▲",
        faults=(Fault("server_error", endpoint="any"),),
    ),
    "net.captive": Told(
        "Something between us and the vendor answered instead of the vendor.",
        'We received a web page titled "Attention Required!", probably a proxy or sign-in page. Check the proxy '
        "settings.",
        ("Check the proxy settings.",),
        faults=(Fault("html", endpoint="any"),),
    ),
    "net.dns.notfound": Told(
        "The name {domain} could not be found.",
        "Either the domain is misspelt or this server's DNS cannot resolve outside names. Trying again at {time}.",
        ("Check the spelling of {domain}.", "On the server run `conductor doctor dns {domain}`."),
        shape="▲",
        config={"domain": "no-such-tenant.invalid", "tenant_domain": "acme.us.auth0.com"},
    ),
    "net.connect.blocked": Told(
        "{domain} cannot be reached on port 9.",
        "A firewall probably blocks it. Allow outbound TCP 9 from this server to {domain}, or set a proxy under "
        "Advanced. Tried 127.0.0.1.",
        ("Allow outbound TCP 9 to {domain}.", "Or set a proxy under Advanced."),
        shape="▲",
        config={"domain": "127.0.0.1:9"},
    ),
    "net.proxy.unreachable": Told(
        "The proxy http://127.0.0.1:9 does not answer.",
        "Check address and port. It comes from this integration's form or from CONDUCTOR_PROXY.",
        ("Check the proxy's address and port.",),
        config={"proxy": "http://127.0.0.1:9", "domain": "vendor.example", "tenant_domain": "acme.us.auth0.com"},
    ),
    "net.proxy.auth": Told(
        "The proxy {proxy} wants a user name and password.",
        "Add them under Advanced → Proxy. They are stored encrypted like the secret.",
        ("Add the user name and password under Advanced → Proxy.",),
        config={"domain": "vendor.example", "tenant_domain": "acme.us.auth0.com"},
        peer="proxy HTTP/1.1 407 Proxy Authentication Required",
    ),
    "net.proxy.denied": Told(
        "The proxy {proxy} refused to connect to {domain}.",
        'Ask its administrator to allow {domain}:443. Proxy said: "403 Forbidden by policy".',
        ("Ask the proxy's administrator to allow {domain}:443.",),
        config={"domain": "vendor.example", "tenant_domain": "acme.us.auth0.com"},
        peer="proxy HTTP/1.1 403 Forbidden by policy",
    ),
    "net.tls.name": Told(
        "The certificate is for vendor.example, not {domain}.",
        "Check the domain. For a custom domain, its certificate may not be ready at the vendor.",
        ("Check the domain.",),
        peer="name",
    ),
    "net.tls.expired": Told(
        "The certificate of {domain} expired on 1 Feb 2026.",
        "If the date looks wrong, check this server's clock: it says {now}.",
        ("Check this server's clock.",),
        peer="expired",
    ),
    "net.tls.untrusted": Told(
        "The certificate of {domain} is not trusted.",
        'It was issued by "Conductor simulator CA", which this server does not know. Your company probably inspects '
        "TLS traffic. Add its root certificate under Advanced → CA bundle (PEM). Do not continue if you do not "
        'recognise "Conductor simulator CA".',
        ("Add your company's root certificate under Advanced → CA bundle (PEM).",),
        config={"ca_bundle": ""},
    ),
    "net.address.private": Told(
        "{domain} points to a private address (127.0.0.1).",
        "We do not send secrets there. If this is a test server, start with `--allow-private-targets 127.0.0.1/32`.",
        ("If this is a test server, start with `--allow-private-targets 127.0.0.1/32`.",),
        settings={"allow_private_targets": ""},
    ),
}


@pytest.mark.parametrize("code", TOLD)
def test_a_fault_is_told_alike_everywhere(tmp_path: Path, code: str, authority: trustme.CA) -> None:
    told = TOLD[code]

    async def work() -> None:
        async with (
            standing_in(told.peer, authority) as instead,
            collecting(tmp_path, TenantSpec(history=5), **told.settings) as it,
        ):
            values = it.values(**{**instead, **told.config})
            it.world.first.change(clock.now(), **told.change)
            await integrations.add(it.system, "prod", "auth0", values, enabled=False, by="test", test=False)
            await integrations.set_enabled(it.system, "prod", True, by="test")
            if told.polled:
                await it.poll()
            for fault in told.faults:
                it.world.faults.add(fault)
            await it.poll()
            async with asking(it) as ask:
                await _compare(code, told, values, ask)

    run(work)


@asynccontextmanager
async def standing_in(peer: str, authority: trustme.CA) -> AsyncIterator[dict[str, str]]:
    """A server that is not as it should be; and what an integration is configured with to meet it."""
    kind, _, answer = peer.partition(" ")
    context = None
    if kind in ("name", "expired"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        name, ends = ("vendor.example", None) if kind == "name" else ("127.0.0.1", datetime(2026, 2, 1, tzinfo=UTC))
        authority.issue_cert(name, not_after=ends).configure_cert(context)
    async with Wire(f"{answer}\r\nContent-Length: 0\r\n\r\n".encode(), context=context) as wire:
        if kind == "proxy":
            yield {"proxy": f"http://127.0.0.1:{wire.port}"}
        elif context:
            yield {"domain": f"127.0.0.1:{wire.port}", "ca_bundle": authority.cert_pem.bytes().decode()}
        else:
            yield {}


def test_a_wrong_clock_and_too_many_permissions_are_told_though_all_works(tmp_path: Path) -> None:
    async def work() -> None:
        ahead = timedelta(minutes=6)
        async with collecting(tmp_path, TenantSpec(history=5), now=lambda: clock.now() + ahead) as it:
            it.world.first.change(clock.now(), scope="read:logs read:users update:users")
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="test")
            await it.poll()
            async with asking(it) as ask:
                judged = (await ask.get(f"{API}/prod")).json()["health"]
                assert (judged["code"], judged["shape"]) == ("host.clock.skew", "▲")
                assert re.fullmatch(r"This server's clock is 3[56]\d s slow\.", judged["title"])
                times = r"The vendor says \d+ \w+ [\d:]+ UTC, we say \d+ \w+ [\d:]+ UTC\."
                rest = re.escape(
                    " Tokens can be rejected and event times compared wrongly. Turn on time sync: `timedatectl set-ntp "
                    "true`. Collection continues while tokens are accepted."
                )
                assert re.fullmatch(times + rest, judged["detail"])
                number, printed = await ask.cli("integration", "test", "prod")
                assert number == 0
                assert "▲ Clock" in printed
                assert "▲ Scopes   read:logs, plus 2 more: remove what you do not need" in printed
                steps = (await ask.post(f"{API}/test", {"name": "prod"})).json()["steps"]
                excess = next(step for step in steps if step["code"] == "auth0.scope.excess")
                assert excess["detail"] == (
                    "It also has 2 permissions, for example `update:users`. If this server were broken into, an attacker "
                    "could use them. Remove all but `read:logs`."
                )
                form = (await ask.form(f"{LIST}/prod", {"name": "prod", "do": "test", "polling_interval": "5"})).text
                assert _text(excess["detail"]) in _text(form)

    run(work)


@pytest.mark.parametrize(
    ("domain", "code", "words"),
    [
        ("not a domain", "auth0.domain.malformed", "This is not an Auth0 domain."),
        ("https://manage.auth0.com/", "auth0.domain.dashboard", "That is the Auth0 dashboard, not your tenant."),
    ],
)
def test_a_domain_that_cannot_be_one_is_told_by_form_api_and_command_line(
    tmp_path: Path, domain: str, code: str, words: str
) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec()) as it, asking(it) as ask:
            values = it.values(domain=domain)
            new = {"name": "prod", "connector": "auth0", "config": values}
            refused = (await ask.post(API, new)).json()["error"]
            assert refused["code"] == code
            assert words in refused["fields"]["domain"] + refused["fields"].get("tenant_domain", "")
            form = await ask.form(f"{LIST}/new?kind=auth0", {"name": "prod", "do": "save", **_typed(values)})
            assert form.status_code == 422
            assert words in _text(form.text)
            secret = it.system.settings.directory / "secret"
            secret.write_text(values["client_secret"])
            options = ["--domain", domain, "--client-id", "x", "--client-secret-file", str(secret)]
            number, printed = await ask.cli("integration", "add", "auth0", "--name", "prod", *options)
            assert number == 2
            assert words in printed
            assert f"({code})" in printed

    run(work)


def _typed(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


async def _compare(code: str, told: Told, values: Mapping[str, Any], ask: Asking) -> None:
    api = (await ask.get(f"{API}/prod")).json()["health"]
    assert (api["code"], api["shape"]) == (code, told.shape)
    _is(told.title, api["title"], values)
    _is(told.body, api["detail"], values)
    for wanted, step in zip(told.fix, api["fix"], strict=True):
        _is(wanted, step, values)
    page = _text((await ask.get(f"{LIST}/prod")).text)
    tile = _text((await ask.get(LIST)).text)
    status, (_, shown) = await ask.cli("status"), await ask.cli("integration", "show", "prod")
    for text in (page, tile, status[1], shown):
        assert api["sentence"].partition(" Trying again in")[0].replace("`", "") in text.replace("`", "")
    for words in (api["detail"], *api["fix"]):
        assert _text(words) in page
    assert f"({code})" in status[1]
    for step in api["fix"]:
        assert f"Fix: {step}" in status[1]
        assert f"Fix: {step}" in shown
    tested = (await ask.post(f"{API}/test", {"name": "prod"})).json()["steps"]
    failed = [step for step in tested if step["state"] == "failed"]
    assert [step["code"] for step in failed] == [code]
    _is(told.title, failed[0]["text"], values)
    for sentence in re.split(r"(?<=[.!?]) (?=\S)", failed[0]["detail"]):  # of what only a poll knows the test is silent
        assert any(_fits(each, sentence, values) for each in re.split(r"(?<=[.!?]) (?=\S)", told.body)), sentence
    form = _text((await ask.form(f"{LIST}/prod", {"name": "prod", "do": "test", "polling_interval": "5"})).text)
    assert _text(failed[0]["text"]) in form
    assert code in form
    number, printed = await ask.cli("integration", "test", "prod")
    assert number != 0
    assert failed[0]["text"] in printed
    assert f"({code})" in printed


def _is(wanted: str, told: str, values: Mapping[str, Any]) -> None:
    assert _fits(wanted, told, values), f"{told!r} is not {wanted!r}"


def _fits(wanted: str, told: str, values: Mapping[str, Any]) -> bool:
    """The very words; what only the moment knows may be anything but nothing. A host may be told without its port."""
    domain = values["domain"]
    host = f"(?:{re.escape(domain)}|{re.escape(domain.partition(':')[0])})"
    known = {"{domain}": host, "{client}": re.escape(values["client_id"])}
    known["{proxy}"] = re.escape(values.get("proxy", ""))
    known["{name}"] = re.escape(domain.partition(":")[0].partition(".")[0])
    parts = re.split(r"(\{\w+\})", wanted)
    pattern = (known.get(part, r"[^{}…]+") if part.startswith("{") else re.escape(part) for part in parts)
    return re.fullmatch("".join(pattern), told) is not None


def _text(page: str) -> str:
    """What a reader sees, code without its backticks."""
    plain = html.unescape(re.sub(r"<[^>]+>", "", page.replace("\n", " ")))
    return re.sub(r"\s+", " ", plain).replace("`", "").strip()


@dataclass(frozen=True, slots=True)
class Asking:
    """The pages, the API and the command line of a running Conductor."""

    http: httpx2.AsyncClient
    data: Path

    async def get(self, path: str) -> httpx2.Response:
        return await self.http.get(path)

    async def post(self, path: str, body: Any) -> httpx2.Response:
        return await self.http.post(path, json=body)

    async def form(self, path: str, fields: Mapping[str, str]) -> httpx2.Response:
        return await self.http.post(path, data=dict(fields))

    async def cli(self, *words: str) -> tuple[int, str]:
        """Its exit code and everything it prints."""
        invoke: Callable[[], Any] = lambda: CliRunner().invoke(main, [*words, "--data", str(self.data)])  # noqa: E731
        done = await asyncio.to_thread(invoke)
        return done.exit_code, done.output


class asking:  # noqa: N801
    """Serve on the socket that the command line looks for."""

    def __init__(self, it: Collecting) -> None:
        self._it = it
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Asking:
        app, directory = create_app(self._it.system, local=True), self._it.system.settings.directory
        self._serving: Awaitable[None] = asyncio.create_task(server.serve_local(app, directory, self._stop))
        while not (directory / server.SOCKET).exists():
            await asyncio.sleep(0)
        transport = httpx2.ASGITransport(app=app)
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://conductor", headers={"x-conductor": "1"})
        return Asking(self._http, directory)

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
        self._stop.set()
        with suppress(asyncio.CancelledError):
            await self._serving
