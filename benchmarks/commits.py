"""Pages of 100 committed by the journal alone, one transaction a page, synchronous=FULL."""

from __future__ import annotations

import tempfile
import time
from datetime import timedelta
from pathlib import Path

from conductor.core import clock
from conductor.core.signal import Checkpoint, Signal
from conductor.simulator.tenant import Tenant, TenantSpec
from conductor.store import integrations, journal, migrations, polls
from conductor.store.database import Database, sqlite_url

EVENTS = 100_000
PAGE = 100


def commits() -> dict[str, float]:
    """Events a second into SQLite, with the simulator's own events."""
    tenant = Tenant(TenantSpec(history=EVENTS, days=5), clock.now())
    signals = [Signal(event.log_id, event.body) for event in tenant.events[:EVENTS]]
    pages = [signals[at : at + PAGE] for at in range(0, len(signals), PAGE)]
    size = sum(len(signal.raw) for signal in signals) / len(signals)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder) / "bench.db"))
        migrations.upgrade(database.engine)
        with database.engine.connect() as connection:
            with connection.begin():
                added = integrations.add(connection, "bench", "auth0", {}, enabled=False, by="bench")
                position = journal.take_over(connection, added.id)
                poll = polls.begin(connection, position, clock.now())
            begun = time.perf_counter()
            for number, page in enumerate(pages):
                checkpoint = Checkpoint(page[-1].id.encode(), clock.now() - timedelta(hours=1, seconds=-number))
                with connection.begin():
                    done = journal.commit(connection, position, journal.Page(poll, page, checkpoint, None), clock.now())
                position = done.position
            took = time.perf_counter() - begun
        database.engine.dispose()
    return {"events": len(signals), "bytes_per_event": size, "committed_per_second": len(signals) / took}
