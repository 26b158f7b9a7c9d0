"""What is offered while a query is typed: fields, values with their counts in the range, saved searches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sites import Site, told

from conductor.analytics.query import parse
from conductor.operations import accounts, search, suggesting
from conductor.operations.search import Request
from conductor.simulator.tenant import TenantSpec

Tell = Callable[[Site, Any], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Tell], None]:
    """Tells a story with a function that asks for what is offered at the end of a text, or at a place in it."""

    def start(tell: Tell) -> None:
        async def work(site: Site) -> None:
            system = site.world.system
            user = next(user for user in await accounts.users(system) if user.role == "analyst")

            async def offered(q: str, at: int | None = None) -> list[suggesting.Suggestion]:
                asked = Request(q=q, last="30d")
                return await suggesting.suggestions(system, user, asked, len(q) if at is None else at)

            await tell(site, offered)

        told(tmp_path, TenantSpec(history=300), work)

    return start


def test_fields_are_offered_by_their_names_and_aliases(run: Any) -> None:
    async def tell(site: Site, offered: Any) -> None:
        texts = [item.text for item in await offered("us")]
        assert texts[:3] == ["user_name:", "user_id:", "user_agent:"]
        assert (await offered("type:fp -app"))[0].text == "-client_name:"
        assert len(await offered("")) == suggesting.MOST
        (address,) = [item for item in await offered("203.0.113.7") if "address" in item.told]
        assert (address.text, address.start, address.end) == ("ip:203.0.113.7 ", 0, 11)
        assert (await offered("ana@example.com"))[0].text == 'user_name:"ana@example.com" '

    run(tell)


@pytest.mark.usefixtures("each_analytics")
def test_values_are_offered_with_their_counts_among_what_the_rest_finds(run: Any) -> None:
    async def tell(site: Site, offered: Any) -> None:
        found = await offered("outcome:failure type:f")
        assert found
        assert found[0].label.startswith("f")
        for item in found:
            whole = f"outcome:failure {item.text}"
            assert int(item.told.replace(",", "")) == await search.count(
                site.world.system, Request(q=whole, last="30d")
            ), whole
        middle = await offered("type: outcome:failure", 5)
        assert {item.text for item in await offered("outcome:failure type:")} == {item.text for item in middle}
        assert all((item.start, item.end) == (0, 5) for item in middle)
        assert [item.label for item in await offered("severity:h")] == ["high"]
        assert [item.text for item in await offered("integration:PR")] == ['integration:"prod" ']

    run(tell)


def test_whatever_is_offered_can_be_searched_for(run: Any) -> None:
    async def tell(site: Site, offered: Any) -> None:
        for q in (
            "user_name:",
            'user_name:"a',
            "details.request.method:",
            "is:",
            "has:",
            "saved:",
            "date:",
            "(ip:",
            "own:",
        ):
            found = await offered(q)
            assert found, q
            for item in found:
                parse((q[: item.start] + item.text + q[item.end :]).replace("(", ""))
        among = await offered("type:(fp OR f")
        assert among[0].text.startswith('"f')
        assert all((item.start, item.end) == (12, 13) for item in among)
        assert await offered("nonsense:") == []

    run(tell)


def test_hidden_personal_data_is_not_offered(run: Any) -> None:
    async def tell(site: Site, offered: Any) -> None:
        await site.mask("analyst")
        async with site.browser("analyst") as http:
            for q in ("ip:", "user_name:a"):
                answer = await http.get(f"/signals/suggest?q={q}&at={len(q)}&last=30d")
                assert answer.json() == []

    run(tell)


def test_what_one_asked_of_late_is_offered_again_and_nobody_elses(run: Any) -> None:
    async def tell(site: Site, offered: Any) -> None:
        async with site.browser("analyst") as http, site.browser("viewer") as other:
            for q in ("type:fp", "ip:10.0.0.0/8", "type:fp", "outcome:failure user_name:ana*"):
                await http.get("/signals/search", params={"q": q, "last": "7d"})
            await http.get("/signals/search/counts", params={"q": "type:counted", "last": "7d"})
            await other.get("/signals/search", params={"q": "type:secret", "last": "7d"})
        late = [item for item in await offered("") if item.told == "Asked of late"]
        assert [item.text for item in late] == ["outcome:failure user_name:ana*", "type:fp", "ip:10.0.0.0/8"]
        (found,) = [item for item in await offered("ana") if item.told == "Asked of late"]
        assert (found.text, found.start, found.end) == ("outcome:failure user_name:ana*", 0, 3)
        assert not [item for item in await offered("type:fp ") if item.told == "Asked of late"]
        assert not [item for item in await offered("-ana") if item.told == "Asked of late"]

    run(tell)
