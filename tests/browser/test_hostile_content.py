"""What an attacker writes into a log is shown, never run: as text, with what is hidden made visible."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser.conftest import House
from browser.processes import search_url, wait_for
from playwright.sync_api import Page, expect

RUNS = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1><svg onload=window.hacked=1>"
MARKER = "the-end-of-the-description"
ATTACKS = {
    "script": (RUNS, RUNS),
    "attribute": (
        '"><a href="javascript:window.hacked=1" autofocus onfocus=window.hacked=1>x',
        '"><a href="javascript:',
    ),
    "template": ("{{ 7*7 }}${7*7}<template hx-get=/auth/logout hx-trigger=load>", "{{ 7*7 }}${7*7}<template"),
    "bidi": ("ana\u202emoc.elpmaxe", "ana⟨U+202E⟩moc.elpmaxe"),
    "zero width": ("an\u200ba\u2060\ufeff", "an⟨U+200B⟩a⟨U+2060⟩⟨U+FEFF⟩"),
    "control": ("a\x1b[2Jb\x00c\rd", "a⟨U+001B⟩[2Jb⟨U+0000⟩c⟨U+000D⟩d"),
    "long": ("W" * 20_000, "W" * 20_000),
    "address elsewhere": ("https://evil.example/<img src=https://evil.example/x.png>", "https://evil.example/<img"),
}


@pytest.fixture(scope="module")
def planted(house: House) -> dict[str, str]:
    """An event for each attack, by name: its log id."""
    return dict(zip(ATTACKS, _plant(house, [_event(content) for content, _ in ATTACKS.values()]), strict=True))


@pytest.mark.parametrize("name", ATTACKS)
def test_s15_hostile_content_is_shown_and_runs_nothing(
    page: Page, house: House, planted: dict[str, str], name: str
) -> None:
    shown = ATTACKS[name][1]
    page.goto(search_url(house.conductor, q=f'log_id:"{planted[name]}"'))
    rows = page.locator("#rows > tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(shown)
    _assert_harmless(page)
    rows.locator("a").first.click()
    panel = page.get_by_role("complementary", name="Event")
    expect(panel).to_contain_text(shown)
    _assert_harmless(page)
    panel.get_by_role("link", name="Link", exact=True).click()
    page.get_by_role("heading", level=1).wait_for()
    expect(page.get_by_role("article")).to_contain_text(shown)
    expect(page.get_by_role("article")).to_contain_text(MARKER)
    _assert_harmless(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_s15_a_hostile_country_is_text_beside_the_map(page: Page, house: House) -> None:
    long = "X" * 300
    events = [{"type": "s", "client_id": "map-test", "location_info": {"country_code": RUNS}}]
    events += [{"type": "s", "client_id": "map-test", "location_info": {"country_code": code}} for code in (long, "CZ")]
    _plant(house, events)
    page.goto(search_url(house.conductor, q="client_id:map-test", last="30d", map="1"))
    shown = page.get_by_role("region", name="Events by country")
    expect(shown.get_by_role("link", name="Czechia: 1 event")).to_be_visible()
    expect(shown.get_by_role("listitem").filter(has_text=RUNS)).to_be_visible()
    expect(shown.get_by_role("listitem").filter(has_text=long)).to_be_visible()
    _assert_harmless(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_raw_event_is_shown_exactly_as_the_vendor_serves_it(page: Page, house: House) -> None:
    odd = {
        "type": "s",
        "z": 1,
        "a": [1.50, 1e3, 12345678901234567890],
        "text": 'é " \\ 😀 & < >',
        "nested": {"b": None},
    }
    (log_id,) = _plant(house, [odd])
    page.goto(search_url(house.conductor, q=f'log_id:"{log_id}"'))
    page.locator("#rows a").first.click()
    shown = page.locator("#raw").text_content() or ""
    assert shown.encode() == house.vendor.event(log_id)
    assert json.loads(shown)["nested"] == {"b": None}


def test_s15_a_hostile_query_is_only_a_query(page: Page, house: House) -> None:
    for query in (RUNS, f'"{RUNS}', "\u202etype:fp", "type:" + "(" * 60):
        page.goto(search_url(house.conductor, q=query))
        expect(page.get_by_label("Query")).to_have_value(query)
        _assert_harmless(page)


def test_s15_a_foreign_name_in_the_address_is_only_a_name(page: Page, house: House) -> None:
    answer = page.goto(f"{house.url}/admin/settings/integrations/%3Cimg src=x onerror=window.hacked=1%3E")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("main")).to_contain_text("<img src=x onerror=window.hacked=1>")
    _assert_harmless(page)


def _event(content: str) -> dict[str, Any]:
    """The content in every field that a page shows."""
    names = "user_name client_name ip connection".split()
    texts = {"description": f"{content} {MARKER}", "user_agent": f"Mozilla {content}"}
    return {"type": "fp", **texts, **dict.fromkeys(names, content)}


def _plant(house: House, events: list[dict[str, Any]]) -> list[str]:
    """Add events at the vendor and wait until they can be found here."""
    ids = [house.vendor.control("POST", "events", {"event": event})["log_id"] for event in events]
    query = " OR ".join(f'log_id:"{log_id}"' for log_id in ids)
    house.conductor.cli.ok("integration", "poll", "prod")
    wait_for(lambda: int(house.conductor.cli.ok("search", query, "--count")) == len(ids), "planted events")
    return ids


def _assert_harmless(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert (
        page.locator(
            "main :is(script, img:not(.brand *), iframe, object, form[action^='http'], a[href^='javascript'], a[href^='http'])"
        ).count()
        == 0
    )
