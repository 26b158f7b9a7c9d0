"""Changing a query by a click."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.analytics import editing
from conductor.analytics.query import QueryError, canonical, parse
from conductor.core import fields

QUERY = parse("type:(fp OR fu) -ip:10.0.0.0/8 foo")


def test_each_term_that_must_fit_is_a_chip() -> None:
    found = [(chip.text, chip.without) for chip in editing.chips(QUERY)]
    assert found == [
        ("type:(fp OR fu)", "-ip:10.0.0.0/8 foo"),
        ("-ip:10.0.0.0/8", "type:(fp OR fu) foo"),
        ("foo", "type:(fp OR fu) -ip:10.0.0.0/8"),
    ]
    assert [(chip.text, chip.without) for chip in editing.chips(parse("a OR b"))] == [("a OR b", "")]
    assert editing.chips(parse("*")) == []


@pytest.mark.parametrize(
    ("field", "value", "how", "text"),
    [
        ("ip", "203.0.113.7", "include", "ip:203.0.113.7"),
        ("severity", "high", "include", "severity:high"),
        ("asn", "64512", "exclude", "-asn:64512"),
        ("own", "true", "include", "is:self"),
        ("user_name", 'a"b\\ (x)', "include", 'user_name:"a\\"b\\\\ (x)"'),
        ("category", "a*b", "include", 'category:"a*b"'),
        ("type", "", "include", "-type:*"),
        ("type", "", "exclude", "type:*"),
        ("details.request.method", "POST", "exclude", "-details.request.method:POST"),
    ],
)
def test_a_value_is_included_or_excluded(field: str, value: str, how: str, text: str) -> None:
    assert editing.changed(QUERY, field, value, how) == f"{canonical(QUERY)} {text}"
    assert editing.changed(QUERY, field, value, "only" if how == "include" else how).endswith(text)


def test_what_is_included_can_be_excluded_and_is_not_said_twice() -> None:
    assert editing.changed(parse("type:fp x"), "type", "fp", "exclude") == "x -type:fp"
    assert editing.changed(parse("x -type:fp"), "type", "fp", "include") == "x type:fp"
    assert editing.changed(parse("a OR b"), "type", "fp", "include") == "(a OR b) type:fp"
    assert editing.changed(parse("a b"), "type", "fp", "only") == "type:fp"


def test_text_that_stands_for_an_address_cannot_be_searched_for() -> None:
    with pytest.raises(QueryError):
        editing.changed(QUERY, "ip", "unknown", "include")


TEXT_FIELDS = [field.name for field in fields.FIELDS if field.kind is fields.Kind.KEYWORD]


@given(field=st.sampled_from(TEXT_FIELDS), value=st.text(min_size=1), how=st.sampled_from(["include", "exclude"]))
def test_any_value_makes_a_query_that_can_be_read_and_stays_as_it_is(field: str, value: str, how: str) -> None:
    made = editing.changed(QUERY, field, value, how)
    assert canonical(parse(made)) == made
    assert len(editing.chips(parse(made))) == 4
