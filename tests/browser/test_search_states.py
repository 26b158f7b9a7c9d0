"""Every state of the search, its parts, an event and the saved searches: empty, running, failed, incomplete.

With CONDUCTOR_SCREENS=1 a picture of each is written to docs/screens/states/.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import clickhouse
from browser import processes
from browser.browsing import browsing, sign_in
from browser.conftest import Own
from browser.pictures import OPEN_GAP, picture, tamper
from browser.processes import Conductor, Vendor, wait_for
from playwright.sync_api import Browser, Page, expect

SEARCH = "/signals/search"
GIVES_UP = """() => {  // while a page waits for another, Chromium answers no questions about it
  const told = [];
  const box = document.querySelector("#waiting");
  const all = { attributes: true, childList: true, subtree: true };
  window.told = new Promise((resolve) => new MutationObserver(() => {
    if (!box.hidden) told.push(box.innerText);
    if (!box.innerText.includes("Still searching")) return;
    box.querySelector("button").click();
    resolve(told);
  }).observe(box, all));
}"""
AS_IF = """() => {
  for (const each of document.querySelectorAll("#waiting, #waiting *")) each.hidden = false;
  document.querySelector("#waiting [role=status]").textContent = "Searching…";
  document.body.classList.add("searching");
}"""


def _collected(conductor: Conductor, vendor: Vendor) -> None:
    conductor.cli.add(vendor, "prod", "--plan", "enterprise")
    wait_for(lambda: int(conductor.cli.ok("search", "type:*", "--count")) >= 300, "events")


def _whole(page: Page) -> None:
    """Wait for the parts that come by themselves."""
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def test_a_search_that_finds_nothing(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    page.goto(f"{conductor.url}{SEARCH}")
    expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
    picture(page, "search-nothing-stored")
    page.goto(f"{conductor.url}/signals/saved")
    expect(page.get_by_role("row")).to_have_count(13)  # with the head
    picture(page, "saved-starters")
    _collected(conductor, vendor)
    page.goto(f"{conductor.url}{SEARCH}?q=type:fp+ip:198.18.0.1&last=7d")
    expect(page.get_by_text("← this removes everything")).to_be_visible()
    picture(page, "search-no-match")
    page.goto(f"{conductor.url}{SEARCH}?last=custom&from=2020-01-01T00:00Z&to=2020-01-02T00:00Z")
    expect(page.get_by_text("Stored events start on")).to_be_visible()
    picture(page, "search-before-everything")
    page.goto(f"{conductor.url}{SEARCH}?q=(type:fp+OR+type:fu&last=7d")
    expect(page.get_by_role("alert")).to_contain_text("never closed")
    picture(page, "search-mistake")
    page.goto(f"{conductor.url}{SEARCH}?q=usr:ana&last=7d")
    expect(page.get_by_text("There is no field called usr.")).to_be_visible()
    picture(page, "search-hint")


def test_what_a_search_finds(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    _collected(conductor, vendor)
    page.goto(f"{conductor.url}{SEARCH}?last=30d&compare=prev")
    _whole(page)
    picture(page, "search-found")
    page.get_by_label("Query").press_sequentially("type:")
    expect(page.get_by_role("option").first).to_be_visible()
    picture(page, "search-suggestions")
    page.goto(f"{conductor.url}{SEARCH}?last=30d&map=1")
    _whole(page)
    picture(page, "search-map")
    page.goto(f"{conductor.url}{SEARCH}?last=30d&view=group:type")
    _whole(page)
    picture(page, "search-groups")
    page.goto(f"{conductor.url}{SEARCH}?last=30d&q=type:(s+OR+fp)")
    boxes = page.locator("#rows input[name=ids]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(page.get_by_text("2 events chosen")).to_be_visible()
    _whole(page)
    picture(page, "search-chosen")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/selected?ids=**")
    picture(page, "events-compared")
    page.goto(f"{conductor.url}{SEARCH}?last=30d&q=type:(s+OR+fp)")
    page.locator("#rows a").first.click()
    _whole(page)
    page.get_by_text("The record's own keys").click()
    picture(page, "event-open")
    page.goto(f"{conductor.url}{SEARCH}?last=15m&live=1")
    expect(page.locator("#tail-word")).to_have_text("Live")
    picture(page, "search-live")
    conductor.cli.ok("integration", "disable", "prod")
    tamper(conductor, OPEN_GAP)
    page.goto(f"{conductor.url}{SEARCH}?last=24h")
    expect(page.get_by_text("Results may be incomplete:")).to_be_visible()
    expect(page.locator("tr.gap")).to_contain_text("not collected from prod (events missed, open)")
    _whole(page)
    picture(page, "search-incomplete")


def test_a_search_that_takes_its_time_can_be_given_up(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    _collected(conductor, vendor)
    page.goto(f"{conductor.url}{SEARCH}?last=30d")
    _whole(page)
    page.evaluate(GIVES_UP)
    with conductor.held():
        page.get_by_label("Query").fill("type:fp")
        page.get_by_role("button", name="Search", exact=True).click(no_wait_after=True)
        told = page.evaluate("window.told")
        assert "Cancel" in told[0]
        assert "Searching…" not in told[0]
        assert [text for text in told if "Searching…" in text]
        assert "Still searching. Narrow the time range" in told[-1]
        expect(page.locator("#waiting")).to_be_hidden()
        expect(page.locator("#rows > tr").nth(99)).to_be_visible()  # what was found before
        expect(page.get_by_label("Query")).to_have_value("type:fp")  # nor is lost what was typed
    page.evaluate(AS_IF)
    picture(page, "search-running")
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**q=type**")
    expect(page.locator("#waiting")).to_be_hidden()


def test_each_part_of_a_search_may_fail_alone(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    _collected(conductor, vendor)
    page.route("**/signals/search/counts**", lambda route: route.abort())
    page.route("**/signals/search/map**", lambda route: route.abort())
    page.goto(f"{conductor.url}{SEARCH}?last=30d&map=1")
    for part in ("#counts", "#map"):
        expect(page.locator(part)).to_contain_text("Conductor does not answer.")
    expect(page.locator("#facets").get_by_role("link", name="prod", exact=True)).to_be_visible()
    expect(page.locator("#rows > tr").first).to_be_visible()
    picture(page, "search-part-failed")
    page.unroute("**/signals/search/counts**")
    page.locator("#counts").get_by_text("Try again").click()
    expect(page.locator("#counts strong").first).to_contain_text("event")
    older = page.get_by_role("link", name="Load 200 older")
    page.route("**after=**", lambda route: route.fulfill(status=503, body="busy"))
    older.click()
    again = page.get_by_role("link", name="That did not work. Try again")
    expect(again).to_be_visible()
    expect(page.locator("#rows input[name=ids]")).to_have_count(100)
    page.unroute("**after=**")
    again.click()
    expect(page.locator("#rows input[name=ids]").nth(250)).to_be_visible()


def test_a_search_whose_engine_is_away(browser: Browser, tmp_path: Path, own_clickhouse: clickhouse.Engine) -> None:
    command = ["env", f"CONDUCTOR_CLICKHOUSE_URL={own_clickhouse.database('conductor')}", *processes.CONDUCTOR]
    with ExitStack() as stack, browsing(browser) as (page, _):
        vendor = stack.enter_context(processes.simulating(tmp_path, "--history", "300"))
        conductor = stack.enter_context(processes.serving(tmp_path, command=command))
        _collected(conductor, vendor)
        sign_in(page, conductor.url)
        own_clickhouse.kill()
        page.goto(f"{conductor.url}{SEARCH}?q=type:fp&last=7d")
        expect(page.get_by_role("alert")).to_contain_text("Search is not available")
        expect(page.get_by_label("Query")).to_have_value("type:fp")  # nothing that was typed is lost
        picture(page, "search-unavailable")
        own_clickhouse.start()

        def found() -> bool:
            page.get_by_role("link", name="Try again").click()
            return page.get_by_role("alert").count() == 0

        wait_for(found, "engine")
        expect(page.locator("#rows > tr").first).to_be_visible()


def test_a_saved_search_whose_name_is_taken(house_of_its_own: Own) -> None:
    page, conductor, vendor, _ = house_of_its_own
    _collected(conductor, vendor)
    page.goto(f"{conductor.url}{SEARCH}?q=type:fp&last=7d")
    for _ in range(2):
        page.locator("summary", has_text="Save").click()
        page.get_by_label("Name", exact=True).fill("Wrong passwords")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_load_state()
    expect(page.get_by_role("alert")).to_be_visible()
    picture(page, "saved-name-taken")
