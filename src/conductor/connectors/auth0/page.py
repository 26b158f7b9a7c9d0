"""From one answer of the Management API to its signals, each with its exact bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from conductor.connectors.auth0 import lenient
from conductor.core.errors import UnexpectedResponse
from conductor.core.signal import Signal

LONGEST_ID = 512
SYNTHETIC = "sha256:"  # begins an id made here: it stands for no position in the log


class _Ids(msgspec.Struct, gc=False):
    log_id: str | None = None
    object_id: str | None = msgspec.field(name="_id", default=None)


class _Dated(msgspec.Struct, gc=False):
    date: datetime | None = None


_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_IDS = msgspec.json.Decoder(_Ids)
_DATED = msgspec.json.Decoder(_Dated)
_TEXT = msgspec.json.Decoder(str)


def signals(body: bytes) -> list[Signal]:
    """The page's signals in its order, each once. Raises UnexpectedResponse when it is no array or cut short.

    One id with two bodies is both of them: which one stands is not decided here. A record without a usable id of its
    own gets one made of its bytes, `sha256:…`, so that it is still kept once.
    """
    return list(dict.fromkeys(Signal(_id(raw), raw) for raw in _events(body)))


def date(raw: bytes) -> datetime | None:
    """When the record says it happened, None when it does not."""
    try:
        moment = _DATED.decode(raw).date
    except lenient.REFUSED:
        return None
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _events(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _EVENTS.decode(body)]
    except lenient.REFUSED:
        return _odd_events(body)


def _odd_events(body: bytes) -> list[bytes]:
    try:
        return lenient.elements(body)
    except lenient.Truncated as error:
        raise UnexpectedResponse("The page ends too early.", code="auth0.response.truncated", size=len(body)) from error
    except lenient.Malformed as error:
        raise UnexpectedResponse(
            "The page is not a JSON array.", code="auth0.response.shape", size=len(body)
        ) from error


def _id(raw: bytes) -> str:
    try:
        ids = _IDS.decode(raw)
    except lenient.REFUSED:
        ids = _odd_ids(raw)
    for candidate in (ids.log_id, ids.object_id):
        if candidate and len(candidate) <= LONGEST_ID:
            return candidate
    return SYNTHETIC + sha256(raw).hexdigest()


def _odd_ids(raw: bytes) -> _Ids:
    try:
        found = lenient.members(raw)
    except ValueError:
        return _Ids()
    return _Ids(_exact_text(found.get("log_id")), _exact_text(found.get("_id")))


def _exact_text(value: bytes | None) -> str | None:
    """A string only when nothing had to be replaced in it: two records must not come to share an id."""
    try:
        return None if value is None else _TEXT.decode(value)
    except lenient.REFUSED:
        return None
