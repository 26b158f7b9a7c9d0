from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.connectors.auth0 import mapping, page
from conductor.connectors.auth0.log_ids import synthetic_id
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.errors import NormalizeError

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.endswith(".artifact"))
OWN = "own0Client0Id0for0tests000000000"
MOMENT = datetime(2026, 11, 20, 10, 15, 30, 123456, UTC)
LOG_ID = synthetic_id(MOMENT)
TEXT_FIELDS = (
    "type",
    "description",
    "tenant_name",
    "user_name",
    "user_id",
    "ip",
    "client_ip",
    "client_id",
    "client_name",
    "connection",
    "connection_id",
    "strategy",
    "strategy_type",
    "hostname",
    "user_agent",
    "organization_id",
    "organization_name",
)
OTHER_FIELDS = ("date", "scope", "audience", "location_info", "references", "details", "tracking_id", "log_id", "_id")
POISON = {
    "lone surrogate": rb'"\ud800"',
    "half a pair": rb'"\ud83dx\udca9"',
    "surrogate in a name": rb'{"\udfff":1}',
    "invalid utf-8": b'"\xff\xfe"',
    "surrogate bytes": b'"\xed\xa0\x80"',
    "nul": rb'"\u0000"',
    "control character": b'"a\x00\nb"',
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "huge exponent": b"1e999999",
    "5000 digits": b"-" + b"1" * 5000,
    "beyond 64 bits": b"18446744073709551616",
    "duplicate keys": b'{"user_id":1,"user_id":[],"user_id":"x"}',
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"request":' * 100_000 + b"1" + b"}" * 100_000,
    "deep dates": b'{"$date":' * 100_000 + b"1" + b"}" * 100_000,
    "bad escape": rb'"\x"',
    "huge milliseconds": b'{"$date":99999999999999999999}',
    "late milliseconds": b'{"$date":9999999999999}',
    "negative milliseconds": b'{"$date":-1}',
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["", "\ud800", "2026-11-20T10:00:00Z", "0001-01-01T00:00:00+23:59", "x@clients"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["request", "auth", "user", "name", "email", "session_id", "country_code", "$date", "\udc00"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def normalize(event: dict[str, Any] | bytes, *, signal_id: str = LOG_ID) -> Artifact:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return mapping.normalize(raw, client_id=OWN, signal_id=signal_id)


def defaults() -> dict[str, Any]:
    return msgspec_dict(Artifact(time=0, log_id="", type=""))


def msgspec_dict(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in artifact.__struct_fields__}


def check(artifact: Artifact) -> None:
    """What every artifact must be, whatever it was made of."""
    assert type(artifact.time) is int
    assert 0 <= artifact.time < mapping.LATEST
    values = msgspec_dict(artifact)
    assert {name: type(value) for name, value in values.items() if name != "severity"} == {
        name: type(value) for name, value in defaults().items() if name != "severity"
    }
    for value in values.values():
        assert str(value).encode("utf-8") is not None
    msgspec.json.encode(artifact)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_event_gives_its_artifact(name: str) -> None:
    (signal,) = page.signals(b"[" + (GOLDEN / f"{name}.json").read_bytes() + b"]")
    expected = json.loads((GOLDEN / f"{name}.artifact.json").read_bytes())
    artifact = normalize(signal.raw, signal_id=signal.id)
    check(artifact)
    assert msgspec_dict(artifact) == defaults() | expected


def test_there_are_golden_events_enough() -> None:
    assert len(NAMES) >= 20


def test_null_empty_and_absent_are_the_same() -> None:
    fields = [*TEXT_FIELDS, "scope", "audience", "location_info", "references", "details", "date"]
    absent = normalize({"log_id": LOG_ID})
    assert normalize({"log_id": LOG_ID} | dict.fromkeys(fields)) == absent
    assert normalize({"log_id": LOG_ID} | dict.fromkeys(fields, "")) == absent


@pytest.mark.parametrize(
    ("date", "micros"),
    [
        ("2026-11-20T10:15:30Z", 1795169730000000),
        ("2026-11-20T10:15:30.1Z", 1795169730100000),
        ("2026-11-20T10:15:30.123Z", 1795169730123000),
        ("2026-11-20T10:15:30.000001Z", 1795169730000001),
        ("2026-11-20T10:15:30.999999999Z", 1795169730999999),
        ("2026-11-20t10:15:30z", 1795169730000000),
        ("2026-11-20T12:15:30+02:00", 1795169730000000),
        ("2026-11-20T10:15:30", 1795169730000000),
        ({"$date": "2026-11-20T10:15:30.5Z"}, 1795169730500000),
        ({"$date": 1795169730123}, 1795169730123000),
        ({"$date": {"$numberLong": "1795169730123"}}, 1795169730123000),
    ],
)
def test_a_date_is_read_to_the_microsecond(date: Any, micros: int) -> None:
    assert normalize({"date": date}, signal_id="x").time == micros


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "yesterday",
        "2026-11-20T10:15:60Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        20261120,
        1795169730123,
        [],
        {},
        {"$date": None},
        {"$date": {}},
        {"when": "2026-11-20T10:15:30Z"},
        True,
    ],
)
def test_without_a_readable_date_the_id_tells_the_time(date: Any) -> None:
    micros = clock.to_micros(MOMENT)
    assert normalize({"date": date}).time == micros
    assert normalize({"date": date, "log_id": LOG_ID}, signal_id="sha256:0").time == micros
    assert normalize({"date": date, "_id": LOG_ID}, signal_id="sha256:0").time == micros


def test_a_record_that_tells_no_time_is_refused() -> None:
    with pytest.raises(NormalizeError):
        normalize({"type": "s"}, signal_id="sha256:0")
    with pytest.raises(NormalizeError):
        normalize({"type": "s", "date": "never"}, signal_id=synthetic_id(datetime(2999, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"7", b'"s"', b"[]", b"[{}]", b"{", b'{"a"}', b"{,}", b"<html>", b"{} x"]
)
def test_a_record_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(NormalizeError):
        normalize(raw)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ("openid email", "openid email"),
        (["openid", "email"], "openid email"),
        (["openid", None, "", 7], "openid 7"),
        ({}, ""),
        (7, "7"),
    ],
)
def test_scope_and_audience_come_in_every_shape(scope: Any, text: str) -> None:
    artifact = normalize({"scope": scope, "audience": scope})
    assert (artifact.scope, artifact.audience) == (text, text)


