"""The tree a query is parsed into, and the words said about a query that is not right."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from conductor.core import errors

ANYWHERE = ""  # the field of a bare word
MOST_INSERTED, DEEPEST_INSERTED = 400, 5  # terms that saved searches put in, and levels of them
SAVED = "saved"  # stands for the query of a saved search, by its name

IS_NAMES = ("failure", "success", "attack", "admin-change", "self", "unparsed")


class QueryError(errors.Refused):
    """The query cannot be run; `start` and `end` mark where, `fix` is the whole text put right, if we can tell."""

    code = "query.invalid"

    def __init__(self, message: str, start: int, end: int, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Hint:
    """Advice on a query that runs all the same; `fix` is the whole text changed as advised, `label` its button."""

    message: str
    start: int
    end: int
    fix: str | None = None
    label: str = "Fix"


class Wild(enum.Enum):
    """A part of a pattern that stands for other text."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text as typed, cut at its wildcards. Without wildcards it has one part, the text."""

    parts: tuple[str | Wild, ...]

    @property
    def literal(self) -> str | None:
        """The text when there is no wildcard in it."""
        first = self.parts[0]
        return first if len(self.parts) == 1 and isinstance(first, str) else None


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as typed: an offset from now, or the span a date or time covers (a day, a minute, an instant).

    Times without a zone stay naive, for the zone of the reader is known only when the query is compiled.
    """

    offset: timedelta | None = None
    first: datetime = datetime.min
    length: timedelta = timedelta(0)


Bound = int | Moment | IPv4Address | IPv6Address | float


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value."""


@dataclass(frozen=True, slots=True)
class Equals:
    """The whole value fits the pattern."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Contains:
    """The words of the pattern stand in the text, next to each other and in order."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Between:
    """The value lies between two bounds; None is open. Equal bounds, both included, mean that very value."""

    low: Bound | None
    high: Bound | None
    low_included: bool = True
    high_included: bool = True


@dataclass(frozen=True, slots=True)
class Within:
    """The address lies in the network; a single address is a network of one."""

    network: IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Named:
    """One of the kinds of events of `is:`."""

    name: str


Test = Exists | Equals | Contains | Between | Within | Named


@dataclass(frozen=True, slots=True)
class Everything:
    """Fits every event."""


@dataclass(frozen=True, slots=True)
class Term:
    """One test of one field: a name of `conductor.core.fields`, `is`, ANYWHERE, or else a dotted path into the raw."""

    field: str
    test: Test


@dataclass(frozen=True, slots=True)
class Not:
    """What the part does not fit."""

    part: Node


@dataclass(frozen=True, slots=True)
class And:
    """What all parts fit; at least two, none of them an And."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """What any part fits; at least two, none of them an Or."""

    parts: tuple[Node, ...]


Node = Everything | Term | Not | And | Or


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. Two texts that mean the same by the rules of canonical text have equal trees."""

    tree: Node
    hints: tuple[Hint, ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The fields asked about; with `date` among them the picker's time range is narrowed."""
        return frozenset(term.field for term in terms(self.tree))


def both(parts: list[Node]) -> Node:
    """All of the parts, flattened; `*` adds nothing to others."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
    kept = [part for part in flat if not isinstance(part, Everything)]
    if not kept:
        return Everything()
    return kept[0] if len(kept) == 1 else And(tuple(kept))


def either(parts: list[Node]) -> Node:
    """Any of the parts, flattened."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negate(part: Node) -> Node:
    """The opposite; twice is none."""
    return part.part if isinstance(part, Not) else Not(part)


def inserted(query: Query, lookup: Callable[[str], Node]) -> Query:
    """The query with each `saved:` replaced by the query that `lookup` knows under its name.

    Raises QueryError for one that leads to itself, for too many, and what `lookup` raises.
    """
    left = MOST_INSERTED

    def put_in(node: Node, within: tuple[str, ...]) -> Node:
        nonlocal left
        match node:
            case Term(field, Equals(pattern)) if field == SAVED:
                name = (pattern.literal or "").casefold()
                if name in within:
                    raise QueryError(f"`saved:{pattern.literal}` leads to itself.", 0, 0)
                found = lookup(pattern.literal or "")
                left -= sum(1 for _ in terms(found))
                if left < 0 or len(within) >= DEEPEST_INSERTED:
                    raise QueryError("Too much is put in by `saved:`. Use fewer saved searches in one another.", 0, 0)
                return put_in(found, (*within, name))
            case Not(part):
                return negate(put_in(part, within))
            case And(parts):
                return both([put_in(part, within) for part in parts])
            case Or(parts):
                return either([put_in(part, within) for part in parts])
            case _:
                return node

    return Query(put_in(query.tree, ()), query.hints)


def terms(node: Node) -> Iterator[Term]:
    """Every term of the tree, from left to right."""
    match node:
        case Term():
            yield node
        case Not(part):
            yield from terms(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from terms(part)
        case Everything():
            return
