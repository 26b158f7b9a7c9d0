"""Accounts and sessions on a real SQLite file, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conductor.core import clock
from conductor.core.errors import Conflict, Invalid
from conductor.core.sight import Sight
from conductor.operations import accounts, passwords, sessions
from conductor.operations.system import Options
from conductor.store import accounts as store
from conductor.store import audit, schema
from conductor.store.database import Database, sqlite_url

GOOD = "correct horse battery staple"
OTHER = "another long passphrase"


class Clock:
    """Wall time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "now", lambda: moved.now)
    return moved


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Any], Awaitable[Any]]], Any]:
    """Runs a story with an open, empty system."""

    async def story(tell: Callable[[Any], Awaitable[Any]]) -> Any:
        database = Database(sqlite_url(tmp_path / "c.db"))
        schema.metadata.create_all(database.engine)
        await database.open()
        try:
            return await tell(SimpleNamespace(database=database, settings=Options()))
        finally:
            await database.close()

    return lambda tell: asyncio.run(story(tell))


async def _admin(system: Any) -> accounts.User:
    token = await accounts.setup_link(system)
    return await accounts.create_first_admin(system, token, "Ana", "Ana@Example.com", GOOD, "Europe/Prague")


async def _fail(system: Any, times: int, email: str = "ana@example.com") -> None:
    for _ in range(times):
        with pytest.raises(sessions.LoginFailed):
            await sessions.login(system, email, "wrong password here", "203.0.113.7")


def test_s07_there_is_no_default_account(run: Any) -> None:
    async def tell(system: Any) -> None:
        assert await accounts.needs_setup(system)
        assert await accounts.users(system) == []

    run(tell)


def test_s07_a_setup_link_makes_one_administrator_and_is_used_up(run: Any) -> None:
    async def tell(system: Any) -> None:
        token = await accounts.setup_link(system)
        assert await accounts.setup_open(system, token)
        user = await accounts.create_first_admin(system, token, "Ana", " Ana@Example.com ", GOOD, "Europe/Prague")
        assert (user.email, user.role) == ("ana@example.com", accounts.ADMIN)
        assert not await accounts.setup_open(system, token)
        with pytest.raises(accounts.LinkRefused):
            await accounts.create_first_admin(system, token, "Eve", "eve@example.com", GOOD, "UTC")
        assert len(await accounts.users(system)) == 1

    run(tell)


