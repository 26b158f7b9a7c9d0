"""The search language: text → syntax tree, with messages that say where and how to mend.

A query is words and `field:value` terms joined by AND (or a space), OR and NOT (or `-`). See
docs/reference/search-language.md for the language, and `conductor.analytics.compile` for what becomes of the tree.
"""

from __future__ import annotations

import difflib
import re
from typing import NoReturn

from conductor.analytics import lexer, meaning
from conductor.analytics.canonical import canonical
from conductor.analytics.lexer import Kind, Token
from conductor.analytics.syntax import (
    ANYWHERE,
    SAVED,
    Equals,
    Everything,
    Exists,
    Hint,
    Node,
    Query,
    QueryError,
    Term,
    Wild,
    both,
    either,
    negate,
)
from conductor.core import fields

__all__ = ["LONGEST", "Hint", "Query", "QueryError", "canonical", "parse"]

LONGEST = 8_000  # characters
_MOST_TERMS = 200
_OURS = ("is", "has", SAVED)  # before a colon, and no fields
_DEEPEST = 40  # levels of brackets and negations

_EXAMPLES = {
    "date": ">=now-2h",
    "ingested": ">=now-2h",
    "event": '"Success Login"',
    "integration": "prod-eu",
    "category": '"auth failure"',
    "severity": ">=high",
    "outcome": "failure",
    "description": "password",
    "user_name": "ana@example.com",
    "ip": "203.0.113.7",
    "user_agent": "curl",
    "country": "DE",
    "asn": ">=64512",
    "own": "true",
    "parsed": "false",
    "is": "failure",
    "has": "ip",
    "saved": '"Failed logins"',
}


def parse(text: str) -> Query:
    """The tree of the text, with hints. Raises QueryError for text that is not a query."""
    if len(text) > LONGEST:
        message = f"This query has {len(text):,} characters. The most is {LONGEST:,}."
        raise QueryError(message, LONGEST, len(text))
    return _Parser(re.sub("[\ud800-\udfff]", "\ufffd", text)).run()


