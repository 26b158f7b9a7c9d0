"""PostgreSQL's own ways: how a connection to it is made, which of its failures pass, and how long it is waited for.

A worker that is paused or cut off must not hold a lock for ever, and a connection that nobody answers must not be
waited for as long as TCP would: both ends give up within half a minute.
"""

from __future__ import annotations

import logging
import os
import socket
import weakref
from contextlib import suppress
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event

from conductor.core.errors import StoreAway
from conductor.observe import log

PATIENCE = 120.0  # seconds that one transaction may take before its connection is cut
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0  # seconds between two tries to reach a server that is away
_LOCKS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=10s"
_PEER = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=20s"
_OURS = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# By class or code: connection, resources, operator's intervention, rolled back; locked, idle too long, a standby.
_PASSING = ("08", "53", "57", "40", "55P03", "25P03", "25006")
_CROSSED = ("40", "55P03")


def engine(url: sqlalchemy.URL, *, connections: int, session: str = "") -> Engine:
    """An engine for that server with that many connections; `session` is further options of each."""
    arguments = {**_OURS, "tcp_user_timeout": 20_000, "options": f"{_LOCKS} {_PEER} {session}"}
    return sqlalchemy.create_engine(
        url, pool_size=connections, max_overflow=0, pool_pre_ping=True, connect_args=arguments
    )


def passes(error: sqlalchemy.exc.DBAPIError) -> bool:
    """Whether waiting helps: the server is away, is starting, or has thrown the transaction out."""
    state = getattr(error.orig, "sqlstate", "")  # SQLite's errors have none
    if state is None:  # the client itself lost the connection, or could make none
        return isinstance(error, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError)
    return bool(state) and str(state).startswith(_PASSING)


def crossed(error: BaseException | None) -> bool:
    """Whether a transaction ran into another one: it may be tried again at once."""
    original = getattr(error, "orig", None)
    return str(getattr(original, "sqlstate", None) or "").startswith(_CROSSED)


def trouble(error: sqlalchemy.exc.DBAPIError) -> str:
    """What is the matter with the server, as the end of a sentence."""
    said = str(error.orig).partition("\n")[0].rstrip(".")
    return f"is busy: {said}" if crossed(error) else f"does not answer: {said}"


class Lines:
    """The open connections of an engine, to cut when nothing is heard of one for too long."""

    def __init__(self, engine: Engine) -> None:
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        event.listen(engine, "connect", lambda connection, _record: self._open.add(connection))

    def cut(self) -> None:
        """Whoever waits for an answer gets an error instead."""
        log(logging.ERROR, "store: the database was silent too long, its connections are cut", {})
        for connection in list(self._open):
            with suppress(Exception):  # closed meanwhile
                _shut(connection.fileno())


class Absence:
    """While the server is away it is tried after growing waits; whoever comes between is told at once."""

    def __init__(self) -> None:
        self.reason = ""
        self._wait = FIRST_WAIT
        self._until = 0.0

    def told(self, now: float) -> StoreAway | None:
        """What to tell whoever comes before the next try is due."""
        return StoreAway(self.reason) if self.reason and now < self._until else None

    def begins(self, error: StoreAway, now: float) -> None:
        """A try failed."""
        if not self.reason:
            log(logging.ERROR, "store: the database is away", {"reason": error})
        self.reason = str(error)
        self._until, self._wait = now + self._wait, min(2 * self._wait, LONGEST_WAIT)

    def ends(self) -> None:
        """A try succeeded."""
        if self.reason:
            log(logging.WARNING, "store: the database is back", {})
            self.reason, self._wait = "", FIRST_WAIT


def _shut(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)
