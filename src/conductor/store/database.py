"""One database, SQLite or PostgreSQL: one thread writes, a few read.

SQLite rules (docs/explanation/store.md): exactly one connection writes and checkpoints, on one thread; readers open
`mode=ro`; no mmap. Writes that wait at the writer are committed together, up to `GROUP` of them, never waiting for
more; each is a savepoint, so that one that is refused takes nothing with it.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, event

from conductor.core import clock
from conductor.core.errors import StoreAway, StoreCorrupt, StoreError, StoreFull, StorePaused
from conductor.store import postgresql, sqlite

GROUP = 64  # writes committed together
READERS = 4  # threads
LOCKED = "local.storage.locked"
UNREADABLE = "its description of the tables is not text"
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})  # SQLite's codes for a file that is not as it was
_WORKS_FAULT = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError)  # a value is refused, the database is well
T = TypeVar("T")
Work = Callable[[Connection], T]


class Database:
    """Runs functions of a connection: `write` in the writer's transaction, `read` on a read-only one.

    Opened and closed by `open()` and `close()`, which are safe twice. Blocking work goes through the loop's
    `run_in_executor` only. `shared` says that other processes may use it too, as they may a PostgreSQL; `now` is the
    database's clock where that is SQLite. A server that does not answer raises StoreAway until it is back. After an I/O
    error the writer is closed for good: `failed` is set and the process must end.
    """

    def __init__(
        self,
        url: str,
        *,
        writer: Executor | None = None,
        readers: Executor | None = None,
        shared: bool | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self.url = sqlalchemy.make_url(url)
        self.shared = self.url.get_backend_name() != "sqlite" if shared is None else shared
        self._now = now
        self.failed: StoreError | None = None
        self.low = False  # little room is left on the disk: see `check_room`
        self._full = False  # the last write found no room at all
        self._held = ""  # why the last write could not be done, when it was another program's doing
        self._broken = asyncio.Event()
        self._absence = postgresql.Absence()
        self._lines: list[postgresql.Lines] = []  # of a server's engines: the writer's, then the readers'
        self._writer = writer or ThreadPoolExecutor(1, "store-writer")
        self._readers = readers or ThreadPoolExecutor(READERS, "store-reader")
        self._waiting: collections.deque[tuple[Work[Any], asyncio.Future[Any]]] = collections.deque()
        self._draining = False
        self._closed = False
        self._engine: Engine | None = None
        self._read_engine: Engine | None = None
        self._kept: collections.deque[Connection] = collections.deque()  # SQLite's, for reading
        self._connection: Connection | None = None

    @property
    def away(self) -> str:
        """Why nothing could be written last: the server does not answer, another program holds the file. Else empty."""
        return self._absence.reason or self._held

    @property
    def engine(self) -> Engine:
        """The writing engine, for migrations."""
        if self._engine is None:
            self._engine = _writing_engine(self.url)
            self._made(self._engine)
        return self._engine

    @property
    def full(self) -> bool:
        """Whether collecting pauses for want of room."""
        return self.low or self._full

    def check_room(self) -> None:
        """Before more is collected; whatever else must be written may go on. Raises StoreFull when room is low."""
        if self.low:
            raise StoreFull("Little room is left on the disk.")

    async def watch(self) -> None:
        """Never returns; raises the StoreError after which the writer is closed for good."""
        await self._broken.wait()
        raise self.failed or StoreError()

    async def prepare(self, work: Callable[[Engine], None]) -> None:
        """Run migrations on the writing engine, before `open`. Raises StoreError."""
        await asyncio.get_running_loop().run_in_executor(self._writer, self._prepare, work)

    async def open(self) -> None:
        """Connect. The schema is brought up to date by `conductor.store.migrations`. Raises StoreError."""
        loop = asyncio.get_running_loop()
        if self._read_engine is None:
            self._read_engine = _reading_engine(self.url)
            self._made(self._read_engine)
        await loop.run_in_executor(self._writer, self._connect)

    async def close(self) -> None:
        """Finish what is waiting, then disconnect."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        while self._waiting or self._draining:
            await asyncio.sleep(0.001)
        if self._read_engine is not None:  # first: SQLite folds the WAL in when its last connection, the writer, goes
            await loop.run_in_executor(self._readers, self._disconnect_readers, self._read_engine)
        await loop.run_in_executor(self._writer, self._disconnect)
        self._writer.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    def write(self, work: Work[T]) -> Awaitable[T]:
        """Run `work` in a transaction of the writer; the answer comes after the commit.

        Raises what `work` raises, StoreFull when the disk is full, StoreAway when the server does not answer (whether
        the work was done is not known then), StoreError when the database cannot be used.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()  # in the writer's thread, too, a deed knows the request it is done for
        self._waiting.append((lambda connection: context.run(work, connection), future))
        if not self._draining:
            self._draining = True
            self._begin(loop)
        return future

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a read-only connection. Raises StoreAway, StoreError."""
        loop = asyncio.get_running_loop()
        return await self._limited(loop, loop.run_in_executor(self._readers, self._read, work))

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._limited(loop, loop.run_in_executor(self._writer, self._drain, loop))

    def _limited(self, loop: asyncio.AbstractEventLoop, running: asyncio.Future[T]) -> asyncio.Future[T]:
        """A server that is silent for too long is not waited for."""
        if self._lines:
            limit = loop.call_later(postgresql.PATIENCE, self._cut)
            running.add_done_callback(lambda _: limit.cancel())
        return running

    def _cut(self) -> None:
        for lines in self._lines:
            lines.cut()

    def _prepare(self, work: Callable[[Engine], None]) -> None:
        with _Translated(self.url):
            work(self.engine)
        if self.url.get_backend_name() == "sqlite":
            sqlite.keep_names(Path(str(self.url.database)).parent)

    def _made(self, engine: Engine) -> None:
        """SQLite has no clock of its own to ask: `store_now()` is a function of each connection."""
        if engine.dialect.name != "sqlite":
            self._lines.append(postgresql.Lines(engine))
            return

        def register(connection: sqlite3.Connection, _record: object) -> None:
            connection.create_function("store_now", 0, lambda: clock.to_micros(self._now()))

        event.listen(engine, "connect", register)

    def _connect(self) -> None:
        with _Translated(self.url):
            self._connection = self._connection or self.engine.connect()
            if self._lines:
                self._connection.close()  # back to the pool

    def _disconnect_readers(self, engine: Engine) -> None:
        while self._kept:
            self._kept.pop().close()
        engine.dispose()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._engine is not None:
            self._engine.dispose()

    def _read(self, work: Work[T]) -> T:
        with _Translated(self.url), self._reading() as connection:
            return work(connection)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        answers = self._commit([work for work, _ in group], loop)
        loop.call_soon_threadsafe(self._answer, loop, [future for _, future in group], answers)

    def _answer(self, loop: asyncio.AbstractEventLoop, futures: list[asyncio.Future[Any]], answers: list[Any]) -> None:
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, _Raised):
                future.set_exception(answer.error)
            else:
                future.set_result(answer)
        if self.failed is not None:
            self._broken.set()
        self._draining = bool(self._waiting)
        if self._draining:
            self._begin(loop)

    def _commit(self, group: list[Work[Any]], loop: asyncio.AbstractEventLoop) -> list[Any]:
        """The answers of the group's works, committed; or the same error for all when the commit failed."""
        if (away := self._absence.told(loop.time())) is not None:
            return [_Raised(away)] * len(group)
        try:
            with _Translated(self.url):
                answers = self._transaction(group)
        except Exception as error:  # carried to whoever waits, who knows what to do with it
            if postgresql.crossed(error.__cause__):
                if len(group) > 1:  # with another process: each alone crosses less
                    return [answer for work in group for answer in self._commit([work], loop)]
            elif isinstance(error, StoreAway):
                self._absence.begins(error, loop.time())
            elif isinstance(error, StoreError) and not isinstance(error, StorePaused):
                self.failed = error
            self._full = isinstance(error, StoreFull)
            self._held = str(error) if isinstance(error, StorePaused) and error.code == LOCKED else ""
            return [_Raised(error)] * len(group)
        self._full, self._held = False, ""
        self._absence.ends()
        return answers

    def _transaction(self, group: list[Work[Any]]) -> list[Any]:
        if self.failed is not None:
            raise self.failed
        with self._writing() as connection, connection.begin():
            if len(group) == 1:
                return [group[0](connection)]
            return [_in_savepoint(connection, work) for work in group]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Of SQLite one that is kept: a pool costs as much as a small query. Of a server one that was just tried."""
        if self._read_engine is None:
            raise StoreError("The database is not open.")
        if self._lines:
            with self._read_engine.connect() as connection:
                yield connection
            return
        try:
            connection = self._kept.pop()
        except IndexError:
            connection = self._read_engine.connect()
        try:
            yield connection
        finally:
            connection.rollback()
            self._kept.append(connection)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """SQLite's one writing connection; of a server one that has just been tried, for it may have restarted."""
        if self._connection is None:
            raise StoreError("The database is not open.")
        if not self._lines:
            yield self._connection
            return
        with self.engine.connect() as connection:
            yield connection


