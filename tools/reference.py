"""Write the generated pages of docs/reference from the code. `--check` writes nothing and exits 1 when one is stale.

.venv/bin/python tools/reference.py [--check]
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import conductor
from conductor import catalog, cli, settings
from conductor.cli import exits
from conductor.core import fields
from conductor.core.advice import ADVICE
from conductor.core.errors import ConductorError
from conductor.observe import Metrics
from conductor.web import auth
from conductor.web.app import create_app

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
SRC = ROOT / "src" / "conductor"
NOTE = "<!-- Written by tools/reference.py from the code. Change the code, then run the tool. -->"
CODE = re.compile(r"[a-z][a-z0-9]*(\.[a-z_]+){1,3}")
# Where a call holds an error's code among its positional arguments.
CODE_AT = {"Problem": 1, "Health": 2, "CheckStep": 3, "FieldError": 0, "_refusal": 0}
# Codes whose sentence is made of facts, so that no constant in the code says what they mean.
MEANINGS = {
    "channel.address": "An address of a notification channel cannot be used.",
    "channel.password": "A password would be sent without encryption.",
    "channel.secret": "A signing secret is not as Standard Webhooks wants it.",
    "channel.security": "There is no such encryption of mail.",
    "checkpoint.behind": "Behind: less than half of the vendor's retention is left before events are lost.",
    "checkpoint.expiring": "Events are lost soon: less than a quarter of the vendor's retention, or 6 hours, is left.",
    "config.date": "The value is not a date.",
    "poll.overdue": "The last poll is longer ago than two polling intervals and a minute.",
    "secret.again": "A secret must be entered again: what it is bound to has changed, and it is never sent elsewhere.",
    "source.disabled": "The integration is switched off.",
}
EXIT_CODES = (
    (0, "done"),
    (exits.FAILED, "failed, for another reason than those below"),
    (exits.USAGE, "wrong usage, wrong query, unusable settings"),
    (exits.NOT_FOUND, "not found; also a tenant the vendor does not know"),
    (exits.CONFLICT, "conflict: the name is taken, or somebody was faster"),
    (exits.NOT_ALLOWED, "not allowed here: data directory in use, wrong key file, private address"),
    (exits.REFUSED, "refused by the vendor: credentials or permission"),
    (exits.NETWORK, "network: DNS, connection, TLS, proxy"),
    (exits.RATE, "rate limited by the vendor"),
    (exits.ATTENTION, "`status --check`: something needs attention"),
    (exits.RED, "`status --check`: something failed or loses data"),
)
KINDS = {
    fields.Kind.KEYWORD: "keyword: the whole value; `*` and `?` for parts",
    fields.Kind.TEXT: "text: whole words in any order, a phrase in quotes",
    fields.Kind.IP: "address, network or pattern with `*`",
    fields.Kind.NUMBER: "number, also `>`, `>=`, `<`, `<=` and ranges",
    fields.Kind.SEVERITY: "severity, also `>=high`",
    fields.Kind.TIME: "time, also `>=now-2h` and ranges",
    fields.Kind.FLAG: "`true` or `false`",
}


def settings_page() -> str:
    """Every environment variable."""
    flags = {param.name: param.opts[0] for param in _command("serve").params if isinstance(param, click.Option)}
    rows = []
    for name, help_, default in settings.variables():
        flag = flags.get(name.removeprefix("CONDUCTOR_").lower())
        rows.append((f"`{name}`", f"`{flag}`" if flag else "", f"`{default}`" if str(default) else "", help_))
    intro = (
        "The settings of the process, as environment variables. Those with an option can also be given to\n"
        "`conductor serve`; the option wins. Nothing else in the environment is read: `HTTPS_PROXY` and its kind have\n"
        "no effect. A value that cannot be used ends the start with exit code 2 and names the variable.\n\n"
        "What belongs to one integration (domain, credentials, polling interval, its own proxy) is no setting of the\n"
        "process: see `conductor integration add` in [the command line](cli.md)."
    )
    return _page("Settings", intro, _table(("Variable", "Option", "Default", "Meaning"), rows))


def cli_page() -> str:
    """Every command with its options."""
    intro = (
        "Data goes to standard output, talk and errors to standard error. While Conductor runs, a command reaches it\n"
        "through a socket in the data directory that only its owner can open; otherwise the command opens the data\n"
        "directory itself. Secrets are read from a file, from standard input or from a hidden prompt, never from an\n"
        "argument. A command that works on another data directory than the default needs `--data` or\n"
        "`CONDUCTOR_DATA`. Every command has `--help`."
    )
    rows = [(str(number), text) for number, text in EXIT_CODES]
    exit_codes = "## Exit codes\n\n" + _table(("Code", "Meaning"), rows)
    sections = [_section(path, command) for path, command in commands()]
    return _page("Command line", intro, exit_codes, *sections)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its path, for example `conductor integration test`."""
    yield from _walk("conductor", cli.main)


