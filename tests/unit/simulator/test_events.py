from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from conductor.simulator import cast, event_types, events
from conductor.simulator.events import Author

SCHEMAS = Path(__file__).parents[2] / "data" / "auth0-log-schemas" / "log-types"
MOMENT = 1_772_366_400_000_000
RESERVED = [ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]


def written(count: int, shape: str = "api") -> list[dict[str, Any]]:
    author = Author("acme", "acme.example.com", seed=1, shape=shape)
    return [json.loads(author.write(MOMENT + number).body) for number in range(count)]


@pytest.fixture(scope="module")
def polled() -> list[dict[str, Any]]:
    return written(12_000)


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, Any]]:
    return {event["type"]: event for event in events.one_of_each(MOMENT)}


def test_there_is_one_of_each_of_the_196_types(plain):
    assert len(plain) == len(event_types.load()) == 196


@pytest.mark.parametrize("schema", sorted(SCHEMAS.glob("*.json")), ids=lambda file: file.name.split(".")[0])
def test_a_plain_event_is_as_the_published_schema_says(plain, schema):
    event = plain[schema.name.removesuffix(".schema.json")]
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(json.loads(schema.read_text()), format_checker=checker).validate(event)


def test_there_is_a_schema_for_166_types():
    assert len(list(SCHEMAS.glob("*.json"))) == 166


@pytest.mark.parametrize("shape", ["api", "plain", "odd"])
def test_no_marker_is_left_over(shape):
    author = Author("acme", "acme.example.com", seed=1, shape=shape)
    text = b"".join(author.write(MOMENT + number).body for number in range(6_000))
    assert b"{{" not in text
    assert b"%(" not in text


def test_all_types_occur_within_four_thousand_events(polled):
    assert {event["type"] for event in polled[:4_000]} == set(event_types.load())


def test_an_ordinary_day_is_mostly_logins_and_tokens(polled):
    ordinary = sum(event["type"] in {"s", "seacft", "sertft", "seccft", "ssa", "slo"} for event in polled)
    assert 0.5 < ordinary / len(polled) < 0.9


def test_events_are_about_a_kilobyte():
    author = Author("acme", "acme.example.com", seed=1)
    sizes = [len(author.write(MOMENT + number).body) for number in range(2_000)]
    assert 800 < sum(sizes) / len(sizes) < 1_500


def test_everyone_is_invented(polled):
    for event in polled:
        assert "@" not in str(event.get("user_name")) or event["user_name"].endswith("@example.com")
        if event.get("ip"):
            assert any(ipaddress.ip_address(event["ip"]) in network for network in RESERVED)


def test_the_date_comes_before_the_id(polled):
    assert all(event["date"].replace("-", "").replace(":", "")[:8] <= event["log_id"][3:11] for event in polled)


MISSING = object()
SHAPES = {
    "scope as an array": lambda event: isinstance(event.get("scope"), list),
    "scope as text": lambda event: isinstance(event.get("scope"), str),
    "scope null": lambda event: event.get("scope", MISSING) is None,
    "no scope": lambda event: "scope" not in event,
    "auth0_client as an object": lambda event: isinstance(event.get("auth0_client"), dict),
    "auth0_client as an array": lambda event: isinstance(event.get("auth0_client"), list),
    "details null": lambda event: event.get("details", MISSING) is None,
    "no details": lambda event: "details" not in event,
    "error as text": lambda event: isinstance(details(event).get("error"), str),
    "error as an object": lambda event: isinstance(details(event).get("error"), dict),
    "response as text": lambda event: isinstance(details(event).get("response"), str),
    "response body as an array": lambda event: isinstance(inside(event, "response").get("body"), list),
    "query as text": lambda event: inside(event, "request").get("query") == "",
    "identity a number": lambda event: isinstance(prompt(event).get("identity"), int),
    "flag as text": lambda event: isinstance(inside(event, "body").get("email_verified"), str),
    "isMobile": lambda event: "isMobile" in event,
    "is_mobile": lambda event: "is_mobile" in event,
    "location": lambda event: isinstance(event.get("location_info"), dict),
    "no tenant name": lambda event: "tenant_name" not in event and "environment_name" not in event,
    "a third id": lambda event: event.get("id") == event["log_id"],
    "connection null": lambda event: event.get("connection", MISSING) is None,
    "connection empty": lambda event: event.get("connection") == "",
    "client id null": lambda event: event.get("client_id", MISSING) is None,
    "organization": lambda event: bool(event.get("organization_id")),
}


def details(event: dict[str, Any]) -> dict[str, Any]:
    found = event.get("details")
    return found if isinstance(found, dict) else {}


def inside(event: dict[str, Any], name: str) -> dict[str, Any]:
    found = details(event).get(name)
    return found if isinstance(found, dict) else {}


def prompt(event: dict[str, Any]) -> dict[str, Any]:
    return (details(event).get("prompts") or [{}])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_api_was_seen_to_send_occurs(polled, shape):
    assert any(SHAPES[shape](event) for event in polled)


def test_polled_events_carry_their_id_twice(polled):
    assert all(event["_id"] == event["log_id"] for event in polled)


def test_odd_events_break_what_can_be_broken():
    odd = written(3_000, "odd")
    assert any(event["type"] not in event_types.load() for event in odd)
    assert any(isinstance(event.get("date"), dict) for event in odd)
    assert any("date" not in event for event in odd)
    assert any(len(event["description"]) > 9_000 for event in odd)
    assert any(isinstance(event.get("ip"), int) for event in odd)


def test_an_event_written_out_of_turn_changes_nothing_for_the_others():
    one, other = (Author("acme", "acme.example.com", seed=1) for _ in range(2))
    one.write_type("fp", MOMENT, cast.markers(ip="192.0.2.99"))
    one.adopt({"type": "s"}, MOMENT)
    assert [one.write(MOMENT + number) for number in range(50)] == [
        other.write(MOMENT + number) for number in range(50)
    ]


def test_markers_of_the_caller_win():
    author = Author("acme", "acme.example.com", seed=1)
    event = json.loads(author.write_type("fp", MOMENT, cast.markers(user_name='say "hi"', ip="192.0.2.99")).body)
    assert (event["type"], event["user_name"], event["ip"]) == ("fp", 'say "hi"', "192.0.2.99")
