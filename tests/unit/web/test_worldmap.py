"""The map: every country can be seen, shades follow the numbers, and the file stays small."""

from __future__ import annotations

import gzip
import re
from importlib import resources

import pytest

from conductor.web import worldmap

FILE = resources.files("conductor.web").joinpath("world.json").read_bytes()


def test_every_country_has_a_name_and_can_be_seen() -> None:
    world = worldmap.world()
    assert len(world.countries) == 250  # ISO 3166-1, and Kosovo
    for code, country in world.countries.items():
        assert re.fullmatch("[A-Z]{2}", code)
        assert country.name
        assert country.path or country.point, code
        assert re.fullmatch(r"(M\d+ \d+l[-\d ]+z)*", country.path), code
        if country.point:
            assert 0 <= country.point[0] <= world.width
            assert 0 <= country.point[1] <= world.height
    names = [country.name for country in world.countries.values()]
    assert len(set(names)) == len(names)
    assert world.countries["CZ"].name == "Czechia"


def test_the_file_is_small_and_says_where_it_is_from() -> None:
    assert len(FILE) < 45_000
    assert len(gzip.compress(FILE)) < 20_000
    for word in (b"Natural Earth", b"public domain", b"world-atlas", b"ISC", b"MIT"):
        assert word in FILE[:400]


def test_the_ground_is_all_other_countries() -> None:
    world = worldmap.world()
    assert world.countries["CZ"].path in world.ground(["SK"])
    assert world.countries["CZ"].path not in world.ground(["CZ", "SK"])


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (1, ["1"]),
        (2, ["1", "2"]),
        (5, ["1", "2", "3", "4 – 5"]),
        (47, ["1 – 2", "3 – 4", "5 – 19", "20 – 29", "30 – 47"]),
        (1204, ["1 – 4", "5 – 19", "20 – 79", "80 – 299", "300 – 1,204"]),
        (10**9, ["1 – 69", "70 – 3,999", "4,000 – 299,999", "300,000 – 19,999,999", "20,000,000 – 1,000,000,000"]),
    ],
)
def test_shades_are_of_equal_steps_from_one_to_the_most(most: int, words: list[str]) -> None:
    steps = worldmap.scale(most)
    assert [step.words for step in steps] == words
    assert [step.number for step in steps] == list(range(6 - len(words), 6))
    for step in steps:
        assert worldmap.shade(step.least, steps) == worldmap.shade(step.most, steps) == step.number
