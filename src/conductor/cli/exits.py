"""Exit codes, and how an error is told on a terminal: what happened, then the fix as the last line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from conductor.core.errors import ConductorError, KeyWrong, SettingsError, StoreBusy, StoreCorrupt

FAILED, USAGE, NOT_FOUND, CONFLICT, NOT_ALLOWED, REFUSED, NETWORK, RATE = range(1, 9)
ATTENTION, RED = 10, 11

_BY_STATUS = {422: USAGE, 404: NOT_FOUND, 409: CONFLICT, 403: NOT_ALLOWED, 401: NOT_ALLOWED}
# A vendor's codes are <vendor>.<area>.<what>; the area tells what kind of failure it is.
_BY_AREA = (
    ("domain.unknown", NOT_FOUND),
    ("token.", REFUSED),
    ("scope.", REFUSED),
    ("rate.", RATE),
)
_BY_CODE = (
    ("query.", USAGE),
    ("net.address.", NOT_ALLOWED),
    ("net.port.", NOT_ALLOWED),
    ("net.", NETWORK),
    ("local.datadir.busy", NOT_ALLOWED),
    ("local.key.wrong", NOT_ALLOWED),
    ("local.backup.key", NOT_ALLOWED),
    ("local.", FAILED),
)


class Failed(Exception):
    """The API's refusal, as it came: its status and its envelope's content."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("title", "")))
        self.status = status
        self.error = error


def code_of(code: str, status: int = 0) -> int:
    """The exit code for an error's code, else for an HTTP status."""
    for prefix, number in _BY_CODE:
        if code.startswith(prefix):
            return number
    area = code.partition(".")[2]
    for prefix, number in _BY_AREA:
        if area.startswith(prefix):
            return number
    return _BY_STATUS.get(status, FAILED)


def leave(error: Failed | ConductorError, *, as_json: bool = False) -> NoReturn:
    """Tell the error and end the process with its code."""
    told = error.error if isinstance(error, Failed) else envelope(error)
    if as_json:
        click.echo(json.dumps({"error": dict(told)}, ensure_ascii=False))
    else:
        _tell(told)
    if isinstance(error, SettingsError):
        raise SystemExit(USAGE)
    status = error.status if isinstance(error, Failed) else 0
    raise SystemExit(code_of(str(told.get("code", "")), status))


def plain(text: str) -> str:
    """Text that a stranger wrote, for a terminal: it cannot move the cursor or hide itself."""
    return "".join(char if char.isprintable() else f"⟨U+{ord(char):04X}⟩" for char in text)


def envelope(error: ConductorError) -> dict[str, Any]:
    """The same shape as the API's, for what fails before there is an API."""
    from conductor.core import wording
    from conductor.core.advice import ADVICE

    advice = ADVICE.get(error.code)
    if advice is None or not isinstance(error, StoreBusy | KeyWrong | StoreCorrupt):
        return {"code": error.code, "title": str(error), "detail": "", "fix": []}
    return {
        "code": error.code,
        "title": wording.fill(advice.title, error.facts),
        "detail": wording.fill(advice.body, error.facts),
        "fix": list(advice.fix) if isinstance(error, StoreCorrupt) else [],
    }


def _tell(told: Mapping[str, Any]) -> None:
    fields = told.get("fields") or {}
    lines = [f"Error: {told.get('title', '')}"]
    lines += [f"  {name}: {text}" for name, text in fields.items()]
    if told.get("detail"):
        lines.append(f"{told['detail']}")
    if told.get("code"):
        lines.append(f"({told['code']})")
    lines += [f"Fix: {step}" for step in told.get("fix") or ()]
    click.echo("\n".join(map(plain, lines)), err=True)
