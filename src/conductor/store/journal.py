"""The journal: what was collected, exactly once, and the checkpoint beside it. See docs/explanation/commit-protocol.md.

A page is committed in one transaction: its new signals as one compressed batch row, their keys, the checkpoint and the
poll's counts. The transaction is fenced by the owner's epoch and by the checkpoint's version. Nothing in it can fail
because of what a signal contains: bodies are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from conductor.core import clock
from conductor.core import signal as signals
from conductor.core.errors import Fenced, Held, NotFound
from conductor.core.signal import Checkpoint, Quarantined, Signal
from conductor.store import chain, hours, leases, quarantine, schema, zstd

LIVE = "live"
DAY = 86_400_000_000  # microseconds
_RECORDS = msgspec.msgpack.Decoder(list[tuple[Any, bytes]])  # an id is str, or bytes: see _writable
_KNOWN = select(schema.signal_keys.c.key, schema.signal_keys.c.digest).where(
    schema.signal_keys.c.key.in_(bindparam("keys", expanding=True))
)
# Built once: a page's commit is the hot path, and building a statement costs as much as running it.
_FENCE = (
    select(schema.fences.c.epoch, schema.fences.c.last_batch, schema.fences.c.chain)
    .where(schema.fences.c.integration_id == bindparam("integration"))
    .with_for_update()
)
_NEXT_BATCH = (
    update(schema.fences)
    .where(schema.fences.c.integration_id == bindparam("integration"))
    .values(last_batch=bindparam("batch"), chain=bindparam("link"))
)
_FIRST_CHECKPOINT = insert(schema.checkpoints)
_NEXT_CHECKPOINT = (
    update(schema.checkpoints)
    .where(
        schema.checkpoints.c.integration_id == bindparam("integration"),
        schema.checkpoints.c.lane == bindparam("in_lane"),
        schema.checkpoints.c.version == bindparam("expected"),
    )
    .values({name: bindparam(name) for name in ("position", "time", "version", "covered_until", "seen")})
)
_RANGE = and_(
    schema.batches.c.integration_id == bindparam("integration"),
    schema.batches.c.batch.between(bindparam("first"), bindparam("last")),
)
_BODIES = (
    select(schema.batches.c.batch, schema.batches.c.committed_at, schema.batches.c.body)
    .where(_RANGE)
    .order_by(schema.batches.c.batch)
)
_SIZES = select(schema.batches.c.batch, schema.batches.c.size).where(_RANGE).order_by(schema.batches.c.batch)
_ADD_KEYS = insert(schema.signal_keys)
_ADD_BATCH = insert(schema.batches)
_COUNT = (
    update(schema.polls)
    .where(schema.polls.c.id == bindparam("poll"))
    .values(
        {
            name: schema.polls.c[name] + bindparam(f"more_{name}")
            for name in ("fetched", "new", "duplicates", "conflicts")
        }
        | {"position_to": bindparam("to")}
    )
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a lane of an integration stands, for its owner: `epoch` and `version` fence the next commit.

    `seen` is the greatest age of a record at the checkpoint when it was read: the vendor keeps at least that much.
    """

    integration_id: int
    lane: str
    epoch: int
    version: int
    checkpoint: Checkpoint | None
    covered_until: datetime | None
    seen: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Page:
    """What one page brought: its signals and the checkpoint that stands after it (None: it stays where it is)."""

    poll_id: int
    signals: Sequence[Signal]
    checkpoint: Checkpoint | None
    covered_until: datetime | None
    begin_anew: bool = False  # the position before is lost: `checkpoint` stands, also when it is None
    quarantined: Sequence[Quarantined] = ()  # records that the page stepped over
    read_at: datetime | None = None  # by the vendor's clock; None while it has not told


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. `batch` is None when the page held nothing new; `fresh` are the signals that were. `set_aside`
    are the records that could not be taken or came again with another body, where they were not known before."""

    position: Position
    new: int
    duplicates: int
    conflicts: int
    batch: int | None
    fresh: Sequence[Signal] = ()
    set_aside: Sequence[Quarantined] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """One committed batch, as a reader of the journal gets it."""

    integration_id: int
    batch: int
    committed_at: datetime
    signals: Sequence[Signal]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A page's signals by what the journal already has."""

    fresh: Mapping[bytes, Signal]
    duplicates: int
    conflicts: Sequence[Signal]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next batch goes: its number, the link before it, and now, in microseconds."""

    batch: int
    previous: bytes | None
    moment: int


def take_over(connection: Connection, integration_id: int, lane: str = LIVE, *, worker: str = "") -> Position:
    """Become the owner: older owners are fenced from now on. Without a name the integration is free again afterwards.

    Raises Held while another worker lives that owns it, NotFound for a removed integration.
    """
    fences, table = schema.fences, schema.integrations
    # On PostgreSQL the lock makes a removal wait, which then fences this owner.
    here = select(table.c.id).where(table.c.id == integration_id, table.c.removed_at.is_(None))
    if connection.execute(here.with_for_update(read=True)).first() is None:
        raise NotFound(f"There is no integration {integration_id}.")
    grow = update(fences).where(fences.c.integration_id == integration_id, leases.free_for(worker))
    grow = grow.values(epoch=fences.c.epoch + 1, owner=worker)
    epoch = connection.execute(grow.returning(fences.c.epoch)).scalar_one_or_none()
    if epoch is None:
        raise Held()
    return _position(connection, integration_id, lane, epoch)


def beside(connection: Connection, owner: Position, lane: str) -> Position:
    """Another lane of an integration, under the owner's epoch. Raises Fenced for one who is not the owner any more."""
    check_fence(connection, owner)
    return _position(connection, owner.integration_id, lane, owner.epoch)


