"""Invitations in the store: one for each e-mail, with the digest of its link's token only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from conductor.core import clock
from conductor.store import schema

_table = schema.invitations


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody who may become a user until it expires."""

    email: str
    role: str
    invited_by: str
    invited_at: datetime
    expires_at: datetime

    @property
    def expired(self) -> bool:
        """Whether its link works no more."""
        return self.expires_at <= clock.now()


def put(connection: Connection, invitation: Invitation, digest: bytes) -> None:
    """Store it; an earlier one of the same e-mail is void."""
    drop(connection, invitation.email)
    row = {
        "email": invitation.email,
        "digest": digest,
        "role": invitation.role,
        "invited_by": invitation.invited_by,
        "invited_at": clock.to_micros(invitation.invited_at),
        "expires_at": clock.to_micros(invitation.expires_at),
    }
    connection.execute(insert(_table), row)


def find(connection: Connection, digest: bytes) -> Invitation | None:
    """The one whose link has that token, expired or not."""
    row = connection.execute(select(_table).where(_table.c.digest == digest)).one_or_none()
    return None if row is None else _invitation(row)


def everyone(connection: Connection) -> list[Invitation]:
    """All by e-mail, the expired ones included."""
    return [_invitation(row) for row in connection.execute(select(_table).order_by(_table.c.email))]


def drop(connection: Connection, email: str) -> bool:
    """Void it; whether there was one."""
    return connection.execute(delete(_table).where(_table.c.email == email)).rowcount > 0


def _invitation(row: Row[Any]) -> Invitation:
    moments = {name: clock.from_micros(getattr(row, name)) for name in ("invited_at", "expires_at")}
    return Invitation(row.email, row.role, row.invited_by, **moments)
