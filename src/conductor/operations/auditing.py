"""The audit log, to read and to prove; and the deeds that no other operation writes down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conductor.core import clock
from conductor.core.errors import StorePaused
from conductor.observe import log
from conductor.operations.accounts import HasDatabase, User
from conductor.operations.search import Request
from conductor.store import audit
from conductor.store.audit import Entry, Verdict, Wanted
from conductor.store.database import Connection

__all__ = [
    "Entry",
    "Verdict",
    "Wanted",
    "asked_of_late",
    "denied",
    "entries",
    "exported",
    "refused",
    "searched",
    "told",
    "told_of",
    "took_away",
    "verify",
]


LATELY = 200  # entries that are looked through for queries


async def entries(system: HasDatabase, wanted: Wanted, limit: int, before: int | None = None) -> Sequence[Entry]:
    """The newest entries first; `before` is an id, to page on."""
    return await system.database.read(lambda connection: audit.recent(connection, limit, before, wanted))


async def verify(system: HasDatabase) -> Verdict:
    """Prove that no entry was changed, removed or added past Conductor."""
    return await system.database.read(audit.verify)


async def denied(system: HasDatabase, user: User | None, what: str, address: str) -> None:
    """Somebody asked for what they may not have."""
    actor = user.email if user else "unknown"
    await _note(system, lambda connection: audit.append(connection, actor, "access.denied", what, address=address))


async def refused(system: HasDatabase, code: str, slug: str, facts: Mapping[str, Any], *, by: str) -> None:
    """What the egress guard or TLS refused to a test or a preview; other failures are no deed."""
    action = audit.refusal(code)
    if action is not None:
        detail = {"code": code, "test": True, **facts}
        await system.database.write(lambda connection: audit.append(connection, by, action, slug, detail))


async def searched(system: HasDatabase, user: User, asked: Request, address: str, *, counted: bool = False) -> None:
    """Somebody has searched, or `counted` alone. The further pages of a search are no deed of their own."""
    if asked.after and not counted:
        return
    detail = told_of(asked) | ({"counted": True} if counted else {})
    await _note(
        system, lambda connection: audit.append(connection, user.email, "search", "events", detail, address=address)
    )


async def asked_of_late(system: HasDatabase, user: User, limit: int) -> list[str]:
    """The queries that a user searched for last, each once, the latest first. Raises StoreError."""
    wanted = Wanted(actor=user.email, action="search", target="events")
    found = await entries(system, wanted, LATELY)
    queries = (str(entry.detail.get("q", "")) for entry in found if not entry.detail.get("counted"))
    return list(dict.fromkeys(q for q in queries if q not in ("", "*")))[:limit]


async def took_away(system: HasDatabase, user: User, asked: Request, format: str, address: str) -> None:
    """Somebody takes events away as a file. Raises StoreError: no file leaves without an entry."""
    detail = {**told_of(asked), "format": format}
    await system.database.write(
        lambda connection: audit.append(connection, user.email, "events.exported", "events", detail, address=address)
    )


def told_of(asked: Request) -> dict[str, Any]:
    """What was asked for, as an entry tells it."""
    if asked.ids:
        return {"ids": len(asked.ids)}
    words = {"q": asked.q, "last": asked.last, "from": asked.start, "to": asked.end}
    return {name: value for name, value in words.items() if value is not None}


async def exported(system: HasDatabase, user: User, what: str, address: str) -> None:
    """Somebody takes entries away as a file. Raises StoreError: no file leaves without an entry."""
    await system.database.write(
        lambda connection: audit.append(connection, user.email, "audit.exported", what, address=address)
    )


async def _note(system: HasDatabase, work: Callable[[Connection], None]) -> None:
    """While the disk is full nothing can be written down, but the events can be read all the same."""
    try:
        await system.database.write(work)
    except StorePaused:
        log(logging.WARNING, "audit: an entry could not be written", {})


def told(entry: Entry) -> dict[str, Any]:
    """An entry as JSON tells it."""
    return {
        "id": entry.id,
        "time": clock.to_text(entry.time),
        "actor": entry.actor,
        "address": entry.address,
        "action": entry.action,
        "target": entry.target,
        "detail": dict(entry.detail),
    }
