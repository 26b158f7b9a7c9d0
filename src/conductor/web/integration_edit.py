"""Adding and changing an integration: test, then save. A test that fails keeps what was typed and says what to mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from conductor.core.connector import Connector
from conductor.core.errors import Conflict, Invalid, SourceError
from conductor.operations import integrations, previews, statuses
from conductor.operations.accounts import User
from conductor.operations.integrations import CheckFailed
from conductor.operations.system import System
from conductor.web import forms, integration_form, shell, trial
from conductor.web import integrations as listing
from conductor.web.auth import Admin
from conductor.web.integration_form import LIST, Form, Told, Typed, add_form, copy_form, edit_form, refilled
from conductor.web.render import pages, see_other

TEST, PREVIEW, SAVE_OFF = "test", "preview", "save-off"
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@router.get(LIST + "/new")
async def new(
    request: Request, user: Admin, kind: str = "", origin: Annotated[str, Query(alias="from")] = ""
) -> Response:
    """The form of a connector, empty or with everything but the secrets of another integration (`from`); without a
    connector all there are. Raises NotFound."""
    system = request.app.state.system
    if origin:
        return await _add_page(request, copy_form(await statuses.status(system, origin)))
    if not kind:
        return pages(request).answer(request, "catalog.html", categories=_categories(listing.connectors(request)))
    return await _add_page(request, add_form(system.catalog.get(kind)))


@router.get(LIST + "/new/hint")
async def hint(request: Request, user: Admin, kind: str, field: str) -> dict[str, str]:
    """What to tell of a value that is being typed, `value` as it will be taken; nothing of a secret is ever sent here.

    Raises NotFound for the connector.
    """
    config = request.app.state.system.catalog.get(kind).Config
    wanted = {known.name for known in config.form() if not known.secret}
    found = config.hint(field, {name: value for name, value in request.query_params.items() if name in wanted})
    return {"value": found.value, "note": found.note} if found else {"note": ""}


@router.post(LIST + "/new")
async def add(request: Request, user: Admin, kind: str) -> Response:
    """Test, or test and save. Raises NotFound for the connector."""
    system = request.app.state.system
    empty = add_form(system.catalog.get(kind))
    typed = integration_form.parse(empty.connector, await forms.values(request))
    try:
        if typed.do == TEST:
            if trial.wants_steps(request):
                return await trial.streamed(request, empty, typed, user)
            return await _add_page(request, await trial.whole(request, empty, typed, user))
        if typed.do == PREVIEW:
            return await _add_page(request, await _previewed(system, refilled(empty, typed), typed, user))
        off = typed.do == SAVE_OFF
        added = await integrations.add(
            system, typed.name, kind, typed.values, enabled=typed.enabled and not off, by=user.email, test=not off
        )
    except (Invalid, Conflict, CheckFailed) as error:
        return await _add_page(request, _refused(empty, typed, error), status=422)
    return _done(request, added.name)


@router.post(listing.ONE)
async def edit(request: Request, user: Admin, name: str) -> Response:
    """Test, or test and save, with the fields that stay as they are."""
    system = request.app.state.system
    found = await statuses.status(system, name)
    before = edit_form(found)
    typed = integration_form.parse(before.connector, await forms.values(request))
    try:
        if typed.do == TEST:
            if trial.wants_steps(request):
                return await trial.streamed(request, before, typed, user)
            form = await trial.whole(request, before, typed, user)
            return await listing.page(request, found, tab="settings", form=form)
        if typed.do == PREVIEW:
            form = await _previewed(system, refilled(before, typed), typed, user, name)
            return await listing.page(request, found, tab="settings", form=form)
        off = typed.do == SAVE_OFF
        changed = await integrations.edit(
            system,
            name,
            typed.values,
            by=user.email,
            new_name=typed.name,
            enabled=typed.enabled and not off,
            revision=typed.revision,
            test=not off,
        )
    except (Invalid, Conflict, CheckFailed) as error:
        form = _refused(before, typed, error)
        return await listing.page(request, found, tab="settings", form=form, status=422)
    return _done(request, changed.name)


async def _add_page(request: Request, form: Form, *, status: int = 200) -> Response:
    system = request.app.state.system
    shared = await integrations.same_tenant(system, form.connector.slug, form.values)
    context = {"form": replace(form, shared=shared), "advice": system.catalog.advice}
    return pages(request).answer(request, "integration_new.html", status=status, **context)


def _categories(found: Iterable[type[Connector]]) -> list[tuple[str, list[type[Connector]]]]:
    by_category = sorted(found, key=lambda connector: (connector.category, connector.title))
    return [(name, list(group)) for name, group in groupby(by_category, key=lambda connector: connector.category)]


def _refused(form: Form, typed: Typed, error: Invalid | Conflict | CheckFailed) -> Form:
    again = refilled(form, typed)
    match error:
        case CheckFailed():
            return replace(again, steps=error.steps, may_save_off=True)
        case Invalid():
            return replace(again, errors=error.fields)
        case _:
            return replace(again, errors={"name": str(error)})


async def _previewed(system: System, form: Form, typed: Typed, user: User, name: str | None = None) -> Form:
    """The form with the source's newest events below it, or with why they could not be read."""
    try:
        slug, values = form.connector.slug, typed.values
        seen = await previews.preview(system, slug, values, by=user.email, name=name, masked=user.sight.masked)
    except SourceError as error:
        return replace(form, unread=Told(error.code, str(error), error.facts))
    return replace(form, preview=seen)


def _done(request: Request, name: str) -> Response:
    """To the integration's page; htmx follows a header, since a redirect would be followed unseen."""
    if "hx-request" in request.headers:
        return Response(headers={"HX-Redirect": listing.address(name)})
    return see_other(listing.address(name))
