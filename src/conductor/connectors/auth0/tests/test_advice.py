from __future__ import annotations

import string

import pytest

from conductor.connectors.auth0.advice import ADVICE


@pytest.mark.parametrize("code", ADVICE)
def test_every_advice_is_complete_and_can_be_filled_in(code: str) -> None:
    advice = ADVICE[code]
    assert code.startswith("auth0.")
    assert advice.title.endswith(".")
    assert advice.body
    assert 2 <= len(advice.short.split()) <= 3
    for text in (advice.title, advice.body, *advice.fix):
        names = [name for _, name, spec, conversion in string.Formatter().parse(text) if name is not None]
        assert all(name.isidentifier() for name in names)
        assert text.format_map(dict.fromkeys(names, "X"))
        assert "**" not in text


@pytest.mark.parametrize("code", ADVICE)
def test_the_steps_ask_for_no_fact_that_the_text_does_not(code: str) -> None:
    advice = ADVICE[code]
    names = {name for _, name, _, _ in string.Formatter().parse(advice.title + advice.body)}
    assert {name for step in advice.fix for _, name, _, _ in string.Formatter().parse(step)} <= names | {None}
