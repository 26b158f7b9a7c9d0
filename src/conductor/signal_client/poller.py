"""One integration's loop: poll, commit, wait. The one place that reacts to a source's errors."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from conductor.core import clock, schedule
from conductor.core.errors import CheckpointLost, Conflict, SourceError, StoreAway, StoreError, StorePaused
from conductor.core.integration import Integration
from conductor.core.poll import OK, Poll
from conductor.core.schedule import Span
from conductor.core.signal import SignalBatch
from conductor.observe import log
from conductor.outbound.client import Usage
from conductor.signal_client import findings, outcome
from conductor.signal_client.assembly import Source
from conductor.signal_client.oddities import Oddities
from conductor.signal_client.outcome import Patience
from conductor.signal_client.recovery import Recovery
from conductor.signal_client.tools import Tools
from conductor.store import certainty, gaps, journal, polls
from conductor.store.database import Connection
from conductor.store.journal import Committed, Page, Position

STORE_RETRY = 10.0  # seconds
SETTLE_AFTER = (0.5, 1.0, 2.0, 4.0)  # seconds
OUTAGE = "checkpoint.expired"


class Poller:
    """Polls one integration for as long as it owns it. `run` returns when `stop` was asked and the page is done."""

    def __init__(self, integration: Integration, source: Source, tools: Tools) -> None:
        self.integration = integration
        self.next_poll_at: datetime | None = None
        self._source = source
        self._tools = tools
        self._position: Position | None = None
        self._patience = Patience()
        self._oddities = Oddities()
        self._recovery = Recovery(integration, source, tools)
        self._stopping = False
        self._store_paused = False
        self._wake = asyncio.Event()
        self._asked: list[asyncio.Future[Poll]] = []

    async def run(self, first_delay: float = 0.0) -> None:
        """Poll until stopped. Raises StoreError, Fenced, Held, and whatever a connector's bug raises."""
        delay = first_delay
        try:
            while not self._stopping:
                await self._until_due(delay)
                if not self._stopping:
                    delay = await self._visit()
        finally:
            for future in self._asked:
                if not future.done():
                    future.set_exception(Conflict("The integration was changed meanwhile. Poll again."))
            await self._recovery.forget()
            await self._source.close()

    def stop(self) -> None:
        """Leave after the page in hand."""
        self._stopping = True
        self._wake.set()

    def poll_now(self) -> asyncio.Future[Poll]:
        """Poll at once, or again after the poll in hand; the future has its record."""
        future: asyncio.Future[Poll] = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self._wake.set()
        return future

    def look_again(self) -> None:
        """There may be a span to read again."""
        self._wake.set()

    async def behind(self) -> float | None:
        """One page behind live collection, while that is well. The seconds until the next, None when nothing waits.
        Raises StoreError, Fenced."""
        if self._patience.failures:
            return None
        try:
            self._tools.database.check_room()
            if self._position is None:
                self._position = await self._take_over()
            return await self._recovery.step(self._position)
        except StorePaused as error:
            await self._paused(error)
            return STORE_RETRY

    async def poll_once(self) -> Poll:
        """One poll, recorded. Raises StoreError, Fenced, Held."""
        self._tools.database.check_room()
        if self._position is None:
            self._position = await self._take_over()
        started, begun = clock.now(), asyncio.get_running_loop().time()
        self._source.http.usage = usage = Usage()
        position = self._position
        poll_id = await self._tools.write(lambda connection: polls.begin(connection, position, started))
        try:
            outcome = await self._outcome(poll_id, usage)
        except asyncio.CancelledError:
            integration_id, now = self.integration.id, clock.now()
            with suppress(StorePaused):  # taking over closes the record then
                await self._tools.write(lambda connection: polls.interrupt(connection, integration_id, now))
            raise
        outcome = replace(outcome, vendor_at=self._by_vendor(begun))
        await self._source.http.close()
        poll = await self._tools.write(lambda connection: polls.end(connection, poll_id, outcome, clock.now()))
        self._tools.tell(self.integration, poll)
        return poll

    async def _visit(self) -> float:
        """One poll and the seconds until the next."""
        asked = list(self._asked)
        begun = asyncio.get_running_loop().time()
        try:
            poll = await self.poll_once()
        except StorePaused as error:
            await self._paused(error)
            self._answer(asked, error)
            return STORE_RETRY
        self._store_paused = False
        self._answer(asked, poll)
        if poll.result != OK and poll.retry_at is not None:
            return (poll.retry_at - clock.now()).total_seconds()
        return self._interval.total_seconds() - (asyncio.get_running_loop().time() - begun)

    async def _paused(self, error: StorePaused) -> None:
        if not self._store_paused:  # told once: a thousand that try again would fill what room is left
            facts = {"integration": self.integration.name, "code": error.code}
            log(logging.ERROR, f"{self._slug}: paused. {error}", facts)
        self._store_paused = True
        self._position = None  # the record in hand stays open; taking over closes it
        await self._recovery.forget()

    def _answer(self, asked: list[asyncio.Future[Poll]], answer: Poll | StorePaused) -> None:
        for future in asked:
            self._asked.remove(future)
            if future.done():
                continue
            if isinstance(answer, StorePaused):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _until_due(self, seconds: float) -> None:
        """Until the time has come or somebody asks. Meanwhile spans are read again, a page at a time."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.0, seconds)
        self.next_poll_at = clock.now() + timedelta(seconds=max(0.0, seconds))
        while loop.time() < due and not self._stopping and not self._asked:
            self._wake.clear()
            pause = await self.behind()
            await self._sleep_until(due if pause is None else min(due, loop.time() + pause))
        self._wake.clear()
        self.next_poll_at = None
        await self._recovery.rest()

    async def _sleep_until(self, when: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._wake.wait()

    async def _take_over(self) -> Position:
        integration_id, now = self.integration.id, clock.now()

        def work(connection: Connection) -> Position:
            position = journal.take_over(connection, integration_id, worker=self._tools.worker)
            polls.interrupt(connection, integration_id, now)
            return position

        return await self._tools.write(work)

    async def _outcome(self, poll_id: int, usage: Usage) -> polls.Outcome:
        try:
            complete = await self._collect(poll_id)
        except SourceError as error:
            wait = self._patience.failed(error)
            return outcome.failed(error, wait, usage, needs_person=self._patience.needs_person(error))
        self._patience.succeeded()
        return outcome.good(usage, complete=complete, facts=self._oddities.facts(usage))

    def _by_vendor(self, begun: float) -> datetime | None:
        """The vendor's time at that time of the loop's clock; None while it has not told."""
        now = self._source.http.vendor_time
        return now and now - timedelta(seconds=asyncio.get_running_loop().time() - begun)

    async def _collect(self, poll_id: int) -> bool:
        """One pass; whether it reached the end of the log. A lost position is told as a gap, and read on from."""
        try:
            return await self._read(poll_id)
        except CheckpointLost as lost:
            await self._begin_anew(poll_id, lost)
        except SourceError:
            await self._note_lost_span()  # it goes on being lost while nobody answers
            raise
        return await self._read(poll_id)

    async def _read(self, poll_id: int) -> bool:
        complete, first = False, True
        async with aclosing(self._source.connector.poll(self._here.checkpoint)) as batches:
            async for batch in batches:
                if first:
                    await self._note_lost_start()
                    await self._note_lost_span()
                first = False
                await self._commit(self._page(poll_id, batch))
                self._oddities.note(batch)
                complete = batch.covered_until is not None
                if self._stopping:
                    break
        return complete

    def _page(self, poll_id: int, batch: SignalBatch) -> Page:
        return Page(
            poll_id,
            batch.signals,
            batch.checkpoint,
            batch.covered_until,
            quarantined=batch.quarantined,
            read_at=self._source.http.vendor_time,
        )

    async def _commit(self, page: Page) -> None:
        self._tools.database.check_room()
        position, now = self._here, clock.now()
        try:
            done = await self._tools.write(lambda connection: journal.commit(connection, position, page, now))
        except StoreAway as error:
            done = await self._settle(position, page, now, error)
        self._position = done.position
        self._tools.count(self.integration, done)

    async def _settle(self, position: Position, page: Page, now: datetime, error: StoreAway) -> Committed:
        """Whether the page was committed is not known: ask when the database is back, unless that takes long."""

        def work(connection: Connection) -> Committed:
            done = certainty.done(connection, position, page, now)
            return done or journal.commit(connection, position, page, now)

        for wait in SETTLE_AFTER:
            await asyncio.sleep(wait)
            with suppress(StoreAway):
                return await self._tools.write(work)
        raise error

    async def _note_lost_span(self) -> None:
        """The vendor answers happily although it has deleted what we did not read: the time tells, best of all its own,
        which comes with its first answer."""
        here = self._here
        retention = self._source.config.retention(here.seen)
        time = here.checkpoint.time if here.checkpoint else None
        lost = schedule.lost_span(self._source.http.now, retention, time, here.covered_until)
        if lost is not None:
            await self._record_gap(lost.begins, lost.ends)

    async def _note_lost_start(self) -> None:
        """At the first answer ever: what was wanted from the beginning, and deleted while nobody answered."""
        here, integration_id = self._here, self.integration.id
        if here.checkpoint is not None or here.covered_until is not None:
            return
        failed = await self._tools.database.read(lambda connection: polls.failures(connection, integration_id))
        if failed is None:
            return
        config = self._source.config
        waited = schedule.waited(failed.since, failed.told, clock.now(), self._source.http.vendor_time)
        lost = schedule.lost_start(self._source.http.now, config.retention(here.seen), waited, config.start)
        if lost is not None:
            await self._record_gap(lost.begins, lost.ends)

    async def _begin_anew(self, poll_id: int, lost: CheckpointLost) -> None:
        here = self._here
        known = [moment for moment in (here.checkpoint and here.checkpoint.time, here.covered_until) if moment]
        facts = {"integration": self.integration.name, "oldest": clock.to_text(lost.oldest)}
        log(logging.WARNING, f"{self._slug}: position lost, reading again from the oldest record", facts)
        if known and max(known) < lost.oldest:
            await self._record_gap(max(known), lost.oldest)
        await self._commit(Page(poll_id, lost.found, lost.resume, None, begin_anew=True))

    async def _record_gap(self, begins: datetime, ends: datetime) -> None:
        integration_id = self.integration.id
        gap = await self._tools.write(lambda connection: gaps.record(connection, integration_id, begins, ends, OUTAGE))
        facts = findings.span_facts(self.integration.name, Span(begins, ends))
        log(logging.WARNING, f"{self._slug}: gap recorded", {**facts, "gap": gap.id})

    @property
    def _here(self) -> Position:
        if self._position is None:
            raise StoreError("The poller has no position.")
        return self._position

    @property
    def _slug(self) -> str:
        return self.integration.connector

    @property
    def _interval(self) -> timedelta:
        return timedelta(minutes=self._source.config.polling_interval)
