"""The time range of a search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from conductor.analytics import timerange
from conductor.analytics.timerange import TimeRange, resolve
from conductor.core.errors import Invalid

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)


def test_every_preset_is_a_length_of_time() -> None:
    hours = [timerange.parse_last(preset) / timedelta(hours=1) for preset in timerange.PRESETS]
    assert hours == [0.25, 1, 4, 24, 168, 720]


@pytest.mark.parametrize("text", ["", "0h", "24", "h", "-1h", "1.5h", "99999w", "1y", "١h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        timerange.parse_last(text)
    assert caught.value.fields["last"].startswith(f"`{text}` is not a length of time.")


def test_the_last_day_ends_now() -> None:
    assert resolve("24h", None, None, NOW) == TimeRange(NOW - timedelta(days=1), NOW)


def test_nothing_given_is_all_time() -> None:
    assert resolve(None, None, None, NOW) == resolve("", "", "", NOW) == TimeRange(None, None)


def test_times_with_a_zone_become_utc() -> None:
    found = resolve(None, "2026-11-20T14:00:00.5+01:00", "now-1h", NOW)
    assert found == TimeRange(datetime(2026, 11, 20, 13, 0, 0, 500_000, tzinfo=UTC), NOW - timedelta(hours=1))


def test_dates_are_whole_days_in_the_readers_zone() -> None:
    found = resolve(None, "2026-11-20", "2026-11-20", NOW.astimezone(ZoneInfo("Europe/Berlin")))
    assert found == TimeRange(datetime(2026, 11, 19, 23, tzinfo=UTC), datetime(2026, 11, 20, 23, tzinfo=UTC))


def test_the_day_the_clocks_change_has_25_hours() -> None:
    found = resolve(None, "2026-10-25", "2026-10-25", NOW.astimezone(ZoneInfo("Europe/Berlin")))
    assert found.start and found.end and found.end - found.start == timedelta(hours=25)


@pytest.mark.parametrize(
    ("last", "start", "end", "field"),
    [
        ("24h", "2026-11-20", None, "last"),
        (None, "2026-13-01", None, "from"),
        (None, None, "soon", "to"),
        (None, "2026-11-21", "2026-11-20", "to"),
        (None, "now", "now", "to"),
    ],
)
def test_an_unusable_range_names_its_field(last: str | None, start: str | None, end: str | None, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        resolve(last, start, end, NOW)
    assert list(caught.value.fields) == [field]


def test_times_beyond_the_calendar_are_cut_to_what_the_table_can_hold() -> None:
    found = resolve(None, "0001-01-01", "9999-12-31", NOW)
    assert found.start and found.start.year == 1900
    assert found.end and found.end.year == 2299