def commit(connection: Connection, position: Position, page: Page, now: datetime) -> Committed:
    """Write one page and move the checkpoint. Raises Fenced when another owner came, or another commit."""
    fence = check_fence(connection, position)
    after = _move(connection, position, page)
    found = _sort(connection, position.integration_id, page.signals)
    place = _Place(fence.last_batch + 1, fence.chain, clock.to_micros(now))
    batch = _append(connection, position, page, found, place) if found.fresh else None
    second = map(quarantine.second_body, found.conflicts)
    aside = quarantine.add(connection, position.integration_id, page.poll_id, [*page.quarantined, *second], now)
    new, conflicts = tuple(found.fresh.values()), len(found.conflicts)
    done = Committed(after, len(new), found.duplicates, conflicts, batch, new, aside)
    _count(connection, page, done)
    if new and position.lane == LIVE:
        hours.collected(connection, position.integration_id, now, len(new))
    return done


def positions(connection: Connection, lane: str = LIVE) -> dict[int, Position]:
    """Where every integration stands, to look at; with epoch 0 they can commit nothing."""
    rows = connection.execute(select(schema.checkpoints).where(schema.checkpoints.c.lane == lane))
    return {row.integration_id: _read_position(row, 0) for row in rows}


def empty(connection: Connection) -> set[int]:
    """The integrations that never had a signal."""
    fences = schema.fences
    return set(connection.execute(select(fences.c.integration_id).where(fences.c.last_batch == 0)).scalars())


def read(connection: Connection, integration_id: int, first: int, last: int) -> list[Batch]:
    """The batches from `first` to `last`, both included, in their order."""
    rows = connection.execute(_BODIES, {"integration": integration_id, "first": first, "last": last})
    return [Batch(integration_id, row.batch, clock.from_micros(row.committed_at), unpack(row.body)) for row in rows]


def find(connection: Connection, integration_id: int, batch: int, index: int) -> Signal:
    """One signal by its place. Raises NotFound when the batch has passed the retention."""
    found = read(connection, integration_id, batch, batch)
    if not found or not 0 <= index < len(found[0].signals):
        raise gone()
    return found[0].signals[index]


def gone() -> NotFound:
    """A record whose batch has passed the retention."""
    return NotFound("The journal no longer holds this record.")


def pack(fresh: Sequence[Signal]) -> tuple[bytes, int]:
    """A batch row's body and its size before compression."""
    plain = msgspec.msgpack.encode([(_writable(signal.id), signal.raw) for signal in fresh])
    return zstd.compress(plain), len(plain)


def unpack(body: bytes) -> list[Signal]:
    """The inverse of `pack`."""
    return [Signal(readable(signal_id), raw) for signal_id, raw in _RECORDS.decode(zstd.decompress(body))]


def readable(signal_id: str | bytes) -> str:
    """The id of a record as it was packed."""
    return signal_id if isinstance(signal_id, str) else signal_id.decode("utf-8", "surrogatepass")


def forget(connection: Connection, integration_id: int) -> None:
    """Drop the positions, for an integration that reads another tenant from now on, and fence its owner."""
    connection.execute(delete(schema.checkpoints).where(schema.checkpoints.c.integration_id == integration_id))
    fences = schema.fences
    here = fences.c.integration_id == integration_id
    connection.execute(update(fences).where(here).values(epoch=fences.c.epoch + 1))


def within(connection: Connection, integration_id: int, first: int, last: int, size: int) -> int:
    """The last batch of a range that keeps the range below that many bytes; one batch at the least."""
    rows = connection.execute(_SIZES, {"integration": integration_id, "first": first, "last": last})
    total, reached = 0, first
    for batch, more in rows:
        total += more
        if total > size and batch > first:
            return reached
        reached = batch
    return last


def stored(connection: Connection) -> int:
    """How many signals the journal holds."""
    return int(connection.execute(select(func.coalesce(func.sum(schema.batches.c.signals), 0))).scalar_one())


def _writable(signal_id: str) -> str | bytes:
    """An id with lone surrogates is no UTF-8: it is written as bytes."""
    try:
        signal_id.encode()
    except UnicodeEncodeError:
        return signal_id.encode("utf-8", "surrogatepass")
    return signal_id