def errors_page() -> str:
    """Every code: those with advice, then the rest with what the code says of them."""
    advised = _advised()
    parts = [
        "Codes are stable and the same on the page, in the API, in the log and on the command line. `…` stands for\n"
        "a fact that is filled in. *Amber heals itself, red needs a person*: see [health](../explanation/health.md).",
        "## With advice",
    ]
    for code, advice in sorted(advised.items()):
        lines = [f"### `{code}`", f"**{_blanks(advice.title)}**"]
        lines += [_blanks(advice.body)] if advice.body else []
        lines += ["\n".join(f"- {_blanks(step)}" for step in advice.fix)] if advice.fix else []
        parts.append("\n\n".join(lines))
    rest = [(f"`{code}`", text) for code, text in sorted(other_codes().items())]
    parts += ["## Others", _table(("Code", "Meaning"), rest)]
    return _page("Error codes", *parts)


def other_codes() -> dict[str, str]:
    """The codes the sources mention that have no advice, with their meaning. Raises LookupError for one without."""
    meanings = {**_docstrings(), **_titles(), **MEANINGS}
    advised = _advised()
    wanted = {code for tree in _trees() for code in _codes(tree)} - set(advised)
    nameless = sorted(wanted - set(meanings))
    if nameless:
        raise LookupError(f"Codes without advice or meaning: {', '.join(nameless)}. Add them to MEANINGS.")
    return {code: meanings[code] for code in wanted}


def metrics_page() -> str:
    """Every metric."""
    rows = []
    for collector in vars(Metrics()).values():
        for family in collector.describe() if hasattr(collector, "_labelnames") else ():
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append((f"`{name}`", family.type, labels, f"{family.documentation}."))
    intro = (
        "`GET /metrics` answers in Prometheus' text format, to an [API token](../how-to/api-tokens.md) with the scope\n"
        "`integrations:read`, to a signed-in user, and to the socket in the data directory:\n\n"
        "```\ncurl --silent --unix-socket DATA/conductor.sock http://conductor/metrics\n```\n\n"
        "Counters begin at zero with the process. A histogram has the usual `_bucket`, `_sum` and `_count`."
    )
    return _page("Metrics", intro, _table(("Metric", "Type", "Labels", "Meaning"), rows))


def api_page() -> str:
    """Every route: the REST API with its parameters, then what else answers."""
    app = create_app(None)
    described = app.openapi()
    routes = {(method, route.path): route for route in auth.api_routes(app.routes) for method in route.methods}
    parts = [
        "JSON under `/api/v1`, the same operations as on the pages and on the command line. The OpenAPI document is\n"
        "at `/api/v1/openapi.json`, for signed-in users.\n\n"
        "A request carries an API token (`Authorization: Bearer cdr_…`, see\n"
        "[Let a program in](../how-to/api-tokens.md)), or the session cookie of a signed-in user, or it\n"
        "comes through the socket in the data directory, which only its owner can open and which counts as an\n"
        "administrator: `curl --unix-socket DATA/conductor.sock http://conductor/api/v1/status`. Whatever\n"
        "changes something sends JSON and, with a session cookie, the header `X-Conductor: 1`. Times are\n"
        "RFC 3339 in UTC.\n\n"
        'A refusal is `{"error": {"code", "title", "detail", "fix", "fields", "retry_after"}}`, with `steps` when\n'
        "a connection test failed; the codes are in [error codes](errors.md). Roles: each of viewer, analyst and\n"
        "admin may do what the ones before may; *local* is the socket only."
    ]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            role = _role(routes[method.upper(), path])
            parts.append(_operation(f"{method.upper()} {path}", role, operation, described))
    others = [
        (f"`{method} {path}`", _role(route), _first_line(route.endpoint))
        for (method, path), route in routes.items()
        if not route.include_in_schema
    ]
    parts += ["## Pages and operating", _table(("Route", "Role", "Answers"), others)]
    return _page("HTTP API", *parts)


def fields_page() -> str:
    """Every searchable field."""
    rows = [
        (f"`{field.name}`", ", ".join(f"`{alias}`" for alias in field.aliases), KINDS[field.kind], field.help)
        for field in fields.FIELDS
    ]
    intro = (
        "An *artifact* is an event in normalized form. These are its fields, as [searches](search-language.md) name\n"
        "them. Text the vendor did not send is the empty string. Beside them every artifact has its `id` and `raw`,\n"
        "the vendor's own bytes; any key in those can be searched by its path, for example\n"
        "`details.request.method:POST`."
    )
    return _page("Artifact fields", intro, _table(("Field", "Also", "Compared as", "Meaning"), rows))


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    "api.md": api_page,
    "artifact-fields.md": fields_page,
}


