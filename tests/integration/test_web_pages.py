"""The pages over a whole Conductor and a simulated tenant, without JavaScript: add, fail, mend, poll, search, delete."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from conductor import app
from conductor.core import clock
from conductor.core.errors import ConductorError
from conductor.operations import accounts, auditing, general, invitations, sessions, tokens
from conductor.settings import Settings
from conductor.simulator import server
from conductor.simulator.faults import Fault
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World
from conductor.store import integrations as stored
from conductor.store.database import Connection
from conductor.web import auth
from conductor.web.app import create_app

ORIGIN = "https://conductor.test"
OURS = {"Sec-Fetch-Site": "same-origin"}
LIST = "/admin/settings/integrations"
PASSWORD = "correct horse battery staple"
SECRET = "canary-secret-4711"
HOSTILE = "<script>alert(1)</script>\u202e\u0000\"'{{7*7}}"


class Site:
    """A signed-in administrator's browser, the tenant, and the system behind."""

    def __init__(self, http: httpx2.AsyncClient, tenant: server.Server, system: Any) -> None:
        self.http = http
        self.tenant = tenant
        self.system = system

    async def get(self, path: str, status: int = 200) -> str:
        response = await self.http.get(path)
        assert response.status_code == status, response.text
        return str(response.text)

    async def post(self, page: str, action: str, **typed: str) -> httpx2.Response:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', await self.get(page))
        assert token
        return await self.http.post(action, headers=OURS, data={"csrf": token[1], **typed})

    async def index(self) -> None:
        while await self.system.indexer.catch_up():
            pass

    def form(self, **changes: str) -> dict[str, str]:
        typed = {
            "name": "prod-us",
            "domain": self.tenant.authority(),
            "tenant_domain": self.tenant.authority(),
            "client_id": self.tenant.world.first.spec.client_id,
            "client_secret": SECRET,
            "ca_bundle": self.tenant.ca.read_text(),
            "polling_interval": "5",
            "plan": "enterprise",
            "rate_share": "100",
            "start_from": "2026-11-20",
            "enabled": "on",
            "do": "save",
        }
        return typed | changes

    async def add(self, **changes: str) -> httpx2.Response:
        new = f"{LIST}/new?kind=auth0"
        return await self.post(new, new, **self.form(**changes))


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    """Runs a story on a new Conductor; nothing polls by itself."""

    async def story(tell: Callable[[Site], Awaitable[None]]) -> None:
        simulated = World([TenantSpec(client_secret=SECRET, history=450)])
        settings = Settings(data=tmp_path / "data", allow_private_targets="127.0.0.0/8,::1/128")
        async with server.running(simulated, ca_dir=tmp_path) as tenant:
            with app.owned(settings.data) as directory:
                async with app.opened(settings, directory) as system:
                    await accounts.add_user(system, "ana@example.com", "Ana", PASSWORD, "admin", "local")
                    token = await sessions.login(system, "ana@example.com", PASSWORD, "")
                    transport = httpx2.ASGITransport(app=create_app(system))
                    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                        http.cookies.set(auth.SESSION_COOKIE, token, domain="conductor.test")
                        await tell(Site(http, tenant, system))

    return lambda tell: asyncio.run(story(tell))


def test_the_guides_second_step_works_word_for_word(run: Any) -> None:
    async def tell(site: Site) -> None:
        listing = await site.get(LIST)
        assert "Add Integration" in listing
        assert "No integrations yet" in listing
        link = re.search(r'href="([^"]+)">Auth0</a>', listing)
        assert link
        form = await site.get(html.unescape(link[1]))
        for label in ("Name", "Domain", "Client ID", "Client Secret", "Polling interval", "Enabled"):
            assert re.search(rf"<label [^>]*>(<input [^>]*> )?{label}", form), label
        assert re.search(r"<button [^>]*>Save</button>", form)
        saved = await site.add()
        assert (saved.status_code, saved.headers["location"]) == (303, f"{LIST}/prod-us")
        assert "prod-us" in await site.get(LIST)

    run(tell)


def test_a_failed_test_saves_nothing_says_what_to_mend_and_keeps_what_was_typed(run: Any) -> None:
    async def tell(site: Site) -> None:
        refused = await site.add(client_secret="wrong-secret-0815")
        assert refused.status_code == 422
        assert "did not accept the Client ID and Client Secret" in refused.text
        assert "Save switched off" in refused.text
        assert 'value="prod-us"' in refused.text
        assert "wrong-secret-0815" not in refused.text
        assert "No integrations yet" in await site.get(LIST)
        saved = await site.add(client_secret="wrong-secret-0815", do="save-off")
        assert saved.status_code == 303
        assert "Off since" in await site.get(LIST)

    run(tell)


