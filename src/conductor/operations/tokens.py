"""API tokens: what programs sign in with. Each has scopes, an end, and the networks it may come from.

A token is shown when it is made and never again: the store has its SHA-256. It begins with `cdr_`, so that scanners of
repositories and of logs find it.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from conductor.core import addresses, clock
from conductor.core.errors import Conflict, Forbidden, Invalid, StorePaused
from conductor.operations.accounts import HasDatabase, digest
from conductor.store import audit, integrations
from conductor.store import tokens as store
from conductor.store.database import Connection
from conductor.store.tokens import Token

PREFIX = "cdr_"
SCOPES: Mapping[str, str] = {
    "signals:read": "search and read events",
    "signals:export": "take everything that a search finds away as a file",
    "integrations:read": "see sources, their health, polls and gaps, and the metrics",
    "integrations:write": "also change sources, poll, collect older events",
    "admin": "everything",
}
DAYS, MOST_DAYS = 90, 365
OVERLAP = timedelta(hours=24)  # in which a rotated token and its successor both work
SEEN_EVERY = timedelta(minutes=1)  # how exactly it is known when one was last used

__all__ = ["Token"]


@dataclass(frozen=True, slots=True)
class Told:
    """A token, and the names of the integrations that it is limited to."""

    token: Token
    integrations: tuple[str, ...]


class TokenRefused(Forbidden):
    """This API token is not known. Make one under Settings → API tokens."""

    code = "token.refused"


async def create(
    system: HasDatabase,
    name: str,
    scopes: Sequence[str],
    *,
    by: str,
    days: int = DAYS,
    networks: Sequence[str] = (),
    only: Sequence[str] = (),
    address: str = "",
) -> tuple[Token, str]:
    """Make one, of `only` these integrations if any are named; the answer has the token itself, told this once.

    Raises Invalid.
    """
    name = name.strip()
    known = {item.name: item.id for item in await system.database.read(integrations.everything)}
    problems = _problems(name, scopes, days, networks)
    unknown = [wanted for wanted in only if wanted not in known]
    if unknown:
        problems["integrations"] = f"There is no integration `{unknown[0][:60]}`."
    elif only and "admin" in scopes:
        problems["integrations"] = "A token that may do everything cannot be limited to some integrations."
    if problems:
        raise Invalid(problems)
    ids = tuple(sorted({known[wanted] for wanted in only}))
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    allowed = tuple(str(ipaddress.ip_network(network, strict=False)) for network in networks)
    secret = _secret()
    ends = clock.now() + timedelta(days=days)

    def work(connection: Connection) -> Token:
        made = store.add(
            connection,
            digest(secret),
            name=name,
            scopes=ordered,
            networks=allowed,
            integrations=ids,
            expires_at=ends,
            by=by,
        )
        return _written(connection, made, "token.created", by, address)

    return await system.database.write(work), secret


async def rotate(system: HasDatabase, token_id: int, *, by: str, address: str = "") -> tuple[Token, str]:
    """Make a successor that may do the same for as long; the old one works for another 24 hours at the most.

    Raises NotFound, and Conflict for one that does not work any more.
    """
    secret = _secret()

    def work(connection: Connection) -> Token:
        old, now = store.get(connection, token_id), clock.now()
        if old.state != "active":
            raise Conflict(f"This token is {old.state}. Make a new one.")
        life = max(old.expires_at - old.created_at, timedelta(days=1))
        store.change(connection, old.id, expires_at=min(old.expires_at, now + OVERLAP))
        made = store.add(
            connection,
            digest(secret),
            name=old.name,
            scopes=old.scopes,
            networks=old.networks,
            integrations=old.integrations,
            expires_at=now + life,
            by=by,
        )
        return _written(connection, made, "token.rotated", by, address)

    return await system.database.write(work), secret


async def revoke(system: HasDatabase, token_id: int, *, by: str, address: str = "") -> Token:
    """It works no more, from now on. Raises NotFound."""

    def work(connection: Connection) -> Token:
        found = store.get(connection, token_id)
        if found.revoked_at is not None:
            return found
        return _written(
            connection, store.change(connection, token_id, revoked_at=clock.now()), "token.revoked", by, address
        )

    return await system.database.write(work)


async def everyone(system: HasDatabase) -> list[Told]:
    """All, the newest first; those that work no more too."""
    return await system.database.read(lambda connection: _told(connection, store.everyone(connection)))


async def told(system: HasDatabase, token: Token) -> Told:
    """A token with the names of its integrations."""
    return (await system.database.read(lambda connection: _told(connection, [token])))[0]


async def who(system: HasDatabase, secret: str, address: str) -> Token:
    """The token that a program signs in with. Raises TokenRefused, with the reason when it was one once."""
    known = await system.database.read(lambda connection: store.find(connection, digest(secret)))
    if known is None:
        raise TokenRefused
    if known.state != "active":
        raise TokenRefused(f"This API token is {known.state}. Make a new one under Settings → API tokens.")
    if not allowed(known, address):
        raise TokenRefused(f"This API token may not be used from {address}.")
    if known.used_at is None or known.used_from != address or _long_ago(known.used_at):
        with suppress(StorePaused):  # nobody is refused because that cannot be noted
            await system.database.write(lambda connection: store.use(connection, known.id, address))
    return known


async def lives(system: HasDatabase, token_id: int) -> bool:
    """Whether it still works."""
    found = await system.database.read(lambda connection: store.get(connection, token_id))
    return found.state == "active"


def allowed(token: Token, address: str) -> bool:
    """Whether it may come from that address."""
    if not token.networks:
        return True
    here = addresses.parse(address)
    return here is not None and any(here in ipaddress.ip_network(network) for network in token.networks)


def grants(token: Token, scope: str) -> bool:
    """Whether it may do that: who may do everything may, and who may change sources may see them."""
    implied = {"integrations:read": "integrations:write"}.get(scope, scope)
    return any(given in (scope, implied, "admin") for given in token.scopes)


def _secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _long_ago(moment: datetime) -> bool:
    return clock.now() - moment >= SEEN_EVERY


def _written(connection: Connection, token: Token, action: str, by: str, address: str) -> Token:
    facts = {"id": token.id, "scopes": list(token.scopes), "networks": list(token.networks)}
    if token.integrations:
        facts["integrations"] = list(_told(connection, [token])[0].integrations)
    detail = {**facts, "expires_at": clock.to_text(token.expires_at)}
    audit.append(connection, by, action, token.name, detail, address=address)
    return token


def _told(connection: Connection, found: Sequence[Token]) -> list[Told]:
    limited = any(token.integrations for token in found)
    known = integrations.everything(connection, removed=True) if limited else []
    names = {item.id: item.name if item.removed_at is None else f"{item.name} (removed)" for item in known}
    return [Told(token, tuple(sorted(names[id_] for id_ in token.integrations))) for token in found]


def _problems(name: str, scopes: Sequence[str], days: int, networks: Sequence[str]) -> dict[str, str]:
    problems = {}
    if not (0 < len(name) <= 100 and name.isprintable()):
        problems["name"] = "Enter a name of 100 characters at most."
    if not scopes or not set(scopes) <= set(SCOPES):
        problems["scopes"] = f"Choose at least one of: {', '.join(SCOPES)}."
    if not 1 <= days <= MOST_DAYS:
        problems["days"] = f"Choose 1 to {MOST_DAYS} days."
    wrong = [network for network in networks if not _is_network(network)]
    if wrong:
        problems["networks"] = f"`{wrong[0][:60]}` is no network. Enter for example 203.0.113.0/24, or one address."
    return problems


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
