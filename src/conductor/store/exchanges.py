"""The requests of each poll, in one compressed row a poll, to look into a failure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from conductor.core.poll import Exchange
from conductor.store import schema, zstd

_table = schema.exchanges
_ADD = insert(_table)
_OF = select(_table.c.body).where(_table.c.poll_id == bindparam("poll"))
_DECODER = msgspec.msgpack.Decoder(list[Exchange])


def add(connection: Connection, poll_id: int, found: Sequence[Exchange]) -> None:
    """Keep a poll's requests. They hold no secret: see `conductor.signal_client.outcome`."""
    if found:
        body = zstd.compress(msgspec.msgpack.encode(found))
        connection.execute(_ADD, {"poll_id": poll_id, "body": body})


def of(connection: Connection, poll_id: int) -> list[Exchange]:
    """A poll's requests in their order; none when they have passed their time."""
    body = connection.execute(_OF, {"poll": poll_id}).scalar()
    return [] if body is None else _DECODER.decode(zstd.decompress(body))


def expire(connection: Connection, before: int) -> int:
    """Delete the requests of polls with smaller ids; `polls.first_since` finds the id of a time."""
    return connection.execute(delete(_table).where(_table.c.poll_id < before)).rowcount