@pytest.mark.parametrize("details", [None, "", "text", [], ["x"], {}, 7, True, {"request": None}, {"request": "GET"}])
def test_details_may_be_anything(details: Any) -> None:
    assert normalize({"type": "sapi", "details": details, "user_id": "auth0|1"}).user_name == "auth0|1"


@pytest.mark.parametrize(
    ("event", "user_name", "user_id"),
    [
        ({"user": {"name": "Ada", "email": "ada@example.com", "user_id": "auth0|1"}}, "Ada", "auth0|1"),
        ({"user": {"name": None, "email": "ada@example.com"}}, "ada@example.com", ""),
        ({"user": {"user_id": "auth0|1"}}, "auth0|1", "auth0|1"),
        ({"user": "auth0|1"}, "auth0|1", "auth0|1"),
        ({"user": None}, "", ""),
        ({"user": 7}, "7", "7"),
        ({"user": []}, "", ""),
        ("bearer", "", ""),
    ],
)
def test_an_administrator_is_named_by_the_request(event: Any, user_name: str, user_id: str) -> None:
    artifact = normalize({"type": "sapi", "details": {"request": {"auth": event}}})
    assert (artifact.user_name, artifact.user_id) == (user_name, user_id)


def test_the_fields_above_win_over_the_request() -> None:
    auth = {"user": {"name": "Other", "user_id": "auth0|2"}}
    artifact = normalize({"user_name": "Ada", "user_id": "auth0|1", "details": {"request": {"auth": auth}}})
    assert (artifact.user_name, artifact.user_id) == ("Ada", "auth0|1")


