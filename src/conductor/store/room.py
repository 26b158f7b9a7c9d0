"""The room on the disk that holds the data: where collecting pauses, and a reserve that is given up first.

A database needs room to delete, too. So collecting pauses before the disk is full, and a file that holds nothing can
be deleted when retention has no room left to work in. The calls block for as long as the disk takes.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MIB = 2**20
FLOOR_SHARE = 0.05  # of the disk: the floor of a small one
RESERVE = 64 * MIB
RESERVE_SHARE = 0.04  # of the disk: the reserve of a small one
AGAIN = 1.1  # times the floor must be free before collecting goes on


class Room:
    """Watches the free room beside the data; `floor` bytes must stay free, 0 watches nothing."""

    def __init__(self, directory: Path, floor: int) -> None:
        self.low = False
        self.free = 0
        self._directory = directory
        self._reserve = directory / "conductor.reserve"
        total = shutil.disk_usage(directory).total
        self.floor = min(floor, int(FLOOR_SHARE * total))
        self._size = min(RESERVE, int(RESERVE_SHARE * total)) if floor else 0

    def look(self) -> bool:
        """Measure; the answer is whether collecting must pause. Keeps the reserve when there is plenty."""
        self.free = shutil.disk_usage(self._directory).free
        self.low = self.free < self.floor * (AGAIN if self.low else 1)
        if self.free > 2 * (self.floor + self._size):
            self._keep_reserve()
        return self.low

    def give_up_reserve(self) -> bool:
        """Delete the reserve; whether there was one."""
        try:
            self._reserve.unlink()
        except FileNotFoundError:
            return False
        return True

    def make_start_possible(self) -> None:
        """Opening the stores takes a little room: on a disk without any the reserve goes."""
        if shutil.disk_usage(self._directory).free < self._size // 4:
            self.give_up_reserve()

    def _keep_reserve(self) -> None:
        if self._reserve.exists() or not self._size:
            return
        file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError:  # somebody else was faster, or this file system cannot
            self._reserve.unlink(missing_ok=True)
        finally:
            os.close(file)
