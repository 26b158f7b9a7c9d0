"""`conductor key`."""

from __future__ import annotations

from pathlib import Path

import click

from conductor.cli import talk


@click.group("key")
def command() -> None:
    """Manage the master key."""


@command.command("rotate")
@talk.data_option
def rotate(data: Path | None) -> None:
    """Change the master key. Works while Conductor runs; when it is interrupted, the next start finishes it."""
    answer = talk.run(data, lambda api: api.post("/key/rotate"))
    click.echo(f"The master key is {answer['key']} now. Back it up, apart from the database.")
    click.echo(f"Older backups need the old key, {answer['old']}. Remove it when you need them no more.")
