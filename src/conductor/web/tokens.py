"""API tokens: made, shown once, rotated, revoked."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Conflict, Invalid
from conductor.operations import tokens
from conductor.operations.tokens import Token
from conductor.web import auth, forms, shell
from conductor.web.auth import Admin
from conductor.web.forms import Filled
from conductor.web.ids import Id
from conductor.web.render import pages, see_other

TOKENS = "/admin/settings/tokens"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(TOKENS)
async def show(request: Request, user: Admin, done: str = "") -> Response:
    """All of them, and the form for a new one."""
    return await _page(request, done="Revoked. It works no more." if done == "revoked" else "")


@router.post(TOKENS)
async def create(request: Request, user: Admin) -> Response:
    """Make one. It is shown this once, so the answer is the page itself."""
    typed = await forms.values(request)
    chosen = [scope for scope in tokens.SCOPES if f"scope-{scope}" in typed]
    days = int(typed["days"]) if typed.get("days", "").isdecimal() and len(typed["days"]) < 6 else 0
    networks, only = (typed.get(name, "").replace(",", " ").split() for name in ("networks", "integrations"))
    try:
        made = await tokens.create(
            request.app.state.system,
            typed.get("name", ""),
            chosen,
            days=days,
            networks=networks,
            only=only,
            by=user.email,
            address=auth.client_address(request),
        )
    except Invalid as error:
        return await _page(request, form=Filled(typed, error.fields), status=422)
    return await _page(request, made=made)


@router.post(TOKENS + "/{token_id}/rotate")
async def rotate(request: Request, user: Admin, token_id: Id) -> Response:
    """Make a successor, which is shown this once."""
    address = auth.client_address(request)
    try:
        made = await tokens.rotate(request.app.state.system, token_id, by=user.email, address=address)
    except Conflict as error:
        return await _page(request, refused=str(error), status=409)
    return await _page(request, made=made)


@router.post(TOKENS + "/{token_id}/revoke")
async def revoke(request: Request, user: Admin, token_id: Id) -> Response:
    """It works no more."""
    await tokens.revoke(request.app.state.system, token_id, by=user.email, address=auth.client_address(request))
    return see_other(f"{TOKENS}?done=revoked")


async def _page(
    request: Request,
    *,
    status: int = 200,
    form: Filled | None = None,
    made: tuple[Token, str] | None = None,
    done: str = "",
    refused: str = "",
) -> Response:
    context: dict[str, Any] = {
        "tokens": await tokens.everyone(request.app.state.system),
        "form": form or Filled({"days": str(tokens.DAYS), "scope-signals:read": "on"}),
        "made": made[0] if made else None,
        "secret": made[1] if made else "",
        "base_url": request.app.state.system.settings.base_url,
        "done": done,
        "refused": refused,
    }
    return pages(request).answer(request, "tokens.html", status=status, scopes=tokens.SCOPES, **context)
