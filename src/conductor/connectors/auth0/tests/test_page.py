from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.connectors.auth0 import lenient
from conductor.connectors.auth0.page import LONGEST_ID, signals
from conductor.core.errors import UnexpectedResponse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
DEEP = b"[" * 100_000 + b"]" * 100_000
POISON = {
    "lone surrogate": rb'"\ud800"',
    "half a pair": rb'"\ud83d and more"',
    "invalid utf-8": b'"\xff\xfe"',
    "surrogate bytes": b'"\xed\xa0\x80"',
    "nul": rb'"\u0000"',
    "control character": b'"a\x00\n\tb"',
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "huge exponent": b"1e999999",
    "5000 digits": b"1" * 5000,
    "beyond 64 bits": b"9223372036854775808",
    "deep nesting": DEEP,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "brackets in a string": rb'"]}\"],[{"',
    "bad escape": rb'"\x"',
}


def sha(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def test_an_empty_page_has_no_signals() -> None:
    assert signals(b"[]") == []
    assert signals(b" [ \n] ") == []


def test_each_event_keeps_its_exact_bytes() -> None:
    events = [rb'{"log_id":"1","n":1.50e1,"s":"\u00e9\/" }', b'{ "log_id" : "2" ,\n"a":1,"a":2}']
    page = b" [\n" + b" ,\r\n\t".join(events) + b"\n]\n"
    assert [signal.raw for signal in signals(page)] == events
    assert [signal.id for signal in signals(page)] == ["1", "2"]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'{"log_id":"a","_id":"b"}', "a"),
        (b'{"_id":"b"}', "b"),
        (b'{"log_id":null,"_id":"b"}', "b"),
        (b'{"log_id":"","_id":"b"}', "b"),
        (b'{"log_id":9002026,"_id":"b"}', "b"),
        (b'{"log_id":9002026,"log_id":"a"}', "a"),
        (b'{"log_id":{"log_id":"x"},"_id":"b","details":{"log_id":"y"}}', "b"),
        (rb'{"log_id":"\ud800","_id":"b"}', "b"),
        (b'{"log_id":"' + b"x" * LONGEST_ID + b'"}', "x" * LONGEST_ID),
    ],
)
def test_the_id_is_read_leniently(raw: bytes, name: str) -> None:
    assert signals(b"[" + raw + b"]")[0].id == name


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"null",
        b"7",
        b'"text"',
        b'[{"log_id":"a"}]',
        b'{"log_id":9002026}',
        b'{"log_id":["a"]}',
        b'{"details":{"log_id":"a"}}',
        rb'{"log_id":"\ud800"}',
        b'{"log_id":"\xff"}',
        b'{"log_id":"' + b"x" * (LONGEST_ID + 1) + b'"}',
    ],
)
def test_f22_a_record_without_a_usable_id_gets_one_made_of_its_bytes(raw: bytes) -> None:
    (signal,) = signals(b"[" + raw + b"]")
    assert (signal.id, signal.raw) == (sha(raw), raw)


def test_f23_f25_an_id_served_twice_is_taken_once_and_with_another_body_told_apart() -> None:
    page = b'[{"log_id":"b","n":1},{"log_id":"a"},{"log_id":"b","n":2},{"log_id":"b","n":1},{"x":1},{"x":1}]'
    assert [(signal.id, signal.raw) for signal in signals(page)] == [
        ("b", b'{"log_id":"b","n":1}'),
        ("a", b'{"log_id":"a"}'),
        ("b", b'{"log_id":"b","n":2}'),
        (sha(b'{"x":1}'), b'{"x":1}'),
    ]


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_f21_one_poisoned_event_costs_neither_the_page_nor_itself(poison: bytes) -> None:
    raw = b'{"log_id":"2","details":{"x":' + poison + b"}}"
    page = b'[{"log_id":"1"}, ' + raw + b' ,{"log_id":"3"}]'
    found = signals(page)
    assert [signal.id for signal in found] == ["1", "2", "3"]
    assert found[1].raw == raw


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"statusCode":400}',
        b"null",
        b"7",
        b"<html></html>",
        b"Not found.",
        b'\xef\xbb\xbf[{"log_id":"1"}]',
        '[{"log_id":"1"}]'.encode("utf-16"),
        '[{"log_id":"1"}]'.encode("utf-16-le"),
        b"[] []",
        b"[1,,2]",
        b"[1,]",
        b"[1}",
    ],
)
def test_f15_f17_a_page_that_is_no_array_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        signals(body)
    assert caught.value.code == "auth0.response.shape"
    assert caught.value.facts == {"size": len(body)}


def test_f16_a_page_cut_short_anywhere_is_told_apart() -> None:
    page = rb'[{"log_id":"1","s":"a\"b\\"},{"log_id":"2","l":[1,{"x":null}]}]'
    for length in range(len(page)):
        with pytest.raises(UnexpectedResponse) as caught:
            signals(page[:length])
        assert caught.value.code == "auth0.response.truncated"


def test_a_string_cut_short_is_not_searched_for_an_end() -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        signals(b'[{"log_id":"1","s":"}]')
    assert caught.value.code == "auth0.response.truncated"


def test_an_error_repeats_nothing_of_the_body() -> None:
    with pytest.raises(UnexpectedResponse) as caught:
        signals(b'{"token":"hunter2"}')
    assert "hunter2" not in str(caught.value)


@given(st.lists(JSON), st.booleans(), st.sampled_from([None, 1]))
def test_the_lenient_reader_cuts_where_the_strict_one_does(values: list[Any], plain: bool, indent: int | None) -> None:
    body = json.dumps(values, ensure_ascii=plain, indent=indent).encode("utf-8", "replace")
    assert [json.loads(piece) for piece in lenient.elements(body)] == json.loads(body)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_the_lenient_reader_finds_every_member(values: dict[str, Any]) -> None:
    found = lenient.members(json.dumps(values).encode())
    assert {name: json.loads(piece) for name, piece in found.items()} == values


@given(st.binary())
def test_f15_f21_any_bytes_give_signals_or_the_one_error(body: bytes) -> None:
    for page in (body, b"[" + body, b"[" + body + b"]"):
        try:
            found = signals(page)
        except UnexpectedResponse:
            continue
        assert all(signal.id.encode() and signal.raw in page for signal in found)
