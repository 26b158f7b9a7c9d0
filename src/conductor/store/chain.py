"""The links of the evidence chains: SHA-256 over a row and the link before it. See docs/explanation/evidence.md.

What is hashed is written so that anyone can compute it again with a few lines of their own: the 32 bytes of the link
before, a line of text that holds every other column of the row, and a batch's body exactly as it is stored. The form
never changes; another one would get another first word.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

BYTES = 32
BEGIN = bytes(BYTES)  # stands before the first link


@dataclass(frozen=True, slots=True)
class Header:
    """A batch row without its body and its link."""

    integration_id: int
    batch: int
    lane: str
    poll_id: int
    committed_at: int  # microseconds
    signals: int
    size: int

    def line(self, stored: int) -> bytes:
        """The text that is hashed; `stored` is the body's length, so that nothing can move between the two."""
        fields = (self.integration_id, self.batch, self.lane, self.poll_id, self.committed_at, self.signals, self.size)
        return f"batch {' '.join(map(str, fields))} {stored}\n".encode()


def of_batch(previous: bytes | None, header: Header, body: bytes) -> bytes:
    """A batch's link."""
    hashed = hashlib.sha256(previous or BEGIN)
    hashed.update(header.line(len(body)))
    hashed.update(body)
    return hashed.digest()


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the audit chain ends; kept apart from the rows, so that a tail that was cut off is noticed."""

    id: int = 0
    count: int = 0
    link: bytes = BEGIN

    def written(self) -> str:
        """As text, for the database."""
        return f"{self.id} {self.count} {self.link.hex()}"


def read_head(text: str) -> AuditHead:
    """The inverse of `written`."""
    id_, count, link = text.split()
    return AuditHead(int(id_), int(count), bytes.fromhex(link))


def of_entry(previous: bytes, id_: int, time: int, *words: str) -> bytes:
    """An audit entry's link; the words are actor, address, action, target and detail."""
    line = json.dumps([id_, time, *words], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(previous + f"entry {line}\n".encode()).digest()
