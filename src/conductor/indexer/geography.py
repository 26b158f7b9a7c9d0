"""Databases of addresses in MaxMind's format (.mmdb), which the operator brings: opened, looked up, and opened again
when their file was replaced.

Each is read from a copy of our own that nobody can change: the reader maps it into memory, and would end the process
when a mapped file were cut short. The copy has no name, so that nothing of it is left behind.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb
from maxminddb import InvalidDatabaseError

from conductor.core import addresses
from conductor.core.addresses import Address
from conductor.core.artifact import Artifact
from conductor.core.geography import Entry, located
from conductor.observe import log

SAMPLE = 1000  # records that are looked through for something of use
LONGEST_NAME = 80  # characters of a database's name
_UNREADABLE = (OSError, InvalidDatabaseError, ValueError, UnicodeDecodeError)
Signature = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Told:
    """One database as an operator sees it: its file, the name and day of what is in use, and what is wrong."""

    path: Path
    name: str
    built: date | None
    problem: str

    @property
    def sentence(self) -> str:
        """In words."""
        used = f"{self.name}, built {self.built:%-d %b %Y}" if self.built else ""
        if not self.problem:
            return f"{self.path}: {used}"
        return f"{self.path} {self.problem}." + (f" {used}, stays in use." if used else " Nothing is read from it.")


class Geography:
    """The databases of these files. `directory` is where the copies go; the system's own place for such when None."""

    def __init__(self, paths: Sequence[Path], directory: Path | None = None) -> None:
        self._databases = [_Database(path, directory) for path in paths]
        self._lock = threading.Lock()

    def told(self) -> list[Told]:
        """All of them, as their files are now. It reads files: call it in a thread."""
        with self._lock:
            for database in self._databases:
                database.refresh()
            return [database.told for database in self._databases]

    def look(self) -> Look:
        """The databases as they are now, for many addresses. It reads files: call it in a thread."""
        self.told()
        return Look([database.opened for database in self._databases if database.opened])


class Look:
    """Looks addresses up, each of them once."""

    def __init__(self, databases: Sequence[_Opened]) -> None:
        self._databases = databases
        self._known: dict[str, Sequence[Entry]] = {}

    def located(self, artifact: Artifact) -> Artifact:
        """The artifact with what its vendor left out; see `conductor.core.geography`."""
        if not self._databases or not artifact.ip:
            return artifact
        entries = self._known.get(artifact.ip)
        if entries is None:
            entries = self._known[artifact.ip] = self._entries(artifact.ip)
        return located(artifact, entries) if entries else artifact

    def _entries(self, text: str) -> Sequence[Entry]:
        """Of a public address; a private or special one is nowhere, whatever a database says."""
        address = addresses.parse(text)
        if address is None or not address.is_global:
            return ()
        return [entry for database in self._databases if (entry := database.entry(address)) is not None]


class _Database:
    """One file, and what was last read from it."""

    def __init__(self, path: Path, directory: Path | None) -> None:
        self._path, self._directory = path, directory
        self._seen: Signature | None = None
        self._problem = ""
        self.opened: _Opened | None = None

    @property
    def told(self) -> Told:
        """As an operator sees it."""
        opened = self.opened
        return Told(self._path, opened.name if opened else "", opened.built if opened else None, self._problem)

    def refresh(self) -> None:
        """Open the file when it is another than before; what is in use stays when that fails."""
        try:
            seen = _signature(self._path)
            if seen == self._seen:
                return
            self._seen = seen
            opened = _opened(self._path, self._directory)
            if _signature(self._path) != seen:
                self._seen = None
                return self._fail("was being written")
        except FileNotFoundError:
            self._seen = None
            return self._fail("is not there")
        except _Useless as error:
            return self._fail(str(error))
        except InvalidDatabaseError:
            return self._fail("is not a whole database in MaxMind's format")
        except _UNREADABLE as error:
            self._seen = None
            return self._fail(f"cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}")
        self.opened, self._problem = opened, ""
        log(logging.INFO, "geoip: opened", {"file": self._path, "database": opened.name, "built": opened.built})

    def _fail(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log(logging.WARNING, "geoip: not usable", {"reason": self.told.sentence})


@dataclass(frozen=True, slots=True)
class _Opened:
    """A database that can be looked up; not closed, since a look may hold it still: it ends with its last user."""

    reader: maxminddb.Reader
    name: str
    built: date

    def entry(self, address: Address) -> Entry | None:
        """What it says of an address; None when it does not know it, or cannot read its own record."""
        try:
            record = self.reader.get(address)
        except (InvalidDatabaseError, ValueError):  # damaged there, or of IPv4 only
            return None
        return _entry(f"{self.name} {self.built}", record)


class _Useless(Exception):
    """A database that tells nothing of use here."""


def _signature(path: Path) -> Signature:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _opened(path: Path, directory: Path | None) -> _Opened:
    """Raises OSError, InvalidDatabaseError, _Useless."""
    with path.open("rb") as file, tempfile.TemporaryFile(dir=directory) as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        reader = maxminddb.open_database(f"/dev/fd/{copy.fileno()}")
    about = reader.metadata()
    name = " ".join(about.database_type.replace(";", " ").replace(":", " ").split())[:LONGEST_NAME] or "unnamed"
    if not any(_entry(name, record) for record in islice(_records(reader), SAMPLE)):
        raise _Useless(f"has no countries, cities or AS numbers: it is {name}")
    return _Opened(reader, name, datetime.fromtimestamp(about.build_epoch, UTC).date())


def _records(reader: maxminddb.Reader) -> Iterator[Any]:
    return (record for _, record in reader)


def _entry(source: str, record: Any) -> Entry | None:
    """From a record of a City, Country, Enterprise, ASN or ISP database."""
    country = _text(_member(record, "country", "iso_code")).upper()
    city = _text(_member(record, "city", "names", "en"))
    number = _member(record, "autonomous_system_number") or _member(record, "traits", "autonomous_system_number")
    asn = number if isinstance(number, int) and 0 < number < 2**32 else 0
    return Entry(source, country, city, asn) if country or asn else None


def _member(record: Any, *path: str) -> Any:
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
