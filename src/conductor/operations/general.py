"""What an administrator may set for the whole installation while it runs. A process's own settings win over it there.

What was set here is kept in one fact; what a process was told outside it keeps to itself, so that no other process,
which was told less, takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from conductor.core import clock
from conductor.core.errors import Conflict, Invalid
from conductor.operations import accounts
from conductor.operations.accounts import ROLES, HasDatabase
from conductor.operations.system import Options, Setting, System
from conductor.store import accounts as sessions
from conductor.store import audit, facts
from conductor.store.database import Connection

FACT, NOTED = "general", "general.outside"
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


class Settled(HasDatabase, Protocol):
    """What these operations need of the system."""

    @property
    def settings(self) -> Options: ...


def of(connection: Connection, system: Settled) -> General:
    """What holds at present."""
    return General(**{**_here(connection), **system.settings.outside})


async def read(system: Settled) -> General:
    """What holds at present."""
    return await system.database.read(lambda connection: of(connection, system))


async def standing(system: Settled) -> Standing:
    """What holds, and why."""
    return await system.database.read(lambda connection: _standing(connection, system))


async def told(system: System) -> list[Setting]:
    """Every setting of the process, those that were set here with what holds."""
    holds = await standing(system)
    here = {variable(name): str(getattr(holds.general, name)) for name in NAMES if holds.sources[name] == "here"}
    return [
        replace(item, value=here[item.name], source="here") if item.name in here else item
        for item in system.settings.told
    ]


async def chosen_zone(system: Settled) -> str:
    """The time zone that somebody chose for new users; empty, so that the browser's is proposed, when nobody did."""
    holds = await standing(system)
    return "" if holds.sources["time_zone"] == "default" else holds.general.time_zone


def variable(name: str) -> str:
    """The environment's name for one that may be set here."""
    return f"CONDUCTOR_{name.upper()}"


async def change(system: Settled, values: Mapping[str, Any], *, by: str, address: str = "") -> Standing:
    """Set some of them here. Raises Invalid, and Conflict for one that is set outside."""
    check(values)
    outside = system.settings.outside

    def work(connection: Connection) -> Standing:
        fixed = [name for name in values if name in outside and values[name] != outside[name]]
        if fixed:
            raise Conflict(f"This is set outside, by {variable(fixed[0])}. Change it there.")
        before = of(connection, system)
        facts.replace(connection, FACT, msgspec.json.encode(_here(connection) | dict(values)).decode())
        _note(connection, before, of(connection, system), by, address)
        return _standing(connection, system)

    return await system.database.write(work)


async def note_outside(system: Settled) -> None:
    """Write down what this start was told outside and the one before was not."""

    def work(connection: Connection) -> None:
        told = msgspec.json.encode(dict(system.settings.outside)).decode()
        before = msgspec.json.decode(facts.replace(connection, NOTED, told) or "{}")
        _note(connection, General(**_here(connection) | before), of(connection, system), "environment", "")

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


def _standing(connection: Connection, system: Settled) -> Standing:
    here, outside = _here(connection), system.settings.outside
    sources = {name: "outside" if name in outside else "here" if name in here else "default" for name in NAMES}
    return Standing(of(connection, system), sources)


def _here(connection: Connection) -> dict[str, Any]:
    text = facts.get(connection, FACT)
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _note(connection: Connection, before: General, now: General, by: str, address: str) -> None:
    """Write down what is another now. A session that has ended does not begin again because sessions last longer."""
    pairs = {name: [getattr(before, name), getattr(now, name)] for name in NAMES}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if now.session_hours > before.session_hours:
        sessions.expire_sessions(connection, clock.now() - before.session_life)
    if changed:
        audit.append(connection, by, "settings.changed", "general", changed, address=address)
