"""`conductor setup-link`."""

from __future__ import annotations

from pathlib import Path

import click

from conductor.cli import talk


@click.command("setup-link")
@talk.data_option
def command(data: Path | None) -> None:
    """Print a new one-time link to create the first administrator. It works for 60 minutes."""
    answer = talk.run(data, lambda api: api.post("/setup-link"))
    click.echo(answer["url"])
