"""What is odd about an upstream although it can be read: told with a good poll, and counted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from conductor.core.integration import Integration
from conductor.core.signal import Quarantined, SignalBatch
from conductor.observe import Metrics, log
from conductor.outbound.client import Usage

SKEW_WARNS = 300.0  # seconds
STALLED_PASSES = 10  # that bring nothing behind the position, until it is told


class Oddities:
    """Collects them over the batches of one pass, and the passes in a row that stalled."""

    def __init__(self) -> None:
        self._codes: set[str] = set()
        self._stalled = 0

    def note(self, batch: SignalBatch) -> None:
        """One more batch of the pass."""
        self._codes |= set(batch.notices)
        self._stalled = self._stalled + 1 if batch.stalled else 0

    def facts(self, usage: Usage) -> Mapping[str, Any]:
        """For the poll's record, at the end of a pass: each code with the facts of its advice."""
        found: dict[str, Mapping[str, Any]] = {code: {} for code in sorted(self._codes)}
        self._codes = set()
        if usage.skew is not None and abs(usage.skew) > SKEW_WARNS:
            found["host.clock.skew"] = usage.clocks
        if self._stalled >= STALLED_PASSES:
            found["source.stalled"] = {"n": self._stalled}
        return {"notices": found} if found else {}


def tell(integration: Integration, set_aside: Sequence[Quarantined], metrics: Metrics) -> None:
    """Each record that was not taken, in log and metrics."""
    for item in set_aside:
        facts = {"integration": integration.name, "cause": item.cause, "id": item.signal_id or "unknown"}
        size = "unknown" if item.size is None else item.size
        log(
            logging.WARNING,
            f"{integration.connector}: a record was set aside",
            {**facts, "size": size, "sha256": item.sha256.hex()},
        )
        metrics.quarantined.labels(integration.name, integration.connector, item.cause).inc()
