"""What of a poll's requests is stored: never a secret, whatever a server repeats."""

from __future__ import annotations

import asyncio

import pytest

from conductor import observe
from conductor.core.errors import UnexpectedResponse
from conductor.outbound.client import Usage
from conductor.signal_client import outcome

SECRET = "canary-secret-4711"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in use."""
    redactor = observe.Redactor()
    redactor.know(SECRET)
    monkeypatch.setattr(outcome, "redactor", redactor)


async def used(*bodies: bytes) -> Usage:
    usage = Usage()
    for body in bodies:
        usage.exchanges.begin("GET", f"https://a.example/?key={SECRET}").answered(200, {}, body, (None, None))
    return usage


def test_secrets_are_masked_in_addresses_and_bodies() -> None:
    usage = asyncio.run(used(b"", f'<b>{SECRET}</b> {{"access_token": "abcdefghij"}} \xff'.encode("latin-1")))
    kept = outcome.failed(UnexpectedResponse("odd"), 60.0, usage, needs_person=False).exchanges
    assert [one.url for one in kept] == ["https://a.example/?key=***"] * 2
    assert kept[1].body.decode() == '<b>***</b> {"access_token": "***"} \N{REPLACEMENT CHARACTER}'


def test_a_poll_that_went_well_keeps_no_body_of_what_was_taken() -> None:
    kept = outcome.good(asyncio.run(used(b"[]", b"[]")), complete=True).exchanges
    assert [(one.size, one.body) for one in kept] == [(2, b""), (2, b"")]
