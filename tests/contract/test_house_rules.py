"""The rules that keep the tree simple, read from the sources themselves. Layers are in `.importlinter`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from conductor import catalog

SRC = Path(__file__).parents[2] / "src" / "conductor"
TEXTS = {".py", ".html", ".js", ".css", ".md", ".txt", ".svg"}
LONGEST_MODULE, LONGEST_FUNCTION = 400, 60  # lines
TABLES = {"connectors/auth0/event_types.py", "store/schema.py"}  # data, not code
VAGUE = {"util", "utils", "helper", "helpers", "common", "base", "misc", "manager", "handler", "handlers"}
# A library, and the only packages that may import it.
HOMES = {
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "clickhouse_connect": {"analytics"},
    "maxminddb": {"indexer"},
    "httpx2": {"outbound"},
    "httpcore2": {"outbound"},
    "fastapi": {"web", "simulator"},
    "starlette": {"web", "simulator"},
}
# Calls that read the host's time or stop the loop. Durations are asyncio's own; wall time comes from core.clock.
CLOCKS = {"time.time", "time.time_ns", "time.sleep", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


def _modules() -> list[str]:
    """Every module of the product, connectors' own tests left out."""
    found = (path.relative_to(SRC) for path in sorted(SRC.rglob("*.py")))
    return [str(path) for path in found if "tests" not in path.parts]


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse((SRC / module).read_text("utf-8"), module)


def _package(module: str) -> str:
    return Path(module).parts[0].removesuffix(".py")


