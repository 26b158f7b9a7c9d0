"""Notifications: the channels, a form for each kind, a test, and the history of what was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from conductor.channels import KINDS
from conductor.channels.kind import Kind
from conductor.core import notice
from conductor.core.config import FormField
from conductor.core.errors import Conflict, Invalid, SourceError
from conductor.operations import channels
from conductor.operations.channels import PAGE, Standing, Wishes
from conductor.store.deliveries import STATES
from conductor.store.vault import Stored
from conductor.web import forms, shell
from conductor.web.auth import Admin
from conductor.web.ids import Before
from conductor.web.integration_form import Told, text
from conductor.web.render import pages, see_other

ONE = PAGE + "/{name}"
SHOWN = 50  # lines of the history
DONE = {
    "saved": "Saved. What needs somebody at present is told there within some seconds.",
    "removed": "Deleted. The history stays.",
    "tested": "The test was sent. Look whether it has arrived.",
}
NUMBERS = tuple(channels.LIMITS)
router = APIRouter(dependencies=[shell.Shell], include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Form:
    """One kind's form: what is in it, what is wrong with it, and how a test went."""

    kind: type[Kind]
    action: str
    values: Mapping[str, str]
    enabled: bool = True
    errors: Mapping[str, str] = field(default_factory=dict)
    saved: Standing | None = None
    sent: bool = False
    unsent: Told | None = None
    forgets: bool = True  # optional secrets can be taken away

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The kind's fields in order."""
        return self.kind.Config.form()

    @property
    def secrets(self) -> Mapping[str, Stored]:
        """What is known of the secrets that are stored."""
        return self.saved.secrets if self.saved else {}

    @property
    def failed(self) -> bool:
        """Whether a test could not be sent."""
        return self.unsent is not None

    @property
    def labels(self) -> list[str]:
        """The fields that a message can lead to."""
        return ["name", "kinds", *NUMBERS, *(each.name for each in self.fields)]

    def options(self, named: FormField) -> list[tuple[str, str]]:
        """A field's choices."""
        return list(named.widget.choices)


@router.get(PAGE)
async def show(request: Request, user: Admin, state: str = "", before: Before = None, done: str = "") -> Response:
    """The channels and the history."""
    return await _page(request, state=state if state in STATES else "", before=before, done=DONE.get(done, ""))


@router.get(PAGE + "/new")
async def new(request: Request, user: Admin, kind: str) -> Response:
    """An empty form. Raises NotFound."""
    return _form_page(request, _empty(kind))


@router.post(PAGE + "/new")
async def add(request: Request, user: Admin, kind: str) -> Response:
    """Save, or only send a test."""
    form, typed, system = _empty(kind), await forms.values(request), request.app.state.system
    values, wishes = _sorted_out(form, typed)
    name = typed.get("name", "").strip()
    try:
        if typed.get("do") == "test":
            await channels.try_out(system, kind, values, wishes, by=user.email)
            return _form_page(request, _again(form, typed, sent=True))
        await channels.add(system, name, kind, values, wishes, by=user.email, enabled="enabled" in typed)
    except (Invalid, Conflict, SourceError) as error:
        return _refused(request, form, typed, error)
    return see_other(f"{PAGE}?done=saved")


@router.get(ONE)
async def one(request: Request, user: Admin, name: str) -> Response:
    """The form of a saved channel. Raises NotFound."""
    return _form_page(request, _stored(await channels.find(request.app.state.system, name)))


@router.post(ONE)
async def edit(request: Request, user: Admin, name: str) -> Response:
    """Save, or only send a test with what was typed. Raises NotFound."""
    system = request.app.state.system
    form, typed = _stored(await channels.find(system, name)), await forms.values(request)
    values, wishes = _sorted_out(form, typed)
    try:
        if typed.get("do") == "test":
            await channels.try_out(system, form.kind.slug, values, wishes, by=user.email, name=name)
            return _form_page(request, _again(form, typed, sent=True))
        await channels.edit(
            system,
            name,
            values,
            wishes,
            by=user.email,
            new_name=typed.get("name", "").strip(),
            enabled="enabled" in typed,
            revision=_number(typed.get("revision", "")),
        )
    except (Invalid, Conflict, SourceError) as error:
        return _refused(request, form, typed, error)
    return see_other(f"{PAGE}?done=saved")


