"""When to poll, and when data is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.core import schedule
from conductor.core.schedule import Both, Span

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MOMENTS = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(hours=1), timedelta(days=30))


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@given(integration=st.integers(0, 2**40), window=st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_the_splay_lies_in_its_window_and_is_the_same_after_a_restart(integration: int, window: timedelta) -> None:
    splay = schedule.splay(integration, window)
    assert timedelta(0) <= splay <= window
    assert schedule.splay(integration, window) == splay


@pytest.mark.parametrize("window", [60, 300])
def test_f55_a_thousand_integrations_do_not_start_at_once(window: int) -> None:
    seconds = [int(schedule.splay(number, timedelta(seconds=window)).total_seconds()) for number in range(1, 1001)]
    assert set(seconds) == set(range(window))
    assert max(seconds.count(second) for second in range(window)) <= 2 * 1000 / window


@pytest.mark.parametrize(("integration", "seconds"), [(1, 53398.136628), (2, 20396.273256), (1000, 2936.627991)])
def test_the_splay_stays_the_same_across_versions(integration: int, seconds: float) -> None:
    assert schedule.splay(integration, DAY) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("checkpoint", "covered", "lost"),
    [
        pytest.param(None, None, None, id="never polled"),
        pytest.param(ago(1), None, None, id="young enough"),
        pytest.param(ago(24), None, None, id="just young enough"),
        pytest.param(ago(30), None, Span(ago(30), ago(24)), id="too old"),
        pytest.param(ago(300), ago(1), None, id="a quiet tenant that was read to its end"),
        pytest.param(ago(1), ago(300), None, id="reading on from an old pass"),
        pytest.param(ago(300), ago(30), Span(ago(30), ago(24)), id="the later of both is too old"),
        pytest.param(None, ago(30), Span(ago(30), ago(24)), id="nothing ever came"),
    ],
)
def test_what_the_vendor_deleted_unread_is_lost(
    checkpoint: datetime | None, covered: datetime | None, lost: Span | None
) -> None:
    assert schedule.lost_span(NOW, DAY, checkpoint, covered) == lost


@pytest.mark.parametrize(
    ("waited", "start", "lost"),
    [
        pytest.param(timedelta(minutes=5), None, None, id="it did not take long"),
        pytest.param(timedelta(minutes=6), None, Span(ago(24.1), ago(24)), id="long"),
        pytest.param(timedelta(hours=3), ago(25), Span(ago(25), ago(24)), id="a later beginning was wanted"),
        pytest.param(timedelta(hours=3), ago(40), Span(ago(27), ago(24)), id="more than the vendor had"),
        pytest.param(timedelta(hours=3), ago(1), None, id="only what is new"),
        pytest.param(timedelta(hours=-1), None, None, id="our clock was set back"),
    ],
)
def test_what_the_vendor_deleted_before_it_ever_answered_is_lost(
    waited: timedelta, start: datetime | None, lost: Span | None
) -> None:
    assert schedule.lost_start(NOW, DAY, waited, start) == lost


@given(retention=SPANS, checkpoint=MOMENTS, covered=MOMENTS)
def test_data_is_lost_from_the_moment_that_was_foretold(
    retention: timedelta, checkpoint: datetime | None, covered: datetime | None
) -> None:
    at = schedule.loss_at(retention, checkpoint, covered)
    if at is None:
        assert checkpoint is None
        assert covered is None
        return
    moment = timedelta(microseconds=1)
    assert schedule.lost_span(at, retention, checkpoint, covered) is None
    lost = schedule.lost_span(at + moment, retention, checkpoint, covered)
    assert lost is not None
    assert lost.ends - lost.begins == moment


@pytest.mark.parametrize(
    ("told", "there", "wanted"),
    [
        (None, None, 3 * HOUR),
        (None, NOW, 3 * HOUR),  # the vendor never told: our clock is all there is
        (Both(NOW - 3 * HOUR, NOW - 5 * HOUR), None, 3 * HOUR),
        (Both(NOW - 3 * HOUR, NOW - 5 * HOUR), NOW, 5 * HOUR),  # ours was set back by two hours
        (Both(NOW - 2 * HOUR, NOW - 5 * HOUR), NOW, 6 * HOUR),  # an hour before it told
        (Both(NOW - 4 * HOUR, NOW - 5 * HOUR), NOW, 5 * HOUR),  # set back meanwhile
    ],
)
def test_how_long_it_failed_is_counted_by_the_vendors_clock(
    told: Both | None, there: datetime | None, wanted: timedelta
) -> None:
    assert schedule.waited(NOW - 3 * HOUR, told, NOW, there) == wanted
