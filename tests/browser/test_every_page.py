"""What holds for every page: no barrier that axe finds, no CSP violation, no other host, no sideways scroll, no script
needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import processes
from browser.browsing import LAPTOP, barriers, browsing
from browser.conftest import House
from browser.processes import EMAIL, PASSWORD, search_url
from playwright.sync_api import Browser, Page, ViewportSize, expect

LIST = "/admin/settings/integrations"
NARROW: ViewportSize = {"width": 320, "height": 640}
NOTIFICATIONS = "/admin/settings/notifications"
PAGES = {
    "dashboard": "/",
    "the pipeline": "/?tab=pipeline",
    "the services": "/?tab=services",
    "the machine": "/?tab=system",
    "integrations": LIST,
    "integrations that failed": f"{LIST}?status=red",
    "integrations, none in this state": f"{LIST}?status=amber",
    "integrations by name": f"{LIST}?q=prod",
    "the catalog": f"{LIST}/new",
    "add": f"{LIST}/new?kind=auth0",
    "duplicate": f"{LIST}/new?kind=auth0&from=prod",
    "a healthy integration": f"{LIST}/prod",
    "its polls": f"{LIST}/prod?tab=polls",
    "its polls that failed": f"{LIST}/prod?tab=polls&result=failed&longer=30&events=true",
    "one poll": f"{LIST}/prod/polls/1",
    "a poll that failed": f"{LIST}/broken/polls/FAILED",
    "its gaps": f"{LIST}/prod?tab=gaps",
    "its backfills": f"{LIST}/prod?tab=backfill",
    "its settings": f"{LIST}/prod?tab=settings",
    "a failed integration": f"{LIST}/broken",
    "an integration that is off": f"{LIST}/off",
    "search": "/signals/search?last=4h",
    "a search with an event open": "/signals/search?q=type%3Afp&open=EVENT",
    "a search with its counts": "/signals/search?last=7d&with=counts&compare=prev",
    "a search with its map": "/signals/search?last=30d&map=1&with=counts",
    "a search with a map of nothing": "/signals/search?q=-country%3A%2A&last=30d&map=1&with=counts",
    "a search by groups": "/signals/search?last=7d&view=group:type&compare=prev",
    "a search of which no term fits": "/signals/search?q=type%3Afp+ip%3A198.18.0.1&last=7d",
    "a search with other columns": "/signals/search?last=7d&cols=date%2Ccountry%2Cuser_agent%3A320&sort=date",
    "a search with a hint": "/signals/search?q=usr%3Abob",
    "a search that does not parse": "/signals/search?q=%28type%3Afp+OR+type%3Afu",
    "a search without a match": "/signals/search?q=type%3Anothing",
    "a search between two times": "/signals/search?last=custom&from=2026-01-01T00:00Z&to=2026-01-02T00:00Z",
    "exports, none yet": "/signals/exports",
    "an event": "/signals/events/EVENT",
    "an event that is not there": "/signals/search?q=type%3Afp&open=0123456789abcdef0123456789abcdef",
    "chosen events": "/signals/selected?ids=EVENT",
    "users": "/admin/users",
    "users, none is inactive": "/admin/users?tab=inactive",
    "users who are invited": "/admin/users?tab=invited",
    "an invitation that does not work": "/invite?token=used",
    "API tokens": "/admin/settings/tokens",
    "notifications": NOTIFICATIONS,
    "notifications that failed": f"{NOTIFICATIONS}?state=failed",
    "a mail channel": f"{NOTIFICATIONS}/new?kind=email",
    "a webhook channel": f"{NOTIFICATIONS}/new?kind=webhook",
    "a saved channel": f"{NOTIFICATIONS}/on-call",
    "audit": "/admin/audit",
    "audit, no match": "/admin/audit?q=nothing-of-that-name&last=24h",
    "general settings": "/admin/settings/general",
    "account": "/account",
    "help": "/help",
    "the guide": "/help/auth0",
    "help with the search": "/help/search",
    "help with the keys": "/help/keys",
    "troubleshooting": "/help/troubleshooting",
    "help with an error": "/help/auth0.token.badsecret",
    "not found": "/nothing",
}


@pytest.fixture(scope="session")
def names(house: House) -> dict[str, str]:
    """What stands in `PAGES` for an id: the newest event, and a poll that failed."""
    ok = house.conductor.cli.ok
    event = re.findall(r'"id":"([0-9a-f]+)"', ok("search", "type:fp", "--limit", "1", "--jsonl"))[0]
    failed = json.loads(ok("integration", "polls", "broken", "--json"))["polls"][0]["id"]
    return {"EVENT": event, "FAILED": str(failed)}


def _named(path: str, names: dict[str, str]) -> str:
    for word, value in names.items():
        path = path.replace(word, value)
    return path


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
def test_a_page_has_no_barriers_fits_a_narrow_screen_and_asks_nobody_else(
    page: Page, house: House, names: dict[str, str], path: str
) -> None:
    _examine(page, house.url + _named(path, names))


def test_every_page_says_what_it_has_to_say_without_script(
    browser: Browser, house: House, storage: dict[str, Any], names: dict[str, str]
) -> None:
    with browsing(browser, **storage, java_script_enabled=False) as (page, _):
        for name, path in PAGES.items():
            answer = page.goto(house.url + _named(path, names))
            assert answer is not None
            assert answer.status in (200, 404, 422), name
            expect(page.get_by_role("heading", level=1), name).not_to_be_empty()


def test_the_first_pages_of_a_new_conductor_hold_to_it_too(browser: Browser, tmp_path: Path) -> None:
    with processes.serving(tmp_path, admin=False) as conductor, browsing(browser) as (page, watch):
        _examine(page, f"{conductor.url}/auth/login")
        _examine(page, f"{conductor.url}/setup?token=used")
        _examine(page, conductor.setup_link)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill("short")
        page.get_by_role("button", name="Create administrator").click()
        expect(page.get_by_role("alert")).to_be_focused()
        assert page.title().startswith("Error: ")
        _examine(page)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Create administrator").click()
        page.get_by_role("heading", name="Connect your first source").wait_for()
        _examine(page)
        for path in ("/", LIST, "/signals/search"):
            _examine(page, conductor.url + path)
        watch.assert_clean(page)


def test_the_sign_in_page_holds_to_it_too_and_tells_a_wrong_password(browser: Browser, house: House) -> None:
    with browsing(browser) as (page, watch):
        page.goto(f"{house.url}{LIST}")
        _examine(page)
        page.get_by_label("E-mail").fill(EMAIL)
        page.get_by_label("Password", exact=True).fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("E-mail or password is wrong.")
        _examine(page)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Integrations").wait_for()
        watch.assert_clean(page)


def test_a_form_with_mistakes_holds_to_it_too(page: Page, house: House) -> None:
    page.goto(f"{house.url}{LIST}/new?kind=auth0")
    page.get_by_label("Domain", exact=True).fill("not a domain")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("This is not an Auth0 domain.")
    expect(page.get_by_label("Domain", exact=True)).to_have_attribute("aria-invalid", "true")
    _examine(page)


def test_a_preview_holds_to_it_too(page: Page, house: House) -> None:
    page.goto(f"{house.url}{LIST}/prod?tab=settings")
    page.get_by_role("button", name="Preview events").click()
    expect(page.get_by_role("heading", name="10 newest events")).to_be_focused()
    _examine(page)
    page.goto(f"{house.url}{LIST}/broken?tab=settings")
    page.get_by_role("button", name="Preview events").click()
    expect(page.get_by_role("alert")).to_contain_text("Auth0 did not accept the Client ID and Client Secret.")
    _examine(page)


def test_what_is_shown_once_holds_to_it_too(page: Page, house: House) -> None:
    page.goto(f"{house.url}/admin/users")
    page.get_by_label("E-mail").fill("new@example.com")
    page.get_by_role("button", name="Make an invitation").click()
    expect(page.get_by_role("heading", name="Send this link to new@example.com")).to_be_focused()
    _examine(page)
    link = page.locator("#link").text_content() or ""
    _examine(page, house.url + link[link.index("/invite") :])
    page.goto(f"{house.url}/admin/settings/tokens")
    page.get_by_label("Name").fill("grafana")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="The token grafana")).to_be_focused()
    _examine(page)


def test_everything_can_be_done_without_script(browser: Browser, house: House, storage: dict[str, Any]) -> None:
    with browsing(browser, **storage, java_script_enabled=False) as (page, _):
        page.goto(f"{house.url}{LIST}")
        page.get_by_text("Add Integration").click()
        page.get_by_role("link", name="Auth0", exact=True).click()
        page.get_by_label("Name", exact=True).fill("scriptless")
        page.get_by_label("Domain", exact=True).fill(house.vendor.domain)
        page.get_by_label("Client ID").fill(house.vendor.client_id)
        page.get_by_label("Client Secret", exact=True).fill("wrong")
        page.get_by_text("Advanced").click()
        page.get_by_label("CA bundle").fill(house.vendor.ca_text)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("listitem").filter(has_text="Auth0 did not accept the Client ID")).to_be_visible()
        expect(page.get_by_label("Client Secret", exact=True)).to_have_value("")
        page.get_by_label("Client Secret", exact=True).fill(house.vendor.client_secret)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("heading", name="scriptless")).to_be_visible()
        page.get_by_role("button", name="Poll now").click()
        page.goto(search_url(house.conductor, q="integration:prod type:fp"))
        page.get_by_label("Query").fill("integration:prod type:s")
        page.get_by_role("button", name="Search").click()
        page.locator("#rows a").first.click()
        expect(page.get_by_role("complementary", name="Event")).to_contain_text("Success Login")
        page.goto(f"{house.url}{LIST}/scriptless?tab=settings")
        page.get_by_label("Type scriptless").or_(page.locator("[name=confirm]")).first.fill("scriptless")
        page.get_by_role("button", name=re.compile("Delete")).click()
        expect(page.get_by_role("status").filter(has_text="Deleted. Stored events stay.")).to_be_visible()


def _examine(page: Page, url: str = "") -> None:
    if url:
        page.goto(url)
    assert page.evaluate("window.violations") == []  # before axe, which is not bound to be as strict with itself
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert barriers(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert barriers(page, "color-contrast") == []
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    page.set_viewport_size(LAPTOP)
