"""SQLite with FTS5, and DuckDB, with the same events in them; how each is set up stands there."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

from benchmarks.questions import FACETS, Question
from conductor.analytics import buckets
from conductor.analytics.timerange import TimeRange, resolve
from conductor.core import clock
from conductor.operations.search import PLAIN

COLUMNS = ("id", "time", "collected_at", "integration", "connector", *PLAIN)
ROWS = 200
TOP = 10
FACET_COLUMNS = ", ".join(FACETS)
BARS = 60
LIMITS: dict[str, Any] = {"memory_limit": "1GB", "threads": 2}  # of DuckDB

Row = Sequence[Any]  # COLUMNS, and then the raw event


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events in the order of their time, in memory and in a file; they are numbered from `first`."""

    first: int
    rows: Sequence[Row]
    parquet: Path


def read(first: int, parquet: Path) -> Batch:
    """What is in a file."""
    columns = ", ".join((*COLUMNS, "raw"))
    with duckdb.connect(config=LIMITS) as reader:
        rows = reader.execute(f"SELECT {columns} FROM read_parquet(?)", [str(parquet)]).fetchall()
    return Batch(first, rows, parquet)


class Other(Protocol):
    """A system that is compared."""

    name: str

    def load(self, batch: Batch) -> None:
        """Take in the next events."""

    def finish(self) -> None:
        """Make what is made best when everything is there: indexes, statistics."""

    def ask(self, question: Question) -> Any:
        """The answer as the system gives it."""

    def sizes(self) -> dict[str, int]:
        """How many bytes the file takes, and what part of it."""

    def close(self) -> None:
        """Let go of the file."""


