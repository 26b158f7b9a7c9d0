"""This process among the workers that share a database: its lease, and which integrations are its own to poll.

Alone on a SQLite file there is nobody to share with: everything is ours and nothing is written. See
docs/explanation/workers.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from conductor.core import rendezvous
from conductor.core.errors import Conflict, StorePaused
from conductor.core.poll import RUNNING, Poll
from conductor.observe import log
from conductor.store import leases, polls
from conductor.store.database import Connection, Database
from conductor.store.leases import View, Worker

RENEW_EVERY = 10.0  # seconds
RENEW_RETRY = 1.0  # seconds
SILENCE = 15.0  # seconds without a renewal after which nothing is polled: half a lease
ASKED_EVERY = 0.5  # seconds between two looks whether a poll that was asked for is done
BEGUN_WITHIN = 20.0  # seconds in which another worker begins a poll that was asked for
DONE_WITHIN = 600.0  # seconds in which it ends
NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Share:
    """What this worker polls. `surplus` is to be let go once nothing polls it here any more; `moved` came from other
    workers just now; `asked` somebody wants polled at once."""

    here: frozenset[int] = NOTHING
    surplus: frozenset[int] = NOTHING
    moved: frozenset[int] = NOTHING
    asked: frozenset[int] = NOTHING


class Membership:
    """One worker's lease. `keep` renews it until cancelled; `leave` ends it, so that others need not wait for that."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self.worker = worker
        self.shared = database.shared
        self._database = database
        self._renewed = float("-inf")  # by the loop's clock, when the last renewal that worked was begun
        self._silent = False
        self._alive: tuple[Worker, ...] = ()

    @property
    def name(self) -> str:
        """What fences are owned by; empty where nobody else polls."""
        return self.worker.id if self.shared else ""

    @property
    def live(self) -> bool:
        """Whether the lease was renewed lately enough to poll."""
        return not self.shared or asyncio.get_running_loop().time() < self._renewed + SILENCE

    def leads(self, duty: str) -> bool:
        """Whether this worker is the one that does what one is enough for."""
        return self._wins(duty, self._alive)

    def indexes(self) -> bool:
        """Whether this worker indexes: of those that share an analytics server, one does, once they know each other."""
        if self.shared and not (self._alive and self.live):
            return False
        return self._wins(self.worker.reader, [worker for worker in self._alive if worker.reader == self.worker.reader])

    async def join(self) -> None:
        """Renew once, so that polling can begin. A database that is away is left to `keep`."""
        if self.shared:
            begun = asyncio.get_running_loop().time()
            with suppress(StorePaused):
                await self._database.write(self._renew)
                self._worked(begun)

    async def keep(self, silenced: Callable[[], None]) -> None:
        """Renew for ever; `silenced` is called when it did not work for so long that polling must stop.

        Raises StoreError.
        """
        while self.shared:
            await asyncio.sleep(RENEW_EVERY if self.live else 0.0)
            begun = asyncio.get_running_loop().time()
            renewal = asyncio.ensure_future(self._database.write(self._renew))
            await asyncio.wait([renewal], timeout=self._until_silence())
            self._check(silenced)
            try:
                await renewal
                self._worked(begun)
            except StorePaused:
                await asyncio.sleep(RENEW_RETRY)

    def look(self, connection: Connection) -> View | None:
        """How things stand between the workers, for `share`; None where nobody else polls."""
        return leases.view(connection) if self.shared else None

    async def share(self, wanted: Mapping[int, str], view: View | None) -> Share:
        """Which of these integrations are polled here, after claiming what is free. Raises StorePaused.

        Each comes with its tenant: all of a tenant's go to one worker, which keeps them below their rate limit.
        """
        if view is None:
            return Share(here=frozenset(wanted))
        me, alive = self.worker.id, view.workers
        if me not in alive or not self.live:
            return Share()
        self._alive = tuple(alive.values())
        mine = {id_ for id_, tenant in wanted.items() if rendezvous.winner(tenant, alive) == me}
        owned = {id_ for id_, owner in view.owners.items() if owner == me}
        free = sorted(id_ for id_ in mine - owned if view.owners.get(id_) not in alive)
        claimed = await self._claim(free)
        here = frozenset(mine & owned) | claimed
        moved = claimed if len(alive) > 1 else claimed & view.owners.keys()
        return Share(here, frozenset(owned - here), moved, view.asked & here)

    async def release(self, ids: Collection[int]) -> None:
        """Let go of what another worker shall poll."""
        if ids:
            await self._database.write(lambda connection: leases.release(connection, self.worker.id, ids))

    async def leave(self) -> None:
        """End the lease at once. A database that is away learns it when the lease runs out."""
        if self.shared:
            with suppress(StorePaused):
                await self._database.write(lambda connection: leases.leave(connection, self.worker.id))

    async def elsewhere(self, tenant: str) -> bool:
        """Whether another worker polls this tenant, or will in a moment."""
        if not self.shared:
            return False
        workers = [worker.id for worker in await self._database.read(leases.living)]
        return rendezvous.winner(tenant, workers) not in ("", self.worker.id)

    async def answered(self, ids: Collection[int]) -> None:
        """What was asked for is polled from here on."""
        await self._database.write(lambda connection: leases.answer(connection, ids))

    async def ask(self, integration_id: int) -> Poll:
        """Have another worker poll at once, and wait for the end. Raises Conflict when none does."""
        before = await self._database.write(lambda connection: leases.ask(connection, integration_id))
        loop = asyncio.get_running_loop()
        begun, done = loop.time() + BEGUN_WITHIN, loop.time() + DONE_WITHIN
        while loop.time() < done:
            poll = await self._database.read(lambda connection: polls.next_live(connection, integration_id, before))
            if poll is not None and poll.result == "interrupted":
                raise Conflict("The integration was changed meanwhile. Poll again.")
            if poll is not None and poll.result != RUNNING:
                return poll
            if poll is None and loop.time() >= begun:
                raise Conflict("The worker that polls this integration has not begun to. See its log.")
            await asyncio.sleep(ASKED_EVERY)
        raise Conflict("The poll takes long. It goes on; its record tells when it is done.")

    def _renew(self, connection: Connection) -> None:
        leases.renew(connection, self.worker)

    def _worked(self, begun: float) -> None:
        if self._silent:
            log(logging.WARNING, "workers: the lease is renewed, polling goes on", {"worker": self.worker.id})
        self._renewed, self._silent = begun, False

    async def _claim(self, ids: Collection[int]) -> frozenset[int]:
        if not ids:
            return NOTHING
        return await self._database.write(lambda connection: leases.claim(connection, self.worker.id, ids))

    def _until_silence(self) -> float:
        return max(0.0, self._renewed + SILENCE - asyncio.get_running_loop().time())

    def _check(self, silenced: Callable[[], None]) -> None:
        if self.live or self._silent:
            return
        self._silent = True
        log(logging.ERROR, "workers: the lease could not be renewed, polling stops", {"worker": self.worker.id})
        silenced()

    def _wins(self, duty: str, workers: Collection[Worker]) -> bool:
        """Before it is known who else there is, everybody does everything: duties bear being done twice."""
        winner = rendezvous.winner(duty, [worker.id for worker in workers])
        return winner in ("", self.worker.id)
