"""What happens to a whole process, or under it: two starts at once, suspension, a stop in the middle of a page."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import processes

PAGE = 100


def test_f51_f55_of_two_starts_at_once_one_runs_and_the_other_says_who(tmp_path: Path) -> None:
    arguments = ["serve", "--data", str(tmp_path / "data"), "--bind", "127.0.0.1:0"]
    both = [subprocess.Popen([*processes.CONDUCTOR, *arguments], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        ended = processes.until(lambda: [process for process in both if process.poll() is not None])
        (running,) = [process for process in both if process not in ended]
        assert [process.returncode for process in ended] == [5]  # systemd does not start that one again
        assert f"(process {running.pid})" in ended[0].stderr.read()
        with processes.Conductor(tmp_path) as conductor:
            processes.until(conductor.answers)
            assert conductor.count() == 0
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_f51_a_database_held_by_another_program_pauses_collecting_and_loses_nothing(tmp_path: Path) -> None:
    with (
        processes.vendor(tmp_path, history=2000, days=2, rate_limit="5/s") as vendor,
        processes.Conductor(tmp_path) as conductor,
    ):
        conductor.start()
        conductor.add("prod", vendor.values())
        processes.until(conductor.count)
        foreign = sqlite3.connect(conductor.data / "conductor.db", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        processes.until(lambda: "Another program has held the database for 5 s" in conductor.log.read_text())
        foreign.execute("ROLLBACK")
        foreign.close()
        wanted = conductor.caught_up(vendor)
        assert conductor.stop() == 0
        assert processes.journaled(conductor.data) == wanted


def test_f61_a_suspended_process_says_so_and_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    with (
        processes.vendor(tmp_path, history=2000, days=2, rate_limit="5/s") as vendor,
        processes.Conductor(tmp_path) as conductor,
    ):
        conductor.start()
        conductor.add("prod", vendor.values())
        processes.until(conductor.count)
        assert conductor.process is not None
        conductor.process.send_signal(signal.SIGSTOP)
        time.sleep(7)  # longer than what is told as a stall
        conductor.process.send_signal(signal.SIGCONT)
        processes.until(lambda: "the event loop stood still" in conductor.log.read_text())
        conductor.caught_up(vendor)
        assert conductor.stop() == 0


def test_f63_a_stop_in_the_middle_of_a_page_takes_ten_seconds_and_leaves_whole_pages(tmp_path: Path) -> None:
    with (
        processes.vendor(tmp_path, history=2000, days=2, rate_limit="5/s") as vendor,
        processes.Conductor(tmp_path) as conductor,
    ):
        conductor.start()
        vendor.fault("hang", after=4, seconds=60)
        conductor.add("prod", vendor.values())
        processes.until(lambda: conductor.count() >= 3 * PAGE)
        begun = time.monotonic()
        assert conductor.stop() == 0
        took = time.monotonic() - begun
        found, wanted = processes.journaled(conductor.data), vendor.log_ids()
        assert found == wanted[: len(found)]
        assert len(found) % PAGE == 0
        assert 0 < len(found) < len(wanted)
        assert "Traceback" not in conductor.log.read_text()
        vendor.control("DELETE", "faults")
        conductor.start()
        processes.until(lambda: conductor.count() >= len(wanted))
        assert conductor.searched() == wanted
        assert conductor.stop() == 0
    print(f"\nstopped in {took:.1f} s")
