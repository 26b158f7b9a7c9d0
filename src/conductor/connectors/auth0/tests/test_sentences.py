"""Every template is of a type that there is, names fields that there are, and can be told of a whole event."""

from __future__ import annotations

import re

import pytest

from conductor.connectors.auth0.event_types import EVENT_TYPES
from conductor.connectors.auth0.sentences import SENTENCES
from conductor.core import fields
from conductor.core.sentence import sentence

WHOLE = {field.name: field.name.upper() for field in fields.FIELDS}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_template_can_be_told(code: str) -> None:
    template = SENTENCES[code]
    assert code in EVENT_TYPES
    assert set(re.findall(r"{(\w+)}", template)) <= set(WHOLE) | {"who", "origin"}
    told = sentence(template, WHOLE)
    assert told.endswith(".")
    assert told[0].isupper()
    assert not re.search(r"[{}\[\]]|\.\.|  ", told)


def test_a_wrong_password_is_told() -> None:
    row = {"user_name": "ana@example.com", "client_name": "Web", "ip": "203.0.113.7", "country": "CZ"}
    assert sentence(SENTENCES["fp"], row) == "ana@example.com gave a wrong password to Web from 203.0.113.7 (CZ)."
