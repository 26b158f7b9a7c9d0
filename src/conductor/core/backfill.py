"""A backfill reads a span again, behind live collection; an audit does so to look for late records. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

BACKFILL, AUDIT = "backfill", "audit"  # lanes
PERSON, GAP, LATE = "person", "gap", "late"  # causes, beside the names of `schedule.AUDITS`
WAITING, RUNNING, PAUSED, DONE, STOPPED = "waiting", "running", "paused", "done", "stopped"
UNFINISHED = (WAITING, RUNNING, PAUSED)
NEAR_THE_EDGE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Backfill:
    """A span to read again. Everything from `begins` to `reached` was read, or is known to be lost."""

    id: int
    integration_id: int
    lane: str
    cause: str
    gap_id: int | None
    begins: datetime
    ends: datetime
    reached: datetime | None
    state: str
    asked_at: datetime
    asked_by: str
    finished_at: datetime | None
    requests: int
    fetched: int
    new: int
    note: str

    @property
    def at(self) -> datetime:
        """Where reading goes on."""
        return self.begins if self.reached is None else max(self.begins, self.reached)

    @property
    def covered(self) -> float:
        """The share of the time that is covered, 0 to 1."""
        whole = self.ends - self.begins
        return 1.0 if self.state == DONE or whole <= timedelta(0) else min(1.0, (self.at - self.begins) / whole)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a running backfill: its end, and how much the vendor deletes before it is read."""

    left: timedelta | None
    lost: timedelta = timedelta(0)


def outlook(work: Backfill, pace: float | None, now: datetime, retention: timedelta) -> Outlook:
    """`pace` is how many seconds of the log are read in a second.

    The vendor deletes one second of its log in a second: whoever reads slower is caught up with after `ahead / (1 -
    pace)` seconds, and from then on loses what lies between.
    """
    if not pace or pace <= 0:
        return Outlook(None)
    left = (work.ends - work.at) / pace
    ahead = work.at - (now - retention)
    overtaken = ahead / (1 - pace) if pace < 1 else timedelta.max
    return Outlook(left, max(timedelta(0), left - overtaken) * (1 - pace) if overtaken < left else timedelta(0))


def deleted(work: Backfill, oldest: datetime | None, now: datetime) -> tuple[datetime, datetime] | None:
    """What of the rest of a span the vendor no longer has: all before its oldest record, everything when it has none.

    Nobody can tell a deleted record from one that never was: what the vendor cannot show counts as lost.
    """
    until = min(work.ends, oldest or now)
    return (work.at, until) if until > work.at else None


def near_the_edge(work: Backfill, now: datetime, retention: timedelta) -> bool:
    """Whether the vendor might delete what is to be read next, so that its oldest record must be asked for first."""
    return work.at - (now - retention) < NEAR_THE_EDGE
