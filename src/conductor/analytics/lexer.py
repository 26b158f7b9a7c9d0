"""Cuts the text of a query into tokens.

Where a value stands (right after `field:`, after a comparison, inside `field:( … )`) a word may hold colons, and
`>`, `[` and `{` begin comparisons and ranges; elsewhere they are ordinary characters.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from conductor.analytics import values
from conductor.analytics.syntax import Pattern, QueryError, Wild

QUOTES = '"“”„‟'
OPERATORS = ("AND", "OR", "NOT")
NAME = r"[A-Za-z_$@][A-Za-z0-9_.$-]*"  # of a field

_FIELD = re.compile(rf"({NAME}):(?!//)")
_CHUNK = re.compile(rf"[^\s(){QUOTES}]+")
_PLAIN = re.compile(rf"[^\s(){QUOTES}*?\\]+")
_BOUND = rf"[{QUOTES}](?:\\.|[^{QUOTES}\\])*[{QUOTES}]|[^\s\]}}{QUOTES}]+"
_RANGE = re.compile(rf"[\[{{]\s*(?P<low>{_BOUND})\s+(?P<to>TO|to|To)\s+(?P<high>{_BOUND})\s*[\]}}]", re.DOTALL)
_NO_PATTERN = Pattern(("",))
_COMPARE = re.compile(r"[<>]=?")


class Kind(enum.Enum):
    """What a token is."""

    OPEN = "("
    CLOSE = ")"
    AND = "AND"
    OR = "OR"
    NOT = "NOT"
    MINUS = "-"
    FIELD = "field"
    COMPARE = "compare"
    RANGE = "range"
    PHRASE = "phrase"
    WORD = "word"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `pattern` is a word's or phrase's, `bounds` a range's, `text` the name or sign of others."""

    kind: Kind
    start: int
    end: int
    text: str = ""
    pattern: Pattern = _NO_PATTERN
    bounds: tuple[Token, ...] = ()


def tokens(text: str) -> list[Token]:
    """The tokens of the text, END last. Raises QueryError where a quote or range is not closed."""
    return _Lexer(text).run()


