"""What pages weigh and how soon they are there, in Chromium with its processor slowed down four times."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser import processes
from browser.browsing import browsing, chromium, sign_in

CHROMIUM = Path("/usr/bin/chromium")
SLOWER, ROUNDS = 4, 5
SETTLE = 1_500  # ms after loading, in which what is late comes
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
EVENTS = 260
LIST = "/admin/settings/integrations"
PAGES = {
    "Sign in": "/auth/login",
    "Dashboard": "/",
    "Integrations": LIST,
    "One integration": f"{LIST}/prod",
    "Its polls": f"{LIST}/prod?tab=polls",
    "Add Auth0": f"{LIST}/new?kind=auth0",
    "Search, 100 rows": "/signals/search?last=7d",
    "Audit": "/admin/audit",
    "Help": "/help",
}
_WATCH = """
window.told = { lcp: 0, tbt: 0, cls: 0, inp: 0 };
const on = (type, note, more = {}) =>
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true, ...more });
on("largest-contentful-paint", (entry) => (told.lcp = entry.startTime));
on("longtask", (entry) => (told.tbt += entry.duration - 50));
on("layout-shift", (entry) => entry.hadRecentInput || (told.cls += entry.value));
const slowest = (entry) => entry.interactionId && (told.inp = Math.max(told.inp, entry.duration));
on("event", slowest, { durationThreshold: 16 });
"""


def browser() -> dict[str, float]:
    """For each page: bytes over the wire without a cache, largest paint, blocked time, shift; and interactions."""
    figures: dict[str, float] = {}
    with _house() as url, chromium(CHROMIUM) as started, browsing(started) as (page, _):
        page.context.add_init_script(_WATCH)
        cdp = page.context.new_cdp_session(page)
        cdp.send("Network.enable")
        cdp.send("Network.setCacheDisabled", {"cacheDisabled": True})
        figures |= _page(page, cdp, url, "Sign in")
        sign_in(page, url)
        for name in list(PAGES)[1:]:
            figures |= _page(page, cdp, url, name)
        figures |= _interactions(page, cdp, url)
    return figures


@contextmanager
def _house() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with processes.simulating(folder, "--history", str(EVENTS)) as vendor, processes.serving(folder) as conductor:
            conductor.cli.add(vendor, "prod")
            processes.wait_for(lambda: int(conductor.cli.ok("search", "--count")) >= EVENTS, "events")
            yield conductor.url


def _page(page: Page, cdp: CDPSession, url: str, name: str) -> dict[str, float]:
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    near = [_load(page, cdp, url + PAGES[name]) for _ in range(ROUNDS)]
    cdp.send("Network.emulateNetworkConditions", SLOW_4G)
    far = [_load(page, cdp, url + PAGES[name]) for _ in range(ROUNDS)]
    cdp.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    told = {
        "KB": near[0]["bytes"] / 1000,
        "script KB": near[0]["script"] / 1000,
        "requests": near[0]["requests"],
        "LCP LAN ms": _median(near, "lcp"),
        "LCP slow 4G ms": _median(far, "lcp"),
        "TBT ms": _median(near, "tbt"),
        "CLS": round(max(each["cls"] for each in near + far), 3),
    }
    return {f"{name}: {figure}": value for figure, value in told.items()}


def _load(page: Page, cdp: CDPSession, address: str) -> dict[str, float]:
    sizes: dict[str, float] = {}
    scripts: set[str] = set()

    def answered(event: Mapping[str, Any]) -> None:
        sizes.setdefault(event["requestId"], 0)
        if event["type"] == "Script":
            scripts.add(event["requestId"])

    def finished(event: Mapping[str, Any]) -> None:
        sizes[event["requestId"]] = event["encodedDataLength"]

    cdp.on("Network.responseReceived", answered)
    cdp.on("Network.loadingFinished", finished)
    page.goto(address, wait_until="load")
    counted = dict(sizes)
    page.wait_for_timeout(SETTLE)
    cdp.remove_listener("Network.responseReceived", answered)
    cdp.remove_listener("Network.loadingFinished", finished)
    told: dict[str, float] = page.evaluate("told")
    weight = {"bytes": sum(counted.values()), "script": sum(counted.get(id_, 0) for id_ in scripts)}
    return told | weight | {"requests": len(counted)}


def _interactions(page: Page, cdp: CDPSession, url: str) -> dict[str, float]:
    """The slowest answer to a press or click, with the slow processor."""
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(f"{url}{LIST}")
    page.locator("summary", has_text="Add Integration").click()
    page.keyboard.press("Escape")
    page.locator("summary", has_text="Signals").click()
    page.keyboard.press("Escape")
    page.get_by_label("Filter by name").fill("pro")
    page.wait_for_timeout(SETTLE)
    menus = page.evaluate("told.inp")
    page.goto(f"{url}{LIST}/new?kind=auth0")
    page.get_by_label("Client ID").press_sequentially("aBcD")
    page.get_by_text("Advanced").click()
    page.wait_for_timeout(SETTLE)
    form = page.evaluate("told.inp")
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    return {"Menus and filter: slowest interaction ms": menus, "Form: slowest interaction ms": form}


def _median(loads: list[dict[str, float]], name: str) -> float:
    return round(statistics.median(each[name] for each in loads))
