"""Killed with -9 at random moments while a history is collected through 429s: in the end, exactly the tenant's events."""

from __future__ import annotations

import random
import time
from pathlib import Path

import processes

HISTORY = 50_000
KILLS = 20
LIMIT = 480.0  # seconds: reached only by a Conductor that does not get on


def test_nothing_is_lost_and_nothing_doubled_by_twenty_kills(tmp_path: Path) -> None:
    chance = random.Random(11)
    with (
        processes.vendor(tmp_path, history=HISTORY, days=3, rate_limit="30/s") as vendor,
        processes.Conductor(tmp_path) as conductor,
    ):
        conductor.start()
        conductor.add("prod", vendor.values(polling_interval=1))
        vendor.fault("rate_limited", probability=0.05, seed=3, retry_after="0.5")
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 2.0))  # the moment of the kill is what is tested
            conductor.kill()
            conductor.start()
        wanted = vendor.log_ids()
        processes.until(lambda: conductor.count() >= len(wanted), LIMIT, every=0.5)
        found = conductor.searched()
        assert conductor.stop() == 0
        assert vendor.log_ids() == wanted
    assert found == wanted
    assert processes.journaled(conductor.data) == wanted
