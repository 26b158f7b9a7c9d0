"""Turns a template into an answer. Templates always escape; what they may call is listed here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from conductor.core import clock
from conductor.operations.accounts import User
from conductor.web import auth, show
from conductor.web.assets import Assets
from conductor.web.errors import Problem

LOGIN = "/auth/login"


class Pages:
    """The templates and what all of them know."""

    def __init__(self, assets: Assets) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("conductor.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(show.FILTERS)
        self._environment.globals.update(asset=assets.url, query=show.query)

    def answer(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page or a part of one."""
        response = HTMLResponse(self.text(request, template, **context), status)
        if getattr(request.state, "user", None) is None and not request.app.state.local:
            auth.put_form_cookie(request, response)
        return response

    def text(self, request: Request, template: str, **context: Any) -> str:
        """What a template makes of these values and of what every page knows."""
        return self._environment.get_template(template).render(_context(request) | context)

    def part(self, template: str, macro: str, *given: Any) -> str:
        """What a macro makes of these values; it knows of no request."""
        return str(getattr(self._environment.get_template(template).module, macro)(*given))

    def problem(self, request: Request, told: Problem) -> Response:
        """The page for a refusal or failure; it needs nobody signed in."""
        return self.answer(request, "error.html", status=told.status, problem=told)

    def login_url(self, request: Request) -> str:
        """Where to sign in and come back from."""
        here = request.headers.get("hx-current-url") or (str(request.url) if request.method == "GET" else "/")
        here = local_path(urlsplit(here)._replace(scheme="", netloc="").geturl()) or "/"
        return LOGIN if here == "/" else f"{LOGIN}?next={quote(here, safe='/')}"


def pages(request: Request) -> Pages:
    """The app's pages."""
    found: Pages = request.app.state.pages
    return found


def see_other(path: str) -> Response:
    """What a form's POST ends with."""
    return RedirectResponse(path, 303)


def local_path(target: str) -> str:
    """The target when it is a path of ours, with its query; empty for anything that could lead elsewhere."""
    parts = urlsplit(target.replace("\\", "/")) if target.isprintable() else urlsplit("")
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _context(request: Request) -> dict[str, Any]:
    user: User | None = getattr(request.state, "user", None)
    return {
        "request_id": request.scope["state"].get("request_id", ""),
        "path": request.url.path,
        "user": user,
        "time_zone": user.time_zone if user else "UTC",
        "now": clock.now(),
        "csrf": auth.form_token(request),
        "health": getattr(request.state, "health", None),
    }