class _Raised:
    """An error, as the answer of one work."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _in_savepoint(connection: Connection, work: Work[Any]) -> Any:
    try:
        with connection.begin_nested():
            return work(connection)
    except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InternalError):
        raise  # the disk, not the work: the whole group fails
    except Exception as error:
        return _Raised(error)


class _Translated:
    """Turns the drivers' errors into ours; a value that the database refuses is left to whoever wrote it."""

    def __init__(self, url: sqlalchemy.URL) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnicodeDecodeError):  # the driver cannot even read what SQLite says of the file
            raise StoreCorrupt(f"The database is damaged: {UNREADABLE}", what=UNREADABLE) from error
        if not isinstance(error, sqlalchemy.exc.DBAPIError) or isinstance(error, _WORKS_FAULT):
            return
        if _is_full(error, self._url):
            raise StoreFull("The disk is full.") from error
        if getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY:
            told = f"Another program has held the database for {sqlite.BUSY_TIMEOUT:.0f} s."
            raise StorePaused(told, code=LOCKED) from error
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
            raise StoreCorrupt(f"The database is damaged: {error.orig}", what=str(error.orig)) from error
        if postgresql.passes(error):
            raise StoreAway(f"The database {postgresql.trouble(error)}.") from error
        raise StoreError(f"The database failed: {type(error.orig).__name__}: {error.orig}") from error