def _imported(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Each import as (module, name in it, local name), wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.module, alias.name, alias.asname or alias.name


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`datetime.datetime.now` for an attribute of whatever name it was imported under; empty for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        value = _dotted(node.value, names)
        return f"{value}.{node.attr}" if value else ""
    return ""


def _used(tree: ast.AST) -> Iterator[str]:
    """Every dotted name the code mentions, by its full name."""
    names = {local: f"{module}.{name}" if name else module for module, name, local in _imported(tree)}
    yield from names.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            yield _dotted(node, names)


def _mentions(tree: ast.AST, wanted: set[str]) -> set[str]:
    return {name for used in _used(tree) for name in wanted if used == name or used.endswith(f".{name}")}


def test_a_connectors_slug_occurs_nowhere_outside_its_folder() -> None:
    slugs = catalog.load().connectors
    assert slugs
    for path in sorted(SRC.rglob("*")):
        parts = path.relative_to(SRC).parts
        if path.suffix not in TEXTS or parts[0] == "simulator":
            continue
        text = path.read_text("utf-8").lower()
        for slug in slugs:
            inside = parts[:2] == ("connectors", slug)
            assert inside or slug not in text, f"{path.relative_to(SRC)} names the connector {slug}"


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_imported_in_its_home_only(library: str) -> None:
    users = {
        _package(module)
        for module in _modules()
        for imported, _, _ in _imported(_tree(module))
        if imported.partition(".")[0] == library
    }
    assert users <= HOMES[library]


def test_the_environment_is_read_in_settings_only() -> None:
    readers = {module for module in _modules() if _mentions(_tree(module), {"os.environ", "os.environb", "os.getenv"})}
    assert readers == {"settings.py"}


def test_the_journal_is_committed_to_by_the_poller_only() -> None:
    wanted = {"store.journal.commit"}
    assert {module for module in _modules() if _mentions(_tree(module), wanted)} == {
        "signal_client/poller.py",
        "signal_client/recovery.py",
    }


def test_wall_time_comes_from_the_clock_only_and_nothing_sleeps_in_a_thread() -> None:
    readers = {module: _mentions(_tree(module), CLOCKS) for module in _modules()}
    assert {module: found for module, found in readers.items() if found and module != "core/clock.py"} == {}
    assert readers["core/clock.py"], "the rule finds nothing at all"


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {part.removesuffix(".py") for module in _modules() for part in Path(module).parts}
    assert parts & VAGUE == set()


def test_no_class_has_a_name_that_says_nothing() -> None:
    vague = re.compile(r"(Util|Utils|Helper|Misc|Manager|Handler)$")
    classes = (node for module in _modules() for node in ast.walk(_tree(module)) if isinstance(node, ast.ClassDef))
    assert [node.name for node in classes if vague.search(node.name)] == []


def test_modules_are_short() -> None:
    lengths = {module: len((SRC / module).read_text("utf-8").splitlines()) for module in _modules()}
    assert {module: n for module, n in lengths.items() if n > LONGEST_MODULE and module not in TABLES} == {}


def test_functions_are_short() -> None:
    long = [
        f"{module}:{node.name}"
        for module in _modules()
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
        and "migrations/versions" not in module  # written by a tool, one statement a table
    ]
    assert long == []


# Ways to other hosts that do not pass through outbound/guard.py.
WAYS_OUT = set(
    "socket.socket socket.create_connection asyncio.open_connection open_connection create_connection "
    "anyio.connect_tcp trio.open_tcp_stream getaddrinfo AsyncClient AsyncHTTPTransport".split()
)
OTHER_CLIENTS = set(
    "aiohttp httpx requests urllib3 pycurl ftplib smtplib telnetlib poplib imaplib nntplib xmlrpc".split()
)
# Who may, and why it is not a way to a host that a user named.
MAY_CONNECT = {
    "outbound/guard.py": "the guard",
    "outbound/probe.py": "connects to addresses that the guard has checked",
    "outbound/mail.py": "connects to addresses that the guard has checked",
    "outbound/client.py": "its pool opens sockets in the guard only",
    "outbound/local.py": "a Unix socket in the data directory",
    "web/server.py": "listens on a Unix socket",
    "store/postgresql.py": "shuts the driver's own sockets, opens none",
}
MAY_IMPORT = {
    "outbound/mail.py": {"smtplib"},
    "analytics/engine.py": {"urllib3"},  # the errors of the ClickHouse client's; its server is the operator's setting
}


def test_s01_all_connections_to_other_hosts_go_through_the_guard() -> None:
    found = {module: _mentions(_tree(module), WAYS_OUT) for module in _modules() if _package(module) != "simulator"}
    assert {module for module, ways in found.items() if ways} == set(MAY_CONNECT)
    for module in _modules():
        imported = {name for name, _, _ in _imported(_tree(module))}
        others = {name.partition(".")[0] for name in imported} & OTHER_CLIENTS
        assert others <= MAY_IMPORT.get(module, set()), module
        assert not imported & {"urllib.request", "http.client"}, module
    assert {module for module in _modules() if _mentions(_tree(module), {"AsyncHTTPTransport"})} == {
        "outbound/client.py",
        "outbound/local.py",
    }
    assert "GuardedBackend" in (SRC / "outbound/client.py").read_text("utf-8")


# What takes SQL as text, and the only names, beside constants, that may be put into it: parts built from constants.
TAKES_SQL = {
    "query",
    "command",
    "exec_driver_sql",
    "execute",
    "text",
    "literal_column",
    "raw_query",
    "query_rows_stream",
}
SQL_PARTS = {
    ("analytics/artifacts.py", "name"),
    ("analytics/artifacts.py", "projection"),
    ("analytics/artifacts.py", "column"),
    ("analytics/search.py", "where"),  # compile.py's, whose values are bound: test_s24_… in unit/analytics
    ("analytics/search.py", "columns"),
    ("analytics/search.py", "rest"),
    ("analytics/tally.py", "where"),
    ("analytics/tally.py", "columns"),
    ("analytics/tally.py", "rest"),
    ("analytics/tally.py", "counted"),
    ("analytics/server.py", "right"),  # with the quoted name of the setting's database
    ("store/sqlite.py", "pragma"),
}


def _put_in(node: ast.AST) -> Iterator[ast.expr]:
    """Every expression whose value becomes part of a text."""
    match node:
        case ast.JoinedStr(values=values):
            for value in values:
                if isinstance(value, ast.FormattedValue):
                    yield value.value
        case ast.BinOp(left=left, op=ast.Mod() | ast.Add(), right=right):
            yield from (
                side for side in (left, right) if not isinstance(side, ast.Constant | ast.JoinedStr | ast.BinOp)
            )
            for side in (left, right):
                yield from _put_in(side)
        case ast.Call(func=ast.Attribute(value=ast.Constant() | ast.JoinedStr(), attr="format"), args=args):
            yield from args


def _is_fixed(value: ast.expr, module: str) -> bool:
    whole = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "int"
    constant = isinstance(value, ast.Name | ast.Attribute) and ast.unparse(value).rpartition(".")[2].isupper()
    return whole or constant or (module, ast.unparse(value)) in SQL_PARTS


def test_s24_no_value_is_ever_written_into_sql() -> None:
    seen, wrong = 0, []
    for module in _modules():
        for node in ast.walk(_tree(module)):
            if not isinstance(node, ast.Call) or not node.args or "migrations/versions" in module:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in TAKES_SQL and _package(module) in ("store", "analytics", "indexer", "operations"):
                for value in _put_in(node.args[0]):
                    seen += 1
                    wrong += [] if _is_fixed(value, module) else [f"{module}:{value.lineno} {ast.unparse(value)}"]
    assert wrong == []
    assert seen >= 5, "the rule finds nothing at all"
