"""The guide's steps as an operator does them, in a real browser, with Conductor and the vendor in their own processes.

With CONDUCTOR_SCREENS=1 the pictures of the documentation are taken on the way and written to docs/screens/.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import processes
from browser.browsing import browsing, chromium
from browser.processes import EMAIL, PASSWORD, Conductor, Vendor, wait_for
from playwright.sync_api import Browser, Page, expect

SCREENS = Path(__file__).parents[2] / "docs" / "screens"
WHOLE = ("add", "test-failed")  # pictures of the page to its end
ONE_CYCLE = 60_000  # ms: the polling interval that is chosen here is a minute
HISTORY = 1_200


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    """One browser for the module."""
    with chromium(chromium_path) as started:
        yield started


def test_the_three_steps_of_the_guide_lead_to_searchable_events(browser: Browser, tmp_path: Path) -> None:
    with (
        processes.simulating(tmp_path, "--history", str(HISTORY), "--rate", "0.5") as vendor,
        processes.serving(tmp_path, admin=False) as conductor,
        browsing(browser) as (page, watch),
    ):
        _create_administrator(page, conductor)
        _configure(page, conductor, vendor)
        _check_the_tile(page, conductor)
        _check_the_log(conductor)
        _check_the_events(page, vendor)
        page.get_by_role("link", name="Dashboard").click()
        expect(page.get_by_role("heading", name="Needs attention (0)")).to_be_visible()
        _screen(page, "dashboard")
        watch.assert_clean(page)


def test_a_wrong_secret_is_told_with_its_fix_and_green_five_seconds_after_it_is_mended(
    browser: Browser, tmp_path: Path
) -> None:
    wrong = "not-the-secret-of-this-application"
    with (
        processes.simulating(tmp_path, "--history", "100") as vendor,
        processes.serving(tmp_path, admin=False) as conductor,
        browsing(browser) as (page, watch),
    ):
        _create_administrator(page, conductor, pictured=False)
        _open_form(page, conductor)
        _fill(page, vendor, secret=wrong)
        page.get_by_role("button", name="Save", exact=True).click()
        failed = page.get_by_role("listitem").filter(has_text="Auth0 did not accept the Client ID and Client Secret.")
        expect(failed).to_be_focused()
        expect(failed).to_contain_text("the one entered has 34 characters")
        assert wrong not in page.content()
        _screen(page, "test-failed")
        assert conductor.cli.ok("integration", "list").splitlines()[1:] == []

        page.get_by_role("button", name="Save switched off").click()
        page.get_by_role("switch", name="Enabled: prod-us").click()
        page.goto(f"{conductor.url}/admin/settings/integrations")
        tile = page.get_by_role("article", name="prod-us")
        expect(tile).to_have_class(re.compile("is-red"), timeout=10_000)
        expect(tile).to_contain_text("Auth0 did not accept the Client ID and Client Secret.")
        tile.get_by_role("link", name="Show me the fix").click()
        expect(page.get_by_role("main")).to_contain_text("Copy both again from the same application")

        page.get_by_role("link", name="Open settings").click()
        page.get_by_text("Replace", exact=True).click()
        page.get_by_label("New Client Secret").fill(vendor.client_secret)
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("heading", name="What is happening").wait_for()
        page.goto(f"{conductor.url}/admin/settings/integrations")
        expect(page.get_by_role("article", name="prod-us")).to_have_class(re.compile("is-green"), timeout=5_000)
        watch.assert_clean(page)


def _create_administrator(page: Page, conductor: Conductor, *, pictured: bool = True) -> None:
    page.goto(conductor.setup_link)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    if pictured:
        _screen(page, "setup")
    page.get_by_role("button", name="Create administrator").click()
    page.get_by_role("heading", name="Connect your first source").wait_for()


def _configure(page: Page, conductor: Conductor, vendor: Vendor) -> None:
    """Step 2 of the guide."""
    _open_form(page, conductor)
    _fill(page, vendor)
    _screen(page, "add")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("heading", name="prod-us").wait_for()


def _open_form(page: Page, conductor: Conductor) -> None:
    page.goto(f"{conductor.url}/admin/settings/integrations")
    page.get_by_text("Add Integration").click()
    page.get_by_role("link", name="Auth0", exact=True).click()


def _fill(page: Page, vendor: Vendor, *, secret: str | None = None) -> None:
    page.get_by_label("Name", exact=True).fill("prod-us")
    page.get_by_label("Domain", exact=True).fill(vendor.domain)
    page.get_by_label("Client ID").fill(vendor.client_id)
    page.get_by_label("Client Secret", exact=True).fill(secret or vendor.client_secret)
    page.get_by_label("Polling Interval").fill("1")
    page.get_by_label("Auth0 plan").select_option("enterprise")
    page.get_by_text("Advanced").click()
    page.get_by_label("CA bundle").fill(vendor.ca_text)
    page.get_by_text("Advanced").click()
    expect(page.get_by_role("switch", name="Enabled")).to_be_checked()


def _check_the_tile(page: Page, conductor: Conductor) -> None:
    """Step 3.1."""
    page.goto(f"{conductor.url}/admin/settings/integrations")
    tile = page.get_by_role("article", name="prod-us")
    expect(tile).to_have_class(re.compile("is-green"), timeout=ONE_CYCLE)
    expect(tile).to_contain_text("● Healthy", timeout=ONE_CYCLE)
    expect(tile).to_contain_text(re.compile(r"1,2\d\d events"))
    _screen(page, "integrations")


def _check_the_log(conductor: Conductor) -> None:
    """Step 3.2, with the guide's own command on the log of the process."""
    told = subprocess.run(f"tail -n 50 {conductor.log} | grep auth0", shell=True, capture_output=True, text=True)
    assert re.search(r"\[INFO\] auth0: fetched \d+ log events", told.stdout), told.stdout


def _check_the_events(page: Page, vendor: Vendor) -> None:
    """Step 3.3."""
    page.get_by_text("Signals", exact=True).click()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("Query").fill("integration:prod-us type:fp")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status").first).to_contain_text(re.compile(r"^[1-9]\d* events?$"))
    _screen(page, "search")
    page.locator("#rows a").first.click()
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_contain_text("wrong password")
    panel.get_by_role("link", name="Link", exact=True).click()
    page.get_by_role("heading", name="wrong password").wait_for()
    _screen(page, "event")
    shown = page.locator("#raw").text_content() or ""
    sent = wait_for(lambda: vendor.event(json.loads(shown)["log_id"]), "event at the vendor")
    assert shown.encode() == sent


def _screen(page: Page, name: str) -> None:
    if os.environ.get("CONDUCTOR_SCREENS") == "1":
        SCREENS.mkdir(exist_ok=True)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)  # what comes by itself is there
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=SCREENS / f"{name}.png", full_page=name in WHOLE)
