"""What every operation works with: the opened parts of a running Conductor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conductor.analytics.engine import Analytics
from conductor.catalog import Catalog
from conductor.indexer.indexer import Indexer
from conductor.observe import Metrics, Pulse
from conductor.signal_client.assembly import Assembly
from conductor.signal_client.membership import Membership
from conductor.signal_client.supervisor import Supervisor
from conductor.store.database import Database
from conductor.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Options:
    """What operations need to know of the process's settings."""

    base_url: str = "http://127.0.0.1:8080"
    retention_days: int = 90
    directory: Path = Path()  # of the data
    told: Sequence[Setting] = ()  # all there are
    outside: Mapping[str, Any] = field(default_factory=dict)  # see conductor.operations.general


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it is: its variable, its value without a password, and where it comes from: an option, the
    environment, or the default."""

    name: str
    help: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class System:
    """One opened Conductor. `app.py` builds it; nothing else does, except tests."""

    database: Database
    vault: Vault
    catalog: Catalog
    analytics: Analytics
    assembly: Assembly
    supervisor: Supervisor
    membership: Membership
    indexer: Indexer
    metrics: Metrics
    pulse: Pulse
    settings: Options
    exports_changed: asyncio.Event = field(default_factory=asyncio.Event)  # in this process, by somebody
