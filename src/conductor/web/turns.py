"""Searches take turns: each user may run a few at once. And what was searched lately, for the parts of one page."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from conductor.core.errors import Refused

AT_ONCE = 6  # searches of one user; a page has three
LATELY = 600.0  # seconds in which the parts of a page are one deed with it
MOST_KEPT = 10_000


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


class Lately:
    """Who searched for what in the last minutes."""

    def __init__(self) -> None:
        self._seen: OrderedDict[object, float] = OrderedDict()

    def first(self, what: object) -> bool:
        """Whether this is new; from now on it is not, for a while."""
        now = monotonic()
        new = self._seen.pop(what, -LATELY) + LATELY <= now
        self._seen[what] = now
        while len(self._seen) > MOST_KEPT:
            self._seen.popitem(last=False)
        return new
