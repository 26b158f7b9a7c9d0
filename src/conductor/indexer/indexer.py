"""Journal batches → artifacts. A crash at any point leaves no artifact twice and none missing.

The range to insert is written down before the insert, by one process. The insert carries a token made of that range, so
that whoever sends it again inserts nothing: this process after a failure, or another that took its place while the
first was still at it. What was sent again is compared with what is there, batch by batch; what is there in part is
removed, and the rest is inserted under another token.
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
from conductor.analytics.server import SearchTooSlow
from conductor.catalog import Catalog
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.connector import Connector
from conductor.core.errors import NormalizeError, StoreError, StorePaused
from conductor.core.signal import Signal
from conductor.indexer.geography import Geography, Look
from conductor.observe import Metrics, log
from conductor.store import cursors, facts, integrations, journal
from conductor.store.cursors import Cursor
from conductor.store.database import Connection, Database
from conductor.store.journal import Batch

BATCHES = 100  # in one insert: about 10,000 artifacts
BYTES = 64 * 2**20  # in one insert, at the most
GATHER = 0.5  # seconds between two inserts while little comes: a few large parts cost less than many small ones
IDLE = 5.0  # seconds between two looks when nobody wakes us: another process may commit too
STORE_RETRY = 10.0  # seconds
NEVER = -1
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
        geography: Geography,
        chosen: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._analytics = analytics
        self._catalog = catalog
        self._metrics = metrics
        self.geography = geography
        self.reader = reader_of(analytics)
        self._chosen = chosen
        self._prepared = NEVER  # for which opening of the engine
        self._paused = ""  # why, as it was told last
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
        # In this order: another process may index meanwhile, and what it does must look neither lost nor ahead.
        done = await self._database.read(lambda connection: cursors.done(connection, self.reader))
        newest = await self._analytics.read(artifacts.newest)
        opens = self._analytics.opens
        ends = await self._database.read(lambda connection: cursors.ends(connection, self.reader))
        ahead = [id_ for id_, batch in newest.items() if batch > ends.get(id_, 0)]
        if ahead:
            log(
                logging.WARNING, "indexer: the index is ahead of the journal and is built anew", {"integrations": ahead}
            )
            await self._analytics.write(artifacts.clear)
        self._reached.clear()
        if ahead or (not newest and any(done.values())):
            await self._database.write(lambda connection: self._again(connection, cursors.reset))
        else:
            await self._rewind(newest, done)
        self._prepared = opens

    def _again(self, connection: Connection, go_back: Callable[[Connection, str], None]) -> None:
        """Go back, under tokens that nothing was inserted with: an old one would hide what was removed since."""
        facts.replace(connection, f"tokens/{self.reader}", token_hex(8))
        go_back(connection, self.reader)

    def _token(self, connection: Connection, integration_id: int, first: int, to: int) -> str:
        """Of the range, the same for all processes."""
        return f"{facts.get(connection, f'tokens/{self.reader}') or ''}/{integration_id}/{first}-{to}"

    async def _rewind(self, newest: Mapping[int, int], before: Mapping[int, int]) -> None:
        """Index again what the engine has lost: an older copy of it was put back. The last batches that are there may
        have come in part, so they are removed before."""
        floors = await self._database.read(cursors.let_go)
        there = {id_: max(newest.get(id_, 0), floors.get(id_, 0)) for id_ in before}
        lost = {id_: batch for id_, batch in there.items() if batch < before[id_]}
        if not lost:
            return
        known = {id_: max(batch - BATCHES, floors.get(id_, 0)) for id_, batch in lost.items()}

        def go_back(connection: Connection, reader: str) -> None:
            for id_, to in known.items():
                cursors.rewind(connection, reader, id_, to)

        log(logging.WARNING, "indexer: the index is behind its cursor and is completed", {"integrations": sorted(lost)})
        for id_, to in known.items():
            await self._analytics.write(partial(artifacts.cut, integration_id=id_, after=to))
        await self._database.write(lambda connection: self._again(connection, go_back))

    async def run(self) -> None:
        """Index until stopped. Raises StoreError; a store that heals is waited for."""
        while not self._stopping:
            self._wake.clear()
            try:
                behind = await self.catch_up() if self._chosen() else self._leave_it()
            except (StorePaused, SearchTooSlow) as error:
                self._pause(error)
                await self._rest(STORE_RETRY)
                continue
            self._go_on()
            if behind < BATCHES:
                await self._gather() if behind else await self._rest(IDLE)

    async def catch_up(self) -> int:
        """One round over all integrations that have something new; the most batches that one of them had."""
        if (
            self._analytics.away or self._prepared != self._analytics.opens
        ):  # a server that was away may have come back with less
            await self.prepare()
        behind = await self._database.read(lambda connection: cursors.behind(connection, self.reader))
        for cursor in behind:
            if self._stopping:
                break
            await self._round(cursor)
        return max((cursor.last - cursor.batch for cursor in behind), default=0)

    def _leave_it(self) -> int:
        """Another process indexes. When it is this one's turn again, nothing that it knows still holds."""
        self._prepared = NEVER
        return 0

    def _pause(self, error: StoreError) -> None:
        """A reason is told once, however long it lasts."""
        if self._paused != str(error):
            log(logging.ERROR, "indexer: paused", {"code": error.code, "reason": error})
        self._paused = str(error)

    def _go_on(self) -> None:
        if self._paused:
            log(logging.WARNING, "indexer: goes on", {})
        self._paused = ""

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
        to, batches = await self._database.read(lambda connection: _next(connection, cursor))
        announced = cursor.pending_to is not None  # before: it may be there, whole or in part
        if not announced and not await self._write(lambda c: cursors.announce(c, self.reader, id_, cursor.batch, to)):
            return
        token = await self._database.read(lambda connection: self._token(connection, id_, first, to))
        connector = await self._connector(id_)
        blocks = await asyncio.to_thread(self._blocks, connector, batches)
        await self._insert(id_, blocks, token, again=announced)
        await self._write(lambda connection: cursors.advance(connection, self.reader, id_, to))
        self._reached[id_] = to
        self._tell(batches, blocks)

    async def _insert(self, integration_id: int, blocks: Sequence[Block], token: str, *, again: bool) -> None:
        """What is sent `again` is inserted by whoever is first, and then looked at."""
        await self._add(blocks, token)
        if not again or not blocks:
            return
        first, last = blocks[0].batch, blocks[-1].batch
        there = await self._analytics.read(lambda client: artifacts.counted(client, integration_id, first, last))
        missing = [block for block in blocks if there.get(block.batch, 0) != block.count]
        for block in missing:
            if block.batch in there:
                await self._analytics.write(partial(artifacts.remove, integration_id=integration_id, batch=block.batch))
        await self._add(missing, f"{token_hex(8)}/{token}")

    async def _add(self, blocks: Sequence[Block], token: str) -> None:
        if blocks:
            await self._analytics.write(lambda client: artifacts.insert(client, blocks, token))

    def _blocks(self, connector: Connector, batches: Sequence[Batch]) -> list[Block]:
        places = self.geography.look()
        return [
            artifacts.block(
                batch.integration_id,
                connector.slug,
                batch.batch,
                batch.committed_at,
                list(self._normalized(connector, batch, places)),
            )
            for batch in batches
        ]

    def _normalized(self, connector: Connector, batch: Batch, places: Look) -> Iterator[tuple[Signal, Artifact]]:
        for signal in batch.signals:
            try:
                yield signal, places.located(connector.normalize(signal))
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


def _next(connection: Connection, cursor: Cursor) -> tuple[int, Sequence[Batch]]:
    """The last batch of the next range, which was announced or is as long as one insert bears, and its batches."""
    first, to = cursor.batch + 1, cursor.pending_to
    if to is None:
        last = min(cursor.last, cursor.batch + BATCHES)
        to = journal.within(connection, cursor.integration_id, first, last, BYTES)
    return to, journal.read(connection, cursor.integration_id, first, to)
