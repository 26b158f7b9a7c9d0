"""A signal is a record exactly as a vendor sent it; a batch is what one page brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

KEY_BYTES = 16
DIGEST_BYTES = 8
_NUMBER_DIGITS = 18  # as many as always fit into 8 bytes


@dataclass(frozen=True, slots=True)
class Signal:
    """One record as received: the vendor's own id (or a synthetic one) and its exact bytes."""

    id: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A vendor's position: bytes only its connector understands, and the time it stands for (UTC)."""

    position: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that could not be taken as the vendor has it, with what is known of it.

    `signal_id` is empty and `size` None where they are not known; `sha256` is of the bytes that were seen. It lies
    between `begins` and `ends`, or is not missing when they are None.
    """

    cause: str
    signal_id: str
    size: int | None
    sha256: bytes
    begins: datetime | None = None
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignalBatch:
    """The signals of one page and the checkpoint that stands once they are committed.

    `checkpoint` is None when the position does not move. `covered_until` is set on the last batch of a pass that
    reached the end of the vendor's log: everything up to that time has been read. `quarantined` are records that the
    page stepped over. `notices` are codes of what was odd although it could be read; a tile tells them. `stalled`: the
    vendor answers, but nothing comes behind the position.
    """

    signals: Sequence[Signal]
    checkpoint: Checkpoint | None
    covered_until: datetime | None = None
    quarantined: Sequence[Quarantined] = ()
    notices: Sequence[str] = ()
    stalled: bool = False


def key(integration_id: int, signal_id: str) -> bytes:
    """The 16-byte key under which a signal is stored once: a hash of the integration and the vendor's id.

    Ids that begin with a number (of time, usually) keep it as the key's first half: then keys sort as they come, and a
    page's keys fall on one page of the database instead of on a hundred.
    """
    plain = b"%d|%s" % (integration_id, signal_id.encode("utf-8", "surrogatepass"))
    hashed = blake2b(plain, digest_size=KEY_BYTES).digest()
    head = signal_id[:_NUMBER_DIGITS]
    if len(head) == _NUMBER_DIGITS and head.isascii() and head.isdigit():
        return int(head).to_bytes(KEY_BYTES // 2, "big") + hashed[: KEY_BYTES // 2]
    return hashed


def digest(raw: bytes) -> bytes:
    """An 8-byte digest of the body, to notice when a vendor serves one id with two bodies."""
    return blake2b(raw, digest_size=DIGEST_BYTES).digest()
