"""API tokens."""

from __future__ import annotations

from typing import Any

import pydantic
from fastapi import APIRouter
from starlette.requests import Request

from conductor.operations import tokens
from conductor.web import auth, shapes
from conductor.web.api.integrations import Body, Nothing
from conductor.web.auth import Admin
from conductor.web.ids import Id

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])


class NewToken(Body):
    """A new token. Without networks it may come from everywhere; without integrations it reaches all."""

    name: str
    scopes: list[str]
    days: int = tokens.DAYS
    networks: list[str] = pydantic.Field(default_factory=list)
    integrations: list[str] = pydantic.Field(default_factory=list)


@router.get("")
async def list_all(request: Request, user: Admin) -> dict[str, Any]:
    """All tokens, the newest first; those that work no more too."""
    return {"tokens": [shapes.token(found) for found in await tokens.everyone(request.app.state.system)]}


@router.post("", status_code=201)
async def create(request: Request, user: Admin, body: NewToken) -> dict[str, Any]:
    """Make a token. `token` is told this once."""
    system = request.app.state.system
    made, secret = await tokens.create(
        system,
        body.name,
        body.scopes,
        days=body.days,
        networks=body.networks,
        only=body.integrations,
        by=user.email,
        address=auth.client_address(request),
    )
    return shapes.token(await tokens.told(system, made)) | {"token": secret}


@router.post("/{token_id}/rotate", status_code=201)
async def rotate(request: Request, user: Admin, token_id: Id, body: Nothing) -> dict[str, Any]:
    """Make a successor. The old one works for another 24 hours at the most."""
    system = request.app.state.system
    made, secret = await tokens.rotate(system, token_id, by=user.email, address=auth.client_address(request))
    return shapes.token(await tokens.told(system, made)) | {"token": secret}


@router.delete("/{token_id}")
async def revoke(request: Request, user: Admin, token_id: Id) -> dict[str, Any]:
    """It works no more."""
    system = request.app.state.system
    revoked = await tokens.revoke(system, token_id, by=user.email, address=auth.client_address(request))
    return shapes.token(await tokens.told(system, revoked))
