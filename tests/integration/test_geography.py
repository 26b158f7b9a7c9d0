"""Where events come from: country and city by the vendor's word, as fields like any other."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from pathlib import Path

from sites import Site, told

from conductor.operations import accounts, counting, suggesting
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
