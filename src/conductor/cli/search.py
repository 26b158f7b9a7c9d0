"""`conductor search`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk

PAGE = 1000
_KEYS = {"date": "time", "ingested": "collected_at"}  # of a row, where they are not the field's name


@click.command("search", epilog='Example: conductor search "type:fp ip:203.0.113.0/24" --last 24h')
@click.argument("query", default="*")
@click.option("--last", help="The last so long: 15m, 4h, 7d.")
@click.option("--from", "start", help="Begin of the range: 2026-11-20 or 2026-11-20T14:00Z.")
@click.option("--to", "end", help="End of the range.")
@talk.range_option
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="How many events at the most.")
@click.option("--count", is_flag=True, help="Print the number of matches alone.")
@click.option("--by", metavar="FIELD", help="Count by the values of a field, the most frequent first.")
@click.option("--cols", metavar="FIELDS", default="", help="Columns of the lines: date,user_name,ip.")
@click.option("--chart", is_flag=True, help="On a terminal, draw how many match over time above the events.")
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
    cols: str,
    chart: bool,
    as_json: bool,
    jsonl: bool,
    data: Path | None,
) -> None:
    """Search the stored events, newest first. `*` means everything; without a range all that is stored is searched.

    JSON has every field, and no chart.
    """
    columns = _columns(cols)
    if chart and (by or count):
        raise click.UsageError("--chart goes above events. Leave out --by and --count.")
    asked = talk.ranged(words, {"q": query, "last": last, "from_": start, "to_": end})
    if by:
        _print_counts(data, asked, by, limit, as_json=as_json)
        return
    draw = chart and not (as_json or jsonl) and sys.stdout.isatty()
    print_found(data, asked, limit, count=count, as_json=as_json, jsonl=jsonl, columns=columns, draw=draw)


def print_found(
    data: Path | None,
    asked: Mapping[str, Any],
    limit: int,
    *,
    count: bool,
    as_json: bool,
    jsonl: bool,
    columns: Sequence[str] = (),
    draw: bool = False,
) -> None:
    """Search, and print what is found, or how many alone."""
    if count:
        number = talk.run(data, lambda api: api.get("/artifacts/count", **asked), as_json=as_json)
        click.echo(number["count"])
        return
    printer = _Document(asked) if as_json else Lines() if jsonl else Table(columns)

    async def work(api: talk.Api) -> None:
        if draw:
            await _draw(api, asked)
        await _print(api, asked, limit, printer)

    talk.run(data, work, as_json=as_json)


def _columns(text: str) -> list[str]:
    """The keys of a row for names of fields as the page has them. Ends with a usage error."""
    from conductor.core import fields

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name != "id" and name not in fields.BY_NAME:
            known = ", ".join(("id", *(field.name for field in fields.FIELDS)))
            raise click.UsageError(f"There is no column `{exits.plain(name)}`. There are: {known}.")
    return [name if name == "id" else _KEYS.get(known := fields.BY_NAME[name].name, known) for name in names]


async def _draw(api: talk.Api, asked: Mapping[str, Any]) -> None:
    """How many match over time, as wide as the terminal."""
    import shutil

    from conductor.cli import chart

    width = shutil.get_terminal_size().columns
    found = await api.get("/artifacts/histogram", bars=chart.most(width), **asked)
    for line in chart.lines(found, width):
        click.echo(line)


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
    """A line an event, for people: the usual facts that it has, or just these columns."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self._columns = columns
        self._shown = 0

    def page(self, page: Mapping[str, Any]) -> None:
        """Print the rows."""
        if self._columns:
            self._print_columns([[_cell(row[name]) for name in self._columns] for row in page["rows"]])
        else:
            for row in page["rows"]:
                click.echo("  ".join(_facts(row)))
        self._shown += len(page["rows"])

    def end(self, page: Mapping[str, Any]) -> None:
        """Count, and say what is missing, on stderr."""
        more = ", more with --limit" if page.get("next") else ""
        click.echo(f"{self._shown:,} events{more}", err=True)
        _warn(page)

    def _print_columns(self, rows: Sequence[Sequence[str]]) -> None:
        """Below one another, for each page anew, for who prints a million lines will not wait for the last."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _facts(row: Mapping[str, Any]) -> list[str]:
    who = row["user_name"] or row["user_id"] or "-"
    facts = [row["time"], row["integration"], row["type"] or "?", row["event"], who, row["ip"], row["client_name"]]
    return [_cell(fact) for fact in facts if fact]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return exits.plain(str(value or "")) or "-"


def _warn(page: Mapping[str, Any]) -> None:
    for hint in page.get("hints", ()):
        click.echo(f"Hint: {hint['message']}", err=True)
    if page and not page["complete"]:
        gaps, behind = len(page["gaps"]), ", ".join(page["behind"])
        what = [f"{gaps} gap(s) in this range"] if gaps else []
        what += [f"behind: {behind}"] if behind else []
        click.echo(f"Results may be incomplete: {'; '.join(what)}.", err=True)
