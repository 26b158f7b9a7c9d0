"""Small pure parts: times, keys, names, errors, and who gets what."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.core import addresses, clock, rendezvous, signal
from conductor.core.errors import CheckpointLost, ConductorError, Invalid, NotFound, RateLimited
from conductor.core.integration import check_name
from conductor.core.signal import Checkpoint, Signal

MOMENT = datetime(2026, 11, 22, 7, 30, 15, 123456, UTC)
LOG_ID = "90020261122073015123456789012345678901234567890123456789"


def test_times_are_kept_as_microseconds_and_told_in_milliseconds() -> None:
    assert clock.to_micros(MOMENT) == 1_795_332_615_123_456
    assert clock.from_micros(1_795_332_615_123_456) == MOMENT
    assert clock.to_text(MOMENT) == "2026-11-22T07:30:15.123Z"
    assert clock.to_text(MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-11-22T07:30:15.123Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_no_time_is_changed_by_being_kept(moment: datetime) -> None:
    assert clock.from_micros(clock.to_micros(moment)) == moment


def test_now_is_the_hosts_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_795_332_615.5)
    assert clock.now() == datetime(2026, 11, 22, 7, 30, 15, 500_000, UTC)


@pytest.mark.parametrize(
    ("signal_id", "head"),
    [(LOG_ID, int(LOG_ID[:18])), ("7" * 18, int("7" * 18)), ("7" * 17, None), (f"x{LOG_ID}", None), ("٧" * 18, None)],
)
def test_the_key_of_a_signal_sorts_by_the_number_its_id_begins_with(signal_id: str, head: int | None) -> None:
    """The stored format: a change of it would store every event twice."""
    hashed = blake2b(b"3|" + signal_id.encode(), digest_size=16).digest()
    assert signal.key(3, signal_id) == (hashed if head is None else head.to_bytes(8, "big") + hashed[:8])


def test_keys_differ_by_integration_and_by_the_end_of_the_id() -> None:
    keys = {signal.key(1, LOG_ID), signal.key(2, LOG_ID), signal.key(1, f"{LOG_ID[:-1]}0"), signal.key(1, "\ud800")}
    assert len(keys) == 4


def test_the_digest_of_a_body_is_eight_bytes_of_it() -> None:
    """The stored format, as the key."""
    assert signal.digest(b"{}") == blake2b(b"{}", digest_size=8).digest()


def test_everybody_agrees_who_gets_what_and_little_moves_when_one_goes() -> None:
    workers = ["a", "b", "c"]
    got = {str(thing): rendezvous.winner(str(thing), workers) for thing in range(300)}
    assert got == {thing: rendezvous.winner(thing, workers[::-1]) for thing in got}
    assert all(60 < list(got.values()).count(worker) < 140 for worker in workers)
    left = {thing: rendezvous.winner(thing, ["a", "b"]) for thing in got}
    assert {thing for thing in got if got[thing] != left[thing]} == {thing for thing in got if got[thing] == "c"}
    assert rendezvous.winner("1", []) == ""
    assert rendezvous.winner("t1", ["a", "b", "c"]) == max(
        workers, key=lambda worker: blake2b(f"{worker}/t1".encode(), digest_size=8).digest()
    )  # two versions of Conductor that run beside each other must agree too


@pytest.mark.parametrize("name", ["a", "prod-us", "7_x", "A" * 63])
def test_a_name_that_can_be_used(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."),
        ("-a", "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."),
        ("a b", "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."),
        ("a\n", "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."),
        ("A" * 64, "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."),
        ("New", "New is a word of the addresses of pages and API. Choose another name."),
        ("catalog", "catalog is a word of the addresses of pages and API. Choose another name."),
    ],
)
def test_a_name_that_cannot(name: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_name(name)
    assert refused.value.fields == {"name": told}
    assert (str(refused.value), refused.value.code) == (f"name: {told}", "request.invalid")


def test_an_error_has_a_message_a_code_and_facts() -> None:
    assert str(ConductorError()) == "Something went wrong in Conductor."
    assert (str(NotFound("No.")), NotFound().code, NotFound(code="x.y").code) == ("No.", "request.notfound", "x.y")
    assert ConductorError("No.", path="/x").facts == {"path": "/x"}
    two = Invalid({"a": "No.", "b": "Neither."}, code="auth0.domain.malformed")
    assert (str(two), two.code) == ("a: No.; b: Neither.", "auth0.domain.malformed")


def test_what_some_errors_know_beside() -> None:
    limited = RateLimited("Slow.", retry_after=3.0, code="auth0.rate.limited", limit=10, reset="soon")
    assert (str(limited), limited.retry_after, limited.code, limited.facts) == (
        "Slow.",
        3.0,
        "auth0.rate.limited",
        {"limit": 10, "reset": "soon"},
    )
    assert RateLimited(retry_after=3.0).facts["reset"].endswith(" UTC")
    assert RateLimited().facts == {}
    place, found = Checkpoint(b"1", MOMENT), [Signal("1", b"{}")]
    lost = CheckpointLost("Gone.", resume=place, oldest=MOMENT, found=found, code="x.y", days=1)
    assert (str(lost), lost.resume, lost.oldest, lost.found) == ("Gone.", place, MOMENT, found)
    assert (lost.code, lost.facts) == ("x.y", {"days": 1})
    assert CheckpointLost(resume=None, oldest=MOMENT).code == "checkpoint.expired"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", None),
        ("unix", None),
        ("192.0.2.1:443", None),
    ],
)
def test_an_address_is_read_in_its_plain_form(text: str, found: str | None) -> None:
    assert addresses.parse(text) == (found and ipaddress.ip_address(found))
