"""What an analyst does on the search page: each thing that a log search is expected to do, in a real browser.

By keyboard alone is `test_by_keyboard`, live is `test_live`, hostile content is `test_hostile_content`.
"""

from __future__ import annotations

import re

from browser.browsing import barriers
from browser.conftest import House
from playwright.sync_api import Page, expect

SIGN_INS = "type%3As+user_name%3A*+details.initiatedAt%3A*"  # of the simulator; other tests add some of their own


def _search(page: Page, house: House, q: str, last: str = "30d") -> None:
    page.goto(f"{house.url}/signals/search?last={last}")
    page.get_by_label("Query").fill(q)
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**q=**")


def _ip(page: Page) -> str:
    """The address of the first event."""
    return str(page.locator("#rows > tr").first.locator("td").nth(4).inner_text())


def test_words_and_fields_find_in_any_case(page: Page, house: House) -> None:
    _search(page, house, "TYPE:FP wrong")
    expect(page.locator("#rows > tr").first).to_contain_text("Failed Login (wrong password)")
    expect(page.locator(".chips li")).to_have_count(2)


def test_an_event_is_found_by_its_friendly_name_and_by_its_code(page: Page, house: House) -> None:
    counts = []
    for q in ('event:"Failed Login (wrong password)"', "type:fp"):
        _search(page, house, q)
        expect(page.locator("#counts strong").first).to_contain_text("event")
        counts.append(page.locator("#counts strong").first.inner_text())
    assert counts[0] == counts[1]


def test_a_network_finds_its_addresses_and_a_wrong_one_is_explained(page: Page, house: House) -> None:
    _search(page, house, "type:s ip:0.0.0.0/0")
    network = ".".join(_ip(page).split(".")[:3])
    _search(page, house, f"ip:{network}.0/24")
    expect(page.locator("#rows > tr").first).to_contain_text(f"{network}.")
    _search(page, house, "ip:10.0.0.0/33")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("is not a valid network: the number after / must be 0–32")
    expect(problem.locator("u")).to_have_text("10.0.0.0/33")
    assert barriers(page) == []


def test_a_mistake_is_underlined_and_mended_by_one_click(page: Page, house: House) -> None:
    _search(page, house, "(type:fp OR type:fu")
    problem = page.get_by_role("alert")
    expect(problem.locator("u")).to_have_text("(")
    expect(page.get_by_label("Query")).to_have_value("(type:fp OR type:fu")  # nothing that was typed is lost
    problem.get_by_role("link", name="Fix").click()
    expect(page.locator("#rows > tr").first).to_contain_text("Failed Login")


def test_a_field_that_there_is_not_is_told_with_the_one_that_was_meant(page: Page, house: House) -> None:
    _search(page, house, "usr:ana")
    hint = page.locator("p.note", has_text="There is no field called usr.")
    hint.get_by_role("link").click()
    page.wait_for_url("**q=user%3Aana**")


def test_a_search_names_its_tab(page: Page, house: House) -> None:
    _search(page, house, "type:fp", "7d")
    expect(page).to_have_title("type:fp · Last 7 days · Search · Conductor")


def test_an_event_has_an_address_and_the_next_one_is_a_key_away(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=integration%3Aprod&last=30d")
    page.locator("#rows a").nth(1).click()
    page.wait_for_url("**open=**")
    panel = page.get_by_role("complementary", name="Event")
    expect(panel.get_by_role("heading", level=2)).to_be_focused()  # which a screen reader announces
    panel.get_by_role("link", name="Event below").click()
    expect(page.locator("#rows > tr").nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.locator("#rows > tr").nth(2).locator("a").first).to_be_focused()  # one is where one was


def test_the_neighbours_of_an_event_are_counted_and_a_link_away(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q={SIGN_INS}&last=30d")
    page.locator("#rows a").first.click()
    same = page.get_by_role("link", name=re.compile(r"Same user \(\d+\)"))
    count = re.search(r"\d+", same.inner_text())
    assert count
    same.click()
    page.wait_for_url("**last=custom**")
    expect(page.locator("#counts strong").first).to_have_text(re.compile(rf"^{count[0]} event"))
    expect(page.locator("#rows > tr[aria-selected=true]")).to_have_count(1)  # it is among them


def test_any_key_of_the_record_can_be_asked_for(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q={SIGN_INS}&last=30d")
    page.locator("#rows a").first.click()
    panel = page.get_by_role("complementary", name="Event")
    panel.get_by_text("The record's own keys").click()
    key = panel.get_by_role("link", name=re.compile(r"^Only with this details\.\w+")).first
    expect(key).to_be_visible()
    assert barriers(page) == []
    key.click()
    page.wait_for_url("**details.**")
    expect(page.locator("#rows > tr").first).to_be_visible()
    expect(page.locator(".chips li")).to_have_count(4)


def test_events_are_counted_by_a_field_and_a_value_leads_back_to_them(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d&view=group:outcome")
    row = page.get_by_role("row", name=re.compile("^failure"))
    count = row.locator("td.num").first.inner_text()
    row.get_by_role("link", name="Show").click()
    page.wait_for_url("**q=outcome%3A**")
    expect(page.locator("#counts strong").first).to_have_text(f"{count} events")


def test_a_facet_keeps_a_value_out_and_asks_for_what_lacks_the_field(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=integration%3Aprod&last=30d")
    page.locator("#facets").get_by_role("link", name="Without Outcome success").click()
    page.wait_for_url("**-outcome%3A**")
    expect(page.locator("#counts strong").first).to_contain_text("events")
    expect(page.locator("#facets").get_by_role("link", name="success", exact=True)).to_have_count(0)
    page.goto(f"{house.url}/signals/search?q=-country%3A*&last=30d")
    expect(page.locator("#rows > tr").first).to_be_visible()


def test_a_range_before_everything_says_since_when_events_are_stored(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=custom&from=2020-01-01T00:00Z&to=2020-01-02T00:00Z")
    expect(page.get_by_role("heading", name="Nothing is stored from that time")).to_be_visible()
    expect(page.get_by_text("Stored events start on")).to_be_visible()