def test_each_wrong_field_is_told_at_the_top_and_beside_it(run: Any) -> None:
    async def tell(site: Site) -> None:
        refused = await site.add(name="not a name", polling_interval="99", domain="")
        assert refused.status_code == 422
        assert "<title>Error: Add Auth0" in refused.text
        assert "There is a problem" in refused.text
        for field in ("name", "polling_interval", "domain"):
            assert f'<a href="#f-{field}">' in refused.text
            assert f'id="e-{field}"' in refused.text
            assert re.search(rf'<input id="f-{field}"[^>]*aria-invalid="true"', refused.text)

    run(tell)


def test_test_connection_names_its_steps_and_saves_nothing(run: Any) -> None:
    async def tell(site: Site) -> None:
        tested = await site.add(do="test")
        assert tested.status_code == 200
        assert "The connection works" in tested.text
        assert "No integrations yet" in await site.get(LIST)

    run(tell)


def test_the_secret_is_on_no_page_and_stays_when_it_is_not_typed(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        settings = f"{LIST}/prod-us?tab=settings"
        page = await site.get(settings)
        assert re.search(r"Set <time [^>]+>[^<]+</time> by ana@example.com", page)
        changed = await site.post(
            settings, f"{LIST}/prod-us", **site.form(client_secret="", polling_interval="7", name="prod-eu")
        )
        assert changed.headers["location"] == f"{LIST}/prod-eu"
        moved = await site.post(
            f"{LIST}/prod-eu?tab=settings",
            f"{LIST}/prod-eu",
            **site.form(client_secret="", client_id="another", name="prod-eu"),
        )
        assert moved.status_code == 422
        assert "Enter the Client Secret again. We never send a saved secret to a new address." in moved.text
        for path in (LIST, f"{LIST}/prod-eu", f"{LIST}/prod-eu?tab=settings", "/", "/api/v1/integrations"):
            assert SECRET not in await site.get(path)

    run(tell)


def test_an_edit_on_an_old_page_does_not_overwrite_a_newer_one(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        settings = f"{LIST}/prod-us?tab=settings"
        await site.post(settings, f"{LIST}/prod-us", **site.form(client_secret="", polling_interval="7", revision="1"))
        late = await site.post(
            settings, f"{LIST}/prod-us", **site.form(client_secret="", polling_interval="9", revision="1")
        )
        assert late.status_code == 422
        assert "changed by ana@example.com meanwhile" in late.text

    run(tell)


def test_what_was_polled_can_be_searched_opened_and_paged(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        for _ in range(3):
            polled = await site.post(f"{LIST}/prod-us", f"{LIST}/prod-us/poll", back=LIST)
            assert polled.headers["location"] == LIST
        await site.index()
        assert "● Healthy" in re.sub(r"<[^>]+>", "", await site.get(LIST))
        page = await site.get("/signals/search?last=30d")
        ids = re.findall(r"open=([0-9a-f]{32})", page)
        assert len(ids) == 100
        older = re.search(r'href="([^"]+after=[^"]+)"', page)
        assert older
        assert not set(ids) & set(re.findall(r"open=([0-9a-f]{32})", await site.get(html.unescape(older[1]))))
        panel = await site.get(f"/signals/search?last=30d&open={ids[0]}")
        assert "Exactly as received" in panel
        assert "Exactly as received" in await site.get(f"/signals/events/{ids[0]}")
        assert "Events older than" in await site.get(f"/signals/events/{'0' * 32}", 404)

    run(tell)


def test_hostile_content_is_text_wherever_it_is_shown(run: Any) -> None:
    async def tell(site: Site) -> None:
        event = {
            "type": "fp",
            "user_name": HOSTILE,
            "user_agent": HOSTILE,
            "client_name": HOSTILE,
            "description": HOSTILE,
        }
        site.tenant.world.first.add({**event, "ip": "203.0.113.7"}, clock.now())
        await site.add()
        for _ in range(3):
            await site.post(f"{LIST}/prod-us", f"{LIST}/prod-us/poll")
        await site.index()
        page = await site.get("/signals/search?last=30d&q=type:fp+alert")
        opened = re.search(r"open=([0-9a-f]{32})", page)
        assert opened
        for path in (f"/signals/search?last=30d&open={opened[1]}", f"/signals/events/{opened[1]}"):
            page += await site.get(path)
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "\x00" not in page
        assert "⟨U+202E⟩" in page
        assert "{{7*7}}" in page

    run(tell)


def test_a_mistake_in_a_query_is_underlined_and_mended_by_a_link(run: Any) -> None:
    async def tell(site: Site) -> None:
        page = await site.get("/signals/search?q=" + "type%3A(fp", 422)
        assert "The bracket opened here is never closed." in page
        assert "<u>(</u>" in page
        fix = re.search(r'href="([^"]+)">Fix</a>', page)
        assert fix
        await site.get(html.unescape(fix[1]))
        await site.get("/signals/search?last=nonsense", 422)
        hint = await site.get("/signals/search?q=usr:bob")
        assert "Did you mean" in hint

    run(tell)


def test_local_times_are_sent_on_to_a_url_that_means_the_same_everywhere(run: Any) -> None:
    async def tell(site: Site) -> None:
        await accounts.edit_user(site.system, "ana@example.com", by="local", time_zone="Europe/Prague")
        moved = await site.http.get("/signals/search?q=a&last=custom&from=2026-11-20+14%3A00&to=")
        assert moved.headers["location"] == "/signals/search?q=a&last=custom&from=2026-11-20T13%3A00Z"
        assert 'value="since 2026-11-20 14:00"' in await site.get(moved.headers["location"])
        told = await site.http.get("/signals/search?q=a&last=custom&range=20+Nov+2025+14:00+-+15:30")
        assert told.headers["location"] == (
            "/signals/search?q=a&last=custom&from=2025-11-20T13%3A00Z&to=2025-11-20T14%3A29%3A59Z"
        )
        assert (await site.http.get("/signals/search?last=custom&range=3d")).headers[
            "location"
        ] == "/signals/search?last=3d"
        wrong = await site.get("/signals/search?q=a&last=custom&range=next+%3Cb%3Eweek", 422)
        assert "`next &lt;b&gt;week`" in wrong.replace("<code>", "`").replace("</code>", "`")
        assert 'value="next &lt;b&gt;week"' in wrong
        note = (await site.http.get("/signals/range?words=20+Nov+2025+14:00+-+15:30")).json()
        assert note == {"note": "20 Nov 2025 14:00 – 20 Nov 2025 15:30 CET (90 min)"}

    run(tell)


def test_results_that_may_be_incomplete_say_so(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        assert "Results may be incomplete" in await site.get("/signals/search")

    run(tell)


def test_deleting_needs_the_name(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        page = f"{LIST}/prod-us?tab=settings"
        refused = await site.post(page, f"{LIST}/prod-us/remove", confirm="prod")
        assert (refused.status_code, "Type prod-us to delete it." in refused.text) == (422, True)
        assert (await site.post(page, f"{LIST}/prod-us/remove", confirm="prod-us")).status_code == 303
        assert "No integrations yet" in await site.get(LIST)

    run(tell)


def test_switching_off_and_on_keeps_one_where_one_was(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        off = await site.post(LIST, f"{LIST}/prod-us/enabled", to="off", back=LIST)
        assert off.headers["location"] == LIST
        assert 'aria-checked="false"' in await site.get(LIST)
        on = await site.post(LIST, f"{LIST}/prod-us/enabled", to="on", back="https://evil.example/")
        assert on.headers["location"] == f"{LIST}/prod-us"

    run(tell)


def test_every_help_page_and_error_code_can_be_read(run: Any) -> None:
    async def tell(site: Site) -> None:
        assert "Step 2: Configure in Conductor" in await site.get("/help/auth0")
        index = await site.get("/help")
        for topic in re.findall(r'href="/help/([^"]+)"', index):
            await site.get(f"/help/{topic}")
        for connector in site.system.catalog.connectors.values():
            for code in connector.advice:
                assert code in await site.get(f"/help/{code}")
        for wrong in ("nothing", "..%2F..%2Fapp.py", "%2e%2e"):
            assert (await site.http.get(f"/help/{wrong}")).status_code == 404

    run(tell)


def test_the_audit_log_can_be_searched_proved_and_taken_away(run: Any) -> None:
    async def tell(site: Site) -> None:
        await sessions.login(site.system, "ana@example.com", PASSWORD, "203.0.113.9")
        await site.add(client_secret="wrong-secret-0815", do="save-off")
        with suppress(ConductorError):
            await sessions.login(site.system, f"{HOSTILE}@example.com", "wrong", "203.0.113.66")
        page = await site.get("/admin/audit")
        assert "integration.added" in page
        assert "<script>alert" not in page
        assert "\u202e" not in page
        narrow = await site.get("/admin/audit?action=login&actor=ana%40example.com&last=24h&q=203.0.113.9")
        assert "203.0.113.9" in narrow
        assert "integration.added" not in narrow
        assert "No entry matches" in await site.get("/admin/audit?q=nothing-of-the-kind")
        before = re.findall(r'<td class="num quiet">(\d+)</td>', page)
        assert 'class="num quiet">1<' not in await site.get(f"/admin/audit?before={before[-1]}")
        proved = await site.post("/admin/audit", "/admin/audit/verify")
        assert f"Chain intact, {len(before)} entries" in html.unescape(proved.text)
        file = await site.post("/admin/audit", "/admin/audit/file", actor="ana@example.com")
        assert re.fullmatch(
            r'attachment; filename="conductor-audit-[0-9TZ-]+\.jsonl"', file.headers["content-disposition"]
        )
        taken = [json.loads(line) for line in file.text.splitlines()]
        assert {entry["actor"] for entry in taken} == {"ana@example.com"}
        assert "audit.exported" in await site.get("/admin/audit")

    run(tell)


def test_a_broken_audit_chain_is_told_with_what_to_do(run: Any) -> None:
    async def tell(site: Site) -> None:
        def tamper(connection: Connection) -> None:
            connection.execute(text("DROP TRIGGER audit_keeps_update"))
            connection.execute(text("UPDATE audit SET actor = 'nobody' WHERE id = 1"))

        await site.system.database.write(tamper)
        proved = await site.post("/admin/audit", "/admin/audit/verify")
        assert "The chain is broken at entry 1" in proved.text
        assert "Save all entries as a file" in proved.text

    run(tell)


def _link(text: str) -> str:
    found = re.search(r"/invite\?token=([\w-]{43})", text)
    assert found, text
    return found[1]


async def _join(site: Site, token: str, **typed: str) -> httpx2.Response:
    """As somebody who was sent the link: a browser of their own."""
    values = {"token": token, "name": "Bob", "password": PASSWORD, "time_zone": "Europe/Prague", **typed}
    async with httpx2.AsyncClient(transport=site.http._transport, base_url=ORIGIN) as http:
        page = await http.get(f"/invite?token={token}")
        if page.status_code != 200:
            return page
        csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
        assert csrf
        return await http.post("/invite", headers=OURS, data={"csrf": csrf[1], **values})


def test_a_user_is_invited_joins_with_a_password_of_their_own_and_is_switched_off(run: Any) -> None:
    async def tell(site: Site) -> None:
        made = await site.post("/admin/users", "/admin/users", email=" Bob@Example.com ", role="analyst")
        token = _link(html.unescape(made.text))
        assert "until" in made.text
        assert token not in await site.get("/admin/users?tab=invited")
        weak = await _join(site, token, password="short")
        assert weak.status_code == 422
        assert "Use at least 12 characters." in weak.text
        joined = await _join(site, token)
        assert (joined.status_code, joined.headers["location"]) == (303, "/")
        assert auth.SESSION_COOKIE in joined.headers["set-cookie"]
        (bob,) = [user for user in await accounts.users(site.system) if user.email == "bob@example.com"]
        assert (bob.name, bob.role, bob.time_zone) == ("Bob", "analyst", "Europe/Prague")
        assert (await _join(site, token)).status_code == 404
        assert "Nobody is invited" in await site.get("/admin/users?tab=invited")
        assert "bob@example.com" in await site.get("/admin/users")
        await site.post("/admin/users", "/admin/users/bob%40example.com", active="off")
        assert "bob@example.com" not in await site.get("/admin/users")
        assert "bob@example.com" in await site.get("/admin/users?tab=inactive")
        with pytest.raises(ConductorError, match="wrong"):
            await sessions.login(site.system, "bob@example.com", PASSWORD, "")
        actions = {entry.action for entry in await auditing.entries(site.system, auditing.Wanted("bob@example.com"), 9)}
        assert actions == {"user.invited", "user.joined", "login", "user.edit", "login.failed"}

    run(tell)


def test_an_invitation_works_for_48_hours_once_and_not_after_a_newer_one(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell(site: Site) -> None:
        async def invite(email: str) -> str:
            return _link((await site.post("/admin/users", "/admin/users", email=email, role="viewer")).text)

        old, new = await invite("bob@example.com"), await invite("bob@example.com")
        assert (await _join(site, old)).status_code == 404
        withdrawn = await invite("eve@example.com")
        await site.post("/admin/users", "/admin/users/eve%40example.com/withdraw")
        assert (await _join(site, withdrawn)).status_code == 404
        late = clock.now() + timedelta(hours=48)
        monkeypatch.setattr(invitations.clock, "now", lambda: late)
        refused = await _join(site, new)
        assert refused.status_code == 404
        assert "This invitation has expired, was used or was withdrawn." in refused.text

    run(tell)


def test_a_user_who_cannot_be_invited_or_changed_is_told_why(run: Any) -> None:
    async def tell(site: Site) -> None:
        for email, role, told in (
            ("ana@example.com", "viewer", "There is already a user with the e-mail ana@example.com."),
            ("nobody", "viewer", "Enter an e-mail address"),
            ("bob@example.com", "king", "Choose one of: viewer, analyst, admin."),
        ):
            refused = await site.post("/admin/users", "/admin/users", email=email, role=role)
            assert refused.status_code == 422
            assert told in refused.text
        last = await site.post("/admin/users", "/admin/users/ana%40example.com", role="viewer")
        assert last.status_code == 409
        assert "Make someone else an administrator first." in last.text
        off = await site.post("/admin/users", "/admin/users/ana%40example.com", active="off")
        assert off.status_code == 409
        hostile = await site.post("/admin/users", "/admin/users", email=f"{HOSTILE}@example.com", role="viewer")
        assert "<script>alert" not in hostile.text

    run(tell)


def test_what_may_be_set_here_is_and_what_is_set_outside_is_not(run: Any) -> None:
    page = "/admin/settings/general"

    async def tell(site: Site) -> None:
        wrong = await site.post(page, page, mask="some", session_hours="1e3", time_zone="Mars")
        assert wrong.status_code == 422
        for told in ("Choose one of: nobody", "Enter a whole number of hours", "Choose a time zone"):
            assert told in wrong.text
        saved = await site.post(page, page, mask="viewer", session_hours="8", time_zone="Asia/Tokyo")
        assert saved.status_code == 303
        told = (await site.http.get("/api/v1/settings")).json()["settings"]
        here = {item["name"]: item["value"] for item in told if item["source"] == "here"}
        names = ("CONDUCTOR_SESSION_HOURS", "CONDUCTOR_TIME_ZONE", "CONDUCTOR_MASK")
        assert here == dict(zip(names, ("8", "Asia/Tokyo", "viewer"), strict=True))
        shown = {"shown-mask": "nobody", "shown-session_hours": "8", "shown-time_zone": "Asia/Tokyo"}
        await site.post(page, page, mask="nobody", session_hours="9", time_zone="Asia/Tokyo", **shown)
        holds = await general.read(site.system)
        assert (holds.session_hours, holds.mask) == (9, "viewer")  # what was not touched is as somebody else set it
        link = _link((await site.post("/admin/users", "/admin/users", email="bob@example.com", role="viewer")).text)
        assert "<option selected>Asia/Tokyo</option>" in await site.get(f"/invite?token={link}")
        site.system.settings.outside["mask"] = "admin"  # type: ignore[index]
        assert "Set outside, by <code>CONDUCTOR_MASK</code>." in await site.get(page)
        refused = await site.post(page, page, mask="nobody")
        assert refused.status_code == 409
        assert "Change it there." in refused.text
        body = {"mask": "nobody"}
        again = await site.http.patch("/api/v1/settings", headers=OURS | {"X-Conductor": "1"}, json=body)
        assert again.status_code == 409

    run(tell)


def test_a_token_is_made_shown_once_rotated_and_revoked(run: Any) -> None:
    async def tell(site: Site) -> None:
        page = "/admin/settings/tokens"
        wrong = await site.post(page, page, name=HOSTILE, days="9999", networks="here, 203.0.113.0/24")
        assert wrong.status_code == 422
        for told in ("Enter a name", "Choose at least one of", "Choose 1 to 365 days.", "is no network"):
            assert told in wrong.text
        assert "<script>alert" not in wrong.text
        made = await site.post(page, page, **{"name": "grafana", "days": "30", "scope-integrations:read": "on"})
        (secret,) = re.findall(r"cdr_[\w-]{43}", made.text)
        assert secret not in await site.get(page)
        async with httpx2.AsyncClient(transport=site.http._transport, base_url=ORIGIN) as http:
            bearer = {"Authorization": f"Bearer {secret}"}
            assert "conductor_" in (await http.get("/metrics", headers=bearer)).text
            assert (await http.get("/api/v1/artifacts/count", headers=bearer)).status_code == 403
        ((token, _),) = [(told.token, told.integrations) for told in await tokens.everyone(site.system)]
        rotated = await site.post(page, f"{page}/{token.id}/rotate")
        (successor,) = re.findall(r"cdr_[\w-]{43}", rotated.text)
        assert successor != secret
        revoked = await site.post(page, f"{page}/{token.id}/revoke")
        assert revoked.headers["location"] == f"{page}?done=revoked"
        assert "It works no more." in await site.get(revoked.headers["location"])
        again = await site.post(page, f"{page}/{token.id}/rotate")
        assert (again.status_code, "This token is revoked." in again.text) == (409, True)

    run(tell)


def test_a_preview_shows_the_newest_events_beside_their_fields_and_stores_nothing(run: Any) -> None:
    async def tell(site: Site) -> None:
        seen = await site.add(do="preview")
        assert seen.status_code == 200
        assert "10 newest events" in seen.text
        assert "Nothing was stored. 2 requests were made." in html.unescape(seen.text)
        newest = site.tenant.world.first.visible(clock.now())[-1]
        assert newest.log_id in seen.text
        assert 'value="prod-us"' in seen.text
        assert SECRET not in seen.text
        assert "No integrations yet" in await site.get(LIST)
        wrong = await site.add(do="preview", client_secret="wrong-secret-0815")
        assert "did not accept the Client ID and Client Secret" in wrong.text
        assert "wrong-secret-0815" not in wrong.text
        missing = await site.add(do="preview", domain="")
        assert "Enter Domain." in missing.text
        await site.add()
        saved = await site.post(
            f"{LIST}/prod-us?tab=settings", f"{LIST}/prod-us", **site.form(do="preview", client_secret="")
        )
        assert "10 newest events" in saved.text
        token = (await tokens.create(site.system, "x", ["integrations:write"], by="ana"))[1]
        async with httpx2.AsyncClient(transport=site.http._transport, base_url=ORIGIN) as http:
            asked = await http.post(
                "/api/v1/integrations/preview", headers={"Authorization": f"Bearer {token}"}, json={"name": "prod-us"}
            )
        told = asked.json()
        assert (len(told["events"]), told["requests"]) == (10, 2)
        assert told["events"][0]["raw"]["log_id"] == told["events"][0]["fields"]["log_id"] == newest.log_id
        await site.index()
        assert "No events yet" in await site.get("/signals/search?last=30d")

    run(tell)


def test_a_number_that_no_row_can_have_is_refused_and_breaks_nothing(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        for number in (2**63, 10**30, -1):
            for path in (f"{LIST}/prod-us?tab=polls&before={number}", f"/admin/audit?before={number}"):
                assert (await site.http.get(path)).status_code == 422, path
            for path in (f"{LIST}/prod-us/gaps/{number}", f"{LIST}/prod-us/backfills/{number}"):
                assert (await site.post("/account", path, note="x", do="stop")).status_code == 422, path
            assert (await site.post("/account", f"/admin/settings/tokens/{number}/revoke")).status_code == 422
            api = f"/api/v1/integrations/prod-us/polls?before={number}"
            assert (await site.http.get(api)).status_code == 422

    run(tell)


async def _many(site: Site, count: int) -> None:
    def add(connection: Connection) -> None:
        for number in range(count):
            config = {"domain": f"t{number}.us.auth0.com", "client_id": "x"}
            stored.add(connection, f"tenant-{number:03}", "auth0", config, enabled=number % 2 == 0, by="ana")

    await site.system.database.write(add)


def test_many_integrations_are_shown_a_page_at_a_time_and_found_by_name_and_state(run: Any) -> None:
    async def tell(site: Site) -> None:
        await _many(site, 130)
        first = await site.get(LIST)
        assert (first.count("<article"), "1–60 of 130" in first) == (60, True)
        link = re.search(r'href="([^"]+)">Next</a>', first)
        assert link
        second = await site.get(html.unescape(link[1]))
        assert (second.count("<article"), "61–120 of 130" in second, "tenant-060" in second) == (60, True, True)
        assert "121–130 of 130" in await site.get(f"{LIST}?page=99")
        found = await site.get(f"{LIST}?q=TENANT-10")
        assert re.findall(r'<h2 id="name-\d+"><a [^>]*>([^<]+)', found) == [f"tenant-10{n}" for n in range(10)]
        both = await site.get(f"{LIST}?q=tenant-10&status=grey")
        assert "○ Off (130)" in both  # all are grey: the others wait for their first poll
        assert "No integration fits." in await site.get(f"{LIST}?q=nothing")

    run(tell)


def test_a_tile_has_a_bar_for_each_of_the_last_24_hours(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        await site.post(LIST, f"{LIST}/prod-us/poll")
        tile = await site.get(LIST)
        assert 'aria-label="Polls, last 24 hours: 1 h good, 23 h no polls"' in tile
        assert re.search(r"<dt>24 hours</dt><dd><a [^>]+>4\d\d events</a>", tile)

    run(tell)


def test_an_integration_is_duplicated_with_everything_but_its_name_and_secret(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add(polling_interval="17")
        form = await site.get(f"{LIST}/new?kind=auth0&from=prod-us")
        assert 'name="polling_interval" type="number" value="17"' in form
        assert f'value="{site.tenant.authority()}"' in form
        assert re.search(r'id="f-name" name="name" value=""', form)
        assert SECRET not in form
        assert "prod-us already collects from this tenant." in form
        assert (await site.add(name="prod-us-2")).status_code == 303  # warned of, and allowed

    run(tell)


def test_the_catalog_lists_the_sources_by_category(run: Any) -> None:
    async def tell(site: Site) -> None:
        catalog = await site.get(f"{LIST}/new")
        assert catalog.index("Identity &amp; Access") < catalog.index("Add Auth0")
        await site.get(f"{LIST}/new?kind=nothing", status=404)
        await site.get(f"{LIST}/new?kind=auth0&from=nothing", status=404)

    run(tell)


def test_a_failed_poll_tells_its_requests_without_secrets(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        site.tenant.world.faults.add(Fault("html"))
        await site.post(LIST, f"{LIST}/prod-us/poll")
        listing = await site.get(f"{LIST}/prod-us?tab=polls&result=failed")
        link = re.search(r'href="([^"]+/polls/\d+)"', listing)
        assert link
        page = await site.get(link[1])
        assert "/api/v2/logs?" in page
        assert "&lt;title&gt;Attention Required!" in page
        told = json.loads((await site.http.get(link[1].replace(LIST, "/api/v1/integrations"))).text)
        assert told["result"] == "net.captive"
        assert [one["method"] for one in told["exchanges"]] == ["POST", "GET", "GET"]
        assert [one["body"][:15] for one in told["exchanges"]] == ["", "", "<!DOCTYPE html>"]
        assert SECRET not in page + json.dumps(told)
        await site.get(f"{LIST}/prod-us/polls/999", status=404)

    run(tell)


def test_the_timeline_tells_who_changed_what(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        settings = f"{LIST}/prod-us?tab=settings"
        changed = site.form(polling_interval="17", client_secret="", do="save-off", enabled="")
        changed.pop("enabled")
        await site.post(settings, f"{LIST}/prod-us", **changed)
        page = await site.get(f"{LIST}/prod-us")
        assert "ana@example.com edited it: enabled true → false; polling_interval 5 → 17" in page
        assert "polling_interval 5 → 17" in await site.get("/admin/audit?action=integration.edited")
        wanted = auditing.Wanted(action="integration.edited")
        entry = (await auditing.entries(site.system, wanted, 1))[0]
        assert (entry.address, len(entry.detail["request"])) == ("127.0.0.1", 16)

    run(tell)


def test_one_chooses_how_the_pages_look(run: Any) -> None:
    async def tell(site: Site) -> None:
        assert '<html lang="en">' in await site.get("/account")
        await site.post("/account", "/account/look", theme="dark", density="compact")
        assert '<html lang="en" data-theme="dark" data-density="compact" data-keys="off">' in await site.get(LIST)
        wrong = await site.post("/account", "/account/look", theme="pink", density="compact")
        assert (wrong.status_code, "Choose one from the list." in wrong.text) == (422, True)
        await site.post("/account", "/account/look", theme="system", density="roomy", keys="on")
        assert '<html lang="en">' in await site.get(LIST)

    run(tell)


def test_the_dashboard_tells_of_the_stages_the_parts_and_the_machine(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        await site.post(LIST, f"{LIST}/prod-us/poll")
        await site.index()
        overview = await site.get("/")
        assert re.search(r"<i class=\"c0\" [^>]+></i> prod-us", overview)
        assert re.search(
            r'href="/signals/search\?last=custom&amp;from=[^"]+" aria-label="[^"]+: 4\d\d events"', overview
        )
        pipeline = " ".join(re.sub(r"<[^>]+>", " ", await site.get("/?tab=pipeline")).split())
        assert re.search(r"Collect polls, last 24 hours 1 – – 0", pipeline)
        assert re.search(r"Store new events, last 24 hours (4\d\d) \1 0 – 0", pipeline)
        assert re.search(r"Index events, since this process started (4\d\d) \1 0 – 0", pipeline)
        assert re.search(r"Search events that can be found (4\d\d) \1", pipeline)
        assert "Writes to SQLite." in await site.get("/?tab=services")
        machine = await site.get("/?tab=system")
        assert re.search(r'<dt>Stored</dt><dd><a href="/signals/search">4\d\d</a>', machine)
        assert re.search(r"<dt>Free</dt><dd>[\d.]+ [GT]B of", machine)

    run(tell)


def test_general_settings_tell_where_each_value_comes_from(run: Any) -> None:
    async def tell(site: Site) -> None:
        page = " ".join(re.sub(r"<[^>]+>", " ", await site.get("/admin/settings/general")).split())
        assert "Events are kept for 90 days ." in page
        assert re.search(r"CONDUCTOR_RETENTION_DAYS 90 default How many days events are kept.", page)
        assert re.search(r"CONDUCTOR_ALLOW_PRIVATE_TARGETS 127.0.0.0/8,::1/128 (option|environment)", page)

    run(tell)


def test_a_limit_of_none_is_not_believed(run: Any) -> None:
    def slow(connection: Connection) -> None:
        hour = 3600 * 1_000_000
        connection.exec_driver_sql(
            f"UPDATE polls SET rate_limit = 0, started_at = finished_at - {hour}, requests = 900, "
            f"position_from = finished_at - {hour}, position_to = finished_at - {hour // 2}"
        )
        connection.exec_driver_sql("UPDATE integrations SET changed_at = 0")

    async def tell(site: Site) -> None:
        await site.add()
        await site.post(LIST, f"{LIST}/prod-us/poll")
        await site.system.database.write(slow)
        assert "prod-us" in await site.get(LIST)

    run(tell)


def test_every_count_is_written_down(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.http.get("/api/v1/artifacts/count?q=ip:203.0.113.7&after=x")
        found = await auditing.entries(site.system, auditing.Wanted(action="search"), 9)
        assert [entry.detail["q"] for entry in found] == ["ip:203.0.113.7"]

    run(tell)


def test_the_name_of_before_leads_to_the_integration_until_another_has_it(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        await site.post(LIST, f"{LIST}/prod-us/poll")
        await site.index()
        for old, new in (("prod-us", "prod"), ("prod", "prod-west")):
            edited = await site.post(
                f"{LIST}/{old}?tab=settings", f"{LIST}/{old}", **site.form(name=new, client_secret="")
            )
            assert edited.headers["location"] == f"{LIST}/{new}"
        for old in ("prod-us", "prod"):
            moved = await site.http.get(f"{LIST}/{old}/polls/1?x=1")
            assert (moved.status_code, moved.headers["location"]) == (302, f"{LIST}/prod-west/polls/1?x=1")
            told = await site.http.get(f"/api/v1/integrations/{old}")
            assert told.status_code == 404
            assert told.json()["error"]["title"] == f"There is no integration called {old}. It is called prod-west now."
            found = (await site.http.get(f"/api/v1/artifacts/count?q=integration:{old}")).json()
            assert found["count"] >= 450
        assert (await site.http.get(f"{LIST}/new?kind=auth0&from=prod-us")).status_code == 404  # no way round and round
        await site.add(name="Prod", do="save-off")
        assert (await site.http.get("/api/v1/artifacts/count?q=integration:prod")).json() == {"count": 0}
        await site.post(f"{LIST}/Prod", f"{LIST}/Prod/remove", confirm="Prod")
        await site.add(name="prod", do="save-off")
        assert (await site.http.get(f"{LIST}/prod")).status_code == 200
        assert (await site.http.get("/api/v1/artifacts/count?q=integration:prod")).json() == {"count": 0}
        assert (await site.http.get(f"{LIST}/never")).status_code == 404

    run(tell)


def test_help_names_every_error_and_has_no_dead_link(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        seen, waiting = set[str](), ["/help"]
        while waiting:
            page = await site.get(waiting.pop())
            links = {html.unescape(link).partition("#")[0] for link in re.findall(r'href="(/[^"]*)"', page)}
            waiting += sorted(link for link in links - seen if link.startswith("/help"))
            seen |= links
        assert {f"/help/{code}" for code in site.system.catalog.codes} <= seen
        for link in seen:
            await site.get(link)

    run(tell)


def test_a_support_bundle_tells_of_everything_but_secrets_and_events(run: Any) -> None:
    async def tell(site: Site) -> None:
        await site.add()
        await site.post(LIST, f"{LIST}/prod-us/poll")
        headers = {**OURS, "X-Conductor": "1"}
        made = (await site.http.post("/api/v1/support-bundle", json={}, headers=headers)).json()
        assert list(made["parts"]) == list(made["contents"])
        parts = made["parts"]
        assert "CONDUCTOR_RETENTION_DAYS=90 (default)" in parts["settings.txt"]
        assert json.loads(parts["sources.json"])[0]["name"] == "prod-us"
        requests = json.loads(parts["polls.json"])["prod-us"][0]["exchanges"]
        assert [one["status"] for one in requests] == [200] * len(requests)
        assert json.loads(parts["pipeline.json"])["stages"][0]["name"] == "Collect"
        assert 'conductor_polls_total{connector="auth0"' in parts["metrics.txt"]
        assert SECRET not in json.dumps(made)
        assert {one["body"] for one in requests} == {"(0 bytes)"}
        assert "support.bundle" in await site.get("/admin/audit?action=support.bundle")

    run(tell)
