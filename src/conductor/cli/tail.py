"""`conductor tail`."""

from __future__ import annotations

from pathlib import Path

import click

from conductor.cli import search, talk

AT_ONCE = 1000  # read at a time


@click.command("tail", epilog="Example: conductor tail is:failure")
@click.argument("query", default="*")
@click.option("--jsonl", is_flag=True, help="One JSON object a line.")
@talk.data_option
def command(query: str, jsonl: bool, data: Path | None) -> None:
    """Print new events that match QUERY as they come, until stopped. Conductor has to run."""
    printer = search.Lines() if jsonl else search.Table()

    async def work(api: talk.Api) -> None:
        if not api.running:
            raise click.UsageError("Conductor does not run with this data directory, so nothing new comes.")
        async for row in api.stream("/artifacts/live", q=query, limit=AT_ONCE):
            printer.page({"rows": [row]})

    talk.run(data, work)
