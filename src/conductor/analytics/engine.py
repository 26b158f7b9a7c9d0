"""Opens ClickHouse: the engine in this process, or a server. Calls block; callers use a small thread pool.

One engine and one path a process. Never fork once it is open: a forked child hangs.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.abc
import queue
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from conductor.analytics.server import LONGEST_SEARCH, SearchAway, SearchTooSlow, Server, Unsearchable
from conductor.core.errors import StoreFull

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

T = TypeVar("T")
SEARCHES = 2  # at once
AGAIN = 2.0  # seconds in which a server that could not be reached is not tried again
PATIENCE = 5.0  # seconds that what is in no hurry waits for searches
# The engine's caches default to gigabytes; a self-hosted process should stay small.
ENGINE = {
    "max_server_memory_usage": 1_200_000_000,
    "mark_cache_size": 67_108_864,
    "uncompressed_cache_size": 0,
    "index_mark_cache_size": 33_554_432,
    "index_uncompressed_cache_size": 0,
    "query_condition_cache_size": 8_388_608,
    "mmap_cache_size": 0,
    "background_pool_size": 2,
    "background_schedule_pool_size": 2,
    "background_common_pool_size": 2,
    "background_move_pool_size": 1,
    "background_fetches_pool_size": 1,
    "background_buffer_flush_schedule_pool_size": 1,
    "background_message_broker_schedule_pool_size": 1,
    "background_distributed_schedule_pool_size": 1,
    "tables_loader_foreground_pool_size": 1,
    "tables_loader_background_pool_size": 1,
}
QUERY = {
    "max_threads": 2,
    "max_memory_usage": 800_000_000,
    "max_execution_time": LONGEST_SEARCH,
    "use_skip_indexes_on_data_read": 0,  # looked at once, before reading, and remembered
}
_UNWANTED = frozenset({"pandas", "numpy", "pyarrow", "polars"})


def _engine_id(path: Path) -> str:
    """A name for this engine alone: two directories beside one PostgreSQL are two targets."""
    file = path.with_suffix(".id")
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        file.write_text(f"{token_hex(8)}\n")
        return file.read_text().strip()


class _Blocked(importlib.abc.MetaPathFinder):
    """430 MB of data frame libraries that the client imports when it finds them, and that we never use."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        if name.partition(".")[0] in _UNWANTED:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)


def _keep_out() -> None:
    if not any(isinstance(finder, _Blocked) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Blocked())


