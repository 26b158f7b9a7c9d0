"""The requests of polls, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from conductor.core.poll import Exchange
from conductor.store import exchanges, integrations, journal, polls
from conductor.store.polls import Outcome

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
ONE = Exchange(1, "GET", "https://a.example/é", 12, 503, "", 7, 100, 98, "r-1", b"\x00\xff away")
OTHER = Exchange(2, "POST", "https://a.example/", 30_000, code="net.timeout")


def poll(connection: Connection, at: datetime, *found: Exchange) -> int:
    name = f"prod-{at:%H%M}"
    position = journal.take_over(connection, integrations.add(connection, name, "auth0", {}, enabled=True, by="a").id)
    poll_id = polls.begin(connection, position, at)
    polls.end(connection, poll_id, Outcome("ok", exchanges=found), at)
    return poll_id


def test_they_come_back_as_they_were(connection: Connection) -> None:
    poll_id = poll(connection, NOW, ONE, OTHER)
    assert exchanges.of(connection, poll_id) == [ONE, OTHER]
    assert exchanges.of(connection, poll(connection, NOW + timedelta(minutes=1))) == []


def test_they_expire_before_the_poll_itself(connection: Connection) -> None:
    old = poll(connection, NOW, ONE)
    new = poll(connection, NOW + timedelta(minutes=1), ONE)
    assert exchanges.expire(connection, polls.first_since(connection, NOW + timedelta(minutes=1))) == 1
    assert (exchanges.of(connection, old), exchanges.of(connection, new)) == ([], [ONE])
    assert polls.get(connection, old).result == "ok"
    assert exchanges.expire(connection, polls.first_since(connection, NOW + timedelta(minutes=9))) == 1
