"""What reading a span again has shown: it is recovered, or records had come late."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from conductor.core import backfill, clock
from conductor.core.backfill import AUDIT, Backfill
from conductor.core.integration import Integration
from conductor.core.schedule import Span
from conductor.core.signal import Quarantined
from conductor.observe import log
from conductor.signal_client.tools import Tools
from conductor.store import backfills, gaps, polls
from conductor.store.backfills import Progress, Wanted
from conductor.store.database import Connection

CAME_LATE, OUTRUN = "events.late", "backfill.outrun"  # causes of gaps
LEFT_OUT = "An event of this span still cannot be taken."
WIDER = timedelta(days=1)  # before the span in which late records were found; read again at most once in that time


def looks_for_late(work: Backfill) -> bool:
    """Whether every record that it finds had come late: live collection has covered the span."""
    return work.cause not in (backfill.PERSON, backfill.GAP)


def conclude(connection: Connection, work: Backfill, covered: datetime) -> None:
    """A span was read to its end: its gap is recovered, or late records are told and looked for further around, up to
    what live collection has `covered`."""
    backfills.finish(connection, work, work.note)
    if work.gap_id is not None and work.note:
        gaps.lose(connection, work.gap_id, Span(work.begins, work.ends), work.note)
    elif work.gap_id is not None:
        gaps.recovered(connection, work.gap_id, work.new)
    elif work.new and looks_for_late(work):
        count, were = (f"{work.new:,} events", "were") if work.new > 1 else ("1 event", "was")
        note = f"{count} came later than the overlap waits, and {were} collected by reading the span again."
        span = Span(work.begins, work.ends)
        gaps.settled(connection, work.integration_id, span, cause=CAME_LATE, state="recovered", note=note)
        since = clock.now() - WIDER
        if work.lane == AUDIT and not backfills.asked(connection, work.integration_id, backfill.LATE, since):
            floor = backfills.first_audited(connection, work.integration_id)
            wider = Wanted(max(work.begins - WIDER, floor), covered, cause=backfill.LATE)
            backfills.add(connection, work.integration_id, wider, by=gaps.CONDUCTOR)


def leave_out(connection: Connection, work: Backfill, found: Sequence[Quarantined]) -> None:
    """A record of the span cannot be taken, now as before: the gap that it leaves is not recovered."""
    if work.gap_id is not None and any(item.begins is not None for item in found):
        backfills.note(connection, work, LEFT_OUT)


def lose(connection: Connection, work: Backfill, lost: Span, requests: int) -> Backfill:
    """The vendor no longer has that part of a span. The answer is what is left, finished when that is nothing.

    A gap's part is lost. Of a backfill it is lost when the vendor deleted it while it was being read; before its first
    page it only means that the log begins there.
    """
    backfills.advance(connection, work, Progress(lost.ends, requests, 0, 0))
    if work.gap_id is not None:
        gaps.lose(connection, work.gap_id, lost)
    elif work.reached is not None:
        gaps.settled(connection, work.integration_id, lost, cause=OUTRUN, state="lost", note=gaps.GONE)
    if lost.ends >= work.ends:
        backfills.finish(connection, work, "" if work.reached else gaps.GONE)
    return backfills.get(connection, work.id)


def tell(integration: Integration, work: Backfill) -> None:
    """Log what a span that was read has shown."""
    facts = {**span_facts(integration.name, Span(work.begins, work.ends)), "new": work.new, "requests": work.requests}
    if work.new and looks_for_late(work):
        log(logging.WARNING, f"{integration.connector}: events came late", {**facts, "code": CAME_LATE})
    elif work.lane != AUDIT:
        log(logging.INFO, f"{integration.connector}: read a span again", {**facts, "cause": work.cause})


async def note_late(tools: Tools, integration: Integration, times: list[datetime]) -> None:
    """Count records that live collection had not seen, and how late they were at the least: the last poll that began
    behind such a record did not see it."""
    names = (integration.name, integration.connector)
    tools.metrics.unseen.labels(*names).inc(len(times))
    looked = [
        (moment, await tools.database.read(lambda c, at=moment: polls.last_behind(c, integration.id, at)))  # type: ignore[misc]
        for moment in (times[:1] + times[-1:])
    ]
    late = [(poll - moment).total_seconds() for moment, poll in looked if poll is not None and poll > moment]
    if late:
        tools.metrics.lateness.labels(*names).set(max(late))


def span_facts(name: str, span: Span) -> dict[str, str]:
    """A span, for a log line."""
    return {"integration": name, "from": clock.to_text(span.begins), "to": clock.to_text(span.ends)}
