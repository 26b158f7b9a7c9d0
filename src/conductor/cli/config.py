"""`conductor config`: the settings as a start from this shell would see them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk
from conductor.cli.status import table


@click.group("config")
def command() -> None:
    """Show the settings: an option wins over the environment, that over the default."""


@command.command("show")
@talk.json_option
@talk.data_option
def show(as_json: bool, data: Path | None) -> None:
    """Show every setting and where it comes from. Passwords are never shown."""
    from conductor import settings

    found = settings.told(_loaded(data, as_json))
    if as_json:
        click.echo(json.dumps({"settings": [dataclasses.asdict(item) for item in found]}, ensure_ascii=False))
        return
    click.echo(table([("SETTING", "VALUE", "FROM"), *((item.name, item.value, item.source) for item in found)]))


@command.command("validate")
@talk.data_option
def validate(data: Path | None) -> None:
    """Say whether a start would take the settings; exit 2 when not."""
    _loaded(data)
    click.echo("The settings can be used.")


@command.command("path")
@talk.data_option
def path(data: Path | None) -> None:
    """Print the directory of the data and the file of the master key."""
    loaded = _loaded(data)
    directory = loaded.data.expanduser().absolute()
    click.echo(f"data  {directory}\nkey   {loaded.key_file or directory / 'conductor.key'}")


def _loaded(data: Path | None, as_json: bool = False) -> Any:
    from conductor import settings
    from conductor.core.errors import ConductorError

    try:
        return settings.load({"data": data})
    except ConductorError as error:
        exits.leave(error, as_json=as_json)
