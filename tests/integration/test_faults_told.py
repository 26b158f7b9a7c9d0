"""Each fault, made by a simulated vendor or network, is told with the same words by form, tile, API and command line.

The words are written out here, so that nobody changes them unawares; `{domain}`, `{client}` and `{len}` are filled in.
"""

from __future__ import annotations

import asyncio
import html
import re
import socket
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
from virtual import run_hastily
from worlds import Collecting, collecting, collecting_in_jumps, run

from conductor.cli import main
from conductor.connectors.auth0 import check
from conductor.core import clock, wording
from conductor.core.schedule import Span
from conductor.operations import integrations, statuses
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import gaps
from conductor.store.database import Connection
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
    "auth0.token.other": Told(
        "Auth0 refused to issue a token: not_on_sundays.",
        'It said: "Nobody signs in on Sundays". This is not one of Auth0\'s standard errors; a Credentials Exchange Action '
        "or Hook in your tenant may have produced it. Check Auth0 → Monitoring → Logs for Failed Exchange at {time}.",
        ("Check Auth0 → Monitoring → Logs for Failed Exchange at {time}.",),
        faults=(Fault("denied_by_action", endpoint="token"),),
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
    "net.dns.timeout": Told(
        "DNS did not answer.",
        "There was no reply in 5 s. This is usually a network fault here, not at the vendor. Collection resumes by "
        "itself.",
        ("Check this server's DNS.",),
        shape="▲",
        config={"domain": "acme.us.auth0.com"},
        peer="dns",
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
def test_a_fault_is_told_alike_everywhere(
    tmp_path: Path, code: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = TOLD[code]
    if told.peer == "dns":
        monkeypatch.setattr(socket, "getaddrinfo", no_resolver)

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


def no_resolver(host: str, *rest: Any, **more: Any) -> Any:
    """What the C library says when it has waited for its server in vain."""
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


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


def test_a_custom_domain_without_its_tenant_domain_is_told_by_the_test(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=5)) as it, asking(it) as ask:
            await it.add(domain="login.acme.invalid")
            (step,) = [
                step
                for step in (await ask.post(f"{API}/test", {"name": "prod"})).json()["steps"]
                if step["code"] == "auth0.domain.custom"
            ]
            assert step["state"] == "warning"
            assert step["detail"] == (
                "Auth0 issues the token on your custom domain, but the API's name stays `https://TENANT.auth0.com/api/v2/`."
                " Enter Tenant domain, from Auth0 → Settings. Or use the tenant domain for both: simplest and works the "
                "same."
            )
            form = (await ask.form(f"{LIST}/prod", {"name": "prod", "do": "test", "polling_interval": "5"})).text
            assert _text(step["detail"]) in _text(form)
            _, printed = await ask.cli("integration", "test", "prod")
            assert step["text"] in printed
            assert step["fix"][0] in printed

    run(work)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds of a source without a fault of its last poll, and its words; made by `arrange`."""

    arrange: Callable[[Collecting], Awaitable[None]]
    shape: str
    sentence: str
    body: str = ""
    fix: tuple[str, ...] = ()
    history: int = 5
    config: Mapping[str, Any] = field(default_factory=dict)


async def _nothing_yet(it: Collecting) -> None:
    for endpoint in ("logs", "search"):
        it.world.faults.add(Fault("empty", endpoint=endpoint))
    await it.poll()


async def _off(it: Collecting) -> None:
    await it.poll()
    await integrations.set_enabled(it.system, "prod", False, by="ana")


async def _old_position(it: Collecting) -> None:
    """Read until 20 hours ago of the 24 that the plan keeps, and nothing since."""
    await it.poll()
    it.world.faults.add(Fault("server_error", endpoint="any"))
    await it.poll()
    await it.system.database.write(_twenty_hours_later)


def _twenty_hours_later(connection: Connection) -> None:
    past = 20 * 3600 * 1_000_000
    connection.exec_driver_sql(f"UPDATE checkpoints SET time = time - {past}, covered_until = covered_until - {past}")


async def _outrun(it: Collecting) -> None:
    """The last poll took 40 minutes for 20 minutes of the log, with 60,000 requests."""
    await it.poll()
    await it.system.database.write(_as_if_slow)


def _as_if_slow(connection: Connection) -> None:
    minute = 60 * 1_000_000
    connection.exec_driver_sql(
        f"UPDATE polls SET started_at = finished_at - {40 * minute}, requests = 60000, fetched = 6000000, "
        f"position_from = finished_at - {60 * minute}, position_to = finished_at - {40 * minute}"
    )
    connection.exec_driver_sql("UPDATE integrations SET changed_at = 0")


async def _secret_of_another_key(it: Collecting) -> None:
    zeros = "00" * 64
    await it.system.database.write(
        lambda connection: connection.exec_driver_sql(f"UPDATE secrets SET sealed = x'{zeros}'")
    )
    running = asyncio.create_task(it.system.supervisor.run())
    while (await statuses.status(it.system, "prod")).last is None:
        await asyncio.sleep(0.02)
    it.system.supervisor.stop()
    await running


async def _full(it: Collecting) -> None:
    await it.poll()
    it.system.database.low = True


async def _gone(it: Collecting) -> None:
    await it.poll()
    ends = clock.now() - timedelta(hours=1)
    lost = Span(ends - timedelta(hours=30), ends)

    def lose(connection: Connection) -> None:
        gaps.lose(connection, gaps.record(connection, 1, lost.begins, lost.ends, "checkpoint.expired").id, lost)

    await it.system.database.write(lose)


STANDING = {
    "auth0.data.none.new": Standing(
        _nothing_yet,
        "○",
        "Connected. Auth0 has no events yet.",
        "Our own sign-in should appear within a few minutes. Or sign in to any application of this tenant; the event "
        "appears here within about {wait}. Auth0 says events may arrive with some delay.",
        ("Sign in to any application of this tenant; the event appears here within about {wait}.",),
        history=0,
    ),
    "source.disabled": Standing(_off, "○", "Off since {day}, by ana. Turn on before {loss_time} to lose nothing."),
    "auth0.checkpoint.expiring": Standing(
        _old_position,
        "■",
        "Events will be lost from {loss_time} ({countdown}).",
        "Our position is {age} old and your plan keeps logs for 24 h 0 min. Fix the problem above first.",
        ("Fix the problem above first.",),
        config={"plan": "starter"},
    ),
    "auth0.checkpoint.expired": Standing(
        _gone,
        "▲",
        "Some events are gone: {from} – {to}.",
        "Conductor could not collect for 31 h 0 min, and Auth0 deletes events after 30 d 0 h. We continue from the oldest "
        "event that still exists, {oldest}. The gap is marked in search and exports. Other copies, such as an Auth0 log "
        "stream, may still have them.",
        ("Look at the gap, and close it with a note when you know what it means.",),
    ),
    "auth0.rate.insufficient": Standing(
        _outrun,
        "■",
        "Your tenant produces events faster than Auth0 lets anyone read them.",
        "Your tenant makes 300,000 events/min, which needs at least 3000 requests/min of {limit}. Use an Auth0 log stream "
        "for this tenant, or ask Auth0 for a higher limit.",
        ("Use an Auth0 log stream for this tenant, or ask Auth0 for a higher limit.",),
    ),
    "local.secret.unreadable": Standing(
        _secret_of_another_key,
        "■",
        "Failed: the saved secret cannot be decrypted.",
        "The key file {path} changed or was not restored with the backup. Restore it, or enter the secret again.",
        ("Restore the key file {path}.", "Or enter the secret again."),
    ),
    "local.storage.full": Standing(
        _full,
        "■",
        "Failed: collection is paused: the disk is full.",
        "The position is saved; events stay at the vendor until {loss_time}. Free space or shorten retention.",
        ("Free space.", "Or shorten retention with `--retention-days`."),
    ),
}


@pytest.mark.parametrize("code", STANDING)
def test_what_holds_is_told_alike_by_tile_api_and_command_line(tmp_path: Path, code: str) -> None:
    told = STANDING[code]

    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=told.history)) as it:
            await it.add(**told.config)
            await integrations.set_enabled(it.system, "prod", True, by="test")
            await told.arrange(it)
            async with asking(it) as ask:
                api = (await ask.get(f"{API}/prod")).json()["health"]
                assert (api["code"], api["shape"]) == (code, told.shape)
                for wanted, words in ((told.sentence, api["sentence"]), (told.body, api["detail"])):
                    _is(wanted, words, it.values())
                for wanted, words in zip(told.fix, api["fix"], strict=True):
                    _is(wanted, words, it.values())
                page = _text((await ask.get(f"{LIST}/prod")).text)
                (_, status), (_, shown) = await ask.cli("status"), await ask.cli("integration", "show", "prod")
                calm = told.shape == "○"  # what nobody needs to mend is not told among the sources
                for text in (page, _text((await ask.get(LIST)).text), shown, *(() if calm else (status,))):
                    assert api["sentence"].replace("`", "") in text.replace("`", "")
                for words in (api["detail"], *api["fix"]):
                    assert _text(words) in page
                for step in () if calm else api["fix"]:
                    assert f"Fix: {step}" in status
                    assert f"Fix: {step}" in shown

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
    assert re.search(
        _pattern(told.title.replace("`", ""), values), form
    )  # another test than the API's: moments may differ
    assert code in form
    number, printed = await ask.cli("integration", "test", "prod")
    assert number != 0
    assert re.search(_pattern(told.title, values), printed)
    assert f"({code})" in printed


def _is(wanted: str, told: str, values: Mapping[str, Any]) -> None:
    assert _fits(wanted, told, values), f"{told!r} is not {wanted!r}"


def _fits(wanted: str, told: str, values: Mapping[str, Any]) -> bool:
    return re.fullmatch(_pattern(wanted, values), told) is not None


def _pattern(wanted: str, values: Mapping[str, Any]) -> str:
    """The very words; what only the moment knows may be anything but nothing. A host may be told without its port."""
    domain = values["domain"]
    host = f"(?:{re.escape(domain)}|{re.escape(domain.partition(':')[0])})"
    known = {"{domain}": host, "{client}": re.escape(values["client_id"])}
    known["{proxy}"] = re.escape(values.get("proxy", ""))
    known["{name}"] = re.escape(domain.partition(":")[0].partition(".")[0])
    parts = re.split(r"(\{\w+\})", wanted)
    return "".join(known.get(part, r"[^{}…]+") if part.startswith("{") else re.escape(part) for part in parts)


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


@pytest.mark.parametrize(
    ("host", "found"),
    [("acme.eu.auth0.com", "acme.eu.auth0.com"), ("other.eu.auth0.com", ""), ("acme.auth0.com", "acme.auth0.com")],
)
def test_a_tenant_in_another_region_is_found_without_a_secret(tmp_path: Path, host: str, found: str) -> None:
    async def work() -> None:
        async with collecting_in_jumps(tmp_path, TenantSpec(host=host, aliases=())) as it:
            typed = {"domain": "acme.us.auth0.com", "client_id": "x", "client_secret": "canary-secret"}
            source = it.system.assembly.trial("auth0", it.system.catalog.get("auth0").Config.parse(typed))
            assert await check.elsewhere(source.config, source.http) == found
            assert [seen.status for seen in it.world.stats.seen] == [200] * bool(found)
            await source.close()
            advice = it.system.catalog.advice("auth0.domain.unknown")
            assert ("is it yours?" in wording.fill(advice.body, {"name": "acme", "found": found})) is bool(found)

    run_hastily(work())
