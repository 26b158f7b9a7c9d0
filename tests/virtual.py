"""Event loops whose clock jumps, so that no test sleeps (docs: reliability.md, section 5.2).

`run` is for code without sockets: nothing takes real time. `run_hastily` is for code with real sockets: bytes travel
as they always do, and only when nothing is on its way does the clock jump to the next timer.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 0.01  # seconds of real silence that mean nothing is on its way


class Deadlock(RuntimeError):
    """Everybody waits and nothing is scheduled."""


class _Jumping(selectors.SelectSelector):
    """Never waits: the time it was to wait is added to the clock."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("everybody waits and nothing is scheduled")
        self.ahead += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while code runs and jumps when all of it waits."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.ahead


class _Hasty(selectors.DefaultSelector):
    """Waits for real sockets and threads, but not for timers."""

    ahead = 0.0
    busy: Callable[[], bool] = staticmethod(lambda: False)

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout <= PATIENCE:
            return super().select(timeout)
        found = super().select(PATIENCE)
        if not found and not self.busy():
            self.ahead += timeout - PATIENCE
        return found


class HastyLoop(asyncio.SelectorEventLoop):
    """Real sockets, jumping timers. The clock never jumps while a thread works for the loop."""

    def __init__(self) -> None:
        self._hasty = _Hasty()
        self._hasty.busy = lambda: self._threads > 0
        self._threads = 0
        super().__init__(self._hasty)

    def time(self) -> float:
        """Real seconds and those that were jumped over."""
        return time.monotonic() + self._hasty.ahead

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """As ever, and counted while it runs."""
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self._threads -= 1


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def run_hastily(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with real sockets whose timers are jumped to."""
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        return runner.run(work)
