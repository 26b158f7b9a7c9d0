"""A search over time on a terminal: each bar a column of blocks, and time that was not collected hatched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

HEIGHT = 6  # lines
WIDEST = 4  # characters of a bar
MOST = 60  # bars
_BLOCKS = " ▁▂▃▄▅▆▇█"
_STEPS = len(_BLOCKS) - 1  # of a line
_MISSED = "░"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SCALE = 12  # characters for the numbers at the side, when bars are asked for


def most(width: int) -> int:
    """How many bars a terminal of this width has room for."""
    return max(2, min(MOST, width - _SCALE))


def lines(found: Mapping[str, Any], width: int) -> list[str]:
    """The API's histogram as lines without any escape code; none where there is nothing to draw."""
    bars = found["bars"]
    if not bars:
        return []
    highest = max(bar["total"] for bar in bars)
    scale = f"{highest:,}"
    wide = max(1, min(WIDEST, (width - len(scale) - 1) // len(bars)))
    columns = [_column(bar, highest) for bar in bars]
    drawn = ["".join(column[line] * wide for column in columns) for line in range(HEIGHT)]
    drawn.append("".join((_MISSED if bar["missed"] else "─") * wide for bar in bars))
    labels = [scale, *[""] * (HEIGHT - 1), "0"]
    chart = [f"{label:>{len(scale)}} {line}".rstrip() for label, line in zip(labels, drawn, strict=True)]
    margin = " " * (len(scale) + 1)
    return [*chart, margin + _ends(bars, wide * len(bars)), margin + _told(found, bars)]


def _column(bar: Mapping[str, Any], highest: int) -> str:
    """One bar from its top down; whatever is not nothing can be seen."""
    level = math.ceil(bar["total"] * HEIGHT * _STEPS / highest) if highest else 0
    empty = _MISSED if bar["missed"] else " "
    steps = [max(0, min(_STEPS, level - _STEPS * line)) for line in reversed(range(HEIGHT))]
    return "".join(_BLOCKS[step] if step else empty for step in steps)


def _ends(bars: Sequence[Mapping[str, Any]], width: int) -> str:
    begin, end = _moment(bars[0]["begins"]), _moment(bars[-1]["ends"])
    return f"{begin}{end:>{width - len(begin)}}" if len(begin) + len(end) < width else f"{begin} – {end}"


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def _told(found: Mapping[str, Any], bars: Sequence[Mapping[str, Any]]) -> str:
    longest = max(datetime.fromisoformat(bar["ends"]) - datetime.fromisoformat(bar["begins"]) for bar in bars)
    seconds = max(1, round(longest.total_seconds()))
    length, unit = next((length, unit) for length, unit in _UNITS if seconds % length == 0)
    missed = f", {_MISSED} not collected" if any(bar["missed"] for bar in bars) else ""
    return f"{found['total']:,} events, a bar is {seconds // length} {unit}, times in UTC{missed}"
