"""Forms as they arrive, and as they are shown again when something in them cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

LONGEST_VALUE = 64 * 1024  # characters: a bundle of certificates fits


@dataclass(frozen=True, slots=True)
class Filled:
    """What was typed and what is wrong with it. Secrets are never among the values that are shown again."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


async def values(request: Request) -> dict[str, str]:
    """The text fields of a posted form."""
    form = await request.form()
    return {name: value[:LONGEST_VALUE] for name, value in form.items() if isinstance(value, str)}
