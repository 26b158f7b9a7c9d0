"""A reader for JSON that a strict parser refuses, so that one odd record never costs a page.

Lone surrogates, invalid UTF-8, NaN, numbers of thousands of digits, control characters and nesting without end all
come through. It follows only strings and brackets, in linear time and without recursion, and believes the rest; it
is about a hundred times slower than msgspec and is asked only when msgspec has given up. Most odd records are good JSON
whose values have other types than usual: there msgspec cuts the object, and only what the values mean is told here.
"""

from __future__ import annotations

import json
import re

import msgspec

REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_JSON = json.JSONDecoder(strict=False)
_SPACE = b" \t\r\n"
_OPENING = b"[{"
_QUOTE = ord('"')
_COMMA = ord(",")
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(_STRING + rb'|["\[\]{},]', re.DOTALL)
_MEMBER = re.compile(rb"(" + _STRING + rb")[ \t\r\n]*:[ \t\r\n]*(.+)", re.DOTALL)


class Malformed(ValueError):
    """It is not the array or object that was expected."""


class Truncated(ValueError):
    """It ends too early."""


def elements(data: bytes) -> list[bytes]:
    """The exact bytes of each element of an array. Raises Malformed, Truncated."""
    return _pieces(data, b"[", b"]")


def members(data: bytes) -> dict[str, bytes]:
    """The exact bytes of each value of an object; of a repeated name the last. Raises Malformed, Truncated."""
    try:
        return {name: bytes(value) for name, value in _OBJECT.decode(data).items()}
    except REFUSED:
        return cut(data)


def cut(data: bytes) -> dict[str, bytes]:
    """The same, without msgspec, for what it refuses."""
    return dict(_member(piece) for piece in _pieces(data, b"{", b"}"))


def text(value: bytes) -> str:
    """A value as text that UTF-8 can encode: a string's content, nothing for null, else the JSON as it stands."""
    if value in (b"null", b"{}", b"[]"):
        return ""
    if value.startswith(b'"'):
        return _content(value)
    return value.decode("utf-8", "replace")


def words(value: bytes) -> str:
    """Like `text`, an array's elements joined by spaces."""
    if not value.startswith(b"["):
        return text(value)
    return " ".join(filter(None, map(text, elements(value))))


def clean(value: str) -> str:
    """The same text with U+FFFD for each lone surrogate, so that it can be encoded."""
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _member(piece: bytes) -> tuple[str, bytes]:
    match = _MEMBER.fullmatch(piece)
    if match is None:
        raise Malformed("a name and a value were expected")
    return text(match[1]), match[2]


def _content(value: bytes) -> str:
    decoded = value.decode("utf-8", "replace")
    try:
        return clean(_JSON.decode(decoded))
    except ValueError:
        return decoded[1:-1]


def _pieces(data: bytes, opening: bytes, closing: bytes) -> list[bytes]:
    begin = len(data) - len(data.lstrip(_SPACE))
    if begin == len(data):
        raise Truncated("nothing there")
    if not data.startswith(opening, begin):
        raise Malformed(f"{opening.decode()} was expected")
    *commas, end = _marks(data, begin)
    if data[end : end + 1] != closing or data[end + 1 :].strip(_SPACE):
        raise Malformed(f"{closing.decode()} was expected at the end")
    starts = [begin, *commas]
    return _trimmed([data[start + 1 : stop] for start, stop in zip(starts, [*commas, end], strict=True)])


def _marks(data: bytes, begin: int) -> list[int]:
    """Where the outermost container's commas are, and last where it ends."""
    depth = 0
    marks: list[int] = []
    for token in _TOKEN.finditer(data, begin):
        start, end = token.span()
        byte = data[start]
        if byte == _QUOTE:
            if end == start + 1:
                break
        elif byte == _COMMA:
            if depth == 1:
                marks.append(start)
        else:
            depth += 1 if byte in _OPENING else -1
            if depth == 0:
                return [*marks, start]
    raise Truncated("the end is missing")


def _trimmed(pieces: list[bytes]) -> list[bytes]:
    trimmed = [piece.strip(_SPACE) for piece in pieces]
    if trimmed == [b""]:
        return []
    if not all(trimmed):
        raise Malformed("a value is missing")
    return trimmed
