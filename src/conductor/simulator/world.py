"""A world is the tenants of one server, their clock, the faults asked for, and what was requested."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from conductor.core import clock
from conductor.simulator.faults import Faults
from conductor.simulator.tenant import Tenant, TenantSpec

REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that was answered. Never holds a secret or a token."""

    endpoint: str
    tenant: str
    status: int
    query: Mapping[str, str]
    fault: str
    at: datetime


@dataclass(slots=True)
class Stats:
    """Requests, counted by (tenant, endpoint, status), and the last of them one by one."""

    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note(self, seen: Seen) -> None:
        """Count one request."""
        self.counts[seen.tenant, seen.endpoint, seen.status] += 1
        self.seen.append(seen)

    def total(self, endpoint: str, tenant: str | None = None) -> int:
        """How many requests an endpoint (`token`, `logs`, `search`, `log`) got."""
        return sum(count for (name, at, _), count in self.counts.items() if at == endpoint and tenant in (None, name))

    def clear(self) -> None:
        """Forget everything."""
        self.counts.clear()
        self.seen.clear()


class World:
    """Tenants by name. Without specs there is one, called acme, at localhost."""

    def __init__(self, specs: Iterable[TenantSpec] = (), *, now: Callable[[], datetime] = clock.now) -> None:
        self.now = now
        self.faults = Faults()
        self.stats = Stats()
        self.tenants = {spec.name: Tenant(spec, now()) for spec in tuple(specs) or (TenantSpec(),)}

    @property
    def first(self) -> Tenant:
        """The first tenant, for worlds that have only one."""
        return next(iter(self.tenants.values()))

    def at(self, host: str) -> Tenant | None:
        """The tenant that answers under a host name, which is given without a port."""
        return next((tenant for tenant in self.tenants.values() if host in hosts(tenant.spec)), None)

    def log_ids(self, tenant: str | None = None) -> list[str]:
        """The ids of everything the API would serve now, oldest first."""
        chosen = self.tenants[tenant] if tenant else self.first
        now = self.now()
        chosen.advance(now)
        return [event.log_id for event in chosen.visible(now)]


def canonical(spec: TenantSpec) -> tuple[str, ...]:
    """The names that count as the tenant's own domain."""
    return (spec.host, *spec.aliases)


def hosts(spec: TenantSpec) -> tuple[str, ...]:
    """All names the tenant answers to."""
    return (*canonical(spec), spec.custom_domain) if spec.custom_domain else canonical(spec)
