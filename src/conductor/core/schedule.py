"""When to poll next, and when data is lost. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

HOURLY = timedelta(hours=1)
BACKOFF_BASE = 5.0  # seconds
BACKOFF_CAP = 900.0  # seconds
RATE_CAP = 120.0  # seconds, for a 429 that does not tell how long


def splay(integration_id: int, window: timedelta) -> timedelta:
    """A start delay of its own for each integration, the same after every restart, so that a thousand do not start
    at once."""
    spread = int.from_bytes(hashlib.blake2b(b"%d" % integration_id, digest_size=8).digest(), "big") / 2**64
    return window * spread


@dataclass(frozen=True, slots=True)
class LostSpan:
    """A span the vendor has deleted before it was read."""

    begins: datetime
    ends: datetime


def lost_span(
    now: datetime, retention: timedelta, checkpoint: datetime | None, covered_until: datetime | None
) -> LostSpan | None:
    """What the vendor has already deleted although we did not read it.

    A quiet tenant's checkpoint is old, but its last complete pass is not: whichever is later counts.
    """
    known = [moment for moment in (checkpoint, covered_until) if moment is not None]
    if not known:
        return None
    oldest = now - retention
    reached = max(known)
    return LostSpan(reached, oldest) if reached < oldest else None


def loss_at(retention: timedelta, checkpoint: datetime | None, covered_until: datetime | None) -> datetime | None:
    """When the vendor begins to delete what was not collected; None before the first poll."""
    known = [moment for moment in (checkpoint, covered_until) if moment is not None]
    return max(known) + retention if known else None
