"""Who asks, and may they? A route says what it takes by one of the dependencies below; one that says nothing is
refused when the app is made (`check_routes`).

The session's token lives in `__Host-sid`. Browsers take that name with `Secure` over TLS and also over plain HTTP from
the loopback address (tried with Chromium 156), and plain HTTP is served nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from conductor.core.errors import Forbidden, NotFound
from conductor.core.sight import Sight
from conductor.operations import accounts, general, integrations, sessions, tokens
from conductor.operations.accounts import ADMIN, ANALYST, LOCAL, VIEWER, User
from conductor.web import errors, scopes, security

SESSION_COOKIE = "__Host-sid"
FORM_COOKIE = "__Host-form"  # for the forms before there is a session
CSRF_FIELD = "csrf"
NONCE = 16  # characters


class StaleForm(Forbidden):
    """This form is out of date. Load the page again."""

    code = "request.csrf"


@dataclass(frozen=True, slots=True)
class Requires:
    """Lets a request pass to users of a role and above; `role` None lets everyone pass, `local` the socket only.

    It also sees that a form which changes something is one of ours. Raises SignInNeeded, Forbidden, StaleForm.
    """

    role: str | None
    local: bool = False

    async def __call__(self, request: Request) -> User | None:
        user = await current_user(request)
        if self.local and user is not LOCAL:
            raise Forbidden("This works on the server's own command line only.")
        if user is not None and self.role is not None and getattr(request.state, "token", None) is not None:
            _check_scope(request)
            if user.sight.only is not None:
                await _check_reach(request, user.sight)
        elif self.role is not None:
            _check_role(user, self.role)
        if request.method not in security.SAFE_METHODS and not errors.is_api(request):
            await _check_form(request)
        return user


Viewer = Annotated[User, Depends(Requires(VIEWER))]
Analyst = Annotated[User, Depends(Requires(ANALYST))]
Admin = Annotated[User, Depends(Requires(ADMIN))]
Local = Annotated[User, Depends(Requires(ADMIN, local=True))]
Anyone = Annotated[User | None, Depends(Requires(None))]


async def current_user(request: Request) -> User | None:
    """The user of the request's session, or its API token as one; `LOCAL` on the local socket. A page that refreshes
    itself is no activity. Raises TokenRefused."""
    if request.app.state.local:
        request.state.user = LOCAL
    elif not hasattr(request.state, "user") and (secret := _bearer(request)) is not None:
        token = await tokens.who(request.app.state.system, secret, client_address(request))
        request.state.token = token
        masked = (await general.read(request.app.state.system)).masks(ADMIN)
        name = f"token {token.name}"
        sight = Sight(masked, frozenset(token.integrations) or None, name)
        request.state.user = User(0, name, token.name, ADMIN, "UTC", True, token.created_at, sight=sight)
    elif not hasattr(request.state, "user"):
        given = session_token(request)
        active = "refresh" not in request.query_params
        request.state.user = await sessions.who(request.app.state.system, given, active=active) if given else None
    user: User | None = request.state.user
    return user


def _bearer(request: Request) -> str | None:
    """The API token that the request carries, where programs ask; a session beside it does not count."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and scopes.takes_tokens(request.url.path) else None


def session_token(request: Request) -> str:
    """The session's token as the browser sent it, empty without one."""
    return request.cookies.get(SESSION_COOKIE, "")


def client_address(request: Request) -> str:
    """The address the request came from."""
    return request.client.host if request.client else ""


def put_session(response: Response, token: str) -> None:
    """Hand the browser a new session."""
    _put_cookie(response, SESSION_COOKIE, token)


def drop_session(response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def oversees(request: Request, user: User) -> bool:
    """Whether what belongs to others is theirs to see, too: an administrator, or a token that may do everything."""
    token = getattr(request.state, "token", None)
    return user.role == ADMIN and (token is None or tokens.grants(token, ADMIN))


def form_token(request: Request) -> str:
    """A value for the hidden field of a form, new each time, so that compression tells nothing about it."""
    nonce = secrets.token_hex(NONCE // 2)
    return nonce + _sign(_form_secrets(request)[0], nonce)


def put_form_cookie(request: Request, response: Response) -> None:
    """Give a browser without a session what its forms are bound to."""
    if FORM_COOKIE not in request.cookies:
        _put_cookie(response, FORM_COOKIE, _form_secrets(request)[-1])


def check_routes(app: FastAPI) -> None:
    """Raise AssertionError unless every route says who may use it."""
    silent = [route.path for route in api_routes(app.routes) if access(route) is None]
    assert not silent, f"These routes do not say who may use them: {silent}"


def api_routes(routes: list[BaseRoute]) -> list[APIRoute]:
    """All routes of the app; nothing else may be mounted."""
    assert all(isinstance(route, APIRoute) for route in routes), "only routes that say who may use them"
    return [route for route in routes if isinstance(route, APIRoute)]


def access(route: APIRoute) -> Requires | None:
    """What a route asks of a user."""
    calls = [dependency.call for dependency in route.dependant.dependencies]
    return next((call for call in calls if isinstance(call, Requires)), None)


def _check_role(user: User | None, role: str) -> None:
    if user is None:
        raise errors.SignInNeeded
    if not accounts.allows(user, role):
        raise Forbidden(f"This needs the role {role}; yours is {user.role}. An administrator can change it.")


def _check_scope(request: Request) -> None:
    wanted = scopes.needed(request.method, request.url.path)
    if not tokens.grants(request.state.token, wanted):
        given = ", ".join(request.state.token.scopes)
        raise Forbidden(f"This needs an API token with the scope {wanted}. This one has: {given}.")


async def _check_reach(request: Request, sight: Sight) -> None:
    """A token of some integrations reaches these, and nothing that is of all. Raises Forbidden, NotFound."""
    path, name = request.url.path, request.path_params.get("name")
    if path == scopes.METRICS or (name is None and request.method not in security.SAFE_METHODS):
        raise Forbidden("This API token is limited to some integrations. Use one that is not.")
    if name is None:
        return
    nothing = NotFound(f"There is no integration called {name}.")
    try:
        found = await integrations.find(request.app.state.system, name)
    except NotFound:
        raise nothing from None  # not what it is called now
    if not sight.sees(found.id):
        raise nothing


async def _check_form(request: Request) -> None:
    if request.app.state.local:
        return
    given = (await request.form()).get(CSRF_FIELD)
    text = given if isinstance(given, str) else ""
    nonce, mac = text[:NONCE], text[NONCE:].encode()
    if not any(hmac.compare_digest(mac, _sign(secret, nonce).encode()) for secret in _form_secrets(request)):
        raise StaleForm


def _form_secrets(request: Request) -> tuple[str, ...]:
    """What the request's forms are bound to: the session, if any, and the cookie of the forms before it."""
    if not hasattr(request.state, "form_secret"):
        request.state.form_secret = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    before: str = request.state.form_secret
    signed_in = getattr(request.state, "user", None) is not None
    return (session_token(request), before) if signed_in else (before,)


def _sign(secret: str, nonce: str) -> str:
    return hmac.digest(secret.encode(), f"conductor form {nonce}".encode(), hashlib.sha256).hex()


def _put_cookie(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="lax")
