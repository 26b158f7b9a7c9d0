"""Events that are chosen in a list: side by side, as JSON, by who may see what. And columns that are one's own."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from routes import OURS
from sites import Site, told

from conductor.simulator.tenant import TenantSpec
from conductor.web.selected import MOST

SEARCH, SELECTED = "/signals/search", "/signals/selected"
Tell = Callable[[Site], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Tell], None]:
    """Tells a story on a Conductor with events and a user of each role."""
    return lambda tell: told(tmp_path, TenantSpec(history=120), tell)


def _cells(page: str) -> dict[str, list[str]]:
    """The lines of the comparison."""
    lines = re.findall(r"<tr[^>]*><td><code>(.*?)</code></td>(.*?)</tr>", page)
    plain = [(name, re.findall(r"<td>(.*?)</td>", cells)) for name, cells in lines]
    return {name: [html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in cells] for name, cells in plain}


def test_two_events_are_compared_field_by_field(run: Any) -> None:
    async def tell(site: Site) -> None:
        one, other = site.rows[0], next(row for row in site.rows if row["type"] != site.rows[0]["type"])
        async with site.browser("viewer") as http:
            differing = _cells((await http.get(f"{SELECTED}?ids={one['id']}&ids={other['id']}")).text)
            whole = _cells((await http.get(f"{SELECTED}?ids={one['id']},{other['id']}&all=true")).text)
        assert differing["type"] == [one["type"], other["type"]]
        assert "integration" not in differing
        assert whole["integration"] == ["prod", "prod"]
        assert set(differing) < set(whole)
        assert all(len(set(values)) > 1 for values in differing.values())
        raw = json.loads(one["raw"])
        assert whole["raw.log_id"][0] == raw["log_id"]
        for name in set(one) - {"raw", "masked"}:  # every field that is set in one of them is there
            if one[name] not in ("", None, 0) or other[name] not in ("", None, 0):
                assert name in whole

    run(tell)


def test_chosen_events_are_given_as_they_were_received(run: Any) -> None:
    async def tell(site: Site) -> None:
        rows = site.rows[:5]
        async with site.browser("viewer") as http:
            answer = await http.get(f"{SELECTED}.json?ids={','.join(row['id'] for row in rows)}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.content == b"[" + b",\n".join(row["raw"] for row in rows) + b"]\n"

    run(tell)


def test_what_cannot_be_chosen_is_told(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            nothing = await http.get(SELECTED)
            many = await http.get(f"{SELECTED}?ids={','.join(f'{at:032x}' for at in range(MOST + 1))}")
            unknown = await http.get(f"{SELECTED}?ids={'0' * 32}")
            odd = await http.get(f"{SELECTED}.json?ids=<b>")
        assert (nothing.status_code, many.status_code, unknown.status_code, odd.status_code) == (422, 422, 404, 422)
        assert "Name the events that you want" in nothing.text
        assert f"Choose {MOST} events at the most" in many.text
        assert "<b>" not in odd.text

    run(tell)


def test_personal_data_stay_hidden_in_what_is_chosen(run: Any) -> None:
    async def tell(site: Site) -> None:
        asked = f"?ids={','.join(row['id'] for row in site.rows[:8])}&all=true"
        async with site.browser("viewer") as http:
            shown = [(await http.get(f"{path}{asked}")).text for path in (SELECTED, f"{SELECTED}.json")]
            assert all(site.seen(text) for text in shown)
            await site.mask("viewer")
            hidden = [(await http.get(f"{path}{asked}")).text for path in (SELECTED, f"{SELECTED}.json")]
        assert [site.seen(text) for text in hidden] == [set(), set()]

    run(tell)


def _widths(page: str) -> list[str]:
    return re.findall(r'<col width="(\d+)">', page)


def test_columns_that_are_kept_are_ones_own_until_they_are_forgotten(run: Any) -> None:
    async def keep(http: httpx2.AsyncClient, **typed: str) -> str:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await http.get(f"{SEARCH}?cols=date")).text)
        assert token
        answer = await http.post("/signals/columns", headers=OURS, data={"csrf": token[1], **typed})
        assert answer.status_code == 303
        return answer.headers["location"]

    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http, site.browser("viewer") as other:
            own = "date,country:200"
            assert (
                await keep(http, do="keep", cols=own, q="type:fp") == f"{SEARCH}?q=type%3Afp&cols=date%2Ccountry%3A200"
            )
            entered = await http.get(f"{SEARCH}?last=7d")
            assert entered.headers["location"] == f"{SEARCH}?last=7d&cols=date%2Ccountry%3A200"  # others see the same
            assert _widths((await http.get(entered.headers["location"])).text) == ["196", "200"]
            usual = "date,event,user_name,ip,client_name,connection,integration"
            page = (await http.get(f"{SEARCH}?cols={usual}")).text
            assert len(_widths(page)) == 7
            assert html.escape(f"{SEARCH}?q=x").split("?")[0] in page
            links = [html.unescape(link) for link in re.findall(r'href="(/signals/search\?[^"]*sort=date[^"]*)"', page)]
            assert all(usual.replace(",", "%2C") in link for link in links)  # and do not turn into one's own
            assert (await other.get(f"{SEARCH}?last=7d")).status_code == 200
            assert await keep(http, do="forget", cols=own) == SEARCH
            assert (await http.get(f"{SEARCH}?last=7d")).status_code == 200

    run(tell)


def test_a_short_link_shows_the_columns_of_who_made_it(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as maker, site.browser("viewer") as other:
            page = (await other.get(f"{SEARCH}?cols=date")).text
            token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
            assert token
            kept = {"csrf": token[1], "do": "keep", "cols": "date,country:200"}
            await other.post("/signals/columns", headers=OURS, data=kept)
            token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await maker.get(SEARCH)).text)
            assert token
            made = await maker.post("/signals/share", headers=OURS, data={"csrf": token[1], "time": "moving"})
            slug = made.headers["location"].rpartition("link=")[2]
            followed = await other.get(f"/s/{slug}")
            theirs = (await other.get(followed.headers["location"])).text
            ours = (await maker.get(SEARCH)).text
        assert _widths(theirs) == _widths(ours)
        assert len(_widths(ours)) == 7

    run(tell)


def _url(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at.second else f"{at:%Y-%m-%dT%H:%MZ}"


def _ends(url: str) -> list[str]:
    asked = parse_qs(urlsplit(html.unescape(url)).query)
    return [asked["from"][0], asked["to"][0]]


def test_the_range_before_and_after_is_a_link_away(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            begins = datetime.fromisoformat(site.rows[-1]["time"]).replace(minute=0, second=0, microsecond=0)
            start, end = _url(begins), _url(begins + timedelta(minutes=39, seconds=59))
            page = (await http.get(f"{SEARCH}?last=custom&from={start}&to={end}")).text
            moving = (await http.get(f"{SEARCH}?last=24h")).text
        found = re.findall(r'<a class="act" href="([^"]+)" data-key="([^"]+)"', page)
        minutes = {
            key: [(datetime.fromisoformat(at) - begins) / timedelta(minutes=1) for at in _ends(url)]
            for url, key in found
        }
        second = 1 / 60
        assert minutes == {
            "[": [-40, pytest.approx(0 - second)],
            "]": [40, pytest.approx(80 - second)],
            "-": [-20, pytest.approx(60 - second)],
            "=": [10, pytest.approx(30 - second)],
        }
        assert re.findall(r'<a class="act" href="[^"]+" data-key="([^"]+)"', moving) == ["[", "-", "="]

    run(tell)


def test_a_columns_menu_asks_for_what_is_set_missing_or_counted(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            page = (await http.get(f"{SEARCH}?q=type%3Afp&last=7d")).text
        menu = page[page.index('id="of-ip"') :]
        menu = menu[: menu.index("</div>")]
        links = {told: html.unescape(url) for url, told in re.findall(r'<a href="([^"]+)">([^<]+)</a>', menu)}
        assert links["Only where it is set"] == f"{SEARCH}?q=type%3Afp+ip%3A%2A&last=7d"
        assert links["Only where it is missing"] == f"{SEARCH}?q=type%3Afp+-ip%3A%2A&last=7d"
        assert links["Count by it"] == f"{SEARCH}?q=type%3Afp&last=7d&view=group%3Aip"
        assert {"Move left", "Move right", "Wider", "Narrower", "Hide"} < set(links)

    run(tell)
