"""One poller per enabled integration: follows changes, contains crashes, stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from conductor.core import clock, schedule
from conductor.core.errors import ConductorError, Conflict, Fenced, Held, StoreError, StorePaused
from conductor.core.integration import Integration
from conductor.core.poll import OK, Poll
from conductor.observe import log
from conductor.outbound import pace
from conductor.signal_client.assembly import Assembly
from conductor.signal_client.membership import Membership
from conductor.signal_client.poller import Poller
from conductor.signal_client.tools import Tools
from conductor.store import integrations, polls
from conductor.store.polls import Latest
from conductor.store.vault import SecretUnreadable

FOLLOW_EVERY = 2.0  # seconds between two looks at the integrations table
GRACE = 10.0  # seconds a poller may take to leave at the end
EDIT_GRACE = 3.0  # seconds when it is replaced: a change must take effect within five
START_SPREAD = timedelta(milliseconds=300)  # for each integration: a thousand start over five minutes
CRASH_CAP = 300.0  # seconds
MOVE_SPREAD = timedelta(seconds=20)  # for all that come from another worker: with its lease within a minute
STORE_RETRY = 10.0  # seconds
BEING_MADE = 2.0  # seconds a poller may take to be made


class Supervisor:
    """Owns the pollers' tasks. `run` ends when `stop` was called, or raises StoreError when the house must close."""

    def __init__(self, assembly: Assembly, tools: Tools, membership: Membership) -> None:
        self._assembly = assembly
        self._tools = tools
        self._membership = membership
        self._pollers: dict[int, Poller] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._started: dict[int, Integration] = {}
        self._alone = asyncio.Lock()  # polls without a poller of their own, one after another
        self._running = False
        self._changed = asyncio.Event()
        self._stopping = False
        self._blind = False
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
        await self._membership.join()
        renewing = asyncio.create_task(self._renew(), name="lease")
        try:
            while not self._stopping:
                await self._look()
                await self._wait()
                if self._failure is not None:
                    raise self._failure
        finally:
            self._running = False
            await self._leave(list(self._tasks))
            renewing.cancel()
            await asyncio.wait([renewing])
            if self._failure is None:
                await self._membership.leave()

    @property
    def polled(self) -> int:
        """How many integrations are polled here."""
        return len(self._tasks)

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
        """Poll at once and wait for the end; the worker that polls it does. Without a poller of its own (no process
        polls, or the integration is off) one poll is made here.

        Raises StoreError, Held, and Conflict when it was changed meanwhile.
        """
        if integration.enabled and await self._membership.elsewhere(self._assembly.tenant(integration)):
            return await self._membership.ask(integration.id)
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

    async def _renew(self) -> None:
        try:
            await self._membership.keep(self._silence)
        except StoreError as error:
            self._fail(error)

    def _silence(self) -> None:
        """Others may own what is ours by now: no further request, so that nobody's quota is spent twice."""
        for poller in self._pollers.values():
            poller.stop()

    async def _look(self) -> None:
        try:
            await self._follow()
        except StorePaused as error:
            if not self._blind:
                log(logging.ERROR, "supervisor: changes are not followed", {"code": error.code, "reason": error})
            self._blind = True
        else:
            self._blind = False

    async def _follow(self) -> None:
        """Start, replace and end pollers until they are what the table says, and this worker's share of it."""
        for id_ in [id_ for id_, task in self._tasks.items() if task.done()]:
            del self._tasks[id_], self._started[id_]  # whatever ended is started again below
        found, view = await self._tools.database.read(
            lambda connection: (integrations.everything(connection), self._membership.look(connection))
        )
        wanted = {integration.id: integration for integration in found if integration.enabled}
        tenants = {id_: self._assembly.tenant(integration) for id_, integration in wanted.items()}
        share = await self._membership.share(tenants, view)
        here = {id_: wanted[id_] for id_ in sorted(share.here)}
        await self._leave([id_ for id_, started in self._started.items() if here.get(id_) != started], EDIT_GRACE)
        await self._membership.release(share.surplus)
        missing = [integration for id_, integration in here.items() if id_ not in self._tasks]
        latest = await self._latest([integration.id for integration in missing])
        for integration in missing:
            spread = MOVE_SPREAD if integration.id in share.moved else START_SPREAD * len(here)
            self._start(integration, self._first_delay(integration, latest[integration.id].last, spread))
        await self._poll_asked(share.asked & self._pollers.keys())

    async def _latest(self, ids: list[int]) -> dict[int, Latest]:
        """Nothing is missing, usually: then nobody need be asked."""
        return await self._tools.database.read(lambda connection: polls.latest(connection, ids)) if ids else {}

    async def _poll_asked(self, ids: frozenset[int]) -> None:
        """Poll what another process wants polled; it reads the poll's record."""
        if not ids:
            return
        await self._membership.answered(ids)
        for id_ in ids & self._pollers.keys():
            self._pollers[id_].poll_now().add_done_callback(_heard)

    def _start(self, integration: Integration, delay: float) -> None:
        guarded = self._guard(integration, delay)
        self._started[integration.id] = integration
        self._tasks[integration.id] = asyncio.create_task(guarded, name=f"poller {integration.name}")

    def _first_delay(self, integration: Integration, last: Poll | None, spread: timedelta) -> float:
        """A new or changed integration polls at once. After a restart each keeps its own place in the interval; only a
        poll that was cut short goes on."""
        now = clock.now()
        if last is None or last.started_at < integration.changed_at:
            return 0.0
        interval = timedelta(minutes=float(integration.config.get("polling_interval", 5)))
        due = last.retry_at or last.started_at + interval
        cut_short = last.result == OK and not last.complete
        if due > now and not cut_short:
            return min(interval, due - now).total_seconds()
        return schedule.splay(integration.id, min(interval, spread)).total_seconds()

    async def _guard(self, integration: Integration, delay: float) -> None:
        """The guard round a poller: a guest's crash is told and healed, the house's ends the house."""
        crashes = 0
        task = asyncio.current_task()
        while not self._stopping and self._tasks.get(integration.id) is task:  # else it was told to leave
            try:
                tools = replace(self._tools, worker=self._membership.name)
                poller = Poller(integration, await self._assembly.source(integration), tools)
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
            except Held:
                return  # it was not let go yet, or somebody was faster
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
        """Log it and record a failed poll, unless it was removed by another process and its secrets are gone."""
        code = error.code if isinstance(error, ConductorError) else "poller.crashed"
        facts = {"integration": integration.name, "code": code}
        if await self._removed(integration.id):
            return
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

    async def _removed(self, integration_id: int) -> bool:
        with suppress(StoreError):
            found = await self._tools.database.read(lambda connection: integrations.by_id(connection, integration_id))
            return found.removed_at is not None
        return False

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


def _heard(poll: asyncio.Future[Poll]) -> None:
    """Whoever asked reads the record; a failure has one too."""
    if not poll.cancelled():
        poll.exception()
