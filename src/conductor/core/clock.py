"""Wall time, in one place. Durations are asyncio's own; see docs/explanation/architecture.md."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)  # that an engine can hold
MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """The host's wall time in UTC: for display, audit and as a fallback for an upstream's Date header."""
    return EPOCH + timedelta(seconds=time.time())  # not by the C library: a zone with leap seconds would shift it


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, which is how the store and the analytics keep every time."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The inverse of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and a Z, as API and CLI print times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_exact(moment: datetime) -> str:
    """RFC 3339 in UTC to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def hour(moment: datetime) -> datetime:
    """The hour in UTC in which it lies."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day(moment: datetime) -> datetime:
    """The day in UTC in which it lies."""
    return hour(moment).replace(hour=0)
