"""A full disk: collecting pauses, pages and searches go on, nothing is lost, and it resumes by itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from worlds import collecting, run

from conductor.core.health import State
from conductor.operations import integrations
from conductor.signal_client import poller
from conductor.simulator.tenant import TenantSpec

SIZE = 96  # MiB
LIMIT = 50.0  # seconds, reached only when it does not resume


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        skip_or_fail("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    """Leave no room at all."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            try:
                while file.write(b"\0" * block):
                    pass
            except OSError:
                pass
    return ballast


def test_collecting_pauses_and_resumes_by_itself(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "STORE_RETRY", 0.2)

    async def work() -> None:
        async with collecting(small_disk, TenantSpec(history=3000, days=1)) as it:
            await it.add()
            ballast = _fill(small_disk)
            with pytest.raises(Exception, match="disk is full"):
                await integrations.set_enabled(it.system, "prod", True, by="test")
            ballast.unlink()
            await integrations.set_enabled(it.system, "prod", True, by="test")
            _fill(small_disk)
            running = asyncio.create_task(it.system.supervisor.run())
            async with asyncio.timeout(LIMIT):
                while not it.system.database.full:
                    await asyncio.sleep(0.02)
                told = await integrations.status(it.system, "prod")
                assert told.health.state is State.FAILED
                assert told.health.code == "local.storage.full"
                assert await it.count() == 0
                ballast.unlink()
                while (await integrations.status(it.system, "prod")).health.state is not State.HEALTHY:
                    await asyncio.sleep(0.05)
            it.system.supervisor.stop()
            await running
            await it.index()
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_a_command_on_a_full_disk_says_so_and_exits_with_1(small_disk: Path) -> None:
    command = [sys.executable, "-m", "conductor", "status", "--data", str(small_disk / "data")]
    assert subprocess.run(command, capture_output=True).returncode == 0
    adding = [sys.executable, "-m", "conductor", "user", "add", "a@example.com", "--admin", "--password-file", "-"]
    _fill(small_disk)
    refused = subprocess.run(
        [*adding, "--data", str(small_disk / "data")], input="a long enough pass phrase", capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "disk is full" in refused.stderr
    assert "Traceback" not in refused.stderr
