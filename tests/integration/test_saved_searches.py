"""Saved searches and short links: on pages and API, one's own and shared, in the search language, and shipped ones."""

from __future__ import annotations

import html
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from routes import API, JSON, OURS
from sites import Site, told

from conductor.analytics.query import canonical, parse
from conductor.analytics.syntax import QueryError
from conductor.catalog import load
from conductor.core.sight import Sight
from conductor.operations import accounts, auditing, saving, search
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec
from conductor.store import audit
from conductor.web import view

SEARCH, SAVED = "/signals/search", "/signals/saved"
Tell = Callable[[Site], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Tell], None]:
    """Tells a story on a Conductor with events and a user of each role."""
    return lambda tell: told(tmp_path, TenantSpec(history=120), tell)


async def _post(http: httpx2.AsyncClient, page: str, action: str, **typed: str) -> httpx2.Response:
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await http.get(page)).text)
    assert token
    return await http.post(action, headers=OURS, data={"csrf": token[1], **typed})


def test_every_shipped_search_is_a_query_in_its_one_form_that_can_be_opened(run: Any) -> None:
    async def tell(site: Site) -> None:
        shipped = saving.shipped(load())
        assert len(shipped) >= 12
        assert len({item.slug for item in shipped}) == len(shipped)
        async with site.browser("viewer") as http:
            listed = html.unescape((await http.get(SAVED)).text)
            for item in shipped:
                assert canonical(parse(item.state["q"])) == item.state["q"]
                assert item.name in listed
                opened = await http.get(f"{SAVED}/{item.slug}")
                page = await http.get(opened.headers["location"])
                assert page.status_code == 200
                assert item.name in html.unescape(page.text)
                assert "Changed." not in page.text

    run(tell)


