"""The audit log: who did what, to what, from where.

Rows are appended and never changed: triggers refuse it, and each row carries the link of a chain whose end is kept
apart from the rows (docs/explanation/evidence.md). Processes on one PostgreSQL take turns at that end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, or_, select, update

from conductor.core import clock
from conductor.store import chain, schema

HEAD = "audit_chain"  # the fact that holds the end of the chain
_table = schema.audit
_REFUSALS = {"net.address.": "egress.blocked", "net.port.": "egress.blocked", "net.tls.": "tls.failed"}
_WORDS = ("actor", "address", "action", "target", "detail")
_READ_HEAD = select(schema.facts.c.value).where(schema.facts.c.name == HEAD)
_HEAD = _READ_HEAD.with_for_update()
_SOME = (
    select(_table)
    .where(_table.c.id > bindparam("after"), _table.c.id <= bindparam("to"))
    .order_by(_table.c.id)
    .limit(1000)
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit log."""

    id: int
    time: datetime
    actor: str
    address: str
    action: str
    target: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: by actor, action (all of a kind, when it ends in a dot) and target, by words that stand anywhere
    in them, and from when on."""

    text: str = ""
    actor: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a deed is done for: where it came from, and its id in the log."""

    address: str
    request: str


ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)  # set by whoever answers requests


def refusal(code: str) -> str | None:
    """The deed that an error's code is in this log, None for most: the egress guard's blocks, and TLS failures."""
    return next((action for area, action in _REFUSALS.items() if code.startswith(area)), None)


def append(
    connection: Connection,
    actor: str,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    address: str = "",
) -> None:
    """Write down one deed in the transaction of the deed itself, with the request that it is done for. `detail` never
    holds a secret."""
    asked = ASKED.get()
    if asked is not None:
        address, detail = address or asked.address, {**(detail or {}), "request": asked.request}
    text = connection.execute(_HEAD).scalar()
    head = _lost_head(connection) if text is None else chain.read_head(text)
    id_, time = head.id + 1, clock.to_micros(clock.now())
    words = (actor, address, action, target, msgspec.json.encode(detail or {}).decode())
    link = chain.of_entry(head.link, id_, time, *words)
    row = dict(zip(_WORDS, words, strict=True))
    connection.execute(insert(_table), {"id": id_, "time": time, **row, "chain": link})
    moved = chain.AuditHead(id_, head.count + 1, link)
    connection.execute(update(schema.facts).where(schema.facts.c.name == HEAD).values(value=moved.written()))


def _lost_head(connection: Connection) -> chain.AuditHead:
    """A new end for the chain, when the old one was taken away: the log goes on, and its proof tells of the loss."""
    head = chain.AuditHead(id=connection.execute(select(func.max(_table.c.id))).scalar() or 0)
    connection.execute(insert(schema.facts), {"name": HEAD, "value": head.written()})
    return head


def recent(connection: Connection, limit: int, before: int | None = None, wanted: Wanted | None = None) -> list[Entry]:
    """The newest first; `before` is an entry's id, to page on."""
    query = select(_table).order_by(_table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_table.c.id < before)
    if wanted is not None:
        query = query.where(*_conditions(wanted))
    rows = connection.execute(query)
    plain = ("id", "actor", "address", "action", "target")
    return [
        Entry(
            time=clock.from_micros(row.time),
            detail=msgspec.json.decode(row.detail),
            **{name: getattr(row, name) for name in plain},
        )
        for row in rows
    ]


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Words as they are typed; nothing in them has a meaning of its own."""
    kind = wanted.action.endswith(".")
    exact = {"actor": wanted.actor, "action": "" if kind else wanted.action, "target": wanted.target}
    chosen = [_table.c[name] == value for name, value in exact.items() if value]
    if kind:
        chosen.append(_table.c.action.startswith(wanted.action, autoescape=True))
    if wanted.since is not None:
        chosen.append(_table.c.time >= clock.to_micros(wanted.since))
    columns = [_table.c[name] for name in ("actor", "address", "action", "target", "detail")]
    for word in wanted.text.lower().split():
        chosen.append(or_(*(func.lower(column).contains(word, autoescape=True) for column in columns)))
    return chosen


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the proof of the chain found: how many entries, and the first that is not as it was written."""

    entries: int
    broken: int | None = None
    reason: str = ""


def verify(connection: Connection) -> Verdict:
    """Prove that no entry was changed, removed or added past Conductor. The log may grow meanwhile."""
    text = connection.execute(_READ_HEAD).scalar()
    if text is None:
        return Verdict(0, 0, "The end of the chain is missing.")
    head, reached = chain.read_head(text), chain.AuditHead()
    while rows := connection.execute(_SOME, {"after": reached.id, "to": head.id}).all():
        for row in rows:
            link = chain.of_entry(reached.link, row.id, row.time, *(getattr(row, word) for word in _WORDS))
            if link != row.chain:
                return Verdict(reached.count, row.id, "It was changed, or one before it was removed.")
            reached = chain.AuditHead(row.id, reached.count + 1, link)
    if reached != head:
        return Verdict(reached.count, reached.id + 1, "Entries are missing at the end.")
    newest = connection.execute(select(func.max(_table.c.id))).scalar() or 0
    if newest > chain.read_head(connection.execute(_READ_HEAD).scalar_one()).id:  # read after: it may have grown
        return Verdict(reached.count, newest, "It was added past Conductor.")
    return Verdict(reached.count)
