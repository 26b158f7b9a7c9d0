"""Personal data is hidden wherever it stands in a record, and what is no personal data stays readable."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.core import masking

WORDS = "abcdefghijklmnopqrstuvwxyz0123456789._%+-ěñ"


def row(**fields: str) -> dict[str, Any]:
    return {"id": "0" * 32, "time": "2026-11-28T04:18:08.123456Z", "user_name": "", "ip": "", "raw": b"{}"} | fields


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            "Wrong password for ana@example.com from 203.0.113.7:443.",
            "Wrong password for a•••@example.com from 203.0.113.•••:443.",
        ),
        ("email|ana.b+x@sub.example.com, mailto:bob@x", "email|a•••@sub.example.com, mailto:b•••@x"),
        (
            "https://203.0.113.7/x?login_hint=ana@example.com&x=1",
            "https://203.0.113.•••/x?login_hint=a•••@example.com&x=1",
        ),
        ("2001:db8:1:2::5", "2001:db8:1:•••"),
        ("::ffff:203.0.113.7", "0:0:0:•••:203.0.113.•••"),
        ("?email=ana%40example.com&phone=%2B420777123456", "?email=a•••%40example.com&phone=%2B42•••"),
        ("/anomaly/blocks/ips/203.0.113.7", "/anomaly/blocks/ips/203.0.113.•••"),
        ("10.0.0.1/203.0.113.7_", "10.0.0.•••/203.0.113.•••_"),
        ("ip:2001:db8::1", "ip:2001:db8:0:•••"),
        ("Blocked 2001:db8::1: too many", "Blocked 2001:db8:0:•••: too many"),
        ("o'brien@example.com +420\u00a0777\u00a0123\u00a0456", "o•••@example.com +42•••"),
        ("sms|+447911123456 or +420 777 123 456", "sms|+44••• or +42•••"),
        (f"{'x' * 300}@a.com", "x•••@a.com"),
    ],
)
def test_what_looks_personal_is_hidden_in_any_text(value: str, shown: str) -> None:
    assert masking.text(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        "std::vector",
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "2026-11-28T04:18:08.123Z and 12:34:56",
        "version 1.2.3",
        "@ana",
        "90020221107071234000000000000001223372036854775807",
        "",
    ],
)
def test_what_is_not_personal_stays(value: str) -> None:
    assert masking.text(value) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ana@example.com", "a•••@example.com"),
        ("Ana Novák", "A•••"),
        ("Ana<ana@x.com>", "A•••"),
        ("+420777123456", "+42•••"),
        ("jdoe", "j•••"),
        ("ana@-x", "a•••"),
        ("ana@.com", "a•••"),
        ("::1%Ana Novak", ":•••"),
        ("", ""),
    ],
)
def test_a_value_that_is_personal_is_hidden_whole(value: str, shown: str) -> None:
    assert masking.whole(value) == shown


def test_an_artifact_keeps_what_says_when_and_where() -> None:
    raw = {
        "date": "2026-11-28T04:18:08.123Z",
        "type": "fp",
        "description": "Wrong password for jdoe",
        "user_name": "jdoe",
        "client_name": "Shop",
        "details": {
            "body": {"Email": "x", "phone_number": 420777123456, "given_name": ["Jane", {"deep": "Doe"}]},
            "seen": {"jane@example.com": True, "count": 3, "ok": None},
        },
    }
    given_ = row(
        user_name="jdoe", ip="203.0.113.7", description="jdoe failed", integration="prod", raw=json.dumps(raw).encode()
    )
    shown = masking.artifact(given_)
    assert {name: shown[name] for name in ("id", "time", "integration")} == {
        name: given_[name] for name in ("id", "time", "integration")
    }
    assert (shown["user_name"], shown["ip"], shown["description"]) == ("j•••", "203.0.113.•••", "j••• failed")
    assert json.loads(shown["raw"]) == {
        "date": "2026-11-28T04:18:08.123Z",
        "type": "fp",
        "description": "Wrong password for j•••",
        "user_name": "j•••",
        "client_name": "Shop",
        "details": {
            "body": {"Email": "x•••", "phone_number": "•••", "given_name": ["J•••", {"deep": "D•••"}]},
            "seen": {"j•••@example.com": True, "count": 3, "ok": None},
        },
    }


def test_a_record_that_only_python_decodes_is_walked_all_the_same() -> None:
    for odd in (b'"n": 1e400', b'"s": "\\ud83d"', b'"c": "a\nb"'):
        members = b', "name": {"first": "Jane"}, "n\\u0061me": "Doe", "mail": "jane\\u0040example.com"}'
        shown = masking.record(b"\xef\xbb\xbf{" + odd + members).decode()
        assert not any(part in shown for part in ("Jane", "Doe", "jane@"))
        assert shown.startswith("{")


def test_members_are_known_however_their_words_are_put_together() -> None:
    raw = {
        "givenName": "Jane",
        "family-name": "Doe",
        "FULL_NAME": "Jane Doe",
        "upn": "jdoe",
        "msisdn": 420777123456,
        "body": '{"name": "Jane Doe", "n": 1}',
        "phones": 1,
        "emails": '["Jane Doe"]',
        "user_agent": "Chrome/120.0.0.0 jane@example.com",
        "client_name": "Shop",
    }
    assert json.loads(masking.record(json.dumps(raw).encode())) == {
        "givenName": "J•••",
        "family-name": "D•••",
        "FULL_NAME": "J•••",
        "upn": "j•••",
        "msisdn": "•••",
        "body": '{"name":"J•••","n":1}',
        "phones": 1,
        "emails": '["J•••"]',
        "user_agent": "Chrome/120.0.0.0 j•••@example.com",
        "client_name": "Shop",
    }


def test_a_name_is_hidden_as_a_word_and_takes_nothing_else_with_it() -> None:
    failed = {"outcome": "failure", "category": "auth failure", "description": "failures of Failure"}
    shown = masking.artifact(row(user_name="failure", **failed))
    assert (shown["outcome"], shown["category"]) == ("failure", "auth failure")
    assert shown["description"] == "failures of F•••"
    given_ = {"user_id": "ad|corp|ana.novak", "description": "ANA.NOVAK"}
    named = masking.artifact(row(user_name="ana.novak@example.com", **given_))
    assert (named["user_id"], named["description"]) == ("ad|corp|a•••", "A•••")
    ids = masking.artifact(row(user_name="auth0|5f7c", user_id="auth0|5f7c"))
    assert (ids["user_name"], ids["user_id"]) == ("auth0|5f7c", "auth0|5f7c")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"user_name": "Jane Doe", "email" : "jane@example.com", "x": ',
        b'{"name":"Jane Doe',
        b"[" * 5000 + b'"jane@example.com"',
        b'\xff\xfe "NAME":"Jane \\" Doe" jane@example.com',
    ],
)
def test_what_is_no_json_is_searched_all_the_same(raw: bytes) -> None:
    shown = masking.record(raw).decode()
    assert "Jane" not in shown
    assert "Doe" not in shown
    assert "jane@" not in shown


@given(local=st.text(WORDS, min_size=2, max_size=80), around=st.text(max_size=30), data=st.data())
def test_no_address_survives_anywhere_in_a_record(local: str, around: str, data: Any) -> None:
    email = f"{local}@example.com"
    ip = data.draw(st.ip_addresses(v=4, network="203.0.113.0/24") | st.ip_addresses(v=6, network="2001:db8::/32"))
    value = {"what": f"{around} {email} {ip}", "list": [email, str(ip)], email: {"ip": str(ip), "n": 1}}
    shown = masking.record(json.dumps(value).encode()).decode()
    told = json.dumps(json.loads(shown), ensure_ascii=False)
    assert email not in told
    if ip not in (ipaddress.ip_address("2001:db8::"),):
        assert str(ip) not in told


@pytest.mark.parametrize(
    ("field", "found", "shown"),
    [
        ("details", '{"name":"Ana Meyer"}', "{•••"),
        ("user.address.locality", "Berlin", "B•••"),
        ("user_id", "acme|ana.meyer", "a•••"),
        ("description", "ana.meyer failed", "a•••"),
        ("user_name", "ana@example.com", "a•••@example.com"),
        ("ip", "203.0.113.7", "203.0.113.•••"),
        ("client_name", "Web shop", "Web shop"),
        ("client_name", "App of ana@example.com", "App of a•••@example.com"),
        ("type", "fp", "fp"),
        ("details.request.method", "", ""),
    ],
)
def test_a_value_that_stands_alone_is_hidden_unless_it_is_about_things(field: str, found: str, shown: str) -> None:
    assert masking.value(field, found) == shown
