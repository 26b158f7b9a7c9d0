"""Reads spans again, page by page, behind live collection: gaps, what a person asked for, audits for late records.

All its commits carry the live owner's epoch and go to a lane of their own: the live checkpoint is never touched. See
docs/explanation/completeness.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from conductor.core import backfill, clock, schedule
from conductor.core.backfill import AUDIT, Backfill
from conductor.core.errors import CheckpointLost, SourceError, UnexpectedResponse
from conductor.core.integration import Integration
from conductor.core.schedule import Span
from conductor.core.signal import Checkpoint, Signal, SignalBatch
from conductor.observe import log
from conductor.outbound.client import Usage
from conductor.signal_client import findings, outcome
from conductor.signal_client.assembly import Source
from conductor.signal_client.outcome import Patience
from conductor.signal_client.tools import Tools
from conductor.store import backfills, gaps, journal, polls
from conductor.store.backfills import Progress, Wanted
from conductor.store.database import Connection
from conductor.store.journal import Page, Position


@dataclass(slots=True)
class _Reading:
    """One span being read: its lane's position, the connector's pages, and what this sitting has used."""

    work: Backfill
    position: Position
    timed: bool = True  # positions tell a time, so that the end of the span is seen
    pages: AsyncGenerator[SignalBatch, None] | None = None
    usage: Usage = field(default_factory=Usage)
    poll_id: int | None = None
    counted: int = 0  # requests of this sitting that are counted already


class Recovery:
    """The spans of one integration. `step` reads one page; `rest` is called before live collection goes on."""

    def __init__(self, integration: Integration, source: Source, tools: Tools) -> None:
        self._integration = integration
        self._source = source
        self._tools = tools
        self._patience = Patience()
        self._retry_at = 0.0  # on the loop's clock
        self._reading: _Reading | None = None

    async def step(self, live: Position) -> float | None:
        """One page of the most urgent span: 0 when there may be more at once, the seconds to wait after a failure,
        None when nothing is to be read. Raises StoreError, Fenced."""
        wait = self._retry_at - asyncio.get_running_loop().time()
        if wait > 0:
            return wait
        work = await self._urgent(live)
        if work is None:
            await self.rest()
            await self.forget()
            return None
        try:
            await self._page(work, live)
        except SourceError as error:
            return await self._failed(error)
        self._patience.succeeded()
        return 0.0

    async def rest(self) -> None:
        """Close the record of this sitting. What is being read goes on with the next step."""
        if self._reading is not None:
            await self._end_sitting(self._reading, complete=False)

    async def forget(self) -> None:
        """Let go of what is being read: the next step looks up where it stands."""
        reading, self._reading = self._reading, None
        if reading is not None and reading.pages is not None:
            await reading.pages.aclose()

    async def _urgent(self, live: Position) -> Backfill | None:
        """What is to be read next; audits that are due are put in the queue when it is empty."""
        integration_id = self._integration.id
        found = await self._tools.database.read(lambda connection: backfills.urgent(connection, integration_id))
        if found is not None or live.covered_until is None:
            return found
        done = await self._tools.database.read(lambda connection: backfills.audited(connection, integration_id))
        due = self._due(live, live.covered_until, done)
        if not due:
            return None

        def add(connection: Connection) -> Backfill:
            journal.check_fence(connection, live)
            added = [backfills.add(connection, integration_id, wanted, by=gaps.CONDUCTOR) for wanted in due]
            return added[0]

        return await self._tools.write(add)

    def _due(self, live: Position, covered: datetime, done: dict[str, datetime]) -> list[Wanted]:
        retention, floor = self._source.config.retention(live.seen), self._integration.changed_at
        spans = [
            (rhythm.name, schedule.audit_due(rhythm, self._source.http.now, retention, done.get(rhythm.name), floor))
            for rhythm in schedule.AUDITS
        ]
        return [
            Wanted(span.begins, min(span.ends, covered), lane=AUDIT, cause=name)
            for name, span in spans
            if span is not None and span.begins < covered
        ]

    async def _page(self, work: Backfill, live: Position) -> None:
        reading = self._reading
        if reading is None or (reading.work.id, reading.work.begins) != (work.id, work.begins):
            await self.rest()
            await self.forget()
            self._reading = reading = await self._reading_of(work, live)
        reading.work = work
        await self._begin_sitting(reading)
        if reading.pages is None and not await self._open(reading, live):
            return
        if self._near_the_edge(reading) and not await self._look_for_oldest(reading):
            return
        try:
            batch = None if reading.pages is None else await anext(reading.pages, None)
        except CheckpointLost as lost:
            await self._go_on_at_oldest(reading, lost, live)
        else:
            await self._commit(reading, batch or SignalBatch((), None, self._source.http.now), live)

    async def _reading_of(self, work: Backfill, live: Position) -> _Reading:
        position = await self._tools.write(lambda connection: journal.beside(connection, live, work.lane))
        return _Reading(work, position)

    async def _open(self, reading: _Reading, live: Position) -> bool:
        """Begin at the span's place in time; or, when it was being read before, go on at the lane's checkpoint."""
        work, known, connector = reading.work, live.checkpoint, self._source.connector
        if work.lane != AUDIT:  # one request, that a quiet tenant's audit need not cost
            oldest = await connector.oldest()
            if not await self._tell_deleted(reading, oldest):
                return False
            known = oldest or known
        start = connector.since(reading.work.at, known)
        reading.timed = start is not None
        if work.state == backfill.RUNNING and reading.position.checkpoint and reading.work.at == work.at:
            start = reading.position.checkpoint
        await self._begin(reading, start)
        reading.pages = connector.poll(start)
        return True

    async def _begin(self, reading: _Reading, start: Checkpoint | None) -> None:
        """The lane stands where the span is read from, in one transaction with saying that it is being read."""
        work, position, now = reading.work, reading.position, clock.now()
        page = Page(reading.poll_id or 0, (), start, None, begin_anew=True)

        def begin(connection: Connection) -> Position:
            backfills.begin(connection, work)
            if work.gap_id is not None:
                gaps.recovering(connection, work.gap_id)
            return journal.commit(connection, position, page, now).position

        reading.position = await self._tools.write(begin)

    def _near_the_edge(self, reading: _Reading) -> bool:
        """An audit never is: it comes within half the retention."""
        if reading.work.lane == AUDIT or not reading.timed:
            return False
        retention = self._source.config.retention(reading.position.seen)
        return backfill.near_the_edge(reading.work, self._source.http.now, retention)

    async def _look_for_oldest(self, reading: _Reading) -> bool:
        return await self._tell_deleted(reading, await self._source.connector.oldest())

    async def _tell_deleted(self, reading: _Reading, oldest: Checkpoint | None) -> bool:
        """Tell what the vendor no longer has of the span; whether anything is left to read."""
        work, position = reading.work, reading.position
        found = backfill.deleted(work, oldest.time if oldest else None, self._source.http.now)
        if found is None:
            return True
        lost, requests = Span(*found), self._requests(reading)

        def tell(connection: Connection) -> Backfill:
            journal.check_fence(connection, position)
            return findings.lose(connection, work, lost, requests)

        reading.work = await self._tools.write(tell)
        if work.gap_id is not None or work.reached is not None:
            facts = findings.span_facts(self._integration.name, lost)
            log(logging.WARNING, f"{self._integration.connector}: events are lost", facts)
        if reading.work.state == backfill.DONE:
            await self._end(reading)
            return False
        return True

    async def _go_on_at_oldest(self, reading: _Reading, lost: CheckpointLost, live: Position) -> None:
        """The vendor takes neither the lane's position nor its time."""
        reading.pages = None
        if not await self._tell_deleted(reading, lost.resume):
            return
        await self._begin(reading, lost.resume)
        reading.pages = self._source.connector.poll(lost.resume)
        await self._commit(reading, SignalBatch(lost.found, lost.resume), live)

    async def _commit(self, reading: _Reading, batch: SignalBatch, live: Position) -> None:
        """One page of the span and what it means, in one transaction."""
        work, position, now = reading.work, reading.position, clock.now()
        inside, reached = self._inside(work, batch.signals), self._reached(reading, batch)
        if batch.stalled:
            raise UnexpectedResponse(code="source.stalled", n=1)
        page = Page(
            reading.poll_id or 0,
            inside,
            batch.checkpoint,
            None,
            quarantined=batch.quarantined,
            read_at=self._source.http.vendor_time,
        )
        requests = self._requests(reading)

        def commit(connection: Connection) -> tuple[journal.Committed, Backfill]:
            done = journal.commit(connection, position, page, now)
            findings.leave_out(connection, work, batch.quarantined)
            after = backfills.advance(connection, work, Progress(reached, requests, len(inside), done.new))
            if after.state == backfill.RUNNING and reached >= after.ends:
                findings.conclude(connection, after, live.covered_until or now)
            return done, after

        done, reading.work = await self._tools.write(commit)
        reading.position = done.position
        self._tools.count(self._integration, done)
        if done.new and findings.looks_for_late(work):
            await findings.note_late(self._tools, self._integration, self._times(done.fresh))
        if reading.work.state != backfill.RUNNING or reached >= reading.work.ends:
            await self._end(reading)

    def _inside(self, work: Backfill, page: Sequence[Signal]) -> list[Signal]:
        """What lies behind the end of the span is left to live collection: it may not have been read yet."""
        taken = self._source.connector.taken
        return [signal for signal in page if (taken(signal) or work.begins) < work.ends]

    def _reached(self, reading: _Reading, batch: SignalBatch) -> datetime:
        work = reading.work
        if batch.covered_until is not None:
            return work.ends
        if not reading.timed or batch.checkpoint is None:
            return work.at
        return min(max(work.at, batch.checkpoint.time), work.ends)

    def _times(self, fresh: Sequence[Signal]) -> list[datetime]:
        times = [self._source.connector.taken(signal) for signal in fresh]
        return sorted(moment for moment in times if moment is not None)

    def _requests(self, reading: _Reading) -> int:
        """Requests since this was asked last."""
        more = reading.usage.requests - reading.counted
        reading.counted = reading.usage.requests
        return more

    async def _begin_sitting(self, reading: _Reading) -> None:
        """A poll's record for what is read between two live polls."""
        if reading.poll_id is None:
            reading.usage, reading.counted, position, now = Usage(), 0, reading.position, clock.now()
            reading.poll_id = await self._tools.write(lambda connection: polls.begin(connection, position, now))
        self._source.http.usage = reading.usage

    async def _end_sitting(self, reading: _Reading, *, complete: bool, ended: polls.Outcome | None = None) -> None:
        poll_id, reading.poll_id = reading.poll_id, None
        if poll_id is None:
            return
        how = ended or outcome.good(reading.usage, complete=complete)
        await self._source.http.close()
        poll = await self._tools.write(lambda connection: polls.end(connection, poll_id, how, clock.now()))
        self._tools.tell(self._integration, poll)

    async def _end(self, reading: _Reading) -> None:
        """The span is read, or nobody wants it any more."""
        await self._end_sitting(reading, complete=True)
        findings.tell(self._integration, reading.work)
        await self.forget()

    async def _failed(self, error: SourceError) -> float:
        """As live collection waits, so does this, by its own count of failures."""
        wait = self._patience.failed(error)
        self._retry_at = asyncio.get_running_loop().time() + wait
        if self._reading is not None:
            how = outcome.failed(error, wait, self._reading.usage, needs_person=error.needs_person)
            await self._end_sitting(self._reading, complete=False, ended=how)
        await self.forget()
        return wait
