"""What a connector is: one vendor's way to be checked, polled and understood.

The generator is the acknowledgement. A batch carries the checkpoint that stands *after* it; whoever iterates commits
both and only then asks for the next batch. A connector keeps nothing between polls, writes nothing, never sleeps,
never retries. It raises the narrowest class of `conductor.core.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, ClassVar, Protocol

from conductor.core.artifact import Artifact
from conductor.core.config import Config
from conductor.core.signal import Checkpoint, Signal, SignalBatch


class StepState(Enum):
    """How a step of a connection test ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One named step of a connection test; a warning or failure names its code and the facts of its advice."""

    name: str
    state: StepState
    text: str
    code: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to tell a person about one error code; `{name}` is filled in from the error's facts.

    `title` is one sentence, `body` says why and what to do, `fix` lists the steps one by one, `short` is the state in
    two or three words for a narrow table.
    """

    title: str
    body: str = ""
    fix: tuple[str, ...] = ()
    short: str = ""


@dataclass(frozen=True, slots=True)
class Starter:
    """A search that a connector ships, for others to begin with; `state` are the parts of its URL beside the query."""

    name: str
    description: str
    q: str
    state: Mapping[str, str] = field(default_factory=dict)


class Connector(Protocol):
    """Built as `Connector(config, http)`; `normalize` needs only the config."""

    slug: ClassVar[str]
    title: ClassVar[str]
    category: ClassVar[str]
    polling_interval: ClassVar[timedelta]
    Config: ClassVar[type[Config]]
    advice: ClassVar[Mapping[str, Advice]]
    starters: ClassVar[tuple[Starter, ...]]  # searches that are useful with this vendor
    sentences: ClassVar[Mapping[str, str]]  # what an event of a type tells, see `core.sentence`
    how: ClassVar[tuple[str, ...]]  # how to get what the form asks for, step by step
    command: ClassVar[str]  # that does the same with the vendor's own tool; empty where there is none

    def check(self) -> AsyncGenerator[CheckStep, None]:
        """Try everything a poll needs, step by step, and stop at the first failure."""
        ...

    def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        """Read on from the checkpoint, or from the configured start when there is none."""
        ...

    def since(self, moment: datetime, known: Checkpoint | None) -> Checkpoint | None:
        """A position made of a time: `poll` reads everything from then on. Pure.

        `known` is a position that the vendor served, if there is one. None when positions tell no time: then reading
        again begins with `poll(None)`, at the oldest record.
        """
        ...

    async def oldest(self) -> Checkpoint | None:
        """The position of the oldest record that the vendor still has; None when it has none. Raises as `poll`."""
        ...

    async def newest(self, count: int) -> Sequence[Signal]:
        """So many of the newest records, the newest first, to look at only. Raises as `poll`."""
        ...

    def taken(self, signal: Signal) -> datetime | None:
        """When the vendor took the record in, by what orders its log; None when that tells no time. Pure."""
        ...

    def normalize(self, signal: Signal) -> Artifact:
        """Fill an artifact's fields. Pure. Raises NormalizeError when the record cannot be understood."""
        ...
