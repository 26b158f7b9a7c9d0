"""The fuzz targets on their seeds, on seeds that were cut or changed, and on what hypothesis makes up."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS

CHANGES = 60  # of each seed


def changed(seed: bytes, chance: random.Random) -> bytes:
    """The seed with a byte changed, a piece cut out or doubled, or another character put in."""
    if not seed:
        return chance.randbytes(3)
    first, last = sorted((chance.randrange(len(seed) + 1), chance.randrange(len(seed) + 1)))
    last = min(last, first + 40)
    piece = chance.choice([b"", seed[first:last] * 2, b'"', b"\\", b"[", b"}", b"\xff", b"\x00", b"null", b"NaN"])
    return seed[:first] + piece + seed[last:]


def variations(name: str) -> Iterator[bytes]:
    """The seeds and what becomes of them, always the same."""
    chance = random.Random(name)
    for seed in SEEDS[name]:
        yield seed
        for _ in range(CHANGES):
            yield changed(changed(seed, chance), chance)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_keeps_its_promise_on_every_seed_and_its_variations(name: str) -> None:
    for data in variations(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=300))
def test_a_target_keeps_its_promise_on_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name](data)


def test_every_target_has_seeds() -> None:
    assert set(SEEDS) == set(TARGETS)
