"""Users and the set-up link."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import SecretStr
from starlette.requests import Request

from conductor.operations import accounts
from conductor.web import auth, shapes
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Admin, Local

router = APIRouter(prefix="/api/v1", tags=["users"])


class NewUser(Body):
    """A new user. Without a name the e-mail's first part is taken."""

    email: str
    name: str = ""
    role: str = accounts.VIEWER
    password: SecretStr
    time_zone: str = "UTC"


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
    added = await accounts.add_user(
        request.app.state.system,
        body.email,
        body.name or body.email.partition("@")[0],
        body.password.get_secret_value(),
        body.role,
        user.email,
        time_zone=body.time_zone,
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


@router.post("/setup-link")
async def setup_link(request: Request, user: Local, body: Nothing) -> dict[str, Any]:
    """A new one-use link for the first administrator."""
    system = request.app.state.system
    return {"url": f"{system.settings.base_url}/setup?token={await accounts.setup_link(system)}"}
