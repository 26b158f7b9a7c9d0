"""What reads bytes that others wrote: each target takes any bytes and raises only when a promise is broken.

`python -m fuzz NAME` in this folder's parent drives one with atheris (see `make fuzz`); the tests run all of them on a
corpus.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import msgspec

from conductor.connectors.auth0 import lenient, log_ids, page
from conductor.connectors.auth0.mapping import normalize
from conductor.core.errors import NormalizeError, SourceError, UnexpectedResponse
from conductor.outbound import body, oauth2, pace
from conductor.outbound.client import Answer

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
LIMIT = 4096
TWICE = "an answer is the same the second time"


def pages(data: bytes) -> None:
    """A page's records are pieces of it, each with a usable id; anything else is the one error."""
    for content in (data, b"[" + data + b"]"):
        try:
            found = page.signals(content)
        except UnexpectedResponse as error:
            assert error.code in ("auth0.response.shape", "auth0.response.truncated")
            continue
        assert found == page.signals(content), TWICE
        for signal in found:
            assert signal.raw in content
            assert signal.id
            assert len(signal.id) <= page.LONGEST_ID
            assert signal.id.encode()


def cutting(data: bytes) -> None:
    """Where the strict reader takes an array or object, the lenient one cuts it at the same places."""
    try:
        strict = [bytes(raw) for raw in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except lenient.REFUSED:
        strict = None
    try:
        found = lenient.elements(data)
    except ValueError:
        assert strict is None
    else:
        assert strict is None or [piece.strip() for piece in strict] == found
    try:
        members = lenient.members(data)
    except ValueError:
        return
    assert members == lenient.cut(data)
    for value in members.values():
        assert value in data
        assert lenient.text(value).encode() is not None


def mapping(data: bytes) -> None:
    """A record becomes an artifact whose texts can be encoded and whose time is plausible, or it tells no time."""
    for name in ("x", log_ids.synthetic_id(NOW)):
        try:
            artifact = normalize(data, client_id="id", signal_id=name)
        except NormalizeError:
            continue
        assert artifact == normalize(data, client_id="id", signal_id=name), TWICE
        assert 0 <= artifact.time < 2**63
        for value in msgspec.structs.asdict(artifact).values():
            if isinstance(value, str):
                value.encode()


def headers(data: bytes) -> None:
    """Whatever a 429 tells, the wait is bounded or our own."""
    first, _, second = data.partition(b"\n")
    told = {"retry-after": first.decode("latin-1"), "x-ratelimit-reset": second.decode("latin-1")}
    told |= {"x-ratelimit-limit": told["retry-after"], "x-ratelimit-remaining": told["x-ratelimit-reset"]}
    wait = pace.wait_told(told, NOW)
    assert wait is None or (math.isfinite(wait) and pace.MIN_WAIT <= wait <= pace.MAX_WAIT)
    rate = pace.read_headers(told)
    for number in (rate.limit, rate.remaining):
        assert number is None or 0 <= number <= pace.LARGEST
    assert rate.reset is None or math.isfinite(rate.reset)


def tokens(data: bytes) -> None:
    """A token endpoint's answer is a token with a plausible life, or a SourceError that repeats nothing long."""
    for status in (200, 401, 404):
        try:
            token = oauth2._read(Answer(status, {"content-type": "application/json"}, data, NOW))
        except SourceError as error:
            assert len(str(error)) < 1000
            continue
        assert token.value
        left = (token.expires_at - token.renew_at).total_seconds()
        assert 0 <= left <= oauth2.LONGEST


def ids(data: bytes) -> None:
    """An id tells a time or none; one made of that time sorts at or below it."""
    name = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    moment = log_ids.log_id_time(name)
    if moment is not None:
        made = log_ids.synthetic_id(moment, name[: log_ids.PREFIX_LENGTH])
        assert made <= name
        assert log_ids.log_id_time(made) == moment
        assert log_ids.before(name) < name or int(name) == 0


def bodies(data: bytes) -> None:
    """Never more than the limit comes out, however it is packed and cut."""
    if not data:
        return
    encoding = "gzip" if data[0] % 2 else "identity"
    size = 1 + data[0] // 2

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(1, len(data), size):
            yield data[start : start + size]

    try:
        found = asyncio.run(body.read(chunks(), {"content-encoding": encoding}, body.Room(LIMIT)))
    except SourceError as error:
        assert error.code.startswith("source.")
        return
    assert len(found) <= LIMIT


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (pages, cutting, mapping, headers, tokens, ids, bodies)
}