@router.post(ONE + "/test")
async def test(request: Request, user: Admin, name: str) -> Response:
    """Send a test through a saved channel. Raises NotFound."""
    sent = await channels.test(request.app.state.system, name, by=user.email)
    if sent.code:
        return await _page(request, refused=f"{name}: {sent.reason}", code=sent.code)
    return see_other(f"{PAGE}?done=tested")


@router.post(ONE + "/remove")
async def remove(request: Request, user: Admin, name: str) -> Response:
    """Delete it. Raises NotFound."""
    await channels.remove(request.app.state.system, name, by=user.email)
    return see_other(f"{PAGE}?done=removed")


def address(name: str) -> str:
    """Where one channel is changed."""
    return f"{PAGE}/{quote(name, safe='')}"


def _empty(slug: str) -> Form:
    kind, wishes = channels.kind_of(slug), Wishes()
    values = {each.name: text(each.default) for each in kind.Config.form()}
    return Form(kind, f"{PAGE}/new?kind={slug}", values | _shown(wishes))


def _stored(found: Standing) -> Form:
    channel = found.channel
    wishes = Wishes(channel.kinds, channel.loss_hours, channel.silent_hours, channel.cooldown)
    values = {
        **_empty(channel.kind).values,
        **{name: text(value) for name, value in channel.config.items()},
        **dict.fromkeys((f"tell-{kind}" for kind in notice.KINDS), ""),
        **_shown(wishes),
        "name": channel.name,
    }
    return Form(found.kind, address(channel.name), values, channel.enabled, saved=found)


def _shown(wishes: Wishes) -> dict[str, str]:
    return {f"tell-{kind}": "on" for kind in wishes.kinds} | {name: str(getattr(wishes, name)) for name in NUMBERS}


def _sorted_out(form: Form, typed: Mapping[str, str]) -> tuple[dict[str, str | None], Wishes]:
    """The kind's values, without secrets that were left empty and with None for those to take away, and what is to be
    told. A number that is none is 0 or
    below what is allowed, so that it is refused where the others are."""
    values: dict[str, str | None] = {each.name: typed[each.name] for each in form.fields if each.name in typed}
    values = {name: value for name, value in values.items() if value or name not in _secret(form)}
    values |= {name: None for name in _secret(form) if f"forget-{name}" in typed}
    kinds = tuple(kind for kind in notice.KINDS if f"tell-{kind}" in typed)
    numbers = {name: -1 if (read := _number(typed.get(name, ""))) is None else read for name in NUMBERS}
    return values, Wishes(kinds, **numbers)


def _number(typed: str) -> int | None:
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else None


def _secret(form: Form) -> set[str]:
    return {each.name for each in form.fields if each.secret}


def _again(form: Form, typed: Mapping[str, str], **changes: Any) -> Form:
    """The form as it was typed, without the secrets."""
    unticked = dict.fromkeys((f"tell-{kind}" for kind in notice.KINDS), "")
    shown = {name: value for name, value in typed.items() if name not in _secret(form)}
    kept = {"saved": form.saved, "enabled": "enabled" in typed}
    return Form(form.kind, form.action, {**form.values, **unticked, **shown}, **(kept | changes))


def _refused(
    request: Request, form: Form, typed: Mapping[str, str], error: Invalid | Conflict | SourceError
) -> Response:
    match error:
        case Invalid():
            return _form_page(request, _again(form, typed, errors=error.fields), status=422)
        case SourceError():
            told = Told(error.code, str(error), error.facts)
            return _form_page(request, _again(form, typed, unsent=told), status=422)
        case _:
            return _form_page(request, _again(form, typed, errors={"name": str(error)}), status=409)


def _form_page(request: Request, form: Form, *, status: int = 200) -> Response:
    advice = request.app.state.system.catalog.advice
    context = {"form": form, "advice": advice, "kinds": notice.KINDS, "list": PAGE}
    return pages(request).answer(request, "notification.html", status=status, **context)


async def _page(
    request: Request, *, state: str = "", before: int | None = None, done: str = "", refused: str = "", code: str = ""
) -> Response:
    system = request.app.state.system
    history = await channels.history(system, SHOWN + 1, before, state)
    context: dict[str, Any] = {
        "channels": await channels.everyone(system),
        "kinds": KINDS,
        "history": history[:SHOWN],
        "further": history[SHOWN - 1].id if len(history) > SHOWN else None,
        "states": STATES,
        "asked": state,
        "paged": before is not None,
        "done": done,
        "refused": refused,
        "code": code,
        "advice": system.catalog.advice,
        "address": address,
        "list": PAGE,
    }
    return pages(request).answer(request, "notifications.html", status=502 if refused else 200, **context)