def closed(text: str) -> str:
    """The text with a quote added at its end, which a backslash before it cannot spoil."""
    odd = (len(text) - len(text.rstrip("\\"))) % 2
    return text + "\\" * odd + '"'


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: list[Token] = []
        self._groups: list[bool] = []  # for each open bracket: does it hold values?

    def run(self) -> list[Token]:
        while self._skip_space():
            self._found.append(self._next())
            self._at = self._found[-1].end
        self._found.append(Token(Kind.END, self._at, self._at))
        return self._found

    def _skip_space(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _next(self) -> Token:
        char = self._text[self._at]
        if char in "()":
            return self._bracket(char)
        if char in QUOTES:
            return self._phrase()
        if self._value_expected() and not self._follows(Kind.COMPARE):
            if char in "<>":
                return self._sign()
            if char in "[{":
                return self._range()
        if char == "-" and not self._attached():
            return self._minus()
        return self._word()

    def _follows(self, kind: Kind) -> bool:
        return bool(self._found) and self._found[-1].kind is kind

    def _attached(self) -> bool:
        """Whether a value must begin right here."""
        return self._follows(Kind.COMPARE) or (self._follows(Kind.FIELD) and self._found[-1].end == self._at)

    def _value_expected(self) -> bool:
        return self._attached() or self._follows(Kind.FIELD) or bool(self._groups and self._groups[-1])

    def _bracket(self, char: str) -> Token:
        if char == "(":
            self._groups.append(self._value_expected())
            return Token(Kind.OPEN, self._at, self._at + 1)
        if self._groups:
            self._groups.pop()
        return Token(Kind.CLOSE, self._at, self._at + 1)

    def _phrase(self) -> Token:
        found: list[str] = []
        at = self._at + 1
        while at < len(self._text):
            if self._text[at] in QUOTES:
                return Token(Kind.PHRASE, self._at, at + 1, pattern=Pattern(("".join(found),)))
            step = 2 if self._escaped(at) else 1
            found.append(self._text[at + step - 1])
            at += step
        message = 'The quote opened here is never closed. Add `"` at the end.'
        raise QueryError(message, self._at, self._at + 1, closed(self._text))

    def _escaped(self, at: int) -> bool:
        """Whether a backslash here takes the meaning of the next character; before letters it is a plain character."""
        return self._text[at] == "\\" and at + 1 < len(self._text) and not self._text[at + 1].isalnum()

    def _sign(self) -> Token:
        found = _COMPARE.match(self._text, self._at)
        assert found is not None
        return Token(Kind.COMPARE, self._at, found.end(), found.group())

    def _range(self) -> Token:
        found = _RANGE.match(self._text, self._at)
        if found is None:
            end = self._chunk_end()
            raise QueryError("A range has two ends: `[low TO high]`. Use `*` for an open end.", self._at, end)
        if found["to"] != "TO":
            fix = self._text[: found.start("to")] + "TO" + self._text[found.end("to") :]
            raise QueryError("Write `TO` in capitals in a range: `[low TO high]`.", *found.span("to"), fix)
        bounds = tuple(_bound(found[name], found.start(name)) for name in ("low", "high"))
        return Token(Kind.RANGE, self._at, found.end(), found.group()[0] + found.group()[-1], bounds=bounds)

    def _chunk_end(self) -> int:
        found = _CHUNK.match(self._text, self._at)
        return found.end() if found else self._at + 1

    def _minus(self) -> Token:
        after = self._text[self._at + 1 : self._at + 2]
        if not after or after.isspace() or after == ")":
            raise QueryError("`-` needs something after it, for example `-type:fu`.", self._at, self._at + 1)
        return Token(Kind.MINUS, self._at, self._at + 1)

    def _word(self) -> Token:
        inside = self._attached() or bool(self._groups and self._groups[-1])
        if not inside and (found := _FIELD.match(self._text, self._at)) and not self._is_address():
            return Token(Kind.FIELD, self._at, found.end(), found.group(1))
        word = self._read_word()
        if not self._attached() and self._text[self._at : word.end] in OPERATORS:
            return Token(Kind(self._text[self._at : word.end]), self._at, word.end)
        return word

    def _is_address(self) -> bool:
        return values.network(self._text[self._at : self._chunk_end()]) is not None

    def _read_word(self) -> Token:
        parts: list[str | Wild] = []
        at = self._at
        while at < len(self._text) and not self._text[at].isspace() and self._text[at] not in "()":
            if plain := _PLAIN.match(self._text, at):
                _append(parts, plain.group(), escaped=True)
                at = plain.end()
                continue
            if self._text[at] in QUOTES:
                message = 'A quote in the middle of a value. Put the whole value in quotes, or escape it as `\\"`.'
                raise QueryError(message, at, at + 1)
            step = 2 if self._escaped(at) else 1
            _append(parts, self._text[at + step - 1], escaped=step == 2)
            at += step
        return Token(Kind.WORD, self._at, at, self._text[self._at : at], pattern=Pattern(tuple(parts)))


def _append(parts: list[str | Wild], text: str, *, escaped: bool) -> None:
    if not escaped and text in "*?":
        wild = Wild(text)
        if not (wild is Wild.ANY and parts and parts[-1] is Wild.ANY):
            parts.append(wild)
    elif parts and isinstance(parts[-1], str):
        parts[-1] += text
    else:
        parts.append(text)


def _bound(text: str, start: int) -> Token:
    plain = re.sub(r"\\(\W)", r"\1", text[1:-1]) if text[0] in QUOTES else text
    return Token(Kind.WORD, start, start + len(text), plain, pattern=Pattern((plain,)))
