"""Who may use Conductor: set-up and users. There is never a default account. Tokens are kept as their SHA-256 only."""

from __future__ import annotations

import functools
import hashlib
import secrets
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

from conductor.core import addresses, clock
from conductor.core.errors import Conflict, Invalid, NotFound, Refused
from conductor.core.sight import Sight
from conductor.operations import passwords
from conductor.store import accounts as store
from conductor.store import audit
from conductor.store.accounts import User
from conductor.store.database import Connection, Database

VIEWER, ANALYST, ADMIN = "viewer", "analyst", "admin"
ROLES = (VIEWER, ANALYST, ADMIN)  # each may do all that the ones before may

THEMES = {"system": "As the system is", "light": "Light", "dark": "Dark"}
DENSITIES = {"roomy": "Roomy", "compact": "Compact"}
LINK_LIFE = timedelta(minutes=60)

# Whoever can open the local socket.
LOCAL = User(0, "local", "local", ADMIN, "UTC", True, clock.EPOCH, sight=Sight(who="local"))

__all__ = ["ADMIN", "ANALYST", "LOCAL", "ROLES", "VIEWER", "User"]


class HasDatabase(Protocol):
    """What these operations need of the system."""

    @property
    def database(self) -> Database: ...


class LinkRefused(Refused):
    """This set-up link has expired or was used. Run `conductor setup-link` on the server for a new one."""

    code = "setup.link"


def allows(user: User, role: str) -> bool:
    """Whether the user may do what that role may."""
    return ROLES.index(user.role) >= ROLES.index(role)


@functools.cache
def time_zones() -> tuple[str, ...]:
    """The names a user's time zone may have."""
    return tuple(sorted(zoneinfo.available_timezones() - {"localtime", "posixrules"}))


async def needs_setup(system: HasDatabase) -> bool:
    """Whether there is no administrator yet."""
    return await system.database.read(store.admins) == 0


async def setup_link(system: HasDatabase) -> str:
    """A new token for `/setup?token=`; earlier ones are void. Raises Conflict when there is an administrator."""
    token = secrets.token_urlsafe(32)

    def work(connection: Connection) -> None:
        if store.admins(connection):
            raise Conflict("There is already an administrator. Sign in, or run `conductor user add --admin`.")
        store.put_link(connection, digest(token), clock.now() + LINK_LIFE)
        audit.append(connection, "local", "setup.link", "setup")

    await system.database.write(work)
    return token


async def setup_open(system: HasDatabase, token: str) -> bool:
    """Whether that set-up link still works."""
    return await system.database.read(lambda connection: _link_works(connection, token))


async def create_first_admin(
    system: HasDatabase, token: str, name: str, email: str, password: str, time_zone: str, *, address: str = ""
) -> User:
    """Create the first administrator and use up the link. Raises LinkRefused, Invalid."""
    if not await setup_open(system, token):
        raise LinkRefused
    values = checked(name, email, password, ADMIN, time_zone)
    values["password"] = await passwords.hashed(password)

    def work(connection: Connection) -> User:
        if not _link_works(connection, token):
            raise LinkRefused
        store.drop_links(connection)
        return _add(connection, values, "setup.admin", by=values["email"], address=address)

    return await system.database.write(work)


async def add_user(
    system: HasDatabase,
    email: str,
    name: str,
    password: str,
    role: str,
    by: str,
    *,
    time_zone: str = "UTC",
    address: str = "",
) -> User:
    """Add a user. Raises Invalid, Conflict."""
    values = checked(name, email, password, role, time_zone)
    values["password"] = await passwords.hashed(password)
    return await system.database.write(lambda connection: _add(connection, values, "user.add", by=by, address=address))


async def users(system: HasDatabase) -> list[User]:
    """All users, those switched off included."""
    return await system.database.read(store.everyone)


async def edit_user(
    system: HasDatabase,
    email: str,
    *,
    by: str,
    name: str | None = None,
    role: str | None = None,
    time_zone: str | None = None,
    active: bool | None = None,
    address: str = "",
) -> User:
    """Change what is given. Another role, or switching off, ends the sessions. Raises Invalid, NotFound, Conflict."""
    given = {"name": name, "role": role, "time_zone": time_zone, "active": active}
    values = {key: value for key, value in given.items() if value is not None}
    _raise_for(_problems(values))

    def work(connection: Connection) -> User:
        user = find(connection, email)
        changed = store.change(connection, user.id, **values) if values else user
        _keep_an_admin(connection)
        if (changed.role, changed.active) != (user.role, user.active):
            store.close_sessions(connection, user.id)
        audit.append(connection, by, "user.edit", user.email, values, address=address)
        return changed

    return await system.database.write(work)


