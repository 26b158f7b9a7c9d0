"""One integration's loop: poll, commit, wait. The one place that reacts to a source's errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from conductor.core import clock, schedule
from conductor.core.errors import (
    CheckpointLost,
    Conflict,
    RateLimited,
    SourceError,
    StoreError,
    StorePaused,
    Unavailable,
    UnexpectedResponse,
)
from conductor.core.integration import Integration
from conductor.core.poll import OK, Poll
from conductor.observe import Metrics, log
from conductor.outbound import pace
from conductor.outbound.client import Usage
from conductor.signal_client.assembly import Source
from conductor.store import gaps, journal, polls
from conductor.store.database import Connection, Database
from conductor.store.journal import Page, Position

STORE_RETRY = 10.0  # seconds
NEW_SECRET = timedelta(minutes=5)  # a secret changed at the vendor may take a while to work
NEW_SECRET_RETRY = 60.0  # seconds
OUTAGE = "checkpoint.expired"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """What every poller works with. `committed` is called after each commit that brought something new; `worker` is the
    process's name in a shared store, empty where nobody else polls."""

    database: Database
    metrics: Metrics
    committed: Callable[[], None]
    worker: str = ""


class Poller:
    """Polls one integration for as long as it owns it. `run` returns when `stop` was asked and the page is done."""

    def __init__(self, integration: Integration, source: Source, tools: Tools) -> None:
        self.integration = integration
        self.next_poll_at: datetime | None = None
        self._source = source
        self._tools = tools
        self._position: Position | None = None
        self._failures = 0
        self._failing_since: datetime | None = None
        self._stopping = False
        self._wake = asyncio.Event()
        self._asked: list[asyncio.Future[Poll]] = []

    async def run(self, first_delay: float = 0.0) -> None:
        """Poll until stopped. Raises StoreError, Fenced, Held, and whatever a connector's bug raises."""
        delay = first_delay
        try:
            while not self._stopping:
                await self._sleep(delay)
                if not self._stopping:
                    delay = await self._visit()
        finally:
            for future in self._asked:
                if not future.done():
                    future.set_exception(Conflict("The integration was changed meanwhile. Poll again."))
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

    async def poll_once(self) -> Poll:
        """One poll, recorded. Raises StoreError, Fenced, Held."""
        if self._position is None:
            self._position = await self._take_over()
        started = clock.now()
        self._source.http.usage = usage = Usage()
        position = self._position
        poll_id = await self._write(lambda connection: polls.begin(connection, position, started))
        try:
            outcome = await self._outcome(poll_id, usage)
        except asyncio.CancelledError:
            integration_id, now = self.integration.id, clock.now()
            with suppress(StorePaused):  # taking over closes the record then
                await self._write(lambda connection: polls.interrupt(connection, integration_id, now))
            raise
        await self._source.http.close()
        poll = await self._write(lambda connection: polls.end(connection, poll_id, outcome, clock.now()))
        self._tell(poll)
        return poll

    async def _visit(self) -> float:
        """One poll and the seconds until the next."""
        asked = list(self._asked)
        begun = asyncio.get_running_loop().time()
        try:
            poll = await self.poll_once()
        except StorePaused as error:
            log(logging.ERROR, f"{self._slug}: {error}", {"integration": self.integration.name, "code": error.code})
            self._position = None  # the record in hand stays open; taking over closes it
            self._answer(asked, error)
            return STORE_RETRY
        self._answer(asked, poll)
        if poll.result != OK and poll.retry_at is not None:
            return (poll.retry_at - clock.now()).total_seconds()
        return self._interval.total_seconds() - (asyncio.get_running_loop().time() - begun)

    def _answer(self, asked: list[asyncio.Future[Poll]], answer: Poll | StorePaused) -> None:
        for future in asked:
            self._asked.remove(future)
            if future.done():
                continue
            if isinstance(answer, StorePaused):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _sleep(self, seconds: float) -> None:
        """Until the time has come or somebody asks."""
        self.next_poll_at = clock.now() + timedelta(seconds=max(0.0, seconds))
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        self.next_poll_at = None

    async def _take_over(self) -> Position:
        integration_id, now = self.integration.id, clock.now()

        def work(connection: Connection) -> Position:
            position = journal.take_over(connection, integration_id, worker=self._tools.worker)
            polls.interrupt(connection, integration_id, now)
            return position

        return await self._write(work)

    async def _outcome(self, poll_id: int, usage: Usage) -> polls.Outcome:
        try:
            complete = await self._collect(poll_id)
        except SourceError as error:
            return self._failed(error, usage)
        self._failures, self._failing_since = 0, None
        return polls.Outcome(
            OK,
            requests=usage.requests,
            complete=complete,
            rate_limit=usage.limit,
            rate_remaining=usage.remaining,
        )

    async def _collect(self, poll_id: int) -> bool:
        """One pass; whether it reached the end of the log. A lost position is told as a gap, and read on from."""
        await self._note_lost_span()
        try:
            return await self._read(poll_id)
        except CheckpointLost as lost:
            await self._begin_anew(poll_id, lost)
        return await self._read(poll_id)

    async def _read(self, poll_id: int) -> bool:
        complete = False
        async with aclosing(self._source.connector.poll(self._here.checkpoint)) as batches:
            async for batch in batches:
                await self._commit(Page(poll_id, batch.signals, batch.checkpoint, batch.covered_until))
                complete = batch.covered_until is not None
                if self._stopping:
                    break
        return complete

    async def _commit(self, page: Page) -> None:
        position, now = self._here, clock.now()
        done = await self._write(lambda connection: journal.commit(connection, position, page, now))
        self._position = done.position
        names = (self.integration.name, self._slug)
        self._tools.metrics.signals.labels(*names).inc(done.new)
        self._tools.metrics.duplicates.labels(*names).inc(done.duplicates)
        if done.new:
            self._tools.committed()

    async def _note_lost_span(self) -> None:
        """The vendor answers happily although it has deleted what we did not read: the time tells."""
        here = self._here
        retention = self._source.config.retention(here.seen)
        time = here.checkpoint.time if here.checkpoint else None
        lost = schedule.lost_span(clock.now(), retention, time, here.covered_until)
        if lost is not None:
            await self._record_gap(lost.begins, lost.ends)

    async def _begin_anew(self, poll_id: int, lost: CheckpointLost) -> None:
        here = self._here
        known = [moment for moment in (here.checkpoint and here.checkpoint.time, here.covered_until) if moment]
        if known and max(known) < lost.oldest:
            await self._record_gap(max(known), lost.oldest)
        await self._commit(Page(poll_id, lost.found, lost.resume, None, begin_anew=True))

    async def _record_gap(self, begins: datetime, ends: datetime) -> None:
        integration_id = self.integration.id
        gap = await self._write(lambda connection: gaps.record(connection, integration_id, begins, ends, OUTAGE))
        facts = {"integration": self.integration.name, "from": clock.to_text(begins), "to": clock.to_text(ends)}
        log(logging.WARNING, f"{self._slug}: gap recorded", {**facts, "gap": gap.id})

    def _failed(self, error: SourceError, usage: Usage) -> polls.Outcome:
        self._failures += 1
        self._failing_since = self._failing_since or clock.now()
        wait = self._patience(error)
        return polls.Outcome(
            error.code,
            reason=str(error),
            facts={**error.facts, "n": round(wait)},
            needs_person=error.needs_person,
            retry_at=clock.now() + timedelta(seconds=wait),
            requests=usage.requests,
            rate_limit=usage.limit,
            rate_remaining=usage.remaining,
        )

    def _patience(self, error: SourceError) -> float:
        """Seconds until the next try, by what kind of failure it is."""
        match error:
            case RateLimited(retry_after=float(told)):
                return told
            case RateLimited():
                return pace.backoff(self._failures, cap=schedule.RATE_CAP)
            case Unavailable() | UnexpectedResponse():
                return pace.backoff(self._failures, cap=schedule.BACKOFF_CAP, base=schedule.BACKOFF_BASE)
            case _ if self._failing_since and clock.now() - self._failing_since < NEW_SECRET:
                return NEW_SECRET_RETRY
            case _:
                return schedule.HOURLY.total_seconds()

    def _tell(self, poll: Poll) -> None:
        took = ((poll.finished_at or poll.started_at) - poll.started_at).total_seconds()
        facts = {
            "integration": self.integration.name,
            "new": poll.new,
            "duplicates": poll.duplicates,
            "requests": poll.requests,
            "took": f"{took:.3f}s",
        }
        if poll.result == OK:
            log(logging.INFO, f"{self._slug}: fetched {poll.fetched} log events", facts)
        else:
            level = logging.ERROR if poll.needs_person else logging.WARNING
            retry = clock.to_text(poll.retry_at) if poll.retry_at else ""
            log(level, f"{self._slug}: {poll.reason}", {"code": poll.result, **facts, "retry_at": retry})
        metrics, names = self._tools.metrics, (self.integration.name, self._slug)
        metrics.polls.labels(*names, poll.result).inc()
        metrics.requests.labels(*names).inc(poll.requests)
        metrics.took.observe(took)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        """Write, and do not let a cancelled poll leave a commit half known."""
        return await asyncio.shield(_settled(self._tools.database.write(work)))

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


async def _settled(answer: Awaitable[T]) -> T:
    return await answer
