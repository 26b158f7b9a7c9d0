"""Where events come from: by the vendor's word, or else by the operator's GeoIP databases."""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import geoip
import pytest
import worlds
from sites import Site, told

from conductor.analytics.engine import Unsearchable
from conductor.core import clock
from conductor.operations import accounts, counting, search, suggesting
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec

SEARCH = "/signals/search"


def test_a_city_is_searched_counted_suggested_shown_and_exported(tmp_path: Path) -> None:
    async def tell(site: Site) -> None:
        system = site.world.system
        cities = Counter(row["city"] for row in site.rows if row["city"])
        city, count = next((name, count) for name, count in cities.most_common() if " " not in name)
        known = "user_name:* ip:*"
        assert await site.world.count(f"{known} city:{city.lower()}") == count
        assert await site.world.count(f"{known} city:*") == cities.total()
        assert await site.world.count(f"{known} -city:*") == len(site.rows) - cities.total()
        (facet,) = await counting.facets(system, Request(q=known), ["city"], limit=100)
        assert {value.text: value.count for value in facet.values} == cities
        user = next(user for user in await accounts.users(system) if user.role == "analyst")
        begun = f"city:{city[:3].lower()}"
        assert city in [item.label for item in await suggesting.suggestions(system, user, Request(q=begun), len(begun))]
        row = next(row for row in site.rows if row["city"] == city)
        async with site.browser("analyst") as http:
            page = html.unescape((await http.get(f"{SEARCH}?last=30d&cols=date,city&q=city:{city}")).text)
            assert f">{city}</td>" in page.replace("</a>", "")
            event = (await http.get(f"/signals/events/{row['id']}")).text
            assert f"<tr><td>city</td><td>{city}" in event
            exported = await http.get(f"/api/v1/artifacts/export?format=csv&q=city:{city}")
        lines = list(csv.DictReader(io.StringIO(exported.text, newline="")))
        assert lines
        assert {line["city"] for line in lines} == {city}

    told(tmp_path, TenantSpec(history=300), tell)


async def _event(it: worlds.Collecting, query: str) -> Any:
    (row,) = (await search.search(it.system, Request(q=query))).rows
    return row


def test_what_the_vendor_leaves_out_comes_from_the_databases_and_it_is_told(tmp_path: Path) -> None:
    city = geoip.write(tmp_path / "city.mmdb", {"8.8.8.0/24": geoip.place("CZ", "Prague")})
    asn = geoip.write(tmp_path / "asn.mmdb", {"8.8.0.0/16": geoip.network(64512)}, "GeoLite2-ASN")
    said = {"location_info": {"country_code": "DE", "city_name": "Berlin"}}

    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(), geoip_database=f"{city}, {asn}") as it:
            for name, more in {"silent": {}, "said": said, "private": {"ip": "10.0.0.1"}}.items():
                it.world.first.add({"type": "s", "ip": "8.8.8.8", "user_name": name} | more, clock.now())
            site = Site(it)
            await site.collect()
            silent, told, private = [await _event(it, f"user_name:{name}") for name in ("silent", "said", "private")]
            places = [(row["country"], row["city"], row["asn"]) for row in (silent, told, private)]
            assert places == [("CZ", "Prague", 64512), ("DE", "Berlin", 64512), ("", "", 0)]
            assert await it.count("located_by:*city*") == 1
            assert await it.count("-located_by:* country:*") == await it.count("country:*") - 2
            async with site.browser("viewer") as http:
                page = (await http.get(f"/signals/events/{silent['id']}")).text
                assert "country, city: from the GeoIP database GeoLite2-City, built 2026-11-24" in page
                assert "asn: from the GeoIP database GeoLite2-ASN, built 2026-11-24" in page
                page = (await http.get(f"{SEARCH}?last=30d&open={told['id']}")).text
                assert "country, city: by Auth0 · asn: from the GeoIP database GeoLite2-ASN" in page
                page = (await http.get(f"/signals/events/{private['id']}")).text
                assert "GeoIP" not in page

    worlds.run(work)


def test_a_database_that_was_replaced_holds_for_what_is_indexed_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "city.mmdb"

    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(), geoip_database=str(file)) as it:
            await it.add()

            async def collected(name: str) -> str:
                it.world.first.add({"type": "s", "ip": "8.8.8.8", "user_name": name}, clock.now())
                await it.poll()
                return str((await _event(it, f"user_name:{name}"))["country"])

            assert await collected("missing") == ""
            geoip.write(file, {"8.8.8.0/24": geoip.place("CZ")})
            assert await collected("there") == "CZ"
            file.write_bytes(file.read_bytes()[:-60])
            assert await collected("broken") == "CZ"
            geoip.write(file, {"8.8.8.0/24": geoip.place("SK")})
            assert await collected("replaced") == "SK"
            assert str((await _event(it, "user_name:missing"))["country"]) == ""

    worlds.run(work)


