"""Users over REST."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from conductor.operations import accounts
from conductor.web.api.integrations import Body
from conductor.web.auth import Admin

router = APIRouter(prefix="/api/v1/users", tags=["users"])


class NewUser(Body):
    """Somebody who may sign in. Roles: viewer, analyst, admin."""

    email: str
    name: str = ""
    password: str
    role: str = "viewer"


@router.post("", status_code=201)
async def add(request: Request, body: NewUser, user: Admin) -> Response:
    """Add a user."""
    added = await accounts.add_user(
        request.app.state.system, body.email, body.name or body.email, body.password, body.role, by=user.email
    )
    return JSONResponse({"email": added.email, "name": added.name, "role": added.role}, 201)
