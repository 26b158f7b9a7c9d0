"""From an Auth0 log record to an artifact.

There are two ways to read a record: msgspec for what Auth0 documents, and the lenient reader for whatever else comes.
Both fill the same `_Event`, so that the rules below are written once.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from conductor.connectors.auth0 import event_types, lenient, log_ids
from conductor.core import clock
from conductor.core.artifact import Artifact
from conductor.core.errors import NormalizeError

OWN_TYPES = frozenset({"seccft", "feccft"})
MACHINE_SUFFIX = "@clients"
LATEST = clock.to_micros(datetime(2200, 1, 1, tzinfo=UTC))  # a time past it, or before 1970, is a mistake

_Part = TypeVar("_Part", bound=msgspec.Struct)


class _User(msgspec.Struct, gc=False):
    user_id: str | None = None
    name: str | None = None
    email: str | None = None


class _Auth(msgspec.Struct, gc=False):
    user: _User | str | None = None


class _Request(msgspec.Struct, gc=False):
    auth: _Auth | str | None = None


class _Details(msgspec.Struct, gc=False):
    request: _Request | str | None = None
    session_id: str | None = None
    transaction_id: str | None = None
    transaction_linking_id: str | None = None


class _Location(msgspec.Struct, gc=False):
    country_code: str | None = None
    city_name: str | None = None


class _References(msgspec.Struct, gc=False):
    correlation_id: str | None = None
    trace_id: str | None = None


class _Event(msgspec.Struct, gc=False):
    log_id: str | None = None
    object_id: str | None = msgspec.field(name="_id", default=None)
    date: str | None = None
    type: str | None = None
    description: str | None = None
    tenant_name: str | None = None
    user_name: str | None = None
    user_id: str | None = None
    ip: str | None = None
    client_ip: str | None = None
    client_id: str | None = None
    client_name: str | None = None
    connection: str | None = None
    connection_id: str | None = None
    strategy: str | None = None
    strategy_type: str | None = None
    hostname: str | None = None
    user_agent: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    scope: str | list[str] | None = None
    audience: str | list[str] | None = None
    location_info: _Location | str | None = None
    references: _References | str | None = None
    details: _Details | str | list[msgspec.Raw] | None = None
    transaction_linking_id: str | None = None
    tracking_id: str | None = None


_EVENT = msgspec.json.Decoder(_Event)
_PARTS: dict[str, type[msgspec.Struct]] = {
    "location_info": _Location,
    "references": _References,
    "details": _Details,
    "request": _Request,
    "auth": _Auth,
    "user": _User,
}
_MILLISECONDS = re.compile(r"[0-9]{1,13}")
_NO_USER = _User()
_NO_DETAILS = _Details()
_NO_LOCATION = _Location()
_NO_REFERENCES = _References()


def normalize(raw: bytes, *, client_id: str, signal_id: str) -> Artifact:
    """The artifact of one record; `client_id` is our own, to tell the records that our requests cause.

    Null, the empty string and absence are the same. Raises NormalizeError when the record is no object, or when
    neither its date nor its id tells the time.
    """
    return _artifact(_read(raw), own_client=client_id, signal_id=lenient.clean(signal_id))


def _read(raw: bytes) -> _Event:
    try:
        return _EVENT.decode(raw)
    except lenient.REFUSED:
        return _read_odd(raw)


def _artifact(event: _Event, *, own_client: str, signal_id: str) -> Artifact:
    """One call with every field: the table of what comes from where."""
    kind = event_types.lookup(event.type or "")
    details = event.details if type(event.details) is _Details else _NO_DETAILS
    location = event.location_info if type(event.location_info) is _Location else _NO_LOCATION
    references = event.references if type(event.references) is _References else _NO_REFERENCES
    user = _NO_USER if details.request is None else _acting_user(details.request)
    user_id = event.user_id or user.user_id or ""
    client_id = event.client_id or _machine(user_id)
    return Artifact(
        time=_time(event, signal_id),
        log_id=signal_id,
        type=kind.code,
        event=kind.name,
        category=kind.category,
        outcome=kind.outcome,
        severity=kind.severity,
        description=event.description or kind.name,
        tenant=event.tenant_name or "",
        user_name=event.user_name or user.name or user.email or user_id,
        user_id=user_id,
        ip=event.ip or event.client_ip or "",
        client_id=client_id,
        client_name=event.client_name or "",
        connection=event.connection or "",
        connection_id=event.connection_id or "",
        strategy=event.strategy or "",
        strategy_type=event.strategy_type or "",
        hostname=event.hostname or "",
        user_agent=event.user_agent or "",
        organization_id=event.organization_id or "",
        organization_name=event.organization_name or "",
        scope=_words(event.scope),
        audience=_words(event.audience),
        country=location.country_code or "",
        city=location.city_name or "",
        correlation_id=references.correlation_id or _correlation(event, details),
        trace_id=references.trace_id or "",
        own=kind.code in OWN_TYPES and client_id == own_client != "",
    )


def _acting_user(request: _Request | str) -> _User:
    """Who called the Management API: the vendor puts an administrator here and leaves the fields above empty."""
    auth = request.auth if type(request) is _Request else None
    user = auth.user if type(auth) is _Auth else None
    if type(user) is _User:
        return user
    return _User(user_id=user) if type(user) is str else _NO_USER


def _machine(user_id: str) -> str:
    """An application that acts for itself has the user id `<client id>@clients`."""
    return user_id.removesuffix(MACHINE_SUFFIX) if user_id.endswith(MACHINE_SUFFIX) else ""


def _words(value: str | list[str] | None) -> str:
    return " ".join(filter(None, value)) if type(value) is list else str(value or "")


def _correlation(event: _Event, details: _Details) -> str:
    """The nearest thing to a correlation id, from the narrowest tie between records to the widest."""
    return (
        event.transaction_linking_id
        or details.transaction_linking_id
        or details.transaction_id
        or event.tracking_id
        or details.session_id
        or ""
    )


def _time(event: _Event, signal_id: str) -> int:
    """The event's own time, or else that in its id. Never now: a record must not move when it is read again."""
    micros = _micros(event.date) if event.date else None
    if micros is None:
        micros = _id_micros(signal_id, event.log_id, event.object_id)
    if micros is None:
        raise NormalizeError("The record tells no time.")
    return micros


