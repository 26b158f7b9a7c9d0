"""Who gets what, agreed by everybody who knows the same names without a word between them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection


def winner(thing: str, workers: Collection[str]) -> str:
    """The worker whose hash with the thing is highest; empty when there is none.

    When a worker comes or goes, only what it wins or won changes hands.
    """
    return max(workers, key=lambda worker: _height(thing, worker), default="")


def _height(thing: str, worker: str) -> bytes:
    return hashlib.blake2b(f"{worker}/{thing}".encode(), digest_size=8).digest()
