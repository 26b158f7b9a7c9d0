"""Every state of every page that people may come to: empty, loading, failed, degraded. Each is reached here.

With CONDUCTOR_SCREENS=1 a picture of each is written to docs/screens/states/.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import processes
from browser.browsing import browsing, sign_in
from browser.conftest import Own
from browser.pictures import OPEN_GAP, picture, tamper
from browser.processes import EMAIL, PASSWORD, Conductor, wait_for
from playwright.sync_api import Browser, Dialog, Page, Route, expect

LIST = "/admin/settings/integrations"
HELD = 60_000  # ms: each write waits 5 s for a database that is held
NO_ANSWER = 30_000  # ms: a list asks every 2 s, and a browser takes its time to see that nobody is there


# An hour of a backfill that read half an hour of the log, and two hours that nobody collected.
SLOW_SITTING = """
UPDATE backfills SET state = 'running', asked_at = asked_at - 7200000000;
INSERT INTO polls (integration_id, lane, started_at, finished_at, result, position_from, position_to)
SELECT integration_id, lane, asked_at, asked_at + 3600000000, 'ok', begins, begins + 1800000000 FROM backfills;
"""

# An export in each state; those that are not done belong to a machine that is away.
EXPORTS = """
WITH states (state, reason, place, count, size) AS (VALUES
  ('expired', 'It was kept for 7 days.', NULL, 1200000, 900), ('cancelled', '', '1.1.1.1', 40000, 900),
  ('failed', 'The disk is nearly full. Make room, and export again.', '1.1.1.1', 400000, 900),
  ('done', '', NULL, 1200000, 734003200), ('running', '', '1.1.1.1', 744000, 900), ('waiting', '', '', 0, 0))
INSERT INTO exports (state, reason, made_by, home, host, asked, total, place, size, count, missing, sha256, created_at,
  started_at, done_at)
SELECT state, reason, 'ana@example.com', 'away', 'logs-2', json_object('format', 'parquet', 'columns', json('["id"]'),
  'plain', json('false'), 'masked', json('false'), 'only', NULL, 'request', json_object('q', 'type:(fp OR fu)',
  'start', '2026-10-01T00:00:00.000000Z', 'end', '2026-11-20T00:00:00.000000Z')), 1200000, place, size, count,
  json_object('gaps', json('{}'), 'behind', json('[]')), '', 1795000000000000, 1795000000000000, 1795000400000000
