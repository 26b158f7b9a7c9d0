"""What may be set while Conductor runs: defaults, what was set here, and what is set outside, which wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from conductor.cli import config
from conductor.core import clock
from conductor.core.errors import Conflict, Invalid, SettingsError
from conductor.operations import accounts, auditing, general, sessions
from conductor.operations.general import General
from conductor.operations.system import Options
from conductor.settings import load
from conductor.store.database import Database


@pytest.fixture
def run(migrated_url: str) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    async def work(tell: Callable[[Any], Awaitable[None]]) -> None:
        database = Database(migrated_url)
        await database.open()
        try:
            await tell(SimpleNamespace(database=database, settings=Options()))
        finally:
            await database.close()

    return lambda tell: asyncio.run(work(tell))


def outside(system: Any, **values: Any) -> Any:
    """The same database, in a process that was told these."""
    return SimpleNamespace(database=system.database, settings=Options(outside=values))


def test_what_a_process_was_told_outside_wins_there_and_nowhere_else(run: Any) -> None:
    async def tell(system: Any) -> None:
        assert await general.read(system) == General(12, "UTC", "nobody")
        assert await general.chosen_zone(system) == ""
        await general.change(system, {"mask": "viewer", "time_zone": "Europe/Prague"}, by="ana")
        assert await general.chosen_zone(system) == "Europe/Prague"
        told = outside(system, mask="admin")
        await general.note_outside(told)
        await general.note_outside(system)  # another process starts, and was told nothing
        stands = await general.standing(told)
        assert stands.general == General(12, "Europe/Prague", "admin")
        assert stands.sources == {"session_hours": "default", "time_zone": "here", "mask": "outside"}
        assert (await general.read(system)).mask == "viewer"
        with pytest.raises(Conflict, match="set outside, by CONDUCTOR_MASK"):
            await general.change(told, {"mask": "nobody", "session_hours": 4}, by="ana")
        await general.change(told, {"mask": "admin", "session_hours": 4}, by="ana")
        assert await general.read(system) == General(4, "Europe/Prague", "admin")

    run(tell)


def test_a_change_is_written_down_with_what_it_was(run: Any) -> None:
    async def tell(system: Any) -> None:
        await general.change(system, {"session_hours": 8}, by="ana", address="203.0.113.9")
        await general.change(system, {"session_hours": 8}, by="ana")
        await general.note_outside(outside(system, session_hours=2))
        await general.note_outside(outside(system, session_hours=2))
        found = await auditing.entries(system, auditing.Wanted(action="settings.changed"), 10)
        assert [(entry.actor, entry.detail) for entry in found] == [
            ("environment", {"session_hours": [8, 2]}),
            ("ana", {"session_hours": [12, 8]}),
        ]

    run(tell)


def test_a_session_that_has_ended_stays_so_when_sessions_last_longer(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(system: Any) -> None:
        user = await accounts.add_user(
            system, "ana@example.com", "Ana", "correct horse battery staple", "admin", "local"
        )
        token = await sessions.open_session(system, user, "")
        later = clock.now() + timedelta(hours=20)
        monkeypatch.setattr(clock, "now", lambda: later)
        assert await sessions.who(system, token) is None
        await general.change(system, {"session_hours": 24}, by="ana")
        assert await sessions.who(system, token) is None

    run(tell)


def test_the_command_line_knows_every_setting_that_may_be_set_here() -> None:
    (name, _) = config.set_.params[:2]
    assert set(name.type.choices) == set(general.NAMES)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"session_hours": 0}, "session_hours"),
        ({"session_hours": 721}, "session_hours"),
        ({"session_hours": "x"}, "session_hours"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"mask": "some"}, "mask"),
    ],
)
def test_what_cannot_be_used_changes_nothing(run: Any, values: dict[str, Any], field: str) -> None:
    async def tell(system: Any) -> None:
        with pytest.raises(Invalid) as raised:
            await general.change(system, values | {"mask": values.get("mask", "viewer")}, by="ana")
        assert list(raised.value.fields) == [field]
        assert await general.read(system) == General()

    run(tell)


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        ("nobody", ()),
        ("viewer", ("viewer",)),
        ("analyst", ("viewer", "analyst")),
        ("admin", ("viewer", "analyst", "admin")),
    ],
)
def test_the_mask_holds_for_a_role_and_those_below(mask: str, hidden: tuple[str, ...]) -> None:
    assert tuple(role for role in ("viewer", "analyst", "admin") if General(mask=mask).masks(role)) == hidden


def test_only_what_was_told_outside_counts_as_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().outside == {}
    monkeypatch.setenv("CONDUCTOR_MASK", "viewer")
    assert load({"session_hours": 4}).outside == {"session_hours": 4, "mask": "viewer"}
    monkeypatch.setenv("CONDUCTOR_MASK", "some")
    with pytest.raises(SettingsError, match="CONDUCTOR_MASK cannot be used. Choose one of: nobody, viewer"):
        load()
