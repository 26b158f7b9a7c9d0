"""The artifacts table: an index over the journal, searchable, columnar, rebuildable.

Rows go in as MsgPack, which msgspec encodes and ClickHouse parses outside the interpreter's lock; exact bytes pass
through it unharmed, which they would not in JSON. The order of the columns is the order of `Artifact`'s members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from conductor.core import clock, signal
from conductor.core.artifact import Artifact

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TABLE = "artifacts"
HEAD = ("integration_id", "connector", "batch", "collected_at", "row", "id", "raw")
COLUMNS = (*HEAD, *Artifact.__struct_fields__)
# Counts by the hour, kept beside each part, so that charts and facets over weeks need not read every row: by these
# columns together, the few for most charts apart, and by those that would make too many combinations alone.
HOUR_LENGTH = 3_600_000_000  # microseconds
HOUR = f"intDiv(toUnixTimestamp64Micro(time), {HOUR_LENGTH})"  # since 1970; what lies before is not told apart
HOURLY = {
    "by_hour": ("integration_id", "type", "category", "outcome", "severity"),
    "by_hour_and_outcome": ("integration_id", "outcome"),
    "by_hour_and_client": ("integration_id", "client_name"),
    "by_hour_and_connection": ("integration_id", "connection"),
    "by_hour_and_country": ("integration_id", "country"),
}
_ID_RANGE = "by_id_range id TYPE minmax GRANULARITY 1"  # ids of vendors that number their records sort by time
# A day that is over becomes one part: a part fewer is a file fewer in every search, and less to store.
SETTINGS = (
    "lightweight_mutation_projection_mode = 'rebuild', min_age_to_force_merge_seconds = 3600, "
    "min_age_to_force_merge_on_partition_only = 1"
)
_TEXT = "text(tokenizer = 'splitByNonAlpha', dictionary_block_size = 4096)"
_REPEATED = frozenset(
    "type event category outcome tenant client_id client_name connection connection_id strategy strategy_type hostname "
    "organization_id organization_name audience country city located_by".split()
)
_TYPES = {"time": "DateTime64(6, 'UTC')", "severity": "UInt8", "asn": "UInt32", "own": "Bool", "parsed": "Bool"}
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Block:
    """The artifacts of one batch, as rows to insert."""

    integration_id: int
    batch: int
    rows: bytes
    count: int


def prepare(client: Client) -> None:
    """Make the table when it is missing; one of an earlier version gets what it lacks."""
    client.command(_ddl())
    known = client.query(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {t:String}",
        parameters={"t": TABLE},
    ).result_rows[0][0]
    for name in Artifact.__struct_fields__:
        if f"`{name}` " not in known:
            column = f"`{name}` {_type(name)}"
            client.command(f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS {column}")
    if "INDEX by_id_range " not in known:
        client.command(f"ALTER TABLE {TABLE} ADD INDEX IF NOT EXISTS {_ID_RANGE}")
        client.command(f"ALTER TABLE {TABLE} MATERIALIZE INDEX by_id_range")  # in the background
    missing = {name: columns for name, columns in HOURLY.items() if f"PROJECTION {name} " not in known}
    if missing:
        client.command(f"ALTER TABLE {TABLE} MODIFY SETTING {SETTINGS}")
    for name, columns in missing.items():
        projection = _projection(name, columns)
        client.command(f"ALTER TABLE {TABLE} ADD PROJECTION IF NOT EXISTS {projection}")
        client.command(f"ALTER TABLE {TABLE} MATERIALIZE PROJECTION {name}")  # in the background


def block(
    integration_id: int,
    connector: str,
    batch: int,
    committed_at: datetime,
    pairs: Sequence[tuple[signal.Signal, Artifact]],
) -> Block:
    """Encode one batch. Pure."""
    head = _encode((integration_id, connector, batch, clock.to_micros(committed_at)))[1:]
    rows = [
        # An array's header is 1 byte up to 15 members and 3 above; a row of the table has none.
        b"%b%b%b"
        % (
            head,
            _encode((row, signal.key(integration_id, item.id), item.raw))[1:],
            _encode(artifact)[3:],
        )
        for row, (item, artifact) in enumerate(pairs)
    ]
    return Block(integration_id, batch, b"".join(rows), len(rows))


def insert(client: Client, blocks: Sequence[Block], token: str) -> None:
    """Insert blocks at once. The same token within the deduplication window inserts nothing."""
    client.raw_insert(
        TABLE,
        column_names=COLUMNS,
        insert_block=b"".join(item.rows for item in blocks),
        fmt="MsgPack",
        # Dates are the vendor's: a page may touch as many days as it has records.
        # A server gathers inserts by default before it writes any; ours are large, and are to be there when it answers.
        settings={"insert_deduplication_token": token, "max_partitions_per_insert_block": 0, "async_insert": 0},
    )


def counted(client: Client, integration_id: int, first: int, last: int) -> dict[int, int]:
    """How many artifacts each batch of a range has, for reconciling after a crash."""
    rows = client.query(
        f"SELECT batch, count() FROM {TABLE} WHERE integration_id = {{i:UInt32}} AND batch BETWEEN {{a:UInt64}} AND "
        "{b:UInt64} GROUP BY batch",
        parameters={"i": integration_id, "a": first, "b": last},
    ).result_rows
    return {int(batch): int(count) for batch, count in rows}


def remove(client: Client, integration_id: int, batch: int) -> None:
    """Delete the artifacts of one batch, for one that was inserted in part."""
    client.command(
        f"DELETE FROM {TABLE} WHERE integration_id = {{i:UInt32}} AND batch = {{b:UInt64}}",
        parameters={"i": integration_id, "b": batch},
        settings={"mutations_sync": 2},
    )


def cut(client: Client, integration_id: int, after: int) -> None:
    """Delete the artifacts of all batches after one."""
    client.command(
        f"DELETE FROM {TABLE} WHERE integration_id = {{i:UInt32}} AND batch > {{b:UInt64}}",
        parameters={"i": integration_id, "b": after},
        settings={"mutations_sync": 2},
    )


def expire(client: Client, before: datetime) -> list[str]:
    """Drop the partitions (days) that end before that time; the answer names them."""
    rows = client.query(
        "SELECT DISTINCT partition FROM system.parts WHERE database = currentDatabase() AND table = {t:String} AND "
        "active AND partition < {d:String}",
        parameters={"t": TABLE, "d": f"{before:%Y%m%d}"},
    ).result_rows
    dropped = [str(row[0]) for row in rows]
    for partition in dropped:
        client.command(
            f"ALTER TABLE {TABLE} DROP PARTITION {int(partition)}", settings={"max_partition_size_to_drop": 0}
        )
    return dropped


def newest(client: Client) -> dict[int, int]:
    """The newest batch of each integration that has artifacts; empty in a new engine beside an old journal."""
    rows = client.query(f"SELECT integration_id, max(batch) FROM {TABLE} GROUP BY integration_id").result_rows
    return {int(integration_id): int(batch) for integration_id, batch in rows}


def size(client: Client) -> tuple[int, int]:
    """How many artifacts there are, and the bytes that they take on the disk."""
    rows = client.query(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE database = currentDatabase() AND table = "
        "{t:String} AND active",
        parameters={"t": TABLE},
    ).result_rows
    return int(rows[0][0] or 0), int(rows[0][1] or 0)


def settle(client: Client) -> None:
    """Merge each day's parts into one, which the engine does by itself an hour after the day's last insert."""
    client.command(f"OPTIMIZE TABLE {TABLE} FINAL")


def clear(client: Client) -> None:
    """Delete every artifact."""
    client.command(f"TRUNCATE TABLE {TABLE}", settings={"max_table_size_to_drop": 0})


def _ddl() -> str:
    columns = ",\n  ".join(f"`{name}` {_type(name)}" for name in Artifact.__struct_fields__)
    projections = ",\n  ".join(f"PROJECTION {_projection(name, keys)}" for name, keys in HOURLY.items())
    return f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
  integration_id UInt32,
  connector LowCardinality(String),
  batch UInt64,
  collected_at DateTime64(6, 'UTC'),
  `row` UInt16,
  id FixedString({signal.KEY_BYTES}),
  raw String CODEC(ZSTD(1)),
  {columns},
  ip_value IPv6 MATERIALIZED toIPv6OrDefault(ip),
  INDEX raw_text lower(raw) TYPE {_TEXT} GRANULARITY 1,
  INDEX event_text lower(event) TYPE {_TEXT} GRANULARITY 1,
  INDEX description_text lower(description) TYPE {_TEXT} GRANULARITY 1,
  INDEX by_id id TYPE bloom_filter(0.0005) GRANULARITY 1,
  INDEX {_ID_RANGE},
  {projections}
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, integration_id, batch, `row`)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, {SETTINGS}
"""


def _projection(name: str, columns: Sequence[str]) -> str:
    keys = ", ".join(columns)
    return f"{name} (SELECT {HOUR} AS hour, {keys}, count() GROUP BY hour, {keys})"


def _type(name: str) -> str:
    return _TYPES.get(name) or ("LowCardinality(String)" if name in _REPEATED else "String")