FROM states;
"""


def stop_at_sending(page: Page) -> None:
    """A form is sent nowhere, so that what is shown meanwhile stays."""
    page.evaluate("document.addEventListener('submit', (event) => event.preventDefault())")


@contextmanager
def locked(conductor: Conductor) -> Iterator[None]:
    """Another program holds the database."""
    foreign = sqlite3.connect(conductor.cli.data / "conductor.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    yield
    foreign.execute("ROLLBACK")
    foreign.close()


def test_set_up(browser: Browser, tmp_path: Path) -> None:
    with processes.serving(tmp_path, admin=False) as conductor, browsing(browser) as (page, _):
        page.goto(f"{conductor.url}/setup?token=used")
        expect(page.get_by_text("This set-up link has expired or was used.")).to_be_visible()
        picture(page, "setup-expired")
        page.goto(conductor.setup_link)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill("password1234")
        page.get_by_role("button", name="Create administrator").click()
        expect(page.get_by_role("alert")).to_contain_text("There is a problem")
        picture(page, "setup-weak-password")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        with locked(conductor):
            page.set_default_timeout(HELD)
            page.get_by_role("button", name="Create administrator").click()
            expect(page.get_by_text("Another program holds the database.")).to_be_visible(timeout=HELD)
            picture(page, "setup-not-writable")
        page.goto(conductor.setup_link)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        stop_at_sending(page)
        page.get_by_role("button", name="Create administrator").click()
        expect(page.get_by_role("button", name="Creating…")).to_have_attribute("aria-disabled", "true")
        expect(page.get_by_label("E-mail")).to_have_attribute("readonly", "")
        picture(page, "setup-loading")
        page.goto(conductor.setup_link)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Create administrator").click()
        page.get_by_role("heading", name="Connect your first source").wait_for()
        picture(page, "setup-source")


def test_plain_http_from_another_machine(browser: Browser, tmp_path: Path) -> None:
    with processes.serving(tmp_path) as conductor, browsing(browser) as (page, _):
        there = "http://conductor.test"

        def reach(route: Route) -> None:
            route.fulfill(response=route.fetch(url=route.request.url.replace(there, conductor.url)))

        page.route(f"{there}/**", reach)
        page.goto(f"{there}/auth/login")
        expect(page.get_by_text("This page came over plain HTTP.")).to_be_visible()
        picture(page, "login-plain-http")
        page.goto(f"{conductor.url}/auth/login")
        expect(page.get_by_text("This page came over plain HTTP.")).to_be_hidden()


def test_sign_in(browser: Browser, tmp_path: Path) -> None:
    with processes.serving(tmp_path) as conductor, browsing(browser) as (page, _):
        page.goto(f"{conductor.url}/auth/login")
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
        picture(page, "login-wrong")
        while "Too many attempts" not in (page.get_by_role("alert").text_content() or ""):
            page.get_by_label("Password", exact=True).fill("wrong")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_focused()
        picture(page, "login-locked")
        tamper(conductor, "DELETE FROM login_failures")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        stop_at_sending(page)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Signing in…")).to_be_visible()
        picture(page, "login-loading")
        sign_in(page, conductor.url)
        page.get_by_role("heading", name="Dashboard").wait_for()
        picture(page, "dashboard-empty")
        for path, name in (
            (LIST, "integrations-empty"),
            ("/admin/users", "users-first"),
            ("/admin/settings/tokens", "tokens-empty"),
            ("/admin/settings/notifications", "notifications-empty"),
        ):
            page.goto(conductor.url + path)
            picture(page, name)
        tamper(conductor, "UPDATE sessions SET created_at = created_at - 86400000000, seen_at = seen_at - 86400000000")
        page.goto(f"{conductor.url}{LIST}?status=red")
        expect(page.get_by_role("status")).to_contain_text("Sign in to continue where you were.")
        picture(page, "login-ended")


def test_the_forms_of_an_integration(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    page.goto(f"{conductor.url}{LIST}/new?kind=auth0")
    page.get_by_label("Name").fill("prod")
    page.get_by_label("Domain", exact=True).fill("https://manage.auth0.com/dashboard")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    picture(page, "add-field-errors")
    page.get_by_label("Domain", exact=True).fill(vendor.domain)
    page.get_by_label("Client ID").fill(vendor.client_id)
    page.get_by_label("Client Secret", exact=True).fill("not the secret")
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("CA bundle").fill(vendor.ca_text)
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("listitem").filter(has_text="Auth0 did not accept")).to_be_focused()
    expect(page.get_by_text("There is a problem")).to_have_count(0)
    picture(page, "add-failed-step")
    page.get_by_label("Client Secret", exact=True).fill(vendor.client_secret)
    vendor.control("POST", "faults", {"kind": "hang", "count": 1, "endpoint": "search", "seconds": 3})
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("heading", name="Testing the connection…")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Scopes")).to_be_visible()
    picture(page, "add-testing")
    expect(page.get_by_role("heading", name="The connection works")).to_be_focused()
    picture(page, "add-works")
    page.get_by_label("Client Secret", exact=True).fill("not the secret")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Save switched off").click()
    expect(page.get_by_role("heading", name="prod", exact=True)).to_be_visible()
    picture(page, "edit-saved-off")
    for tab in ("polls", "gaps", "backfill"):
        page.goto(f"{conductor.url}{LIST}/prod?tab={tab}")
        picture(page, f"{tab}-empty")


def test_a_form_tells_what_it_takes(house_of_its_own: Own) -> None:
    page, conductor, _, _ = house_of_its_own
    form = f"{conductor.url}{LIST}/new?kind=auth0"
    page.goto(form)
    expect(page.get_by_text("≈ 288 polls a day, 0.17 % of the rate limit.")).to_be_visible()
    page.get_by_label("Polling interval").fill("1")
    page.get_by_label("Auth0 plan").select_option("essentials")
    expect(page.get_by_text("≈ 1,440 polls a day, 1 % of the rate limit.")).to_be_visible()
    domain = page.get_by_label("Domain", exact=True)
    domain.fill("https://manage.auth0.com/dashboard/eu/acme/applications")
    page.get_by_label("Name").fill("prod")
    expect(domain).to_have_value("acme.eu.auth0.com")
    expect(page.get_by_text("That was the dashboard's address. Its tenant is acme.eu.auth0.com.")).to_be_visible()
    domain.fill("https://login.acme.com/x")
    page.get_by_label("Name").focus()
    expect(domain).to_have_value("login.acme.com")
    expect(page.get_by_text("We removed https:// and /x. login.acme.com is a custom domain")).to_be_visible()
    picture(page, "add-hints")


def test_a_form_keeps_what_was_typed(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    form = f"{conductor.url}{LIST}/new?kind=auth0"
    page.goto(form)
    page.get_by_label("Name").fill("prod")
    page.get_by_label("Auth0 plan").select_option("essentials")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="Dashboard").click()
    wait_for(lambda: asked == ["beforeunload"], "question")
    expect(page.get_by_label("Name")).to_have_value("prod")
    tamper(conductor, "UPDATE sessions SET created_at = created_at - 86400000000")
    page.get_by_label("Client Secret", exact=True).fill("a secret")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("What you had typed is here again. Enter secrets anew.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("prod")
    expect(page.get_by_label("Auth0 plan")).to_have_value("essentials")
    expect(page.get_by_text("≈ 288 polls a day, 0.2 % of the rate limit.")).to_be_visible()
    expect(page.get_by_label("Client Secret", exact=True)).to_have_value("")
    assert "a secret" not in page.evaluate("JSON.stringify({...sessionStorage})")
    picture(page, "add-kept")
    csrf = page.locator("#form input[name=csrf]")
    known = csrf.input_value()
    csrf.evaluate("(input) => (input.value = 'old')")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(
        "This form is out of date. Load the page again. What you typed is still here."
    )
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("prod")
    picture(page, "add-out-of-date")
    csrf.evaluate("(input, value) => (input.value = value)", known)
    page.get_by_label("Domain", exact=True).fill(vendor.domain)
    page.get_by_label("Client ID").fill(vendor.client_id)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_label("Client Secret", exact=True).fill(vendor.client_secret)
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("CA bundle").fill(vendor.ca_text)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="prod", exact=True)).to_be_visible()
    assert asked == ["beforeunload"]  # once, and no more when it is saved
    page.goto(form)
    expect(page.get_by_label("Name")).to_have_value("")


def test_a_source_from_its_first_poll_to_a_conductor_that_is_gone(house_of_its_own: Own) -> None:
    page, conductor, vendor, serving = house_of_its_own
    conductor.cli.add(vendor, "prod", "--disabled")
    vendor.control("POST", "faults", {"kind": "hang", "count": 1, "endpoint": "any", "seconds": 4})
    conductor.cli.ok("integration", "enable", "prod")
    page.goto(f"{conductor.url}{LIST}")
    expect(page.get_by_text("Polling for the first time.")).to_be_visible()
    picture(page, "integrations-checking")
    expect(page.get_by_role("article", name="prod")).to_contain_text("Healthy")
    picture(page, "integrations-healthy")
    vendor.control("POST", "faults", {"kind": "insufficient_scope"})
    conductor.cli.run("integration", "poll", "prod")
    expect(page.get_by_role("article", name="prod")).to_contain_text("the application may not read logs.")
    picture(page, "integrations-red")
    page.get_by_role("link", name="prod", exact=True).click()
    picture(page, "integration-red")
    page.get_by_role("link", name="Polls", exact=True).click()
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Poll")
    picture(page, "poll-failed")
    page.goto(conductor.url)
    picture(page, "dashboard-attention")
    with locked(conductor):
        conductor.cli.run("integration", "poll", "prod")
        wait_for(lambda: "held the database for 5 s" in conductor.printed, "pause")
        page.goto(f"{conductor.url}/?tab=services")
        expect(page.get_by_role("row", name="Writer")).to_contain_text("Paused")
        picture(page, "dashboard-read-only")
    page.goto(f"{conductor.url}{LIST}")
    serving.close()
    expect(page.get_by_text("Conductor does not answer.")).to_be_visible(timeout=NO_ANSWER)
    expect(page.get_by_role("article", name="prod")).to_contain_text("the application may not read logs.")
    expect(page.get_by_role("switch").or_(page.get_by_role("button", name="Poll now")).first).to_be_disabled()
    picture(page, "integrations-unavailable")


def test_the_dashboard_of_a_conductor_that_is_gone(house_of_its_own: Own) -> None:
    page, conductor, vendor, serving = house_of_its_own
    conductor.cli.add(vendor, "prod")
    page.goto(conductor.url)
    expect(page.get_by_role("row", name="prod")).to_contain_text("Healthy")
    serving.close()
    expect(page.get_by_text("Conductor does not answer.")).to_be_visible(timeout=2 * NO_ANSWER)
    expect(page.get_by_role("row", name="prod")).to_contain_text("Healthy")
    picture(page, "dashboard-unavailable")


def test_gaps_and_backfills(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    conductor.cli.add(vendor, "prod", "--plan", "starter")
    wait_for(lambda: "healthy" in conductor.cli.ok("status"), "green source")
    vendor.control("POST", "faults", {"kind": "hang", "endpoint": "any", "seconds": 60})
    conductor.cli.ok("integration", "backfill", "prod", "start", "--from", "1d", "--yes")
    conductor.cli.ok("integration", "backfill", "prod", "pause")
    page.goto(f"{conductor.url}{LIST}/prod?tab=backfill")
    picture(page, "backfill-paused")
    conductor.cli.ok("integration", "backfill", "prod", "resume")
    tamper(conductor, SLOW_SITTING)
    page.reload()
    expect(page.get_by_text("The vendor is deleting events faster than this backfill reads them.")).to_be_visible()
    picture(page, "backfill-racing")
    conductor.cli.ok("integration", "disable", "prod")
    tamper(conductor, OPEN_GAP)
    conductor.cli.ok("integration", "enable", "prod")
    page.goto(f"{conductor.url}{LIST}/prod?tab=gaps")
    expect(page.get_by_role("row").filter(has_text="open")).to_be_visible()
    picture(page, "gaps-open")
    vendor.control("DELETE", "faults")
    vendor.control("POST", "faults", {"kind": "rate_limited", "retry_after": "120"})
    conductor.cli.run("integration", "poll", "prod")
    page.goto(f"{conductor.url}{LIST}/prod")
    expect(page.get_by_text("Auth0 asked us to slow down.").first).to_be_visible()
    picture(page, "integration-throttled")


def test_an_event_whose_personal_data_is_hidden(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    conductor.cli.add(vendor, "prod")
    wait_for(lambda: "healthy" in conductor.cli.ok("status"), "green source")
    page.goto(f"{conductor.url}/admin/settings/general")
    page.get_by_label("Sign in again after").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter a whole number of hours")
    picture(page, "general-field-error")
    page.get_by_label("Sign in again after").fill("8")
    page.get_by_label("Hide personal data from").select_option("Everyone")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved. It holds from now on.")
    picture(page, "general-saved")
    page.goto(f"{conductor.url}/signals/search?last=7d&q=type:(s+OR+fp)")
    page.locator("#rows a").first.click()
    expect(page.get_by_text("Personal data is hidden from your role.")).to_be_visible()
    picture(page, "event-masked")
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_text("Personal data is hidden from your role.")).to_have_count(0)
    picture(page, "event-unmasked")
    page.goto(f"{conductor.url}/signals/search?last=7d&open={'0' * 32}")
    expect(page.get_by_text("There is no such event.")).to_be_visible()
    picture(page, "event-deleted")


def test_exports_in_every_state(house_of_its_own: Own) -> None:
    page, conductor, _, _ = house_of_its_own
    page.goto(f"{conductor.url}/signals/exports")
    expect(page.get_by_text("No exports in the background yet.")).to_be_visible()
    picture(page, "exports-none")
    tamper(conductor, EXPORTS)
    page.reload()
    rows = page.locator("#exports tbody tr")
    told = ("Waiting", "62 %", "on logs-2", "Failed. The disk is nearly full.", "Cancelled", "Expired. It was kept")
    for row, text in zip(rows.all(), told, strict=True):
        expect(row).to_contain_text(text)
    picture(page, "exports")
    rows.nth(1).get_by_role("button", name="Cancel").click()
    expect(rows.nth(1)).to_contain_text("Cancelled")


def test_people_and_the_audit_log(house_of_its_own: Own) -> None:
    page, conductor, _, _ = house_of_its_own
    page.goto(f"{conductor.url}/admin/users")
    page.get_by_role("button", name=f"Deactivate {EMAIL}").click()
    expect(page.get_by_role("alert")).to_contain_text("Make someone else an administrator first.")
    picture(page, "users-last-admin")
    conductor.cli.ok("token", "create", "grafana", "--scope", "integrations:read")
    tamper(conductor, "UPDATE api_tokens SET expires_at = 1")
    page.goto(f"{conductor.url}/admin/settings/tokens")
    expect(page.get_by_role("row", name="grafana")).to_contain_text("expired")
    picture(page, "tokens-expired")
    page.goto(f"{conductor.url}/admin/audit")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Chain intact")).to_be_visible()
    picture(page, "audit-intact")
    tamper(conductor, "DROP TRIGGER audit_keeps_update; UPDATE audit SET actor = 'nobody' WHERE id = 1")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("alert")).to_be_visible()
    picture(page, "audit-broken")
