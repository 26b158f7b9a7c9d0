"""People are told when a source needs them and when it is over: each once, whatever fails in between."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy
import trustme
from receiving import OK, SECRET, Mailbox, Posted, answer, mail_server
from worlds import Collecting, collecting, run

from conductor.core import clock, notice
from conductor.core.errors import Conflict, Invalid, NotFound, SourceError
from conductor.core.schedule import Span
from conductor.operations import channels, integrations, notifying
from conductor.operations.channels import Wishes
from conductor.outbound import mail
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.store import deliveries, gaps, schema
from conductor.web.app import create_app

Wires = Callable[..., Any]
EVERYTHING = Wishes(tuple(notice.KINDS))


@asynccontextmanager
async def telling(
    folder: Path, wires: Wires, authority: trustme.CA, *answers: Any, wishes: Wishes = EVERYTHING, **settings: Any
) -> AsyncIterator[tuple[Collecting, Any]]:
    """A Conductor with one source that is on and one webhook."""
    async with (
        wires(*(answers or (OK,))) as wire,
        collecting(folder, TenantSpec(history=10), **settings) as it,
    ):
        await it.add()
        await integrations.set_enabled(it.system, "prod", True, by="ana")
        await it.poll()
        values = {"url": wire.url("/hook/s3cret-path"), "secret": SECRET, "ca_bundle": pem(authority)}
        await channels.add(it.system, "ops", "webhook", values, wishes, by="ana")
        yield it, wire


def pem(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def posted(wire: Any) -> list[Posted]:
    return [Posted.of(request) for request in wire.requests]


async def a_round(it: Collecting) -> None:
    await notifying.look(it.system)
    await notifying.send(it.system)


async def break_it(it: Collecting) -> None:
    """Its permission was taken away: a person must act."""
    it.world.faults.add(Fault("insufficient_scope"))
    await it.poll()


async def mend_it(it: Collecting) -> None:
    it.world.faults.clear()
    await it.poll()


async def states(it: Collecting) -> list[str]:
    return [each.state for each in reversed(await channels.history(it.system, 100))]


async def later(it: Collecting, span: timedelta) -> None:
    """As if everything in the history had been so much earlier."""
    table, less = schema.deliveries, span // timedelta(microseconds=1)
    earlier = {name: table.c[name] - less for name in ("due_at", "done_at")}
    await it.system.database.write(lambda connection: connection.execute(sqlalchemy.update(table).values(earlier)))


def test_a_failing_source_is_told_once_and_so_is_its_end(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await a_round(it)
            assert hook.requests == [], "all is well"
            await break_it(it)
            for _ in range(3):
                await a_round(it)
            await mend_it(it)
            for _ in range(3):
                await a_round(it)
            begun, ended = posted(hook)
            assert begun.titles == ["prod: The application may not read logs."]
            told = begun.json["data"]["notices"][0]
            assert (told["kind"], told["over"], told["code"]) == ("failed", False, "auth0.scope.missing")
            assert told["fix"]
            assert told["url"] == f"{it.system.settings.base_url}/admin/settings/integrations/prod"
            assert ended.titles == ["prod: works again."]
            assert ended.json["data"]["notices"][0]["over"] is True
            assert begun.signed
            assert ended.signed
            assert begun.headers["webhook-id"] != ended.headers["webhook-id"]
            assert await states(it) == ["sent", "sent"]

    run(work)


def test_a_source_that_flaps_is_told_once_in_a_cooldown_and_what_still_holds_then_is_told(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            for deed in (break_it, mend_it, break_it, mend_it, break_it):
                await deed(it)
                await a_round(it)
            assert [each.titles[0] for each in posted(hook)] == [
                "prod: The application may not read logs.",
                "prod: works again.",
            ]
            assert await states(it) == ["sent", "sent", "skipped", "waiting"]
            await later(it, timedelta(minutes=15))
            await a_round(it)
            assert posted(hook)[-1].titles == ["prod: The application may not read logs."]
            assert await states(it) == ["sent", "sent", "skipped", "sent"]

    run(work)


def test_a_receiver_that_is_away_is_asked_again_with_the_same_id_and_nothing_is_lost(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        away = [answer("503 Service Unavailable"), answer("429 Too Many Requests", "", "Retry-After: 7"), OK]
        async with telling(tmp_path, wire, authority, *away) as (it, hook):
            await break_it(it)
            for _ in range(3):
                await a_round(it)
                await a_round(it)  # nothing is due before its time
                await later(it, timedelta(hours=1))
            assert len({each.headers["webhook-id"] for each in posted(hook)}) == 1
            assert len(hook.requests) == 3
            assert await states(it) == ["sent"]

    run(work)


def test_a_receiver_that_stays_away_has_failed_after_five_tries_and_is_told_anew_while_it_holds(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        away = [answer("500 Internal Server Error")] * 5
        async with telling(tmp_path, wire, authority, *away, OK) as (it, hook):
            await break_it(it)
            for _ in range(5):
                await a_round(it)
                await later(it, timedelta(hours=1))
            (failed,) = await channels.history(it.system, 10)
            assert (failed.state, failed.code, failed.tries) == ("failed", "channel.server", 5)
            assert failed.reason == "127.0.0.1 has a problem (HTTP 500)."
            await a_round(it)
            assert await states(it) == ["failed", "sent"]
            first, again = posted(hook)[4:]
            assert first.titles == again.titles
            assert first.headers["webhook-id"] != again.headers["webhook-id"]

    run(work)


@pytest.mark.parametrize(
    ("status", "code"),
    [("404 Not Found", "channel.refused"), ("302 Found", "net.redirect"), ("410 Gone", "channel.refused")],
)
def test_what_no_second_try_mends_has_failed_at_once(
    tmp_path: Path, wire: Wires, authority: trustme.CA, status: str, code: str
) -> None:
    async def work() -> None:
        refusal = answer(status, "no_service", "Location: https://127.0.0.1/elsewhere")
        async with telling(tmp_path, wire, authority, refusal) as (it, hook):
            await break_it(it)
            await a_round(it)
            (failed,) = await channels.history(it.system, 10)
            assert (failed.state, failed.code) == ("failed", code)
            await a_round(it)
            assert len(hook.requests) == 1, "not again before an hour has passed"
            await later(it, timedelta(hours=1))
            await a_round(it)
            assert await states(it) == ["failed", "failed"], "it holds still"
            await mend_it(it)
            await a_round(it)
            assert await states(it) == ["failed", "failed"], "who was not told of the begin is not told of the end"

    run(work)


def test_a_process_that_dies_before_it_notes_what_it_sent_sends_it_again_with_the_same_id(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await break_it(it)
            await notifying.look(it.system)
            due = await it.system.database.read(lambda connection: deliveries.due(connection, clock.now(), 9))
            await it.system.database.write(lambda connection: deliveries.take(connection, due))
            await notifying.send(it.system)
            assert hook.requests == [], "somebody else sends it"
            await later(it, deliveries.TAKEN_FOR)
            await notifying.send(it.system)
            assert await states(it) == ["sent"]
            assert len(hook.requests) == 1

    run(work)


def test_a_changed_channel_is_told_anew_what_still_holds(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority, answer("404 Not Found"), OK) as (it, hook):
            await break_it(it)
            await a_round(it)
            await channels.edit(it.system, "ops", {}, EVERYTHING, by="ana", new_name="on-call")
            await a_round(it)
            assert len(hook.requests) == 1, "a name is nothing that matters to it"
            assert (await channels.find(it.system, "on-call")).channel.name == "on-call"
            url = {"url": hook.url("/mended")}
            await channels.edit(it.system, "on-call", url, EVERYTHING, by="ana")
            await a_round(it)
            assert [each.titles for each in posted(hook)][1:] == [["prod: The application may not read logs."]]
            await channels.set_enabled(it.system, "on-call", False, by="ana")
            await mend_it(it)
            await a_round(it)
            assert len(hook.requests) == 2

    run(work)


def test_a_source_that_is_switched_off_or_removed_needs_nobody_any_more(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await it.add("second")
            await integrations.set_enabled(it.system, "second", True, by="ana")
            it.world.faults.add(Fault("insufficient_scope"))
            await it.poll()
            await it.poll("second")
            await a_round(it)
            (both,) = posted(hook)
            assert sorted(both.titles) == [f"{name}: The application may not read logs." for name in ("prod", "second")]
            assert both.json["data"]["subject"] == "2 sources need attention"
            await integrations.set_enabled(it.system, "prod", False, by="bob")
            await integrations.remove(it.system, "second", by="bob")
            await a_round(it)
            assert sorted(posted(hook)[1].titles) == ["prod: was switched off by bob.", "second: was removed."]

    run(work)


def test_while_a_new_secret_was_not_tried_nobody_says_that_all_is_well(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await break_it(it)
            await a_round(it)
            await integrations.edit(it.system, "prod", {"polling_interval": 7}, by="ana", test=False)
            await a_round(it)
            assert len(hook.requests) == 1
            await it.poll()
            await a_round(it)
            assert len(hook.requests) == 1, "it fails as before"

    run(work)


def test_an_open_gap_is_told_when_it_opens_and_when_it_is_lost_and_when_it_is_closed(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        wishes = Wishes((notice.GAP,), cooldown=0)
        async with telling(tmp_path, wire, authority, wishes=wishes) as (it, hook):
            span = Span(clock.now() - timedelta(hours=3), clock.now() - timedelta(hours=2))
            found = await it.system.database.write(
                lambda connection: gaps.record(connection, 1, span.begins, span.ends, "test")
            )
            await a_round(it)
            await it.system.database.write(lambda connection: gaps.lose(connection, found.id, span))
            await a_round(it)
            await integrations.close_gap(it.system, "prod", found.id, note="known", by="ana")
            await a_round(it)
            opened, lost, closed = [each.titles[0] for each in posted(hook)]
            assert opened.startswith("prod: some events were not collected yet: ")
            assert lost.startswith("prod: some events are gone: ")
            assert closed.startswith("prod: the gap ")
            assert closed.endswith("was closed by ana.")

    run(work)


def test_a_gap_that_was_recovered_says_what_came_late(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            span = Span(clock.now() - timedelta(hours=3), clock.now() - timedelta(hours=2))
            found = await it.system.database.write(
                lambda connection: gaps.record(connection, 1, span.begins, span.ends, "test")
            )
            await a_round(it)
            await it.system.database.write(lambda connection: gaps.recovered(connection, found.id, 1234))
            await a_round(it)
            told = posted(hook)[1].json["data"]["notices"][0]
            assert told["title"].startswith("gap closed, what was missing of ")
            assert (told["code"], told["body"]) == ("gap.recovered", "1,234 events collected late.")

    run(work)


def test_many_sources_that_fail_together_make_one_message(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            slack = {"url": hook.url("/services/T0/B0/s3cret"), "ca_bundle": pem(authority)}
            await channels.add(it.system, "slack", "slack", slack, EVERYTHING, by="ana")
            for number in range(24):
                await it.add(f"source-{number}")
                await integrations.set_enabled(it.system, f"source-{number}", True, by="ana")
            it.world.faults.add(Fault("insufficient_scope"))
            for number in range(24):
                await it.poll(f"source-{number}")
            await a_round(it)
            whole = next(each for each in posted(hook) if "data" in each.json)
            told = next(each for each in posted(hook) if "text" in each.json)
            assert len(whole.titles) == 24
            assert told.json["text"].count(":red_circle:") == 20
            assert told.json["text"].endswith("And 4 more.")
            assert await states(it) == ["sent"] * 48

    run(work)


def test_of_the_workers_that_share_a_database_one_tells(
    tmp_path: Path, wire: Wires, authority: trustme.CA, migrated_postgresql_url: str
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority, database_url=migrated_postgresql_url) as (it, hook):
            await break_it(it)
            await asyncio.gather(*(notifying.look(it.system) for _ in range(5)))
            await asyncio.gather(*(notifying.send(it.system) for _ in range(5)))
            assert len(hook.requests) == 1
            await mend_it(it)
            await asyncio.gather(*(notifying.look(it.system) for _ in range(5)))
            await asyncio.gather(*(notifying.send(it.system) for _ in range(5)))
            assert len(hook.requests) == 2

    run(work)


def test_a_source_that_is_silent_and_one_that_is_about_to_lose_events_are_told(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await _shift(it, schema.hours, "hour", 13)
            await a_round(it)
            (silent,) = posted(hook)
            assert re.fullmatch(r"prod: no events for 1[234] h \d+ min\.", silent.titles[0])
            it.world.faults.add(Fault("server_error"))
            await it.poll()
            days = 29 * 86_400_000_000
            await _shift(it, schema.checkpoints, "covered_until", days)
            await _shift(it, schema.checkpoints, "time", days)
            await a_round(it)
            loss = posted(hook)[1].json["data"]["notices"][0]
            assert loss["kind"] == "loss"
            assert re.fullmatch(r"events will be lost from .* UTC, in (2[0-4] h \d+|\d+) min\.", loss["title"])
            it.world.faults.clear()
            it.world.first.record("s", clock.now())
            await it.poll()
            await a_round(it)
            assert sorted(posted(hook)[2].titles) == [
                "prod: events arrive again.",
                "prod: no events are about to be lost any more.",
            ]

    run(work)


async def _shift(it: Collecting, table: sqlalchemy.Table, column: str, less: int) -> None:
    """Make a table's times so much earlier."""
    earlier = sqlalchemy.update(table).values({column: table.c[column] - less})
    await it.system.database.write(lambda connection: connection.execute(earlier))


