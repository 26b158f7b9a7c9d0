r"""Whole words in text, as conditions a ClickHouse text index can answer.

A word is a run of ASCII letters and digits and of any other non-ASCII characters, as the tokenizer `splitByNonAlpha`
cuts it; text with punctuation inside is several words next to each other. The index answers `hasToken` without reading
the column, and picks the granules for `hasPhrase` and `LIKE`, also when indexed expressions are joined by OR. They
must be written `lower(column)`, as in the index. That lowers ASCII only; so for other letters the raw is searched for
each likely spelling: small, capital, capitalized, and the same as JSON escapes (`\u00e9`).

Known limit: in raw JSON a word right after an escape (`\nword`) is a part of another word (`nword`). The columns
`event` and `description`, which are searched too, do not have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from conductor.analytics.syntax import Pattern, Wild

Bind = Callable[[object, str], str]  # a value and its ClickHouse type → the placeholder

_JSON = "raw"  # the one column that holds JSON
_WORD = re.compile(r"[0-9A-Za-z\x80-\U0010ffff]+")
_RUN = re.compile(r"[0-9a-z]{4,}")  # shorter ones the index does not look up
_EDGE = r"[\x00-/:-@\[-`{-\x7f]"  # ASCII that is not of a word
_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}  # what ClickHouse's lower() does


def contains(columns: Sequence[str], pattern: Pattern, bind: Bind) -> str:
    """The condition that the words of the pattern stand in one of the columns, next to each other."""
    return " OR ".join(_stands_in(column, pattern, bind) for column in columns)


def split(text: str) -> list[str]:
    """The words of the text, as the tokenizer cuts it."""
    return _WORD.findall(text)


def spellings(text: str, *, is_json: bool) -> list[str]:
    """The ways a text may be written where only ASCII is compared without regard to case."""
    lower = text.lower()
    if not is_json:
        return [lower]
    cases = [case for case in (lower, text.upper(), text.capitalize(), text.title()) if case.lower() == lower]
    escaped = [json.dumps(case)[1:-1] for case in cases]
    halfway = [json.dumps(case, ensure_ascii=False)[1:-1] for case in cases]
    return list(dict.fromkeys(case.translate(_TO_LOWER) for case in (*cases, *halfway, *escaped)))


def _stands_in(column: str, pattern: Pattern, bind: Bind) -> str:
    haystack, literal = _haystack(column, pattern), pattern.literal
    if literal is None:
        return _matches(haystack, pattern, bind, is_json=column == _JSON)
    found = dict.fromkeys(" ".join(split(text)) or text for text in spellings(literal, is_json=column == _JSON))
    return " OR ".join(_has(haystack, text, bind) for text in found)


def _has(haystack: str, text: str, bind: Bind) -> str:
    words = split(text)
    if not words:
        return f"position({haystack}, {bind(text, 'String')}) > 0"
    return f"{'hasToken' if len(words) == 1 else 'hasPhrase'}({haystack}, {bind(text, 'String')})"


def _matches(haystack: str, pattern: Pattern, bind: Bind, *, is_json: bool) -> str:
    """The regular expression, and before it the longest run of letters, which the index can look up."""
    runs = [run for part in pattern.parts if isinstance(part, str) for run in _RUN.findall(part.lower())]
    if runs and pattern.parts == (Wild.ANY, runs[0], Wild.ANY):  # a part of a word, which LIKE finds by itself
        return f"{haystack} LIKE {bind(f'%{runs[0]}%', 'String')}"
    exact = f"match({haystack}, {bind(_regex(pattern, is_json=is_json), 'String')})"
    if not runs:
        return exact
    return f"({haystack} LIKE {bind(f'%{max(runs, key=len)}%', 'String')} AND {exact})"


def _haystack(column: str, pattern: Pattern) -> str:
    plain = all(part.isascii() for part in pattern.parts if isinstance(part, str))
    return f"lower({column})" if plain or column == _JSON else f"lowerUTF8({column})"


def _regex(pattern: Pattern, *, is_json: bool) -> str:
    r"""A pattern stays within `[^\s"]`, so that it does not run across the values of raw JSON."""
    parts = pattern.parts
    start = f"(?:^|{_EDGE})" if _begins_word(parts[0], 0) else ""
    end = f"(?:{_EDGE}|$)" if _begins_word(parts[-1], -1) else ""
    inner = [part for at, part in enumerate(parts) if part is not Wild.ANY or 0 < at < len(parts) - 1]
    return start + "".join(_piece(part, is_json=is_json) for part in inner) + end


def _begins_word(part: str | Wild, at: int) -> bool:
    return part is Wild.ONE if isinstance(part, Wild) else _WORD.match(part[at]) is not None


def _piece(part: str | Wild, *, is_json: bool) -> str:
    if isinstance(part, Wild):
        return r'[^\s"]*' if part is Wild.ANY else r'[^\s"]'
    found = [re.escape(spelling) for spelling in spellings(part, is_json=is_json)]
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"
