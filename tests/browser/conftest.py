"""One simulated tenant and one Conductor for all browser tests, with a source in each state; a browser a module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import processes
from browser.browsing import browsing, chromium, sign_in
from browser.processes import Conductor, Vendor, wait_for
from playwright.sync_api import Browser, Page

HISTORY = 260  # a page of results and a bit


@dataclass(frozen=True, slots=True)
class House:
    """What runs."""

    vendor: Vendor
    conductor: Conductor

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.conductor.url


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Sources: `prod` is healthy, `broken` has a secret that is wrong by now, `off` is switched off."""
    folder = tmp_path_factory.mktemp("house")
    with (
        processes.simulating(folder, "--history", str(HISTORY), "--shape", "odd") as vendor,
        processes.serving(folder) as conductor,
    ):
        cli = conductor.cli
        cli.add(vendor, "prod")
        wrong = ["--domain", vendor.domain, "--client-id", "somebody-else", "--ca-bundle", str(vendor.ca)]
        wrong += ["--client-secret-file", "-", "--disabled"]
        cli.ok("integration", "add", "auth0", "--name", "broken", *wrong, text="wrong")
        cli.ok("integration", "enable", "broken")
        cli.ok("integration", "add", "auth0", "--name", "off", *wrong, text="wrong")
        address = f"https://{vendor.domain}/nowhere"  # answers with 404
        cli.ok("notification", "add", "slack", "--name", "on-call", "--url-file", "-", text=address)
        wait_for(lambda: int(cli.ok("search", "integration:prod", "--count")) >= HISTORY, "events")
        wait_for(lambda: cli.run("status", "--check").returncode == 11, "red source")
        yield House(vendor, conductor)


@pytest.fixture(scope="module")
def browser(chromium_path: Path) -> Iterator[Browser]:
    """Ended with its module: while Playwright runs, no other test can run an event loop."""
    with chromium(chromium_path) as started:
        yield started


@pytest.fixture(scope="session")
def cookies() -> dict[str, object]:
    """The session's cookies, put here by the first who signs in."""
    return {}


@pytest.fixture
def storage(browser: Browser, house: House, cookies: dict[str, object]) -> dict[str, object]:
    """Options of a context that is signed in; signing in anew for every test would be throttled."""
    if not cookies:
        with browsing(browser) as (page, _):
            sign_in(page, house.url)
            cookies["storage_state"] = page.context.storage_state()
    return cookies


@pytest.fixture
def page(browser: Browser, house: House, storage: dict[str, object]) -> Iterator[Page]:
    """A signed-in page; at the end nothing must have been violated."""
    with browsing(browser, **storage) as (opened, watch):
        yield opened
        watch.assert_clean(opened)


Own = tuple[Page, Conductor, Vendor, ExitStack]


@pytest.fixture
def house_of_its_own(browser: Browser, tmp_path: Path) -> Iterator[Own]:
    """A page that is signed in, its Conductor, a vendor; and what ends the Conductor when it is closed."""
    with ExitStack() as stack, browsing(browser) as (page, _):
        vendor = stack.enter_context(processes.simulating(tmp_path, "--history", "300"))
        serving = stack.enter_context(ExitStack())
        conductor = serving.enter_context(processes.serving(tmp_path))
        sign_in(page, conductor.url)
        yield page, conductor, vendor, serving
