"""Every connector of the catalog keeps the contract, against a simulated vendor of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any, ClassVar

import httpx2
import pytest
import virtual

from conductor import catalog
from conductor.core.signal import Checkpoint, SignalBatch
from conductor.outbound.client import Route
from conductor.simulator.faults import Fault
from conductor.simulator.server import Application
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World
from conductor.testing import ContractBroken, Trouble, Upstream, run_connector_contract


class SimulatedTenant:
    """The simulator, without sockets."""

    FAULTS: ClassVar = {
        Trouble.UNAUTHORIZED: Fault("invalid_token", endpoint="any"),
        Trouble.FORBIDDEN: Fault("insufficient_scope"),
        Trouble.LIMITED: Fault("rate_limited", endpoint="any"),
        Trouble.FAILING: Fault("server_error", endpoint="any"),
        Trouble.SILENT: Fault("hang", endpoint="any", seconds=3600),
        Trouble.GARBAGE: Fault("wrong_shape"),
    }

    def __init__(self) -> None:
        self.world = World([TenantSpec(history=730, days=3, shape="odd")])

    def opener(self, _route: Route) -> httpx2.AsyncBaseTransport:
        return httpx2.ASGITransport(app=Application(self.world))

    def values(self) -> Mapping[str, Any]:
        spec = self.world.first.spec
        named = {"domain": "localhost", "client_id": spec.client_id, "client_secret": spec.client_secret}
        return {**named, "plan": "enterprise", "rate_share": 100}

    def ids(self) -> Collection[str]:
        return [name for name in self.world.log_ids() if name in self._history]

    @property
    def _history(self) -> set[str]:
        """Without what the passes themselves write, which may come after their last page."""
        return {event.log_id for event in self.world.first.events[:730]}

    def trouble(self, kind: Trouble | None) -> None:
        self.world.faults.clear()
        if kind is not None:
            self.world.faults.add(self.FAULTS[kind])


UPSTREAMS: dict[str, Callable[[], Upstream]] = {"auth0": SimulatedTenant}
REAL = catalog.load().connectors["auth0"]


@pytest.mark.parametrize("slug", catalog.load().connectors)
def test_a_connector_keeps_the_contract(slug: str) -> None:
    virtual.run(run_connector_contract(catalog.load().connectors[slug], UPSTREAMS[slug]()))


class Forgetful(REAL):  # type: ignore[misc, valid-type]
    """Leaves the last record of each page out."""

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        async for batch in super().poll(checkpoint):
            yield SignalBatch(batch.signals[:-1], batch.checkpoint, batch.covered_until)


class Hasty(REAL):  # type: ignore[misc, valid-type]
    """Its checkpoints are ahead of what it has read."""

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        batches = [batch async for batch in super().poll(checkpoint)]
        for batch in batches:
            yield SignalBatch(batch.signals, batches[-1].checkpoint, batch.covered_until)


class Talkative(REAL):  # type: ignore[misc, valid-type]
    """Tells its secret when it fails."""

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        try:
            async for batch in super().poll(checkpoint):
                yield batch
        except Exception as error:
            error.args = (f"{error} with {self._config.client_secret.get_secret_value()}",)
            raise


class Vague(REAL):  # type: ignore[misc, valid-type]
    """Every failure is the same to it."""

    async def poll(self, checkpoint: Checkpoint | None) -> AsyncGenerator[SignalBatch, None]:
        from conductor.core.errors import SourceError, Unavailable

        try:
            async for batch in super().poll(checkpoint):
                yield batch
        except SourceError as error:
            raise Unavailable(code="net.timeout") from error


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Forgetful, "leaves records out"),
        (Hasty, "loses records"),
        (Talkative, "tells a secret"),
        (Vague, "becomes Unavailable"),
    ],
)
def test_the_contract_notices_who_breaks_it(broken: Any, told: str) -> None:
    with pytest.raises(ContractBroken, match=told):
        virtual.run(run_connector_contract(broken, SimulatedTenant()))