def _micros(date: str) -> int | None:
    try:
        moment = datetime.fromisoformat(date.upper())
    except ValueError:
        return None
    return _plausible(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _id_micros(*ids: str | None) -> int | None:
    moments = (log_ids.log_id_time(name) for name in ids if name)
    return next((micros for moment in moments if moment and (micros := _plausible(moment)) is not None), None)


def _plausible(moment: datetime) -> int | None:
    micros = clock.to_micros(moment)
    return micros if 0 <= micros < LATEST else None


def _read_odd(raw: bytes) -> _Event:
    try:
        return _part(_Event, raw)
    except ValueError as error:
        raise NormalizeError("The record is not a JSON object.") from error


def _part(kind: type[_Part], raw: bytes) -> _Part:
    found = lenient.members(raw)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return kind(**{name: _value(name, found[key]) for name, key in names if key in found})


def _value(name: str, raw: bytes) -> Any:
    if name == "date":
        return _date_text(raw)
    if name in ("scope", "audience"):
        return lenient.words(raw)
    if name not in _PARTS:
        return lenient.text(raw)
    return _part(_PARTS[name], raw) if raw.startswith(b"{") else lenient.text(raw)


def _date_text(raw: bytes) -> str | None:
    """The text of a date, also of one wrapped as `{"$date": …}`, with milliseconds where it holds a number."""
    if not raw.startswith(b"{"):
        return lenient.text(raw) if raw.startswith(b'"') else None
    value = lenient.members(raw).get("$date", b"null")
    if value.startswith(b"{"):
        value = lenient.members(value).get("$numberLong", b"null")
    text = lenient.text(value)
    return clock.from_micros(int(text) * 1000).isoformat() if _MILLISECONDS.fullmatch(text) else text