def mailing(box: Mailbox, authority: trustme.CA, **more: Any) -> dict[str, Any]:
    fixed = {"host": "127.0.0.1", "port": box.port, "user": "ann", "password": "letmein", "ca_bundle": pem(authority)}
    return fixed | {"sender": "conductor@example.com", "recipients": "ana@example.com; bob@example.com"} | more


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_mail_goes_out_encrypted_and_signed_in(
    tmp_path: Path, server_tls: ssl.SSLContext, authority: trustme.CA, implicit: bool
) -> None:
    async def work() -> None:
        async with (
            mail_server(server_tls, implicit=implicit) as box,
            collecting(tmp_path, TenantSpec(history=10)) as it,
        ):
            await it.add()
            await integrations.set_enabled(it.system, "prod", True, by="ana")
            values = mailing(box, authority, security="tls" if implicit else "starttls")
            await channels.add(it.system, "ops", "email", values, EVERYTHING, by="ana")
            await break_it(it)
            await a_round(it)
            assert [(each.state, each.reason) for each in await channels.history(it.system, 9)] == [("sent", "")]
            (mail,) = box.mails
            assert box.signed_in == ["ann"]
            assert mail["To"] == "ana@example.com, bob@example.com"
            assert mail["Subject"] == "[Conductor] prod: The application may not read logs."
            assert mail["Auto-Submitted"] == "auto-generated"
            text = mail.get_content()
            assert "tick read:logs" in text
            assert f"{it.system.settings.base_url}/admin/settings/integrations/prod" in text

    run(work)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong"}, "mail.login"),
        ({"ca_bundle": ""}, "net.tls.untrusted"),
        ({"security": "plain", "password": "", "user": ""}, "mail.refused"),
        ({"security": "tls"}, "net.tls.failed"),
        ({"port": 1}, "net.connect.blocked"),
        ({"host": "nowhere.invalid"}, "net.dns.notfound"),
    ],
)
def test_a_mail_that_cannot_be_sent_says_why(
    tmp_path: Path, server_tls: ssl.SSLContext, authority: trustme.CA, change: dict[str, Any], code: str
) -> None:
    async def work() -> None:
        async with mail_server(server_tls) as box, collecting(tmp_path, TenantSpec()) as it:
            with pytest.raises(SourceError) as caught:
                await channels.try_out(it.system, "email", mailing(box, authority, **change), EVERYTHING, by="ana")
            assert caught.value.code == code
            assert it.system.catalog.advice(code) is not None
            assert box.mails == []

    run(work)


