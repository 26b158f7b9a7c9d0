"""How a poll ended, for its record, and how long to wait after a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from conductor.core import clock, schedule
from conductor.core.errors import RateLimited, SourceError, Unavailable, UnexpectedResponse
from conductor.core.poll import OK
from conductor.outbound import pace
from conductor.outbound.client import Usage
from conductor.store.polls import Outcome

NEW_SECRET = timedelta(minutes=5)  # a secret changed at the vendor may take a while to work
NEW_SECRET_RETRY = 60.0  # seconds


class Patience:
    """Counts the failures in a row, and says how long to wait after each by what kind it is."""

    def __init__(self) -> None:
        self.failures = 0
        self._since: datetime | None = None

    def succeeded(self) -> None:
        """The row is broken."""
        self.failures, self._since = 0, None

    def failed(self, error: SourceError) -> float:
        """Seconds until the next try."""
        self.failures += 1
        self._since = self._since or clock.now()
        match error:
            case RateLimited(retry_after=float(told)):
                return told
            case RateLimited():
                return pace.backoff(self.failures, cap=schedule.RATE_CAP)
            case Unavailable() | UnexpectedResponse():
                return pace.backoff(self.failures, cap=schedule.BACKOFF_CAP, base=schedule.BACKOFF_BASE)
            case _ if clock.now() - self._since < NEW_SECRET:
                return NEW_SECRET_RETRY
            case _:
                return schedule.HOURLY.total_seconds()


def good(usage: Usage, *, complete: bool, facts: Mapping[str, Any] | None = None) -> Outcome:
    """It went well; `facts` are what was odd all the same."""
    return Outcome(
        OK,
        facts=facts,
        requests=usage.requests,
        complete=complete,
        rate_limit=usage.limit,
        rate_remaining=usage.remaining,
    )


def failed(error: SourceError, wait: float, usage: Usage) -> Outcome:
    """It failed, and is tried again after the wait."""
    return Outcome(
        error.code,
        reason=str(error),
        facts={**error.facts, "n": round(wait)},
        needs_person=error.needs_person,
        retry_at=clock.now() + timedelta(seconds=wait),
        requests=usage.requests,
        rate_limit=usage.limit,
        rate_remaining=usage.remaining,
    )
