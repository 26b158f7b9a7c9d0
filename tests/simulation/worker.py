"""One worker process of the simulation: the product's own wiring, started, stopped, killed and started again."""

from __future__ import annotations

import asyncio
import contextvars
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from conductor import app
from conductor.operations.system import System
from conductor.settings import Settings
from conductor.store.room import Room
from simulation.loop import PROCESS, Process, SimulatedLoop


class Worker:
    """A place where a process runs: its name and directory outlive the processes that come and go."""

    def __init__(self, name: str, settings: Settings, **opened: Any) -> None:
        self.name = name
        self.system: System | None = None
        self.process: Process | None = None
        self.ended: Callable[[Worker, BaseException | None], None] = lambda *_: None
        self.settings = settings
        self.skew = 0.0
        self._opened = opened

    @property
    def directory(self) -> Path:
        """What it keeps on its disk."""
        return self.settings.data

    @property
    def running(self) -> bool:
        """Opened, and neither dead nor stopping."""
        return self.system is not None and self.process is not None and not self.process.dead

    def start(self, process: Process) -> None:
        """Begin as a new process."""
        self.process, self.system = process, None
        process.skew = self.skew
        self._task = self._spawn(self._main(), "main")
        self._task.add_done_callback(self._done, context=contextvars.Context())

    def stop(self) -> None:
        """Ask it to end, as a service manager does."""
        if self.process is not None and signal.SIGTERM in self.process.signals:
            self.process.signals[signal.SIGTERM]()

    def call(self, work: Callable[[System], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Do something inside the process, as a request to its web server would."""
        assert self.system is not None
        return self._spawn(work(self.system), "request")

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        context = contextvars.copy_context()
        context.run(PROCESS.set, self.process)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        return context.run(lambda: loop.create_task(work, name=f"{self.name} {name}", context=context))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.system = None
        self.ended(self, None if task.cancelled() else task.exception())

    async def _main(self) -> None:
        """As `app.serve`, without pages."""
        async with app.opened(self.settings, self.directory, **self._opened) as system:
            self.system = system
            stop = asyncio.Event()
            room = Room(self.directory, 0)
            await app._run(system, [_no_pages(stop)], app._upkeep(system, room), stop)


async def _no_pages(stop: asyncio.Event) -> None:
    await stop.wait()