def test_a_server_without_starttls_is_never_given_the_password(tmp_path: Path, authority: trustme.CA) -> None:
    async def work() -> None:
        async with mail_server(None) as box, collecting(tmp_path, TenantSpec()) as it:
            with pytest.raises(SourceError) as caught:
                await channels.try_out(it.system, "email", mailing(box, authority), EVERYTHING, by="ana")
            assert caught.value.code == "mail.unsupported"
            plain = mailing(box, authority, security="plain")
            with pytest.raises(Invalid, match="never sent without encryption"):
                await channels.try_out(it.system, "email", plain, EVERYTHING, by="ana")
            assert (box.signed_in, box.mails) == ([], [])
            box.refuse = "550 no such user"
            plain = mailing(box, authority, security="plain", user="", password="")
            with pytest.raises(SourceError) as caught:
                await channels.try_out(it.system, "email", plain, EVERYTHING, by="ana")
            assert (caught.value.code, caught.value.facts["said"]) == ("mail.recipient", "550 no such user")
            box.refuse = ""
            await channels.try_out(it.system, "email", plain, EVERYTHING, by="ana")
            assert box.mails[0]["Subject"] == "[Conductor] Conductor: this is a test."

    run(work)


def test_private_addresses_are_the_operators_to_allow_for_channels_too(
    tmp_path: Path, wire: Wires, server_tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with (
            mail_server(server_tls) as box,
            wire(OK) as hook,
            collecting(tmp_path, TenantSpec(), allow_private_targets="") as it,
        ):
            url = {"url": hook.url(), "ca_bundle": pem(authority)}
            for slug, values in (("webhook", url), ("slack", url), ("email", mailing(box, authority))):
                with pytest.raises(SourceError) as caught:
                    await channels.try_out(it.system, slug, values, EVERYTHING, by="ana")
                assert caught.value.code == "net.address.private"
            assert hook.connections == 0

    run(work)


def test_what_cannot_be_used_is_told_field_by_field(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec()) as it:
            bad = {"host": "", "port": 0, "security": "none", "sender": "ana", "recipients": "a@b, c\nBcc: x@y"}
            with pytest.raises(Invalid) as caught:
                await channels.add(it.system, "no good", "email", bad, Wishes((), 0, 999, -1), by="ana")
            fields = {"name", "host", "port", "security", "sender", "recipients", "kinds"}
            assert set(caught.value.fields) == fields | {"loss_hours", "silent_hours", "cooldown"}
            for url in ("http://example.com/", "https://", "https://ann:pw@example.com/", "javascript:alert(1)", ""):
                with pytest.raises(Invalid):
                    await channels.add(it.system, "a", "slack", {"url": url}, EVERYTHING, by="ana")
            for secret in ("short", "whsec_short", "whsec_" + "!" * 40):
                values = {"url": "https://example.com/", "secret": secret}
                with pytest.raises(Invalid):
                    await channels.add(it.system, "a", "webhook", values, EVERYTHING, by="ana")
            with pytest.raises(NotFound):
                await channels.add(it.system, "a", "pigeon", {}, EVERYTHING, by="ana")
            good = {"url": "https://example.com/"}
            await channels.add(it.system, "a", "slack", good, EVERYTHING, by="ana")
            with pytest.raises(Conflict):
                await channels.add(it.system, "A", "slack", good, EVERYTHING, by="ana")
            with pytest.raises(Conflict):
                await channels.edit(it.system, "a", {}, EVERYTHING, by="ana", revision=7)

    run(work)


def test_a_password_is_never_sent_to_a_server_it_was_not_entered_for(
    tmp_path: Path, server_tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with (
            mail_server(server_tls) as box,
            mail_server(server_tls) as other,
            collecting(tmp_path, TenantSpec()) as it,
        ):
            await channels.add(it.system, "ops", "email", mailing(box, authority), EVERYTHING, by="ana")
            moved = {"port": other.port}
            for deed in (
                channels.edit(it.system, "ops", moved, EVERYTHING, by="eve"),
                channels.try_out(it.system, "email", moved, EVERYTHING, by="eve", name="ops"),
            ):
                with pytest.raises(Invalid, match="never send a saved secret to a new address"):
                    await deed
            assert other.signed_in == []
            await channels.edit(it.system, "ops", {"recipients": "cy@example.com"}, EVERYTHING, by="ana")
            assert (await channels.test(it.system, "ops", by="ana")).state == "sent"
            assert box.mails[0]["To"] == "cy@example.com"
            await channels.edit(it.system, "ops", moved | {"password": "letmein"}, EVERYTHING, by="ana")
            assert (await channels.test(it.system, "ops", by="ana")).state == "sent"
            assert other.signed_in == ["ann"]

    run(work)


def test_the_api_tells_and_changes_channels_and_never_a_secret(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            app = create_app(it.system, local=True)
            async with httpx2.AsyncClient(
                transport=httpx2.ASGITransport(app=app), base_url="http://conductor", headers={"x-conductor": "1"}
            ) as http:
                base = "/api/v1/notifications"
                sent = await http.post(f"{base}/channels/ops/test", json={})
                assert sent.json()["state"] == "sent"
                assert posted(hook)[0].titles == ["Conductor: this is a test."]
                edited = await http.patch(f"{base}/channels/ops", json={"kinds": ["gap"], "cooldown": 30})
                assert (edited.json()["kinds"], edited.json()["cooldown"], edited.json()["loss_hours"]) == (
                    ["gap"],
                    30,
                    24,
                )
                told = await http.get(f"{base}/channels")
                history = await http.get(f"{base}/history")
                audit = await http.get("/api/v1/audit")
                pages = [await http.get(path) for path in (channels.PAGE, f"{channels.PAGE}/ops")]
                assert [page.status_code for page in pages] == [200, 200]
                for text in (told.text, history.text, audit.text, *(page.text for page in pages)):
                    assert "s3cret-path" not in text
                    assert SECRET not in text
                assert told.json()["channels"][0]["target"] == "127.0.0.1"
                assert [entry["action"] for entry in audit.json()["entries"][:3]] == [
                    "channel.edited",
                    "channel.tested",
                    "channel.added",
                ]
                assert (await http.request("DELETE", f"{base}/channels/ops", json={})).status_code == 200
                assert (await http.get(f"{base}/channels/ops")).status_code == 404
                assert len((await http.get(f"{base}/history")).json()["deliveries"]) == 1

    run(work)


def test_an_end_is_told_though_it_is_not_known_whether_the_begin_was_heard(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await break_it(it)
            await notifying.look(it.system)
            due = await it.system.database.read(lambda connection: deliveries.due(connection, clock.now(), 9))
            await it.system.database.write(
                lambda connection: deliveries.take(connection, due)
            )  # sent, and then it died
            await mend_it(it)
            await a_round(it)
            assert await states(it) == ["skipped", "sent"]
            assert posted(hook)[0].titles == ["prod: works again."]

    run(work)


def test_a_batch_that_is_sent_again_stays_one_with_its_id(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        away = [answer("503 Service Unavailable")] * 2
        async with telling(tmp_path, wire, authority, *away, OK) as (it, hook):
            await it.add("second")
            await integrations.set_enabled(it.system, "second", True, by="ana")
            it.world.faults.add(Fault("insufficient_scope"))
            await it.poll()
            await a_round(it)
            await it.poll("second")
            await a_round(it)
            await later(it, timedelta(hours=1))
            await a_round(it)
            ids = [each.headers["webhook-id"] for each in posted(hook)]
            assert sorted(ids[:2]) == sorted(ids[2:])
            assert all(len(each.titles) == 1 for each in posted(hook))

    run(work)


def test_a_mail_server_that_never_comes_to_the_point_stops_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA
) -> None:
    monkeypatch.setattr(mail, "DEADLINE", 0.5)
    monkeypatch.setattr(mail, "PATIENCE", 5.0)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"220-wait\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    async def work() -> None:
        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with collecting(tmp_path, TenantSpec()) as it:
            plain = mailing(Mailbox(port), authority, security="plain", user="", password="")
            with pytest.raises(SourceError) as caught:
                await channels.try_out(it.system, "email", plain, EVERYTHING, by="ana")
            assert caught.value.code == "net.timeout"
        server.close()

    run(work)  # which waits for the thread, too


def test_what_no_config_could_be_made_of_fails_its_own_message_only(
    tmp_path: Path, wire: Wires, authority: trustme.CA
) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await channels.add(it.system, "odd", "slack", {"url": "https://example.com/"}, EVERYTHING, by="ana")
            odd = sqlalchemy.update(schema.channels).where(schema.channels.c.name == "odd").values(config='{"no": 1}')
            await it.system.database.write(lambda connection: connection.execute(odd))
            await break_it(it)
            await a_round(it)
            assert len(hook.requests) == 1
            assert sorted(await states(it)) == ["failed", "sent"]

    run(work)


def test_a_secret_that_is_optional_can_be_taken_away(tmp_path: Path, wire: Wires, authority: trustme.CA) -> None:
    async def work() -> None:
        async with telling(tmp_path, wire, authority) as (it, hook):
            await channels.edit(it.system, "ops", {"secret": None}, EVERYTHING, by="ana")
            assert (await channels.test(it.system, "ops", by="ana")).state == "sent"
            assert "webhook-signature" not in posted(hook)[0].headers
            values = {"host": "mail.example.com", "user": "ann", "password": "letmein", "sender": "a@example.com"}
            values["recipients"] = "b@example.com"
            await channels.add(it.system, "mail", "email", values, EVERYTHING, by="ana")
            plain = {"security": "plain", "user": ""}
            await channels.edit(it.system, "mail", plain, EVERYTHING, by="ana")
            assert (await channels.find(it.system, "mail")).secrets == {}

    run(work)


@pytest.mark.parametrize("address", ["a@=?utf-8?q?=0ABcc=3A_evil=40x.com=0A?=", "a@bü.com", "a b@c.d", "a@b,c@d"])
def test_an_address_that_hides_another_is_refused(address: str) -> None:
    values = {"host": "mail.example.com", "sender": address, "recipients": "b@example.com"}
    with pytest.raises(Invalid) as caught:
        channels.kind_of("email").Config.parse(values)
    assert "sender" in caught.value.fields
