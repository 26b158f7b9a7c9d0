"""Waiting as told, and never asking faster than our share."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import virtual
from hypothesis import given
from hypothesis import strategies as st

from conductor.core.config import Allowance
from conductor.outbound import pace
from conductor.outbound.pace import Limiter, Limiters, RateHeaders

NOW = datetime(2026, 11, 22, 7, 30, 0, tzinfo=UTC)
FORMS = {
    "seconds": ("7", 7.0),
    "spaces": (" 7 ", 7.0),
    "a fraction": ("2.5", 2.5),
    "at once": ("0", 0.5),
    "nearly at once": ("0.001", 0.5),
    "the most": ("300", 300.0),
    "more than the most": ("301", None),
    "IMF date": ("Sun, 22 Nov 2026 07:30:07 GMT", 7.0),
    "RFC 850 date": ("Sunday, 22-Nov-26 07:30:07 GMT", 7.0),
    "asctime date": ("Sun Nov 22 07:30:07 2026", 7.0),
    "another zone": ("Sun, 22 Nov 2026 08:30:07 +0100", 7.0),
    "a date just now": ("Sun, 22 Nov 2026 07:30:00 GMT", 0.5),
    "a date gone by": ("Sun, 22 Nov 2026 07:29:59 GMT", None),
    "a date far ahead": ("Sun, 22 Nov 2099 07:30:07 GMT", None),
    "a leap second": ("Sun, 22 Nov 2026 07:30:60 GMT", None),
    "words": ("soon", None),
    "nothing": ("", None),
    "negative": ("-5", None),
    "not a number": ("nan", None),
    "negative not a number": ("-nan", None),
    "endless": ("inf", None),
    "minus endless": ("-Infinity", None),
    "a billion": ("1e9", None),
    "too large for a float": ("1e999", None),
    "Arabic digits": ("٧", None),
    "full-width digits": ("７", None),
    "a list": ("7, 7", None),
    "half a date": ("Sun, 22 Nov", None),
    "a month that is none": ("Sun, 22 Foo 2026 07:30:07 GMT", None),
    "day 99": ("Sun, 99 Nov 2026 07:30:07 GMT", None),
    "year 10000": ("Sun, 22 Nov 10000 07:30:07 GMT", None),
}
RESETS = {
    "ahead": (7, 7.0),
    "now": (0, 0.5),
    "the most": (300, 300.0),
    "past": (-1, None),
    "long past": (-86_400, None),
    "too far ahead": (301, None),
    "a day ahead": (86_400, None),
}
Loaded = list[float]


def text(headers: dict[str, str] | None = None, **named: object) -> Mapping[str, str]:
    return {name.replace("_", "-"): str(value) for name, value in {**(headers or {}), **named}.items()}


@pytest.mark.parametrize(("told", "seconds"), FORMS.values(), ids=FORMS)
def test_f10_it_waits_as_long_as_the_vendor_says(told: str, seconds: float | None) -> None:
    assert pace.wait_told({"retry-after": told}, NOW) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), RESETS.values(), ids=RESETS)
def test_f11_a_plausible_reset_is_waited_for(ahead: int, seconds: float | None) -> None:
    reset = NOW.timestamp() + ahead
    assert pace.wait_told(text(x_ratelimit_reset=reset), NOW) == seconds


@pytest.mark.parametrize("reset", ["99999999999", "1795332607000", "nan", "inf", "-inf", "soon", "", "٧"])
def test_f11_a_reset_in_the_year_5138_in_milliseconds_or_in_words_is_not_believed(reset: str) -> None:
    assert pace.wait_told({"x-ratelimit-reset": reset}, NOW) is None


def test_retry_after_goes_before_the_reset_and_the_reset_before_nothing() -> None:
    reset = NOW.timestamp() + 20
    assert pace.wait_told(text({"retry-after": "7"}, x_ratelimit_reset=reset), NOW) == 7.0
    assert pace.wait_told(text({"retry-after": "soon"}, x_ratelimit_reset=reset), NOW) == 20.0
    assert pace.wait_told({}, NOW) is None


def test_a_token_endpoint_may_ask_for_a_day() -> None:
    assert pace.wait_told({"retry-after": "86400"}, NOW, most=86_400.0) == 86_400.0
    assert pace.wait_told({"retry-after": "86401"}, NOW, most=86_400.0) is None


ODD = st.one_of(
    st.text(max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(lambda moment: format_datetime(moment)),
    st.datetimes().map(lambda moment: moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")),
    st.datetimes().map(lambda moment: moment.strftime("%a %b %d %H:%M:%S %Y")),
    st.integers(-400, 400).map(lambda seconds: format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)),
)


@given(retry_after=ODD | st.none(), reset=ODD | st.none())
def test_f10_f11_whatever_is_told_the_wait_is_bounded_or_our_own(retry_after: str | None, reset: str | None) -> None:
    told = {"retry-after": retry_after, "x-ratelimit-reset": reset}
    wait = pace.wait_told({name: value for name, value in told.items() if value is not None}, NOW)
    assert wait is None or (math.isfinite(wait) and 0.5 <= wait <= 300)


@given(attempt=st.integers(0, 10**6), cap=st.floats(0.5, 900), base=st.floats(0.1, 10), seed=st.integers())
def test_f09_our_own_wait_is_random_and_bounded_however_often_it_failed(
    attempt: int, cap: float, base: float, seed: int
) -> None:
    wait = pace.backoff(attempt, cap=cap, base=base, chance=random.Random(seed))
    assert 0.5 <= wait <= max(0.5, min(cap, base * 2 ** min(attempt, 20)))


def test_f09_our_own_wait_grows_and_is_spread_over_its_whole_range() -> None:
    chance = random.Random(7)
    for attempt, most in ((1, 2), (3, 8), (9, 120)):
        waits = [pace.backoff(attempt, cap=120.0, chance=chance) for _ in range(500)]
        assert max(waits) > 0.9 * most
        assert min(waits) < 0.5 + 0.1 * most


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "read"),
    [
        ("10", "9", "1795332607", RateHeaders(10, 9, 1795332607.0)),
        ("10", "x", "nan", RateHeaders(10, None, None)),
        ("inf", "-inf", "", RateHeaders(None, None, None)),
        ("1e300", "-7", "0", RateHeaders(2**31 - 1, 0, 0.0)),
    ],
)
def test_f11_rate_headers_are_read_as_numbers_that_the_store_can_hold(
    limit: str, remaining: str, reset: str, read: RateHeaders
) -> None:
    told = text(x_ratelimit_limit=limit, x_ratelimit_remaining=remaining, x_ratelimit_reset=reset)
    assert pace.read_headers(told) == read
    assert pace.read_headers({}) == RateHeaders(None, None, None)


def allowance(announced: int) -> Allowance:
    return Allowance(per_second=float(announced), burst=float(announced))


def limiter(share: float, per_second: float = 10.0, burst: float = 10.0) -> Limiter:
    made = Limiter()
    made.join("one", share, Allowance(per_second, burst))
    return made


def ask(made: Limiter, requests: int, askers: int = 1, told: Sequence[RateHeaders] = ()) -> Loaded:
    """When each of that many requests was let go, in virtual seconds; `told` are answers that came just before."""

    async def scenario() -> Loaded:
        times: Loaded = []
        for headers in told:
            made.observe(headers, allowance)

        async def asker() -> None:
            while len(times) < requests:
                await made.wait()
                times.append(asyncio.get_running_loop().time())

        await asyncio.gather(*(asker() for _ in range(askers)))
        return times[:requests]

    return virtual.run(scenario())


@given(share=st.floats(0.01, 1), per_second=st.floats(0.1, 50), burst=st.floats(1, 50), askers=st.integers(1, 5))
def test_the_share_is_never_exceeded(share: float, per_second: float, burst: float, askers: int) -> None:
    times = ask(limiter(share, per_second, burst), 40, askers)
    room = max(1.0, burst * share)
    for first in range(len(times)):
        for last in range(first, len(times)):
            asked = last - first + 1
            assert asked <= room + (times[last] - times[first]) * per_second * share + 1e-6


def test_all_of_the_share_is_used() -> None:
    times = ask(limiter(0.2), 101)
    assert times[-1] == pytest.approx(100 / (10 * 0.2), rel=0.05)


def test_after_a_pause_no_more_than_the_share_of_the_bucket_is_asked_at_once() -> None:
    made = limiter(0.5, per_second=2.0, burst=8.0)

    async def scenario() -> int:
        loop = asyncio.get_running_loop()
        await made.wait()
        await asyncio.sleep(3600)
        began, count = loop.time(), 0
        while loop.time() == began:
            await made.wait()
            count += 1
        return count - 1

    assert virtual.run(scenario()) == 4


def test_f12_a_nearly_empty_bucket_slows_us_down_before_a_429() -> None:
    rates = {}
    for remaining in (10, 5, 4, 2, 0, -3):
        times = ask(limiter(0.2), 12, told=[RateHeaders(10, remaining, None)])
        rates[remaining] = 11 / (times[-1] - times[0])
    assert rates[10] == rates[5] == pytest.approx(2.0)
    assert rates[4] == pytest.approx(2.0 * 4 / 5)
    assert rates[2] == pytest.approx(2.0 * 2 / 5)
    assert rates[0] == rates[-3] == pytest.approx(2.0 * 0.1)


@pytest.mark.parametrize("remaining", [-1, 0, 1, None])
def test_the_whole_share_reserves_nothing_for_others(remaining: int | None) -> None:
    told = pace.read_headers(text(x_ratelimit_limit=10, x_ratelimit_remaining=remaining))
    assert ask(limiter(1.0), 21, told=[told])[-1] == pytest.approx(2.0, rel=0.1)


def test_the_brake_is_released_when_the_bucket_has_filled() -> None:
    told = [RateHeaders(10, remaining, None) for remaining in (0, 9)]
    assert ask(limiter(0.2), 21, told=told)[-1] == pytest.approx(10.0)


def test_the_brake_is_released_when_the_vendor_tells_nothing_more() -> None:
    """One answer said that nothing is left, and no later one says anything: that does not slow us down for ever."""
    times = ask(limiter(0.2), 40, told=[RateHeaders(10, 0, None)])
    assert [at for at in times if at <= 60.0] == pytest.approx([5.0 * number for number in range(13)])
    assert times[13:] == pytest.approx([60.0 + 0.5 * number for number in range(1, 28)])


def test_an_announced_limit_replaces_the_plans() -> None:
    made = limiter(0.5, per_second=2.0)
    assert ask(made, 101, told=[RateHeaders(50, 50, None)])[-1] == pytest.approx((101 - 25) / 25, rel=0.4)


@pytest.mark.parametrize("limit", [None, 0, -5])
def test_a_limit_that_says_nothing_changes_nothing(limit: int | None) -> None:
    assert ask(limiter(0.2), 21, told=[RateHeaders(limit, 0, None)])[-1] == pytest.approx(10.0)


def test_of_several_members_the_smallest_share_counts() -> None:
    made = limiter(0.8)
    made.join("two", 0.1, Allowance(999.0, 999.0))
    assert made.share == 0.1
    assert ask(made, 11)[-1] == pytest.approx(10.0)
    made.leave("two")
    made.leave("never joined")
    assert made.share == 0.8


def test_a_limiter_that_all_have_left_takes_the_next_plan() -> None:
    made = limiter(0.5)
    made.leave("one")
    assert made.share == 1.0
    made.join("two", 1.0, Allowance(1.0, 1.0))
    assert ask(made, 11)[-1] == pytest.approx(10.0)


def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    made = limiter(0.1)

    async def scenario() -> float:
        await made.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await made.wait()
        await made.wait()
        return asyncio.get_running_loop().time()

    assert virtual.run(scenario()) == pytest.approx(1.0)


def test_one_tenant_has_one_limiter() -> None:
    limiters = Limiters()
    assert limiters.of("acme") is limiters.of("acme")
    assert limiters.of("acme") is not limiters.of("other")


def test_what_rounding_leaves_of_a_wait_is_a_moment_in_which_the_clock_moves_on() -> None:
    async def work() -> None:
        limiter, loop = Limiter(), asyncio.get_running_loop()
        limiter.hold(5.0)
        await asyncio.sleep(5.0 - 1e-12)
        tries = 0
        while limiter.held:
            before, tries = loop.time(), tries + 1
            await asyncio.sleep(limiter.held)
            assert loop.time() > before
        assert tries <= 1

    virtual.run(work())
