"""The ids Auth0 gives its log records: 56 digits that sort by the time of ingestion.

Three digits of prefix (900 in all records seen), 14 digits of UTC time, then a fraction of a second and a suffix. The
fraction had 3 digits until 2021 and has 6 since; reading 6 keeps the order and is wrong by less than a millisecond.
"""

from __future__ import annotations

from datetime import UTC, datetime

LENGTH = 56
PREFIX_LENGTH = 3


def log_id_time(log_id: str) -> datetime | None:
    """When Auth0 took the record in, or None for an id of another make."""
    if len(log_id) != LENGTH or not (log_id.isascii() and log_id.isdigit()):
        return None
    try:
        return datetime(
            int(log_id[3:7]),
            int(log_id[7:9]),
            int(log_id[9:11]),
            int(log_id[11:13]),
            int(log_id[13:15]),
            int(log_id[15:17]),
            int(log_id[17:23]),
            tzinfo=UTC,
        )
    except ValueError:
        return None


def synthetic_id(moment: datetime, prefix: str = "900") -> str:
    """The lowest id of that microsecond: it sorts at or below every real one. `moment` knows its time zone."""
    utc = moment.astimezone(UTC)
    day = f"{utc.year:04}{utc.month:02}{utc.day:02}"
    clock = f"{utc.hour:02}{utc.minute:02}{utc.second:02}{utc.microsecond:06}"
    return f"{prefix}{day}{clock}".ljust(LENGTH, "0")


def before(log_id: str) -> str:
    """The id right below, which need not exist; an id of another make stays as it is."""
    return str(int(log_id) - 1).zfill(LENGTH) if log_id_time(log_id) else log_id
