from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from conductor.simulator import rate

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_bucket_gives_its_burst_and_then_what_it_regains():
    bucket = rate.Bucket(rate.Limit(2, 0.5), NOON)
    assert [bucket.take(NOON) for _ in range(3)] == [True, True, False]
    assert [bucket.take(after(1.9)), bucket.take(after(2)), bucket.take(after(2))] == [False, True, False]


def test_a_bucket_never_holds_more_than_its_burst():
    bucket = rate.Bucket(rate.Limit(2, 10), NOON)
    assert [bucket.take(after(3600)) for _ in range(3)] == [True, True, False]


def test_a_clock_set_back_brings_no_tokens():
    bucket = rate.Bucket(rate.Limit(1, 1), NOON)
    bucket.take(NOON)
    assert [bucket.take(after(-60)), bucket.take(after(0.5))] == [False, False]


def test_headers_tell_when_the_next_token_comes():
    bucket = rate.Bucket(rate.Limit(10, 0.5), NOON)
    for _ in range(10):
        bucket.take(NOON)
    told = {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(after(2).timestamp())),
    }
    assert rate.headers(bucket) == told


@pytest.mark.parametrize(
    ("text", "limit"),
    [("none", None), ("plan", rate.Limit(2, 2)), ("25/s", rate.Limit(25, 25)), ("0.5/s", rate.Limit(1, 0.5))],
)
def test_a_limit_is_named_in_three_ways(text, limit):
    assert rate.parse(text, "free") == limit


@pytest.mark.parametrize("text", ["", "5", "0/s", "-1/s", "nan/s", "inf/s", "fast"])
def test_other_limits_are_refused(text):
    with pytest.raises(ValueError):
        rate.parse(text, "free")
