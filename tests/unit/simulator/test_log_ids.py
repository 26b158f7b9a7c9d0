from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from conductor.core import clock
from conductor.simulator import log_ids

MOMENT = datetime(2026, 3, 1, 12, 34, 56, 789012, tzinfo=UTC)


def test_an_id_is_the_time_of_ingestion_and_a_number():
    log_id = log_ids.make(clock.to_micros(MOMENT), 7)
    assert log_id == "90020260301123456789012" + "000000000000001223372" + "000000000007"
    assert log_ids.WELL_FORMED.fullmatch(log_id)


def test_ids_sort_by_time_and_then_by_number():
    micros = clock.to_micros(MOMENT)
    made = [log_ids.make(micros, 9), log_ids.make(micros, 10), log_ids.make(micros + 1, 1)]
    assert made == sorted(made)


def test_a_synthetic_id_lies_below_all_of_its_second():
    low = log_ids.synthetic(MOMENT)
    assert low == "90020260301123456" + "0" * 39
    assert log_ids.make(clock.to_micros(MOMENT) - 10**6, 10**11) < low < log_ids.make(clock.to_micros(MOMENT), 0)


def test_a_synthetic_id_is_in_utc():
    assert log_ids.synthetic(MOMENT.astimezone(timezone(timedelta(hours=5)))) == log_ids.synthetic(MOMENT)


def test_the_oldest_id_is_as_old_as_the_retention():
    assert log_ids.oldest(MOMENT, 5, "800").startswith("80020260224123456")
