from __future__ import annotations

import pytest

from conductor.simulator import tokens

CLAIMS = tokens.Claims(iss="https://a/", sub="c@clients", aud="https://a/api/v2/", iat=0, exp=100, scope="read:logs")


def read(token: str, *, key: bytes = b"key", issuer: str = "https://a/", now: float = 50) -> object:
    return tokens.read(key, token, issuer=issuer, now=now)


def test_a_token_comes_back_as_it_was_minted():
    assert read(tokens.mint(b"key", CLAIMS)) == CLAIMS


@pytest.mark.parametrize(("now", "expected"), [(99.9, CLAIMS), (100, tokens.EXPIRED)])
def test_a_token_ends_with_its_life(now, expected):
    assert read(tokens.mint(b"key", CLAIMS), now=now) == expected


def test_another_tenants_token_has_a_bad_signature():
    assert read(tokens.mint(b"other", CLAIMS)) == tokens.BAD_SIGNATURE


def test_another_hosts_token_is_invalid():
    assert read(tokens.mint(b"key", CLAIMS), issuer="https://b/") == tokens.INVALID


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "é.é.é", "..."])
def test_rubbish_is_invalid(token):
    assert read(token) == tokens.INVALID
