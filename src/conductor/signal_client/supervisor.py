"""One poller per enabled integration: follows changes, contains crashes, stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

from conductor.core import clock, schedule
from conductor.core.errors import ConductorError, Conflict, Fenced, StoreError, StorePaused
from conductor.core.integration import Integration
from conductor.core.poll import Poll
from conductor.observe import log
from conductor.outbound import pace
from conductor.signal_client.assembly import Assembly
from conductor.signal_client.poller import Poller
from conductor.signal_client.tools import Tools
from conductor.store import integrations, polls
from conductor.store.vault import SecretUnreadable

FOLLOW_EVERY = 2.0  # seconds between two looks at the integrations table
GRACE = 10.0  # seconds a poller may take to leave at the end
EDIT_GRACE = 3.0  # seconds when it is replaced: a change must take effect within five
START_SPREAD = timedelta(milliseconds=300)  # for each integration: a thousand start over five minutes
CRASH_CAP = 300.0  # seconds
STORE_RETRY = 10.0  # seconds
BEING_MADE = 2.0  # seconds a poller may take to be made


class Supervisor:
    """Owns the pollers' tasks. `run` ends when `stop` was called, or raises StoreError when the house must close."""

    def __init__(self, assembly: Assembly, tools: Tools) -> None:
        self._assembly = assembly
        self._tools = tools
        self._pollers: dict[int, Poller] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._started: dict[int, Integration] = {}
        self._alone = asyncio.Lock()  # polls without a poller of their own, one after another
        self._running = False
        self._changed = asyncio.Event()
        self._stopping = False
        self._failure: StoreError | None = None

    def changed(self) -> None:
        """Look at the integrations now: something was added, edited or removed in this process."""
        self._changed.set()

    def stop(self) -> None:
        """Leave between batches."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Keep one poller for each enabled integration until stopped. Raises StoreError."""
        self._running = True
        try:
            while not self._stopping:
                await self._follow()
                await self._wait()
                if self._failure is not None:
                    raise self._failure
        finally:
            self._running = False
            await self._leave(list(self._tasks))

    def next_poll_at(self, integration_id: int) -> datetime | None:
        """When it polls next; None when it is polling, or is not polled here."""
        poller = self._pollers.get(integration_id)
        return poller.next_poll_at if poller else None

    def look_again(self, integration_id: int) -> None:
        """A span is to be read again: now, when the integration is polled here, else after its next poll."""
        poller = self._pollers.get(integration_id)
        if poller is not None:
            poller.look_again()

    async def poll_now(self, integration: Integration) -> Poll:
        """Poll at once and wait for the end. Without a poller of its own (the process does not poll, or the
        integration is off) one poll is made here. Raises StoreError, and Conflict when it was changed meanwhile."""
        poller = await self._poller(integration)
        if poller is not None:
            return await poller.poll_now()
        async with self._alone:
            source = await self._assembly.source(integration)
            try:
                return await Poller(integration, source, self._tools).poll_once()
            except Fenced as error:
                raise Conflict("The integration was changed meanwhile. Poll again.") from error
            finally:
                await source.close()

    async def _poller(self, integration: Integration) -> Poller | None:
        """The integration's poller, also one that is just being made: a second one would take it over."""
        deadline = asyncio.get_running_loop().time() + BEING_MADE
        while self._running and integration.enabled and integration.id not in self._pollers:
            if asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(0.01)
        return self._pollers.get(integration.id)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(FOLLOW_EVERY):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    async def _follow(self) -> None:
        """Start, replace and end pollers until they are what the table says."""
        for id_ in [id_ for id_, task in self._tasks.items() if task.done()]:
            del self._tasks[id_], self._started[id_]  # whatever ended is started again below
        wanted = {
            integration.id: integration
            for integration in await self._tools.database.read(integrations.everything)
            if integration.enabled
        }
        outdated = [id_ for id_, started in self._started.items() if wanted.get(id_) != started]
        await self._leave(outdated, EDIT_GRACE)
        missing = [integration for id_, integration in wanted.items() if id_ not in self._tasks]
        latest = await self._tools.database.read(
            lambda connection: polls.latest(connection, [integration.id for integration in missing])
        )
        for integration in missing:
            delay = self._first_delay(integration, latest[integration.id].last, len(wanted))
            self._start(integration, delay)

    def _start(self, integration: Integration, delay: float) -> None:
        guarded = self._guard(integration, delay)
        self._started[integration.id] = integration
        self._tasks[integration.id] = asyncio.create_task(guarded, name=f"poller {integration.name}")

    def _first_delay(self, integration: Integration, last: Poll | None, count: int) -> float:
        """A new or changed integration polls at once; after a restart each keeps its own place in the interval."""
        now = clock.now()
        if last is None or last.started_at < integration.changed_at:
            return 0.0
        interval = timedelta(minutes=float(integration.config.get("polling_interval", 5)))
        due = last.retry_at or last.started_at + interval
        if due > now:
            return min(interval, due - now).total_seconds()
        return schedule.splay(integration.id, min(interval, START_SPREAD * count)).total_seconds()

    async def _guard(self, integration: Integration, delay: float) -> None:
        """The guard round a poller: a guest's crash is told and healed, the house's ends the house."""
        crashes = 0
        while not self._stopping:
            try:
                poller = Poller(integration, await self._assembly.source(integration), self._tools)
                self._pollers[integration.id] = poller
                await poller.run(delay)
                return
            except SecretUnreadable as error:
                await self._tell_broken(integration, error)
                wait = schedule.HOURLY.total_seconds()
            except StorePaused:
                wait = STORE_RETRY
            except StoreError as error:
                self._fail(error)
                return
            except Fenced:
                crashes += 1
                log(logging.WARNING, f"{integration.connector}: taken over", {"integration": integration.name})
                wait = pace.backoff(crashes, cap=CRASH_CAP)
            except Exception as error:
                crashes += 1
                await self._tell_broken(integration, error)
                wait = pace.backoff(crashes, cap=CRASH_CAP)
            finally:
                self._pollers.pop(integration.id, None)
            delay = 0.0
            await asyncio.sleep(wait)

    async def _tell_broken(self, integration: Integration, error: Exception) -> None:
        code = error.code if isinstance(error, ConductorError) else "poller.crashed"
        facts = {"integration": integration.name, "code": code}
        log(logging.ERROR, f"{integration.connector}: the poller failed", facts, error=error)
        reason = str(error) if isinstance(error, ConductorError) else type(error).__name__
        outcome = polls.Outcome(code, reason, needs_person=True, facts=getattr(error, "facts", {}))
        now = clock.now()
        try:
            await self._tools.database.write(lambda connection: polls.fail(connection, integration.id, outcome, now))
        except StorePaused:
            return  # the tile tells it
        except StoreError as failure:
            self._fail(failure)

    def _fail(self, failure: StoreError) -> None:
        """The house must close."""
        self._failure = failure
        self._changed.set()

    async def _leave(self, ids: list[int], grace: float = GRACE) -> None:
        """Ask these pollers to leave, and wait; after the grace they are cancelled."""
        tasks = [self._tasks.pop(id_) for id_ in ids if id_ in self._tasks]
        for id_, task in zip(ids, tasks, strict=True):
            del self._started[id_]
            poller = self._pollers.get(id_)
            if poller is not None:
                poller.stop()
            else:
                task.cancel()  # it waits to try again; there is nothing to finish
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
