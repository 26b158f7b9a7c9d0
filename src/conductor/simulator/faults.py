"""Things that go wrong on request, each for the next N requests, with a probability, or until cleared.

A fault either answers in the server's place or spoils its answer. `KINDS` lists them all.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

import msgspec

from conductor.simulator import logs, tokens
from conductor.simulator.wire import Delivery, Reply, Request, api_error, oauth_error

HTML = b"<!DOCTYPE html><title>Attention Required!</title><h1>Please wait</h1><p>Checking your browser.</p>"
BOMB_BYTES = 64 * 1024 * 1024

Answer = Callable[[], Reply]


@dataclass(slots=True)
class Fault:
    """One fault asked for. `count` None means until cleared; `endpoint` is logs, search, log, token or any; the first
    `after` requests are spared.

    The other members matter to some kinds only: `status` to server_error, `seconds` to drip and hang, `headers` to
    rate_limited (false leaves the rate headers out) and `retry_after` too.
    """

    kind: str
    count: int | None = None
    after: int = 0
    endpoint: str = "logs"
    tenant: str = ""
    probability: float = 1.0
    seed: int = 0
    status: int = 503
    seconds: float = 0.2
    headers: bool = True
    retry_after: str = ""
    _rng: Random = field(default_factory=Random)
    _kept: Reply | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}. Choose one of: {', '.join(KINDS)}")
        self._rng.seed(self.seed)

    def strikes(self, endpoint: str, tenant: str) -> bool:
        """Whether it hits this request; counts down when it does."""
        if self.endpoint not in (endpoint, "any") or self.tenant not in (tenant, "") or self.count == 0:
            return False
        if self.after:
            self.after -= 1
            return False
        if self._rng.random() >= self.probability:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class Faults:
    """The faults asked for, oldest first; the first that strikes a request is the only one it meets."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """From now on, this goes wrong too."""
        self.active.append(fault)

    def clear(self, kind: str = "") -> None:
        """Nothing of this kind, or of any, goes wrong any more."""
        self.active = [fault for fault in self.active if kind and fault.kind != kind]

    def strike(self, endpoint: str, tenant: str) -> Fault | None:
        """The fault that hits this request, if one does."""
        struck = next((fault for fault in self.active if fault.strikes(endpoint, tenant)), None)
        self.active = [fault for fault in self.active if fault.count != 0]
        return struck


def apply(fault: Fault, request: Request, answer: Answer) -> Reply:
    """The reply to a request that a fault hits."""
    return KINDS[fault.kind](fault, request, answer)


def _rate_limited(fault: Fault, request: Request, answer: Answer) -> Reply:
    reply = logs.too_many()
    if fault.headers:
        reset = str(int(request.now.timestamp()) + 1)
        reply = reply.plus({"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset})
    return reply.plus({"retry-after": fault.retry_after}) if fault.retry_after else reply


def _server_error(fault: Fault, request: Request, answer: Answer) -> Reply:
    return api_error(fault.status, "The server is not available")


def _html_error(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(fault.status, HTML, content_type="text/html; charset=UTF-8")


def _html(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(200, HTML, content_type="text/html; charset=UTF-8")


def _truncated(fault: Fault, request: Request, answer: Answer) -> Reply:
    return replace(answer(), delivery=Delivery.TRUNCATED)


def _drip(fault: Fault, request: Request, answer: Answer) -> Reply:
    return replace(answer(), delivery=Delivery.DRIP, pause=fault.seconds)


def _hang(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(200, b"", delivery=Delivery.HANG, pause=fault.seconds)


def _reset(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(200, b"", delivery=Delivery.RESET)


def _malformed(fault: Fault, request: Request, answer: Answer) -> Reply:
    reply = answer()
    return replace(reply, body=reply.body[: max(1, len(reply.body) // 2)])


def _wrong_shape(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(200, b'{"error":"temporarily_unavailable","message":"Try again"}')


def _gzip_bomb(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(200, _bomb()).plus({"content-encoding": "gzip"})


@cache
def _bomb() -> bytes:
    return gzip.compress(b"[" + b" " * BOMB_BYTES + b"]")


def _no_date(fault: Fault, request: Request, answer: Answer) -> Reply:
    return replace(answer(), dated=False)


def _no_link(fault: Fault, request: Request, answer: Answer) -> Reply:
    reply = answer()
    return replace(reply, headers={name: value for name, value in reply.headers.items() if name != "link"})


def _foreign_link(fault: Fault, request: Request, answer: Answer) -> Reply:
    return answer().plus({"link": '<https://collector.example.net/api/v2/logs?from=1&take=100>; rel="next"'})


def _redirect(fault: Fault, request: Request, answer: Answer) -> Reply:
    return Reply(302, b"").plus({"location": "http://169.254.169.254/latest/meta-data/"})


def _duplicated(fault: Fault, request: Request, answer: Answer) -> Reply:
    return _rearranged(answer(), lambda events: [event for event in events for _ in range(2)])


def _reordered(fault: Fault, request: Request, answer: Answer) -> Reply:
    return _rearranged(answer(), lambda events: events[::-1])


def _short(fault: Fault, request: Request, answer: Answer) -> Reply:
    return _rearranged(answer(), lambda events: events[: -(-len(events) // 3)])


def _empty(fault: Fault, request: Request, answer: Answer) -> Reply:
    return _rearranged(answer(), lambda events: [])


def _repeated(fault: Fault, request: Request, answer: Answer) -> Reply:
    """As a proxy that keeps answers would: what it served first, whatever is asked."""
    fault._kept = fault._kept or answer()
    return fault._kept


def _rearranged(reply: Reply, change: Callable[[list[msgspec.Raw]], list[msgspec.Raw]]) -> Reply:
    if reply.status != 200:
        return reply
    return replace(reply, body=msgspec.json.encode(change(msgspec.json.decode(reply.body, type=list[msgspec.Raw]))))


def _insufficient_scope(fault: Fault, request: Request, answer: Answer) -> Reply:
    return logs.forbidden()


def _invalid_token(fault: Fault, request: Request, answer: Answer) -> Reply:
    return logs.unauthorized(tokens.INVALID)


def _expired_token(fault: Fault, request: Request, answer: Answer) -> Reply:
    return logs.unauthorized(tokens.EXPIRED)


def _expired_checkpoint(fault: Fault, request: Request, answer: Answer) -> Reply:
    return logs.malformed(request.query["from"]) if request.query.get("from") else answer()


def _wrong_secret(fault: Fault, request: Request, answer: Answer) -> Reply:
    return oauth_error(401, "access_denied", "Unauthorized")


def _wrong_audience(fault: Fault, request: Request, answer: Answer) -> Reply:
    return oauth_error(403, "access_denied", f"Service not enabled within domain: https://{request.host}/api/v2/")


def _quota(fault: Fault, request: Request, answer: Answer) -> Reply:
    reply = oauth_error(429, "too_many_requests", "Client quota exceeded")
    return reply.plus({"retry-after": fault.retry_after or "3540"})


def _crashed_extension(fault: Fault, request: Request, answer: Answer) -> Reply:
    return oauth_error(500, "server_error", "Script generated an unhandled asynchronous exception.")


def _denied_by_action(fault: Fault, request: Request, answer: Answer) -> Reply:
    return oauth_error(400, "not_on_sundays", "Nobody signs in on Sundays")


KINDS: dict[str, Callable[[Fault, Request, Answer], Reply]] = {
    "rate_limited": _rate_limited,
    "server_error": _server_error,
    "html_error": _html_error,
    "html": _html,
    "truncated": _truncated,
    "drip": _drip,
    "hang": _hang,
    "reset": _reset,
    "malformed": _malformed,
    "wrong_shape": _wrong_shape,
    "gzip_bomb": _gzip_bomb,
    "no_date": _no_date,
    "no_link": _no_link,
    "foreign_link": _foreign_link,
    "redirect": _redirect,
    "duplicated": _duplicated,
    "reordered": _reordered,
    "short": _short,
    "empty": _empty,
    "repeated": _repeated,
    "insufficient_scope": _insufficient_scope,
    "invalid_token": _invalid_token,
    "expired_token": _expired_token,
    "expired_checkpoint": _expired_checkpoint,
    "wrong_secret": _wrong_secret,
    "wrong_audience": _wrong_audience,
    "quota": _quota,
    "crashed_extension": _crashed_extension,
    "denied_by_action": _denied_by_action,
}
