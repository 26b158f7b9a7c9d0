"""Log ids: `900`, the UTC time of ingestion to the microsecond, and a suffix that rises, 56 digits in all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from conductor.core import clock

DIGITS = 56
COUNTER_DIGITS = 12
WELL_FORMED = re.compile(r"[0-9]{56}")
PREFIXES = ("900", "800")


def make(micros: int, number: int, prefix: str = "900") -> str:
    """The id of the `number`-th event, ingested at this time."""
    text = clock.from_micros(micros).isoformat(timespec="microseconds")
    stamp = f"{text[:4]}{text[5:7]}{text[8:10]}{text[11:13]}{text[14:16]}{text[17:19]}{text[20:26]}"
    return f"{prefix}{stamp}000000000000001223372{number:012d}"


def synthetic(moment: datetime, prefix: str = "900") -> str:
    """An id below all ids of this second and those after it, which need not exist."""
    return f"{prefix}{moment.astimezone(UTC):%Y%m%d%H%M%S}".ljust(DIGITS, "0")


def oldest(now: datetime, days: int, prefix: str = "900") -> str:
    """The id below which a tenant with so many days of retention serves nothing."""
    return synthetic(now - timedelta(days=days), prefix)