def _position(connection: Connection, integration_id: int, lane: str, epoch: int) -> Position:
    table = schema.checkpoints
    query = select(table).where(table.c.integration_id == integration_id, table.c.lane == lane)
    row = connection.execute(query).one_or_none()
    return _read_position(row, epoch) if row else Position(integration_id, lane, epoch, 0, None, None)


def _read_position(row: Row[Any], epoch: int) -> Position:
    return Position(
        integration_id=row.integration_id,
        lane=row.lane,
        epoch=epoch,
        version=row.version,
        checkpoint=None if row.position is None else Checkpoint(row.position, clock.from_micros(row.time)),
        covered_until=None if row.covered_until is None else clock.from_micros(row.covered_until),
        seen=row.seen * clock.MICROSECOND,
    )


def check_fence(connection: Connection, position: Position) -> Row[int, int, bytes | None]:
    """The fence's epoch, last batch and link. Raises Fenced unless the position's owner still owns.

    On PostgreSQL the row stays locked to the end of the transaction, so no take-over comes between.
    """
    fence = connection.execute(_FENCE, {"integration": position.integration_id}).one_or_none()
    if fence is None or fence.epoch != position.epoch:
        raise Fenced()
    return fence


def _move(connection: Connection, position: Position, page: Page) -> Position:
    checkpoint = page.checkpoint if page.begin_anew else page.checkpoint or position.checkpoint
    covered = page.covered_until or position.covered_until
    seen = position.seen
    if checkpoint is not None and checkpoint != position.checkpoint and page.read_at is not None:
        seen = max(seen, page.read_at - checkpoint.time)
    if checkpoint == position.checkpoint and covered == position.covered_until:
        return position
    values: dict[str, object] = {
        "position": None if checkpoint is None else checkpoint.position,
        "time": None if checkpoint is None else clock.to_micros(checkpoint.time),
        "version": position.version + 1,
        "covered_until": None if covered is None else clock.to_micros(covered),
        "seen": seen // clock.MICROSECOND,
    }
    _write_checkpoint(connection, position, values)
    return replace(position, version=position.version + 1, checkpoint=checkpoint, covered_until=covered, seen=seen)


def _write_checkpoint(connection: Connection, position: Position, values: dict[str, object]) -> None:
    if position.version == 0:
        row = {"integration_id": position.integration_id, "lane": position.lane, **values}
        try:
            connection.execute(_FIRST_CHECKPOINT, row)
        except IntegrityError as error:
            raise Fenced() from error
        return
    here = {"integration": position.integration_id, "in_lane": position.lane, "expected": position.version}
    moved = connection.execute(_NEXT_CHECKPOINT, here | values)
    if moved.rowcount != 1:
        raise Fenced()


def _sort(connection: Connection, integration_id: int, page: Sequence[Signal]) -> _Sorted:
    """A record that comes twice is told by its key, also within the page; one with another body is a conflict."""
    keyed = [(signals.key(integration_id, signal.id), signal) for signal in page]
    known: dict[bytes, bytes] = {}
    if keyed:
        rows = connection.execute(_KNOWN, {"keys": [key for key, _ in keyed]})
        known = {bytes(key): bytes(digest) for key, digest in rows}
    fresh: dict[bytes, Signal] = {}
    conflicts: list[Signal] = []
    for key, signal in keyed:
        if key in known:
            if known[key] != signals.digest(signal.raw):
                conflicts.append(signal)
        elif key in fresh:
            if fresh[key].raw != signal.raw:
                conflicts.append(signal)
        else:
            fresh[key] = signal
    return _Sorted(fresh, len(keyed) - len(fresh), conflicts)


def _append(connection: Connection, position: Position, page: Page, found: _Sorted, place: _Place) -> int:
    """The batch row with its link, its keys, and the fence's counter. The fence is locked, so nobody else appends."""
    connection.execute(_ADD_KEYS, _keys(position.integration_id, found, place.moment // DAY))
    body, size = pack(list(found.fresh.values()))
    header = chain.Header(
        integration_id=position.integration_id,
        batch=place.batch,
        lane=position.lane,
        poll_id=page.poll_id,
        committed_at=place.moment,
        signals=len(found.fresh),
        size=size,
    )
    link = chain.of_batch(place.previous, header, body)
    connection.execute(_ADD_BATCH, asdict(header) | {"body": body, "chain": link})
    connection.execute(_NEXT_BATCH, {"integration": position.integration_id, "batch": place.batch, "link": link})
    return place.batch


def _keys(integration_id: int, found: _Sorted, day: int) -> list[dict[str, object]]:
    return [
        {"key": key, "integration_id": integration_id, "digest": signals.digest(signal.raw), "day": day}
        for key, signal in found.fresh.items()
    ]


def _count(connection: Connection, page: Page, done: Committed) -> None:
    checkpoint = done.position.checkpoint
    values = {
        "poll": page.poll_id,
        "more_fetched": len(page.signals),
        "more_new": done.new,
        "more_duplicates": done.duplicates,
        "more_conflicts": done.conflicts,
        "to": None if checkpoint is None else clock.to_micros(checkpoint.time),
    }
    connection.execute(_COUNT, values)
