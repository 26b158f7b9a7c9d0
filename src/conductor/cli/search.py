"""`conductor search`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk

PAGE = 1000


@click.command("search", epilog='Example: conductor search "type:fp ip:203.0.113.0/24" --last 24h')
@click.argument("query", default="*")
@click.option("--last", help="The last so long: 15m, 4h, 7d.")
@click.option("--from", "start", help="Begin of the range: 2026-11-20 or 2026-11-20T14:00Z.")
@click.option("--to", "end", help="End of the range.")
@talk.range_option
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="How many events at the most.")
@click.option("--count", is_flag=True, help="Print the number of matches alone.")
@click.option("--by", metavar="FIELD", help="Count by the values of a field, the most frequent first.")
@talk.json_option
@click.option("--jsonl", is_flag=True, help="One JSON object a line.")
@talk.data_option
def command(
    query: str,
    last: str | None,
    start: str | None,
    end: str | None,
    words: str | None,
    limit: int,
    count: bool,
    by: str | None,
    as_json: bool,
    jsonl: bool,
    data: Path | None,
) -> None:
    """Search the stored events, newest first. `*` means everything; without a range all that is stored is searched."""
    asked = talk.ranged(words, {"q": query, "last": last, "from_": start, "to_": end})
    if by:
        _print_counts(data, asked, by, limit, as_json=as_json)
        return
    print_found(data, asked, limit, count=count, as_json=as_json, jsonl=jsonl)


def print_found(
    data: Path | None, asked: Mapping[str, Any], limit: int, *, count: bool, as_json: bool, jsonl: bool
) -> None:
    """Search, and print what is found, or how many alone."""
    if count:
        number = talk.run(data, lambda api: api.get("/artifacts/count", **asked), as_json=as_json)
        click.echo(number["count"])
        return
    printer = _Document(asked) if as_json else Lines() if jsonl else Table()
    talk.run(data, lambda api: _print(api, asked, limit, printer), as_json=as_json)


def _print_counts(data: Path | None, asked: Mapping[str, Any], by: str, limit: int, *, as_json: bool) -> None:
    found = talk.run(
        data, lambda api: api.get("/artifacts/facets", field=by, values=min(limit, PAGE), **asked), as_json=as_json
    )
    if as_json:
        import json

        click.echo(json.dumps(found, ensure_ascii=False))
        return
    (facet,) = found["facets"]
    widest = max((len(f"{item['count']:,}") for item in facet["values"]), default=0)
    for item in facet["values"]:
        click.echo(f"{item['count']:>{widest},}  {exits.plain(item['value'])}")
    missing = f", {facet['missing']:,} events have none" if facet["missing"] else ""
    click.echo(f"{facet['distinct']:,} values{missing}", err=True)


async def _print(api: talk.Api, asked: Mapping[str, Any], limit: int, printer: Any) -> None:
    page: Mapping[str, Any] = {}
    async for page in _pages(api, asked, limit):
        printer.page(page)
    printer.end(page)


async def _pages(api: talk.Api, asked: Mapping[str, Any], limit: int) -> AsyncIterator[Mapping[str, Any]]:
    after = None
    while limit > 0:
        page = await api.get("/artifacts/search", **asked, limit=min(limit, PAGE), after=after)
        yield page
        limit -= len(page["rows"])
        after = page["next"]
        if after is None:
            return


class Lines:
    """One object a line."""

    def page(self, page: Mapping[str, Any]) -> None:
        """Print the rows."""
        import msgspec

        encode = msgspec.json.encode
        sys.stdout.write("".join(encode(row).decode() + "\n" for row in page["rows"]))
        sys.stdout.flush()

    def end(self, page: Mapping[str, Any]) -> None:
        """Say what is missing, on stderr."""
        _warn(page)


class _Document:
    """One document with all rows."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._rows: list[Any] = []

    def page(self, page: Mapping[str, Any]) -> None:
        """Keep the rows."""
        self._rows += page["rows"]

    def end(self, page: Mapping[str, Any]) -> None:
        """Print it."""
        import msgspec

        click.echo(msgspec.json.encode({**page, "rows": self._rows}).decode())


class Table:
    """A line an event, for people."""

    def __init__(self) -> None:
        self._shown = 0

    def page(self, page: Mapping[str, Any]) -> None:
        """Print the rows."""
        for row in page["rows"]:
            who = row["user_name"] or row["user_id"] or "-"
            facts = [
                row["time"],
                row["integration"],
                row["type"] or "?",
                row["event"],
                who,
                row["ip"],
                row["client_name"],
            ]
            click.echo("  ".join(exits.plain(str(fact)) for fact in facts if fact))
        self._shown += len(page["rows"])

    def end(self, page: Mapping[str, Any]) -> None:
        """Count, and say what is missing, on stderr."""
        more = ", more with --limit" if page.get("next") else ""
        click.echo(f"{self._shown:,} events{more}", err=True)
        _warn(page)


def _warn(page: Mapping[str, Any]) -> None:
    for hint in page.get("hints", ()):
        click.echo(f"Hint: {hint['message']}", err=True)
    if page and not page["complete"]:
        gaps, behind = len(page["gaps"]), ", ".join(page["behind"])
        what = [f"{gaps} gap(s) in this range"] if gaps else []
        what += [f"behind: {behind}"] if behind else []
        click.echo(f"Results may be incomplete: {'; '.join(what)}.", err=True)
