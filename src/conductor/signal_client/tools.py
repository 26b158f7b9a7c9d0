"""What every poller works with: the database, the metrics, and whom to tell of new signals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from conductor.core import clock
from conductor.core.integration import Integration
from conductor.core.poll import OK, Poll
from conductor.observe import Metrics, log
from conductor.signal_client import oddities
from conductor.store.database import Connection, Database
from conductor.store.journal import LIVE, Committed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tools:
    """What every poller works with. `committed` is called after each commit that brought something new, `ended` after
    each poll; `worker` is the process's name in a shared store, empty where nobody else polls."""

    database: Database
    metrics: Metrics
    committed: Callable[[], None]
    worker: str = ""
    ended: Callable[[], None] = lambda: None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Write, and do not let a cancelled poll leave a commit half known."""
        return await asyncio.shield(_settled(self.database.write(work)))

    def count(self, integration: Integration, done: Committed) -> None:
        """Count what a commit brought, and wake the readers."""
        names = (integration.name, integration.connector)
        self.metrics.signals.labels(*names).inc(done.new)
        self.metrics.duplicates.labels(*names).inc(done.duplicates)
        oddities.tell(integration, done.set_aside, self.metrics)
        if done.new:
            self.committed()

    def tell(self, integration: Integration, poll: Poll) -> None:
        """The one line that a poll logs, and its metrics."""
        took = ((poll.finished_at or poll.started_at) - poll.started_at).total_seconds()
        facts = {
            "integration": integration.name,
            **({} if poll.lane == LIVE else {"lane": poll.lane}),
            "new": poll.new,
            "duplicates": poll.duplicates,
            "requests": poll.requests,
            "took": f"{took:.3f}s",
        }
        slug = integration.connector
        if poll.result == OK:
            log(logging.INFO, f"{slug}: fetched {poll.fetched} log events", facts)
        else:
            level = logging.ERROR if poll.needs_person else logging.WARNING
            retry = clock.to_text(poll.retry_at) if poll.retry_at else ""
            log(level, f"{slug}: {poll.reason}", {"code": poll.result, **facts, "retry_at": retry})
        names = (integration.name, slug)
        self.metrics.polls.labels(*names, poll.result).inc()
        self.metrics.requests.labels(*names).inc(poll.requests)
        self.metrics.took.observe(took)
        self.ended()


async def _settled(answer: Awaitable[T]) -> T:
    return await answer
