"""First run: the one-use link makes the first administrator, then leads to the first source."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.errors import Invalid
from conductor.operations import accounts, general, sessions
from conductor.operations.accounts import LinkRefused
from conductor.web import auth, forms
from conductor.web.auth import Admin, Anyone
from conductor.web.forms import Filled
from conductor.web.render import pages, see_other

router = APIRouter(include_in_schema=False)


@router.get("/setup")
async def show(request: Request, user: Anyone, token: str = "") -> Response:
    """The form for the first administrator. A link that does not work is not found."""
    if not await accounts.setup_open(request.app.state.system, token):
        return _refused(request)
    zone = await general.chosen_zone(request.app.state.system)
    return _form(request, Filled({"token": token, "name": "Administrator", "time_zone": zone}))


@router.post("/setup")
async def create(request: Request, user: Anyone) -> Response:
    """Create the administrator and sign them in."""
    typed = await forms.values(request)
    given = [typed.get(name, "") for name in ("token", "name", "email", "password", "time_zone")]
    system, address = request.app.state.system, auth.client_address(request)
    try:
        created = await accounts.create_first_admin(system, *given, address=address)
    except LinkRefused:
        return _refused(request)
    except Invalid as error:
        return _form(request, Filled(typed, error.fields), status=422)
    response = see_other("/setup/source")
    auth.put_session(response, await sessions.open_session(system, created, address))
    return response


@router.get("/setup/source")
async def source(request: Request, user: Admin) -> Response:
    """Step 2: connect the first source."""
    connectors = request.app.state.system.catalog.connectors.values()
    return pages(request).answer(request, "setup_source.html", connectors=list(connectors))


def _form(request: Request, filled: Filled, *, status: int = 200) -> Response:
    context = {"filled": filled, "zones": accounts.time_zones()}
    return pages(request).answer(request, "setup.html", status=status, **context)


def _refused(request: Request) -> Response:
    return pages(request).answer(request, "setup_refused.html", status=404, text=str(LinkRefused()))
