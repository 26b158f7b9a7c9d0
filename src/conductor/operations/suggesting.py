"""What may come next in a query that is being typed: fields, values with their counts, saved searches, and what was
asked of late."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conductor.analytics import editing, values
from conductor.analytics.canonical import quoted
from conductor.analytics.query import field_name, parse
from conductor.analytics.syntax import IS_NAMES, SAVED, QueryError
from conductor.core import fields
from conductor.core.errors import Invalid
from conductor.core.fields import Kind
from conductor.operations import auditing, counting, saving
from conductor.operations.accounts import User
from conductor.operations.search import Request
from conductor.operations.system import System

MOST = 12
LATE = 5  # queries that were asked of late
# The term at the end of the text: a minus, a field with its colon, what is typed of a value, with an opening quote.
_TERM = re.compile(r'(?:^|(?<=[\s(]))(?P<minus>-?)(?:(?P<field>[A-Za-z_$@][\w.$-]*):)?(?P<value>"[^"]*|[^\s()"]*)$')
_LISTED = re.compile(r"(?:^|(?<=[\s(-]))([A-Za-z_$@][\w.$-]*):\([^()]*$")
TIMES = ((">=now-1h", "the last hour"), (">=now-24h", "the last day"))
_OURS = {
    "is": "A kind of event: failure, success, attack …",
    "has": "Events in which a field is set",
    "saved": "A saved search",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What is offered: the `text` that replaces the term, from `start` to `end`, and what is told beside it."""

    text: str
    label: str
    told: str
    start: int
    end: int


async def suggestions(system: System, user: User, request: Request, at: int) -> list[Suggestion]:
    """What may stand at the cursor, which is after `at` characters of the query. Raises StoreError."""
    typed = request.q[:at]
    found = _TERM.search(typed)
    if found is None:
        return []
    minus, name, value = found["minus"], found["field"], found["value"].lstrip('"')
    place = (found.start("minus"), at)
    listed = _LISTED.search(typed[: place[0]]) if name is None else None
    if listed is not None:  # a value among others, as in type:(fp OR f
        field = field_name(listed[1])
        rest = replace(request, q=_rest(request.q, listed.start(), at))
        offered = [
            (text.removeprefix(f"{field}:"), label, told)
            for text, label, told in await _values(system, user, rest, field, value)
        ]
    elif name is None:
        whole = place[0] == 0 and at == len(request.q) and not minus
        late = await _of_late(system, user, value) if whole else []
        if value:
            offered = [*_addresses(value), *_fields(value), *await _saved(system, user, value), *late]
        else:
            offered = [*late, *_fields("")]
    else:
        field = field_name(name)
        rest = replace(request, q=_rest(request.q, *place))
        offered = await _values(system, user, rest, field, value)
    return [Suggestion(f"{minus}{text}", label, told, *place) for text, label, told in offered[:MOST]]


Offer = tuple[str, str, str]


def _addresses(value: str) -> Iterator[Offer]:
    if values.network(value) is not None:
        yield f"ip:{value} ", f"ip:{value}", "Search as an address"
    elif "@" in value:
        yield f"user_name:{quoted(value)} ", f"user_name:{value}", "Search as a user"


def _fields(value: str) -> Iterator[Offer]:
    """Those that begin so, then those that have it somewhere."""
    wanted = value.lower()
    known = {field.name: field.help for field in fields.FIELDS} | _OURS
    names = [name for name in known if name.startswith(wanted)]
    names += [name for name in known if wanted in name and name not in names]
    aliases = [(alias, field) for field in fields.FIELDS for alias in field.aliases if alias.startswith(wanted)]
    for name in names:
        yield f"{name}:", f"{name}:", known[name]
    for alias, field in aliases if wanted else []:
        if field.name not in names:
            yield f"{field.name}:", f"{alias}: → {field.name}:", field.help


async def _saved(system: System, user: User, value: str) -> list[Offer]:
    found = await saving.everything(system, user)
    return [
        (f"{SAVED}:{quoted(item.name)} ", item.name, "Saved search")
        for item in found
        if value.casefold() in item.name.casefold()
    ]


async def _of_late(system: System, user: User, value: str) -> list[Offer]:
    """Whole queries, where nothing else is typed."""
    found = await auditing.asked_of_late(system, user, LATE)
    return [(q, q, "Asked of late") for q in found if value.casefold() in q.casefold() and q != value]


async def _values(system: System, user: User, rest: Request, field: str, value: str) -> list[Offer]:
    if field == SAVED:
        return await _saved(system, user, value)
    if field in ("is", "has"):
        listed: Sequence[str] = IS_NAMES if field == "is" else [known.name for known in fields.FIELDS]
        return [(f"{field}:{name} ", name, "") for name in listed if value.lower() in name]
    known = fields.BY_NAME.get(field)
    if known is not None and known.kind is Kind.TIME:
        return [(f"{field}:{text} ", text, told) for text, told in TIMES]
    try:
        (facet,) = await counting.facets(system, rest, [field], user.sight, limit=4 * MOST, like=value)
    except (QueryError, Invalid):
        return []
    shown = [item for item in facet.values if not item.hidden]
    shown.sort(key=lambda item: not item.text.lower().startswith(value.lower()))  # which leaves the order of counts
    return [(f"{editing.term(field, item.text)} ", item.text, f"{item.count:,}") for item in shown]


def _rest(q: str, start: int, end: int) -> str:
    """The query without the term, everything where that is no query."""
    rest = f"{q[:start]} {q[end:]}".strip()
    try:
        parse(rest or "*")
    except QueryError:
        return "*"
    return rest or "*"
