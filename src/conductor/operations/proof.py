"""Proving what is stored: the journal's chains, the database file, the readers' cursors, the audit log.

It reads beside a running Conductor, or without one, and changes nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from conductor.core import clock
from conductor.core.errors import StoreError
from conductor.core.sight import EVERYTHING, Sight
from conductor.operations import search
from conductor.operations.retention import KEY_SLACK, LONGEST_UPSTREAM
from conductor.operations.system import System
from conductor.store import audit, chain, damage, evidence, journal
from conductor.store.audit import Verdict
from conductor.store.database import Connection, reading, translated
from conductor.store.evidence import Depth, Proof

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found. `damage` is what the database says of its own file; each line is a finding."""

    chains: Sequence[Proof]
    damage: Sequence[str]
    cursors: Sequence[str]
    audit: Verdict
    unreadable: str = ""

    @property
    def intact(self) -> bool:
        """Everything is there and as it was written."""
        broken = any(proof.broken for proof in self.chains)
        return not (broken or self.damage or self.cursors or self.unreadable or self.audit.broken is not None)


def check(url: str, *, every_key: bool = False, stopped: Callable[[], bool] = lambda: False) -> Report:
    """Prove everything. Blocks for as long as it takes to read the database twice; runs in threads of its own.

    Once `stopped` is true it ends soon, with a report that is not intact.
    """
    depth = Depth(clock.now() - LONGEST_UPSTREAM - KEY_SLACK + DAY, every_key, stopped)
    engine = reading(url)
    chains: list[Proof] = []
    try:
        with ThreadPoolExecutor(1, "damage") as thread:
            damaged = thread.submit(damage.thorough, engine, stopped)
            try:
                with translated(engine):
                    chains += evidence.prove(engine, depth)
                    with engine.connect() as connection:
                        cursors, entries = evidence.cursors_ahead(connection), audit.verify(connection)
            except StoreError as error:
                return Report(chains, damaged.result(), (), Verdict(0), str(error))
            return Report(chains, damaged.result(), cursors, entries)
    finally:
        engine.dispose()


def told(report: Report) -> dict[str, Any]:
    """The report as JSON tells it."""
    return {
        "intact": report.intact,
        "integrations": [_chain(proof) for proof in report.chains],
        "damage": list(report.damage),
        "cursors": list(report.cursors),
        "unreadable": report.unreadable,
        "audit": {"entries": report.audit.entries, "broken": report.audit.broken, "reason": report.audit.reason},
    }


async def of_event(system: System, artifact_id: str, sight: Sight = EVERYTHING) -> dict[str, Any]:
    """Everything that is needed to prove one event without Conductor: its exact bytes, its batch as stored, the links.

    Raises NotFound, also when the journal has let the event go.
    """
    found = await search.locate(system, artifact_id, sight)
    place = found.place

    def read(connection: Connection) -> tuple[evidence.Sealed, bytes]:
        sealed = evidence.sealed(connection, place.integration_id, place.batch)
        return sealed, journal.find(connection, place.integration_id, place.batch, place.row).raw

    sealed, raw = await system.database.read(read)
    return {
        "id": found.id,
        "batch": place.batch,
        "record": place.row,
        "intact": sealed.holds and raw == found.raw,
        "raw": b64encode(raw).decode(),
        "previous": (sealed.before or chain.BEGIN).hex(),
        "header": sealed.line.decode(),
        "body": b64encode(sealed.body).decode(),
        "link": sealed.link.hex(),
    }


def _chain(proof: Proof) -> dict[str, Any]:
    broken = proof.broken
    where = None
    if broken is not None:
        where = {
            "what": broken.what,
            "first": broken.first,
            "last": broken.last,
            "from": broken.begins and clock.to_text(broken.begins),
            "to": broken.ends and clock.to_text(broken.ends),
            "events": broken.events,
        }
    return {
        "integration": proof.name,
        "batches": proof.batches,
        "events": proof.events,
        "from": proof.begins and clock.to_text(proof.begins),
        "to": proof.ends and clock.to_text(proof.ends),
        "link": proof.link.hex(),
        "broken": where,
    }
