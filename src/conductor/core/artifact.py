"""An artifact is a signal, normalized: the columns every connector fills as far as its vendor tells.

The order of the members is the order of the columns in the analytics table; see `conductor.analytics.artifacts`.
"""

from __future__ import annotations

import enum

import msgspec


class Severity(enum.IntEnum):
    """How much an analyst should care, from routine to urgent."""

    INFORMATIONAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


SEVERITY_NAMES = tuple(level.name.lower() for level in Severity)
OUTCOMES = ("success", "failure", "info", "unknown")


class Artifact(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One normalized record. Text the vendor did not send is the empty string; there are no nulls.

    `time` is microseconds since 1970-01-01 UTC of the event itself. A struct and not a dataclass because the indexer
    writes tens of thousands of these a second, and msgspec encodes a struct as one row in C.
    """

    time: int
    log_id: str
    type: str
    event: str = ""
    category: str = ""
    outcome: str = "unknown"
    severity: int = Severity.INFORMATIONAL
    description: str = ""
    tenant: str = ""
    user_name: str = ""
    user_id: str = ""
    ip: str = ""
    client_id: str = ""
    client_name: str = ""
    connection: str = ""
    connection_id: str = ""
    strategy: str = ""
    strategy_type: str = ""
    hostname: str = ""
    user_agent: str = ""
    organization_id: str = ""
    organization_name: str = ""
    scope: str = ""
    audience: str = ""
    country: str = ""
    city: str = ""
    asn: int = 0
    located_by: str = ""
    correlation_id: str = ""
    trace_id: str = ""
    own: bool = False
    parsed: bool = True