# The WAL's index cannot grow on a full disk either, and SQLite tells that as an I/O error of its own.
_INDEX_FAILED = frozenset({sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP})
_NO_ROOM = 2**20  # bytes free, at the most


def _is_full(error: sqlalchemy.exc.DBAPIError, url: sqlalchemy.URL) -> bool:
    """SQLite rolls back by itself when the disk is full, and then the savepoint's own rollback fails on top of it."""
    cause: BaseException | None = error
    while cause is not None:
        original = getattr(cause, "orig", None)
        code = getattr(original, "sqlite_errorcode", 0)
        if code == sqlite3.SQLITE_FULL:
            return True
        if code in _INDEX_FAILED and shutil.disk_usage(Path(str(url.database)).parent).free < _NO_ROOM:
            return True
        if getattr(original, "sqlstate", "") == "53100":  # PostgreSQL: disk_full
            return True
        cause = cause.__context__
    return False


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


def translated(engine: Engine) -> AbstractContextManager[None]:
    """Turns the drivers' errors into StoreError and its kind, for work on an engine of one's own."""
    return _Translated(engine.url)


def reading(url: str) -> Engine:
    """A read-only engine of one's own, beside a running Conductor or without one."""
    return _reading_engine(sqlalchemy.make_url(url))


def _writing_engine(url: sqlalchemy.URL) -> Engine:
    return sqlite.writing(url) if url.get_backend_name() == "sqlite" else postgresql.engine(url, connections=1)


def _reading_engine(url: sqlalchemy.URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        return sqlite.reading(url, connections=READERS)
    return postgresql.engine(url, connections=READERS, session="-c default_transaction_read_only=on")
