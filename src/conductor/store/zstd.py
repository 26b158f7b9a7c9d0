"""Zstandard, from wherever this Python has it: one place for a dependency that moves into the standard library."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError as Error
    from compression.zstd import compress as _compress
    from compression.zstd import decompress as _decompress
else:
    from backports.zstd import ZstdError as Error
    from backports.zstd import compress as _compress
    from backports.zstd import decompress as _decompress

__all__ = ["Error", "compress", "decompress"]

LEVEL = 3


def compress(plain: bytes) -> bytes:
    """One zstd frame."""
    return _compress(plain, LEVEL)


def decompress(frame: bytes) -> bytes:
    """The bytes of one frame."""
    return _decompress(frame)
