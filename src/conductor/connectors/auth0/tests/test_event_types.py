from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from conductor.connectors.auth0.event_types import EVENT_TYPES, EventType, lookup
from conductor.core.artifact import OUTCOMES, Severity

ROOT = Path(__file__).parents[5]


def test_every_known_code_is_there_under_its_own_name() -> None:
    assert len(EVENT_TYPES) == 196
    assert all(code == kind.code for code, kind in EVENT_TYPES.items())
    assert len({kind.name for kind in EVENT_TYPES.values()}) == 196


def test_every_type_is_fully_described() -> None:
    for kind in EVENT_TYPES.values():
        assert kind.name
        assert kind.description
        assert kind.outcome in OUTCOMES
        assert isinstance(kind.severity, Severity)


def test_categories_are_few_enough_to_choose_from() -> None:
    assert {kind.category for kind in EVENT_TYPES.values()} == {
        "MFA",
        "admin API",
        "attack protection",
        "auth failure",
        "auth success",
        "notification",
        "other",
        "system",
        "token exchange",
        "user lifecycle",
    }


@pytest.mark.parametrize(
    ("code", "name", "category", "outcome", "severity"),
    [
        ("s", "Success Login", "auth success", "success", Severity.INFORMATIONAL),
        ("fp", "Failed Login (wrong password)", "auth failure", "failure", Severity.LOW),
        (
            "feccft",
            "Failed Exchange: Client Credentials for Access Token",
            "token exchange",
            "failure",
            Severity.MEDIUM,
        ),
        ("gd_auth_rejected", "MFA auth rejected", "MFA", "failure", Severity.HIGH),
        ("pwd_leak", "Breached password on login", "attack protection", "unknown", Severity.CRITICAL),
        ("scv", "Success Credential Validation", "auth success", "success", Severity.INFORMATIONAL),
        ("ss_sso_failure", "Self-Service SSO operation failed", "admin API", "failure", Severity.LOW),
        ("session_revoked", "Session revoked", "user lifecycle", "success", Severity.INFORMATIONAL),
    ],
)
def test_a_code_has_its_meaning(code: str, name: str, category: str, outcome: str, severity: Severity) -> None:
    kind = lookup(code)
    assert (kind.name, kind.category, kind.outcome, kind.severity) == (name, category, outcome, severity)


@pytest.mark.parametrize("code", ["", "S", "never_seen", "\x00"])
def test_an_unknown_code_is_a_type_of_its_own(code: str) -> None:
    assert lookup(code) == EventType(code, code, "", "other", "unknown", Severity.INFORMATIONAL)


def test_no_success_is_worse_than_high_and_few_types_are_urgent() -> None:
    urgent = [kind for kind in EVENT_TYPES.values() if kind.severity >= Severity.HIGH]
    assert len(urgent) < 20
    assert all(kind.severity < Severity.CRITICAL for kind in EVENT_TYPES.values() if kind.outcome == "success")


def test_the_severity_page_says_what_the_code_does() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "auth0_severity.py"))
    page = tool["PAGE"].read_text("utf-8")
    assert tool["render"](page) == page, "run: PYTHONPATH=src python tools/auth0_severity.py"
