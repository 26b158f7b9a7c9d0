"""What a seed draws: tenants, integrations, workers, and how much of each fault this world gets (swarm testing)."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from conductor.simulator.tenant import TenantSpec

REAL_ENGINE = 50  # one world in so many
FACTORS = (0.0, 0.3, 1.0, 3.0, 8.0)
PLANS = {"free": "starter", "essentials": "essentials", "enterprise": "enterprise"}  # the simulator's words, and ours


@dataclass(frozen=True, slots=True)
class Wanted:
    """An integration that an operator makes."""

    name: str
    tenant: str
    values: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """One world's make."""

    tenants: list[TenantSpec]
    integrations: list[Wanted]
    workers: int
    skews: list[float]
    follow: float
    real_engine: bool = False  # chDB instead of the one in memory: a process has only one
    _factors: dict[str, float] = field(default_factory=dict)
    _chance: Random = field(default_factory=Random)

    def factor(self, fault: str) -> float:
        """How much of this fault there is here. Drawn once for each name, whatever order they are asked in."""
        if fault not in self._factors:
            self._factors[fault] = Random(f"{self._seed}/{fault}").choice(FACTORS)
        return self._factors[fault]

    _seed: int = 0


def draw(seed: int) -> Plan:
    """The world of a seed."""
    chance = Random(f"{seed}/plan")
    tenants = [_tenant(chance, seed, number) for number in range(chance.choice((1, 1, 1, 2, 2)))]
    count = max(len(tenants), chance.choice((1, 1, 2, 2, 3)))
    integrations = [_integration(chance, tenants[number % len(tenants)], number) for number in range(count)]
    real = seed % REAL_ENGINE == 0
    workers = 1 if real else chance.choice((1, 1, 1, 2, 3))
    skews = [chance.choice((0.0, 0.0, chance.uniform(-120, 120), chance.uniform(-3600, 3600))) for _ in range(3)]
    return Plan(
        tenants, integrations, workers, skews, chance.choice((5.0, 60.0, 120.0, 120.0, 120.0, 120.0)), real, _seed=seed
    )


def _tenant(chance: Random, seed: int, number: int) -> TenantSpec:
    name = f"t{number}"
    return TenantSpec(
        name=name,
        host=f"{name}.eu.auth0.com",
        aliases=(),
        client_id=f"client-{name}",
        client_secret=f"canary-{name}-{chance.getrandbits(64):016x}",
        plan=chance.choice(tuple(PLANS)),
        rate_limit=chance.choice(("none", "plan", "plan")),
        token_lifetime=chance.choice((86_400, 86_400, 3600, 600)),
        seed=seed * 10 + number,
        history=chance.choice((0, 0, 50, 250)),
        days=chance.choice((0.2, 1.0, 3.0)),
        rate=chance.choice((0.003, 0.008, 0.015, 0.03)),
        late=chance.choice((0.0, 0.03, 0.2)),
        late_by=chance.choice((20.0, 60.0, 190.0)),
        shape=chance.choice(("api", "api", "api", "odd")),
    )


def _integration(chance: Random, tenant: TenantSpec, number: int) -> Wanted:
    values = {
        "domain": tenant.host,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "plan": chance.choice((PLANS[tenant.plan], "unknown")),
        "polling_interval": chance.choice((5, 10, 15, 30, 30)),
        "rate_share": chance.choice((20, 20, 50, 100, 2)),
    }
    return Wanted(f"integration-{number}", tenant.name, values)
