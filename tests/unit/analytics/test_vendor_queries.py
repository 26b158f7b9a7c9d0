"""Queries from Auth0's own documentation run unchanged (goal 18).

They are those of "Log Search Query Syntax", of "Incident Response: Using Logs", of the playbook on brute force, and of
the command line's manual for `auth0 logs list`, as of November 2026, and the filters that their log page is shown with.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from conductor.analytics import values
from conductor.analytics.query import QueryError, canonical, parse

DOCUMENTED = {
    "jane": "jane",
    '"customer log"': '"customer log"',
    'description:"Username invalid"': 'description:"Username invalid"',
    "description:rule": "description:rule",
    "description:*rule": "description:*rule",
    "user_name:john*": "user_name:john*",
    "user_name:j*": "user_name:j*",
    "user_name:*fred*": "user_name:*fred*",
    "user_name:jane*smith": "user_name:jane*smith",
    'user_id:"123"': "user_id:123",
    "connection:*pass*": "connection:*pass*",
    "type:s*": "type:s*",
    'type:"f"': "type:f",
    'type:"fp" OR type:"limit_wc" OR type:"cls"': "type:(fp OR limit_wc OR cls)",
    "type:f AND NOT client_name:Web": "type:f -client_name:Web",
    "(type:f OR type:fp) AND ip:203.0.113.7": "type:(f OR fp) ip:203.0.113.7",
    "date:[2018-12-18 TO *]": "date:>=2018-12-18",
    "date:[2018-12-10 TO *]": "date:>=2018-12-10",
    "date:[* TO 2018-12-19}": "date:<2018-12-19",
    "date:[2018-12 TO 2019-01-01}": "date:[2018-12 TO 2019-01-01}",
    "date:[2019-01-01T01:00:00 TO 2019-01-01T12:23:45}": "date:[2019-01-01T01:00:00 TO 2019-01-01T12:23:45}",
    "client_id:AaiyAPdpYdesoKnqjj8HJqRn4T5titww": "client_id:AaiyAPdpYdesoKnqjj8HJqRn4T5titww",
    "log_id:90020181218000000000000000000000000001223372036854775807": (
        "log_id:90020181218000000000000000000000000001223372036854775807"
    ),
}

# "Incident Response: Using Logs", and "Brute Force Protection Playbook". The first has `ip:"99.xxx.xxx.xxx"` for an
# address to fill in.
INCIDENTS = {
    'type:"fu"': "type:fu",
    'description:"missing username parameter"': 'description:"missing username parameter"',
    'description:"Wrong email or password"': 'description:"Wrong email or password"',
    'type:"limit_wc"': "type:limit_wc",
    'type:"pwd_leak"': "type:pwd_leak",
    'type:"s" AND ip:"99.1.2.3"': "type:s ip:99.1.2.3",
    'user_id:"auth0|ABC123"': "user_id:auth0|ABC123",
    'type:"sapi"': "type:sapi",
    (
        'date:[2024-10-01 TO *] AND (type:"f" OR type:"fu" OR type:"fp" OR type:"pwd_leak" OR type:"limit_wc" OR '
        'type:"limit_sul" OR type:"limit_mu" OR type:"fcoa")'
    ): "date:>=2024-10-01 type:(f OR fu OR fp OR pwd_leak OR limit_wc OR limit_sul OR limit_mu OR fcoa)",
}


@pytest.mark.parametrize(("text", "expected"), [*DOCUMENTED.items(), *INCIDENTS.items()])
def test_a_documented_query_runs_unchanged(text: str, expected: str) -> None:
    found = parse(text)
    assert canonical(found) == expected
    assert parse(expected).tree == found.tree
    assert not found.hints


def test_an_address_that_was_not_filled_in_is_told() -> None:
    with pytest.raises(QueryError, match=r"`99\.xxx\.xxx\.xxx` is not an IP address"):
        parse('type:"s" AND ip:"99.xxx.xxx.xxx"')


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2018-12", datetime(2018, 12, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)),
        ("2024-02", datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_month_is_all_of_its_days(text: str, first: datetime, after: datetime) -> None:
    point = values.moment(text)
    assert point
    assert values.span(point, datetime(2026, 11, 22, tzinfo=UTC)) == (first, after)


@pytest.mark.parametrize("text", ["2018-13", "2018-00", "2018-1", "201812"])
def test_what_is_no_month_is_no_time(text: str) -> None:
    assert values.moment(text) is None
