"""The search language on a real engine: the SQL finds what a naive reading of the same events finds."""

from __future__ import annotations

import importlib.abc
import ipaddress
import itertools
import json
import random
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.analytics import compile as compiling
from conductor.analytics import editing, query, values
from conductor.analytics.server import Server
from conductor.analytics.syntax import (
    ANYWHERE,
    And,
    Between,
    Contains,
    Equals,
    Exists,
    Moment,
    Named,
    Node,
    Not,
    Or,
    Pattern,
    QueryError,
    Term,
    Test,
    Wild,
    Within,
)
from conductor.connectors.auth0.mapping import normalize
from conductor.core import fields
from conductor.core.artifact import SEVERITY_NAMES, Artifact
from conductor.core.errors import NormalizeError
from conductor.simulator import event_types
from conductor.simulator.events import Author
from conductor.simulator.shapes import SHAPES

NOW = datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
INTEGRATIONS = {"prod-eu": 1, "prod-us": 2, "Straße_1": 3}
LOW_CARDINALITY = {"type", "event", "category", "outcome", "tenant", "client_name", "connection", "hostname", "country"}

USERS = ["", "ana@example.com", "Bob", "50%_off", "a\\b", "CORP\\bob", 'q"uote', "É́cole", "ÉCOLE", "école", "x'); --"]
USERS += ["ünïcode 漢字", "tab\there", "*", "?", "a*b", "axb", "{p0:String}", "%s", "\ufffd", "İstanbul", "auth0|64ab"]
IPS = ["", "unknown", "10.0.0.1", "10.0.0.255", "10.0.1.0", "203.0.113.7", "::1", "::", "2001:db8::1", "0.0.0.0"]
IPS += ["2001:DB8:0:1::2", "::ffff:10.0.0.1", "255.255.255.255"]
TEXTS = ["", "Wrong email or password.", "auth-eu-1 is down", "eu auth 1", "École fermée", "path/to/x", "wrong-ish ÉTÉ"]
AGENTS = ["", "Mozilla/5.0 (X11; Linux)", "curl/8.5.0", "python-requests 2.31"]
METHODS: list[Any] = [
    "POST",
    "get",
    'a"b',
    "é/è",
    None,
    True,
    5,
    1.5,
    7.0,
    2e30,
    "7.0",
    "",
    ["POST", "x"],
    [],
    [["deep"]],
    "5",
]


@dataclass(frozen=True, slots=True)
class Event:
    """A row as the naive reading sees it."""

    artifact: Artifact
    raw: bytes
    integration: str
    collected_at: datetime


def _raw(pick: random.Random, artifact: Artifact) -> bytes:
    method = pick.choice(METHODS)
    details: Any = {"request": {"method": method}} if pick.random() < 0.7 else [{"request": {"method": method}}, 7]
    body = {"user": artifact.user_name, "desc": artifact.description, "details": details, "type": artifact.type}
    raw = json.dumps(body, ensure_ascii=pick.random() < 0.5, separators=(",", ":")).encode()
    return raw[:-1] + b',"bad":"\xff\xc3( WeIrD"}' if pick.random() < 0.3 else raw


def _event(pick: random.Random, number: int) -> Event:
    ago = timedelta(minutes=pick.choice([0, 1, 59, 60, 120, 1440, 2880]), microseconds=pick.choice([0, 1]))
    artifact = Artifact(
        time=int((NOW - ago).timestamp()) * 1_000_000 + pick.choice([0, 999_999]),
        log_id=f"90{number:04}",
        type=pick.choice(["fp", "fu", "s", "limit_wc"]),
        event=pick.choice(["Failed Login", "Success Login", "Vérification"]),
        category=pick.choice(["auth failure", "attack protection", "admin API"]),
        outcome=pick.choice(["failure", "success", "info"]),
        severity=pick.randrange(5),
        description=pick.choice(TEXTS),
        user_name=pick.choice(USERS),
        ip=pick.choice(IPS),
        user_agent=pick.choice(AGENTS),
        asn=pick.choice([0, 1, 64512, 4294967295]),
        own=pick.random() < 0.3,
        parsed=pick.random() < 0.7,
    )
    collected_at = NOW - timedelta(seconds=pick.choice([0, 7200]))
    return Event(artifact, _raw(pick, artifact), pick.choice(list(INTEGRATIONS)), collected_at)


