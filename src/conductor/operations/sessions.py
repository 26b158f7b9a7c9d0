"""Signing in and out. Tokens are 256 random bits; the store keeps their SHA-256.

An attempt to log in counts as failed until it has succeeded, so that a hundred attempts at once are a hundred failures.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from conductor.core import clock
from conductor.core.errors import NotFound, Refused, StorePaused
from conductor.core.sight import Sight
from conductor.operations import accounts, general, passwords
from conductor.operations.general import General, Settled
from conductor.store import accounts as store
from conductor.store import audit
from conductor.store.accounts import Failures, Session, User
from conductor.store.database import Connection

VIEWER_IDLE = timedelta(minutes=30)
SEEN_EVERY = timedelta(minutes=1)  # how exactly the last use of a session is known
FREE_FAILURES = 5  # failures in a row before the first delay
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(minutes=15)
FAILURES_KEPT = timedelta(hours=24)


class LoginFailed(Refused):
    """E-mail or password is wrong."""

    code = "login.wrong"


class TooManyAttempts(Refused):
    """Too many attempts. `retry_after` is in seconds."""

    code = "login.throttled"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Try again in {_spoken(retry_after)}.")
        self.retry_after = retry_after


async def login(system: Settled, email: str, password: str, address: str) -> str:
    """A new session's token. Raises LoginFailed and TooManyAttempts, alike for known and unknown e-mails."""
    email = accounts.clean_email(email)
    digest = accounts.digest(email)
    await system.database.write(lambda connection: _begin_attempt(connection, digest))
    known = await system.database.read(lambda connection: _login_hash(connection, email))
    if not await passwords.matches(known, password):
        await system.database.write(lambda connection: _note_failed_login(connection, email, address))
        raise LoginFailed
    if known is not None and passwords.outdated(known):
        rehashed = await passwords.hashed(password)
        await system.database.write(lambda connection: _rehash(connection, email, rehashed))
    token = secrets.token_urlsafe(32)
    await system.database.write(lambda connection: _open_session(connection, system, email, token, address))
    return token


async def open_session(system: Settled, user: User, address: str) -> str:
    """A new session's token for someone who has just proved who they are, by the set-up link."""
    token = secrets.token_urlsafe(32)
    await system.database.write(lambda connection: _open_session(connection, system, user.email, token, address))
    return token


async def logout(system: Settled, token: str, *, address: str = "") -> None:
    """End the session of that token, if there is one."""

    def work(connection: Connection) -> None:
        session = store.session(connection, accounts.digest(token))
        if session is not None:
            store.close_session(connection, session.digest)
            email = store.get(connection, session.user_id).email
            audit.append(connection, email, "logout", email, address=address)

    await system.database.write(work)


async def who(system: Settled, token: str, *, active: bool = True) -> User | None:
    """The user whose live session has that token. `active` is false when no person asked: it keeps no session alive."""
    digest = accounts.digest(token)
    found = await system.database.read(lambda connection: _session_and_user(connection, system, digest))
    if found is None:
        return None
    session, user, holds = found
    if not user.active or _ended(session, user, holds):
        return None
    if active and clock.now() - session.seen_at >= SEEN_EVERY:
        with suppress(StorePaused):  # nobody is refused because that cannot be noted
            await system.database.write(lambda connection: store.see_session(connection, digest))
    return replace(user, sight=Sight(holds.masks(user.role), who=user.email))


async def why_ended(system: Settled, token: str) -> str:
    """A sentence on how the session of that token ended; empty when nothing is known of it."""
    found = await system.database.read(lambda connection: _session_and_user(connection, system, accounts.digest(token)))
    return "" if found is None else _ended(*found)


async def sessions(system: Settled, user: User, *, token: str = "") -> list[tuple[Session, bool]]:
    """A user's live sessions, each with whether it is the one of that token."""

    def read(connection: Connection) -> list[Session]:
        holds = general.of(connection, system)
        return [session for session in store.sessions(connection, user.id) if not _ended(session, user, holds)]

    mine = accounts.digest(token)
    return [(session, session.digest == mine) for session in await system.database.read(read)]


async def end_session(system: Settled, user: User, session_id: str, *, address: str = "") -> None:
    """End one of a user's own sessions. Raises NotFound."""

    def work(connection: Connection) -> None:
        for session in store.sessions(connection, user.id):
            if session.id == session_id:
                store.close_session(connection, session.digest)
                audit.append(connection, user.email, "session.end", user.email, address=address)
                return
        raise NotFound("This session has already ended.")

    await system.database.write(work)


async def end_other_sessions(system: Settled, user: User, token: str, *, address: str = "") -> None:
    """End all of a user's sessions but the one of that token."""

    def work(connection: Connection) -> None:
        store.close_sessions(connection, user.id, keep=accounts.digest(token))
        audit.append(connection, user.email, "session.end", user.email, {"all": True}, address=address)

    await system.database.write(work)


def _begin_attempt(connection: Connection, digest: bytes) -> None:
    """Count one failure ahead of knowing. Raises TooManyAttempts while earlier ones still delay."""
    now = clock.now()
    failed = store.failures(connection, digest)
    if failed.count >= FREE_FAILURES and failed.locked_until > now:
        raise TooManyAttempts(-(-(failed.locked_until - now) // timedelta(seconds=1)))
    count = failed.count + 1
    store.put_failures(connection, digest, Failures(count, now + _delay(count)))


def _delay(failures: int) -> timedelta:
    if failures < FREE_FAILURES:
        return timedelta()
    doubled: timedelta = FIRST_DELAY * (1 << min(failures - FREE_FAILURES, 10))
    return min(LONGEST_DELAY, doubled)


def _login_hash(connection: Connection, email: str) -> str | None:
    user = store.find(connection, email)
    return store.password(connection, user.id) if user is not None and user.active else None


def _note_failed_login(connection: Connection, email: str, address: str) -> None:
    shown = email[:254] if "@" in email else "(no e-mail)"  # a password typed into the wrong field stays out
    audit.append(connection, shown, "login.failed", shown, address=address)


def _rehash(connection: Connection, email: str, hash_: str) -> None:
    store.change(connection, accounts.find(connection, email).id, password=hash_)


def _open_session(connection: Connection, system: Settled, email: str, token: str, address: str) -> None:
    user = accounts.find(connection, email)
    now, life = clock.now(), general.of(connection, system).session_life
    store.put_failures(connection, accounts.digest(email), Failures(0, now))
    store.expire_failures(connection, now - FAILURES_KEPT)
    store.expire_sessions(connection, now - 2 * life)
    store.open_session(connection, accounts.digest(token), user.id, address)
    audit.append(connection, user.email, "login", user.email, address=address)


def _session_and_user(connection: Connection, system: Settled, digest: bytes) -> tuple[Session, User, General] | None:
    session = store.session(connection, digest)
    if session is None:
        return None
    return session, store.get(connection, session.user_id), general.of(connection, system)


def _ended(session: Session, user: User, holds: General) -> str:
    """Why the session is over, empty while it is not."""
    now = clock.now()
    if now - session.created_at >= holds.session_life:
        return f"You were signed out after {holds.session_hours} hour{'' if holds.session_hours == 1 else 's'}."
    if user.role == accounts.VIEWER and now - session.seen_at >= VIEWER_IDLE:
        return "You were signed out after 30 minutes without activity."
    return ""


def _spoken(seconds: int) -> str:
    """A short wait in words."""
    if seconds < 120:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{-(-seconds // 60)} minutes"
