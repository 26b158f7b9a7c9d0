"""What a terminal is told."""

from __future__ import annotations

import pytest

from conductor.cli import exits, status
from conductor.core import wording

HOSTILE = "a\x1b[2Jb\rc\nd\x07\u202ee\x9bf"


def test_s31_a_strangers_text_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    shown = exits.plain(HOSTILE)
    assert shown.isprintable()
    assert "⟨U+001B⟩[2J" in shown
    exits._tell({"title": HOSTILE, "detail": HOSTILE, "code": "x", "fix": [HOSTILE], "fields": {"a": HOSTILE}})
    told = capsys.readouterr().err
    assert all(line.isprintable() for line in told.split("\n"))
    assert len(told.splitlines()) == 5


def test_s31_a_table_keeps_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    lines = status.table([("NAME", "REASON"), (HOSTILE, HOSTILE)]).split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_s31_s23_a_vendors_words_in_our_sentences_are_short_and_printable() -> None:
    told = wording.fill('It said: "{said}".', {"said": HOSTILE + "x" * 10_000})
    assert told.isprintable()
    assert len(told) < 600
