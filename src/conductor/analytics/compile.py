"""Syntax tree → a ClickHouse condition with bound parameters. Nothing the user typed stands in the SQL itself.

Missing text is the empty string and a missing number 0; a missing value fits no test but a negated one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from conductor.analytics import values, words
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
    Wild,
    Within,
)
from conductor.core import clock, fields
from conductor.core.errors import Invalid

_IS = {
    "failure": "outcome = 'failure'",
    "success": "outcome = 'success'",
    "attack": "category = 'attack protection'",
    "admin-change": "category = 'admin API'",
    "self": "own",
    "unparsed": "NOT parsed",
}
_ANYWHERE_COLUMNS = ("raw", "event", "description")  # the raw has all, but the event's name and words escapes hide
_ALWAYS = "true"
_NEVER = "false"
_SAFE = re.compile(r"[0-9A-Za-z _.,:;@/|=-]+")  # what every JSON encoder writes so that its words stay whole
_ELEMENTS = "if(startsWith(item, '['), JSONExtractArrayRaw(item), [item])"
_TEXT_OF_ITEM = "multiIf(item = 'null', '', startsWith(item, '\"'), JSONExtractString(item), item)"
_MOST_TOKENS = 32  # of a prefilter; more narrow nothing


@dataclass(frozen=True, slots=True)
class Compiled:
    """A condition for WHERE and the values of its parameters."""

    sql: str
    parameters: dict[str, object]


def compile(query: Query, *, integrations: Mapping[str, int], now: datetime, prefix: str = "p") -> Compiled:
    """The condition for a query. `integrations` maps names to ids; times without a zone are in that of `now`.

    The parameters' names begin with the prefix, so that two conditions can stand in one statement.
    """
    compiler = _Compiler(integrations, now, prefix)
    sql = compiler.node(query.tree)
    return Compiled(sql, compiler.parameters)


def value_of(field: str) -> tuple[str, dict[str, object]]:
    """A field's value, the empty text where it is missing, and the parameters that this needs.

    Of an integration it is the id, of a severity its number. A dotted path has a row for each of an event's values.
    Raises Invalid for a time.
    """
    known = fields.BY_NAME.get(field)
    if known is None:
        compiler = _Compiler({}, clock.EPOCH, "v")
        texts = f"arrayMap(item -> {_TEXT_OF_ITEM}, {compiler.values_at(field.split('.'))})"
        lower = "arrayMap(text -> lowerUTF8(text), all_texts)"
        first = f"text != '' AND indexOf({lower}, lowerUTF8(text)) = place"  # once an event, in any case
        found = f"arrayFilter((text, place) -> {first}, {texts} AS all_texts, arrayEnumerate(all_texts))"
        return f"arrayJoin(if(empty({found} AS at_path), [''], at_path))", compiler.parameters
    match known.kind:
        case fields.Kind.TIME:
            raise Invalid({"by": f"`{known.name}` is a time. Events can be counted by any other field."})
        case fields.Kind.NUMBER:
            return f"if({known.sql} = 0, '', toString({known.sql}))", {}
        case fields.Kind.FLAG:
            return f"if({known.sql}, 'true', 'false')", {}
        case _:
            return known.sql, {}


class _Compiler:
    def __init__(self, integrations: Mapping[str, int], now: datetime, prefix: str) -> None:
        self._integrations = integrations
        self._now_is = now
        self._prefix = prefix
        self.parameters: dict[str, object] = {}

    def node(self, node: Node) -> str:
        match node:
            case Everything():
                return _ALWAYS
            case Not(part):
                return f"(NOT {self.node(part)})"
            case And(parts):
                return f"({' AND '.join(self.node(part) for part in parts)})"
            case Or(parts):
                return f"({' OR '.join(self.node(part) for part in parts)})"
            case Term(field, test):
                return f"({self._term(field, test)})"

    def _bind(self, value: object, kind: str) -> str:
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def _term(self, field: str, test: Test) -> str:
        if isinstance(test, Named):
            return _IS[test.name]
        if field == ANYWHERE and isinstance(test, Contains):
            return words.contains(_ANYWHERE_COLUMNS, test.pattern, self._bind)
        known = fields.BY_NAME.get(field)
        if known is None:
            return self._raw(field, test)
        if field == "integration" and isinstance(test, Equals):
            return self._integration(test.pattern)
        return self._column(known, test)

    def _integration(self, pattern: Pattern) -> str:
        regex = re.compile("".join(_python_piece(part) for part in pattern.parts), re.DOTALL)
        ids = sorted(number for name, number in self._integrations.items() if regex.fullmatch(name.lower()))
        return f"integration_id IN {self._bind(ids, 'Array(UInt32)')}" if ids else _NEVER

    def _column(self, field: fields.Field, test: Test) -> str:
        match test:
            case Exists():
                return _exists(field)
            case Equals(pattern):
                return self._fits(f"lowerUTF8({field.sql})", pattern)
            case Contains(pattern):
                return words.contains((field.sql,), pattern, self._bind)
            case Within(network):
                return self._addresses(network.network_address, network.broadcast_address, test=Between(None, None))
            case Between():
                return self._between(field, test)
            case Named():
                raise AssertionError("names belong to `is:`")

    def _fits(self, value: str, pattern: Pattern) -> str:
        if (literal := pattern.literal) is not None:
            return f"{value} = {self._bind(literal.lower(), 'String')}"
        return f"{value} LIKE {self._bind(''.join(_like_piece(part) for part in pattern.parts), 'String')}"

    def _between(self, field: fields.Field, test: Between) -> str:
        match field.kind:
            case fields.Kind.TIME:
                return self._times(field.sql, test)
            case fields.Kind.IP:
                return self._addresses(*_address_ends(test), test=test)
        found = self._numbers(field.sql, test, "Int64")
        if field.kind is fields.Kind.NUMBER:
            found.append(f"{field.sql} != 0")
        return " AND ".join(found)

    def _numbers(self, value: str, test: Between, kind: str) -> list[str]:
        found = []
        if test.low is not None:
            found.append(f"{value} {'>=' if test.low_included else '>'} {self._bind(test.low, kind)}")
        if test.high is not None:
            found.append(f"{value} {'<=' if test.high_included else '<'} {self._bind(test.high, kind)}")
        return found

    def _times(self, column: str, test: Between) -> str:
        """A day or minute as a bound is included, or excluded, with its whole length."""
        found = []
        if isinstance(test.low, Moment):
            first, after = values.span(test.low, self._now_is)
            sign = ">=" if test.low_included or first < after else ">"
            found.append(f"{column} {sign} {self._time(first if test.low_included else after)}")
        if isinstance(test.high, Moment):
            first, after = values.span(test.high, self._now_is)
            sign = "<=" if test.high_included and first == after else "<"
            found.append(f"{column} {sign} {self._time(after if test.high_included else first)}")
        return " AND ".join(found)

    def _time(self, instant: datetime) -> str:
        return self._bind(instant.strftime("%Y-%m-%d %H:%M:%S.%f"), "DateTime64(6, 'UTC')")

    def _addresses(self, low: IPv4Address | IPv6Address, high: IPv4Address | IPv6Address, *, test: Between) -> str:
        above, below = (">=" if test.low_included else ">"), ("<=" if test.high_included else "<")
        first, last = self._bind(_mapped(low), "IPv6"), self._bind(_mapped(high), "IPv6")
        sql = f"ip_value {above} {first} AND ip_value {below} {last}"
        if _mapped(low) == "::":  # what a missing or unreadable address is stored as
            sql += " AND (isIPv6String(ip) OR isIPv4String(ip))"
        return sql

    def _raw(self, path: str, test: Test) -> str:
        """Any of the values at the path. What must stand in the raw then is looked up in its text index first."""
        keys = path.split(".")
        tokens = words.split(path.lower())
        value = _TEXT_OF_ITEM
        if isinstance(test, Equals):
            condition = self._fits(f"lowerUTF8({value})", test.pattern)
            condition = f"({condition}{self._same_number(test.pattern)})"
            tokens += _sure_tokens(test.pattern)
        elif isinstance(test, Between):
            number = " AND ".join(self._numbers(f"toFloat64OrNull({value})", test, "Float64"))
            condition = f"ifNull({number}, false)"
        else:
            condition = "item NOT IN ('', '\"\"', 'null')"
        found = f"arrayExists(item -> {condition}, {self.values_at(keys)})"
        if not tokens:
            return found
        return f"hasAllTokens(lower(raw), {self._bind(tokens[:_MOST_TOKENS], 'Array(String)')}) AND {found}"

    def _same_number(self, pattern: Pattern) -> str:
        """Numbers are equal however they are written: 5.0 is 5. One of digits alone is told by its text."""
        number = values.number(pattern.literal) if pattern.literal and not pattern.literal.isdecimal() else None
        if number is None:
            return ""
        same = f"toFloat64OrNull(item) = {self._bind(number, 'Float64')}"  # of no string: that begins with a quote
        return f" OR ifNull({same}, false)"

    def values_at(self, keys: list[str]) -> str:
        """An array of JSON texts: each key is followed into every element of an array on the way."""
        found = "[toValidUTF8(raw)]"
        for key in keys:
            inner = f"arrayMap(item -> JSONExtractRaw(item, {self._bind(key, 'String')}), {found})"
            found = f"arrayFlatten(arrayMap(item -> {_ELEMENTS}, {inner}))"
        return found


def _exists(field: fields.Field) -> str:
    match field.kind:
        case fields.Kind.NUMBER:
            return f"{field.sql} != 0"
        case fields.Kind.KEYWORD | fields.Kind.TEXT | fields.Kind.IP if field.name != "integration":
            return f"{field.sql} != ''"
        case _:
            return _ALWAYS


def _like_piece(part: str | Wild) -> str:
    if isinstance(part, Wild):
        return "%" if part is Wild.ANY else "_"
    return re.sub(r"([%_\\])", r"\\\1", part.lower())


def _python_piece(part: str | Wild) -> str:
    if isinstance(part, Wild):
        return ".*" if part is Wild.ANY else "."
    return re.escape(part.lower())


def _address_ends(test: Between) -> tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]:
    """The bounds; an open one is the end of the other's family."""
    low, high = test.low, test.high
    known: Bound | None = low if low is not None else high
    family: IPv4Network | IPv6Network = (
        IPv4Network("0.0.0.0/0") if isinstance(known, IPv4Address) else IPv6Network("::/0")
    )
    return (
        low if isinstance(low, IPv4Address | IPv6Address) else family.network_address,
        high if isinstance(high, IPv4Address | IPv6Address) else family.broadcast_address,
    )


def _mapped(address: IPv4Address | IPv6Address) -> str:
    return f"::ffff:{address}" if isinstance(address, IPv4Address) else str(address)


def _sure_tokens(pattern: Pattern) -> list[str]:
    r"""Words that stand in the raw whenever a value equals the pattern.

    None for text that JSON may escape (`\nword` hides the word), nor for numbers, which may be written otherwise.
    """
    text = pattern.literal
    if text is None or _SAFE.fullmatch(text) is None or values.number(text) is not None:
        return []
    return words.split(text.lower())
