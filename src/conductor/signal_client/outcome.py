"""How a poll ended, for its record, and how long to wait after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from conductor.core import clock, schedule
from conductor.core.errors import CredentialsRejected, RateLimited, SourceError, Unavailable, UnexpectedResponse
from conductor.core.poll import OK, Exchange
from conductor.observe import redactor
from conductor.outbound import pace
from conductor.outbound.client import Usage
from conductor.store.polls import Outcome

NEW_SECRET = 300.0  # seconds; a secret changed at the vendor may take a while to work
NEW_SECRET_RETRY = 60.0  # seconds


class Patience:
    """Counts the failures in a row, and says how long to wait after each by what kind it is."""

    def __init__(self) -> None:
        self.failures = 0
        self._since: float | None = None  # by the loop's clock
        self._worked = False

    def succeeded(self) -> None:
        """The row is broken."""
        self.failures, self._since, self._worked = 0, None, True

    def failed(self, error: SourceError) -> float:
        """Seconds until the next try."""
        self.failures += 1
        self._since = asyncio.get_running_loop().time() if self._since is None else self._since
        match error:
            case RateLimited(retry_after=float(told)):
                return told
            case RateLimited():
                return pace.backoff(self.failures, cap=schedule.RATE_CAP)
            case Unavailable() | UnexpectedResponse():
                return pace.backoff(self.failures, cap=schedule.BACKOFF_CAP, base=schedule.BACKOFF_BASE)
            case CredentialsRejected() if self._just_begun():
                return NEW_SECRET_RETRY
            case _:
                return schedule.HOURLY.total_seconds()

    def needs_person(self, error: SourceError) -> bool:
        """Whether somebody must act. A secret that worked until now may be on its way through the vendor's systems."""
        passing = isinstance(error, CredentialsRejected) and self._worked and self._just_begun()
        return error.needs_person and not passing

    def _just_begun(self) -> bool:
        return self._since is not None and asyncio.get_running_loop().time() - self._since < NEW_SECRET


def good(usage: Usage, *, complete: bool, facts: Mapping[str, Any] | None = None) -> Outcome:
    """It went well; `facts` are what was odd all the same."""
    return Outcome(
        OK,
        facts=facts,
        requests=usage.requests,
        complete=complete,
        rate_limit=usage.limit,
        rate_remaining=usage.remaining,
        exchanges=_without_secrets(usage.exchanges.ended(well=True)),
    )


def failed(error: SourceError, wait: float, usage: Usage, *, needs_person: bool) -> Outcome:
    """It failed, and is tried again after the wait."""
    return Outcome(
        error.code,
        reason=str(error),
        facts={**error.facts, "n": round(wait)},
        needs_person=needs_person,
        retry_at=clock.now() + timedelta(seconds=wait),
        requests=usage.requests,
        rate_limit=usage.limit,
        rate_remaining=usage.remaining,
        exchanges=_without_secrets(usage.exchanges.ended(well=False)),
    )


def _without_secrets(found: Sequence[Exchange]) -> list[Exchange]:
    """As they are stored and shown: what a server says may repeat what it was told."""
    urls = redactor.clean("\n".join(one.url for one in found)).split("\n")  # at once: there may be thousands of secrets
    return [msgspec.structs.replace(one, url=url, body=_clean(one.body)) for one, url in zip(found, urls, strict=False)]


def _clean(body: bytes) -> bytes:
    return redactor.clean(body.decode("utf-8", "replace")).encode() if body else b""
