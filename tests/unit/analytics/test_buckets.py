"""Cutting a range into bars: round, few, without holes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.analytics.buckets import cut

PRAGUE = ZoneInfo("Europe/Prague")
START = datetime(2026, 11, 20, 14, 7, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "width", "first"),
    [
        (timedelta(minutes=15), timedelta(seconds=30), datetime(2026, 11, 20, 14, 7, 30, tzinfo=UTC)),
        (timedelta(hours=1), timedelta(minutes=2), datetime(2026, 11, 20, 14, 6, tzinfo=UTC)),
        (timedelta(hours=24), timedelta(minutes=30), datetime(2026, 11, 20, 14, 0, tzinfo=UTC)),
        (timedelta(days=7), timedelta(hours=3), datetime(2026, 11, 20, 14, 0, tzinfo=UTC)),  # 15:00 in Prague
        (timedelta(days=30), timedelta(days=1), datetime(2026, 11, 19, 23, 0, tzinfo=UTC)),  # midnight in Prague
    ],
)
def test_bars_have_round_widths_and_begin_at_round_times_of_the_zone(
    length: timedelta, width: timedelta, first: datetime
) -> None:
    found = cut(START, START + length, PRAGUE)
    assert found.edges[0] == first
    assert {later - earlier for earlier, later in pairwise(found.edges)} == {width}


def test_days_are_as_long_as_they_are_in_the_zone() -> None:
    found = cut(datetime(2026, 10, 1, tzinfo=PRAGUE), datetime(2026, 11, 5, tzinfo=PRAGUE), PRAGUE)
    lengths = [later - earlier for earlier, later in pairwise(found.edges)]
    assert sorted(set(lengths)) == [timedelta(days=1), timedelta(hours=25)]
    assert {edge.astimezone(PRAGUE).hour for edge in found.edges} == {0}
    assert found.step == 3600


@given(
    start=st.datetimes(datetime(1970, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=20_000)),
    zone=st.sampled_from([UTC, PRAGUE, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]),
    most=st.integers(2, 100),
)
def test_every_time_of_the_range_lies_in_its_bar(start: datetime, length: timedelta, zone: ZoneInfo, most: int) -> None:
    end = start + length
    found = cut(start, end, zone, most)
    assert found.edges[0] <= start
    assert found.edges[-1] >= end
    assert len(found) <= most + 1
    for moment in (start, start + length / 2, end - timedelta(microseconds=1)):
        bar = found.bar((moment - found.edges[0]) // timedelta(seconds=found.step))
        assert found.edges[bar] <= moment < found.edges[bar + 1]


def test_a_zone_that_had_seconds_is_cut_in_utc() -> None:
    found = cut(datetime(1970, 1, 1, tzinfo=UTC), datetime(1973, 1, 1, tzinfo=UTC), ZoneInfo("Africa/Monrovia"))
    assert found.step % 60 == 0
