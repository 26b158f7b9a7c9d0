"""What the tests of states share: pictures of what is shown, and what cannot be brought about from outside."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from browser.browsing import barriers
from browser.processes import Conductor
from playwright.sync_api import Page

SCREENS = Path(__file__).parents[2] / "docs" / "screens" / "states"
OPEN_GAP = """
INSERT INTO gaps (integration_id, cause, state, begins, ends, found_at)
SELECT id, 'checkpoint.expired', 'open', changed_at - 9000000000, changed_at - 1800000000, changed_at FROM integrations;
"""


def picture(page: Page, name: str) -> None:
    """What is shown has no barriers; and it is kept, when pictures are wanted."""
    assert barriers(page) == [], name
    if os.environ.get("CONDUCTOR_SCREENS") == "1":
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / f"{name}.png", animations="disabled")


def tamper(conductor: Conductor, statement: str) -> None:
    """Change the database past Conductor."""
    foreign = sqlite3.connect(conductor.cli.data / "conductor.db", isolation_level=None, timeout=10)
    foreign.executescript(statement)
    foreign.close()