def test_the_settings_page_says_what_is_read_and_what_cannot_be(tmp_path: Path) -> None:
    good = geoip.write(tmp_path / "city.mmdb", {"8.8.8.0/24": geoip.place("CZ", "Prague")})
    bad = tmp_path / "bad<b>.mmdb"
    bad.write_bytes(b"x")

    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec(history=5), geoip_database=f"{good},{bad}") as it:
            site = Site(it)
            await site.collect()
            async with site.browser("admin") as http:
                page = html.unescape((await http.get("/admin/settings/general")).text)
            assert f"{good}: GeoLite2-City, built 24 Nov 2026" in page
            assert f"{bad} is not a whole database in MaxMind's format. Nothing is read from it." in page

    worlds.run(work)


def _lands(page: str) -> dict[str, int]:
    """The countries on a map by their names, with their numbers as they are told."""
    found = re.findall(r'aria-label="([^"]+): ([\d,]+) events?"><title>', page)
    return {html.unescape(name): int(count.replace(",", "")) for name, count in found}


def test_the_numbers_of_the_map_are_those_of_the_field_and_each_country_leads_to_its_events(tmp_path: Path) -> None:
    async def tell(site: Site) -> None:
        (facet,) = await counting.facets(site.world.system, Request(last="30d"), ["country"], limit=1000)
        async with site.browser("viewer") as http:
            page = (await http.get(f"{SEARCH}/map?last=30d&map=1")).text
            table = re.findall(r"<td>(.+?)</td><td>([A-Z]{2})</td><td class=\"num\">([\d,]+)</td>", page)
            names = {code: html.unescape(name) for name, code, _ in table}
            counts = {value.text: value.count for value in facet.values}
            assert {code: int(count.replace(",", "")) for _, code, count in table} == counts
            assert _lands(page) == {names[code]: count for code, count in counts.items()}
            assert f"{sum(counts.values())} events in {len(counts)} countries" in page
            assert re.search(rf">{facet.missing} events <a href=\"[^\"]*-country%3A%2A", page)
            for link, told in re.findall(r'<a class="s\d" href="([^"]+)" aria-label="([^"]+)"', page):
                found = (await http.get(html.unescape(link).replace(SEARCH, f"{SEARCH}/counts"))).text
                assert f"<strong>{told.partition(': ')[2]}</strong>" in found
            whole = (await http.get(f"{SEARCH}?last=30d&map=1&with=counts")).text
            assert _lands(whole) == _lands(page)
            assert "hx-trigger" not in whole
            assert '<input type="hidden" name="map" value="1">' in whole  # another query keeps it open
            assert 'id="map"' not in (await http.get(f"{SEARCH}?last=30d")).text

    told(tmp_path, TenantSpec(history=300), tell)


def test_what_is_on_no_map_is_told_beside_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with worlds.collecting(tmp_path, TenantSpec()) as it:
            codes = [
                "CZ",
                "cz",
                "MT",
                "MT",
                "mt",
                "AQ",
                "QQ",
                "<script>",
                "X" * 300,
                *(f"Z{number}" for number in range(10)),
                "",
            ]
            for code in codes:
                it.world.first.add({"type": "fp", "location_info": {"country_code": code}}, clock.now())
            site = Site(it)
            await site.collect()
            async with site.browser("viewer") as http:
                page = (await http.get(f"{SEARCH}/map?q=type:fp&last=30d&map=1")).text
                drawn = list(_lands(page).items())
                assert drawn == [("Czechia", 2), ("Malta", 3), ("Antarctica", 1)]  # points lie on top
                assert page.count("<circle") == 2  # of the two that have no shape
                assert "6 events in 3 countries" in page
                assert "<script>" not in page
                assert "1 event <a" in page
                outside = page[page.index("Not on the map") : page.index("<details>")]
                assert outside.count("<li>") == 10
                assert "3 more values" in outside
                assert "view=group%3Acountry" in outside
                nothing = (await http.get(f"{SEARCH}/map?q=type:fp+-country:*&last=30d&map=1")).text
                assert "There is no map: no event here has a country that is on it." in nothing
                assert "<svg" not in nothing
                odd = (await http.get(f"{SEARCH}/map?q=type:fp+country:QQ&last=30d&map=1")).text
                assert "There is no map" in odd
                assert "QQ" in odd

    worlds.run(work)


def test_a_map_that_fails_says_so_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(site: Site) -> None:
        async def away(*_: Any, **__: Any) -> None:
            raise Unsearchable("The search engine failed: gone.")

        async with site.browser("viewer") as http:
            with monkeypatch.context() as broken:
                broken.setattr(counting, "facets", away)
                assert '<tbody id="rows">' in (await http.get(f"{SEARCH}?last=30d&map=1")).text
                part = await http.get(f"{SEARCH}/map?last=30d&map=1")
                assert part.status_code == 503
                assert "This part could not be loaded" in part.text
                assert "data-timeline" in (await http.get(f"{SEARCH}/counts?last=30d")).text

    told(tmp_path, TenantSpec(history=30), tell)
