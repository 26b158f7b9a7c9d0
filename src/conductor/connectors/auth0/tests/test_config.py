"""What the form tells of a value while it is being typed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from conductor.connectors.auth0.config import TenantConfig
from conductor.core.config import Hint


@pytest.mark.parametrize(
    ("typed", "value", "note"),
    [
        ("acme.us.auth0.com", "acme.us.auth0.com", ""),
        ("https://acme.us.auth0.com/", "acme.us.auth0.com", "We removed https:// and /."),
        ("HTTPS://Acme.us.auth0.com", "acme.us.auth0.com", "We removed HTTPS://."),
        (
            "https://manage.auth0.com/dashboard/us/acme/applications",
            "acme.us.auth0.com",
            "That was the dashboard's address. Its tenant is acme.us.auth0.com.",
        ),
        (
            "login.acme.com",
            "login.acme.com",
            "login.acme.com is a custom domain: enter the tenant domain, under Advanced, too.",
        ),
    ],
)
def test_a_domain_is_taken_out_of_what_was_pasted(typed: str, value: str, note: str) -> None:
    assert TenantConfig.hint("domain", {"domain": typed}) == Hint(value, note)


def test_a_hint_never_changes_what_cannot_be_used() -> None:
    for typed in ("not a domain", "https://manage.auth0.com/", "\x00", "a" * 500):
        found = TenantConfig.hint("domain", {"domain": typed})
        assert found is not None
        assert found.value == typed.strip()
        assert found.note
    assert TenantConfig.hint("domain", {"domain": " "}) is None
    for interval in ("", "0", "61", "x", "9" * 5000, "-1", "²"):
        assert TenantConfig.hint("polling_interval", {"polling_interval": interval, "plan": "free"}) is None


@pytest.mark.parametrize(
    ("plan", "days", "told"),
    [
        (
            "essentials",
            9,
            "Auth0 returned an event from 9 days ago. Your plan is probably Professional, which keeps logs 10 days.",
        ),
        (
            "unknown",
            1.2,
            "Auth0 returned an event from 2 days ago. Your plan is probably Essentials, which keeps logs 5 days.",
        ),
        (
            "starter",
            40,
            "Auth0 returned an event from 40 days ago. Your plan is probably Enterprise, which keeps logs 30 days.",
        ),
        ("essentials", 5, ""),
        ("enterprise", 0, ""),
    ],
)
def test_an_event_that_is_older_than_the_plan_keeps_tells_which_plan_it_is(plan: str, days: float, told: str) -> None:
    config = TenantConfig.parse({"domain": "acme.us.auth0.com", "client_id": "x", "client_secret": "x", "plan": plan})
    assert config.plan_doubt(timedelta(days=days)) == told


def test_the_interval_tells_what_it_costs() -> None:
    found = TenantConfig.hint("polling_interval", {"polling_interval": "5", "plan": "essentials"})
    assert found == Hint("5", "≈ 288 polls a day, 0.2 % of the rate limit.")
