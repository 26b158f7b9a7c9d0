"""What holds for every request and every answer, errors included. Plain ASGI, outermost first:

`Headers` (security headers, request id, one log line) → `LastResort` (the unexpected) → `Bodies` (size, depth) →
`SameSite` (state is changed by our own pages only).
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import urllib.parse
from collections.abc import Callable

from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conductor.store import audit
from conductor.web import errors
from conductor.web.errors import Problem

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FIXED = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
HSTS = "max-age=31536000"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 1024 * 1024  # bytes
DEEPEST_JSON = 64  # brackets within brackets
BODY_PATIENCE = 30.0  # seconds for a whole body
API = "/api/"
API_HEADER = "x-conductor"
ROUTINE = ("/static/", "/healthz", "/readyz", "/metrics", "/live")  # what nobody decided to ask for
REFRESH = b"refresh=1"  # in the query of a page that renews itself

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_log = logging.getLogger("conductor.web")


class Headers:
    """Sets the security headers on every answer and writes one line a request; routine ones only when refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _decorate(MutableHeaders(scope=message), scope)
            await send(message)

        client = scope.get("client")
        asked = audit.ASKED.set(audit.Asked(client[0] if client else "", scope["state"]["request_id"]))
        try:
            await self._app(scope, receive, sending)
        finally:
            audit.ASKED.reset(asked)
            _note(scope, status, time.perf_counter() - began)


class LastResort:
    """Answers with a page or an envelope that tells nothing but an id, which the log has beside the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:  # the guard round a request: the house stands, the guest is told
            _log.exception("request failed id=%s", scope.get("state", {}).get("request_id", ""))
            if started or scope["type"] != "http":
                raise
            await _refuse(scope, receive, send, errors.UNEXPECTED)


class Bodies:
    """Reads a body to its end before anyone looks at it: at most 1 MiB, in at most 30 s, not nested too deep."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if isinstance(body, Problem):
            await _refuse(scope, receive, send, body)
        else:
            await self._app(scope, _replay(body, receive), send)


class SameSite:
    """Refuses a change of state that another site asked the browser for, and an API call that is not one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = _not_ours(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, receive, send, problem)


def _decorate(headers: MutableHeaders, scope: Scope) -> None:
    for name, value in FIXED.items():
        headers[name] = value
    headers["X-Request-Id"] = scope["state"]["request_id"]
    headers.setdefault("Cache-Control", "no-store")
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = HSTS


def _note(scope: Scope, status: int, seconds: float) -> None:
    path = urllib.parse.quote(scope["path"])  # without the query: it may hold a set-up token
    line = "request method=%s path=%s status=%d ms=%.0f id=%s"
    level = logging.DEBUG if status < 400 and _is_routine(scope) else logging.INFO
    _log.log(level, line, scope["method"], path, status, seconds * 1000, scope["state"]["request_id"])


def _is_routine(scope: Scope) -> bool:
    """Whether a page or a monitor asks by itself, over and over: such lines would hide the polls'."""
    return scope["path"].startswith(ROUTINE) or REFRESH in scope.get("query_string", b"").split(b"&")


async def _refuse(scope: Scope, receive: Receive, send: Send, problem: Problem) -> None:
    await errors.answer(Request(scope), problem)(scope, receive, send)


async def _body(receive: Receive) -> bytes | Problem:
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return Problem(400, "request.incomplete", "The request was cut short.")
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > LARGEST_BODY:
                    return Problem(413, "request.toolarge", "The request is larger than 1 MiB.")
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return Problem(408, "request.slow", "The request took longer than 30 seconds to arrive.")
    body = b"".join(chunks)
    if _depth(body) > DEEPEST_JSON:
        return Problem(400, "request.toodeep", f"The request is nested deeper than {DEEPEST_JSON} levels.")
    return body


def _depth(body: bytes) -> int:
    """How deep brackets are nested outside of strings, were the body JSON."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST_JSON:
        return 0
    depth = deepest = 0
    for character in _STRINGS.sub(b"", body):
        if character in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in b"]}":
            depth -= 1
    return deepest


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that hands out the body once, then what the server says."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _not_ours(scope: Scope) -> Problem | None:
    if scope["method"] in SAFE_METHODS:
        return None
    headers = RequestHeaders(scope=scope)
    if scope["path"].startswith(API) and headers.get("authorization", "").lower().startswith("bearer "):
        return None  # no browser adds that by itself, and the session beside it does not count
    if not _same_site(headers, scope["scheme"]):
        return Problem(403, "request.crosssite", "This request did not come from one of our own pages.")
    return _not_an_api_call(headers) if scope["path"].startswith(API) else None


def _same_site(headers: RequestHeaders, scheme: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    return headers.get("origin", "") == f"{scheme}://{headers.get('host', '')}"


def _not_an_api_call(headers: RequestHeaders) -> Problem | None:
    checks: tuple[tuple[Callable[[], bool], Problem], ...] = (
        (
            lambda: headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json",
            Problem(415, "request.notjson", "Send JSON, with the header Content-Type: application/json."),
        ),
        (
            lambda: headers.get(API_HEADER) == "1",
            Problem(403, "request.header", "Send the header X-Conductor: 1 with every request that changes something."),
        ),
    )
    return next((problem for good, problem in checks if not good()), None)
