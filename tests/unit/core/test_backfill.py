"""What is to be expected of a backfill, and what of its span is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conductor.core import backfill, schedule
from conductor.core.backfill import Backfill

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WORK = Backfill(
    id=1, integration_id=1, lane="backfill", cause="person", gap_id=None, begins=NOW - 4 * DAY, ends=NOW, reached=None,
    state="running", asked_at=NOW - DAY, asked_by="ana", finished_at=None, requests=0, fetched=0, new=0, note="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("reached", "covered"), [(None, 0.0), (NOW - 4 * DAY, 0.0), (NOW - DAY, 0.75), (NOW, 1.0), (NOW - 9 * DAY, 0.0)]
)
def test_progress_is_by_the_time_covered(reached: datetime | None, covered: float) -> None:
    assert replace(WORK, reached=reached).covered == covered


def test_a_backfill_that_reads_faster_than_time_passes_loses_nothing() -> None:
    seen = backfill.outlook(WORK, 100.0, NOW, retention=5 * DAY)
    assert (seen.left, seen.lost) == (4 * DAY / 100, timedelta(0))


def test_one_that_is_slower_loses_what_is_deleted_before_it_comes() -> None:
    # A day ahead of the vendor, at half a second a second: caught up with after two days, six days before the end.
    seen = backfill.outlook(WORK, 0.5, NOW, retention=5 * DAY)
    assert (seen.left, seen.lost) == (8 * DAY, 3 * DAY)


def test_one_as_fast_as_time_is_never_caught_up_with() -> None:
    assert backfill.outlook(WORK, 1.0, NOW, retention=5 * DAY) == backfill.Outlook(4 * DAY, timedelta(0))


def test_a_slow_one_that_ends_in_time_loses_nothing() -> None:
    near = replace(WORK, reached=NOW - HOUR)
    assert backfill.outlook(near, 0.5, NOW, retention=5 * DAY).lost == timedelta(0)


@pytest.mark.parametrize("pace", [None, 0.0, -1.0])
def test_without_a_pace_nothing_is_foretold(pace: float | None) -> None:
    assert backfill.outlook(WORK, pace, NOW, retention=DAY) == backfill.Outlook(None)


@pytest.mark.parametrize(
    ("oldest", "lost"),
    [
        (NOW - 5 * DAY, None),
        (NOW - 4 * DAY, None),
        (NOW - 3 * DAY, (NOW - 4 * DAY, NOW - 3 * DAY)),
        (NOW + DAY, (NOW - 4 * DAY, NOW)),
        (None, (NOW - 4 * DAY, NOW)),
    ],
)
def test_what_lies_before_the_oldest_record_is_gone(
    oldest: datetime | None, lost: tuple[datetime, datetime] | None
) -> None:
    assert backfill.deleted(WORK, oldest, NOW) == lost


@pytest.mark.parametrize(("ahead", "near"), [(301, False), (300, False), (299, True), (0, True), (-60, True)])
def test_near_the_edge_the_vendor_may_delete_what_comes_next(ahead: int, near: bool) -> None:
    work = replace(WORK, reached=NOW - DAY + timedelta(seconds=ahead))
    assert backfill.near_the_edge(work, NOW, DAY) is near


HOURLY, DAILY = schedule.AUDITS


def test_audits_follow_each_other_without_a_hole() -> None:
    first = schedule.audit_due(HOURLY, NOW, 30 * DAY, None, NOW - DAY)
    assert first == schedule.Span(NOW - 2 * HOUR, NOW - HOUR)
    assert schedule.audit_due(HOURLY, NOW + HOUR / 2, 30 * DAY, first.ends, NOW - DAY) is None
    assert schedule.audit_due(HOURLY, NOW + 3 * HOUR, 30 * DAY, first.ends, NOW - DAY) == schedule.Span(
        first.ends, NOW + 2 * HOUR
    )


def test_an_audit_begins_where_collecting_began() -> None:
    assert schedule.audit_due(DAILY, NOW, 30 * DAY, None, NOW - 25 * HOUR) == schedule.Span(
        NOW - 25 * HOUR, NOW - 24 * HOUR
    )
    assert schedule.audit_due(DAILY, NOW, 30 * DAY, None, NOW - 24 * HOUR) is None


@pytest.mark.parametrize("days", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("rhythm", schedule.AUDITS)
def test_no_record_is_older_than_half_the_retention_when_its_audit_comes(rhythm: schedule.Rhythm, days: int) -> None:
    found = schedule.audit_due(rhythm, NOW, days * DAY, None, NOW - 90 * DAY)
    assert found is not None
    assert NOW - found.begins <= days * DAY / 2


def test_an_audit_leaves_out_what_the_vendor_has_deleted() -> None:
    found = schedule.audit_due(DAILY, NOW, 5 * DAY, NOW - 9 * DAY, NOW - 90 * DAY)
    assert found == schedule.Span(NOW - 5 * DAY, NOW - DAY)