def stale(folder: Path = REFERENCE) -> list[str]:
    """The pages that do not say what the code says."""
    return [name for name, render in PAGES.items() if _read(folder / name) != render()]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or check them."""
    if "--check" in arguments:
        found = stale()
        for name in found:
            print(f"docs/reference/{name} is stale. Run: .venv/bin/python tools/reference.py")
        return 1 if found else 0
    for name, render in PAGES.items():
        (REFERENCE / name).write_text(render(), "utf-8")
    return 0


def _command(name: str) -> click.Command:
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command is not None
    return command


def _walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _walk(f"{path} {name}", found)


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, max_content_width=10_000)
    params = [param for param in command.get_params(context) if "--help" not in param.opts]  # everything has that
    records = [param.get_help_record(context) for param in params]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record and record[1]]
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", f"```\n{usage}\n```", " ".join((command.help or "").split())]
    parts += [command.epilog] if command.epilog else []
    return "\n\n".join([*parts, _table(("Option", "Meaning"), rows)] if rows else parts)


def _operation(heading: str, role: str, operation: dict[str, Any], described: dict[str, Any]) -> str:
    rows = [
        (f"`{item['name']}`", item["in"], _kind(item["schema"]), _fallback(item.get("required", False), item["schema"]))
        for item in operation.get("parameters", ())
    ]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    schema = described["components"]["schemas"].get(content.get("$ref", "").rpartition("/")[2], {})
    for name, member in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        rows.append((f"`{name}`", "body", _kind(member), _fallback(required, member)))
    parts = [f"## {heading}", f"{operation.get('description', '')} Role: {role}."]
    return "\n\n".join([*parts, _table(("Name", "In", "Type", "Default"), rows)] if rows else parts)


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    secret = ", secret" if schema.get("writeOnly") else ""
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f", {low} to {high}" if low is not None and high is not None else ""
    return f"{schema.get('type', 'any')}{span}{secret}"


def _fallback(required: bool, schema: dict[str, Any]) -> str:
    if required:
        return "required"
    default = schema.get("default")
    return "" if default in (None, "", {}) else f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _role(route: Any) -> str:
    needs = auth.access(route)
    if needs is None or needs.role is None:
        return "anyone"
    return "local" if needs.local else needs.role


def _advised() -> dict[str, Any]:
    found = dict(ADVICE)
    for connector in catalog.load().connectors.values():
        found.update(connector.advice)
    return found


def _trees() -> Iterator[ast.Module]:
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).parts
        if "tests" not in parts and parts[0] != "simulator":
            yield ast.parse(path.read_text("utf-8"))


def _strings(tree: ast.AST) -> Iterator[str]:
    """Every constant that could be a code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def _codes(tree: ast.AST) -> Iterator[str]:
    """The constants that are codes by their place: `code = …`, `code=…`, or an argument of a call that takes one."""
    for node in ast.walk(tree):
        places: list[ast.expr | None] = []
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            places += [node.value for target in targets if isinstance(target, ast.Name) and target.id == "code"]
        elif isinstance(node, ast.Call):
            places += [word.value for word in node.keywords if word.arg == "code"]
            at = CODE_AT.get(_name(node.func), len(node.args))
            places += node.args[at : at + 1]
        for place in places:
            yield from _strings(place) if place is not None else ()


def _name(function: ast.expr) -> str:
    return str(getattr(function, "id", getattr(function, "attr", "")))


def _titles() -> dict[str, str]:
    """The titles of refusals that are written where they are made."""
    found = {}
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == "Problem" and len(node.args) > 2:
                code, title = node.args[1], node.args[2]
                if isinstance(code, ast.Constant):
                    found[str(code.value)] = _constant(title)
    return found


def _constant(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)  # type: ignore[misc]
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _docstrings() -> dict[str, str]:
    """The first lines of the error classes, by code."""
    for module in pkgutil.walk_packages(conductor.__path__, "conductor."):
        if not re.search(r"\.(__main__|simulator|tests|migrations)\b", module.name):
            importlib.import_module(module.name)
    return {kind.code: _first_line(kind) for kind in _kinds(ConductorError)}


def _kinds(kind: type[ConductorError]) -> Iterator[type[ConductorError]]:
    """The subclasses first, so that a parent's own code keeps the parent's words."""
    for child in kind.__subclasses__():
        yield from _kinds(child)
    yield kind


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _blanks(text: str) -> str:
    return re.sub(r"\{\w+\}", "…", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
