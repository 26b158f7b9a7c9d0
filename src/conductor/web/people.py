"""Users: who they are, what each may do, and how a new one joins."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Conflict, Invalid
from conductor.operations import accounts, general, invitations, sessions
from conductor.operations.invitations import Invitation, InvitationRefused
from conductor.web import auth, forms, shell
from conductor.web.auth import Admin, Anyone
from conductor.web.forms import Filled
from conductor.web.render import pages, see_other

USERS, INVITE = "/admin/users", "/invite"
TABS = ("active", "inactive", "invited")
ROLES = {
    "viewer": "Viewer: sees sources and searches events",
    "analyst": "Analyst: also polls, backfills and closes gaps",
    "admin": "Administrator: also changes settings and users",
}
DONE = {"saved": "Saved.", "withdrawn": "Withdrawn. The link works no more."}
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)
joining = APIRouter(include_in_schema=False)


@router.get(USERS)
async def show(request: Request, user: Admin, tab: str = "active", done: str = "") -> Response:
    """Those who may sign in, those who may not any more, and those who are invited."""
    return await _page(request, tab=tab if tab in TABS else "active", done=DONE.get(done, ""))


@router.post(USERS)
async def invite(request: Request, user: Admin) -> Response:
    """Invite somebody, or invite again. The link is shown this once, so the answer is the page itself."""
    typed, system = await forms.values(request), request.app.state.system
    email, role = typed.get("email", ""), typed.get("role", "")
    address = auth.client_address(request)
    try:
        invited, token = await invitations.invite(system, email, role, by=user.email, address=address)
    except (Invalid, Conflict) as error:
        errors = error.fields if isinstance(error, Invalid) else {"email": str(error)}
        return await _page(request, tab="active", invite=Filled(typed, errors), status=422)
    return await _page(request, tab="invited", invited=invited, link=link(system, token))


@router.post(USERS + "/{email}")
async def edit(request: Request, user: Admin, email: str) -> Response:
    """Give another role, or switch off and on. The last administrator stays one."""
    typed, system = await forms.values(request), request.app.state.system
    active = {"on": True, "off": False}.get(typed.get("active", ""))
    try:
        await accounts.edit_user(
            system, email, by=user.email, role=typed.get("role"), active=active, address=auth.client_address(request)
        )
    except Conflict as error:
        return await _page(request, tab="active", refused=str(error), status=409)
    return see_other(f"{USERS}?done=saved")


@router.post(USERS + "/{email}/withdraw")
async def withdraw(request: Request, user: Admin, email: str) -> Response:
    """Void an invitation."""
    await invitations.withdraw(request.app.state.system, email, by=user.email, address=auth.client_address(request))
    return see_other(f"{USERS}?tab=invited&done=withdrawn")


@joining.get(INVITE)
async def invited(request: Request, user: Anyone, token: str = "") -> Response:
    """The form of somebody who was invited. A link that does not work is not found."""
    try:
        found = await invitations.look(request.app.state.system, token)
    except InvitationRefused as error:
        return _refused(request, error)
    zone = await general.chosen_zone(request.app.state.system)
    return _form(request, found, Filled({"token": token, "time_zone": zone}))


@joining.post(INVITE)
async def join(request: Request, user: Anyone) -> Response:
    """Become a user, and be signed in."""
    typed, system = await forms.values(request), request.app.state.system
    given = [typed.get(name, "") for name in ("token", "name", "password", "time_zone")]
    address = auth.client_address(request)
    try:
        found = await invitations.look(system, given[0])
        joined = await invitations.accept(system, *given, address=address)
    except InvitationRefused as error:
        return _refused(request, error)
    except Invalid as error:
        return _form(request, found, Filled(typed, error.fields), status=422)
    response = see_other("/")
    auth.put_session(response, await sessions.open_session(system, joined, address))
    return response


def link(system: Any, token: str) -> str:
    """Where somebody who was invited chooses a password."""
    return f"{system.settings.base_url}{INVITE}?token={token}"


def address(email: str) -> str:
    """Where one user is changed."""
    return f"{USERS}/{quote(email, safe='')}"


async def _page(
    request: Request,
    *,
    tab: str,
    status: int = 200,
    invite: Filled | None = None,
    invited: Invitation | None = None,
    link: str = "",
    done: str = "",
    refused: str = "",
) -> Response:
    system = request.app.state.system
    everyone = await accounts.users(system)
    waiting = await invitations.pending(system)
    context: dict[str, Any] = {
        "people": [user for user in everyone if user.active == (tab == "active")] if tab != "invited" else [],
        "waiting": waiting,
        "counts": {
            "active": sum(user.active for user in everyone),
            "inactive": sum(not user.active for user in everyone),
            "invited": len(waiting),
        },
        "tab": tab,
        "invite": invite or Filled({"role": accounts.VIEWER}),
        "invited": invited,
        "link": link,
        "done": done,
        "refused": refused,
    }
    return pages(request).answer(request, "users.html", status=status, roles=ROLES, address=address, **context)


def _form(request: Request, found: Invitation, filled: Filled, *, status: int = 200) -> Response:
    context = {"filled": filled, "invited": found, "role": ROLES[found.role], "zones": accounts.time_zones()}
    return pages(request).answer(request, "invite.html", status=status, **context)


def _refused(request: Request, error: InvitationRefused) -> Response:
    return pages(request).answer(request, "setup_refused.html", status=404, text=str(error))
