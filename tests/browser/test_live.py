"""The dashboard lives: it shows what has changed without being asked, and says how it knows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from browser import processes
from browser.browsing import barriers, browsing, sign_in
from playwright.sync_api import Browser, Page, Route, expect

SILENCE = 30_000  # ms: 20 s without a word, and then some


def hold(page: Page) -> Callable[[], None]:
    """Have the next connection of a live search wait until the answer is called."""
    held: list[Route] = []
    page.route("**/signals/live?**", lambda route: held.append(route), times=1)

    def let_go() -> None:
        processes.wait_for(lambda: page.evaluate("true") and held, "connection")
        held[0].continue_()

    return let_go


def test_the_dashboard_shows_a_new_state_by_itself_and_says_when_it_cannot(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack, browsing(browser) as (page, watch):
        vendor = stack.enter_context(processes.simulating(tmp_path, "--history", "20"))
        serving = ExitStack()
        stack.push(serving)
        conductor = serving.enter_context(processes.serving(tmp_path))
        conductor.cli.add(vendor, "prod", "--disabled")
        sign_in(page, conductor.url)
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name="prod")).to_contain_text("Off")
        conductor.cli.ok("integration", "enable", "prod")
        expect(page.get_by_role("row", name="prod")).to_contain_text("Healthy")
        watch.assert_clean(page)
        serving.close()
        expect(page.get_by_text("Reconnecting…")).to_be_visible()
        expect(page.get_by_text("Updating every 5 s")).to_be_visible(timeout=SILENCE)
        expect(page.get_by_role("row", name="prod")).to_contain_text("Healthy")  # the last that is known stays


def test_a_live_search_shows_new_events_on_top_and_keeps_them_back_from_whoever_reads_further_down(
    browser: Browser, tmp_path: Path
) -> None:
    with ExitStack() as stack, browsing(browser, viewport={"width": 1280, "height": 500}) as (page, watch):
        vendor = stack.enter_context(processes.simulating(tmp_path, "--history", "120"))
        port = processes.free_port()
        serving = stack.enter_context(ExitStack())
        conductor = serving.enter_context(processes.serving(tmp_path, port=port))
        conductor.cli.add(vendor, "prod")
        processes.wait_for(lambda: int(conductor.cli.ok("search", "type:*", "--count")) >= 120, "events")
        sign_in(page, conductor.url)
        page.goto(f"{conductor.url}/signals/search?last=30d")
        page.get_by_role("link", name="Live", exact=True).click()
        page.wait_for_url("**live=1")
        expect(page.locator("#tail-word")).to_have_text("Live")
        rows = page.locator("#rows > tr")
        before = rows.count()
        for _ in range(3):
            vendor.control("POST", "events", {"type": "fp"})
        conductor.cli.ok("integration", "poll", "prod")
        expect(rows).to_have_count(before + 3)
        expect(rows.first).to_contain_text("wrong password")
        page.mouse.wheel(0, 1500)
        processes.wait_for(lambda: page.evaluate("scrollY > 300"), "the wheel")  # `wait_for_function` needs unsafe-eval
        vendor.control("POST", "events", {"type": "fp"})
        conductor.cli.ok("integration", "poll", "prod")
        new = page.get_by_role("button", name="1 new")
        expect(new).to_be_visible()
        expect(rows).to_have_count(before + 3)
        new.click()
        expect(rows).to_have_count(before + 4)
        let_go = hold(page)
        serving.close()
        expect(page.locator("#tail-word")).to_have_text("Reconnecting…")
        for _ in range(210):
            vendor.control("POST", "events", {"type": "fp"})
        conductor.cli.ok("integration", "poll", "prod")
        stack.enter_context(processes.serving(tmp_path, port=port))
        processes.wait_for(
            lambda: int(conductor.cli.ok("search", "type:fp", "--last", "1h", "--count")) >= 214, "index"
        )
        let_go()
        expect(page.locator("#tail-word")).to_contain_text("More came at once than are listed")
        expect(rows).to_have_count(before + 204)  # the newest of what came meanwhile, once
        assert barriers(page) == []
        watch.assert_clean(page)


def test_a_live_search_begins_where_its_page_ends(browser: Browser, tmp_path: Path) -> None:
    with ExitStack() as stack, browsing(browser) as (page, watch):
        vendor = stack.enter_context(processes.simulating(tmp_path, "--history", "20"))
        conductor = stack.enter_context(processes.serving(tmp_path))
        conductor.cli.add(vendor, "prod")
        processes.wait_for(lambda: int(conductor.cli.ok("search", "type:*", "--count")) >= 20, "events")
        sign_in(page, conductor.url)
        let_go = hold(page)
        page.goto(f"{conductor.url}/signals/search?q=type:fcpr&last=1h&live=1")
        expect(page.get_by_role("heading", name="No match")).to_be_visible()
        vendor.control("POST", "events", {"type": "fcpr"})
        conductor.cli.ok("integration", "poll", "prod")  # before the page listens
        let_go()
        rows = page.locator("#rows > tr")
        expect(rows).to_have_count(1)
        watch.assert_clean(page)
