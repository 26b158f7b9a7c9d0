"""A poll is one visit to a vendor's API; its record is what health and history are told from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

RUNNING = "running"
OK = "ok"


@dataclass(frozen=True, slots=True)
class Poll:
    """The record of one poll. `result` is running, ok, interrupted or an error's code."""

    id: int
    integration_id: int
    lane: str
    started_at: datetime
    finished_at: datetime | None
    result: str
    reason: str
    facts: Mapping[str, Any]
    needs_person: bool
    retry_at: datetime | None
    requests: int
    fetched: int
    new: int
    duplicates: int
    conflicts: int
    complete: bool
    position_from: datetime | None
    position_to: datetime | None
    rate_limit: int | None
    rate_remaining: int | None


class Exchange(msgspec.Struct, frozen=True, array_like=True):
    """One request of a poll and what came back. `status` is 0 where no answer came, `code` is then the error's.

    `at` is in microseconds since 1970-01-01 UTC, `took` in milliseconds, `size` in bytes, decoded. `body` is the
    beginning of an answer that was not taken; what was taken is stored record by record.
    """

    at: int
    method: str
    url: str
    took: int
    status: int = 0
    code: str = ""
    size: int = 0
    limit: int | None = None
    remaining: int | None = None
    request_id: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of time that was not collected. `state` is open, recovering, recovered, lost or closed.

    A lost one stays lost when a person closes it: `closed_at` tells that somebody knows.
    """

    id: int
    integration_id: int
    begins: datetime
    ends: datetime
    cause: str
    state: str
    found_at: datetime
    closed_at: datetime | None
    closed_by: str
    note: str


OPEN_STATES = ("open", "recovering")
TOLD_STATES = (*OPEN_STATES, "lost")  # a lost one until a person closes it
