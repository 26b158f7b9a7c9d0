"""A disk, or the system, that refuses while Conductor runs: it says what, stops rather than go on wrong, loses nothing."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import processes
import psutil
import pytest
import straced

from conductor.analytics import artifacts
from conductor.analytics.engine import Analytics

HISTORY = 3000
ENTRY = re.compile(r"\d{4}-\d\d-\d\dT")  # a line of the log that begins an entry, so none of a traceback


@pytest.fixture(name="collecting")
def _collecting(tmp_path: Path) -> Iterator[tuple[processes.Vendor, processes.Conductor]]:
    """A Conductor with part of a tenant's history, still at it."""
    with (
        processes.vendor(tmp_path, history=HISTORY, days=2, rate_limit="5/s") as vendor,
        processes.Conductor(tmp_path) as conductor,
    ):
        conductor.start()
        conductor.add("prod", vendor.values(polling_interval=1))
        processes.until(lambda: conductor.status("prod")["events_24h"])
        yield vendor, conductor


@contextmanager
def _failing(process: psutil.Process, *options: str) -> Iterator[None]:
    """Every such system call of a running process fails from now on."""
    arguments = ["strace", "-f", "-p", str(process.pid), "-o", "/dev/null", *options]
    strace = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    strace.stderr.readline()
    yield
    strace.terminate()
    strace.communicate()


@pytest.mark.parametrize(
    ("call", "error"),
    [("fdatasync", "EIO"), ("pwrite64", "EROFS")],
    ids=["f48-fsync-fails", "f50-read-only"],
)
def test_a_store_that_fails_ends_the_process_which_starts_again_and_loses_nothing(
    collecting: tuple[processes.Vendor, processes.Conductor],
    skip_or_fail: Callable[[str], NoReturn],
    call: str,
    error: str,
) -> None:
    straced.usable(skip_or_fail)
    vendor, conductor = collecting
    process = conductor.process
    assert process is not None
    with _failing(psutil.Process(process.pid), "-e", f"trace={call}", "-e", f"inject={call}:error={error}"):
        assert processes.until(lambda: process.poll() is not None) is True
    assert process.returncode == 1  # not 2 or 5, after which systemd would not start it again
    told = conductor.log.read_text()
    assert "Error: The database failed: OperationalError: disk I/O error" in told
    assert "Traceback" not in told
    conductor.start()
    wanted = conductor.caught_up(vendor)
    assert conductor.stop() == 0
    assert processes.journaled(conductor.data) == wanted


def test_f50_a_data_directory_that_is_read_only_is_told_and_may_be_tried_again(
    tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]
) -> None:
    folder = tmp_path / "read-only"
    (folder / "data").mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mounted, capture_output=True).returncode:
        skip_or_fail("mounting a read-only disk needs root")
    try:
        with processes.Conductor(folder) as conductor:
            conductor.log = tmp_path / "log"
            conductor.start()
            assert conductor.process is not None
            assert conductor.process.wait(60) == 1
            assert "cannot be used: Read-only file system" in conductor.log.read_text()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (resource.RLIMIT_NOFILE, "too many open files"),
        (resource.RLIMIT_AS, "memory|resource temporarily unavailable"),  # the stack of a thread is memory, too
    ],
    ids=["descriptors", "memory"],
)
def test_f50_without_a_resource_it_says_so_does_not_spin_and_goes_on_once_there_is_some(
    collecting: tuple[processes.Vendor, processes.Conductor], limit: int, words: str
) -> None:
    vendor, conductor = collecting
    assert conductor.process is not None
    process = psutil.Process(conductor.process.pid)
    before, lines = process.rlimit(limit), len(conductor.log.read_text().splitlines())
    left = process.num_fds() - 8 if limit == resource.RLIMIT_NOFILE else process.memory_info().vms + 1_000_000
    process.rlimit(limit, (left, before[1]))
    until = time.monotonic() + 8  # a loop that spins would tell it thousands of times
    while time.monotonic() < until and conductor.process.poll() is None:
        time.sleep(0.1)
    told = [line for line in conductor.log.read_text().splitlines()[lines:] if ENTRY.match(line)]
    assert len(told) < 300
    said = re.compile(words, re.IGNORECASE)  # on a busy machine it may be a while until it needs some
    processes.until(lambda: said.search("\n".join(conductor.log.read_text().splitlines()[lines:])))
    if conductor.process.poll() is None:
        process.rlimit(limit, before)
    else:  # the search engine could not go on
        assert conductor.process.returncode == 1
        conductor.start()
    conductor.caught_up(vendor)


def test_f50_the_search_engine_closes_where_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def work() -> None:
        analytics = Analytics(tmp_path / "analytics")
        await analytics.open(artifacts.prepare)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            await analytics.close()

    asyncio.run(work())
