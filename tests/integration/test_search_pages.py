"""The search page and its parts, without script: counts, fields, groups, columns, terms; what fails, fails alone."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import worlds
from sites import Site, told

from conductor.analytics.server import Unsearchable
from conductor.operations import auditing, counting
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit

SEARCH = "/signals/search"
Tell = Callable[[Site, httpx2.AsyncClient], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Tell], None]:
    """Tells a story to an analyst."""

    def start(tell: Tell) -> None:
        async def work(site: Site) -> None:
            async with site.browser("analyst") as http:
                await tell(site, http)

        told(tmp_path, TenantSpec(history=300), work)

    return start


async def _get(http: httpx2.AsyncClient, path: str, status: int = 200) -> str:
    answer = await http.get(path)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def _links(text: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="([^"]+)"', text)]


def test_the_chart_counts_all_and_each_bar_leads_to_its_events(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        part = await _get(http, f"{SEARCH}/counts?last=30d&q=integration:prod")
        total = int(re.search(r"<strong>([\d,]+) events", part)[1].replace(",", ""))  # type: ignore[index]
        chart = part[part.index("data-timeline") : part.index("</svg>")]
        bars = re.findall(r'href="([^"]+)" aria-label="[^"]*: ([\d,]+) events', chart)
        assert sum(int(count.replace(",", "")) for _, count in bars) == total > 300
        for link, count in bars:
            if count != "0":
                found = await _get(http, html.unescape(link).replace(SEARCH, f"{SEARCH}/counts"))
                assert f"<strong>{count} event" in found

    run(tell)


def test_a_value_of_a_field_is_a_search_that_finds_as_many(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        part = await _get(http, f"{SEARCH}/facets?last=30d")
        listed = re.findall(r'class="value" href="([^"]+)"[^>]*>([^<]+)</a>\s*<span class="count">([\d,]+)', part)
        assert len(listed) > 10
        for link, _, count in listed:
            found = await _get(http, html.unescape(link).replace(SEARCH, f"{SEARCH}/counts"))
            assert f"<strong>{count} event" in found
        without = next(link for link in _links(part) if "-outcome" in link)
        assert "outcome" in html.unescape(await _get(http, without))

    run(tell)


def test_a_field_that_was_asked_for_lists_its_values_and_finds_among_them(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        users = Counter(row["user_name"] for row in site.rows if "@" in row["user_name"])
        name = next(iter(users))
        some = await _get(http, f"{SEARCH}/facet?last=30d&field=user_name&like={name[:6]}")
        assert name in html.unescape(some)
        assert "that fit" in some
        assert "prod" in await _get(http, f"{SEARCH}/facet?last=30d&field=integration&like=PRO")
        assert "0 of 0 that fit" in await _get(http, f"{SEARCH}/facet?last=30d&field=severity&like=zz")
        assert "could not be loaded" in await _get(http, f"{SEARCH}/facet?last=30d&field=date", 422)

    run(tell)


def test_without_script_counts_and_fields_come_with_the_page(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        page = await _get(http, f"{SEARCH}?last=7d")
        link = next(link for link in _links(page) if link.endswith("with=counts"))
        whole = await _get(http, link)
        assert "data-timeline" in whole
        assert 'class="facet"' in whole
        assert "hx-trigger" not in whole

    run(tell)


def test_events_are_counted_by_a_field(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        page = await _get(http, f"{SEARCH}?last=30d&view=group:type")
        (facet,) = await counting.facets(site.world.system, worlds.Request(last="30d"), ["type"], limit=100)
        for value in facet.values:
            assert f'<td>{value.text}</td><td class="num">{value.count}</td>' in page
        shown = next(link for link in _links(page[page.index("<tbody>") :]) if "type%3A" in link)
        assert "view=" not in shown
        assert "List the events" not in await _get(http, shown)
        compared = await _get(http, f"{SEARCH}?last=24h&view=group:type&compare=prev")
        assert '<th class="num">Before</th>' in compared
        assert "is a time" in await _get(http, f"{SEARCH}?last=30d&view=group:date", 422)
        assert "is not a field" in await _get(http, f"{SEARCH}?last=30d&view=group:a%20b", 422)

    run(tell)


def test_terms_are_chips_that_can_be_taken_away(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        page = await _get(http, f"{SEARCH}?q=type:(fp+OR+s)+-ip:10.0.0.0/8&last=30d")
        chips = page[page.index('class="chips"') : page.index("</ul>", page.index('class="chips"'))]
        assert [html.unescape(text) for text in re.findall(r"<code>(.*?)</code>", chips)] == [
            "type:(fp OR s)",
            "-ip:10.0.0.0/8",
        ]
        assert _links(chips) == [
            f"{SEARCH}?q=-ip%3A10.0.0.0%2F8&last=30d",
            f"{SEARCH}?q=type%3A%28fp+OR+s%29&last=30d",
        ]

    run(tell)


def test_when_nothing_matches_it_is_told_which_term_leaves_nothing(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        page = html.unescape(await _get(http, f"{SEARCH}?q=integration:prod+ip:198.18.0.1&last=7d"))
        assert re.search(r"<code>integration:prod</code> <strong>[1-9]\d*</strong> <a", page)
        assert re.search(r"<code>ip:198.18.0.1</code> <strong>0</strong>.*this removes everything", page)
        assert "Widen to last 30 days (0 matches)" in page
        saved = await _get(http, f"{SEARCH}?q=saved:%22MFA+removed%22+ip:198.18.0.1&last=7d")
        assert re.search(r"<code>saved:&#34;MFA removed&#34;</code> <strong>\d+</strong>", saved)
        alone = await _get(http, f"{SEARCH}?q=ip:198.18.0.1&last=7d")
        assert "No event in this range matches" in alone

    run(tell)


def test_columns_are_added_moved_widened_and_hidden_by_links(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        page = await _get(http, f"{SEARCH}?last=30d&cols=date,user_agent:320")
        assert re.findall(r'<col width="(\d+)">', page) == ["196", "320"]
        head = page[page.index("<thead>") : page.index("</thead>")]
        assert re.findall(r'">(Time[^<]+)</a>|<span>([^<]+)</span>', head) == [("Time (UTC) ▾", ""), ("", "User agent")]
        links = _links(page)
        assert f"{SEARCH}?last=30d&cols=user_agent%3A320%2Cdate" in links
        assert f"{SEARCH}?last=30d&cols=date%2Cuser_agent%3A360" in links
        assert f"{SEARCH}?last=30d&cols=date" in links
        moved = await http.get(f"{SEARCH}?last=30d&cols=date&add=city")
        assert moved.headers["location"] == f"{SEARCH}?last=30d&cols=date%2Ccity"
        odd = await _get(http, f"{SEARCH}?last=30d&cols=nope,date:9999,<b>")
        assert re.findall(r'<col width="(\d+)">', odd) == ["1200"]

    run(tell)


def test_the_oldest_come_first_when_asked_and_can_be_paged(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        seen: list[str] = []
        url = f"{SEARCH}?last=30d&sort=date"
        while url:
            page = await _get(http, url)
            seen += re.findall(r"open=([0-9a-f]{32})", page[page.index("<tbody") :])
            more = re.search(r'href="([^"]+)" hx-get=', page[page.index("<tbody") :])
            url = html.unescape(more[1]) if more else ""
        newest = await worlds.search.search(site.world.system, worlds.Request(limit=1000))
        assert seen == [row["id"] for row in reversed(newest.rows)]

    run(tell)


def test_what_is_no_place_or_no_range_to_compare_is_no_fault_of_ours(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        await _get(http, f"{SEARCH}?last=30d&after=-99999999999999999.1.1.1", 422)
        for path in ("/counts", "/facets", "", "/facet"):
            asked = "last=custom&from=2026-01-01T00:00Z&compare=prev&field=type&view=group:type"
            await _get(http, f"{SEARCH}{path}?{asked}")

    run(tell)


def test_a_part_that_fails_says_so_alone_and_can_be_asked_for_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        async def away(*_: Any, **__: Any) -> None:
            raise Unsearchable("The search engine failed: gone.")

        with monkeypatch.context() as broken:
            broken.setattr(counting, "histogram", away)
            assert '<tbody id="rows">' in await _get(http, f"{SEARCH}?last=30d")
            part = await _get(http, f"{SEARCH}/counts?last=30d", 503)
            assert "This part could not be loaded" in part
            assert f"{SEARCH}/counts?last=30d" in _links(part)
            assert 'class="facet"' in await _get(http, f"{SEARCH}/facets?last=30d")
        assert "data-timeline" in await _get(http, f"{SEARCH}/counts?last=30d")

    run(tell)


def test_a_page_and_its_parts_are_one_deed_and_a_part_alone_is_one_too(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        async def deeds() -> int:
            found = await auditing.entries(site.world.system, audit.Wanted(action="search"), 100)
            return len(found)

        before = await deeds()
        for path in ("", "/counts", "/facets"):
            await _get(http, f"{SEARCH}{path}?last=30d&q=type:fp")
        assert await deeds() == before + 1
        await _get(http, f"{SEARCH}/counts?last=30d&q=type:s")
        assert await deeds() == before + 2

    run(tell)


def test_the_open_event_leads_to_its_neighbours_and_its_values_to_searches(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        found = await worlds.search.search(site.world.system, worlds.Request(q="user_name:*", last="30d"))
        above, here, below = (row["id"] for row in found.rows[:3])
        page = await _get(http, f"{SEARCH}?q=user_name%3A%2A&last=30d&open={here}")
        panel = page[page.index('aria-label="Event"') :]
        assert re.search(rf'href="[^"]*open={above}" data-key="k"', panel)
        assert re.search(rf'href="[^"]*open={below}" data-key="j"', panel)
        type_ = found.rows[1]["type"]
        links = _links(panel)
        assert f"{SEARCH}?q=user_name%3A%2A+type%3A{type_}&last=30d" in links
        assert f"{SEARCH}?q=user_name%3A%2A+-type%3A{type_}&last=30d" in links
        assert not [link for link in links if "-date" in link or "ingested" in link]
        nowhere = await _get(http, f"{SEARCH}?q=type%3Anothing&last=30d&open={here}")
        assert 'data-key="j"' not in nowhere
        assert "Not found" in await _get(http, f"{SEARCH}?q=(&last=30d&open=x", 422)
        first = await _get(http, f"{SEARCH}?q=user_name%3A%2A&last=30d&open={above}")
        assert 'data-key="k"' not in first

    run(tell)


def test_hidden_personal_data_is_no_search_that_a_click_makes(run: Any) -> None:
    async def tell(site: Site, http: httpx2.AsyncClient) -> None:
        await site.mask("analyst")
        for path in (f"{SEARCH}/facet?last=30d&field=ip", f"{SEARCH}?last=30d&view=group:user_name"):
            page = await _get(http, path)
            assert not site.seen(page)
            assert "•••" in page
        for field in ("details", "details.request", "description", "user_id", "user_agent"):
            part = await _get(http, f"{SEARCH}/facet?last=30d&field={field}")
            for row in site.rows:
                for value in (row["user_name"], row["user_name"].partition("@")[0], row["ip"]):
                    assert len(value) < 4 or value not in html.unescape(part), (field, value)
        part = await _get(http, f"{SEARCH}/facet?last=30d&field=ip")
        assert not [link for link in _links(part) if "ip%3A" in link and "ip%3A%2A" not in link]

    run(tell)
