"""Journal batches → artifacts. A crash at any point leaves no artifact twice and none missing.

The range to insert is written down before the insert. The insert carries a token made of that range, so that a client
that sends it again inserts nothing; after a failure or a restart the range is compared with what is there, batch by
batch, what is there in part is removed, and the rest is inserted under another token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from secrets import token_hex
from typing import Any, TypeVar, cast

from conductor.analytics import artifacts
from conductor.analytics.artifacts import Block
from conductor.analytics.engine import Analytics
from conductor.catalog import Catalog
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.connector import Connector
from conductor.core.errors import NormalizeError, StorePaused
from conductor.core.signal import Signal
from conductor.observe import Metrics, log
from conductor.store import cursors, integrations, journal
from conductor.store.cursors import Cursor
from conductor.store.database import Connection, Database
from conductor.store.journal import Batch

BATCHES = 100  # in one insert: about 10,000 artifacts
BYTES = 64 * 2**20  # in one insert, at the most
GATHER = 0.5  # seconds between two inserts while little comes: a few large parts cost less than many small ones
IDLE = 5.0  # seconds between two looks when nobody wakes us: another process may commit too
STORE_RETRY = 10.0  # seconds
T = TypeVar("T")


def normalizer(kind: type[Connector], config: Mapping[str, Any]) -> Connector:
    """A connector that normalizes and nothing else: its secrets, which it does not need, are not read."""
    build: Any = kind
    return cast("Connector", build(kind.Config.model_construct(**config)))


def reader_of(analytics: Analytics) -> str:
    """Whose cursors an indexer into that target moves."""
    return f"artifacts/{analytics.target}"


class Indexer:
    """Keeps the artifacts table up with the journal. `wake` is called after commits; `run` ends after `stop`.

    `chosen` tells whether it is this process that indexes: of those that share an analytics server, one does.
    """

    def __init__(
        self,
        database: Database,
        analytics: Analytics,
        catalog: Catalog,
        metrics: Metrics,
        chosen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._analytics = analytics
        self._catalog = catalog
        self._metrics = metrics
        self.reader = reader_of(analytics)
        self._chosen = chosen
        self._run = ""
        self._reached: dict[int, int] = {}  # by integration: the batch up to which this process has indexed
        self._connectors: dict[int, tuple[int, Connector]] = {}
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """There is something to index."""
        self._wake.set()

    def stop(self) -> None:
        """End after the insert in hand."""
        self._stopping = True
        self._wake.set()

    async def prepare(self) -> None:
        """Begin where the engine really is, when one of both was restored: again from the beginning when it is empty or
        ahead of the journal, from its newest batch when it is behind."""
        self._run = token_hex(8)  # a token of an earlier run must not hide rows that were removed since
        newest = await self._analytics.read(artifacts.newest)
        ends = await self._database.read(lambda connection: cursors.ends(connection, self.reader))
        ahead = [id_ for id_, batch in newest.items() if batch > ends.get(id_, 0)]
        if ahead:
            log(
                logging.WARNING, "indexer: the index is ahead of the journal and is built anew", {"integrations": ahead}
            )
            await self._analytics.write(artifacts.clear)
        self._reached.clear()
        if ahead or not newest:
            await self._database.write(lambda connection: cursors.reset(connection, self.reader))
            return
        await self._rewind(newest, ends)

    async def _rewind(self, newest: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Index again what the engine has lost: an older copy of it was put back. The last batches that are there may
        have come in part, so they are compared."""
        floors = await self._database.read(cursors.let_go)
        there = {id_: max(newest.get(id_, 0), floors.get(id_, 0)) for id_ in ends}
        lost = {id_: batch for id_, batch in there.items() if batch < ends[id_]}
        if not lost:
            return

        def work(connection: Connection) -> None:
            for id_, batch in lost.items():
                done = max(batch - BATCHES, floors.get(id_, 0))
                cursors.rewind(connection, self.reader, id_, done=done, to=batch)

        log(logging.WARNING, "indexer: the index is behind its cursor and is completed", {"integrations": sorted(lost)})
        await self._database.write(work)

    async def run(self) -> None:
        """Index until stopped. Raises StoreError; a store that heals is waited for."""
        while not self._stopping:
            self._wake.clear()
            try:
                behind = await self.catch_up() if self._chosen() else 0
            except StorePaused as error:
                log(logging.ERROR, "indexer: paused", {"code": error.code, "reason": error})
                await self._rest(STORE_RETRY)
                continue
            if behind < BATCHES:
                await self._gather() if behind else await self._rest(IDLE)

    async def catch_up(self) -> int:
        """One round over all integrations that have something new; the most batches that one of them had."""
        behind = await self._database.read(lambda connection: cursors.behind(connection, self.reader))
        for cursor in behind:
            if self._stopping:
                break
            await self._round(cursor)
        return max((cursor.last - cursor.batch for cursor in behind), default=0)

    async def _gather(self) -> None:
        """Let some batches come together; nothing but the end cuts it short."""
        deadline = asyncio.get_running_loop().time() + GATHER
        while not self._stopping and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            await self._rest(left)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _round(self, cursor: Cursor) -> None:
        """One range of one integration: announce, insert, advance."""
        first, id_ = cursor.batch + 1, cursor.integration_id
        if cursor.batch < self._reached.get(id_, 0):  # the store went back under us, to a backup or a standby
            await self.prepare()
            return
        to = cursor.pending_to or await self._until(id_, first, min(cursor.last, cursor.batch + BATCHES))
        batches = await self._database.read(lambda connection: journal.read(connection, id_, first, to))
        done: dict[int, int] | None = None
        if cursor.pending_to is None:
            await self._write(lambda connection: cursors.announce(connection, self.reader, id_, to))
        else:
            done = await self._analytics.read(lambda client: artifacts.counted(client, id_, first, to))
        connector = await self._connector(id_)
        blocks = await asyncio.to_thread(self._blocks, connector, batches)
        await self._insert(id_, blocks, done)
        await self._write(lambda connection: cursors.advance(connection, self.reader, id_, to))
        self._reached[id_] = to
        self._tell(batches, blocks)

    async def _until(self, integration_id: int, first: int, last: int) -> int:
        return await self._database.read(
            lambda connection: journal.within(connection, integration_id, first, last, BYTES)
        )

    async def _insert(self, integration_id: int, blocks: Sequence[Block], done: Mapping[int, int] | None) -> None:
        """`done` tells, after a failure, how many artifacts each batch has already; None when it was never tried."""
        there = done or {}
        missing = [block for block in blocks if there.get(block.batch) != block.count]
        for block in missing:
            if block.batch in there:
                await self._analytics.write(partial(artifacts.remove, integration_id=integration_id, batch=block.batch))
        if missing:
            run = self._run if done is None else token_hex(8)
            token = f"{run}/{integration_id}/{missing[0].batch}-{missing[-1].batch}"
            await self._analytics.write(lambda client: artifacts.insert(client, missing, token))

    def _blocks(self, connector: Connector, batches: Sequence[Batch]) -> list[Block]:
        return [
            artifacts.block(
                batch.integration_id,
                connector.slug,
                batch.batch,
                batch.committed_at,
                list(self._normalized(connector, batch)),
            )
            for batch in batches
        ]

    def _normalized(self, connector: Connector, batch: Batch) -> Iterator[tuple[Signal, Artifact]]:
        for signal in batch.signals:
            try:
                yield signal, connector.normalize(signal)
            except NormalizeError:
                self._metrics.unparsed.inc()
                micros = clock.to_micros(batch.committed_at)
                yield signal, Artifact(time=micros, log_id=signal.id, type="", parsed=False)

    async def _connector(self, integration_id: int) -> Connector:
        """Built to normalize only; built anew after an edit. Removed integrations keep their row for this."""
        found = await self._database.read(lambda connection: integrations.by_id(connection, integration_id))
        known = self._connectors.get(integration_id)
        if known is None or known[0] != found.revision:
            kind = self._catalog.get(found.connector)
            known = (found.revision, normalizer(kind, found.config))
            self._connectors[integration_id] = known
        return known[1]

    def _tell(self, batches: Sequence[Batch], blocks: Sequence[Block]) -> None:
        self._metrics.indexed.inc(sum(block.count for block in blocks))
        if batches:
            oldest = min(batch.committed_at for batch in batches)
            self._metrics.index_delay.set((clock.now() - oldest).total_seconds())

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._database.write(work)
