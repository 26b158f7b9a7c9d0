"""Proving the journal: no batch is missing, changed or out of order. See docs/explanation/evidence.md.

Every chunk of batches is proved by itself, from the stored link before it, so that several threads can work on one
chain: hashing and decompressing release the interpreter's lock. Nothing is locked and no long transaction is held; the
journal may grow, and lose its beginning to the retention, meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, bindparam, select

from conductor.core import clock
from conductor.core import signal as signals
from conductor.core.errors import NotFound, StoreError
from conductor.store import chain, journal, schema, zstd

CHUNK = 50  # batches proved at once
AHEAD = 6  # chunks in the threads' hands
THREADS = 2
_HEADER = ("integration_id", "batch", "lane", "poll_id", "committed_at", "signals", "size")
_RECORDS = msgspec.msgpack.Decoder(list[tuple[Any, memoryview]])  # views: a body is not copied record by record
_SOME = (
    select(schema.batches)
    .where(
        schema.batches.c.integration_id == bindparam("integration"),
        schema.batches.c.batch > bindparam("after"),
        schema.batches.c.batch <= bindparam("to"),
    )
    .order_by(schema.batches.c.batch)
    .limit(CHUNK)
)
_KNOWN = select(schema.signal_keys).where(schema.signal_keys.c.key.in_(bindparam("keys", expanding=True)))


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is proved: keys of batches committed since then, of one record a batch or of every record."""

    keys_since: datetime
    every_key: bool = False
    stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place of a chain that does not hold: what, which batches, committed when, how many events."""

    what: str
    first: int
    last: int
    begins: datetime | None = None
    ends: datetime | None = None
    events: int | None = None


@dataclass(slots=True)
class Proof:
    """What was found of one integration's chain."""

    integration_id: int
    name: str
    batches: int = 0
    events: int = 0
    begins: datetime | None = None
    ends: datetime | None = None
    link: bytes = chain.BEGIN
    broken: Broken | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """One batch as stored: the link before it, its header's line, its body, its link, and whether that one holds."""

    before: bytes | None
    line: bytes
    body: bytes
    link: bytes
    holds: bool


@dataclass(frozen=True, slots=True)
class _End:
    """A place in a chain: a batch that is there or was let go, its link and its time."""

    batch: int
    link: bytes | None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Chunk:
    before: _End
    rows: Sequence[Row[Any]]


@dataclass(slots=True)
class _Wanted:
    """Keys that must be known, each with its digest and the row it comes from."""

    digests: dict[bytes, bytes] = field(default_factory=dict)
    rows: dict[bytes, Row[Any]] = field(default_factory=dict)


def prove(engine: Engine, depth: Depth) -> Iterator[Proof]:
    """Prove one integration's chain after the other. Raises the driver's errors for a file that cannot be read."""
    with engine.connect() as connection:
        found = connection.execute(
            select(schema.fences, schema.integrations.c.name).join(schema.integrations).order_by("integration_id")
        ).all()
    with ThreadPoolExecutor(THREADS, "proof") as threads:
        for fence in found:
            yield _prove(engine, threads, fence, depth)


def cursors_ahead(connection: Connection) -> list[str]:
    """The readers whose cursor is beyond the newest batch."""
    cursors, fences = schema.cursors, schema.fences
    end = cursors.c.batch > fences.c.last_batch, cursors.c.pending_to > fences.c.last_batch
    mine = cursors.c.integration_id == fences.c.integration_id
    rows = connection.execute(select(cursors.c.reader, cursors.c.integration_id).where(mine, end[0] | end[1]))
    return [f"{reader} is ahead of integration {integration_id}" for reader, integration_id in rows]


def sealed(connection: Connection, integration_id: int, batch: int) -> Sealed:
    """One batch with all that proves it. Raises NotFound."""
    table, here = schema.batches, schema.batches.c.integration_id == integration_id
    row = connection.execute(select(table).where(here, table.c.batch == batch)).one_or_none()
    if row is None:
        raise journal.gone()
    before = connection.execute(select(table.c.chain).where(here, table.c.batch == batch - 1)).one_or_none()
    if before is None:
        fences = schema.fences
        anchor = select(fences.c.expired_chain.label("chain")).where(fences.c.integration_id == integration_id)
        before = connection.execute(anchor).one()
    holds = chain.of_batch(before.chain, _header(row), row.body) == row.chain
    return Sealed(before.chain, _header(row).line(len(row.body)), row.body, row.chain or b"", holds)


def end_holds(connection: Connection, fence: Row[Any]) -> bool:
    """Whether an integration's newest batch is the one that its fence tells of."""
    if fence.last_batch == fence.expired_batch:
        return True
    try:
        end = sealed(connection, fence.integration_id, fence.last_batch)
    except NotFound:  # unless another process has just let it go
        return bool(_anchor(connection, fence, _End(fence.expired_batch, None)).batch >= fence.last_batch)
    return end.holds and bool(end.link == fence.chain)


