"""`conductor saved`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk

PARTS = ("q", "last", "from", "to", "cols", "sort", "by", "view", "compare", "map")
KEPT = ("name", "description", "folder", "shared")


@click.group("saved", epilog='Example: conductor saved run "Failed logins by IP"')
def command() -> None:
    """Saved searches: your own, shared ones, and those that Conductor ships."""


@command.command("list")
@talk.json_option
@talk.data_option
def list_all(as_json: bool, data: Path | None) -> None:
    """List all."""
    found = talk.run(data, lambda api: api.get("/saved"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for item in found["searches"]:
        facts = [item["slug"], item["owner"] or "shipped", "shared" if item["shared"] else "own", item["name"]]
        click.echo(exits.plain("  ".join([*facts, item["state"].get("q", "*")])))


@command.command("show")
@click.argument("search")
@talk.json_option
@talk.data_option
def show(search: str, as_json: bool, data: Path | None) -> None:
    """Print SEARCH (its name or slug) as YAML, which `save --file` takes."""
    found = talk.run(data, lambda api: _find(api, search), as_json=as_json)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else _yaml([found]), nl=as_json)


@command.command("run")
@click.argument("search")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="How many events at the most.")
@click.option("--count", is_flag=True, help="Print the number of matches alone.")
@talk.json_option
@click.option("--jsonl", is_flag=True, help="One JSON object a line.")
@talk.data_option
def run(search: str, limit: int, count: bool, as_json: bool, jsonl: bool, data: Path | None) -> None:
    """Search for what SEARCH (its name or slug) says, in its range."""
    from conductor.cli import search as searching

    found = talk.run(data, lambda api: _find(api, search), as_json=as_json)
    state = found["state"]
    ends = {"from_": state.get("from"), "to_": state.get("to")}
    last = state.get("last") or (None if any(ends.values()) else "24h")
    asked = {"q": state.get("q", "*"), "last": None if last == "custom" else last, **ends, "sort": state.get("sort")}
    searching.print_found(data, asked, limit, count=count, as_json=as_json, jsonl=jsonl)


@command.command("save")
@click.argument("name", required=False)
@click.argument("query", required=False)
@click.option("--last", help="The range moves on: 15m, 4h, 7d. The default is 24h.")
@click.option("--from", "start", help="Begin of a range that stays.")
@click.option("--to", "end", help="End of a range that stays.")
@click.option("--group", help="Count by this field instead of listing.")
@click.option("--description", default="", help="What it is for.")
@click.option("--folder", default="", help="Where it is listed.")
@click.option("--shared", is_flag=True, help="Everybody may open it.")
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="YAML with searches."
)
@talk.json_option
@talk.data_option
def save(
    name: str | None,
    query: str | None,
    last: str | None,
    start: str | None,
    end: str | None,
    group: str | None,
    description: str,
    folder: str,
    shared: bool,
    path: Path | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Save QUERY under NAME, or all searches of a file; one that has the name already is changed."""
    if path is not None:
        bodies = _read(path)
    elif name and query:
        state = {"q": query, "last": last, "from": start, "to": end, "view": f"group:{group}" if group else None}
        if start or end:
            state["last"] = "custom"
        kept = {"name": name, "description": description, "folder": folder, "shared": shared}
        bodies = [{**kept, "state": {part: value for part, value in state.items() if value}}]
    else:
        raise click.UsageError("Give NAME and QUERY, or --file.")
    saved = talk.run(data, lambda api: _save(api, bodies), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"searches": saved}, ensure_ascii=False))
        return
    for item in saved:
        click.echo(f"Saved {exits.plain(item['name'])}: conductor saved run {item['slug']}")


@command.command("delete")
@click.argument("search")
@talk.json_option
@talk.data_option
def delete(search: str, as_json: bool, data: Path | None) -> None:
    """Delete SEARCH (its name or slug)."""

    async def work(api: talk.Api) -> Mapping[str, Any]:
        found = await _find(api, search)
        await api.delete(f"/saved/{found['slug']}")
        return found

    found = talk.run(data, work, as_json=as_json)
    click.echo(json.dumps({"deleted": found["slug"]}) if as_json else f"Deleted {exits.plain(found['name'])}.")


async def _find(api: talk.Api, wanted: str) -> Mapping[str, Any]:
    for item in (await api.get("/saved"))["searches"]:
        if wanted == item["slug"] or wanted.casefold() == item["name"].casefold():
            found: Mapping[str, Any] = item
            return found
    raise exits.Failed(404, {"code": "request.refused", "title": f"There is no saved search called {wanted}."})


async def _save(api: talk.Api, bodies: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    known = {item["name"].casefold(): item for item in (await api.get("/saved"))["searches"] if not item["shipped"]}
    saved = []
    for body in bodies:
        there = known.get(body["name"].casefold())
        saved.append(await (api.patch(f"/saved/{there['slug']}", body) if there else api.post("/saved", body)))
    return saved


def _yaml(found: list[Mapping[str, Any]]) -> str:
    import yaml

    searches = [{**{name: item[name] for name in KEPT}, **item["state"]} for item in found]
    return str(yaml.safe_dump({"searches": searches}, allow_unicode=True, sort_keys=False))


def _read(path: Path) -> list[dict[str, Any]]:
    import yaml

    try:
        return [_body(item) for item in yaml.safe_load(path.read_text("utf-8"))["searches"]]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise click.UsageError(f"{path} is no list of saved searches: {error}. See `conductor saved show`.") from None


def _body(item: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(item) - {*PARTS, *KEPT}:
        raise click.UsageError(f"`{sorted(unknown)[0]}` is not known. Use {', '.join((*KEPT, *PARTS))}.")
    state = {name: str(item[name]) for name in PARTS if name in item}
    return {**{name: item[name] for name in KEPT if name in item}, "name": str(item["name"]), "state": state}