def _simulated() -> Iterator[Event]:
    """An event of every type that a tenant can write, in each shape."""
    for number, shape in enumerate(SHAPES):
        author = Author("acme", "acme.us.auth0.com", seed=number, shape=shape, prefix=str(800 + number))
        at = int((NOW - timedelta(minutes=5)).timestamp()) * 1_000_000
        tidy = [author.write_type(code, at) for code in event_types.load()]
        for written in [*tidy, *(author.write(at) for _ in range(200))]:
            with suppress(NormalizeError):
                artifact = normalize(written.body, client_id="ours", signal_id=written.log_id)
                yield Event(artifact, written.body, "prod-eu", NOW)


SIMULATED = list(_simulated())
EVENTS = [*(_event(random.Random(number), number) for number in range(400)), *SIMULATED]


class _NoPandas(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in ("pandas", "numpy", "pyarrow"):
            raise ImportError(fullname)


def _columns() -> str:
    special = {"time": "DateTime64(6, 'UTC')", "severity": "UInt8", "asn": "UInt32", "own": "Bool", "parsed": "Bool"}
    text = dict.fromkeys(LOW_CARDINALITY, "LowCardinality(String)")
    return ", ".join(f"{name} {(special | text).get(name, 'String')}" for name in Artifact.__struct_fields__)


def _table(indexes: str) -> str:
    return f"""CREATE TABLE artifacts (integration_id UInt32, connector LowCardinality(String),
        collected_at DateTime64(6, 'UTC'), raw String, {_columns()}, ip_value IPv6 MATERIALIZED toIPv6OrDefault(ip)
        {indexes}) ENGINE = MergeTree ORDER BY (time, integration_id) SETTINGS index_granularity = 32"""


def _text_index(column: str) -> str:
    return f", INDEX {column}_text lower({column}) TYPE text(tokenizer = 'splitByNonAlpha') GRANULARITY 1"


@pytest.fixture(scope="module", params=["embedded", "server"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        from clickhouse_connect.driver import create_client

        if request.param == "server":
            with request.getfixturevalue("clickhouse_server").fresh() as url:
                yield from _filled(Server.parse(url).connect(reading=False))
            return
        client = create_client(interface="chdb", path=str(tmp_path_factory.mktemp("chdb")))
    finally:
        sys.meta_path.remove(finder)
    yield from _filled(client)


def _filled(client: Any) -> Iterator[Any]:
    client.command(_table("".join(_text_index(column) for column in ("raw", "event", "description"))))
    names = ["integration_id", "connector", "collected_at", "raw", *Artifact.__struct_fields__]
    client.raw_insert("artifacts", column_names=names, insert_block=b"".join(map(_packed, EVENTS)), fmt="MsgPack")
    yield client
    client.close()


def _packed(event: Event) -> bytes:
    collected = int(event.collected_at.timestamp()) * 1_000_000
    row = [INTEGRATIONS[event.integration], "auth0", collected, event.raw, *msgspec.to_builtins(event.artifact)]
    return b"".join(map(msgspec.msgpack.encode, row))


def found_by_sql(engine: Any, text: str) -> set[str]:
    compiled = compiling.compile(query.parse(text), integrations=INTEGRATIONS, now=NOW)
    rows = engine.query(
        f"SELECT log_id FROM artifacts WHERE {compiled.sql}", parameters=compiled.parameters
    ).result_rows
    return {row[0] for row in rows}


def found_by_reading(text: str) -> set[str]:
    tree = query.parse(text).tree
    return {event.artifact.log_id for event in EVENTS if fits(tree, event)}


def fits(node: Node, event: Event) -> bool:
    match node:
        case Term(field, test):
            return _fits_term(field, test, event)
        case Not(part):
            return not fits(part, event)
        case And(parts):
            return all(fits(part, event) for part in parts)
        case Or(parts):
            return any(fits(part, event) for part in parts)
        case _:
            return True


def _fits_term(field: str, test: Test, event: Event) -> bool:
    row = event.artifact
    if isinstance(test, Named):
        return {
            "failure": row.outcome == "failure",
            "success": row.outcome == "success",
            "attack": row.category == "attack protection",
            "admin-change": row.category == "admin API",
            "self": row.own,
            "unparsed": not row.parsed,
        }[test.name]
    if field == ANYWHERE and isinstance(test, Contains):
        texts = (_unescaped(event.raw), row.event, row.description)
        return any(_has_words(text, test.pattern) for text in texts)
    if field not in fields.BY_NAME:
        return any(
            _fits_value(_plain(value), test) or _same_number(value, test)
            for value in _walk(event.raw, field.split("."))
        )
    return _fits_value(_column(field, event), test)


def _same_number(value: Any, test: Test) -> bool:
    """Numbers are equal however they are written."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    literal = test.pattern.literal if isinstance(test, Equals) else None
    return number and literal is not None and values.number(literal) == float(value)


def _column(field: str, event: Event) -> Any:
    if field == "integration":
        return event.integration
    if field == "connector":
        return "auth0"
    if field in ("date", "ingested"):
        return (
            datetime.fromtimestamp(0, UTC) + timedelta(microseconds=event.artifact.time)
            if field == "date"
            else event.collected_at
        )
    value = getattr(event.artifact, field)
    return None if field == "asn" and value == 0 else value


def _fits_value(value: Any, test: Test) -> bool:
    match test:
        case Exists():
            return value not in ("", None)
        case Equals(pattern):
            return value != "" and re.fullmatch(_regex(pattern, "."), value.lower(), re.DOTALL) is not None
        case Contains(pattern):
            return _has_words(value, pattern)
        case Within(network):
            address = _address(value)
            return address is not None and address in _as_ipv6(network)
        case Between():
            return _lies_between(value, test)
        case Named():
            raise AssertionError


def _as_ipv6(network: Any) -> ipaddress.IPv6Network:
    if network.version == 6:
        return ipaddress.IPv6Network(network)
    return ipaddress.IPv6Network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")


def _address(text: str) -> ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found if isinstance(found, ipaddress.IPv6Address) else ipaddress.IPv6Address(f"::ffff:{found}")


def _lies_between(value: Any, test: Between) -> bool:
    low, high = test.low, test.high
    if isinstance(value, datetime):
        return _lies_in_time(value, test)
    if isinstance(low or high, ipaddress.IPv4Address | ipaddress.IPv6Address):
        value = _address(value)
        version = 4 if value is not None and value.ipv4_mapped else 6
        open_ended = low is None or high is None
        if value is None or (open_ended and isinstance(low or high, ipaddress.IPv4Address) and version == 6):
            return False
        low, high = (None if bound is None else _address(str(bound)) for bound in (low, high))
    elif isinstance(value, str):
        value = values.number(value)
    above = low is None or (value is not None and (value > low or (test.low_included and value == low)))
    below = high is None or (value is not None and (value < high or (test.high_included and value == high)))
    return value is not None and above and below


def _lies_in_time(value: datetime, test: Between) -> bool:
    """Microseconds are counted one by one: a bound with a length is all the microseconds it covers."""
    tick = timedelta(microseconds=1)
    if isinstance(test.low, Moment):
        first, after = values.span(test.low, NOW)
        if value < first or (not test.low_included and value <= max(first, after - tick)):
            return False
    if isinstance(test.high, Moment):
        first, after = values.span(test.high, NOW)
        return value <= max(first, after - tick) if test.high_included else value < first
    return True


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or ord(c) > 127 else " " for c in text.lower()).split(" ")


def _has_words(text: str, pattern: Pattern) -> bool:
    if pattern.literal is None:
        edge = r"(?<![0-9a-z\x80-\U0010ffff])", r"(?![0-9a-z\x80-\U0010ffff])"
        sides = [
            mark if pattern.parts[at] is not Wild.ANY and _wordy(pattern.parts[at], at) else ""
            for at, mark in ((0, edge[0]), (-1, edge[1]))
        ]
        return re.search(sides[0] + _regex(pattern, r'[^\s"]') + sides[1], text.lower()) is not None
    wanted = [word for word in _words(pattern.literal) if word]
    if not wanted:
        return pattern.literal in text
    have = [word for word in _words(text) if word]
    return any(have[at : at + len(wanted)] == wanted for at in range(len(have)))


def _wordy(part: str | Wild, at: int) -> bool:
    return isinstance(part, Wild) or part[at].isalnum() or ord(part[at]) > 127


def _regex(pattern: Pattern, one: str) -> str:
    wild = {Wild.ANY: f"{one}*", Wild.ONE: one}
    return "".join(wild[part] if isinstance(part, Wild) else re.escape(part.lower()) for part in pattern.parts)


def _unescaped(raw: bytes) -> str:
    text = raw.decode("utf-8", "surrogateescape").replace("\\\\", "\\").replace('\\"', '"')
    return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def _walk(raw: bytes, keys: list[str]) -> Iterator[Any]:
    """The values at a path; each array on the way, and at its end, is looked into once."""
    found = [json.loads(raw.decode("utf-8", "replace"))]
    for key in keys:
        inner = [value[key] for value in found if isinstance(value, dict) and key in value]
        found = list(itertools.chain.from_iterable(v if isinstance(v, list) else [v] for v in inner))
    yield from found


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def _any(choices: str, form: str = "{}") -> st.SearchStrategy[str]:
    return st.sampled_from(choices.split(" | ")).map(form.format)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


COMPARED = [field.name for field in fields.FIELDS if field.name not in ("date", "ingested", "integration", "connector")]
VALUES = [*USERS[1:], *TEXTS[1:], "fp", "nobody", "' OR 1=1 --", "\\", "\\'", "%", "_", "\n", "a" * 300]
WORDS = _any(
    'wrong | WRONG | auth-eu-1 | "auth eu" | "eu auth" | école | ÉCOLE | password | weird | ferm* | *ssword | w?ong'
    " | *ail* | été | vérification | login | @ | 漢字 | é* | path/to | *-eu-* | pass*d | nothing | corp | *@example.com"
)
TERMS = st.one_of(
    WORDS,
    st.sampled_from(VALUES).map(_quoted).map("user:{}".format),
    _any(r"*ana* | b?b | *%* | *_* | a*b | a\*b | \? | *école* | É* | *'* | *\\* | ? | *漢* | \{* | x'*", "user:{}"),
    WORDS.map("description:{}".format),
    st.sampled_from(TEXTS[1:]).map('description:"{}"'.format),
    _any('mozilla | Mozilla/5.0 | moz* | *x11* | "linux x11" | 8.5', "user_agent:{}"),
    st.sampled_from(IPS[2:]).map("ip:{}".format),
    _any("10.0.0.0/24 | 0.0.0.0/0 | ::/0 | ::/64 | 2001:db8::/32 | 10.0.* | *::1 | >=10.0.0.255", "ip:{}"),
    _any("<10.0.0.255 | [10.0.0.1 TO 10.0.1.0] | >2001:db8::1 | <2001:db8::1", "ip:{}"),
    _any(
        r'POST | p*t | 5 | 5.0 | 1.5 | 1.50 | 7 | 7.0 | 2e+30 | 2e30 | >1 | [1 TO 2] | * | é/è | a\"b | true | null | deep | ""',
        "details.request.method:{}",
    ),
    _any("2026-11-22 | >2026-11-21 | <=2026-11-21 | <now-1h | >=now-2h | 2026-11-22T06:31Z", "date:{}"),
    _any("[2026-11-20 TO now-1d} | {2026-11-22T06:31:00Z TO *] | 2026-11-22T07:30:00Z", "date:{}"),
    _any("now | <now | >now-2h | >=now-2h", "ingested:{}"),
    _any("1 | <64512 | >=64512 | {1 TO 4294967295} | 0 | >4294967295", "asn:{}"),
    _any(">=high | low | (low OR HIGH) | {low TO critical} | <medium", "severity:{}"),
    _any("failure | success | attack | admin-change | self | unparsed", "is:{}"),
    _any("prod-eu | PROD-* | STRASSE_1 | straße?1 | nowhere | *", "integration:{}"),
    _any("user:* | ip:* | asn:* | user_agent:* | details.nothing:* | type:(fp OR FU) | log_id:900001 | * | usr:x"),
)
QUERIES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " OR ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " ".join(parts) + ")"),
        inner.map("-{}".format),
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
@settings(max_examples=500, deadline=None)
@given(QUERIES)
def test_the_sql_finds_what_a_naive_reading_finds(engine: Any, text: str) -> None:
    assert found_by_sql(engine, text) == found_by_reading(text)


@pytest.mark.parametrize("engine", ["server"], indirect=True)
@settings(max_examples=25, deadline=None)  # the same SQL; what differs is how its parameters get there
@given(QUERIES)
def test_a_server_finds_what_a_naive_reading_finds(engine: Any, text: str) -> None:
    assert found_by_sql(engine, text) == found_by_reading(text)


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
@settings(max_examples=300, deadline=None)
@given(
    event=st.sampled_from(SIMULATED), names=st.lists(st.sampled_from(COMPARED), min_size=1, max_size=3), data=st.data()
)
def test_what_stands_in_an_event_of_any_type_finds_it(
    engine: Any, event: Event, names: list[str], data: st.DataObject
) -> None:
    terms = [editing.term(name, _shown(event, name)) for name in names]
    if paths := sorted(_paths(json.loads(event.raw.decode("utf-8", "replace")))):
        path = data.draw(st.sampled_from(paths))
        terms.append(f"{path}:*")
    text = " ".join(terms)
    try:
        query.parse(text)
    except QueryError:  # where an address should be there may be anything
        return
    found = found_by_sql(engine, text)
    assert found == found_by_reading(text)
    assert event.artifact.log_id in found


def _shown(event: Event, name: str) -> str:
    value = getattr(event.artifact, name)
    if name == "severity":
        return SEVERITY_NAMES[value]
    return str(value).lower() if isinstance(value, bool) else "" if value == 0 else str(value)


def _paths(value: Any, before: str = "") -> Iterator[str]:
    """Dotted paths to what is set, below members that are no fields."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if re.fullmatch(r"[a-z_]+", key):
            path = f"{before}.{key}" if before else key
            if before and inner not in (None, "", [], {}):
                yield path
            yield from _paths(inner, path)


@pytest.mark.parametrize("user", [user for user in USERS if user])
def test_every_value_is_found_by_itself_and_by_nothing_else(engine: Any, user: str) -> None:
    expected = {event.artifact.log_id for event in EVENTS if event.artifact.user_name.lower() == user.lower()}
    assert found_by_sql(engine, f"user:{_quoted(user)}") == expected != set()


@pytest.mark.parametrize(
    "value",
    ["' OR 1=1 --", "\\' OR 1=1 --", "{p0:String}", "%(p0)s", "x') UNION SELECT raw FROM artifacts --", "\0", "`"],
)
@pytest.mark.parametrize("field", ["", "user:", "description:", "details.x:", "integration:", "type:"])
def test_sql_typed_as_a_value_is_only_a_value(engine: Any, field: str, value: str) -> None:
    assert found_by_sql(engine, field + _quoted(value)) == found_by_reading(field + _quoted(value))


def test_a_very_long_value_is_searched_like_any_other(engine: Any) -> None:
    for text in ("a" * 8_000, '"' + "a b " * 1_990 + '"', "a*" * 3_990, "user:" + "é*" * 3_990):
        assert found_by_sql(engine, text) == set()
    assert found_by_sql(engine, ".".join(["k"] * 60) + ":x") == set()
    assert found_by_sql(engine, " OR ".join(["fp"] * 200)) == found_by_sql(engine, "fp")
    assert found_by_sql(engine, "NOT (" * 20 + "fp" + ")" * 20) == found_by_sql(engine, "fp")


@pytest.mark.parametrize("text", ["neverseen", "neverseen OR nothere", '"never seen"', "zzneverzz*", "neverseen fp"])
def test_bare_words_are_answered_from_the_text_indexes(engine: Any, text: str) -> None:
    compiled = compiling.compile(query.parse(text), integrations=INTEGRATIONS, now=NOW)
    plan = engine.query(
        f"EXPLAIN indexes = 1 SELECT log_id FROM artifacts WHERE {compiled.sql}", parameters=compiled.parameters
    )
    lines = [row[0].strip() for row in plan.result_rows]
    granules = [line for line in lines if line.startswith("Granules: ")]
    assert "Name: raw_text" in lines
    assert granules[-1].startswith("Granules: 0/"), lines
