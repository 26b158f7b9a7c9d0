"""The dashboard lives: it shows what has changed without being asked, and says how it knows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from browser import processes
from browser.browsing import browsing, sign_in
from playwright.sync_api import Browser, expect

SILENCE = 30_000  # ms: 20 s without a word, and then some


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
