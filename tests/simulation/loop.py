"""Virtual time, a seeded order of what is ready, and processes that can be killed or paused inside one event loop.

Every task belongs to a process through the context variable `PROCESS`. A killed process's callbacks are dropped, so
that nothing of it ever runs again, not even its `finally`; a paused one's are kept until it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from random import Random
from typing import Any, TypeVar

import virtual

T = TypeVar("T")


class Killed(BaseException):
    """Raised by what is outside a process once the process is dead, so that no `finally` of it can do a thing."""


class Process:
    """One worker process as the loop and the world see it. `skew` is how far its wall clock is off, in seconds."""

    def __init__(self, name: str, number: int = 0) -> None:
        self.name = name
        self.number = number  # of all that were started
        self.skew = 0.0
        self.dead = False
        self.paused_until = 0.0
        self.slow: Callable[[], float] = lambda: 0.0  # seconds that a piece of blocking work takes
        self.happenings: list[Callable[[bool], None]] = []  # called before (False) and after (True) blocking work
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.signals: dict[int, Callable[[], Any]] = {}


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class _Task(asyncio.Task[Any]):
    """Sets of tasks are walked in the order of their making, not of their addresses."""

    numbers = itertools.count()

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._number = next(_Task.numbers)
        super().__init__(*arguments, **more)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(virtual.VirtualLoop):
    """Runs what is ready in an order that the seed draws; blocking work runs inline, at a moment of its own."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self._unlucky = False  # somebody was killed or paused
        self._held: list[asyncio.Handle] = []
        self._processes: list[Process] = []
        _Task.numbers = itertools.count()
        self.set_task_factory(_make_task)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Run it inline, a little later, in the context of whoever asks."""
        process = PROCESS.get()
        if process is not None and process.dead:
            raise Killed(process.name)
        future: asyncio.Future[T] = self.create_future()
        delay = process.slow() if process else 0.0
        if delay > 0.0:
            self.call_later(delay, self._work, process, future, func, args)
        else:
            self.call_soon(self._work, process, future, func, args)
        return future

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        """There is only one thread."""
        return self.call_soon(callback, *args, context=context)

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        """A signal reaches the process that handles it, in its own context."""
        process, context = PROCESS.get(), contextvars.copy_context()
        assert process is not None
        process.signals[sig] = lambda: self.call_soon(callback, *args, context=context)

    def add(self, process: Process) -> None:
        """A new process. Its tasks are kept to the end, for a task that is thrown away runs its `finally`."""
        self._processes.append(process)

    def kill(self, process: Process) -> None:
        """From now on nothing of it runs."""
        process.dead = True
        self._unlucky = True

    def pause(self, process: Process, seconds: float) -> None:
        """Nothing of it runs for a while, whatever becomes due."""
        process.paused_until = max(process.paused_until, self.time() + seconds)
        self._unlucky = True
        self.call_at(process.paused_until, self._release, context=contextvars.Context())

    def end(self) -> None:
        """Close, whatever still runs, and throw away what is left of every process."""
        self.close()
        asyncio.set_event_loop(None)
        sys.unraisablehook = lambda _: None  # what was killed dies again here, and may complain
        for process in self._processes:
            process.dead = True
            contextvars.copy_context().run(_bury, process)
        for task in asyncio.all_tasks(self):
            _close(task)
        self._processes.clear()

    def _work(
        self, process: Process | None, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        happenings = process.happenings if process else ()
        try:
            for happening in happenings:
                happening(False)
            answer = func(*args)
            for happening in happenings:
                happening(True)
        except Killed:
            return
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(answer)

    def _run_once(self) -> None:
        """As asyncio's own does, without sockets, and with an order that the seed draws."""
        ready: Any = self._ready  # type: ignore[attr-defined]
        scheduled: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not scheduled:
                raise virtual.Deadlock("everybody waits and nothing is scheduled")
            self._jumping.ahead = max(self._jumping.ahead, scheduled[0]._when)
        now = self._jumping.ahead
        while scheduled and scheduled[0]._when <= now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        order = list(ready)
        ready.clear()
        if len(order) > 1:
            self._chance.shuffle(order)
        for handle in order:
            if not handle._cancelled and not (self._unlucky and self._withheld(handle)):
                handle._run()

    def _withheld(self, handle: asyncio.Handle) -> bool:
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None:
            return False
        if process.dead:
            return True
        if process.paused_until > self.time():
            self._held.append(handle)
            return True
        return False

    def _release(self) -> None:
        held, self._held = self._held, []
        self._ready.extend(held)  # type: ignore[attr-defined]


def _make_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any) -> _Task:
    task = _Task(work, loop=loop, **more)
    process = PROCESS.get()
    if process is not None:
        if process.dead:
            raise Killed(process.name)
        tasks = process.tasks
        tasks[task._number] = task
        task.add_done_callback(lambda done: tasks.pop(done._number, None), context=contextvars.Context())
    return task


def _bury(process: Process) -> None:
    PROCESS.set(process)
    for task in list(process.tasks.values()):
        _close(task)
    process.tasks.clear()


def _close(task: asyncio.Task[Any]) -> None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    for _ in range(20):  # each `await` in a `finally` ignores the first wish to end
        try:
            task.get_coro().close()  # type: ignore[union-attr]
            return
        except BaseException:
            continue
