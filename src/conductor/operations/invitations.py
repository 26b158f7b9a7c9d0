"""Users are added by a link: whoever has it chooses a name and a password. Nobody else ever knows that password."""

from __future__ import annotations

import secrets
from datetime import timedelta

from conductor.core import clock
from conductor.core.errors import Conflict, NotFound, Refused
from conductor.operations import accounts, passwords
from conductor.operations.accounts import HasDatabase, User, digest
from conductor.store import accounts as users
from conductor.store import audit
from conductor.store import invitations as store
from conductor.store.database import Connection
from conductor.store.invitations import Invitation

LIFE = timedelta(hours=48)

__all__ = ["Invitation"]


class InvitationRefused(Refused):
    """This invitation has expired, was used or was withdrawn. Ask an administrator for a new one."""

    code = "invitation.link"


async def invite(system: HasDatabase, email: str, role: str, *, by: str, address: str = "") -> tuple[Invitation, str]:
    """Invite, or invite again: an earlier link is void. The answer has the new link's token, told this once.

    Raises Invalid, and Conflict when there is a user of that e-mail.
    """
    email, now = accounts.clean_email(email), clock.now()
    accounts.check(email=email, role=role)
    token = secrets.token_urlsafe(32)
    invitation = Invitation(email, role, by, now, now + LIFE)

    def work(connection: Connection) -> None:
        if users.find(connection, email) is not None:
            raise Conflict(f"There is already a user with the e-mail {email}.")
        store.put(connection, invitation, digest(token))
        audit.append(connection, by, "user.invited", email, {"role": role}, address=address)

    await system.database.write(work)
    return invitation, token


async def withdraw(system: HasDatabase, email: str, *, by: str, address: str = "") -> None:
    """The link works no more. Raises NotFound."""
    email = accounts.clean_email(email)

    def work(connection: Connection) -> None:
        if not store.drop(connection, email):
            raise NotFound(f"There is no invitation for {email}.")
        audit.append(connection, by, "invitation.withdrawn", email, address=address)

    await system.database.write(work)


async def pending(system: HasDatabase) -> list[Invitation]:
    """All that were not accepted, the expired ones included."""
    return await system.database.read(store.everyone)


async def look(system: HasDatabase, token: str) -> Invitation:
    """What the link of that token is for. Raises InvitationRefused."""
    return await system.database.read(lambda connection: _open(connection, token))


async def accept(
    system: HasDatabase, token: str, name: str, password: str, time_zone: str, *, address: str = ""
) -> User:
    """Become a user; the link is used up. Raises InvitationRefused, Invalid, Conflict."""
    invited = await look(system, token)
    values = accounts.checked(name, invited.email, password, invited.role, time_zone)
    values["password"] = await passwords.hashed(password)

    def work(connection: Connection) -> User:
        if _open(connection, token) != invited:
            raise InvitationRefused
        store.drop(connection, invited.email)
        added = users.add(connection, **values)
        detail = {"role": added.role, "invited_by": invited.invited_by}
        audit.append(connection, added.email, "user.joined", added.email, detail, address=address)
        return added

    return await system.database.write(work)


def _open(connection: Connection, token: str) -> Invitation:
    found = store.find(connection, digest(token))
    if found is None or found.expired:
        raise InvitationRefused
    return found