class Analytics:
    """One engine: `insert` writes on one thread, `read` runs queries on a few read-only handles.

    A server may be away, at the start too: then reading and writing raise SearchAway, and each try connects anew.
    `away` tells why, and is empty while it answers; `opens` counts how often it was there again.
    """

    def __init__(self, path: Path | None, *, url: str = "", writer: Executor | None = None) -> None:
        self._path = path
        self._server = Server.parse(url) if url else None
        self._writer = writer or ThreadPoolExecutor(1, "analytics-writer")
        self._readers = ThreadPoolExecutor(SEARCHES, "analytics-reader")
        self._handles: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._readings = 0
        self._client: Client | None = None
        self._prepare: Callable[[Client], None] | None = None
        self._ready = False
        self._tried = float("-inf")
        self.away = ""
        self.opens = 0
        self._files = ThreadPoolExecutor(1, "analytics-files")
        self._file_client: Client | None = None
        self._file_turn = asyncio.Lock()
        self._at_work = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @property
    def served(self) -> bool:
        """Whether it is a server, which others may use too."""
        return self._server is not None

    @property
    def target(self) -> str:
        """What a reader's cursor belongs to: this engine, or that server."""
        if self._server:
            return self._server.name
        return f"embedded/{_engine_id(self._path)}" if self._path else "embedded"

    async def open(self, prepare: Callable[[Client], None]) -> None:
        """Start the engine and run `prepare` (the table's migrations) on it. Raises Unsearchable; a server that is away
        is left to the first use."""
        self._prepare = prepare
        with suppress(SearchAway):
            await self._on(self._writer, self._open)

    async def close(self) -> None:
        """Close every handle, the writing one last. Safe twice, and without opening."""
        if self._file_client is not None:  # else its thread may not have been started, and perhaps none can be
            await self._on(self._files, self._close_files)
        await self._on(self._writer, self._close)
        self._readers.shutdown(wait=True)
        self._files.shutdown(wait=False)
        self._writer.shutdown(wait=False)

    async def write(self, work: Callable[[Client], T]) -> T:
        """Run `work` on the writing handle. Raises Unsearchable, StoreFull."""
        return await self._on(self._writer, self._write, work)

    async def read(self, work: Callable[[Client], T]) -> T:
        """Run `work` on a read-only handle. Raises Unsearchable."""
        if self._server and not self._ready:
            await self._on(self._writer, self._open)
        self._at_work += 1
        if self._at_work >= SEARCHES:
            self._calm.clear()
        try:
            return await self._on(self._readers, self._read, work)
        finally:
            self._at_work -= 1
            if self._at_work < SEARCHES:
                self._calm.set()

    async def calm(self) -> None:
        """Wait until a read would not have to wait, some seconds at the most: for what is in no hurry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._calm.wait()

    async def files(self, work: Callable[[Client], None], stop: Callable[[Client], None]) -> None:
        """Run `work`, which reads and writes files, on the engine in this process, also where a server is searched.

        One at a time. When the caller is cancelled, `stop` ends it. Raises Unsearchable, StoreFull.
        """
        async with self._file_turn:
            running = asyncio.ensure_future(self._on(self._files, self._on_files, work))
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                while not running.done():
                    await asyncio.to_thread(self._stop_files, stop)
                    await asyncio.wait([running], timeout=0.1)
                running.exception()
                raise

    async def _on(self, executor: Executor, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call, *arguments)

    def _open(self) -> None:
        """On the writing thread. A server that failed is asked again only after a while, so that searches do not wait
        in a row, and its table is looked at anew: it may have come back without it."""
        if self._ready or self._prepare is None:
            return
        if self.away and time.monotonic() < self._tried + AGAIN:
            raise SearchAway(self.away)
        self._tried = time.monotonic()
        with self._translated():
            if self._client is not None:  # its database may be gone
                self._client.close()
            self._client = self._connect(reading=False)
            self._prepare(self._client)
            while self._readings < SEARCHES:
                self._handles.put(self._connect(reading=True))
                self._readings += 1
            self._ready, self.opens = True, self.opens + 1

    def _close(self) -> None:
        while not self._handles.empty():
            self._handles.get().close()
            self._readings -= 1
        if self._client is not None:
            self._client.close()
            self._client = None
        self._prepare, self._ready = None, False

    def _write(self, work: Callable[[Client], T]) -> T:
        if self._server:
            self._open()
        if self._client is None:
            raise Unsearchable("The search engine is not open.")
        with self._translated():
            return work(self._client)

    def _read(self, work: Callable[[Client], T]) -> T:
        handle = self._handles.get()
        try:
            with self._translated():
                return work(handle)
        finally:
            self._handles.put(handle)

    def _on_files(self, work: Callable[[Client], None]) -> None:
        with _translated():
            if self._file_client is None:
                self._file_client = self._embedded({})
            work(self._file_client)

    def _stop_files(self, stop: Callable[[Client], None]) -> None:
        with _translated(), closing(self._embedded({})) as client:
            stop(client)

    def _close_files(self) -> None:
        if self._file_client is not None:
            self._file_client.close()
            self._file_client = None

    def _connect(self, *, reading: bool) -> Client:
        if self._server:
            _keep_out()
            return self._server.connect(reading=reading)
        return self._embedded(dict(QUERY), mode="ro") if reading else self._embedded({})

    def _embedded(self, settings: dict[str, Any], **options: Any) -> Client:
        _keep_out()
        from clickhouse_connect.driver import create_client

        path = ":memory:" if self._server else str(self._path)
        return create_client(interface="chdb", path=path, chdb_options={**ENGINE, **options}, settings=settings)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        if self._server is None:
            with _translated():
                yield
            return
        from clickhouse_connect.driver.exceptions import Error
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (Error, HTTPError, OSError) as error:
            told = self._server.told(error)
            if isinstance(told, SearchAway) and (told.lasts or not self._ready):
                self.away, self._ready = str(told), False
            raise told from error
        if self._ready:
            self.away = ""


@contextmanager
def _translated() -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import Error

    try:
        yield
    except Error as error:
        text = str(error)
        if "NOT_ENOUGH_SPACE" in text or "No space left on device" in text:
            raise StoreFull("The disk is full.") from error
        if "TIMEOUT_EXCEEDED" in text:
            raise SearchTooSlow from error
        raise Unsearchable(f"The search engine failed: {text.splitlines()[0][:300]}") from error
    except OSError as error:
        if error.errno == errno.ENOSPC:  # the insert's own temporary file
            raise StoreFull("The disk is full.") from error
        if error.errno == errno.ENOENT and "temporary" in str(error):  # what tempfile makes of any cause
            told = "no temporary file can be made. Too many open files, no room, or no permission."
            raise Unsearchable(f"The search engine failed: {told}") from error
        raise Unsearchable(f"The search engine failed: {error}") from error
