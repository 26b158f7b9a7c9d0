"""One's own account: name, password, how the pages look, sessions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Invalid
from conductor.operations import accounts, sessions
from conductor.web import auth, forms, shell
from conductor.web.auth import Viewer
from conductor.web.forms import Filled
from conductor.web.render import pages, see_other

ACCOUNT = "/account"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(ACCOUNT)
async def show(request: Request, user: Viewer, done: str = "") -> Response:
    """The page; `done` names what was just changed."""
    return await _page(request, user, done=done)


@router.post(ACCOUNT)
async def edit(request: Request, user: Viewer) -> Response:
    """Change name and time zone."""
    typed = await forms.values(request)
    name, time_zone = typed.get("name", "").strip(), typed.get("time_zone", "")
    system, address = request.app.state.system, auth.client_address(request)
    try:
        await accounts.edit_user(system, user.email, by=user.email, name=name, time_zone=time_zone, address=address)
    except Invalid as error:
        return await _page(request, user, profile=Filled(typed, error.fields))
    return see_other(f"{ACCOUNT}?done=profile")


@router.post(ACCOUNT + "/look")
async def prefer(request: Request, user: Viewer) -> Response:
    """Change theme, density and whether single keys act."""
    typed = await forms.values(request)
    theme, density = typed.get("theme", ""), typed.get("density", "")
    try:
        await accounts.prefer(request.app.state.system, user, theme=theme, density=density, keys="keys" in typed)
    except Invalid as error:
        return await _page(request, user, look=Filled(typed, error.fields))
    return see_other(f"{ACCOUNT}?done=look")


@router.post(ACCOUNT + "/password")
async def change_password(request: Request, user: Viewer) -> Response:
    """Change one's password; all other sessions end. Wrong present passwords are throttled like log-ins."""
    typed = await forms.values(request)
    token, address = auth.session_token(request), auth.client_address(request)
    request.app.state.throttle.take(address)
    try:
        await accounts.change_password(
            request.app.state.system, user, typed.get("current", ""), typed.get("new", ""), token=token, address=address
        )
    except Invalid as error:
        return await _page(request, user, password=Filled({}, error.fields))
    return see_other(f"{ACCOUNT}?done=password")


@router.post(ACCOUNT + "/sessions")
async def end_sessions(request: Request, user: Viewer) -> Response:
    """End one session, or all others."""
    session = (await forms.values(request)).get("session", "")
    system, address = request.app.state.system, auth.client_address(request)
    if session:
        await sessions.end_session(system, user, session, address=address)
    else:
        await sessions.end_other_sessions(system, user, auth.session_token(request), address=address)
    return see_other(f"{ACCOUNT}?done=sessions")


async def _page(
    request: Request,
    user: Viewer,
    *,
    profile: Filled | None = None,
    password: Filled | None = None,
    look: Filled | None = None,
    done: str = "",
) -> Response:
    listed = await sessions.sessions(request.app.state.system, user, token=auth.session_token(request))
    profile = profile or Filled({"name": user.name, "time_zone": user.time_zone})
    password = password or Filled()
    look = look or Filled({"theme": user.theme, "density": user.density})
    context: dict[str, Any] = {"profile": profile, "password": password, "look": look, "sessions": listed, "done": done}
    context |= {"zones": accounts.time_zones(), "themes": accounts.THEMES, "densities": accounts.DENSITIES}
    status = 422 if profile.errors or password.errors or look.errors else 200
    return pages(request).answer(request, "account.html", status=status, **context)
