"""How values are shown, hostile ones above all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jinja2
import pytest

from conductor.web import show

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _rendered(template: str, **context: object) -> str:
    environment = jinja2.Environment(autoescape=True)
    environment.filters.update(show.FILTERS)
    known = {"time_zone": "Europe/Prague", "now": NOW}
    return environment.from_string(template).render(known | context)


@pytest.mark.parametrize(
    ("hidden", "name"),
    [
        ("\u202e", "202E"),
        ("\u200b", "200B"),
        ("\x00", "0000"),
        ("\x1b", "001B"),
        ("\u2066", "2066"),
        ("\ufeff", "FEFF"),
    ],
)
def test_hidden_characters_are_marked(hidden: str, name: str) -> None:
    assert f"⟨U+{name}⟩" in show.visible(f"a{hidden}b")
    assert hidden not in show.visible(f"a{hidden}b")


def test_a_lone_surrogate_is_marked_and_can_be_sent() -> None:
    assert "⟨U+D800⟩" in show.visible("\ud800").encode().decode()


def test_markup_in_content_is_text() -> None:
    assert show.visible("<script>'\"&") == "&lt;script&gt;&#39;&#34;&amp;"


def test_ordinary_letters_of_all_scripts_stay() -> None:
    assert show.visible("Žofie 王 أحمد é 👍") == "Žofie 王 أحمد é 👍"


def test_line_feeds_stay_only_where_asked_for() -> None:
    assert show.visible("a\n\tb", lines=True) == "a\n\tb"
    assert "⟨U+000A⟩" in show.visible("a\nb")


def test_backticks_become_code_and_what_is_inside_stays_text() -> None:
    assert show.marked("Use `<b>` now") == "Use <code>&lt;b&gt;</code> now"


def test_facts_in_advice_are_text() -> None:
    assert "<img" not in show.filled("Hello {name}", {"name": "<img src=x onerror=alert(1)>"})


def test_a_time_is_in_the_users_zone_with_utc_behind_it() -> None:
    shown = _rendered("{{ at | moment }}", at=NOW)
    assert (
        shown
        == '<time datetime="2026-11-22T12:00:00.000Z" title="22 Nov 2026 12:00:00 UTC">22 Nov 2026 13:00:00</time>'
    )


@pytest.mark.parametrize(
    ("distance", "words"),
    [(timedelta(0), "now"), (timedelta(seconds=41), "41 s ago"), (timedelta(minutes=-3), "in 3 min")],
)
def test_relative_times_know_both_directions(distance: timedelta, words: str) -> None:
    assert f">{words}<" in _rendered("{{ at | ago }}", at=NOW - distance)


def test_bytes_that_are_no_text_are_spelled_out() -> None:
    assert show.raw_text(b"a\xff") == "a\\xff"


def test_an_unknown_zone_is_utc() -> None:
    assert show.zone("Mars/Olympus").key == "UTC"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("203.0.113.7", "203[.]0[.]113[.]7"),
        ("2001:db8::7", "2001[:]db8[:][:]7"),
        ("https://a.example.com/x?y=1", "hxxps://a[.]example[.]com/x?y=1"),
        ("ana@example.com", "ana@example[.]com"),
        ("login.example.com", "login[.]example[.]com"),
        ("Wrong email or password.", ""),
        ("success", ""),
        ("1.5", "1[.]5"),
        ("javascript:alert(1)", ""),
    ],
)
def test_what_could_be_a_link_is_made_harmless(text: str, harmless: str) -> None:
    assert show.defanged(text) == harmless