def test_a_machine_is_known_by_its_user_id() -> None:
    assert normalize({"user_id": "abc@clients"}).client_id == "abc"
    assert normalize({"user_id": "abc@clients", "client_id": "def"}).client_id == "def"
    assert normalize({"details": {"request": {"auth": {"user": "abc@clients"}}}}).client_id == "abc"
    assert normalize({"user_id": "auth0|abc"}).client_id == ""


def test_the_narrowest_correlation_wins() -> None:
    details = {"session_id": "session", "transaction_id": "transaction", "transaction_linking_id": "inner link"}
    event: dict[str, Any] = {"details": details, "transaction_linking_id": "link", "tracking_id": "tracking"}
    found = [normalize(event | {"references": {"correlation_id": "correlation"}}).correlation_id]
    found.append(normalize(event).correlation_id)
    for place, name in (
        (event, "transaction_linking_id"),
        (details, "transaction_linking_id"),
        (details, "transaction_id"),
    ):
        del place[name]
        found.append(normalize(event).correlation_id)
    del event["tracking_id"]
    found.append(normalize(event).correlation_id)
    assert found == ["correlation", "link", "inner link", "transaction", "tracking", "session"]


def test_only_our_own_token_requests_are_own() -> None:
    assert normalize({"type": "seccft", "client_id": OWN}).own
    assert normalize({"type": "feccft", "client_id": OWN}).own
    assert not normalize({"type": "sapi", "client_id": OWN}).own
    assert not normalize({"type": "seccft", "client_id": "other"}).own
    assert not mapping.normalize(b'{"type":"seccft"}', client_id="", signal_id=LOG_ID).own


def test_a_scalar_where_text_was_expected_becomes_its_json() -> None:
    raw = b'{"user_id":1.50,"user_name":true,"type":12345678901234567890,"hostname":{},"connection":{"a":1}}'
    artifact = normalize(raw)
    assert (artifact.user_id, artifact.user_name, artifact.type) == ("1.50", "true", "12345678901234567890")
    assert (artifact.hostname, artifact.connection) == ("", '{"a":1}')


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
@pytest.mark.parametrize("field", [*TEXT_FIELDS, *OTHER_FIELDS, "unheard_of"])
def test_poison_in_any_field_costs_only_that_field(field: str, poison: bytes) -> None:
    raw = b'{"connection_id":"con_1","user_agent":"curl","%s":%s}' % (field.encode(), poison)
    artifact = normalize(raw)
    check(artifact)
    assert artifact.connection_id == "con_1" or field == "connection_id"
    assert artifact.user_agent == "curl" or field == "user_agent"


def test_lone_surrogates_are_replaced_and_pairs_kept() -> None:
    artifact = normalize(rb'{"user_name":"\ud83d\ude00 \ud83d\ud83d\ude00x\udc00"}')
    assert artifact.user_name == "\U0001f600 \ufffd\U0001f600x\ufffd"
    assert normalize({"type": "s"} | {"date": "2026-11-20T10:00:00Z"}, signal_id="\ud800").log_id == "\ufffd"


def test_a_bare_control_character_spoils_no_escape_beside_it() -> None:
    assert normalize(b'{"user_name":"a\x01\\u0041"}').user_name == "a\x01A"


@given(st.dictionaries(st.sampled_from([*TEXT_FIELDS, *OTHER_FIELDS]), ANYTHING))
def test_any_event_gives_an_artifact(event: dict[str, Any]) -> None:
    check(normalize(event))


@given(st.dictionaries(st.sampled_from([*TEXT_FIELDS, *OTHER_FIELDS]), ANYTHING))
def test_both_readers_agree(event: dict[str, Any]) -> None:
    """NaN that no field needs sends a record to the lenient reader; nothing else may change by that."""
    plain = json.dumps(event).encode()
    odd = json.dumps(event | {"zzz": float("nan")}).encode()
    assert normalize(odd) == normalize(plain)


@given(st.binary())
def test_any_bytes_give_an_artifact_or_the_one_error(raw: bytes) -> None:
    for body in (raw, b"{" + raw + b"}", b'{"details":{' + raw + b"}}"):
        try:
            check(normalize(body))
        except NormalizeError:
            continue
