"""What happened in one sentence: what is known is told, what is not leaves no hole."""

from __future__ import annotations

import pytest

from conductor.core.sentence import sentence

TEMPLATE = "{who} signed in[ to {client_name}][ from {origin}][: {description}]."


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"user_name": "ana@example.com", "client_name": "Web", "ip": "203.0.113.7", "country": "CZ", "asn": 64512},
            "ana@example.com signed in to Web from 203.0.113.7 (CZ, AS64512).",
        ),
        ({"user_name": "", "user_id": "auth0|1", "ip": "203.0.113.7"}, "auth0|1 signed in from 203.0.113.7."),
        ({"user_name": "ana", "country": "CZ"}, "ana signed in."),  # a country of no address
        ({"user_name": "ana", "description": "Done. "}, "ana signed in: Done."),
        ({"client_name": "Web"}, ""),  # nobody: this cannot be told
    ],
)
def test_what_is_known_is_told(row: dict[str, object], told: str) -> None:
    assert sentence(TEMPLATE, row) == told


def test_braces_and_brackets_in_a_value_are_text() -> None:
    row = {"user_name": "{ip}[x]{who}", "ip": "203.0.113.7"}
    assert sentence(TEMPLATE, row) == "{ip}[x]{who} signed in from 203.0.113.7."


def test_a_long_value_is_cut() -> None:
    assert len(sentence(TEMPLATE, {"user_name": "x" * 9000})) < 600


def test_no_template_tells_nothing() -> None:
    assert sentence("", {"user_name": "ana"}) == ""
