"""Keeps what this process holds in memory, keys and secrets among it, off the disk and out of others' reach."""

from __future__ import annotations

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4  # linux/prctl.h


def protect() -> None:
    """No core file from now on, and no reading of this memory by other processes of the same user.

    The latter is known on Linux only. Children start with neither a core file nor this protection.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
