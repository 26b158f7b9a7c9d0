"""The web application. `create_app` is the only thing the rest of Conductor needs to know."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from conductor.web import (
    account,
    api,
    audit,
    auth,
    backfills,
    dashboard,
    errors,
    event,
    exports,
    files,
    general,
    guides,
    integration_edit,
    integrations,
    live,
    login,
    notifications,
    operating,
    parts,
    people,
    saved,
    search,
    security,
    selected,
    setup,
    tail,
    tokens,
)
from conductor.web.assets import Assets
from conductor.web.auth import Anyone, Viewer
from conductor.web.render import Pages
from conductor.web.throttle import Throttle
from conductor.web.turns import Lately, Turns

GZIP_FROM = 1000  # bytes
FOR_A_DAY = "public, max-age=86400"  # this name does not change with its content
PAGES = (
    setup,
    login,
    account,
    dashboard,
    live,
    integration_edit,
    integrations,
    backfills,
    search,
    parts,
    tail,
    saved,
    selected,
    files,
    exports,
    event,
    people,
    tokens,
    notifications,
    audit,
    general,
    guides,
)


def create_app(system: Any, *, local: bool = False) -> FastAPI:
    """The app over a running system. `local` is the one for the 0600 Unix socket: whoever reaches it is `local`, an
    administrator, without session or CSRF token. Routes that do not say who may use them raise AssertionError."""
    app = FastAPI(title="Conductor", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.system = system
    app.state.local = local
    app.state.assets = Assets()
    app.state.pages = Pages(app.state.assets)
    app.state.throttle = Throttle()
    app.state.turns = Turns()
    app.state.lately = Lately()
    app.state.tails = Turns()
    app.state.stopping = asyncio.Event()
    _add_routes(app)
    errors.install(app)
    _add_middleware(app, local=local)
    auth.check_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    app.add_api_route("/static/{digest}/{name:path}", _static, include_in_schema=False)
    app.add_api_route("/favicon.ico", _favicon, include_in_schema=False)
    app.add_api_route("/api/v1/openapi.json", _openapi, include_in_schema=False)
    for router in (*(module.router for module in PAGES), people.joining, operating.router, *api.ROUTERS):
        app.router.routes.extend(router.routes)  # not included: each keeps its own dependant, which check_routes reads


def _add_middleware(app: FastAPI, *, local: bool) -> None:
    """The last one added is the first to see a request."""
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM)
    if not local:
        app.add_middleware(security.SameSite)
    app.add_middleware(security.Bodies)
    app.add_middleware(security.LastResort)
    app.add_middleware(security.Headers)


async def _static(request: Request, digest: str, name: str, user: Anyone) -> Response:
    assets: Assets = request.app.state.assets
    return assets.answer(request, digest, name)


async def _favicon(request: Request, user: Anyone) -> Response:
    assets: Assets = request.app.state.assets
    response = assets.answer(request, assets.digest, "icon.svg")
    response.headers["Cache-Control"] = FOR_A_DAY
    return response


async def _openapi(request: Request, user: Viewer) -> Response:
    return JSONResponse(request.app.openapi())
