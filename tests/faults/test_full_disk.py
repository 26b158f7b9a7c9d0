"""A full disk: collecting pauses, pages and searches go on, nothing is lost, and it resumes by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import processes
import pytest
from sqlalchemy import delete
from worlds import collecting, run

from conductor.core import clock
from conductor.core.errors import StoreFull
from conductor.core.health import State
from conductor.operations import integrations, statuses, upkeep
from conductor.signal_client import poller
from conductor.simulator.tenant import TenantSpec
from conductor.store import room, schema

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


def _fill(folder: Path, but: int = 0) -> Path:
    """Leave no room at all, or so many bytes."""
    ballast = folder / "ballast"
    if but:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - but)
        return ballast
    with ballast.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 12):
            try:
                while file.write(b"\0" * block):
                    pass
            except OSError:
                pass
    return ballast


def test_f49_collecting_pauses_on_a_full_disk_and_resumes_by_itself(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
                told = await statuses.status(it.system, "prod")
                assert told.health.state is State.FAILED
                assert told.health.code == "local.storage.full"
                assert await it.count() == 0
                ballast.unlink()
                while (await statuses.status(it.system, "prod")).health.state is not State.HEALTHY:
                    await asyncio.sleep(0.05)
            it.system.supervisor.stop()
            await running
            await it.index()
            assert sorted(await it.ids()) == it.world.log_ids()

    run(work)


def test_f49_a_process_pauses_before_the_disk_is_full_still_searches_and_resumes(
    small_disk: Path, tmp_path: Path
) -> None:
    with (
        processes.vendor(tmp_path, history=6000, days=2, rate_limit="8/s") as vendor,
        processes.Conductor(small_disk) as conductor,
    ):
        conductor.start()
        conductor.add("prod", vendor.values())
        processes.until(conductor.count)
        ballast = _fill(small_disk, but=3 * room.MIB)  # the floor of this disk is 5 % of it
        filled = time.monotonic()
        processes.until(lambda: conductor.status("prod")["health"]["code"] == "local.storage.full")
        paused = time.monotonic() - filled
        stored = processes.until(lambda: _settled(conductor.count))
        assert 0 < stored < 6000
        assert shutil.disk_usage(small_disk).free > 0
        ballast.unlink()
        freed = time.monotonic()
        processes.until(lambda: conductor.count() > stored)
        resumed = time.monotonic() - freed
        wanted = conductor.caught_up(vendor)
        assert conductor.stop() == 0
        told = conductor.log.read_text()
        assert processes.journaled(conductor.data) == wanted
    assert told.count("collecting pauses, little room is left") == told.count("there is room again") == 1
    print(f"\npaused after {paused:.1f} s, resumed after {resumed:.1f} s")


def _settled(count: Callable[[], int]) -> int:
    """A number that grows no more."""
    before = count()
    time.sleep(1.5)  # three rounds of the indexer
    return before if count() == before else 0


def test_f49_retention_makes_room_on_a_disk_that_is_full_to_the_last_byte(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with collecting(small_disk, TenantSpec(history=3000, days=3)) as it:
            await it.add()
            await it.poll()
            kept = room.Room(small_disk / "data", 512 * room.MIB)
            kept.look()
            assert not kept.low
            reserve = small_disk / "data" / "conductor.reserve"
            assert reserve.stat().st_blocks * 512 >= SIZE * room.MIB // 26
            _fill(small_disk)
            assert kept.look()
            with pytest.raises(StoreFull):
                await it.system.database.write(lambda connection: connection.execute(delete(schema.signal_keys)))
            later = clock.now() + timedelta(days=400)
            monkeypatch.setattr(clock, "now", lambda: later)
            expiring = asyncio.create_task(upkeep.expire(it.system, kept))
            while await it.count():
                await asyncio.sleep(0.05)
            expiring.cancel()
            assert not reserve.exists()

    run(work)


def test_the_reserve_makes_a_start_possible_and_comes_back_when_there_is_room(small_disk: Path) -> None:
    kept = room.Room(small_disk, 512 * room.MIB)
    assert not kept.look()
    reserve = small_disk / "conductor.reserve"
    ballast = _fill(small_disk)
    kept.make_start_possible()
    assert not reserve.exists()
    assert kept.look()
    ballast.unlink()
    assert not kept.look()
    assert reserve.exists()
    kept.make_start_possible()
    assert reserve.exists()


def test_collecting_goes_on_only_when_there_is_clearly_more_room_than_the_floor(small_disk: Path) -> None:
    kept = room.Room(small_disk, 4 * room.MIB)
    kept.look()
    ballast = _fill(small_disk, but=kept.floor - 65536)
    assert kept.look()
    ballast.unlink()
    ballast = _fill(small_disk, but=kept.floor + 65536)
    assert kept.look()
    ballast.unlink()
    assert not kept.look()


def test_a_floor_of_nothing_never_pauses_and_keeps_no_reserve(small_disk: Path) -> None:
    kept = room.Room(small_disk, 0)
    assert not kept.look()
    assert list(small_disk.iterdir()) == []
    _fill(small_disk)
    assert not kept.look()


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
