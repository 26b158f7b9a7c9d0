"""What can go wrong, by two questions: does waiting help, and who must act?

ConductorError
├── SettingsError              the process's environment is wrong
├── Refused                    the user asked for something that cannot be done
│   ├── NotFound
│   ├── Conflict
│   ├── Forbidden
│   └── Invalid                fields with messages
├── SourceError                an upstream, as seen by a connector
│   ├── RateLimited            wait as told
│   ├── Unavailable            back off
│   ├── Misconfigured          an operator must act
│   │   └── UnknownTenant
│   ├── CredentialsRejected    an operator must act
│   ├── PermissionMissing      an operator must act
│   ├── CheckpointLost         record a gap, go on at the oldest
│   └── UnexpectedResponse     a developer must act
├── NormalizeError             one signal: keep it raw, count it
├── Fenced                     another owner took the integration over
├── Held                       another worker polls the integration
└── StoreError                 stop the process
    └── StorePaused            pause, keep serving, go on by itself
        ├── StoreFull          no room
        └── StoreAway          the database server does not answer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from conductor.core import clock
from conductor.core.signal import Checkpoint, Signal


class ConductorError(Exception):
    """Something went wrong in Conductor."""

    code = "conductor.failed"

    def __init__(self, message: str = "", *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.code = code or type(self).code
        self.facts: dict[str, Any] = facts


class SettingsError(ConductorError):
    """The environment or the command line is not usable."""

    code = "settings.invalid"


class Refused(ConductorError):
    """The request cannot be carried out."""

    code = "request.refused"


class NotFound(Refused):
    """There is nothing of that name."""

    code = "request.notfound"


class Renamed(NotFound):
    """What had that name has another one now."""

    def __init__(self, name: str, now: str) -> None:
        super().__init__(f"There is no integration called {name}. It is called {now} now.")
        self.name, self.now = name, now


class Conflict(Refused):
    """That name is taken, or the thing was changed meanwhile."""

    code = "request.conflict"


class Forbidden(Refused):
    """This is not allowed."""

    code = "request.forbidden"


class Invalid(Refused):
    """Some fields are not usable; `fields` maps each name to its message."""

    code = "request.invalid"

    def __init__(self, fields: Mapping[str, str], *, code: str | None = None) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in fields.items()), code=code)
        self.fields = dict(fields)


class SourceError(ConductorError):
    """An upstream could not be read."""

    code = "source.failed"
    needs_person = False


class RateLimited(SourceError):
    """The upstream asked us to slow down."""

    code = "rate.limited"

    def __init__(self, message: str = "", *, retry_after: float | None = None, code: str | None = None, **facts: Any):
        super().__init__(message, code=code, **facts)
        self.retry_after = retry_after
        if retry_after is not None:
            reset = clock.now() + timedelta(seconds=retry_after)
            self.facts.setdefault("reset", f"{reset:%-d %b %H:%M:%S} UTC")


class Unavailable(SourceError):
    """The upstream does not answer, or not sensibly; it usually heals itself."""

    code = "net.unavailable"


class Misconfigured(SourceError):
    """The upstream cannot be reached as configured."""

    code = "source.misconfigured"
    needs_person = True


class UnknownTenant(Misconfigured):
    """The vendor has no tenant of that name."""

    code = "source.unknown"


class CredentialsRejected(SourceError):
    """The upstream did not accept the credentials."""

    code = "source.credentials"
    needs_person = True


class PermissionMissing(SourceError):
    """The credentials are good, but not allowed to read."""

    code = "source.permission"
    needs_person = True


class CheckpointLost(SourceError):
    """The vendor no longer knows our position.

    `resume` is the oldest place to go on from (None: begin anew), `oldest` the time from which on records still exist,
    `found` the records met while looking for it.
    """

    code = "checkpoint.expired"

    def __init__(
        self,
        message: str = "",
        *,
        resume: Checkpoint | None,
        oldest: datetime,
        found: Sequence[Signal] = (),
        code: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, code=code, **facts)
        self.resume = resume
        self.oldest = oldest
        self.found = found


class UnexpectedResponse(SourceError):
    """The upstream answered something its documentation does not describe."""

    code = "source.unexpected"
    needs_person = True


class NormalizeError(ConductorError):
    """One signal could not be normalized; it is kept raw."""

    code = "signal.unparsed"


class Fenced(ConductorError):
    """Another owner has taken this integration over; this one's writes are refused."""

    code = "store.fenced"


class Held(ConductorError):
    """Another worker polls this integration."""

    code = "store.held"


class StoreError(ConductorError):
    """The database cannot be used."""

    code = "local.storage.failed"


class StorePaused(StoreError):
    """The database cannot be used for the moment; it heals without us, or by an operator, while we wait."""

    code = "local.storage.paused"


class StoreAway(StorePaused):
    """The database server does not answer. Whether the last write was done is not known."""

    code = "local.storage.away"


class StoreFull(StorePaused):
    """There is no room left on the disk."""

    code = "local.storage.full"


class StoreCorrupt(StoreError):
    """The database file is damaged."""

    code = "local.storage.corrupt"


class StoreBusy(ConductorError):
    """Another process uses this data directory."""

    code = "local.datadir.busy"


class KeyWrong(ConductorError):
    """The key file does not fit the data."""

    code = "local.key.wrong"
