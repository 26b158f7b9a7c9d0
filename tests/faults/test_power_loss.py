"""The power goes at any moment of the commit path: no image of the disk is corrupt, none lacks an acknowledged page.

`make powerloss` opens ten thousand images; here are some hundred of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import powerloss
import pytest
import straced

IMAGES = 200


@pytest.fixture(name="recorded")
def _recorded(tmp_path: Path, skip_or_fail: Callable[[str], NoReturn]) -> Callable[..., list[powerloss.Step]]:
    """Records a run of the commit path with these options."""
    straced.usable(skip_or_fail)
    folder = tmp_path / "run"
    folder.mkdir()
    return lambda *options: powerloss.record([str(folder), "--pages", "6", *options], tmp_path)


@pytest.mark.parametrize("options", [(), ("--together",)], ids=["alone", "together"])
def test_f47_power_loss_corrupts_nothing_and_takes_no_acknowledged_page(
    recorded: Callable[..., list[powerloss.Step]], options: tuple[str, ...], tmp_path: Path
) -> None:
    found = powerloss.examine(recorded(*options), tmp_path, IMAGES)
    assert (found.images, found.corrupt, found.lost) == (IMAGES, 0, 0)


def test_power_loss_is_noticed_where_nothing_is_synced(
    recorded: Callable[..., list[powerloss.Step]], tmp_path: Path
) -> None:
    found = powerloss.examine(recorded("--synchronous", "OFF"), tmp_path, 50)
    assert found.corrupt > 10


def test_power_loss_takes_acknowledged_pages_where_only_checkpoints_are_synced(
    recorded: Callable[..., list[powerloss.Step]], tmp_path: Path
) -> None:
    found = powerloss.examine(recorded("--synchronous", "NORMAL"), tmp_path, 100)
    assert found.corrupt == 0  # what is lost is lost with its checkpoint, and would be fetched again
    assert found.lost > 10