def test_no_setup_link_is_made_once_there_is_an_administrator(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        with pytest.raises(Conflict):
            await accounts.setup_link(system)

    run(tell)


def test_a_link_that_was_already_out_is_refused_once_there_is_an_administrator(run: Any) -> None:
    async def tell(system: Any) -> None:
        token = await accounts.setup_link(system)
        await accounts.add_user(system, "bob@example.com", "Bob", GOOD, accounts.ADMIN, "local")
        assert not await accounts.setup_open(system, token)

    run(tell)


def test_s07_a_setup_link_lives_sixty_minutes(run: Any, time: Clock) -> None:
    async def tell(system: Any) -> None:
        token = await accounts.setup_link(system)
        time.move(minutes=59)
        assert await accounts.setup_open(system, token)
        time.move(minutes=1)
        assert not await accounts.setup_open(system, token)

    run(tell)


def test_s07_a_newer_setup_link_voids_the_one_before(run: Any) -> None:
    async def tell(system: Any) -> None:
        first, second = await accounts.setup_link(system), await accounts.setup_link(system)
        assert [await accounts.setup_open(system, token) for token in (first, second)] == [False, True]

    run(tell)


def test_s07_two_at_once_make_one_administrator(run: Any) -> None:
    async def tell(system: Any) -> None:
        token = await accounts.setup_link(system)
        both = (
            accounts.create_first_admin(system, token, "A", f"{name}@example.com", GOOD, "UTC") for name in ("a", "b")
        )
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["LinkRefused", "User"]

    run(tell)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("elevenchars", "at least 12"),
        ("x" * 129, "at most 128"),
        ("PasswordPassword", "common"),
        ("qwertyuiop123", "common"),
        ("ababababababab", "common"),
        ("ana.maria@example.com", "e-mail"),
    ],
)
def test_s06_it_refuses_a_poor_password(password: str, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check(password, email="ana.maria@example.com")
    assert words in refused.value.fields["password"]
    assert password not in str(refused.value)


@pytest.mark.parametrize("password", ["twelve chars", "ělöng wörds 12", "aaaabbbbcccc dddd", "x1" + "yz" * 63])
def test_s06_it_asks_for_no_kinds_of_characters(password: str) -> None:
    passwords.check(password)


def test_s06_passwords_are_kept_as_argon2id_of_the_right_strength(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        kept = await system.database.read(lambda connection: store.password(connection, user.id))
        assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert passwords.DUMMY.split("$")[1:4] == kept.split("$")[1:4]

    run(tell)


def test_s06_a_weaker_hash_is_renewed_at_login(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        weak = passwords.argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
        await system.database.write(lambda connection: store.change(connection, user.id, password=weak))
        await sessions.login(system, user.email, GOOD, "")
        kept = await system.database.read(lambda connection: store.password(connection, user.id))
        assert not passwords.outdated(kept)
        await sessions.login(system, user.email, GOOD, "")

    run(tell)


def test_all_fields_are_checked_at_once(run: Any) -> None:
    async def tell(system: Any) -> None:
        token = await accounts.setup_link(system)
        with pytest.raises(Invalid) as refused:
            await accounts.create_first_admin(system, token, " ", "nobody", "short", "Mars/Olympus")
        assert set(refused.value.fields) == {"name", "email", "password", "time_zone"}
        assert await accounts.setup_open(system, token)

    run(tell)


def test_s10_login_gives_a_token_that_the_store_does_not_know(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        token = await sessions.login(system, "ANA@example.com", GOOD, "203.0.113.7")
        assert await sessions.who(system, token) == replace(user, sight=Sight(who="ana@example.com"))
        kept = await system.database.read(lambda connection: store.sessions(connection, user.id))
        assert len(token) >= 43
        assert token.encode() not in b"".join(session.digest for session in kept)

    run(tell)


def test_s10_every_login_is_a_new_session(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        tokens = {await sessions.login(system, "ana@example.com", GOOD, "") for _ in range(3)}
        assert len(tokens) == 3

    run(tell)


def test_unknown_user_and_wrong_password_are_told_alike(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        told = []
        for email in ("ana@example.com", "nobody@example.com"):
            for _ in range(5):
                with pytest.raises(sessions.LoginFailed) as failed:
                    await sessions.login(system, email, "wrong password here", "")
                told.append(str(failed.value))
            with pytest.raises(sessions.TooManyAttempts) as delayed:
                await sessions.login(system, email, "wrong password here", "")
            told.append(str(delayed.value))
        assert told[:6] == told[6:]
        assert told[0] == "E-mail or password is wrong."

    run(tell)


def test_s08_five_failures_delay_by_thirty_seconds_and_each_further_one_doubles_it(run: Any, time: Clock) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        await _fail(system, 5)
        delays = []
        for _ in range(8):
            with pytest.raises(sessions.TooManyAttempts) as delayed:
                await sessions.login(system, "ana@example.com", GOOD, "")
            delays.append(delayed.value.retry_after)
            time.move(seconds=delayed.value.retry_after)
            await _fail(system, 1)
        assert delays == [30, 60, 120, 240, 480, 900, 900, 900]
        time.move(minutes=15)
        assert await sessions.login(system, "ana@example.com", GOOD, "")

    run(tell)


def test_the_delay_says_how_long(run: Any, time: Clock) -> None:
    async def tell(system: Any) -> None:
        await _fail(system, 5)
        with pytest.raises(sessions.TooManyAttempts, match=r"Too many attempts\. Try again in 30 seconds\."):
            await sessions.login(system, "ana@example.com", GOOD, "")

    run(tell)


def test_s08_attempts_at_once_are_all_counted(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        attempts = (sessions.login(system, "ana@example.com", f"wrong password {n}", "") for n in range(20))
        answers = await asyncio.gather(*attempts, return_exceptions=True)
        assert sum(isinstance(answer, sessions.TooManyAttempts) for answer in answers) == 15

    run(tell)


def test_success_forgets_the_failures(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        for _ in range(3):
            await _fail(system, 4)
            await sessions.login(system, "ana@example.com", GOOD, "")

    run(tell)


def test_s08_a_delayed_account_keeps_its_sessions(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        token = await sessions.login(system, "ana@example.com", GOOD, "")
        await _fail(system, 5)
        assert await sessions.who(system, token)

    run(tell)


def test_s10_logout_ends_the_session_on_the_server(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        token = await sessions.login(system, "ana@example.com", GOOD, "")
        await sessions.logout(system, token)
        assert await sessions.who(system, token) is None
        await sessions.logout(system, token)

    run(tell)


def test_a_session_ends_after_twelve_hours_whatever_its_use(run: Any, time: Clock) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        token = await sessions.login(system, "ana@example.com", GOOD, "")
        for _ in range(23):
            time.move(minutes=30)
            assert await sessions.who(system, token)
        time.move(minutes=30)
        assert await sessions.who(system, token) is None
        assert await sessions.why_ended(system, token) == "You were signed out after 12 hours."

    run(tell)


def test_a_viewer_who_does_nothing_is_signed_out_after_thirty_minutes(run: Any, time: Clock) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        await accounts.add_user(system, "vic@example.com", "Vic", OTHER, accounts.VIEWER, "ana@example.com")
        token = await sessions.login(system, "vic@example.com", OTHER, "")
        for _ in range(3):
            time.move(minutes=29)
            assert await sessions.who(system, token)
        time.move(minutes=30)
        assert await sessions.who(system, token) is None
        assert "30 minutes" in await sessions.why_ended(system, token)

    run(tell)


def test_a_new_password_ends_all_other_sessions(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        here, there = [await sessions.login(system, user.email, GOOD, "") for _ in range(2)]
        with pytest.raises(Invalid):
            await accounts.change_password(system, user, "not this one", OTHER, token=here)
        await accounts.change_password(system, user, GOOD, OTHER, token=here)
        assert await sessions.who(system, here)
        assert await sessions.who(system, there) is None
        assert await sessions.login(system, user.email, OTHER, "")

    run(tell)


def test_switching_a_user_off_ends_the_sessions_and_refuses_log_in(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        await accounts.add_user(system, "bob@example.com", "Bob", OTHER, accounts.ANALYST, "ana@example.com")
        token = await sessions.login(system, "bob@example.com", OTHER, "")
        await accounts.edit_user(system, "bob@example.com", by="ana@example.com", active=False)
        assert await sessions.who(system, token) is None
        with pytest.raises(sessions.LoginFailed):
            await sessions.login(system, "bob@example.com", OTHER, "")

    run(tell)


def test_s10_a_new_role_asks_for_a_new_session(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        await accounts.add_user(system, "bob@example.com", "Bob", OTHER, accounts.ANALYST, "ana@example.com")
        token = await sessions.login(system, "bob@example.com", OTHER, "")
        await accounts.edit_user(system, "bob@example.com", by="ana@example.com", role=accounts.ADMIN)
        assert await sessions.who(system, token) is None

    run(tell)


@pytest.mark.parametrize("change", [{"active": False}, {"role": accounts.VIEWER}])
def test_the_last_administrator_stays(run: Any, change: dict[str, Any]) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        with pytest.raises(Conflict, match="Make someone else an administrator first"):
            await accounts.edit_user(system, "ana@example.com", by="ana@example.com", **change)

    run(tell)


def test_an_e_mail_is_used_once(run: Any) -> None:
    async def tell(system: Any) -> None:
        await _admin(system)
        with pytest.raises(Conflict):
            await accounts.add_user(system, "ANA@example.com", "Ana", OTHER, accounts.VIEWER, "local")

    run(tell)


def test_one_can_list_and_end_ones_sessions(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        here, there = [await sessions.login(system, user.email, GOOD, "") for _ in range(2)]
        listed = await sessions.sessions(system, user, token=here)
        assert sorted(mine for _, mine in listed) == [False, True]
        other = next(session for session, mine in listed if not mine)
        await sessions.end_session(system, user, other.id)
        assert await sessions.who(system, there) is None
        assert await sessions.who(system, here)

    run(tell)


def test_the_audit_log_names_every_deed_and_no_secret(run: Any) -> None:
    async def tell(system: Any) -> None:
        user = await _admin(system)
        token = await sessions.login(system, user.email, GOOD, "203.0.113.7")
        await _fail(system, 1)
        await accounts.add_user(system, "bob@example.com", "Bob", OTHER, accounts.VIEWER, user.email)
        await accounts.edit_user(system, "bob@example.com", by=user.email, role=accounts.ANALYST)
        await accounts.change_password(system, user, GOOD, OTHER, token=token)
        await sessions.logout(system, token)
        entries = await system.database.read(lambda connection: audit.recent(connection, 20))
        actions = [entry.action for entry in reversed(entries)]
        assert actions == [
            "setup.link",
            "setup.admin",
            "login",
            "login.failed",
            "user.add",
            "user.edit",
            "user.password",
            "logout",
        ]
        told = "".join(map(str, entries))
        assert not any(secret in told for secret in (GOOD, OTHER, token, "wrong password here", "argon2"))

    run(tell)
