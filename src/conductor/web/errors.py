"""What a person or a program is told when something cannot be done: one envelope, one page, never a traceback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from conductor.analytics.server import Unsearchable
from conductor.analytics.syntax import QueryError
from conductor.core import wording
from conductor.core.connector import Advice
from conductor.core.errors import (
    ConductorError,
    Conflict,
    Fenced,
    Forbidden,
    Held,
    Invalid,
    NotFound,
    RateLimited,
    Refused,
    Renamed,
    SourceError,
    StoreFull,
    StorePaused,
)
from conductor.operations import auditing
from conductor.operations.integrations import CheckFailed
from conductor.operations.sessions import LoginFailed, TooManyAttempts
from conductor.operations.tokens import TokenRefused
from conductor.store.vault import SecretUnreadable
from conductor.web import shapes
from conductor.web.turns import TooManySearches


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal, as envelope and as page."""

    status: int
    code: str
    title: str
    detail: str = ""
    fix: Sequence[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        """The body of an API answer."""
        names = ("code", "title", "detail", "fix", "fields", "retry_after")
        return {"error": {**{name: getattr(self, name) for name in names}, **self.more}}


class SignInNeeded(Exception):
    """Nobody is signed in; pages lead to the log-in, the API answers 401."""


UNEXPECTED = Problem(
    500,
    "conductor.failed",
    "Something went wrong in Conductor.",
    "It was written to the log. Nothing that was stored is affected.",
    fix=("Look for the id below in Conductor's log.",),
)
SIGN_IN = Problem(401, "login.needed", "Sign in first.")
STATUS: tuple[tuple[type[ConductorError], int], ...] = (  # the first that fits
    (Invalid, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Fenced, 409),
    (TokenRefused, 401),
    (Forbidden, 403),
    (LoginFailed, 401),
    (TooManyAttempts, 429),
    (TooManySearches, 429),
    (RateLimited, 429),
    (SourceError, 502),
    (StoreFull, 507),
    (StorePaused, 503),
    (Held, 409),
    (SecretUnreadable, 409),
    (Unsearchable, 503),
    (Refused, 400),
)
TITLES = {
    404: "There is nothing here.",
    405: "This address does not take that kind of request.",
    422: "There is a problem with what was sent.",
}


def problem(error: ConductorError, advice: Callable[[str], Advice | None]) -> Problem:
    """How an error is told. What is neither a refusal nor a source's is told as unexpected."""
    status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
    if status == 500:
        return UNEXPECTED
    retry_after = getattr(error, "retry_after", None)
    told = advice(error.code) or Advice("")
    return Problem(
        status,
        error.code,
        TITLES[422] if isinstance(error, Invalid) else wording.fill(told.title, error.facts) or str(error),
        wording.fill(told.body, error.facts),
        fix=[wording.fill(step, error.facts) for step in told.fix],
        fields=error.fields if isinstance(error, Invalid) else {},
        retry_after=None if retry_after is None else round(retry_after),
        more=_more(error, advice),
    )


def _more(error: ConductorError, advice: Callable[[str], Advice | None]) -> dict[str, Any]:
    """What some refusals tell beside: the steps of a failed test, where in a query the mistake is."""
    match error:
        case CheckFailed():
            return {"steps": [shapes.step(step, advice) for step in error.steps]}
        case QueryError():
            return {"start": error.start, "end": error.end, "query": error.fix}
        case _:
            return {}


def answer(request: Request, told: Problem) -> Response:
    """The envelope for a program, the page for a person."""
    if is_api(request):
        response: Response = JSONResponse(told.envelope(), told.status)
    else:
        response = request.app.state.pages.problem(request, told)
    if told.retry_after is not None:
        response.headers["Retry-After"] = str(told.retry_after)
    return response


def is_api(request: Request) -> bool:
    """Whether a program asks."""
    return request.url.path.startswith("/api/")


def install(app: FastAPI) -> None:
    """Answer every kind of error in our way."""
    app.add_exception_handler(ConductorError, _conductor_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SignInNeeded, _sign_in)


async def _conductor_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConductorError)
    if isinstance(error, Renamed) and request.method == "GET" and (moved := _moved(request, error)):
        return RedirectResponse(moved, 302)
    told = problem(error, request.app.state.system.catalog.advice)
    if told is UNEXPECTED:
        raise error
    if isinstance(error, Forbidden):
        await _write_down(request)
    return answer(request, told)


def _moved(request: Request, error: Renamed) -> str:
    """The same page under the name of now; empty when its address is not by that name."""
    if is_api(request) or request.path_params.get("name") != error.name:
        return ""
    before, _, rest = request.url.path.partition("/integrations/")
    path = "/".join([f"{before}/integrations", error.now, *rest.split("/")[1:]])
    return f"{path}?{request.url.query}" if request.url.query else path


async def _write_down(request: Request) -> None:
    """Who asked for what they may not have."""
    user, address = getattr(request.state, "user", None), request.client.host if request.client else ""
    what = f"{request.method} {request.url.path}"[:500]
    await auditing.denied(request.app.state.system, user, what, address)


async def _invalid_request(request: Request, error: Exception) -> Response:
    """Name the fields, never repeat what was sent."""
    assert isinstance(error, RequestValidationError)
    fields = {".".join(str(part) for part in item["loc"][1:]) or "body": item["msg"] for item in error.errors()}
    return answer(request, Problem(422, Invalid.code, TITLES[422], fields=fields))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = TITLES.get(error.status_code, "The request cannot be carried out.")
    code = NotFound.code if error.status_code == 404 else Refused.code
    response = answer(request, Problem(error.status_code, code, title))
    response.headers.update(error.headers or {})
    return response


async def _sign_in(request: Request, error: Exception) -> Response:
    if is_api(request):
        return answer(request, SIGN_IN)
    target = request.app.state.pages.login_url(request)
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)
