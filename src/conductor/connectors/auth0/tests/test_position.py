"""Where a pass stands: the durable position is always an id that was served, and never goes back."""

from __future__ import annotations

from datetime import timedelta

from conductor.connectors.auth0 import log_ids
from conductor.connectors.auth0.connector import _advance, _Pass
from conductor.core.signal import Checkpoint, Signal

TIME = "90020260303013541497970"  # 2026-03-03 01:35:41.497970


def _id(number: int) -> str:
    return f"{TIME}{number:033}"


def test_a_short_answer_to_an_id_made_of_the_time_moves_nothing_back() -> None:
    taken = log_ids.log_id_time(_id(1))
    assert taken is not None
    reached = Checkpoint(_id(148).encode(), taken)
    where = _Pass(log_ids.synthetic_id(taken), reached, timedelta(minutes=5))
    _advance(where, [Signal(_id(147), b"{}")], _id(147), taken + timedelta(hours=1))
    assert where.durable == reached
    assert where.head == _id(147)
    _advance(where, [Signal(_id(149), b"{}")], _id(149), taken + timedelta(hours=1))
    assert where.durable == Checkpoint(_id(149).encode(), taken)
