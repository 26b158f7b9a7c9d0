"""When to poll next, and when data is lost. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

GOLDEN = (5**0.5 - 1) / 2
HOURLY = timedelta(hours=1)
BACKOFF_BASE = 5.0  # seconds
BACKOFF_CAP = 900.0  # seconds
START_MAY_TAKE = timedelta(minutes=5)
RATE_CAP = 120.0  # seconds, for a 429 that does not tell how long


def splay(integration_id: int, window: timedelta) -> timedelta:
    """A start delay of its own for each integration, the same after every restart, so that a thousand do not start
    at once. Multiples of the golden section lie more evenly than chance would have them."""
    return window * (integration_id * GOLDEN % 1)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often spans are read again to look for late records, and how long after they ended."""

    name: str
    every: timedelta
    delay: timedelta


AUDITS = (
    Rhythm("hourly", timedelta(hours=1), timedelta(hours=1)),
    Rhythm("daily", timedelta(days=1), timedelta(days=1)),
)


@dataclass(frozen=True, slots=True)
class Span:
    """From a moment up to another."""

    begins: datetime
    ends: datetime


def lost_span(
    now: datetime, retention: timedelta, checkpoint: datetime | None, covered_until: datetime | None
) -> Span | None:
    """What the vendor has already deleted although we did not read it.

    A quiet tenant's checkpoint is old, but its last complete pass is not: whichever is later counts.
    """
    known = [moment for moment in (checkpoint, covered_until) if moment is not None]
    if not known:
        return None
    oldest = now - retention
    reached = max(known)
    return Span(reached, oldest) if reached < oldest else None


@dataclass(frozen=True, slots=True)
class Both:
    """One moment by our clock, and by the vendor's."""

    here: datetime
    there: datetime


def waited(since: datetime, told: Both | None, now: datetime, there: datetime | None) -> timedelta:
    """How long it is since the first of a row of failed polls, which began at `since` by our clock.

    From the first one that heard of the vendor's time (`told`) it is counted by the vendor's clock, of which `there` is
    the present time: ours may have been set since.
    """
    if told is None or there is None:
        return now - since
    return max(timedelta(0), told.here - since) + (there - told.there)


def lost_start(now: datetime, retention: timedelta, waited: timedelta, start: datetime | None) -> Span | None:
    """What the vendor deleted while the very first poll failed for so long; None when it did not take long.

    `start` is from when on records are wanted, None for everything that the vendor had.
    """
    oldest = now - retention
    wanted = oldest - waited if start is None else max(start, oldest - waited)
    return Span(wanted, oldest) if oldest - wanted > START_MAY_TAKE else None


def loss_at(retention: timedelta, checkpoint: datetime | None, covered_until: datetime | None) -> datetime | None:
    """When the vendor begins to delete what was not collected; None before the first poll."""
    known = [moment for moment in (checkpoint, covered_until) if moment is not None]
    return max(known) + retention if known else None


def audit_due(
    rhythm: Rhythm, now: datetime, retention: timedelta, audited: datetime | None, floor: datetime
) -> Span | None:
    """The span to read again now, None when it is not time yet. Spans follow each other without a hole.

    `audited` is where the last one ended. The first begins at `floor`, when collecting began, or a period before. Where
    the vendor deletes early both times shrink, so that a record is never older than half the retention when its turn
    comes. What the vendor has deleted meanwhile is left out.
    """
    shrink = min(1.0, retention / 2 / (rhythm.every + rhythm.delay))
    every, ends = rhythm.every * shrink, now - rhythm.delay * shrink
    begins = max(ends - every, floor) if audited is None else audited
    if ends - begins < (every if audited else timedelta(minutes=1)):
        return None
    return Span(max(begins, now - retention), ends)
