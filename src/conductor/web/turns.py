"""Searches take turns: each user may run a few at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from conductor.core.errors import Refused

AT_ONCE = 4  # searches of one user


class TooManySearches(Refused):
    """Too many searches are running for you. Try again when one has ended."""

    code = "search.busy"
    retry_after = 2


class Turns:
    """Counts the running searches by user."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._running: Counter[str] = Counter()

    @asynccontextmanager
    async def take(self, who: str) -> AsyncIterator[None]:
        """Hold a turn. Raises TooManySearches."""
        if self._running[who] >= self._at_once:
            raise TooManySearches
        self._running[who] += 1
        try:
            yield
        finally:
            self._running[who] -= 1
            self._running += Counter()  # forget who holds none
