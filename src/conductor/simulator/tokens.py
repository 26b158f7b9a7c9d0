"""Access tokens: strings like a JWT, signed by the tenant, checked on every use."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

import msgspec

HEADER = b'{"alg":"HS256","typ":"JWT","kid":"simulator"}'


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says."""

    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    scope: str
    gty: str = "client-credentials"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token is not good, in the API's words."""

    message: str


INVALID = Refusal("Invalid token")
BAD_SIGNATURE = Refusal("Invalid signature received for JSON Web Token validation")
EXPIRED = Refusal("Expired token received for JSON Web Token validation")


def mint(key: bytes, claims: Claims) -> str:
    """A token with these claims."""
    signed = _encode(HEADER) + b"." + _encode(msgspec.json.encode(claims))
    return (signed + b"." + _signature(key, signed)).decode()


def read(key: bytes, token: str, *, issuer: str, now: float) -> Claims | Refusal:
    """The claims, or why the token is not good. A token is good only on the host that issued it."""
    signed, _, signature = token.encode().rpartition(b".")
    try:
        claims = msgspec.json.decode(_decode(signed.partition(b".")[2]), type=Claims)
    except (ValueError, msgspec.DecodeError):
        return INVALID
    if not hmac.compare_digest(signature, _signature(key, signed)):
        return BAD_SIGNATURE
    if claims.iss != issuer:
        return INVALID
    return EXPIRED if claims.exp <= now else claims


def _signature(key: bytes, signed: bytes) -> bytes:
    return _encode(hmac.digest(key, signed, sha256))


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    return urlsafe_b64decode(data + b"=" * (-len(data) % 4))
