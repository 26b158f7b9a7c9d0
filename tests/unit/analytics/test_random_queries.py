"""200,000 random queries: no crash, and each equal query has the one canonical text, which means the same (goal 17).

A failure tells the seed and the shortest text that fails alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import queries

from conductor.analytics import compile as compiling
from conductor.analytics.query import QueryError, canonical, parse
from conductor.core.errors import Invalid

PARTS, INPUTS = 8, 25_000
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_queries_never_crash_and_keep_their_meaning(part: int) -> None:
    wrong: list[tuple[str, str]] = []
    understood = 0
    for number in range(INPUTS // 2):
        seed = part * INPUTS + number
        rng = random.Random(seed)
        text = queries.text(rng)
        complaint = complaint_about(text)
        understood += complaint == ""
        if complaint:
            wrong.append((text, f"seed {seed}: {complaint}"))
        valid = queries.valid(rng)
        if complaint := complaint_about_valid(valid):
            wrong.append((valid.one, f"seed {seed}: {valid!r}: {complaint}"))
    if wrong:
        pytest.fail(told(wrong))
    assert understood > INPUTS // 10, "Too few of the texts are queries to show anything."


def told(wrong: list[tuple[str, str]]) -> str:
    """The failure with the shortest text, and that text as short as it can be made."""
    text, complaint = min(wrong, key=lambda item: len(item[0]))
    return f"{len(wrong)} of {INPUTS} inputs. {complaint}\nShortest failing text: {shortest(text, complaint_about)!r}"


def complaint_about(text: str) -> str | None:
    """What is wrong with how this text is understood: empty for a query that is right, None for one that is refused."""
    try:
        found = parse(text)
    except QueryError as error:
        return complaint_about_refusal(text, error)
    except Exception as error:  # any other is a crash, which must not end the run before the shortest is known
        return f"parse raised {error!r}"
    try:
        rewritten = canonical(found)
        again = parse(rewritten)
        compiling.compile(found, integrations={}, now=NOW)
    except Invalid:
        return ""
    except Exception as error:
        return f"its canonical text: {error!r}"
    return "" if again.tree == found.tree else f"canonical text {rewritten!r} means something else: {again.tree}"


def complaint_about_refusal(text: str, error: QueryError) -> str | None:
    """What is wrong with a message: it must mark a part of the text, and its fix must not crash."""
    if not (0 <= error.start < error.end <= len(text) and error.message.endswith(".")):
        return f"the message marks {error.start}–{error.end}: {error.message}"
    try:
        if error.fix is not None:
            parse(error.fix)
    except QueryError:
        return None
    except Exception as crash:
        return f"the fix {error.fix!r} raised {crash!r}"
    return None


def complaint_about_valid(valid: queries.Valid) -> str:
    """What is wrong with a query that the grammar has: it must be understood, and both its spellings alike."""
    try:
        one, other = parse(valid.one), parse(valid.other)
    except Exception as error:
        return f"refused: {error!r}"
    if one.tree != other.tree:
        return f"{one.tree} is not {other.tree}"
    rewritten = canonical(one)
    try:
        again = parse(rewritten)
    except Exception as error:
        return f"canonical text {rewritten!r}: {error!r}"
    return "" if again.tree == one.tree else f"canonical text {rewritten!r} means something else: {again.tree}"


def shortest(text: str, complain: Callable[[str], str | None]) -> str:
    """The text with all taken out that it fails without; as it is when it does not fail alone."""
    length = max(1, len(text) // 2)
    while True:
        at = 0
        while at < len(text):
            without = text[:at] + text[at + length :]
            if complain(without):
                text = without
            else:
                at += length
        if length == 1:
            return text
        length //= 2


def test_the_shortest_failing_text_is_found() -> None:
    assert shortest("type:fp (a b) -x", lambda text: "wrong" if "b" in text and "-" in text else "") == "b-"
    assert shortest("whole", lambda text: "") == "whole"
