"""Saved searches: one's own, those that are shared, and those that connectors ship; and short links to a search."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from conductor.analytics.query import parse
from conductor.analytics.syntax import QueryError
from conductor.analytics.timerange import resolve
from conductor.catalog import Catalog
from conductor.core import clock
from conductor.core.errors import Conflict, Forbidden, Invalid, NotFound, StorePaused
from conductor.operations.accounts import HasDatabase, User
from conductor.operations.system import System
from conductor.store import audit
from conductor.store import saved as store
from conductor.store.database import Connection
from conductor.store.saved import Link, Saved

__all__ = ["Link", "Saved"]

PARTS = ("q", "last", "from", "to", "cols", "sort", "by", "view", "compare", "map")  # of a search's URL that are kept
LONGEST = {"name": 100, "description": 1000, "folder": 60}  # characters
LONGEST_PART = 8_000
LINK = 7  # characters of a short link
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that look alike


async def everything(system: System, user: User) -> list[Saved]:
    """One's own and the shared ones by name, then those that connectors ship."""
    own = await system.database.read(lambda connection: store.seen_by(connection, user.email))
    return [*own, *shipped(system.catalog)]


async def find(system: System, user: User, slug: str) -> Saved:
    """One of them. Raises NotFound, also for one that belongs to somebody else alone."""
    return _pick(await everything(system, user), slug)


def shipped(catalog: Catalog) -> list[Saved]:
    """What the connectors ship, in their order."""
    found = []
    for connector in catalog.connectors.values():
        for starter in connector.starters:
            state = {"q": starter.q, **starter.state}
            name, told = starter.name, starter.description
            found.append(Saved(0, _slug(name), name, told, connector.title, "", shared=True, state=state))
    return found


async def save(
    system: System,
    user: User,
    name: str,
    state: Mapping[str, str],
    *,
    description: str = "",
    folder: str = "",
    shared: bool = False,
) -> Saved:
    """Save a new one. Raises Invalid, Conflict when the user sees one of that name already."""
    values = _checked(name=name, state=state, description=description, folder=folder)

    def work(connection: Connection) -> Saved:
        taken = store.slugs(connection) | {item.slug for item in shipped(system.catalog)}
        _check_name(connection, system, user, values["name"])
        added = store.add(
            connection, slug=_free(_slug(name), taken), owner=user.email, shared=shared, by=user.email, **values
        )
        _note(connection, user, "search.saved", added)
        return added

    return await system.database.write(work)


async def change(system: System, user: User, slug: str, *, revision: int | None = None, **changes: Any) -> Saved:
    """Change name, description, folder, state or who sees it. Raises NotFound, Forbidden, Invalid, Conflict."""

    def work(connection: Connection) -> Saved:
        found = _own(_pick(store.seen_by(connection, user.email), slug, shipped(system.catalog)), user)
        if revision is not None and revision != found.revision:
            raise Conflict(f"{found.name} was changed by someone else meanwhile. Load it again.")
        values = _checked(**{name: value for name, value in changes.items() if name != "shared"})
        if values.get("name", found.name) != found.name:
            _check_name(connection, system, user, values["name"])
        if "shared" in changes:
            values["shared"] = bool(changes["shared"])
        edited = store.edit(connection, found, by=user.email, **values)
        _note(connection, user, "search.changed", edited)
        return edited

    return await system.database.write(work)


async def remove(system: System, user: User, slug: str) -> None:
    """Delete one. Raises NotFound, Forbidden."""

    def work(connection: Connection) -> None:
        found = _own(_pick(store.seen_by(connection, user.email), slug, shipped(system.catalog)), user)
        store.remove(connection, found.id)
        _note(connection, user, "search.removed", found)

    await system.database.write(work)


async def opened(system: System, found: Saved) -> None:
    """Note that it is used."""
    if not found.shipped:
        with suppress(StorePaused):  # nobody is refused because that cannot be noted
            await system.database.write(lambda connection: store.use(connection, found.id))


async def share(system: HasDatabase, user: User, state: str) -> str:
    """A short link to a search; the answer is its slug. Raises Invalid."""
    if len(state) > 2 * LONGEST_PART:
        raise Invalid({"q": "This search is too long for a link."})
    slug = "".join(secrets.choice(_LETTERS) for _ in range(LINK))

    def work(connection: Connection) -> str:
        store.link(connection, slug, state, user.email)
        audit.append(connection, user.email, "search.shared", slug)
        return slug

    return await system.database.write(work)


async def follow(system: HasDatabase, slug: str) -> Link:
    """What a short link leads to. Raises NotFound."""
    return await system.database.read(lambda connection: store.follow(connection, slug))


def _pick(found: Iterable[Saved], slug: str, others: Iterable[Saved] = ()) -> Saved:
    for item in (*found, *others):
        if item.slug == slug:
            return item
    raise NotFound("There is no such saved search, or its owner does not share it.")


def _own(found: Saved, user: User) -> Saved:
    """Raises Forbidden unless this user may change it: its owner, and for a shared one an administrator."""
    if found.shipped:
        raise Forbidden("This search comes with Conductor and cannot be changed. Save it under another name.")
    if found.owner != user.email and user.role != "admin":
        raise Forbidden(f"Only {found.owner} and administrators can change this search. Save it under another name.")
    return found


def _checked(**given: Any) -> dict[str, Any]:
    """The values as they are stored. Raises Invalid."""
    values, problems = dict(given), {}
    for field, most in LONGEST.items():
        if field not in values:
            continue
        values[field] = str(values[field]).strip()
        plain = values[field] if field != "description" else values[field].replace("\n", " ").replace("\r", " ")
        if len(values[field]) > most or not plain.isprintable() or (field == "name" and not values[field]):
            problems[field] = f"Enter a {field} of {most} characters at most."
    if "state" in values:
        values["state"], wrong = _state(values["state"])
        problems |= wrong
    if problems:
        raise Invalid(problems)
    return values


def _state(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    state = {name: str(given[name]).strip() for name in PARTS if str(given.get(name) or "").strip()}
    problems = {name: "This is too long." for name, value in state.items() if len(value) > LONGEST_PART}
    try:
        parse(state.get("q", "*"))
    except QueryError as error:
        problems["q"] = error.message
    try:
        last = state.get("last")
        resolve(None if last == "custom" else last, state.get("from"), state.get("to"), clock.now())
    except Invalid as error:
        problems |= error.fields
    return state, problems


def _check_name(connection: Connection, system: System, user: User, name: str) -> None:
    known = [*store.seen_by(connection, user.email), *shipped(system.catalog)]
    if any(item.name.casefold() == name.casefold() for item in known):
        raise Conflict(f"There is a saved search called {name} already.")


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "search"


def _free(slug: str, taken: set[str]) -> str:
    number, found = 1, slug
    while found in taken:
        number += 1
        found = f"{slug}-{number}"
    return found


def _note(connection: Connection, user: User, action: str, found: Saved) -> None:
    detail = {"name": found.name, "q": found.state.get("q", ""), "shared": found.shared}
    audit.append(connection, user.email, action, found.slug, detail)
