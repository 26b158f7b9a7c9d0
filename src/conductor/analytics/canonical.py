"""The one text of a query: equal views have equal addresses."""

from __future__ import annotations

import re
from datetime import UTC, timedelta
from ipaddress import IPv4Address, IPv6Address

from conductor.analytics import lexer, values
from conductor.analytics.syntax import (
    ANYWHERE,
    And,
    Between,
    Bound,
    Contains,
    Equals,
    Everything,
    Exists,
    Moment,
    Named,
    Node,
    Not,
    Or,
    Pattern,
    Query,
    Term,
    Test,
    Within,
)
from conductor.core import fields
from conductor.core.artifact import SEVERITY_NAMES

_SPECIAL = re.compile(rf"[\s(){lexer.QUOTES}*?\\]")
_QUOTED = re.compile(rf"[\s(){lexer.QUOTES}*?]|\\(?:[\W_]|\Z)")
_FIELDISH = re.compile(rf"{lexer.NAME}:(?!//)")


def canonical(query: Query) -> str:
    """The text of the query with AND dropped, NOT written `-`, aliases resolved, and quotes only where needed.

    Empty for the query that fits everything.
    """
    return "" if isinstance(query.tree, Everything) else _node(query.tree)


def _node(node: Node, *, inside: bool = False) -> str:
    match node:
        case Everything():
            return "*"
        case Term(field, test):
            return _term(field, test)
        case Not(part):
            return "-" + _node(part, inside=True)
        case And(parts):
            text = " ".join(_node(part, inside=True) for part in parts)
        case Or(parts):
            if listed := _list(parts):
                return listed
            text = " OR ".join(_node(part, inside=isinstance(part, Or)) for part in parts)
    return f"({text})" if inside else text


def _list(parts: tuple[Node, ...]) -> str | None:
    """`type:(fp OR fu)` when all parts are values of one field."""
    names = {part.field if isinstance(part, Term) else ANYWHERE for part in parts}
    if len(names) != 1 or ANYWHERE in names:
        return None
    found = " OR ".join(_value(part.field, part.test, grouped=True) for part in parts if isinstance(part, Term))
    return f"{names.pop()}:({found})"


def _term(field: str, test: Test) -> str:
    if field != ANYWHERE:
        return f"{field}:{_value(field, test, grouped=False)}"
    assert isinstance(test, Contains)
    return _pattern(test.pattern, bare=True, grouped=False)


def _value(field: str, test: Test, *, grouped: bool) -> str:
    match test:
        case Exists():
            return "*"
        case Named(name):
            return name
        case Within(network):
            return str(network.network_address if network.num_addresses == 1 else network)
        case Equals(pattern) | Contains(pattern):
            return _pattern(pattern, bare=False, grouped=grouped)
        case Between():
            return _between(field, test)


def _between(field: str, test: Between) -> str:
    low, high = (None if bound is None else _bound(field, bound) for bound in (test.low, test.high))
    if low is None:
        return f"<{'=' if test.high_included else ''}{high}"
    if high is None:
        return f">{'=' if test.low_included else ''}{low}"
    if low == high and test.low_included and test.high_included and _has_one_kind(field):
        return low
    return f"{'[' if test.low_included else '{'}{low} TO {high}{']' if test.high_included else '}'}"


def _has_one_kind(field: str) -> bool:
    """Whether `field:value` is read as a range of one, and not as text or a network."""
    known = fields.BY_NAME.get(field)
    return known is not None and known.kind is not fields.Kind.IP


def _bound(field: str, bound: Bound) -> str:
    match bound:
        case Moment():
            return _moment(bound)
        case IPv4Address() | IPv6Address():
            return str(bound)
        case float():
            return str(bound).removesuffix(".0")
        case int():
            return SEVERITY_NAMES[bound] if field == "severity" else str(bound)


def _moment(point: Moment) -> str:
    if point.offset is not None:
        seconds = int(point.offset.total_seconds())
        unit = next(unit for unit in "wdhms" if seconds % values.UNITS[unit] == 0)
        return "now" if seconds == 0 else f"now{seconds // values.UNITS[unit]:+d}{unit}"
    if point.length >= timedelta(days=28):
        return point.first.date().isoformat()[:7]
    if point.length == timedelta(days=1):
        return point.first.date().isoformat()
    precision = {timedelta(minutes=1): "minutes", timedelta(seconds=1): "seconds"}.get(point.length, "microseconds")
    text = point.first.replace(tzinfo=None).isoformat(timespec=precision)
    return text + ("Z" if point.first.tzinfo is UTC else "")


def quoted(text: str) -> str:
    """The text in quotes, to be searched for as it is."""
    return '"' + re.sub(rf"([{lexer.QUOTES}\\])", r"\\\1", text) + '"'


def _pattern(pattern: Pattern, *, bare: bool, grouped: bool) -> str:
    literal = pattern.literal
    if literal is None:
        return _glob(pattern, bare=bare, grouped=grouped)
    return quoted(literal) if _needs_quotes(literal, bare=bare, grouped=grouped) else literal


def _needs_quotes(text: str, *, bare: bool, grouped: bool) -> bool:
    if not text or _QUOTED.search(text):
        return True
    if (bare or grouped) and (text in lexer.OPERATORS or text.startswith("-")):
        return True
    if bare:
        return bool(_FIELDISH.match(text)) or values.network(text) is not None
    return text[0] in "<>[{" or text.startswith("//")  # `field://` is text


def _glob(pattern: Pattern, *, bare: bool, grouped: bool) -> str:
    """A pattern with wildcards cannot be quoted; what is special in it is escaped."""
    parts = [
        _SPECIAL.sub(lambda found: "\\" + found.group(), part) if isinstance(part, str) else part.value
        for part in pattern.parts
    ]
    text = "".join(parts)
    if bare and (found := _FIELDISH.match(text)):
        return text[: found.end() - 1] + "\\" + text[found.end() - 1 :]
    first = ("-" if bare or grouped else "") + ("" if bare else "<>[{")
    return "\\" + text if text[0] in first or (not bare and text.startswith("//")) else text
