"""The world by countries: their shapes and names (world.json, written by tools/world.py), shaded by number."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import ceil
from types import MappingProxyType
from typing import Any

import msgspec

SHADES = 5


@dataclass(frozen=True, slots=True)
class Country:
    """One country by its ISO 3166-1 code. `path` is empty for one without a shape; `point` is for what is small."""

    code: str
    name: str
    path: str
    point: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class World:
    """All countries by their codes, and the box that they are drawn in."""

    width: int
    height: int
    countries: Mapping[str, Country]

    def ground(self, but: Collection[str]) -> str:
        """The shapes of all other countries as one path."""
        return "".join(country.path for code, country in self.countries.items() if code not in but)


@dataclass(frozen=True, slots=True)
class Shade:
    """A step of the scale: from `least` to `most`, both included."""

    number: int
    least: int
    most: int

    @property
    def words(self) -> str:
        """As a legend has it."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,} – {self.most:,}"


@cache
def world() -> World:
    """The map, read once."""
    found: Any = msgspec.json.decode(resources.files("conductor.web").joinpath("world.json").read_bytes())
    countries = {code: _country(code, *entry) for code, entry in found["countries"].items()}
    return World(found["width"], found["height"], MappingProxyType(countries))


def scale(most: int) -> Sequence[Shade]:
    """Steps from 1 to the largest number, each as many times the one before, and each beginning at a round number.
    There are fewer when there are not as many numbers."""
    begins = sorted({1, *(_rounded(most ** (step / SHADES)) for step in range(1, SHADES))})
    begins = [begin for begin in begins if begin <= most]
    first = SHADES - len(begins) + 1  # the largest number has the strongest shade
    ends = [begin - 1 for begin in begins[1:]] + [most]
    return [Shade(first + at, *span) for at, span in enumerate(zip(begins, ends, strict=True))]


def shade(count: int, steps: Sequence[Shade]) -> int:
    """The number of the step that a count is in."""
    return max(step.number for step in steps if step.least <= count)


def _country(code: str, name: str, path: str, *point: int) -> Country:
    return Country(code, name, path, (point[0], point[1]) if point else None)


def _rounded(number: float) -> int:
    """Up to one digit that is not 0."""
    whole = ceil(number)
    unit: int = 10 ** (len(str(whole)) - 1)
    return ceil(whole / unit) * unit
