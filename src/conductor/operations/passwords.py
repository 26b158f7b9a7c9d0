"""Passwords: what is accepted, and argon2id. Hashing takes 20 ms and 19 MiB, so it runs in the executor."""

from __future__ import annotations

import asyncio
import functools
import unicodedata
from importlib import resources

import argon2

from conductor.core.errors import Invalid

SHORTEST = 12  # characters
LONGEST = 128  # characters

HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=argon2.Type.ID)

# The hash of a random password with the parameters above: an unknown user costs the time of a known one.
DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$Jte3JXsFUVHZtOgwy6nwfg$I1FOK5jEdPOMhiRGE67fGDPn/wDiOHJfxz0J0BnECwY"


def check(password: str, *, email: str = "", field: str = "password") -> None:
    """Raise Invalid unless the password is long enough, and neither a common one nor the e-mail."""
    if len(password) < SHORTEST:
        raise Invalid({field: f"Use at least {SHORTEST} characters."})
    if len(password) > LONGEST:
        raise Invalid({field: f"Use at most {LONGEST} characters."})
    if password.casefold() in common() or len(set(password)) < 3:
        raise Invalid({field: "This is one of the most common passwords. Choose another one."})
    if email and password.casefold() == email.casefold():
        raise Invalid({field: "Use something else than the e-mail address."})


@functools.cache
def common() -> frozenset[str]:
    """The common passwords we ship, in lower case."""
    text = resources.files("conductor.operations").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(text.split())


async def hashed(password: str) -> str:
    """The argon2id hash of a password."""
    return await asyncio.to_thread(HASHER.hash, _bytes(password))


async def matches(hash_: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed. No hash takes as long and is never matched."""
    return await asyncio.to_thread(_verify, hash_ or DUMMY, password) and hash_ is not None


def outdated(hash_: str) -> bool:
    """Whether it was hashed with weaker parameters than today's."""
    return HASHER.check_needs_rehash(hash_)


def _verify(hash_: str, password: str) -> bool:
    try:
        return HASHER.verify(hash_, _bytes(password))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    """One spelling for what one types: keyboards differ in how they compose accents."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
