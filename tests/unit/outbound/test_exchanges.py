"""What is kept of a poll's requests, and how little of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from conductor.core.poll import Exchange
from conductor.outbound import exchanges
from conductor.outbound.exchanges import Exchanges

URL = "https://acme.us.auth0.com/api/v2/logs"


def noted(ask: Callable[[Exchanges], None]) -> Exchanges:
    async def work() -> Exchanges:
        found = Exchanges()
        ask(found)
        return found

    return asyncio.run(work())


def answer(found: Exchanges, status: int, body: bytes, **headers: str) -> None:
    running = found.begin("GET", URL)
    running.answered(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, (100, 98))


def bodies(found: list[Exchange]) -> list[bytes]:
    return [one.body for one in found]


def test_a_request_is_told_with_its_answer() -> None:
    def ask(found: Exchanges) -> None:
        answer(found, 429, b"slow down", x_vendor_requestid="r-1")
        found.begin("POST", URL).failed("net.timeout")

    first, second = noted(ask).ended(well=False)
    assert (first.method, first.url, first.status, first.size, first.body) == ("GET", URL, 429, 9, b"slow down")
    assert (first.limit, first.remaining, first.request_id, first.code) == (100, 98, "r-1", "")
    assert (second.method, second.status, second.code, second.body) == ("POST", 0, "net.timeout", b"")


def test_the_body_of_what_was_taken_is_not_kept_and_of_what_was_not_it_is() -> None:
    def ask(found: Exchanges) -> None:
        for status, body in ((200, b"taken"), (503, b"away"), (200, b"taken too"), (200, b"<html>")):
            answer(found, status, body)

    found = noted(ask)
    assert bodies(found.ended(well=False)) == [b"", b"away", b"", b"<html>"]
    assert bodies(found.ended(well=True)) == [b"", b"away", b"", b""]


def test_of_a_long_poll_the_first_and_the_last_requests_are_kept() -> None:
    def ask(found: Exchanges) -> None:
        for number in range(1000):
            answer(found, 200, b"x" * number)

    sizes = [one.size for one in noted(ask).ended(well=True)]
    assert (len(sizes), sizes[:20]) == (exchanges.MOST, list(range(20)))
    assert sizes[20:] == list(range(1000 - exchanges.MOST + 20, 1000))


def test_bodies_are_bounded_one_by_one_and_together() -> None:
    def ask(found: Exchanges) -> None:
        for _ in range(10):
            answer(found, 500, b"x" * 1_000_000)

    kept = bodies(noted(ask).ended(well=False))
    assert max(map(len, kept)) == exchanges.LARGEST
    assert sum(map(len, kept)) == exchanges.ALL_BODIES
    assert kept[-1]  # the newest are