async def prefer(system: HasDatabase, user: User, *, theme: str, density: str, keys: bool) -> User:
    """How a user wants the pages. Raises Invalid."""
    wrong = {"theme": theme not in THEMES, "density": density not in DENSITIES}
    _raise_for({name: "Choose one from the list." for name, is_wrong in wrong.items() if is_wrong})
    values = {"theme": theme, "density": density, "keys": keys}
    return await system.database.write(lambda connection: store.change(connection, user.id, **values))


async def keep_columns(system: HasDatabase, user: User, columns: str) -> User:
    """The columns a user wants in searches, as URLs have them; empty for the usual ones."""
    return await system.database.write(lambda connection: store.change(connection, user.id, columns=columns))


async def change_password(
    system: HasDatabase, user: User, current: str, new: str, *, token: str = "", address: str = ""
) -> None:
    """A user's own change: the present password is asked for, all other sessions end. Raises Invalid."""
    known = await system.database.read(lambda connection: store.password(connection, user.id))
    if not await passwords.matches(known, current):
        raise Invalid({"current": "This is not your present password."})
    passwords.check(new, email=user.email, field="new")
    await _set_password(system, user, await passwords.hashed(new), keep=digest(token), by=user.email, address=address)


async def set_password(system: HasDatabase, email: str, password: str, *, by: str) -> None:
    """An administrator's change, from the command line: all sessions of the user end. Raises Invalid, NotFound."""
    user = await system.database.read(lambda connection: find(connection, email))
    passwords.check(password, email=user.email)
    await _set_password(system, user, await passwords.hashed(password), keep=b"", by=by, address="")


def digest(token: str) -> bytes:
    """What the store keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def clean_email(email: str) -> str:
    """The one spelling under which an e-mail is stored."""
    return email.strip().lower()


def _link_works(connection: Connection, token: str) -> bool:
    return store.link_valid(connection, digest(token)) and not store.admins(connection)


def check(**values: str) -> None:
    """Raise Invalid with a message for each of name, email, role and time_zone that cannot be used."""
    _raise_for(_problems(values))


def checked(name: str, email: str, password: str, role: str, time_zone: str) -> dict[str, Any]:
    """A new user's values, fit to be stored but for the password. Raises Invalid with a message a field."""
    email = clean_email(email)
    values = {"name": name.strip(), "email": email, "role": role, "time_zone": time_zone}
    problems = _problems(values)
    try:
        passwords.check(password, email=email)
    except Invalid as error:
        problems |= error.fields
    _raise_for(problems)
    return values


def _problems(values: Mapping[str, Any]) -> dict[str, str]:
    """A message for each of these fields that cannot be used."""
    rules: dict[str, tuple[Callable[[str], bool], str]] = {
        "name": (_looks_like_name, "Enter a name of 100 characters at most."),
        "email": (addresses.is_email, "Enter an e-mail address, for example ana@example.com."),
        "role": (ROLES.__contains__, f"Choose one of: {', '.join(ROLES)}."),
        "time_zone": (time_zones().__contains__, "Choose a time zone from the list, for example Europe/Prague."),
    }
    return {field: text for field, (good, text) in rules.items() if field in values and not good(values[field])}


def _looks_like_name(name: str) -> bool:
    return 0 < len(name) <= 100 and name.isprintable()


def _raise_for(problems: Mapping[str, str]) -> None:
    if problems:
        raise Invalid(problems)


def _add(connection: Connection, values: Mapping[str, Any], action: str, *, by: str, address: str) -> User:
    user = store.add(connection, **values)
    audit.append(connection, by, action, user.email, {"role": user.role}, address=address)
    return user


def find(connection: Connection, email: str) -> User:
    """By e-mail, however it is spelled. Raises NotFound."""
    user = store.find(connection, clean_email(email))
    if user is None:
        raise NotFound(f"There is no user with the e-mail {email}.")
    return user


def _keep_an_admin(connection: Connection) -> None:
    if not store.admins(connection):
        raise Conflict("Make someone else an administrator first.")


async def _set_password(system: HasDatabase, user: User, hash_: str, *, keep: bytes, by: str, address: str) -> None:
    def work(connection: Connection) -> None:
        store.change(connection, user.id, password=hash_)
        store.close_sessions(connection, user.id, keep=keep)
        audit.append(connection, by, "user.password", user.email, address=address)

    await system.database.write(work)
