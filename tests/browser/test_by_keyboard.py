"""An operator's tasks with the keyboard alone: nothing here touches the mouse."""

from __future__ import annotations

import json
import re
import zipfile
from typing import Any

from browser.browsing import barriers, browsing
from browser.conftest import House
from browser.processes import EMAIL, PASSWORD
from playwright.sync_api import Browser, Page, Route, expect

FARTHEST = 80  # presses of Tab
_FOCUSED = """() => {
    const it = document.activeElement;
    const label = it.labels?.[0]?.innerText ?? it.getAttribute("aria-label") ?? it.innerText ?? "";
    return label.trim().replace(/\\s+/g, " ").replace(/ optional$/, "");
}"""


def test_one_signs_in_and_lands_where_one_was_going(browser: Browser, house: House) -> None:
    with browsing(browser) as (page, watch):
        page.goto(f"{house.url}/signals/search?q=type%3Afp")
        _tab_to(page, "E-mail")
        page.keyboard.type(EMAIL)
        _tab_to(page, "Password")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_label("Query")).to_have_value("type:fp")
        watch.assert_clean(page)


def test_one_skips_the_navigation(page: Page, house: House) -> None:
    page.goto(f"{house.url}/account")
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUSED) == "Skip to content"
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_one_adds_an_integration_mends_it_enables_it_and_polls_it(page: Page, house: House) -> None:
    page.goto(house.url)
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.get_by_role("heading", name="Integrations").wait_for()
    _press(page, "Add Integration")
    _press(page, "Auth0")
    page.get_by_role("heading", name="Add Auth0").wait_for()
    values = {"Name": "keys", "Domain": house.vendor.domain, "Client ID": house.vendor.client_id}
    for label, value in values.items():
        _tab_to(page, label)
        page.keyboard.insert_text(value)
    _tab_to(page, "Client Secret")
    page.keyboard.insert_text("wrong")
    _press(page, "Advanced")
    _tab_to(page, "CA bundle")
    page.keyboard.insert_text(house.vendor.ca_text)
    _tab_to(page, "Enabled", key=" ")
    _press(page, "Save")
    failed = page.get_by_role("listitem").filter(has_text="Auth0 did not accept the Client ID and Client Secret.")
    expect(failed).to_be_focused()
    _tab_to(page, "Client Secret")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(house.vendor.client_secret)
    _press(page, "Save")
    page.get_by_role("heading", name="keys").wait_for()
    _tab_to(page, "Enabled: keys", key=" ")
    expect(page.get_by_role("switch", name="Enabled: keys")).to_be_checked()
    _press(page, "Poll now")
    expect(page.get_by_role("main")).to_contain_text("Healthy")
    house.conductor.cli.ok("integration", "remove", "keys", "--yes")


def test_one_reads_a_poll_that_failed_and_pauses_a_backfill(page: Page, house: House) -> None:
    page.goto(f"{house.url}/admin/settings/integrations/broken")
    _press(page, "Polls")
    page.get_by_role("heading", name="broken").wait_for()
    while "tab=polls" not in page.url:
        page.wait_for_timeout(20)
    first = page.get_by_role("row").nth(1).get_by_role("link").first
    _tab_to(page, first.inner_text(), key="Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Poll")
    expect(page.get_by_role("main")).to_contain_text("credentials rejected")
    _press(page, "Answer")
    expect(page.get_by_text("access_denied")).to_be_visible()
    house.vendor.control("POST", "faults", {"kind": "hang", "count": 1, "endpoint": "logs", "seconds": 20})
    page.goto(f"{house.url}/admin/settings/integrations/prod?tab=backfill")
    _tab_to(page, "From")
    page.keyboard.type("1d")
    _press(page, "Start")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    _press(page, "Pause")
    expect(page.get_by_role("heading", name="Paused")).to_be_visible()
    _press(page, "Stop")
    expect(page.get_by_role("cell", name="stopped")).to_be_visible()
    house.vendor.control("DELETE", "faults")


def test_one_runs_a_query_and_opens_and_closes_an_event(page: Page, house: House) -> None:
    page.goto(house.url)
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.get_by_label("Query").wait_for()
    page.keyboard.press("/")
    expect(page.get_by_label("Query")).to_be_focused()
    page.keyboard.type("integration:prod type:fp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=integration%3Aprod"))
    _press(page, "Skip to the events")
    _tab_to(page, re.compile(r"^\d+ \w+ \d{4} \d\d:\d\d:\d\d\.\d{3}$"))
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_contain_text("wrong password")
    _press(page, "Close")
    expect(panel).to_have_count(0)