def test_what_one_sees_is_saved_opened_changed_undone_and_deleted(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            seen = f"{SEARCH}?q=type%3Afp&last=7d&cols=date%2Cip"
            made = await _post(http, seen, SAVED, q="type:fp", last="7d", cols="date,ip", name="Wrong pässwords")
            url = made.headers["location"]
            assert url == f"{SEARCH}?q=type%3Afp&last=7d&cols=date%2Cip&saved=wrong-passwords"
            page = (await http.get(url)).text
            assert "Wrong pässwords" in page
            assert "Changed." not in page
            changed = url.replace("type%3Afp", "type%3As")
            page = (await http.get(changed)).text
            assert "Changed." in page
            assert f'href="{html.escape(url)}">Undo changes' in page
            await _post(http, changed, f"{SAVED}/wrong-passwords", q="type:s", last="7d", do="save")
            assert (await http.get(f"{SAVED}/wrong-passwords")).headers["location"] == (
                f"{SEARCH}?q=type%3As&last=7d&saved=wrong-passwords"
            )
            await _post(
                http, SAVED, f"{SAVED}/wrong-passwords", do="edit", name="Logins", description="a\nb", folder="x"
            )
            listed = (await http.get(SAVED)).text
            assert "Logins" in listed
            assert "pässwords" not in listed
            await _post(http, SAVED, f"{SAVED}/wrong-passwords", do="delete")
            assert (await http.get(f"{SAVED}/wrong-passwords")).status_code == 404
            assert "no such saved search" in (await http.get(url)).text
            actions = [entry.action for entry in await auditing.entries(site.world.system, audit.Wanted("wrong"), 20)]
            assert actions == ["search.removed", "search.changed", "search.changed", "search.saved"]

    run(tell)


def test_a_range_can_be_kept_as_it_is(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            made = await _post(http, SEARCH, SAVED, last="24h", name="Today", keep="fixed")
            assert re.search(r"last=custom&from=20\d\d-.*&to=20\d\d-", made.headers["location"])
            listed = (await http.get(SAVED)).text
            assert "Last 24 hours" not in listed[: listed.index("Shipped")]

    run(tell)


def test_what_cannot_be_saved_is_told_and_stays_typed(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            refused = await _post(http, SEARCH, SAVED, q="type:(fp", last="nope", name="", description="kept")
            assert refused.status_code == 422
            text = html.unescape(refused.text)
            for words in ("Enter a name of 100 characters", "never closed", "is not a length of time", 'value="kept"'):
                assert words in text, words
            assert (await _post(http, SEARCH, SAVED, name="mfa REMOVED")).status_code == 422
            assert (await _post(http, SEARCH, SAVED, q="a", name="A")).status_code == 303
            again = await _post(http, SEARCH, SAVED, q="b", name="a")
            assert "There is a saved search called a already" in html.unescape(again.text)

    run(tell)


def test_own_searches_are_seen_by_their_owner_and_shared_ones_by_all_but_changed_by_few(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("analyst") as http:
            await _post(http, SEARCH, SAVED, q="type:fp", name="Mine")
            await _post(http, SEARCH, SAVED, q="type:s", name="Ours", shared="on")
        async with site.browser("viewer") as http:
            listed = (await http.get(SAVED)).text
            assert "Ours" in listed
            assert "Mine" not in listed
            assert (await http.get(f"{SAVED}/mine")).status_code == 404
            assert (await http.get(f"{API}/saved/mine")).status_code == 404
            assert "Save as new" not in (await http.get(f"{SEARCH}?saved=ours")).text
            assert (await _post(http, "/account", f"{SAVED}/ours", do="delete")).status_code == 403
            found = await http.get(f"{API}/artifacts/count?q=saved:Ours")
            assert found.json()["count"] == await search.count(site.world.system, Request(q="type:s"))
            unseen = await http.get(f"{API}/artifacts/count?q=saved:Mine")
            assert unseen.status_code == 400
            assert "no saved search called `Mine`" in unseen.text
        async with site.browser("admin") as http:
            assert (await http.get(f"{API}/saved/mine")).status_code == 404
            changed = await http.patch(f"{API}/saved/ours", headers=JSON, json={"name": "Everybody's", "revision": 1})
            assert changed.json()["owner"] == "analyst@conductor.test"
            stale = await http.patch(f"{API}/saved/ours", headers=JSON, json={"name": "x", "revision": 1})
            assert stale.status_code == 409
            shipped = await http.delete(f"{API}/saved/mfa-removed", headers=JSON)
            assert shipped.status_code == 403
            assert (await http.delete(f"{API}/saved/ours", headers=JSON)).status_code == 200

    run(tell)


def test_a_saved_search_stands_in_a_query_by_its_name(run: Any) -> None:
    async def tell(site: Site) -> None:
        system = site.world.system
        user = next(user for user in await accounts.users(system) if user.role == "analyst")
        await saving.save(system, user, "Failing", {"q": "outcome:failure OR type:fu"})
        await saving.save(system, user, "Around", {"q": 'saved:"around two"'})
        await saving.save(system, user, "Around two", {"q": "x saved:AROUND"})
        mine = Sight(who=user.email)
        for q, whole in {
            "saved:failing": "outcome:failure OR type:fu",
            '-saved:"Failing" ip:*': "-(outcome:failure OR type:fu) ip:*",
            'saved:"Failed logins by IP"': 'is:failure category:"auth failure"',
        }.items():
            found = await search.search(system, Request(q=q, limit=1000), mine)
            assert [row["id"] for row in found.rows] == [
                row["id"] for row in (await search.search(system, Request(q=whole, limit=1000))).rows
            ]
        with pytest.raises(QueryError, match="leads to itself"):
            await search.count(system, Request(q="saved:around"), mine)
        with pytest.raises(QueryError, match="no saved search"):
            await search.count(system, Request(q="saved:failing"))
        await saving.save(system, user, "Level 0", {"q": " OR ".join(f"type:t{number}" for number in range(90))})
        for level in range(3):
            q = " OR ".join([f'saved:"Level {level}"'] * 90)
            await saving.save(system, user, f"Level {level + 1}", {"q": q})
        with pytest.raises(QueryError, match="Too much is put in"):
            await search.count(system, Request(q='saved:"Level 3"'), mine)
        other = next(user for user in await accounts.users(system) if user.role == "admin")
        await saving.save(system, other, "Failing", {"q": "type:nothing"}, shared=True)
        assert await search.count(system, Request(q="saved:failing"), mine) > 0  # one's own comes first

    run(tell)


@pytest.mark.usefixtures("each_analytics")
def test_a_short_link_shows_the_same_results_later(run: Any) -> None:
    async def tell(site: Site) -> None:
        async with site.browser("viewer") as http:
            row = site.rows[0]
            url = f"{SEARCH}?q=type%3A%2A&last=7d&cols=date%2Cip%3A300&by=type&open={row['id']}"
            kept = {"q": "type:*", "last": "7d", "cols": "date,ip:300", "by": "type", "open": row["id"]}
            made = await _post(http, url, "/signals/share", **kept, time="fixed")
            link = re.search(r'id="short-link">([^<]+)<', (await http.get(made.headers["location"])).text)
            assert link
            path = link[1][link[1].index("/s/") :]
        async with site.browser("admin") as http:
            target = (await http.get(path)).headers["location"]
            assert "last=custom&from=" in target
            assert "cols=date%2Cip%3A300&by=type" in target
            assert f"open={row['id']}" in target
            page = (await http.get(target)).text
            assert re.findall(r'<col width="(\d+)">', page) == ["196", "300"]
            assert 'aria-label="Event"' in page
            shown = "2026-11-20T10:00:00+00:00 2026-11-20T11:00:00.000500+00:00"
            usual = re.sub(r":\d+", "", view.DEFAULT)
            columns = f"&cols={usual.replace(',', '%2C')}"  # named, for the reader may have others
            then = await _post(http, SEARCH, "/signals/share", last="1h", time="fixed", shown=shown)
            slug = then.headers["location"].rpartition("link=")[2]
            assert (await http.get(f"/s/{slug}")).headers["location"] == (
                f"{SEARCH}?last=custom&from=2026-11-20T10%3A00Z&to=2026-11-20T11%3A00%3A00.000500Z{columns}"
            )
            moving = await _post(http, SEARCH, "/signals/share", last="1h", time="moving")
            slug = moving.headers["location"].rpartition("link=")[2]
            assert (await http.get(f"/s/{slug}")).headers["location"] == f"{SEARCH}?last=1h{columns}"
            assert (await http.get("/s/nothing")).status_code == 404

    run(tell)
