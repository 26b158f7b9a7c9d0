"""One tenant: its settings, which may change while it runs, and its log, which grows with the clock."""

from __future__ import annotations

import gc
import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from operator import attrgetter
from random import Random
from typing import Any

from conductor.core import clock
from conductor.simulator import cast, log_ids, rate
from conductor.simulator.events import Author, Event

SECOND = 1_000_000
BATCHED = 0.1  # of the live events share their time with the one before, as the vendor stamps batches
LIMIT_NOTICE = timedelta(minutes=1)  # at most one api_limit event in this time
NEVER = 2**62


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """What a tenant is made of. Every member may be changed while the tenant runs, except those of its log.

    `host` is the canonical name and `aliases` others for it, all without a port; on `custom_domain` tokens are given
    and taken too, but the audience stays the canonical one. `history` events lie in the `days` before the start, then
    `rate` events arrive each second, at random or `regular`. A share `late` becomes visible `late_by` seconds after
    events with larger ids. `shape` is `api`, `plain` (as the published schema) or `odd` (hostile). `rate_limit` is
    `none`, `plan` or like `25/s`. A search finds no event larger than `searchable` bytes, unless that is 0.
    """

    name: str = "acme"
    host: str = "localhost"
    aliases: tuple[str, ...] = ("127.0.0.1",)
    custom_domain: str = ""
    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"  # noqa: S105  # it opens nothing but this simulator
    plan: str = "enterprise"
    rate_limit: str = "none"
    scope: str = "read:logs read:logs_users"
    granted: bool = True
    client_credentials: bool = True
    token_lifetime: int = 86_400
    seed: int = 1
    history: int = 0
    days: float = 1.0
    rate: float = 0.0
    regular: bool = False
    late: float = 0.0
    late_by: float = 60.0
    shape: str = "api"
    id_prefix: str = "900"
    searchable: int = 0


class Tenant:
    """A tenant's log, tokens' key and limits. Show it the time with `advance` before reading."""

    def __init__(self, spec: TenantSpec, now: datetime) -> None:
        self.spec = spec
        self.key = sha256(f"simulator/{spec.seed}/{spec.name}".encode()).digest()
        self.events: list[Event] = []
        self._hidden: list[tuple[int, Event]] = []
        self._author = Author(spec.name, spec.host, seed=spec.seed, shape=spec.shape, prefix=spec.id_prefix)
        self._arrivals = Random(f"{spec.seed}/{spec.name}/arrivals")
        self._limited_at = now - LIMIT_NOTICE
        self._next = clock.to_micros(now)
        self._limit(now)
        self._write_history(now)
        self._next += self._pause()

    @property
    def retention_days(self) -> int:
        """How long the tenant's plan keeps events."""
        return rate.PLANS[self.spec.plan].retention_days

    def change(self, now: datetime, **settings: Any) -> None:
        """Change settings, as an administrator would. Tokens given out before stay as they are."""
        self.spec = replace(self.spec, **settings)
        if settings.keys() & {"plan", "rate_limit"}:
            self._limit(now)

    def advance(self, now: datetime) -> None:
        """Let everything happen that happens until now: arrivals, and late events becoming visible."""
        micros = clock.to_micros(now)
        while self._next <= micros:
            self._arrive(self._next, micros)
            self._next += self._pause()
        while self._hidden and self._hidden[0][0] <= micros:
            self._show(heapq.heappop(self._hidden)[1])

    def visible(self, now: datetime) -> Sequence[Event]:
        """Everything the API would serve now, oldest first: a copy, for comparing."""
        return self.events[self._oldest(now) :]

    def after(self, log_id: str, now: datetime, count: int) -> Sequence[Event]:
        """The next events after an id, which need not exist. What retention took is skipped silently."""
        start = max(bisect_right(self.events, log_id, key=attrgetter("log_id")), self._oldest(now))
        return self.events[start : start + count]

    def find(self, log_id: str, now: datetime) -> Event | None:
        """The event with this id, if it is served."""
        start = bisect_left(self.events, log_id, key=attrgetter("log_id"))
        found = self.events[start : start + 1]
        return found[0] if found and found[0].log_id == log_id and start >= self._oldest(now) else None

    def hidden_ids(self) -> list[str]:
        """Ids of events that are not visible yet."""
        return sorted(event.log_id for _, event in self._hidden)

    def record(self, code: str, now: datetime, **values: str) -> Event:
        """Write an event that the tenant itself causes, such as a token request."""
        event = self._author.write_type(code, clock.to_micros(now), cast.markers(**values))
        self._show(event)
        return event

    def add(self, event: dict[str, Any], now: datetime, *, late: float | None = None) -> Event:
        """Add an event made elsewhere; with `late` it becomes visible so many seconds from now."""
        made = self._author.adopt(event, clock.to_micros(now))
        if late is None:
            self._show(made)
        else:
            heapq.heappush(self._hidden, (clock.to_micros(now + timedelta(seconds=late)), made))
        return made

    def record_limit(self, now: datetime) -> None:
        """Note in the log that a limit was reached, at most once a minute."""
        if now - self._limited_at >= LIMIT_NOTICE:
            self._limited_at = now
            self.record("api_limit", now)

    def _limit(self, now: datetime) -> None:
        limit = rate.parse(self.spec.rate_limit, self.spec.plan)
        self.logs_bucket = None if limit is None else rate.Bucket(limit, now)
        unlimited = self.spec.rate_limit == "none"
        self.token_bucket = None if unlimited else rate.Bucket(rate.PLANS[self.spec.plan].token, now)

    def _oldest(self, now: datetime) -> int:
        floor = log_ids.oldest(now, self.retention_days, self.spec.id_prefix)
        return bisect_left(self.events, floor, key=attrgetter("log_id"))

    def _write_history(self, now: datetime) -> None:
        start = clock.to_micros(now)
        span = int(self.spec.days * 86_400 * SECOND)
        step = span / max(1, self.spec.history)
        with _garbage_uncollected():
            for number in range(self.spec.history):
                self._arrive(start - span + int((number + self._arrivals.random()) * step), start)

    def _arrive(self, micros: int, now: int) -> None:
        event = self._author.write(micros)
        seen = micros
        if self.spec.late and self._arrivals.random() < self.spec.late:
            seen += int(self.spec.late_by * SECOND * (0.5 + self._arrivals.random()))
        if seen <= now:
            self._show(event)
        else:
            heapq.heappush(self._hidden, (seen, event))

    def _show(self, event: Event) -> None:
        if not self.events or self.events[-1] < event:
            self.events.append(event)
        else:
            insort(self.events, event)

    def _pause(self) -> int:
        if not self.spec.rate:
            return NEVER
        if self.spec.regular:
            return int(SECOND / self.spec.rate)
        if self._arrivals.random() < BATCHED:
            return 0
        return int(self._arrivals.expovariate(self.spec.rate * (1 - BATCHED)) * SECOND)


@contextmanager
def _garbage_uncollected() -> Iterator[None]:
    """Millions of small tuples without cycles: looking for garbage among them costs a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
