"""What a value means for its field: a token becomes a test, or a message."""

from __future__ import annotations

from typing import NoReturn

from conductor.analytics import values
from conductor.analytics.lexer import Kind, Token
from conductor.analytics.syntax import (
    ANYWHERE,
    IS_NAMES,
    Between,
    Bound,
    Contains,
    Equals,
    Exists,
    Named,
    Node,
    Not,
    QueryError,
    Term,
    Test,
    Wild,
    Within,
    negate,
)
from conductor.core import artifact, fields

_FLAGS = {("own", True): "self", ("own", False): "-self", ("parsed", True): "-unparsed", ("parsed", False): "unparsed"}
_ADDRESS_CHARACTERS = frozenset("0123456789abcdefABCDEF.:")


def value(field: str, written: str, token: Token) -> Node:
    """A word or phrase as the value of a field, which the user wrote as `written`. Raises QueryError."""
    if field == ANYWHERE:
        return _anywhere(token)
    if field == "is":
        return Term(field, _named(token))
    if token.kind is Kind.WORD and token.pattern.parts == (Wild.ANY,):
        return Term(field, Exists())
    if token.pattern.literal == "":
        return Not(Term(field, Exists()))
    known = fields.BY_NAME.get(field)
    match known.kind if known else None:
        case fields.Kind.FLAG:
            return _flag(field, written, token)
        case fields.Kind.TEXT:
            return Term(field, Contains(token.pattern))
        case fields.Kind.IP:
            return Term(field, _address(token))
        case fields.Kind.NUMBER | fields.Kind.SEVERITY | fields.Kind.TIME:
            bound = _bound(field, written, token)
            return Term(field, Between(bound, bound))
        case _:
            return Term(field, Equals(token.pattern))


def compared(field: str, written: str, sign: Token, token: Token) -> Node:
    """A value with `>`, `>=`, `<` or `<=` before it. Raises QueryError."""
    _check_ordered(field, written, f"`{sign.text}` works", sign)
    bound = _bound(field, written, token)
    included = sign.text.endswith("=")
    if sign.text[0] == ">":
        return Term(field, Between(bound, None, low_included=included))
    return Term(field, Between(None, bound, high_included=included))


def ranged(field: str, written: str, token: Token) -> Node:
    """A range, with `*` for an open end. Raises QueryError."""
    _check_ordered(field, written, "A range works", token)
    low, high = (None if bound.text == "*" else _bound(field, written, bound) for bound in token.bounds)
    if low is None and high is None:
        return Term(field, Exists())
    low_included = low is None or token.text[0] == "["
    high_included = high is None or token.text[1] == "]"
    return Term(field, Between(low, high, low_included, high_included))


def _anywhere(token: Token) -> Node:
    literal = token.pattern.literal
    if token.kind is Kind.WORD and literal is not None and (found := values.network(literal)):
        return Term("ip", Within(found))
    if literal is not None and not literal.strip():
        raise QueryError("There is nothing between the quotes. Type a word, or remove them.", token.start, token.end)
    return Term(ANYWHERE, Contains(token.pattern))


def _named(token: Token) -> Named:
    name = _text(token).lower()
    if name not in IS_NAMES:
        message = f"`{_text(token)}` is not known to `is:`. Use one of: {', '.join(IS_NAMES)}."
        raise QueryError(message, token.start, token.end)
    return Named(name)


def _flag(field: str, written: str, token: Token) -> Node:
    found = values.flag(_text(token))
    if found is None:
        message = f"`{_text(token)}` is neither true nor false. Use `{written}:true` or `{written}:false`."
        raise QueryError(message, token.start, token.end)
    name = _FLAGS[field, found]
    term = Term("is", Named(name.lstrip("-")))
    return negate(term) if name.startswith("-") else term


def _address(token: Token) -> Test:
    literal = token.pattern.literal
    if literal is None:
        text = "".join(part for part in token.pattern.parts if isinstance(part, str))
        if _ADDRESS_CHARACTERS.issuperset(text):
            return Equals(token.pattern)
    elif found := values.network(literal):
        return Within(found)
    _refuse_address(_text(token), token)


def _refuse_address(text: str, token: Token) -> NoReturn:
    before, slash, _ = text.partition("/")
    if slash and (found := values.address(before)):
        message = f"`{text}` is not a valid network: the number after `/` must be 0–{found.max_prefixlen}."
    else:
        message = (
            f"`{text}` is not an IP address or network. Use `ip:203.0.113.7`, `ip:10.0.0.0/8` or `ip:203.0.113.*`."
        )
    raise QueryError(message, token.start, token.end)


def _check_ordered(field: str, written: str, what: str, token: Token) -> None:
    known = fields.BY_NAME.get(field)
    if field == "is" or (known and known.kind in (fields.Kind.KEYWORD, fields.Kind.TEXT, fields.Kind.FLAG)):
        message = f"{what} for numbers, severities, times and addresses; `{written}` is none of them."
        raise QueryError(message, token.start, token.end)


def _bound(field: str, written: str, token: Token) -> Bound:
    text = _text(token)
    known = fields.BY_NAME.get(field)
    found: Bound | None
    match known.kind if known else None:
        case fields.Kind.SEVERITY:
            found, message = values.severity(text), _not_a_severity(text)
        case fields.Kind.TIME:
            found, message = values.moment(text), _not_a_time(text)
        case fields.Kind.IP:
            found = values.address(text)
            if found is None:
                _refuse_address(text, token)
            return found
        case fields.Kind.NUMBER:
            found, message = values.integer(text), _not_a_number(text, written, 64512)
        case _:
            found, message = values.number(text), _not_a_number(text, written, 10)
    if found is None:
        raise QueryError(message, token.start, token.end)
    return found


def _not_a_severity(text: str) -> str:
    return f"`{text}` is not a severity. Use one of: {', '.join(artifact.SEVERITY_NAMES)}."


def _not_a_time(text: str) -> str:
    return f"`{text}` is not a time. Use `2026-11-21`, `2026-11-21T14:05Z` or `now-2h`."


def _not_a_number(text: str, written: str, example: int) -> str:
    return f"`{text}` is not a number. Use one such as `{written}:{example}` or `{written}:>={example}`."


def _text(token: Token) -> str:
    literal = token.pattern.literal
    return token.text if literal is None else literal
