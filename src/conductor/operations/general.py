"""What an administrator may set for the whole installation while it runs. The process's own settings win over it.

They are kept in one fact, what was set here apart from what the last start was told outside: a setting that is no
longer told outside is again what was set here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec

from conductor.core.errors import Conflict, Invalid
from conductor.operations import accounts
from conductor.operations.accounts import ROLES, HasDatabase
from conductor.operations.system import Setting, System
from conductor.store import audit, facts
from conductor.store.database import Connection

FACT = "general"
LONGEST_SESSION = 30 * 24  # hours
NOBODY = "nobody"
MASKS = {
    NOBODY: "Nobody",
    "viewer": "Viewers",
    "analyst": "Viewers and analysts",
    "admin": "Everyone",
}
_TEXTS = {
    "session_hours": f"Enter a whole number of hours, from 1 to {LONGEST_SESSION}.",
    "time_zone": "Choose a time zone from the list, for example Europe/Prague.",
    "mask": f"Choose one of: {', '.join(MASKS)}.",
}


@dataclass(frozen=True, slots=True)
class General:
    """What holds. `mask` is the highest role from which personal data is hidden."""

    session_hours: int = 12
    time_zone: str = "UTC"  # of users who choose none
    mask: str = NOBODY

    @property
    def session_life(self) -> timedelta:
        """After it everybody signs in again."""
        return timedelta(hours=self.session_hours)

    def masks(self, role: str) -> bool:
        """Whether personal data is hidden from that role."""
        return self.mask != NOBODY and ROLES.index(role) <= ROLES.index(self.mask)


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds, and where each came from: default, here or outside."""

    general: General
    sources: Mapping[str, str]


NAMES = tuple(_TEXTS)


def of(connection: Connection) -> General:
    """What holds at present."""
    stored = _stored(connection)
    return General(**stored["here"] | stored["outside"])


async def read(system: HasDatabase) -> General:
    """What holds at present."""
    return await system.database.read(of)


async def standing(system: HasDatabase) -> Standing:
    """What holds, and why."""
    return await system.database.read(_standing)


async def told(system: System) -> list[Setting]:
    """Every setting of the process, those that were set here with what holds."""
    holds = await standing(system)
    here = {variable(name): str(getattr(holds.general, name)) for name in NAMES if holds.sources[name] == "here"}
    return [
        replace(item, value=here[item.name], source="here") if item.name in here else item
        for item in system.settings.told
    ]


async def chosen_zone(system: HasDatabase) -> str:
    """The time zone that somebody chose for new users; empty, so that the browser's is proposed, when nobody did."""
    holds = await standing(system)
    return "" if holds.sources["time_zone"] == "default" else holds.general.time_zone


def variable(name: str) -> str:
    """The environment's name for one that may be set here."""
    return f"CONDUCTOR_{name.upper()}"


async def change(system: HasDatabase, values: Mapping[str, Any], *, by: str, address: str = "") -> Standing:
    """Set some of them here. Raises Invalid, and Conflict for one that is set outside."""
    check(values)

    def work(connection: Connection) -> Standing:
        stored, before = _stored(connection), of(connection)
        fixed = [name for name in values if name in stored["outside"] and values[name] != stored["outside"][name]]
        if fixed:
            raise Conflict(f"This is set outside, by {variable(fixed[0])}. Change it there.")
        _put(connection, stored | {"here": stored["here"] | dict(values)})
        _note(connection, before, by, address)
        return _standing(connection)

    return await system.database.write(work)


async def note_outside(system: HasDatabase, values: Mapping[str, Any]) -> None:
    """Take what this start was told outside, in place of what the last one was."""

    def work(connection: Connection) -> None:
        before = of(connection)
        _put(connection, _stored(connection) | {"outside": dict(values)})
        _note(connection, before, "environment", "")

    await system.database.write(work)


def check(values: Mapping[str, Any]) -> None:
    """Raise Invalid with a message for each value that cannot be used."""
    hours = values.get("session_hours", 1)
    wrong = {
        "session_hours": not isinstance(hours, int) or not 1 <= hours <= LONGEST_SESSION,
        "time_zone": values.get("time_zone", "UTC") not in accounts.time_zones(),
        "mask": values.get("mask", NOBODY) not in MASKS,
    }
    if any(wrong.values()):
        raise Invalid({name: _TEXTS[name] for name, is_wrong in wrong.items() if is_wrong})


def _standing(connection: Connection) -> Standing:
    stored = _stored(connection)
    sources = {
        name: "outside" if name in stored["outside"] else "here" if name in stored["here"] else "default"
        for name in NAMES
    }
    return Standing(of(connection), sources)


def _stored(connection: Connection) -> dict[str, dict[str, Any]]:
    text = facts.get(connection, FACT)
    return {"here": {}, "outside": {}} if text is None else msgspec.json.decode(text)


def _put(connection: Connection, stored: Mapping[str, Any]) -> None:
    facts.replace(connection, FACT, msgspec.json.encode(stored).decode())


def _note(connection: Connection, before: General, by: str, address: str) -> None:
    """Write down what is another now."""
    now = of(connection)
    pairs = {name: [getattr(before, name), getattr(now, name)] for name in NAMES}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if changed:
        audit.append(connection, by, "settings.changed", "general", changed, address=address)
