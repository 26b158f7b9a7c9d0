"""The requests of one poll, kept for whoever asks later why it went as it did. Bounded, whatever a vendor answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from conductor.core import clock
from conductor.core.poll import Exchange

TAKEN = 200  # the status of an answer that holds what was asked for
FIRST, MOST = 20, 200  # of a long poll the first and the last requests are kept, this many in all
LARGEST = 64 * 1024  # bytes of one body
ALL_BODIES = 256 * 1024  # bytes
LONGEST = 2_000  # characters of an address
_IDS = ("request-id", "requestid", "correlation-id")  # at the end of the header's name


class Running:
    """A request that has been sent."""

    def __init__(self, note: Callable[[Exchange], None], method: str, url: str) -> None:
        self._note = note
        self._method, self._url = method, url[:LONGEST]
        self._at = clock.to_micros(clock.now())
        self._begun = asyncio.get_running_loop().time()

    def answered(
        self, status: int, headers: Mapping[str, str], body: bytes, rate: tuple[int | None, int | None]
    ) -> None:
        """An answer came; `rate` is the limit it told, and what is left of it."""
        told = {"limit": rate[0], "remaining": rate[1], "request_id": _request_id(headers)}
        self._end(status=status, size=len(body), body=body[:LARGEST], **told)

    def failed(self, code: str) -> None:
        """None came, or none that could be read."""
        self._end(code=code)

    def _end(self, **told: Any) -> None:
        took = round(1000 * (asyncio.get_running_loop().time() - self._begun))
        self._note(Exchange(self._at, self._method, self._url, took, **told))


@dataclass(slots=True)
class Exchanges:
    """The requests so far."""

    kept: list[Exchange] = field(default_factory=list)

    def begin(self, method: str, url: str) -> Running:
        """A request is sent."""
        return Running(self._note, method, url)

    def ended(self, *, well: bool) -> list[Exchange]:
        """All that are kept, at the end of a poll; the last answer of one that went well was taken, too."""
        if well:
            return [_bare(exchange) if exchange.status == TAKEN else exchange for exchange in self.kept]
        return list(self.kept)

    def _note(self, exchange: Exchange) -> None:
        """One more. A good answer before it was taken, for else there were no other: its body goes."""
        if self.kept and self.kept[-1].status == TAKEN:
            self.kept[-1] = _bare(self.kept[-1])
        self.kept.append(exchange)
        if len(self.kept) > MOST:
            del self.kept[FIRST]
        self._bound_bodies()

    def _bound_bodies(self) -> None:
        left = ALL_BODIES
        for at in range(len(self.kept) - 1, -1, -1):
            left -= len(self.kept[at].body)
            if left < 0 and self.kept[at].body:
                self.kept[at] = _bare(self.kept[at])


def _request_id(headers: Mapping[str, str]) -> str:
    """The name that the vendor gave the request, for its support."""
    return next((value[:100] for name, value in headers.items() if name.endswith(_IDS)), "")


def _bare(exchange: Exchange) -> Exchange:
    return msgspec.structs.replace(exchange, body=b"") if exchange.body else exchange
