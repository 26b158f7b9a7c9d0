"""Users, sessions, set-up links and failed log-ins in the store. Only digests of tokens are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound
from conductor.core.sight import EVERYTHING, Sight
from conductor.store import schema

ADMIN = "admin"

_users = schema.users
_sessions = schema.sessions
_links = schema.setup_links
_failures = schema.login_failures


@dataclass(frozen=True, slots=True)
class User:
    """A person who may sign in. `role` is viewer, analyst or admin."""

    id: int
    email: str
    name: str
    role: str
    time_zone: str
    active: bool
    created_at: datetime
    theme: str = "system"
    density: str = "roomy"
    keys: bool = True
    columns: str = ""
    sight: Sight = EVERYTHING  # not kept: it follows from the role, or from the token


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser, known by the digest of its token."""

    digest: bytes
    user_id: int
    created_at: datetime
    seen_at: datetime
    address: str

    @property
    def id(self) -> str:
        """A name for it that may be shown: it does not lead back to the token."""
        return self.digest.hex()[:16]


@dataclass(frozen=True, slots=True)
class Failures:
    """How often log-in failed in a row for one e-mail, and until when it is refused."""

    count: int
    locked_until: datetime


def add(connection: Connection, *, email: str, name: str, role: str, password: str, time_zone: str) -> User:
    """Store a new user; `password` is the hash. Raises Conflict when the e-mail is taken."""
    if find(connection, email) is not None:
        raise Conflict(f"There is already a user with the e-mail {email}.")
    row = {
        "email": email,
        "name": name,
        "role": role,
        "password": password,
        "time_zone": time_zone,
        "active": True,
        "created_at": clock.to_micros(clock.now()),
    }
    added = connection.execute(insert(_users).values(row).returning(_users.c.id)).scalar_one()
    return get(connection, added)


def get(connection: Connection, user_id: int) -> User:
    """By id. Raises NotFound."""
    row = connection.execute(select(_users).where(_users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such user.")
    return _user(row)


def find(connection: Connection, email: str) -> User | None:
    """By e-mail, which is kept in lower case."""
    row = connection.execute(select(_users).where(_users.c.email == email)).one_or_none()
    return None if row is None else _user(row)


def everyone(connection: Connection) -> list[User]:
    """All users by e-mail, those switched off included."""
    return [_user(row) for row in connection.execute(select(_users).order_by(_users.c.email))]


def password(connection: Connection, user_id: int) -> str:
    """The hash of a user's password."""
    return str(connection.execute(select(_users.c.password).where(_users.c.id == user_id)).scalar_one())


def change(connection: Connection, user_id: int, **values: Any) -> User:
    """Change anything but the e-mail."""
    connection.execute(update(_users).where(_users.c.id == user_id).values(values))
    return get(connection, user_id)


def admins(connection: Connection) -> int:
    """How many administrators can sign in."""
    query = select(func.count()).select_from(_users).where(_users.c.role == ADMIN, _users.c.active)
    return int(connection.execute(query).scalar_one())


def open_session(connection: Connection, digest: bytes, user_id: int, address: str) -> None:
    """Store a new session."""
    now = clock.to_micros(clock.now())
    row = {"digest": digest, "user_id": user_id, "created_at": now, "seen_at": now, "address": address}
    connection.execute(insert(_sessions), row)


def session(connection: Connection, digest: bytes) -> Session | None:
    """The session of that digest, whatever its age."""
    row = connection.execute(select(_sessions).where(_sessions.c.digest == digest)).one_or_none()
    return None if row is None else _session(row)


def sessions(connection: Connection, user_id: int) -> list[Session]:
    """A user's sessions, the most recently used first."""
    query = select(_sessions).where(_sessions.c.user_id == user_id).order_by(_sessions.c.seen_at.desc())
    return [_session(row) for row in connection.execute(query)]


def see_session(connection: Connection, digest: bytes) -> None:
    """Note that a session was used just now."""
    seen = {"seen_at": clock.to_micros(clock.now())}
    connection.execute(update(_sessions).where(_sessions.c.digest == digest).values(seen))


def close_session(connection: Connection, digest: bytes) -> None:
    """Delete one session."""
    connection.execute(delete(_sessions).where(_sessions.c.digest == digest))


def close_sessions(connection: Connection, user_id: int, *, keep: bytes = b"") -> None:
    """Delete all sessions of a user, but for the one to keep."""
    connection.execute(delete(_sessions).where(_sessions.c.user_id == user_id, _sessions.c.digest != keep))


def expire_sessions(connection: Connection, before: datetime) -> None:
    """Delete the sessions that began before that time."""
    connection.execute(delete(_sessions).where(_sessions.c.created_at < clock.to_micros(before)))


def put_link(connection: Connection, digest: bytes, expires_at: datetime) -> None:
    """Store a set-up link; any earlier one is void."""
    drop_links(connection)
    connection.execute(insert(_links), {"digest": digest, "expires_at": clock.to_micros(expires_at)})


def link_valid(connection: Connection, digest: bytes) -> bool:
    """Whether that set-up link exists and has not expired."""
    query = select(_links.c.expires_at).where(_links.c.digest == digest)
    expires_at = connection.execute(query).scalar()
    return expires_at is not None and expires_at > clock.to_micros(clock.now())


def drop_links(connection: Connection) -> None:
    """Void all set-up links."""
    connection.execute(delete(_links))


def failures(connection: Connection, digest: bytes) -> Failures:
    """The failed log-ins in a row for the e-mail of that digest."""
    row = connection.execute(select(_failures).where(_failures.c.digest == digest)).one_or_none()
    if row is None:
        return Failures(0, clock.EPOCH)
    return Failures(row.failures, clock.from_micros(row.locked_until))


def put_failures(connection: Connection, digest: bytes, failed: Failures) -> None:
    """Note the failed log-ins in a row; a count of 0 forgets them."""
    connection.execute(delete(_failures).where(_failures.c.digest == digest))
    if failed.count:
        locked = clock.to_micros(failed.locked_until)
        connection.execute(insert(_failures), {"digest": digest, "failures": failed.count, "locked_until": locked})


def expire_failures(connection: Connection, before: datetime) -> None:
    """Forget the failures whose delay ended before that time."""
    connection.execute(delete(_failures).where(_failures.c.locked_until < clock.to_micros(before)))


def _user(row: Row[Any]) -> User:
    plain = ("id", "email", "name", "role", "time_zone", "active", "theme", "density", "keys", "columns")
    return User(created_at=clock.from_micros(row.created_at), **{name: getattr(row, name) for name in plain})


def _session(row: Row[Any]) -> Session:
    return Session(
        digest=row.digest,
        user_id=row.user_id,
        created_at=clock.from_micros(row.created_at),
        seen_at=clock.from_micros(row.seen_at),
        address=row.address,
    )