def test_one_types_a_query_with_what_is_offered(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    page.keyboard.press("/")
    box = page.get_by_role("combobox", name="Query")
    options = page.locator("#suggestions li")
    page.keyboard.type("integ")
    expect(options.first).to_contain_text("integration:")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "suggestion-0")
    page.keyboard.press("Enter")
    expect(box).to_have_value("integration:")
    page.keyboard.type("pro")
    expect(options).to_have_count(1)
    expect(options).to_contain_text(re.compile(r"prod\s*\d"))
    assert barriers(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value('integration:"prod" ')
    page.keyboard.type("type:f")
    expect(options.first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#suggestions")).to_be_hidden()
    page.keyboard.press("Backspace")
    page.keyboard.type("s")
    expect(options.first).to_be_visible()
    page.keyboard.press("Enter")  # nothing is chosen: it searches
    page.wait_for_url("**q=integration*type%3As*")


def test_one_saves_shares_and_finds_a_search_again(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=type%3Afp&last=7d")
    _press(page, "Save")
    _tab_to(page, "Name")
    page.keyboard.type("Wrong passwords of a week")
    page.keyboard.press("Enter")
    page.wait_for_url("**saved=wrong-passwords-of-a-week")
    _press(page, "Share")
    _press(page, "Make a link")
    link = page.locator("#short-link")
    expect(link).to_contain_text("/s/")
    assert barriers(page) == []
    page.goto(f"{house.url}/s/{link.inner_text().rpartition('/')[2]}")
    expect(page.get_by_label("Query")).to_have_value("type:fp")
    assert "from=" in page.url
    page.goto(f"{house.url}/signals/saved")
    _press(page, "Wrong passwords of a week")
    page.wait_for_url("**saved=wrong-passwords-of-a-week")


def test_one_moves_through_events_and_closes_them_by_keys(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=integration%3Aprod&last=30d")
    page.locator("#rows a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**open=*")  # loaded: a key before its script is nobody's
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_be_visible()
    first = page.url
    page.keyboard.press("j")
    page.wait_for_url(lambda url: url != first)
    expect(page.locator("#rows > tr").nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("k")
    page.wait_for_url(first)
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "open=" not in url)
    expect(panel).to_have_count(0)
    page.keyboard.press("c")
    expect(page.get_by_label("Add a column")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.get_by_label("Time range", exact=True)).to_be_focused()


def test_one_chooses_events_and_compares_them(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=integration%3Aprod&last=30d")
    for key in "jxjjx":
        page.keyboard.press(key)
    bar = page.locator("#chosen")
    expect(bar.get_by_role("status")).to_have_text("2 events chosen")
    boxes = page.locator("#rows input[name=ids]")
    expect(boxes.nth(2)).to_be_checked()
    boxes.nth(4).focus()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(boxes.nth(5)).to_be_checked()
    expect(bar.get_by_role("status")).to_have_text("3 events chosen")
    assert barriers(page) == []
    bar.get_by_role("button", name="Compare").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="3 events chosen").wait_for()
    expect(page.locator("tr.differs").first).to_be_visible()
    assert barriers(page) == []


def test_one_chooses_a_row_of_events_and_copies_them(page: Page, house: House) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{house.url}/signals/search?q=type%3As&last=30d")
    boxes = page.locator("#rows input[name=ids]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    said = page.locator("#chosen").get_by_role("status")
    expect(said).to_have_text("4 events chosen")
    page.get_by_role("button", name="Copy JSON").click()
    expect(said).to_have_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert [event["type"] for event in copied] == ["s"] * 4
    with page.expect_download() as downloading:
        page.locator("#chosen").get_by_role("button", name="Export").click()
    with zipfile.ZipFile(downloading.value.path()) as archive:
        assert json.loads(archive.read("manifest.json"))["count"] == 4
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator("#chosen")).to_be_hidden()
    page.get_by_label("Choose all that are listed").click()
    expect(said).to_have_text(f"{boxes.count()} events chosen")


def test_one_copies_a_value_as_it_is_and_defanged(page: Page, house: House) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{house.url}/signals/search?q=type%3Afp&last=30d")
    page.locator("#rows a").first.click()
    panel = page.get_by_role("complementary", name="Event")
    expect(panel.locator(".told")).to_contain_text("gave a wrong password")
    expect(panel.get_by_role("link", name=re.compile(r"Same IP \(\d+\)"))).to_be_visible()
    assert barriers(page) == []
    for button, dot in (("Copy this ip", "."), ("Copy this ip defanged", "[.]")):
        panel.get_by_role("button", name=button, exact=True).first.click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert re.fullmatch(rf"\d+({re.escape(dot)}\d+){{3}}", copied) or ":" in copied


def test_one_changes_a_column_from_its_menu_and_keeps_the_columns(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    page.get_by_role("button", name="User: menu").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Count by it")).to_be_visible()
    assert barriers(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Count by it")).to_be_hidden()
    page.keyboard.press("Enter")
    _tab_to(page, "Hide", key="Enter")
    page.wait_for_url("**cols=date*")
    expect(page.get_by_role("button", name="User: menu")).to_have_count(0)
    page.keyboard.press("c")
    with page.expect_navigation():
        _press(page, "Keep these for me")
    page.goto(f"{house.url}/signals/search?last=7d")
    page.wait_for_url("**cols=date*")
    expect(page.get_by_role("button", name="User: menu")).to_have_count(0)
    page.keyboard.press("c")
    with page.expect_navigation():
        _press(page, "Back to the usual ones")
    expect(page.get_by_role("button", name="User: menu")).to_be_visible()


def test_one_looks_at_the_range_before_and_a_longer_one(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=1h")
    page.keyboard.press("[")
    page.wait_for_url("**last=custom**")
    before = page.url
    page.keyboard.press("-")
    page.wait_for_url(lambda url: url != before)
    assert "last=custom" in page.url
    expect(page.get_by_role("link", name="Later")).to_be_visible()


def test_one_runs_a_query_in_a_new_tab(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=7d")
    page.keyboard.press("/")
    page.keyboard.type("type:fp")
    with page.context.expect_page() as opened:
        page.keyboard.press("Control+Enter")
    opened.value.wait_for_url("**q=type%3Afp**")
    assert "q=" not in page.url


def test_one_exports_what_one_sees(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=type%3Afp&last=7d")
    with page.expect_download() as downloading:
        _press(page, "Export")
        _tab_to(page, "Export", key="Enter")
    assert re.fullmatch(r"conductor-events-\d{8}T\d{6}Z\.zip", downloading.value.suggested_filename)


def test_one_exports_in_the_background_and_takes_the_file(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=type%3Afp&last=7d")
    _press(page, "Export")
    _tab_to(page, "In the background", key="Enter")
    page.wait_for_url("**/signals/exports")
    row = page.locator("#exports tbody tr").first
    expect(row).to_contain_text("Done")  # by itself
    assert barriers(page) == []
    with page.expect_download() as downloading:
        _tab_to(page, re.compile(r"^Download conductor-events-"), key="Enter")
    assert re.fullmatch(r"conductor-events-\d{8}T\d{6}Z-\d+\.csv", downloading.value.suggested_filename)
    _tab_to(page, re.compile(r"^Delete export"), key="Enter")
    expect(row).to_contain_text("Expired. It was deleted by")


def test_one_zooms_by_the_chart(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=7d")
    bars = page.locator("[data-timeline] a")
    expect(bars.last).to_have_attribute("tabindex", "0")
    _tab_to(page, re.compile(r"^\d+ \w+ \d{4} \d\d:\d\d: [\d,]+ events"))
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(_FOCUSED) == bars.nth(-2).get_attribute("aria-label")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    first, last = bars.nth(-4).get_attribute("href"), bars.nth(-2).get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url("**last=custom**")
    begins, ends = (re.search(rf"{name}=([^&]+)", url or "") for name, url in (("from", first), ("to", last)))
    assert begins
    assert ends
    assert f"from={begins[1]}&to={ends[1]}" in page.url.replace("%3A", "%3A")
    expect(page.locator("#counts strong").first).to_contain_text("events")
    assert barriers(page) == []


def test_the_chart_is_one_stop_however_late_its_script_comes(page: Page, house: House) -> None:
    held: list[Route] = []
    # A lambda, for the driver cannot read what a builtin takes.
    page.route(re.compile(r"/search\.js$"), lambda route: held.append(route))
    page.goto(f"{house.url}/signals/search?last=7d", wait_until="commit")
    bars = page.locator("[data-timeline] a")
    expect(bars.last).to_be_attached()
    held[0].continue_()
    expect(bars.last).to_have_attribute("tabindex", "0")
    expect(bars.first).to_have_attribute("tabindex", "-1")


def test_one_picks_a_country_on_the_map(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    expect(page.locator("#map")).to_have_count(0)
    _press(page, "Map")
    page.wait_for_url("**/signals/search?last=30d&map=1")
    countries = page.locator("#map [data-arrows] a")
    expect(countries.first).to_have_attribute("tabindex", "0")
    expect(page.locator("#map")).not_to_have_attribute("aria-busy", "true")
    assert page.locator("#map [data-arrows] a[tabindex='0']").count() == 1
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    assert barriers(page) == []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    assert barriers(page) == []
    _tab_to(page, re.compile(r"^[A-Z][\w ]+: [\d,]+ events?$"))
    expect(countries.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(countries.nth(1)).to_be_focused()
    told = re.fullmatch(r"(.+): ([\d,]+) events?", page.evaluate(_FOCUSED))
    assert told
    row = page.locator("#map table tr", has=page.get_by_role("cell", name=told[1], exact=True, include_hidden=True))
    code = row.locator("td").nth(1).text_content()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/signals/search?q=country%3A{code}&last=30d&map=1")
    expect(page.get_by_label("Query")).to_have_value(f"country:{code}")
    expect(page.locator("#counts strong").first).to_have_text(re.compile(rf"{told[2]} events?"))
    expect(countries).to_have_count(1)
    _press(page, "Hide the map")
    page.wait_for_url(f"**/signals/search?q=country%3A{code}&last=30d")


def test_one_adds_a_filter_from_the_fields_and_takes_it_away(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    expect(page.locator(".facet a.value").first).to_be_visible()
    _tab_to(page, "failure")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=outcome%3Afailure**")
    _press(page, "Remove outcome:failure")
    page.wait_for_url("**/signals/search?last=30d")


def test_one_looks_for_a_value_of_a_field(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    page.locator("a[data-facet=user_name]").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Find in User")).to_be_focused()
    page.keyboard.type("example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_text("that fit")).to_be_visible()
    assert barriers(page) == []


def test_one_moves_and_adds_columns(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?last=30d")
    _press(page, "Columns")
    _press(page, "Move Event left")
    page.wait_for_url("**cols=event*")
    heads = page.locator("table:has(#rows) th > a, table:has(#rows) th > span")
    assert heads.first.inner_text() == "Event"
    _press(page, "Columns")
    page.get_by_label("Add a column").select_option("country")
    _press(page, "Add")
    page.wait_for_url("**country")
    assert heads.last.inner_text() == "Country"


def test_one_types_a_time_range_in_words(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search")
    page.get_by_label("Time range", exact=True).select_option("In words …")
    words = page.get_by_label("Time range in words (UTC)")
    expect(words).to_be_focused()
    page.keyboard.type("20 Nov 2025 14:00 - 15")
    expect(page.get_by_text("is not a time range.")).to_be_visible()
    page.keyboard.type(":30")
    expect(page.get_by_text("20 Nov 2025 14:00 – 20 Nov 2025 15:30 UTC (90 min)")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**from=2025-11-20T14%3A00Z&to=2025-11-20T15%3A29%3A59Z")
    expect(words).to_have_value("2025-11-20 14:00 - 2025-11-20 15:29:59")
    assert barriers(page) == []


def test_one_sees_a_hundred_events_and_loads_older_ones(page: Page, house: House) -> None:
    page.goto(f"{house.url}/signals/search?q=integration%3Aprod&last=30d")
    expect(page.locator("#rows > tr")).to_have_count(101)
    page.get_by_role("link", name="Load 200 older").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rows > tr").nth(220)).to_be_visible()


def test_menus_close_with_escape_and_give_the_focus_back(page: Page, house: House) -> None:
    page.goto(house.url)
    _press(page, "Signals")
    expect(page.get_by_role("link", name="Search", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Search", exact=True)).to_be_hidden()
    assert page.evaluate(_FOCUSED) == "Signals"


def _press(page: Page, wanted: str) -> None:
    _tab_to(page, wanted, key="Enter")


def _tab_to(page: Page, wanted: str | re.Pattern[str], *, key: str = "") -> None:
    """Tab until what is focused is called so, then press a key on it."""
    seen: list[Any] = []
    for _ in range(FARTHEST):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(_FOCUSED))
        if wanted.search(seen[-1]) if isinstance(wanted, re.Pattern) else wanted == seen[-1]:
            if key:
                page.keyboard.press(key)
            return
    raise AssertionError(f"{wanted} cannot be reached. Reached: {seen}")


def test_single_keys_can_be_switched_off(page: Page, house: House) -> None:
    page.goto(f"{house.url}/account")
    _tab_to(page, "Single keys act", key=" ")
    with page.expect_navigation():
        _press(page, "Save")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_load_state()
    expect(page).to_have_url(re.compile("/account"))
    _tab_to(page, "Single keys act", key=" ")
    with page.expect_navigation():
        _press(page, "Save")
    expect(page.get_by_role("checkbox", name="Single keys act")).to_be_checked()
    page.keyboard.press("?")
    expect(page).to_have_url(re.compile("/help/keys"))


def test_one_sees_every_time_in_utc_and_back(page: Page, house: House) -> None:
    page.goto(f"{house.url}/admin/settings/integrations/prod?tab=polls")
    started = page.locator("tbody time").first
    before = started.inner_text()
    page.keyboard.press("u")
    expect(started).to_have_text(f"{before} UTC")  # the browser's user is in UTC
    page.keyboard.press("u")
    expect(started).to_have_text(before)