def _prove(engine: Engine, threads: ThreadPoolExecutor, fence: Row[Any], depth: Depth) -> Proof:
    proof = Proof(fence.integration_id, fence.name, link=fence.chain or chain.BEGIN)
    waiting: deque[tuple[_Chunk, Future[Broken | None]]] = deque()
    reached = _End(fence.expired_batch, fence.expired_chain)
    for chunk in _chunks(engine, fence, reached):
        if depth.stopped():
            raise StoreError("The proof was stopped.")
        waiting.append((chunk, threads.submit(_examine, engine, chunk, depth)))
        reached = _End(chunk.rows[-1].batch, chunk.rows[-1].chain, clock.from_micros(chunk.rows[-1].committed_at))
        if len(waiting) >= AHEAD:
            _take(proof, *waiting.popleft())
        if proof.broken:
            break
    for chunk, future in waiting:
        _take(proof, chunk, future)
    if proof.broken is None:
        proof.broken = _broken_end(fence, reached)
    return proof


def _take(proof: Proof, chunk: _Chunk, future: Future[Broken | None]) -> None:
    broken = future.result()
    if proof.broken is not None:
        return
    proof.broken = broken
    good = [row for row in chunk.rows if broken is None or row.batch < broken.first]
    proof.batches += len(good)
    proof.events += sum(row.signals for row in good)
    if good:
        proof.begins = proof.begins or clock.from_micros(good[0].committed_at)
        proof.ends = clock.from_micros(good[-1].committed_at)


def _chunks(engine: Engine, fence: Row[Any], reached: _End) -> Iterator[_Chunk]:
    """The rows up to the fence's newest batch. What the retention lets go meanwhile is passed over."""
    while True:
        with engine.connect() as connection:
            place = {"integration": fence.integration_id, "after": reached.batch, "to": fence.last_batch}
            rows = connection.execute(_SOME, place).all()
            if not rows:
                return
            if rows[0].batch != reached.batch + 1:
                reached = _anchor(connection, fence, reached)
        kept = [row for row in rows if row.batch > reached.batch]
        if kept:
            yield _Chunk(reached, kept)
        last = rows[-1] if not kept else kept[-1]
        if last.batch > reached.batch:
            reached = _End(last.batch, last.chain, clock.from_micros(last.committed_at))


def _anchor(connection: Connection, fence: Row[Any], reached: _End) -> _End:
    """Where the chain begins by now, if that is further on."""
    fences = schema.fences
    now = connection.execute(select(fences).where(fences.c.integration_id == fence.integration_id)).one()
    return _End(now.expired_batch, now.expired_chain) if now.expired_batch > reached.batch else reached


def _examine(engine: Engine, chunk: _Chunk, depth: Depth) -> Broken | None:
    """The first row that does not hold. Runs in a thread."""
    before = chunk.before
    wanted = _Wanted()
    for row in chunk.rows:
        broken = _broken_row(row, before, wanted, depth)
        if broken is not None:
            return _broken_keys(engine, wanted) or broken
        before = _End(row.batch, row.chain, clock.from_micros(row.committed_at))
    return _broken_keys(engine, wanted)


def _broken_row(row: Row[Any], before: _End, wanted: _Wanted, depth: Depth) -> Broken | None:
    if row.batch != before.batch + 1:
        return Broken("missing", before.batch + 1, row.batch - 1, before.time, clock.from_micros(row.committed_at))
    if chain.of_batch(before.link, _header(row), row.body) != row.chain:
        return _broken("changed, or one was put in or taken out before it", row)
    try:
        plain = zstd.decompress(row.body)
        records = _RECORDS.decode(plain)
    except (zstd.Error, msgspec.MsgspecError):
        return _broken("unreadable", row)
    if (len(plain), len(records)) != (row.size, row.signals):
        return _broken(f"holding {len(records)} events of {row.signals}", row)
    if row.committed_at >= clock.to_micros(depth.keys_since):
        _want(row, records, wanted, every=depth.every_key)
    return None


def _want(row: Row[Any], records: Sequence[tuple[Any, memoryview]], wanted: _Wanted, *, every: bool) -> None:
    """One record of the batch, another place in each, or all."""
    for signal_id, raw in records if every else [records[row.batch % len(records)]]:
        key = signals.key(row.integration_id, journal.readable(signal_id))
        wanted.digests[key] = signals.digest(bytes(raw))
        wanted.rows[key] = row


def _broken_keys(engine: Engine, wanted: _Wanted) -> Broken | None:
    """A key that is lost or changed; with another day it would be forgotten too early, or too late."""
    if not wanted.digests:
        return None
    known: dict[bytes, tuple[int, bytes, int]] = {}
    keys = list(wanted.digests)
    with engine.connect() as connection:
        for at in range(0, len(keys), 500):
            for key in connection.execute(_KNOWN, {"keys": keys[at : at + 500]}):
                known[bytes(key.key)] = (key.integration_id, bytes(key.digest), key.day)
    wrong = [
        row
        for key, row in wanted.rows.items()
        if known.get(key) != (row.integration_id, wanted.digests[key], row.committed_at // journal.DAY)
    ]
    return (
        _broken("holding events whose keys are lost or changed", min(wrong, key=lambda row: row.batch))
        if wrong
        else None
    )


def _broken_end(fence: Row[Any], reached: _End) -> Broken | None:
    if reached.batch < fence.last_batch:
        return Broken("missing", reached.batch + 1, fence.last_batch, reached.time)
    if reached.link != fence.chain:
        return Broken("not the one that was written last", reached.batch, reached.batch, reached.time, reached.time)
    return None


def _broken(what: str, row: Row[Any]) -> Broken:
    time = clock.from_micros(row.committed_at)
    return Broken(what, row.batch, row.batch, time, time, row.signals)


def _header(row: Row[Any]) -> chain.Header:
    return chain.Header(*(getattr(row, name) for name in _HEADER))