class _Parser:
    """Recursive descent over the tokens. `field` is the field whose value group we are in, as the user wrote it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = lexer.tokens(text)
        self._at = 0
        self._terms = 0
        self._hints: list[Hint] = []

    def run(self) -> Query:
        if self._sees(Kind.END):
            return Query(Everything())
        tree = self._or(0)
        if self._sees(Kind.CLOSE):
            _refuse_close(self._now)
        return Query(tree, tuple(self._hints))

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _sees(self, *kinds: Kind) -> bool:
        return self._now.kind in kinds

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _or(self, level: int, field: str | None = None) -> Node:
        parts = [self._and(level, field)]
        while self._sees(Kind.OR):
            operator = self._take()
            self._need_operand(operator)
            parts.append(self._and(level, field))
        return either(parts)

    def _and(self, level: int, field: str | None) -> Node:
        start = self._now.start
        parts = [self._unary(level, field)]
        while not self._sees(Kind.OR, Kind.CLOSE, Kind.END):
            if self._sees(Kind.AND):
                self._need_operand(self._take())
            parts.append(self._unary(level, field))
        if field is not None:
            self._advise_or(field, parts, start)
        return both(parts)

    def _need_operand(self, operator: Token) -> None:
        if self._sees(Kind.CLOSE, Kind.END):
            sign = operator.kind.value
            message = f"`{sign}` needs something after it, for example `{sign} type:fu`."
            raise QueryError(message, operator.start, operator.end)

    def _unary(self, level: int, field: str | None) -> Node:
        if level > _DEEPEST:
            message = f"This query has more than {_DEEPEST} levels of brackets and negations."
            raise QueryError(message, self._now.start, self._now.end)
        if self._sees(Kind.NOT, Kind.MINUS):
            operator = self._take()
            self._need_operand(operator)
            return negate(self._unary(level + 1, field))
        return self._primary(level, field)

    def _primary(self, level: int, field: str | None) -> Node:
        token = self._take()
        match token.kind:
            case Kind.OPEN:
                return self._group(token, level, field)
            case Kind.AND | Kind.OR:
                self._refuse_operator(token)
            case Kind.FIELD:
                return self._field_term(token, level)
            case Kind.CLOSE | Kind.END:
                _refuse_close(token)
        return self._count(self._bare(token) if field is None else self._value(field, token))

    def _refuse_operator(self, token: Token) -> NoReturn:
        word = token.kind.value
        message = f'`{word}` needs something before it. To search for the word, put it in quotes: "{word}".'
        raise QueryError(message, token.start, token.end, self._replaced(token, f'"{word}"'))

    def _group(self, opened: Token, level: int, field: str | None) -> Node:
        if self._sees(Kind.CLOSE):
            raise QueryError("There is nothing between these brackets.", opened.start, self._now.end)
        if self._sees(Kind.END):
            self._refuse_open(opened)
        inside = self._or(level + 1, field)
        if not self._sees(Kind.CLOSE):
            self._refuse_open(opened)
        self._take()
        return inside

    def _refuse_open(self, opened: Token) -> NoReturn:
        message = "The bracket opened here is never closed. Add `)` at the end."
        raise QueryError(message, opened.start, opened.end, self._text + ")")

    def _count(self, node: Node) -> Node:
        self._terms += 1
        if self._terms > _MOST_TERMS:
            token = self._tokens[self._at - 1]
            raise QueryError(f"This query has more than {_MOST_TERMS} terms.", token.start, token.end)
        return node

    def _bare(self, token: Token) -> Node:
        if token.pattern.parts == (Wild.ANY,):
            return Everything()
        if token.kind is Kind.WORD and token.text in ("or", "and", "not"):
            word = token.text.upper()
            message = f'Searching for the word "{token.text}". For the operator, use capitals: {word}.'
            self._hints.append(Hint(message, token.start, token.end, self._replaced(token, word)))
        return meaning.value(ANYWHERE, "", token)

    def _field_term(self, token: Token, level: int) -> Node:
        written = token.text
        _refuse_later(token)
        if self._sees(Kind.OPEN):
            self._check_name(token)
            return self._group(self._take(), level, written)
        if not self._sees(Kind.WORD, Kind.PHRASE, Kind.COMPARE, Kind.RANGE):
            self._refuse_empty(token)
        self._check_name(token)
        return self._count(self._value(written, self._take()))

    def _refuse_empty(self, token: Token) -> NoReturn:
        name = token.text
        example = _EXAMPLES.get(field_name(name), "fp" if field_name(name) == "type" else "value")
        message = f"Add a value after `{name}:`, for example `{name}:{example}`."
        if name.lower() not in _OURS:
            message += f" To find events where it is set, use `{name}:*`."
        raise QueryError(message, token.start, token.end)

    def _value(self, written: str, token: Token) -> Node:
        field = field_name(written)
        if token.kind is Kind.COMPARE:
            if not self._sees(Kind.WORD, Kind.PHRASE):
                raise QueryError(f"`{token.text}` needs a value after it.", token.start, token.end)
            return meaning.compared(field, written, token, self._take())
        if field == "has":
            return self._has(token)
        if field == SAVED and not token.pattern.literal:
            message = '`saved:` needs the name of a saved search, for example `saved:"Failed logins"`.'
            raise QueryError(message, token.start, token.end)
        if token.kind is Kind.RANGE:
            return meaning.ranged(field, written, token)
        return meaning.value(field, written, token)

    def _has(self, token: Token) -> Node:
        literal = token.pattern.literal
        if not literal or literal.lower() in _OURS or not re.fullmatch(lexer.NAME, literal):
            raise QueryError("`has:` needs the name of a field, for example `has:ip`.", token.start, token.end)
        self._check_name(Token(Kind.FIELD, token.start, token.end, literal))
        return Term(field_name(literal), Exists())

    def _check_name(self, token: Token) -> None:
        """Hints at a name that is no field; it is then a key of the raw event."""
        name = token.text
        if field_name(name) in fields.BY_NAME or name.lower() in _OURS or "." in name:
            return
        message = f"There is no field called `{name}`."
        near = difflib.get_close_matches(name.lower(), fields.BY_NAME, n=1, cutoff=0.7)
        if near:
            start, end = token.start, token.start + len(name)
            fix = self._text[:start] + near[0] + self._text[end:]
            message += f" Did you mean `{near[0]}`?"
            self._hints.append(Hint(message, start, end, fix, f"Use `{near[0]}`"))
        else:
            message += " Searching the raw event for a key of that name."
            self._hints.append(Hint(message, token.start, token.end))

    def _advise_or(self, written: str, parts: list[Node], start: int) -> None:
        """Hints when several whole values of one field are asked for at once."""
        known = fields.BY_NAME.get(field_name(written))
        if known is None or known.kind is not fields.Kind.KEYWORD or len(parts) < 2:
            return
        if all(isinstance(p, Term) and isinstance(p.test, Equals) and p.test.pattern.literal for p in parts):
            end = self._tokens[self._at - 1].end
            words = [token for token in self._tokens if start <= token.start < end and token.kind is not Kind.AND]
            joined = " OR ".join(self._text[word.start : word.end] for word in words)
            message = f"`{written}` has one value per event, so asking for all of these matches nothing. Use OR."
            self._hints.append(Hint(message, start, end, self._text[:start] + joined + self._text[end:]))

    def _replaced(self, token: Token, by: str) -> str:
        return self._text[: token.start] + by + self._text[token.end :]


def field_name(written: str) -> str:
    """The name of the field an alias stands for, in any case; other names are keys of the raw event, and stay."""
    lower = written.lower()
    if lower in _OURS:
        return lower
    known = fields.BY_NAME.get(lower)
    return known.name if known else written


def _refuse_close(token: Token) -> NoReturn:
    message = "There is a `)` here with no matching `(`. Remove it, or add `(` earlier."
    raise QueryError(message, token.start, token.end)


def _refuse_later(token: Token) -> None:
    name = token.text.lower()
    if name == "detection":
        message = f"Searching by `{name}:` is not available yet. To search for the text, put it in quotes."
        raise QueryError(message, token.start, token.end)
