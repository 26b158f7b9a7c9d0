"""API tokens in the store, with the digest of the secret part only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from conductor.core import clock
from conductor.core.errors import NotFound
from conductor.store import schema

_table = schema.api_tokens
_BY_DIGEST = select(_table).where(_table.c.digest == bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Token:
    """What a program signs in with. No `networks` means from everywhere, no `integrations` (ids) all of them."""

    id: int
    name: str
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    integrations: tuple[int, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    used_from: str
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= clock.now() else "active"


def add(
    connection: Connection,
    digest: bytes,
    *,
    name: str,
    scopes: tuple[str, ...],
    networks: tuple[str, ...],
    integrations: tuple[int, ...],
    expires_at: datetime,
    by: str,
) -> Token:
    """Store a new one."""
    row = {
        "name": name,
        "digest": digest,
        "scopes": " ".join(scopes),
        "networks": " ".join(networks),
        "integrations": " ".join(map(str, integrations)),
        "created_at": clock.to_micros(clock.now()),
        "created_by": by,
        "expires_at": clock.to_micros(expires_at),
        "used_from": "",
    }
    return get(connection, int(connection.execute(insert(_table).values(row).returning(_table.c.id)).scalar_one()))


def get(connection: Connection, token_id: int) -> Token:
    """By id. Raises NotFound."""
    row = connection.execute(select(_table).where(_table.c.id == token_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such token.")
    return _token(row)


def find(connection: Connection, digest: bytes) -> Token | None:
    """By the digest of its secret part, whatever its state."""
    row = connection.execute(_BY_DIGEST, {"wanted": digest}).one_or_none()
    return None if row is None else _token(row)


def everyone(connection: Connection) -> list[Token]:
    """All, the newest first."""
    return [_token(row) for row in connection.execute(select(_table).order_by(_table.c.id.desc()))]


def change(connection: Connection, token_id: int, **moments: datetime) -> Token:
    """Set `expires_at` or `revoked_at`."""
    values = {name: clock.to_micros(moment) for name, moment in moments.items()}
    connection.execute(update(_table).where(_table.c.id == token_id).values(values))
    return get(connection, token_id)


def use(connection: Connection, token_id: int, address: str) -> None:
    """Note that it was used just now, and from where."""
    values = {"used_at": clock.to_micros(clock.now()), "used_from": address}
    connection.execute(update(_table).where(_table.c.id == token_id).values(values))


def _token(row: Row[Any]) -> Token:
    moments = ("created_at", "expires_at", "used_at", "revoked_at")
    return Token(
        scopes=tuple(row.scopes.split()),
        networks=tuple(row.networks.split()),
        integrations=tuple(map(int, row.integrations.split())),
        **{name: getattr(row, name) for name in ("id", "name", "created_by", "used_from")},
        **{name: _moment(getattr(row, name)) for name in moments},
    )


def _moment(micros: int | None) -> Any:
    return None if micros is None else clock.from_micros(micros)
