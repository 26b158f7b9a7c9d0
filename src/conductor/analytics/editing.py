"""Changes to a query that are made by a click: its terms as chips, and a value put in, kept out or asked for alone."""

from __future__ import annotations

from dataclasses import dataclass

from conductor.analytics.canonical import canonical, quoted
from conductor.analytics.query import parse
from conductor.analytics.syntax import And, Everything, Node, Query, both, negate
from conductor.core import fields

INCLUDE, EXCLUDE, ONLY = "include", "exclude", "only"
_BARE = (fields.Kind.SEVERITY, fields.Kind.NUMBER, fields.Kind.FLAG, fields.Kind.IP)


@dataclass(frozen=True, slots=True)
class Chip:
    """One of the terms that all must fit, and the query without it."""

    text: str
    without: str


def chips(query: Query) -> list[Chip]:
    """The query's terms, each by itself; one chip where they are joined by OR."""
    parts = _parts(query.tree)
    rest = [both([*parts[:at], *parts[at + 1 :]]) for at in range(len(parts))]
    return [Chip(_text(part), _text(others)) for part, others in zip(parts, rest, strict=True)]


def parts(query: Query) -> list[Query]:
    """Each of the terms that all must fit as a query of its own."""
    return [Query(part) for part in _parts(query.tree)]


def term(field: str, value: str) -> str:
    """The term for a value of a field; for the empty one, that it is missing."""
    if not value:
        return f"-{field}:*"
    known = fields.BY_NAME.get(field)
    bare = known is not None and known.kind in _BARE and not set(value) & set(' "')
    return f"{field}:{value if bare else quoted(value)}"


def changed(query: Query, field: str, value: str, how: str) -> str:
    """The query's text when a value is included, excluded or asked for alone."""
    found = parse(term(field, value)).tree
    if how == EXCLUDE:
        found = negate(found)
    kept = [] if how == ONLY else [part for part in _parts(query.tree) if part not in (found, negate(found))]
    return _text(both([*kept, found]))


def _parts(tree: Node) -> list[Node]:
    if isinstance(tree, Everything):
        return []
    return list(tree.parts) if isinstance(tree, And) else [tree]


def _text(node: Node) -> str:
    return canonical(Query(node))
