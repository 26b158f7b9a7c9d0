"""Exports: those of the search's menu, and the list of those that are made in the background."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from conductor.core.errors import Conflict
from conductor.operations import exporting, exports, search
from conductor.operations.accounts import User
from conductor.web import auth, files, forms, shell
from conductor.web.auth import Analyst
from conductor.web.ids import Id
from conductor.web.render import pages, see_other

EXPORTS = "/signals/exports"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.post("/signals/export")
async def start(request: Request, user: Analyst) -> Response:
    """What the page shows, at once; in the background when that is asked for, or when it is large."""
    typed, system = await forms.values(request), request.app.state.system
    chosen = [value for value in (await request.form()).getlist("ids") if isinstance(value, str)]
    asked = files.wanted(typed, chosen, user)
    if "background" not in typed:
        count = await search.count(system, asked.request, user.sight)
        if count <= exports.LARGE:
            return await files.streamed(request, user, asked)
    await exports.ask(system, asked, reader(request, user))
    return see_other(EXPORTS)


@router.get(EXPORTS)
async def listed(request: Request, user: Analyst) -> Response:
    """Those that are made in the background, and those that were."""
    system = request.app.state.system
    told: dict[str, Any] = {
        "jobs": await exports.listed(system, reader(request, user)),
        "name_of": exports.name_of,
        "request_of": exports.request_of,
        "here": lambda job: job.home == exports.home(system),
        "kept": exports.KEPT,
    }
    return pages(request).answer(request, "exports.html", **told)


@router.get(EXPORTS + "/{export}/file")
async def file(request: Request, user: Analyst, export: Id) -> Response:
    """The file of one that is done. Raises NotFound, Conflict, Forbidden."""
    return sent(*await exports.take(request.app.state.system, export, reader(request, user)))


@router.get(EXPORTS + "/{export}/manifest")
async def manifest(request: Request, user: Analyst, export: Id) -> Response:
    """The manifest of one that is done. Raises NotFound, Conflict, Forbidden."""
    content = await exports.manifest(request.app.state.system, export, reader(request, user))
    return Response(content, media_type="application/json", headers=files.named(f"export-{export}.manifest.json"))


@router.post(EXPORTS + "/{export}/drop")
async def drop(request: Request, user: Analyst, export: Id) -> Response:
    """Cancel it, or delete its file; where somebody was faster, the page shows how it stands. Raises NotFound."""
    with suppress(Conflict):
        await exports.drop(request.app.state.system, export, reader(request, user))
    return see_other(EXPORTS)


def reader(request: Request, user: User) -> exports.Reader:
    """Who asks, and for whose exports they may."""
    return exports.Reader(user, auth.oversees(request, user), auth.client_address(request))


def sent(job: exports.Job, path: Path) -> Response:
    """A file that is there, or the part of it that is asked for."""
    headers = files.named(exports.name_of(job)) | {"Content-Encoding": "identity", "Conductor-SHA-256": job.sha256}
    return FileResponse(path, media_type=exporting.MEDIA[job.asked["format"]], headers=headers)
