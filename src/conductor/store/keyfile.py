"""The master key's file, and the new one beside it while the key is being changed.

`conductor.key` is the key; `conductor.key.new` is there from the first step of a rotation to its last, which puts it in
place and keeps the old key as `conductor.key.old-ID`. A kill at any moment leaves both keys.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from conductor.core.errors import SettingsError

KEY_BYTES = 32


def key_id(key: bytes) -> str:
    """A name for a key that tells nothing of it."""
    return hmac.digest(key, b"conductor key id", hashlib.sha256).hex()[:8]


def next_to(path: Path) -> Path:
    """Where the new key waits."""
    return path.with_name(path.name + ".new")


def read_next(path: Path) -> bytes | None:
    """The new key, while the key is being changed. Raises SettingsError."""
    return _read_key(next_to(path)) if next_to(path).exists() else None


def known(path: Path) -> list[bytes]:
    """The keys that are in these files now."""
    return [_read_key(each) for each in (path, next_to(path)) if each.exists()]


def begin(path: Path) -> bytes:
    """The new key, made unless it is there already. Raises SettingsError."""
    return open_key_file(next_to(path))


def finish(path: Path) -> Path:
    """Put the new key in place; the answer is where the old one is kept. Raises SettingsError."""
    kept = path.with_name(f"{path.name}.old-{key_id(_read_key(path))}")
    try:
        kept.unlink(missing_ok=True)
        os.link(path, kept)
        os.replace(next_to(path), path)
        _sync(path.parent)
    except OSError as error:
        raise SettingsError(f"The new key cannot be put in place of {path}: {error.strerror}.") from error
    return kept


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
        _sync(path.parent)
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


def _sync(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
