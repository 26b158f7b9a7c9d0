"""A search over time, drawn on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from conductor.cli import chart

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def found(*totals: int, missed: tuple[int, ...] = (), width: timedelta = timedelta(minutes=30)) -> dict[str, Any]:
    times = [(BEGIN + width * at).isoformat() for at in range(len(totals) + 1)]
    bars = [
        {"begins": times[at], "ends": times[at + 1], "total": total, "missed": at in missed}
        for at, total in enumerate(totals)
    ]
    return {"bars": bars, "total": sum(totals)}


def test_bars_are_as_high_as_they_count_and_the_scale_says_so() -> None:
    assert chart.lines(found(0, 600, 1, 300, 1200), 30) == [
        "1,200                 ████",
        "                      ████",
        "                      ████",
        "          ████        ████",
        "          ████    ▄▄▄▄████",
        "          ████▁▁▁▁████████",
        "    0 ────────────────────",
        "      2026-11-22 00:00 – 2026-11-22 02:30",
        "      2,101 events, a bar is 30 min, times in UTC",
    ]


def test_time_that_was_not_collected_is_hatched_below_full_bars_too() -> None:
    lines = chart.lines(found(0, 6, 3, 0, missed=(1, 2)), 10)
    assert lines[0] == "6   ██░░"
    assert lines[5] == "    ████"
    assert lines[6] == "0 ──░░░░──"
    assert lines[-1].endswith("░ not collected")


def test_what_finds_nothing_is_a_flat_line_and_nothing_stored_no_chart() -> None:
    lines = chart.lines(found(0, 0, 0, width=timedelta(days=1)), 80)
    assert not "".join(lines[1:6])
    assert lines[6] == "0 ────────────"
    assert "0 events, a bar is 1 d" in lines[-1]
    assert chart.lines(found(), 80) == []


def test_it_is_never_wider_than_the_terminal() -> None:
    for width in (20, 40, 80, 200):
        bars = chart.most(width)
        assert 2 <= bars <= chart.MOST
        drawn = chart.lines(found(*range(1_000_000, 1_000_000 + bars)), width)[: chart.HEIGHT + 1]
        assert max(map(len, drawn)) <= width
