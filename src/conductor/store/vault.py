"""Secrets at rest: a key of its own for each secret version, wrapped by the master key in a file.

AES-256-GCM with 96-bit random nonces. The additional data binds a sealed value to its row, its version and its
context (the host it is meant for), so that a copied row or a changed host cannot be decrypted. The master key is never
in the database; a check value there tells a wrong key file at once (docs/explanation/secrets.md).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from conductor.core import clock
from conductor.core.errors import KeyWrong, StoreError
from conductor.store import keyfile, schema

NONCE_BYTES = 12
CHECK = "key_check"
Place = tuple[str, str]  # of a secret: its owner and field
FIRST: Place = ("", "")
_CHECK = select(schema.facts.c.value).where(schema.facts.c.name == CHECK)
_SECRET = select(schema.secrets).where(
    schema.secrets.c.owner == bindparam("owner"), schema.secrets.c.field == bindparam("field")
)


class SecretUnreadable(StoreError):
    """The saved secret cannot be decrypted."""

    code = "local.secret.unreadable"


@dataclass(frozen=True, slots=True)
class Stored:
    """What may be told about a secret: never its value."""

    field: str
    version: int
    set_at: datetime
    set_by: str


class Vault:
    """Seals and opens the secrets of one installation with its master key."""

    def __init__(self, key: bytes, path: Path | None = None, new: bytes | None = None) -> None:
        """`new` is the key that is being changed to: it seals from now on, and both open."""
        self.path = path
        self._keys = {keyfile.key_id(each): each for each in (key, new) if each is not None}
        self.key_id = keyfile.key_id(new or key)

    def check(self, connection: Connection) -> None:
        """Raise KeyWrong unless a key here is the one of the database; the first key is the right one."""
        row = connection.execute(_CHECK).scalar()
        if row is None:
            connection.execute(insert(schema.facts), {"name": CHECK, "value": self._check_value()})
            return
        expected, _, value = row.partition(":")
        if not any(hmac.compare_digest(value, _check(key)) for key in self._keys.values()):
            raise KeyWrong(f"The key file {self.path} does not belong to this data.", path=str(self.path), id=expected)

    def change_to(self, new: bytes) -> None:
        """Seal with this key from now on; what the others sealed can still be opened."""
        self._keys[keyfile.key_id(new)] = new
        self.key_id = keyfile.key_id(new)

    def rewrap(
        self, connection: Connection, after: tuple[str, str] = ("", ""), most: int = 100
    ) -> tuple[str, str] | None:
        """Wrap some secrets' keys with the sealing key; the answer is how far it came, None at the end.

        One that cannot be opened is left as it is: no key would help it.
        """
        table = schema.secrets
        place = tuple_(table.c.owner, table.c.field)
        rows = connection.execute(
            select(table).where(place > tuple_(*after)).order_by(table.c.owner, table.c.field).limit(most)
        ).all()
        for row in rows:
            if row.key_id == self.key_id:
                continue
            bound = _bound(row.owner, row.field, row.context, row.version)
            try:
                plain = _open(self._key(row.key_id), row.wrapped_key, bound)
            except (InvalidTag, ValueError):
                continue
            values = {"key_id": self.key_id, "wrapped_key": _seal(self._key(self.key_id), plain, bound)}
            connection.execute(update(table).where(place == tuple_(row.owner, row.field)).values(values))
        return (rows[-1].owner, rows[-1].field) if rows else None

    def settle(self, connection: Connection) -> None:
        """The sealing key is the database's key from now on."""
        connection.execute(update(schema.facts).where(schema.facts.c.name == CHECK).values(value=self._check_value()))

    def put(self, connection: Connection, owner: str, field: str, value: str, *, context: str, by: str) -> None:
        """Seal a new version of a secret, replacing the one before."""
        table = schema.secrets
        here = (table.c.owner == owner, table.c.field == field)
        version = (connection.execute(select(table.c.version).where(*here)).scalar() or 0) + 1
        bound = _bound(owner, field, context, version)
        key = AESGCM.generate_key(8 * keyfile.KEY_BYTES)
        row = {
            "owner": owner,
            "field": field,
            "context": context,
            "version": version,
            "key_id": self.key_id,
            "wrapped_key": _seal(self._key(self.key_id), key, bound),
            "sealed": _seal(key, value.encode(), bound),
            "set_at": clock.to_micros(clock.now()),
            "set_by": by,
        }
        connection.execute(delete(table).where(*here))
        connection.execute(insert(table), row)

    def get(self, connection: Connection, owner: str, field: str, *, context: str) -> str | None:
        """The value, None when it was never set. Raises SecretUnreadable."""
        row = connection.execute(_SECRET, {"owner": owner, "field": field}).one_or_none()
        if row is None:
            return None
        bound = _bound(owner, field, context, row.version)
        try:
            return _open(_open(self._key(row.key_id), row.wrapped_key, bound), row.sealed, bound).decode()
        except (InvalidTag, ValueError) as error:  # ValueError: bytes that were cut short
            raise SecretUnreadable(path=str(self.path)) from error

    def holds(self, connection: Connection, owner: str, field: str, value: str, *, context: str) -> bool:
        """Whether this is the value already; one that cannot be opened is another."""
        try:
            return self.get(connection, owner, field, context=context) == value
        except SecretUnreadable:
            return False

    def forget(self, connection: Connection, owner: str, field: str | None = None) -> None:
        """Delete a secret, or all of an owner's."""
        table = schema.secrets
        here = [table.c.owner == owner] + ([table.c.field == field] if field else [])
        connection.execute(delete(table).where(*here))

    def stored(self, connection: Connection, owners: Sequence[str]) -> dict[str, dict[str, Stored]]:
        """Which secrets these owners have, by field."""
        table = schema.secrets
        told = select(table.c.owner, table.c.field, table.c.version, table.c.set_at, table.c.set_by)
        found: dict[str, dict[str, Stored]] = {owner: {} for owner in owners}
        for row in connection.execute(told.where(table.c.owner.in_(owners))):
            found[row.owner][row.field] = Stored(row.field, row.version, clock.from_micros(row.set_at), row.set_by)
        return found

    def _key(self, key_id: str) -> bytes:
        """Raises ValueError for a key that is not here; another process may have changed it meanwhile."""
        if key_id not in self._keys and self.path is not None:
            self._keys |= {keyfile.key_id(key): key for key in keyfile.known(self.path)}
        if key_id not in self._keys:
            raise ValueError(f"the key {key_id} is not here")
        return self._keys[key_id]

    def _check_value(self) -> str:
        return f"{self.key_id}:{_check(self._key(self.key_id))}"


def _check(key: bytes) -> str:
    return hmac.digest(key, b"conductor key check", hashlib.sha256).hex()


def expected_key(connection: Connection) -> str | None:
    """The id of the key that sealed what is in the database, None for a new one."""
    row = connection.execute(_CHECK).scalar()
    return None if row is None else str(row).partition(":")[0]


def _bound(owner: str, field: str, context: str, version: int) -> bytes:
    return f"secrets|{owner}|{field}|{context}|v{version}".encode()


def _seal(key: bytes, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _open(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
