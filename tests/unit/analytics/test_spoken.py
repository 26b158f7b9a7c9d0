"""Time ranges as people type them, in their own zone; every form that ux promises."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.analytics.spoken import understand
from conductor.core.errors import Invalid

PRAGUE = ZoneInfo("Europe/Prague")
NOW = datetime(2026, 11, 22, 15, 30, tzinfo=PRAGUE)  # a Sunday; 14:30 UTC


def span(words: str, now: datetime = NOW) -> tuple[str, str]:
    found = understand(words, now).span
    return tuple(moment.strftime("%d %b %H:%M:%S") if moment else "open" for moment in (found.start, found.end))


@pytest.mark.parametrize(
    ("words", "last"), [("15m", "15m"), ("4H", "4h"), (" 7d ", "7d"), ("2w", "2w"), ("-2h", "2h"), ("last 3d", "3d")]
)
def test_a_length_is_the_last_so_long(words: str, last: str) -> None:
    assert understand(words, NOW).last == last


@pytest.mark.parametrize(
    ("words", "begins", "ends"),
    [
        ("today", "21 Nov 23:00:00", "22 Nov 23:00:00"),
        ("Yesterday", "20 Nov 23:00:00", "21 Nov 23:00:00"),
        ("this week", "15 Nov 23:00:00", "22 Nov 23:00:00"),
        ("last week", "08 Nov 23:00:00", "15 Nov 23:00:00"),
        ("this month", "31 Oct 23:00:00", "30 Nov 23:00:00"),
        ("last  month", "30 Sep 22:00:00", "31 Oct 23:00:00"),  # summer time ends in it
        ("2026-11-20", "19 Nov 23:00:00", "20 Nov 23:00:00"),
        ("20 Nov", "19 Nov 23:00:00", "20 Nov 23:00:00"),
        ("20 Nov 14:00 - 15:30", "20 Nov 13:00:00", "20 Nov 14:30:00"),
        ("20 nov 14:00 – 21 nov 9:00", "20 Nov 13:00:00", "21 Nov 08:00:00"),
        ("20 Nov - 21 Nov", "19 Nov 23:00:00", "21 Nov 23:00:00"),
        ("2026-11-20 14:00 to 2026-11-20 14:00:09", "20 Nov 13:00:00", "20 Nov 13:00:10"),
        ("14:00 - 15:30", "22 Nov 13:00:00", "22 Nov 14:30:00"),
        ("yesterday 14:00 - 15:00", "21 Nov 13:00:00", "21 Nov 14:00:00"),
        ("today 9:00 - now", "22 Nov 08:00:00", "22 Nov 14:30:00"),
        ("-2h - -1h", "22 Nov 12:30:00", "22 Nov 13:30:00"),
        ("since 20 Nov 14:00", "20 Nov 13:00:00", "open"),
        ("until yesterday", "open", "21 Nov 23:00:00"),
        ("until 20 Nov 14:00", "open", "20 Nov 13:00:00"),
        ("around 14:03 10m", "22 Nov 12:53:00", "22 Nov 13:13:00"),
        ("around 20 Nov 14:03", "20 Nov 12:58:00", "20 Nov 13:08:00"),
        ("2026-11-20T14:03:05Z", "20 Nov 13:58:05", "20 Nov 14:08:05"),
        ("14:03", "22 Nov 12:58:00", "22 Nov 13:08:00"),
    ],
)
def test_every_form_that_is_promised(words: str, begins: str, ends: str) -> None:
    assert span(words) == (begins, ends)


def test_a_day_without_a_year_is_the_latest_that_has_begun() -> None:
    assert understand("25 Dec", NOW).span.start == datetime(2025, 12, 24, 23, tzinfo=UTC)
    assert understand("25 December 2024", NOW).span.start == datetime(2024, 12, 24, 23, tzinfo=UTC)


def test_a_day_on_which_a_clock_is_changed_has_its_own_length() -> None:
    october, march = (datetime(2026, month, day, 12, tzinfo=PRAGUE) for month, day in ((10, 25), (3, 29)))
    for now, hours in ((october, 25), (march, 23)):
        found = understand("today", now).span
        assert found.start and found.end
        assert (found.end - found.start).total_seconds() == 3600 * hours


@pytest.mark.parametrize(("month", "day", "hour"), [(3, 29, 5), (10, 25, 5)])
def test_a_length_is_a_length_also_where_a_clock_was_changed(month: int, day: int, hour: int) -> None:
    now = datetime(2026, month, day, hour, tzinfo=PRAGUE)
    for words in ("since -4h", "4h", "-4h - now"):
        begins = understand(words, now).span.start
        assert begins
        assert (now.astimezone(UTC) - begins).total_seconds() == 4 * 3600
    around = understand("around 03:02", now).span
    assert around.start and around.end
    assert (around.end - around.start).total_seconds() == 600


@pytest.mark.parametrize("words", ["until 0001-01-01 00:00", "since 9999-12-31", "1969-12-30", "until 2300-01-01"])
def test_a_time_beyond_all_events_is_refused(words: str) -> None:
    with pytest.raises(Invalid):
        understand(words, NOW)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "foo",
        "31 Feb",
        "30 foo",
        "25:00",
        "around",
        "since",
        "- -",
        "99999d",
        "2026-13-01",
        "14:00 - ",
        "1e9d",
    ],
)
def test_what_is_no_range_is_told_with_examples(words: str) -> None:
    with pytest.raises(Invalid) as raised:
        understand(words, NOW)
    assert "Try `4h`, `yesterday`" in raised.value.fields["range"]


def test_an_end_before_its_start_is_told() -> None:
    with pytest.raises(Invalid, match="The end must be later than the start"):
        understand("15:30 - 14:00", NOW)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from("20 nov 14:00 - -2h since around today z T 2026-11-20 w 0 +".split()), max_size=6).map(
        " ".join
    )
)
def test_no_text_makes_it_fail(words: str) -> None:
    try:
        found = understand(words, NOW).span
    except Invalid:
        return
    assert found.start is None or found.end is None or found.start < found.end
