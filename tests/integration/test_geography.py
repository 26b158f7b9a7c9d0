"""Where events come from: by the vendor's word, or else by the operator's GeoIP databases."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from pathlib import Path
from typing import Any

import geoip
import worlds
from sites import Site, told

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
