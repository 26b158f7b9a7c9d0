"""The bars: what they say without colour, and to a screen reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from conductor.core.poll import Gap
from conductor.store.hours import Hour
from conductor.web import charts

BEGINS = datetime(2026, 11, 22, 7, tzinfo=UTC)


def test_the_worst_of_an_hour_is_its_colour() -> None:
    hours = {
        "none": Hour(BEGINS),
        "green": Hour(BEGINS, polls=12),
        "amber": Hour(BEGINS, polls=12, failed=1),
        "red": Hour(BEGINS, polls=12, failed=3, stopped=1),
    }
    assert {kind: charts.state(hour) for kind, hour in hours.items()} == {kind: kind for kind in hours}
    assert charts.state(Hour(BEGINS, new=500)) == "green"  # a poll that lasts brings events before it ends


def test_bars_differ_in_height_and_each_colour_is_one_path() -> None:
    drawn = charts.strip([Hour(BEGINS, polls=1), Hour(BEGINS, polls=1, failed=1), Hour(BEGINS), Hour(BEGINS, polls=1)])
    assert drawn.width == 30
    assert drawn.paths == {
        "green": "M0 0h6v16h-6zM24 0h6v16h-6z",
        "amber": "M8 8h6v8h-6z",
        "none": "M16 14h6v2h-6z",
    }


def test_a_bar_with_a_failure_for_a_person_has_a_notch() -> None:
    drawn = charts.strip([Hour(BEGINS, polls=1, failed=1, stopped=1)])
    assert drawn.paths == {"red": "M0 0l3 6l3 -6v16h-6z"}


def test_the_label_counts_the_hours() -> None:
    hours = [Hour(BEGINS)] * 2 + [Hour(BEGINS, polls=1)] * 21 + [Hour(BEGINS, polls=1, failed=1)]
    assert charts.strip(hours).label == "Polls, last 24 hours: 21 h good, 1 h with failures, 2 h no polls"


def test_columns_are_stacked_from_the_bottom_and_the_highest_fills_the_box() -> None:
    hours = [BEGINS, BEGINS + timedelta(hours=1)]
    one, other = (
        [Hour(begins, new=new) for begins, new in zip(hours, news, strict=True)] for news in ((30, 0), (10, 20))
    )
    drawn = charts.bars([one, other], [])
    assert (drawn.most, [column.total for column in drawn.columns]) == (40, [40, 20])
    first, second = drawn.columns
    assert [(piece.kind, piece.y, piece.height) for piece in first.pieces] == [(0, 30.0, 90.0), (1, 0.0, 30.0)]
    assert [(piece.kind, piece.y, piece.height) for piece in second.pieces] == [(1, 60.0, 60.0)]
    assert charts.bars([[Hour(BEGINS)]], []).columns[0].pieces == []


def test_an_hour_that_a_gap_touches_is_marked() -> None:
    hours = [Hour(BEGINS + timedelta(hours=number)) for number in range(4)]
    half_past = BEGINS + timedelta(minutes=90)
    gap = Gap(1, 1, half_past, BEGINS + timedelta(hours=2), "x", "lost", half_past, None, "", "")
    assert [column.missed for column in charts.bars([hours], [gap]).columns] == [False, True, True, False]


def test_the_others_are_what_is_left() -> None:
    whole = [Hour(BEGINS, new=50)]
    assert [hour.new for hour in charts.rest(whole, [[Hour(BEGINS, new=20)], [Hour(BEGINS, new=5)]])] == [25]
