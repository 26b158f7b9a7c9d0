"""How fast we ask: one limiter a tenant, for everything we ask of it, below our share of the vendor's limit."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from conductor.core.config import Allowance

MIN_WAIT, MAX_WAIT = 0.5, 300.0  # seconds of waiting that we believe
LARGEST = 2**31 - 1  # requests in a bucket that we believe
SLOWEST = 0.1  # of our pace, when the vendor's bucket is nearly empty
MOMENT = 0.001  # seconds
TINY = 1e-9  # of a request, left by rounding
STALE = 60.0  # seconds after which an answer tells nothing of what is left now


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What a vendor's answer says of its limit: bucket size, what is left of it, when it is filled (epoch seconds)."""

    limit: int | None
    remaining: int | None
    reset: float | None


class Limiter:
    """A token bucket at our share of the tenant's allowance. Waits on the loop's own clock."""

    def __init__(self) -> None:
        self._allowance = Allowance(per_second=1.0, burst=1.0)
        self._shares: dict[object, float] = {}
        self._tokens = 1.0
        self._filled_at = -math.inf
        self._brake = 1.0
        self._braked_until = -math.inf
        self._held_until = -math.inf
        self._lock = asyncio.Lock()

    @property
    def share(self) -> float:
        """The smallest share that any of the tenant's integrations was given."""
        return min(self._shares.values(), default=1.0)

    def join(self, member: object, share: float, allowance: Allowance) -> None:
        """An integration begins to ask this tenant; its plan's allowance stands until an answer tells another."""
        if not self._shares:
            self._allowance = allowance
        self._shares[member] = share

    def leave(self, member: object) -> None:
        """An integration asks no more."""
        self._shares.pop(member, None)

    async def wait(self) -> None:
        """Return when the next request may go."""
        async with self._lock:
            self._fill()
            while (missing := 1.0 - self._tokens) > TINY:
                await asyncio.sleep(self._until(missing))
                self._fill()
            self._tokens = max(0.0, self._tokens - 1.0)

    def hold(self, seconds: float) -> None:
        """The vendor told one of us to wait: that is meant for everybody who asks this tenant."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    @property
    def held(self) -> float:
        """Seconds for which nothing may be asked; 0 when nothing was told.

        What rounding leaves is a moment: a wait of less than the clock can tell would be no wait at all.
        """
        left = self._held_until - asyncio.get_running_loop().time()
        return max(left, MOMENT) if left > 0 else 0.0

    def observe(self, headers: RateHeaders, allowance: Callable[[int], Allowance]) -> None:
        """Learn from an answer: the true limit, and how much of it is left for everybody."""
        if headers.limit is None or headers.limit <= 0:
            return
        self._allowance = allowance(headers.limit)
        reserved = min(0.5, 1.0 - self.share) * headers.limit
        if headers.remaining is None or headers.remaining >= reserved or not reserved:
            self._brake = 1.0
        else:
            self._brake = max(SLOWEST, headers.remaining / reserved)
        self._braked_until = asyncio.get_running_loop().time() + STALE

    @property
    def _pace(self) -> float:
        return self._allowance.per_second * self.share

    def _until(self, missing: float) -> float:
        """Seconds until so many tokens have come, or until the brake is released."""
        braked = self._braked_until - asyncio.get_running_loop().time()
        return min(braked, missing / (self._pace * self._brake)) if braked > TINY else missing / self._pace

    def _fill(self) -> None:
        now = asyncio.get_running_loop().time()
        room = max(1.0, self._allowance.burst * self.share)
        if math.isfinite(self._filled_at):
            braked = max(0.0, min(now, self._braked_until) - self._filled_at)
            free = now - self._filled_at - braked
            self._tokens = min(room, self._tokens + (free + braked * self._brake) * self._pace)
        self._filled_at = now


class Limiters:
    """The limiters of all tenants, by the tenant's name."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, Limiter] = {}

    def of(self, tenant: str) -> Limiter:
        """The one limiter of a tenant."""
        return self._by_tenant.setdefault(tenant, Limiter())


def read_headers(headers: Mapping[str, str]) -> RateHeaders:
    """The usual `x-ratelimit-*` headers; what cannot be read as a number is None."""
    return RateHeaders(
        _whole(headers.get("x-ratelimit-limit")),
        _whole(headers.get("x-ratelimit-remaining")),
        _number(headers.get("x-ratelimit-reset")),
    )


def wait_told(headers: Mapping[str, str], now: datetime, *, most: float = MAX_WAIT) -> float | None:
    """Seconds a 429 tells us to wait: Retry-After (seconds or a date), else a plausible reset; None when it does not.

    `now` is the server's time. Whatever is past, not finite or further ahead than `most` seconds is not believed
    (RFC 9110, section 10.2.3).
    """
    told = _retry_after(headers.get("retry-after"), now, most)
    if told is not None:
        return told
    reset = _number(headers.get("x-ratelimit-reset"))
    if reset is None:
        return None
    ahead = reset - now.timestamp()
    return max(MIN_WAIT, ahead) if 0 <= ahead <= MAX_WAIT else None


def backoff(attempt: int, *, cap: float, base: float = 1.0, chance: random.Random | None = None) -> float:
    """Full jitter: a random wait up to base * 2^attempt seconds, never above `cap`, never below half a second."""
    ceiling = min(cap, base * 2 ** min(attempt, 20))
    return max(MIN_WAIT, (chance or random).uniform(0, ceiling))


def _retry_after(text: str | None, now: datetime, most: float) -> float | None:
    if text is None:
        return None
    seconds = _number(text)
    if seconds is None:
        seconds = _until_date(text, now)
    if seconds is None or seconds < 0:
        return None
    return max(MIN_WAIT, seconds) if seconds <= most else None


def _until_date(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()


def _number(text: str | None) -> float | None:
    if text is None or not text.strip().isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str | None) -> int | None:
    """Never below zero, and no more than the store's column holds."""
    value = _number(text)
    return None if value is None else int(min(max(value, 0.0), LARGEST))
