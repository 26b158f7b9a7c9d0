"""Charts as SVG paths, drawn on the server: one path a colour, so that a page of tiles stays small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from conductor.store.hours import Hour

CELL, BAR, HEIGHT = 8, 6, 16  # of the strip, in its own units
FULL, HALF, THIN = HEIGHT, HEIGHT // 2, 2


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of bars, an hour each: what a colour's path draws, and what a screen reader says."""

    width: int
    paths: Mapping[str, str]
    label: str


def strip(hours: Sequence[Hour]) -> Strip:
    """Bars differ in height, too: full where all went well, half where some failed, notched where a person was needed,
    thin without polls."""
    drawn: dict[str, str] = {}
    for at, hour in enumerate(hours):
        kind = state(hour)
        drawn[kind] = drawn.get(kind, "") + _bar(CELL * at, kind)
    return Strip(CELL * len(hours) - (CELL - BAR), drawn, _told(hours))


def state(hour: Hour) -> str:
    """green, amber, red or none: the worst that happened in that hour."""
    if hour.stopped:
        return "red"
    if hour.failed:
        return "amber"
    return "green" if hour.polls or hour.new else "none"


def _bar(x: int, kind: str) -> str:
    height = {"green": FULL, "amber": HALF, "red": FULL, "none": THIN}[kind]
    top = HEIGHT - height
    if kind == "red":
        return f"M{x} {top}l{BAR // 2} {BAR}l{BAR // 2} -{BAR}v{height}h-{BAR}z"
    return f"M{x} {top}h{BAR}v{height}h-{BAR}z"


def _told(hours: Iterable[Hour]) -> str:
    counts: dict[str, int] = {}
    for hour in hours:
        counts[state(hour)] = counts.get(state(hour), 0) + 1
    words = {"green": "good", "amber": "with failures", "red": "with failures that need a person", "none": "no polls"}
    parts = [f"{counts[kind]} h {word}" for kind, word in words.items() if kind in counts]
    return f"Polls, last {sum(counts.values())} hours: {', '.join(parts)}"
