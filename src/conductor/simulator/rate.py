"""Token buckets per plan, as the vendor publishes them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime

PER_SECOND = re.compile(r"(\d+(?:\.\d+)?)/s")


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket's size and how many tokens a second it regains."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription brings: days of logs, and the limits of both endpoints."""

    retention_days: int
    logs: Limit
    token: Limit


PLANS = {
    "free": Plan(1, Limit(2, 2), Limit(30, 30)),
    "essentials": Plan(5, Limit(10, 100 / 60), Limit(25, 25)),
    "professional": Plan(10, Limit(10, 100 / 60), Limit(25, 25)),
    "enterprise": Plan(30, Limit(50, 16), Limit(100, 100)),
}


def parse(text: str, plan: str) -> Limit | None:
    """The limit on reading logs: `plan` for the plan's own, `none`, or like `25/s`. Raises ValueError."""
    if plan not in PLANS:
        raise ValueError(f"{plan!r} is not a plan: use {', '.join(PLANS)}")
    if text == "plan":
        return PLANS[plan].logs
    if text == "none":
        return None
    found = PER_SECOND.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is not a rate limit: use plan, none or a number like 25/s")
    number = float(found[1])
    return Limit(max(1.0, number), number)


class Bucket:
    """A token bucket that is filled by the clock it is shown."""

    def __init__(self, limit: Limit, now: datetime) -> None:
        self.limit = limit
        self._level = limit.burst
        self._at = now

    def take(self, now: datetime) -> bool:
        """Take one token, if there is one."""
        passed = max(0.0, (now - self._at).total_seconds())
        self._level = min(self.limit.burst, self._level + passed * self.limit.per_second)
        self._at = max(now, self._at)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    @property
    def remaining(self) -> int:
        """Whole tokens left."""
        return int(self._level)

    def next_token(self) -> int:
        """UNIX seconds at which one more request will be possible."""
        missing = max(0.0, math.floor(self._level) + 1 - self._level)
        return math.ceil(self._at.timestamp() + missing / self.limit.per_second)


def headers(bucket: Bucket | None, reset: int | None = None) -> dict[str, str]:
    """The rate limit headers of an answer; none where there is no limit."""
    if bucket is None:
        return {}
    return {
        "x-ratelimit-limit": str(int(bucket.limit.burst)),
        "x-ratelimit-remaining": str(bucket.remaining),
        "x-ratelimit-reset": str(bucket.next_token() if reset is None else reset),
    }
