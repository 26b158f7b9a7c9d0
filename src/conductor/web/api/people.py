"""Users and the set-up link."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import SecretStr
from starlette.requests import Request

from conductor.operations import accounts, general, invitations
from conductor.web import auth, people, shapes
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Admin, Local

router = APIRouter(prefix="/api/v1", tags=["users"])


class NewUser(Body):
    """A new user. Without a name the e-mail's first part is taken."""

    email: str
    name: str = ""
    role: str = accounts.VIEWER
    password: SecretStr
    time_zone: str = ""  # the installation's


class NewPassword(Body):
    """What the user signs in with from now on."""

    password: SecretStr


class Invited(Body):
    """Who is invited, and what they may do."""

    email: str
    role: str = accounts.VIEWER


class EditedUser(Body):
    """Only what changes."""

    name: str | None = None
    role: str | None = None
    time_zone: str | None = None
    active: bool | None = None


@router.get("/users")
async def list_users(request: Request, user: Admin) -> dict[str, Any]:
    """All users."""
    return {"users": [shapes.user(found) for found in await accounts.users(request.app.state.system)]}


@router.post("/users", status_code=201)
async def add_user(request: Request, user: Admin, body: NewUser) -> dict[str, Any]:
    """Add a user."""
    system = request.app.state.system
    added = await accounts.add_user(
        system,
        body.email,
        body.name or body.email.partition("@")[0],
        body.password.get_secret_value(),
        body.role,
        user.email,
        time_zone=body.time_zone or (await general.read(system)).time_zone,
        address=auth.client_address(request),
    )
    return shapes.user(added)


@router.patch("/users/{email}")
async def edit_user(request: Request, user: Admin, email: str, body: EditedUser) -> dict[str, Any]:
    """Change role, name, time zone, or switch off. The last administrator stays."""
    changes = body.model_dump(exclude_none=True)
    address = auth.client_address(request)
    return shapes.user(
        await accounts.edit_user(request.app.state.system, email, by=user.email, address=address, **changes)
    )


@router.post("/users/{email}/password")
async def set_password(request: Request, user: Local, email: str, body: NewPassword) -> dict[str, Any]:
    """Give a user another password: all their sessions end."""
    system = request.app.state.system
    await accounts.set_password(system, email, body.password.get_secret_value(), by=user.email)
    return {}


@router.get("/invitations")
async def list_invitations(request: Request, user: Admin) -> dict[str, Any]:
    """Those who were invited and did not join yet; expired ones too."""
    return {"invitations": [shapes.invitation(found) for found in await invitations.pending(request.app.state.system)]}


@router.post("/invitations", status_code=201)
async def invite(request: Request, user: Admin, body: Invited) -> dict[str, Any]:
    """Invite somebody, or invite again. `url` is told this once, works once, and for 48 hours."""
    system = request.app.state.system
    invited, token = await invitations.invite(
        system, body.email, body.role, by=user.email, address=auth.client_address(request)
    )
    return shapes.invitation(invited) | {"url": people.link(system, token)}


@router.delete("/invitations/{email}")
async def withdraw(request: Request, user: Admin, email: str) -> dict[str, Any]:
    """The invitation's link works no more."""
    await invitations.withdraw(request.app.state.system, email, by=user.email, address=auth.client_address(request))
    return {}


@router.post("/setup-link")
async def setup_link(request: Request, user: Local, body: Nothing) -> dict[str, Any]:
    """A new one-use link for the first administrator."""
    system = request.app.state.system
    return {"url": f"{system.settings.base_url}/setup?token={await accounts.setup_link(system)}"}
