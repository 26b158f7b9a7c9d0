"""Charts as SVG paths, drawn on the server: one path a colour, so that a page of tiles stays small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from conductor.core.poll import Gap
from conductor.store.hours import LENGTH, Hour

CELL, BAR, HEIGHT = 8, 6, 16  # of the strip, in its own units
WIDE, TALL, STEP = 720, 120, 30  # of the bars: the box, and a column with its space
FULL, HALF, THIN = HEIGHT, HEIGHT // 2, 2


@dataclass(frozen=True, slots=True)
class Strip:
    """A row of bars, an hour each: what a colour's path draws, and what a screen reader says."""

    width: int
    paths: Mapping[str, str]
    label: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a column: whose it is by number, and where it stands."""

    kind: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """An hour of the chart: its pieces from the bottom up, its total, and whether something of it was not collected."""

    begins: datetime
    x: int
    pieces: Sequence[Piece]
    total: int
    missed: bool


@dataclass(frozen=True, slots=True)
class Bars:
    """Stacked columns in a box of `WIDE` by `TALL`, an hour each; `most` is what the top of the box stands for."""

    columns: Sequence[Column]
    most: int


def bars(series: Sequence[Sequence[Hour]], gaps: Sequence[Gap]) -> Bars:
    """New events an hour, one series upon the other. All series have the same hours."""
    totals = [sum(hour.new for hour in column) for column in zip(*series, strict=True)]
    most = max(totals, default=0)
    columns = []
    for at, column in enumerate(zip(*series, strict=True)):
        begins = column[0].begins
        missed = any(gap.begins < begins + LENGTH and gap.ends >= begins for gap in gaps)
        columns.append(Column(begins, STEP * at, pieces([hour.new for hour in column], most), totals[at], missed))
    return Bars(columns, most)


def rest(total: Sequence[Hour], shown: Sequence[Sequence[Hour]]) -> list[Hour]:
    """What is left of all when some are shown by themselves."""
    return [
        Hour(whole.begins, new=max(0, whole.new - sum(hour.new for hour in parts)))
        for whole, *parts in zip(total, *shown, strict=True)
    ]


def pieces(counts: Sequence[int], most: int) -> list[Piece]:
    """The parts of a column one upon the other, where `most` reaches the top of the box."""
    found, top = [], float(TALL)
    for kind, count in enumerate(counts):
        height = round(TALL * count / most, 2) if most else 0.0
        top -= height
        if count:
            found.append(Piece(kind, round(top, 2), height))
    return found


def strip(hours: Sequence[Hour]) -> Strip:
    """Bars differ in height, too: full where all went well, half where some failed, notched where a person was needed,
    thin without polls."""
    drawn: dict[str, str] = {}
    for at, hour in enumerate(hours):
        kind = state(hour)
        drawn[kind] = drawn.get(kind, "") + _bar(CELL * at, kind)
    return Strip(CELL * len(hours) - (CELL - BAR), drawn, _told(hours))


def line(counts: Sequence[int], most: int) -> str:
    """The path of a small chart: a bar of at least one unit for each count that is not 0."""
    drawn = ""
    for at, count in enumerate(counts):
        if count:
            height = max(1, round(HEIGHT * count / most))
            drawn += f"M{CELL * at} {HEIGHT - height}h{BAR}v{height}h-{BAR}z"
    return drawn


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
