"""`conductor config`: the settings as a start from this shell would see them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk
from conductor.cli.status import table


@click.group("config")
def command() -> None:
    """The settings: an option wins over the environment, that over what was set while Conductor ran, that over the
    default."""


@command.command("show")
@talk.json_option
@talk.data_option
def show(as_json: bool, data: Path | None) -> None:
    """Show every setting and where it comes from, as a start from this shell would. Passwords are never shown.

    What was set while Conductor ran is told while it runs.
    """
    from conductor import settings

    loaded = _loaded(data, as_json)
    here = asyncio.run(_set_here(loaded))
    found = [
        here[item.name] if item.source == "default" and item.name in here else item for item in settings.told(loaded)
    ]
    if as_json:
        click.echo(json.dumps({"settings": [dataclasses.asdict(item) for item in found]}, ensure_ascii=False))
        return
    click.echo(table([("SETTING", "VALUE", "FROM"), *((item.name, item.value, item.source) for item in found)]))


@command.command("set", epilog="Example: conductor config set mask viewer")
@click.argument("name", type=click.Choice(["mask", "session_hours", "time_zone"]))
@click.argument("value")
@talk.data_option
def set_(name: str, value: str, data: Path | None) -> None:
    """Set what may be set while Conductor runs: from whom personal data is hidden, how long a session lasts, and the
    time zone of new users."""
    given: Any = click.INT(value) if name == "session_hours" else value
    found = talk.run(data, lambda api: api.patch("/settings", {name: given}))
    holds = next(item for item in found["settings"] if item["name"] == f"CONDUCTOR_{name.upper()}")
    click.echo(exits.plain(f"{name} is {holds['value']} now."))


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


async def _set_here(loaded: Any) -> dict[str, Any]:
    """What was set in the Conductor that runs on these data, by name; nothing when none runs."""
    from conductor.operations.system import Setting
    from conductor.outbound import local

    path = loaded.data.expanduser().absolute() / talk.SOCKET
    if not await local.answers(path):
        return {}
    async with local.over_socket(path) as http:
        told = await talk.Api(http).get("/settings")
    return {item["name"]: Setting(**item) for item in told["settings"] if item["source"] == "here"}


def _loaded(data: Path | None, as_json: bool = False) -> Any:
    from conductor import settings
    from conductor.core.errors import ConductorError

    try:
        return settings.load({"data": data})
    except ConductorError as error:
        exits.leave(error, as_json=as_json)