class Sqlite:
    """SQLite, in one file.

    The fields are one table, with indexes on time, on type and time, on integration and time, and on the id; the raw
    events are another, so that no scan of the fields reads them. The words of the raw event and of the event's name
    are in an FTS5 index over that table (external content, tokenizer unicode61 with diacritics kept and no sizes of
    columns, for nothing is ranked), merged to one segment. Parts of words are found by a second FTS5 index, of
    trigrams, which is the larger part of the file; without it each such question would read all raw events. Loaded
    without a rollback journal, in pages of 8 KiB, then ANALYZE. 256 MiB of cache.
    """

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.sqlite"
        self._db = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("page_size = 8192", "journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
            self._db.execute(f"PRAGMA {pragma}")
        numbers = ("time", "collected_at", "severity", "asn", "own", "parsed")
        kinds = {**dict.fromkeys(numbers, "INTEGER"), "id": "BLOB"}
        columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')} NOT NULL" for name in COLUMNS)
        self._db.execute(f"CREATE TABLE events (seq INTEGER PRIMARY KEY, {columns})")
        self._db.execute("CREATE TABLE texts (seq INTEGER PRIMARY KEY, raw TEXT NOT NULL, event TEXT NOT NULL)")
        for name, options in (("words", "unicode61 remove_diacritics 0"), ("parts", "trigram")):
            self._db.execute(
                f"CREATE VIRTUAL TABLE {name} USING fts5(raw, event, content = 'texts', content_rowid = 'seq', "
                f"columnsize = 0, tokenize = '{options}')"
            )

    def load(self, batch: Batch) -> None:
        """In one transaction."""
        first, rows = batch.first, batch.rows
        event = COLUMNS.index("event")
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        texts = [(number, row[-1], row[event]) for number, row in enumerate(rows, first)]
        self._db.execute("BEGIN")
        fields = ((number, *row[:-1]) for number, row in enumerate(rows, first))
        self._db.executemany(f"INSERT INTO events VALUES ({marks})", fields)
        self._db.executemany("INSERT INTO texts VALUES (?, ?, ?)", texts)
        for name in ("words", "parts"):
            self._db.executemany(f"INSERT INTO {name} (rowid, raw, event) VALUES (?, ?, ?)", texts)
        self._db.execute("COMMIT")

    def finish(self) -> None:
        """The indexes of the fields, and the text indexes in one segment each."""
        self._db.execute("CREATE UNIQUE INDEX by_id ON events (id)")
        for columns in ("time", "type, time", "integration, time"):
            self._db.execute(f"CREATE INDEX by_{columns.replace(', ', '_and_')} ON events ({columns})")
        for name in ("words", "parts"):
            self._db.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")
        self._db.execute("ANALYZE")

    def ask(self, question: Question) -> Any:
        """By the index that serves it best: with a filter, text is looked up for each event that fits the filter."""
        if question.wanted == "one":
            return self._all("SELECT * FROM events JOIN texts USING (seq) WHERE id = ?", [bytes.fromhex(question.id)])
        where, values = _where(question)
        source = "events"
        for table, text in (("words", question.word), ("parts", question.part)):
            if text:
                joined = f"events CROSS JOIN {table}" if question.filters else f"{table} CROSS JOIN events"
                source = f"{joined} ON {table}.rowid = events.seq AND {table} MATCH ?"
                values = [f'"{text}"', *values]
        return self._all(_statement(question, source, where, divided="/"), values)

    def sizes(self) -> dict[str, int]:
        """The trigrams apart."""
        ((parts,),) = self._all("SELECT sum(length(block)) FROM parts_data", [])
        return {"": self._path.stat().st_size, " of which trigrams": parts}

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def _all(self, statement: str, values: Sequence[object]) -> list[Row]:
        return self._db.execute(statement, values).fetchall()


class DuckDb:
    """DuckDB, in one file.

    One table, its rows in the order of their time, so that the smallest and largest time of each row group tell which
    to read; an ART index on the id, which is a UUID. It has no text index but that of its extension `fts`, which
    ranks, is made anew after each change and is not part of the package. So words and parts of words are looked for
    in the raw event and the event's name: the text as a whole first, which is fast, and the edges of words by a
    regular expression. 1 GB of memory, two threads.
    """

    name = "DuckDB"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.duckdb"
        self._db = duckdb.connect(str(self._path), config={**LIMITS, "temp_directory": str(folder / "spilled")})
        kinds = {**dict.fromkeys(("time", "collected_at"), "BIGINT"), "severity": "UTINYINT", "asn": "UINTEGER"}
        kinds |= {"own": "BOOLEAN", "parsed": "BOOLEAN", "id": "UUID"}
        columns = ", ".join(f"{name} {kinds.get(name, 'VARCHAR')} NOT NULL" for name in (*COLUMNS, "raw"))
        self._db.execute(f"CREATE TABLE events (seq BIGINT NOT NULL, {columns})")
        self._db.execute("BEGIN")

    def load(self, batch: Batch) -> None:
        """From the file, which is how it takes in many."""
        columns = ", ".join("hex(id)::UUID" if name == "id" else name for name in (*COLUMNS, "raw"))
        self._db.execute(
            f"INSERT INTO events SELECT ? + file_row_number, {columns} FROM read_parquet(?, file_row_number = true)",
            [batch.first, str(batch.parquet)],
        )

    def finish(self) -> None:
        """The index, and everything in its place."""
        self._db.execute("COMMIT")
        self._db.execute("CREATE UNIQUE INDEX by_id ON events (id)")
        self._db.execute("CHECKPOINT")

    def ask(self, question: Question) -> Any:
        """By reading what may fit."""
        if question.wanted == "one":
            return self._all("SELECT * FROM events WHERE id = ?", [uuid.UUID(question.id)])
        where, values = _where(question)
        if question.word:
            word = question.word.lower()
            where, values = (
                f"{_containing('AND regexp_matches(lower({}), ?)')} AND {where}",
                [
                    *(word, rf"(^|[^0-9a-z]){word}([^0-9a-z]|$)") * 2,
                    *values,
                ],
            )
        if question.part:
            where, values = f"{_containing()} AND {where}", [question.part, question.part, *values]
        return self._all(_statement(question, "events", where, divided="//"), values)

    def sizes(self) -> dict[str, int]:
        """The file's."""
        return {"": self._path.stat().st_size}

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def _all(self, statement: str, values: Sequence[object]) -> list[Row]:
        found: list[Row] = self._db.execute(statement, values).fetchall()
        return found


def _containing(more: str = "") -> str:
    """The condition that a text stands in the raw event or in the event's name, and what else holds of it there."""
    each = (f"contains(lower({column}), ?) {more.format(column)}" for column in ("raw", "event"))
    return f"({' OR '.join(each)})"


def _where(question: Question) -> tuple[str, list[object]]:
    """The condition on the fields, with its values."""
    span = _span(question)
    conditions, values = ["true"], list[object]()
    for sign, moment in ((">=", span.start), ("<", span.end)):
        if moment is not None:
            conditions.append(f"time {sign} ?")
            values.append(clock.to_micros(moment))
    for name, value in question.filters:
        conditions.append(f"{name} = ?")
        values.append(value)
    return " AND ".join(conditions), values


def _statement(question: Question, source: str, where: str, *, divided: str) -> str:
    if question.wanted == "rows":
        columns = ", ".join(f"events.{name}" for name in COLUMNS)
        return f"SELECT {columns} FROM {source} WHERE {where} ORDER BY time DESC, seq DESC LIMIT {ROWS}"
    if question.wanted == "histogram":
        cut = _cut(question)
        step = cut.step * 1_000_000
        return (
            f"SELECT (time - {clock.to_micros(cut.edges[0])}) {divided} {step} AS step, outcome, count(*) "
            f"FROM {source} WHERE {where} GROUP BY 1, 2"
        )
    counted = f"SELECT {FACET_COLUMNS}, count(*) AS n FROM {source} WHERE {where} GROUP BY {FACET_COLUMNS}"
    each = (f"SELECT '{name}', {name}, sum(n) FROM counted GROUP BY {name}" for name in FACETS)  # one reading for all
    return f"WITH counted AS MATERIALIZED ({counted}) {' UNION ALL '.join(each)}"


def _span(question: Question) -> TimeRange:
    return resolve(None, question.start, question.end, clock.now())


def _cut(question: Question) -> buckets.Buckets:
    span = _span(question)
    assert span.start is not None
    assert span.end is not None
    return buckets.cut(span.start, span.end, most=BARS)


def plain(question: Question, answer: Sequence[Row]) -> Any:
    """What the others' answer says, in the form in which all are compared; see `benchmarks.compare.plain`."""
    match question.wanted:
        case "rows":
            return [_hex(row[0]) for row in answer]
        case "facets":
            return {name: _top((value, int(n)) for field, value, n in answer if field == name) for name in FACETS}
        case "histogram":
            cut = _cut(question)
            bars = [Counter[str]() for _ in range(len(cut))]
            for step, outcome, count in answer:
                bars[cut.bar(int(step))][outcome] += int(count)
            return [dict(bar) for bar in bars]
        case _:
            (row,) = answer
            return str(row[1 + COLUMNS.index("log_id")]), str(row[1 + len(COLUMNS)]).encode()


def _top(values: Iterable[tuple[str, int]]) -> tuple[list[tuple[str, int]], int, int]:
    """The most frequent values, how many there are, and how many events have none."""
    counts = Counter(dict(values))
    missing = counts.pop("", 0)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return most[:TOP], len(counts), missing


def _hex(value: bytes | uuid.UUID) -> str:
    return value.hex() if isinstance(value, bytes) else value.hex
