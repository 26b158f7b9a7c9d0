"""Secrets at rest: a key of its own for each secret version, wrapped by the master key in a file.

AES-256-GCM with 96-bit random nonces. The additional data binds a sealed value to its row, its version and its
context (the host it is meant for), so that a copied row or a changed host cannot be decrypted. The master key is never
in the database; a check value there tells a wrong key file at once (docs/explanation/secrets.md).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, insert, select

from conductor.core import clock
from conductor.core.errors import KeyWrong, SettingsError, StoreError
from conductor.store import schema

KEY_BYTES = 32
NONCE_BYTES = 12
CHECK = "key_check"


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

    def __init__(self, key: bytes, path: Path | None = None) -> None:
        self._key = key
        self.path = path
        self.key_id = hmac.digest(key, b"conductor key id", hashlib.sha256).hex()[:8]

    def check(self, connection: Connection) -> None:
        """Raise KeyWrong unless this key sealed what is in the database; the first key is the right one."""
        row = connection.execute(select(schema.facts.c.value).where(schema.facts.c.name == CHECK)).scalar()
        expected, _, value = (row or "").partition(":")
        mine = hmac.digest(self._key, b"conductor key check", hashlib.sha256).hex()
        if row is None:
            connection.execute(insert(schema.facts), {"name": CHECK, "value": f"{self.key_id}:{mine}"})
        elif not hmac.compare_digest(value, mine):
            raise KeyWrong(f"The key file {self.path} does not belong to this data.", path=str(self.path), id=expected)

    def put(self, connection: Connection, owner: str, field: str, value: str, *, context: str, by: str) -> None:
        """Seal a new version of a secret, replacing the one before."""
        table = schema.secrets
        here = (table.c.owner == owner, table.c.field == field)
        version = (connection.execute(select(table.c.version).where(*here)).scalar() or 0) + 1
        bound = _bound(owner, field, context, version)
        key = AESGCM.generate_key(8 * KEY_BYTES)
        row = {
            "owner": owner,
            "field": field,
            "context": context,
            "version": version,
            "key_id": self.key_id,
            "wrapped_key": _seal(self._key, key, bound),
            "sealed": _seal(key, value.encode(), bound),
            "set_at": clock.to_micros(clock.now()),
            "set_by": by,
        }
        connection.execute(delete(table).where(*here))
        connection.execute(insert(table), row)

    def get(self, connection: Connection, owner: str, field: str, *, context: str) -> str | None:
        """The value, None when it was never set. Raises SecretUnreadable."""
        table = schema.secrets
        row = connection.execute(select(table).where(table.c.owner == owner, table.c.field == field)).one_or_none()
        if row is None:
            return None
        bound = _bound(owner, field, context, row.version)
        try:
            return _open(_open(self._key, row.wrapped_key, bound), row.sealed, bound).decode()
        except (InvalidTag, ValueError) as error:  # ValueError: bytes that were cut short
            raise SecretUnreadable(path=str(self.path)) from error

    def forget(self, connection: Connection, owner: str, field: str | None = None) -> None:
        """Delete a secret, or all of an owner's."""
        table = schema.secrets
        here = [table.c.owner == owner] + ([table.c.field == field] if field else [])
        connection.execute(delete(table).where(*here))

    def stored(self, connection: Connection, owner: str) -> dict[str, Stored]:
        """Which secrets an owner has, by field."""
        table = schema.secrets
        rows = connection.execute(select(table).where(table.c.owner == owner))
        found = (Stored(row.field, row.version, clock.from_micros(row.set_at), row.set_by) for row in rows)
        return {item.field: item for item in found}


def expected_key(connection: Connection) -> str | None:
    """The id of the key that sealed what is in the database, None for a new one."""
    row = connection.execute(select(schema.facts.c.value).where(schema.facts.c.name == CHECK)).scalar()
    return None if row is None else str(row).partition(":")[0]


def open_key_file(path: Path) -> bytes:
    """The master key, made on the first start with mode 0600. Raises SettingsError for a file that is not a key."""
    if not path.exists():
        try:
            _make_key(path)
        except OSError as error:
            raise SettingsError(f"The key file {path} cannot be made: {error.strerror}.") from error
    return _read_key(path)


def _make_key(path: Path) -> None:
    """Written aside and put in place whole: a kill in between leaves no half of a key."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # never over a key that is there
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise SettingsError(f"The key file {path} cannot be read as a key.") from error
    if len(key) != KEY_BYTES:
        raise SettingsError(f"The key file {path} does not hold a key of {KEY_BYTES} bytes.")
    return key


def _bound(owner: str, field: str, context: str, version: int) -> bytes:
    return f"secrets|{owner}|{field}|{context}|v{version}".encode()


def _seal(key: bytes, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _open(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
