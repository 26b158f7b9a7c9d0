"""An integration is one configured connector, named by the operator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conductor.core.errors import Invalid

RESERVED = frozenset({"new", "catalog", "test"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Integration:
    """What the store knows of one integration, secrets aside. `revision` grows with each edit."""

    id: int
    name: str
    connector: str
    config: Mapping[str, Any]
    enabled: bool
    revision: int
    created_at: datetime
    changed_at: datetime
    changed_by: str
    removed_at: datetime | None = None
    former: tuple[str, ...] = ()  # names it had before


def check_name(name: str) -> str:
    """The name, when it can be used. Raises Invalid."""
    if name.lower() in RESERVED:
        raise Invalid({"name": f"{name} is a word of the addresses of pages and API. Choose another name."})
    if not NAME.fullmatch(name):
        raise Invalid({"name": "Use letters, digits, - and _, beginning with a letter or digit, 63 at most."})
    return name
