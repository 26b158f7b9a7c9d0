"""Signing in and out."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.operations import accounts, sessions
from conductor.operations.sessions import LoginFailed, TooManyAttempts
from conductor.web import auth, forms
from conductor.web.auth import Anyone
from conductor.web.forms import Filled
from conductor.web.render import LOGIN, local_path, pages, see_other

router = APIRouter(include_in_schema=False)


@router.get(LOGIN)
async def show(request: Request, user: Anyone, next: str = "") -> Response:
    """The form. Who is signed in goes on at once; who was, is told how the session ended."""
    if user is not None:
        return see_other(local_path(next) or "/")
    if await accounts.needs_setup(request.app.state.system):
        return pages(request).answer(request, "login_before_setup.html")
    token = auth.session_token(request)
    ended = await sessions.why_ended(request.app.state.system, token) if token else ""
    return _form(request, next=next, ended=ended)


@router.post(LOGIN)
async def sign_in(request: Request, user: Anyone) -> Response:
    """Check the password and begin a new session; one that the browser already has ends."""
    typed = await forms.values(request)
    system, address = request.app.state.system, auth.client_address(request)
    try:
        request.app.state.throttle.take(address)
        token = await sessions.login(system, typed.get("email", ""), typed.get("password", ""), address)
    except (LoginFailed, TooManyAttempts) as error:
        return _refused(request, typed, error)
    await sessions.logout(system, auth.session_token(request), address=address)
    response = see_other(local_path(typed.get("next", "")) or "/")
    auth.put_session(response, token)
    return response


@router.post("/auth/logout")
async def sign_out(request: Request, user: Anyone) -> Response:
    """End the session on the server and in the browser."""
    await sessions.logout(request.app.state.system, auth.session_token(request), address=auth.client_address(request))
    response = see_other(LOGIN)
    auth.drop_session(response)
    return response


def _refused(request: Request, typed: dict[str, str], error: LoginFailed | TooManyAttempts) -> Response:
    wait = getattr(error, "retry_after", None)
    status = 401 if wait is None else 429
    kept = Filled({"email": typed.get("email", "")})
    context = {"filled": kept, "next": typed.get("next", ""), "error": str(error), "wait": wait}
    response = _form(request, status=status, **context)
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    return response


def _form(request: Request, *, status: int = 200, **context: object) -> Response:
    known = {"filled": Filled(), "next": "", "ended": "", "error": "", "wait": None}
    return pages(request).answer(request, "login.html", status=status, **(known | context))
