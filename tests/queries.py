"""Random queries by the thousand, from a seed: any text, and valid queries that are spelled in two ways.

Hypothesis shrinks better, but takes a hundred times as long; see tests/unit/analytics/test_random_queries.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conductor.core import fields

SIGNS = ("OR", "AND", "NOT", "or", "to", "TO", "-", "(", ")", '"', "“", "”", "\\", ":", "*", "?", ">", ">=", "<", "<=")
SIGNS += ("[", "]", "{", "}", "/", "|", ".", ",", "://", " ", " ", " ", "\t", "\n", "\u00a0", "\u2003", "\ud800", "\0")
NAMES = ("type:", "TYPE:", "ip:", "src_ip:", "user:", "asn:", "severity:", "date:", "is:", "has:", "saved:", "own:")
NAMES += ("event:", "details.x:", "usr:", "x:", "$a.b:", "detection:", "parsed:", "ts:", "city:")
VALUES = tuple(
    "a bob fp é ß ﬀ İ \u212a 日本 🦊 e\u0301 \u202e 5 5.0 -1 1e400 +7 0x1 ٣ '' 10.0.0.1 ::1 fe80::1%eth0 10.0.0.0/8 ::/0 "
    "::ffff:1.2.3.4 10.0.0.0/255.0.0.0 10.0.0.* now now-2h NOW+3d now-2ſ 2026-11 2026-11-20 2026-11-20T14:05Z 2026-02-30 "
    "0001-01-01 9999-12-31T23:59:59.999999+00:00 high HIGH self failure true false http://x.y/z".split()
)
PIECES = (SIGNS, NAMES, VALUES)

WORDS = tuple(r"bob fp auth-eu-1 a.b été 日本 x_y a:b C|1 5 1.5 user@example.com t0 \d -a //a".split())
NASTY = "ab1 Ré日\U0001f98a\u0301\"“”\\*?()[]{}<>:-+/.,;|&!'=~^%#@$\t\n\u00a0\u2028\0"
PATHS = ("details.request.method", "Details.X", "a.b.c", "$event_schema.version", "_id.x-y", "@t.z", "isMobile", "usr")
NUMBERS = ("0", "5", "64512", "-3", "+7", "100000")
DECIMALS = (*NUMBERS, "1.5", "1e3", "-0.25")
SEVERITIES = ("informational", "low", "medium", "high", "critical")
ADDRESSES = ("203.0.113.7", "10.0.0.1", "::1", "2001:db8::5", "::ffff:10.1.2.3", "0.0.0.0", "ffff::")
NETWORKS = ("10.0.0.0/8", "10.1.2.3/16", "2001:db8::/32", "::/0", "192.0.2.0/255.255.255.0", "::ffff:10.0.0.0/104")
TIMES = (("2026-11",), ("2026-11-20",), ("2026-02-28T23:59", "2026-02-28t23:59"), ("now",), ("NOW-2h", "now-120m"))
TIMES += (("now+14d", "now+2w"), ("2026-11-21T14:05Z", "2026-11-21T15:05+01:00"), ("1969-12-31T00:00:00.000001",))
TIMES += (("2026-11-21T14:05:06.5Z", "2026-11-21T14:05:06.500Z"),)
BRANCHING = (0.0, 0.1, 0.2, 0.7)  # how often a part is made of others, by the levels that are left
KINDS_OF_EVENTS = ("failure", "success", "attack", "admin-change", "self", "unparsed")


def text(rng: random.Random) -> str:
    """Up to 16 pieces of the language in any order, and now and then any characters at all."""
    if rng.random() < 0.05:
        return "".join(
            chr(rng.choice((rng.randrange(0x250), rng.randrange(0x110000)))) for _ in range(rng.randrange(30))
        )
    space = rng.choice(("", " "))
    return space.join(rng.choice(rng.choice(PIECES)) for _ in range(rng.randint(1, 16)))


@dataclass(frozen=True, slots=True)
class Valid:
    """A query in two spellings that mean the same."""

    one: str
    other: str


def valid(rng: random.Random) -> Valid:
    """A query by the grammar, three levels deep at the most."""
    node = _node(rng, len(BRANCHING) - 1)
    return Valid(_spelled(rng, node), _spelled(rng, node))


# Writes what is meant; how, is thrown anew each time.
Spelling = Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str  # "term", "not", "and", "or"
    parts: Sequence[_Node] = ()
    write: Spelling | None = None


def _node(rng: random.Random, depth: int) -> _Node:
    kind = rng.choice(("and", "and", "or", "not")) if rng.random() < BRANCHING[depth] else "term"
    if kind == "term":
        return _Node(kind, write=_values(rng) if rng.random() < 0.15 else _term(rng))
    count = 1 if kind == "not" else rng.randint(2, 3)
    return _Node(kind, [_node(rng, depth - 1) for _ in range(count)])


def _spelled(rng: random.Random, node: _Node, within: str = "") -> str:
    """The text of a node, in brackets where they are needed, and now and then where they are not."""
    if node.write is not None:
        found = node.write(rng)
    else:
        parts = [_spelled(rng, part, node.kind) for part in node.parts]
        found = _joined(rng, node.kind, parts)
    needed = (within == "and" and node.kind == "or") or (within == "not" and node.kind in ("and", "or"))
    return f"({found})" if needed or rng.random() < 0.1 else found


def _joined(rng: random.Random, kind: str, parts: Sequence[str]) -> str:
    if kind == "not":
        return rng.choice(("-", "NOT ")) + parts[0]
    if kind == "or":
        return " OR ".join(parts)
    return "".join(part + rng.choice((" ", " AND ", "  ", "\u00a0")) for part in parts[:-1]) + parts[-1]


def _values(rng: random.Random) -> Spelling:
    """`field:(a OR b)`, which may be written as `(field:a OR field:b)`."""
    field = rng.choice([field for field in fields.FIELDS if field.kind is fields.Kind.KEYWORD])
    texts = [_text(rng) for _ in range(rng.randint(2, 3))]
    sign = rng.choice((" OR ", " AND "))

    def write(rng: random.Random) -> str:
        if rng.random() < 0.5:
            return f"{_named(rng, field)}:({sign.join(text(rng) for text in texts)})"
        return f"({sign.join(f'{_named(rng, field)}:{text(rng)}' for text in texts)})"

    return write


def _named(rng: random.Random, field: fields.Field) -> str:
    """A field by its name or one of its others, in any case."""
    name = rng.choice((field.name, *field.aliases))
    return rng.choice((name, name, name.upper(), name.title()))


def _term(rng: random.Random) -> Spelling:
    if rng.random() < 0.3:
        return _bare(rng)
    if rng.random() < 0.2:
        return _special(rng)
    field = rng.choice(fields.FIELDS)
    value = _KINDS[field.kind](rng)
    return lambda rng: f"{_named(rng, field)}:{value(rng)}"


def _bare(rng: random.Random) -> Spelling:
    """A word, a phrase, a part of a word, an address, or everything."""
    which = rng.random()
    if which < 0.1:
        address = rng.choice(ADDRESSES + NETWORKS)
        return lambda rng: rng.choice(("", "ip:", "src_ip:")) + address
    if which < 0.15:
        return lambda rng: "*"
    if which < 0.2:
        return lambda rng: rng.choice(("http://x.y/z", '"http://x.y/z"'))
    return _text(rng, bare=True)


def _special(rng: random.Random) -> Spelling:
    """`is:`, `has:`, `saved:`, or a path into the raw event."""
    which = rng.randrange(4)
    if which == 0:
        name = rng.choice(KINDS_OF_EVENTS)
        return lambda rng: f"{rng.choice(('is', 'IS'))}:{rng.choice((name, name.upper()))}"
    if which == 1:
        field = rng.choice(fields.FIELDS)
        return lambda rng: rng.choice((f"has:{_named(rng, field)}", f"{_named(rng, field)}:*"))
    if which == 2:
        name = rng.choice(("Failed logins", 'a "b" c', "x\\y", "(a)"))
        return lambda rng: f"saved:{_quoted(rng, name)}"
    path = rng.choice(PATHS)
    value = _ordered(rng, [(number,) for number in DECIMALS]) if rng.random() < 0.3 else _text(rng)
    return lambda rng: f"{path}:{value(rng)}"


def _text(rng: random.Random, *, bare: bool = False) -> Spelling:
    """Text as a value: in quotes, bare with escapes, or with wildcards, which cannot be quoted."""
    if rng.random() < 0.25:
        return _pattern(rng, bare=bare)
    if rng.random() < 0.6:
        word = rng.choice(WORDS)
    else:
        word = "".join(rng.choice(NASTY) for _ in range(rng.randint(1, 6)))
        word = word if word.strip() else "a"

    def write(rng: random.Random) -> str:
        plain = word.replace("_", "").isalnum() and word.isascii() and word not in ("AND", "OR", "NOT")
        return word if plain and rng.random() < 0.5 else _quoted(rng, word)

    return write


def _quoted(rng: random.Random, word: str) -> str:
    begin, end = rng.choice(('""', '""', "“”"))
    return begin + "".join(f"\\{char}" if char in '"“”„‟\\' else char for char in word) + end


def _pattern(rng: random.Random, *, bare: bool) -> Spelling:
    parts = [rng.choice(("*", "?", "a", "bob", "é", "-", ":", ".", " ", '"', "\\", "(", "[", "*b")) for _ in range(3)]
    parts.insert(rng.randrange(4), rng.choice("*?"))
    written = "".join(part if part in ("*", "?") else _escaped(part) for part in parts)
    if "".join(parts).strip("*") == "" and bare:
        return lambda rng: "*"
    return lambda rng: written


def _escaped(part: str) -> str:
    return "".join(char if char.isalnum() else f"\\{char}" for char in part)


def _ordered(rng: random.Random, spellings: Sequence[Sequence[str]]) -> Spelling:
    """A value with an order: a comparison, or a range that may be open."""
    low, high = rng.choice(spellings), rng.choice(spellings)
    shape = rng.randrange(3)
    if shape == 0:
        included = rng.random() < 0.5
        return lambda rng: _above(rng, rng.choice(low), included=included)
    if shape == 1:
        included = rng.random() < 0.5
        return lambda rng: _below(rng, rng.choice(high), included=included)
    begin, end = rng.choice("[{"), rng.choice("]}")
    return lambda rng: f"{begin}{_bound(rng, rng.choice(low))} TO {_bound(rng, rng.choice(high))}{end}"


def _above(rng: random.Random, bound: str, *, included: bool) -> str:
    signs = f">={bound}" if included else f">{bound}"
    return rng.choice((signs, f"{'[' if included else '{'}{_bound(rng, bound)} TO *]"))


def _below(rng: random.Random, bound: str, *, included: bool) -> str:
    signs = f"<={bound}" if included else f"<{bound}"
    return rng.choice((signs, f"[* TO {_bound(rng, bound)}{']' if included else '}'}"))


def _bound(rng: random.Random, bound: str) -> str:
    return rng.choice((bound, f'"{bound}"'))


def _one_of(spellings: Sequence[Sequence[str]]) -> Callable[[random.Random], Spelling]:
    """Values with an order: one alone, or a range of them."""

    def choose(rng: random.Random) -> Spelling:
        if rng.random() < 0.5:
            return _ordered(rng, spellings)
        value = rng.choice(spellings)
        return lambda rng: _bound(rng, rng.choice(value))

    return choose


def _address(rng: random.Random) -> Spelling:
    if rng.random() < 0.4:
        return _ordered(rng, [(address,) for address in ADDRESSES])
    value = rng.choice((*ADDRESSES, *NETWORKS, "10.0.*", "*:1", "203.0.113.?"))
    return lambda rng: value


def _flag(rng: random.Random) -> Spelling:
    value = rng.choice(("true", "false"))
    return lambda rng: rng.choice((value, value.upper()))


_KINDS: dict[fields.Kind, Callable[[random.Random], Spelling]] = {
    fields.Kind.KEYWORD: _text,
    fields.Kind.TEXT: _text,
    fields.Kind.IP: _address,
    fields.Kind.NUMBER: _one_of([(number,) for number in NUMBERS]),
    fields.Kind.SEVERITY: _one_of([(name, name.upper()) for name in SEVERITIES]),
    fields.Kind.TIME: _one_of(TIMES),
    fields.Kind.FLAG: _flag,
}
