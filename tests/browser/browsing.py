"""Debian's Chromium with eyes for what must never happen: CSP violations, requests to other hosts, script errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from browser.processes import EMAIL, PASSWORD
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
TIMEOUT = 15_000  # ms
expect.set_options(timeout=TIMEOUT)
_LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Watch:
    """What the pages of one context did that they must not do."""

    def __init__(self, context: BrowserContext) -> None:
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        context.add_init_script(_LISTEN)
        context.on("request", self._request)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", self._console)
        context.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def assert_clean(self, page: Page) -> None:
        """Nothing was violated, nobody else was asked, nothing failed."""
        assert page.evaluate("window.violations ?? []") == []
        assert self.hosts <= {"127.0.0.1"}
        assert self.errors == []

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.hostname or "")

    def _console(self, message: Any) -> None:
        """The browser itself tells of every answer from 400 up; those are what some tests ask for."""
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


@contextlib.contextmanager
def chromium(path: Path) -> Iterator[Browser]:
    """A browser, closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def browsing(browser: Browser, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A page in a context of its own, and its watch."""
    context = browser.new_context(**({"viewport": LAPTOP, "locale": "en-GB", "timezone_id": "UTC"} | options))
    context.set_default_timeout(TIMEOUT)
    watch = Watch(context)
    try:
        yield context.new_page(), watch
    finally:
        context.close()


def sign_in(page: Page, url: str) -> None:
    """Sign the administrator in; where one was going is where one comes to."""
    page.goto(f"{url}/auth/login")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Dashboard").wait_for()


def barriers(page: Page, *rules: str) -> list[str]:
    """What axe finds, a line for each element; by some rules only when they are named."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": {"type": "rule", "values": list(rules)}} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for violation in found
        for node in violation["nodes"]
    ]
