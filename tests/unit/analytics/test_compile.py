"""Syntax tree → SQL: nothing typed stands in the SQL, and values are bound by type."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.analytics import compile as compiling
from conductor.analytics.compile import Compiled
from conductor.analytics.query import QueryError, parse

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def compiled(text: str) -> Compiled:
    return compiling.compile(parse(text), integrations={"prod-eu": 1, "prod-us": 2, "Test": 3}, now=NOW)


@pytest.mark.parametrize(
    ("text", "sql", "values"),
    [
        ("*", "true", []),
        ("type:FP", "(lowerUTF8(type) = {p0:String})", ["fp"]),
        ("user:*%_", "(lowerUTF8(user_name) LIKE {p0:String})", [r"%\%\_"]),
        ("user:*", "(user_name != '')", []),
        ("-ip:*", "(NOT (ip != ''))", []),
        ("integration:PROD-*", "(integration_id IN {p0:Array(UInt32)})", [[1, 2]]),
        ("integration:nowhere", "(false)", []),
        ("severity:>=high", "(severity >= {p0:Int64})", [3]),
        ("asn:<5", "(asn < {p0:Int64} AND asn != 0)", [5]),
        (
            "10.0.0.0/8",
            "(ip_value >= {p0:IPv6} AND ip_value <= {p1:IPv6})",
            ["::ffff:10.0.0.0", "::ffff:10.255.255.255"],
        ),
        (
            "date:2026-11-20",
            "(time >= {p0:DateTime64(6, 'UTC')} AND time < {p1:DateTime64(6, 'UTC')})",
            ["2026-11-20 00:00:00.000000", "2026-11-21 00:00:00.000000"],
        ),
        ("date:>2026-11-20", "(time >= {p0:DateTime64(6, 'UTC')})", ["2026-11-21 00:00:00.000000"]),
        ("ingested:>now-2h", "(collected_at > {p0:DateTime64(6, 'UTC')})", ["2026-11-22 05:30:00.000000"]),
        ("own:true", "(own)", []),
        ("description:auth-eu-1", "(hasPhrase(lower(description), {p0:String}))", ["auth eu 1"]),
        ("description:École", "(hasToken(lowerUTF8(description), {p0:String}))", ["école"]),
    ],
)
def test_a_term_becomes_a_condition_on_its_column(text: str, sql: str, values: list[object]) -> None:
    found = compiled(text)
    assert (found.sql, list(found.parameters.values())) == (sql, values)


def test_a_bare_word_is_asked_of_indexed_expressions_only() -> None:
    found = compiled("Wrong").sql
    assert found == (
        "(hasToken(lower(raw), {p0:String}) OR hasToken(lower(event), {p1:String})"
        " OR hasToken(lower(description), {p2:String}))"
    )


def test_a_raw_path_looks_its_sure_words_up_in_the_index_first() -> None:
    assert compiled("details.request.method:POST").parameters["p3"] == "method"
    assert ["details", "request", "method", "post"] in compiled("details.request.method:POST").parameters.values()
    assert ["details", "x"] in compiled("details.x:1.5").parameters.values()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="zq'`{}%;\\\"é\n", min_size=1, max_size=12))
def test_s24_nothing_the_user_typed_stands_in_the_sql(value: str) -> None:
    literal = '"zq' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for field in ("", "user:", "description:", "ip:", "details.x:"):
        try:
            found = compiled(field + literal)
        except QueryError:
            continue
        assert "zq" not in found.sql
        assert set(re.findall(r"\{(p\d+):", found.sql)) == set(found.parameters)


@pytest.mark.parametrize(
    "typed",
    [
        'user:"x\' OR 1=1 --"',
        "type:\"f') UNION ALL SELECT file('/etc/passwd')\"",
        'details."a\' , b":x',
        "user:{p0:String}",
        'description:"\\\\\' ; DROP TABLE artifacts"',
        'ip:"::1\' OR true"',
    ],
)
def test_s24_an_injection_is_only_a_value(typed: str) -> None:
    try:
        found = compiled(typed)
    except QueryError:
        return
    assert not re.search(r"1=1|UNION|passwd|DROP|OR true|--", found.sql)
