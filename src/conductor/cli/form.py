"""Command-line options out of a form: declared once, in the config of a connector or of a kind of channel."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from conductor.core.config import FormField

PREFIX = "field_"


class ConnectorGroup(click.Group):
    """`integration add`: one command for each connector of the catalog."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The catalog."""
        return list(_catalog().connectors)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command with the connector's fields as options."""
        kind = _catalog().connectors.get(name)
        if kind is None:
            return None
        command = click.Command(name, callback=_adder(name), help=f"Add {kind.title}. {self.help}")
        command.params = [
            click.Option(["--name"], required=True, help="A name of your choice; it is shown in every event."),
            *_options(kind.Config.form()),
            click.Option(["--disabled"], is_flag=True, help="Save it switched off, without a test."),
            click.Option(["--data"], type=click.Path(path_type=Path, file_okay=False), help="Data directory."),
        ]
        return command


class ChannelGroup(click.Group):
    """`notification add`: one command for each kind of channel."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The kinds."""
        return list(_kinds())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command with the kind's fields as options."""
        from conductor.core.notice import KINDS

        kind = _kinds().get(name)
        if kind is None:
            return None
        command = click.Command(name, callback=_channel_adder(name), help=f"{kind.title}. {self.help}")
        tell = "What to tell; may be repeated. Without it: failed, gap and loss."
        command.params = [
            click.Option(["--name"], required=True, help="A name of your choice."),
            *_options(kind.Config.form()),
            click.Option(["--tell", "kinds"], multiple=True, type=click.Choice(tuple(KINDS)), help=tell),
            click.Option(["--loss-hours"], type=int, help="Tell of a loss so many hours ahead; 24."),
            click.Option(["--silent-hours"], type=int, help="Tell of silence after so many hours; 12."),
            click.Option(["--cooldown"], type=int, help="Minutes before the same is told again; 15."),
            click.Option(["--data"], type=click.Path(path_type=Path, file_okay=False), help="Data directory."),
        ]
        return command


class EditCommand(click.Command):
    """`integration edit`: the fields of all connectors as options, none required."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """The command's own, and the forms'."""
        fields = {field.name: field for kind in _catalog().connectors.values() for field in kind.Config.form()}
        return [*super().get_params(context), *_options(fields.values())]


def read(options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the given options, by field name. Files are read: secrets and certificates are never arguments."""
    values: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None and name.startswith(PREFIX):
            values[name.removeprefix(PREFIX)] = value
    return values


def _adder(slug: str) -> Any:
    def callback(name: str, disabled: bool, data: Path | None, **options: Any) -> None:
        from conductor.cli import integration

        integration.add_one(
            slug, _asked(_catalog().connectors[slug].Config.form(), read(options)), name, disabled, data
        )

    return callback


def _channel_adder(kind: str) -> Any:
    def callback(name: str, data: Path | None, **options: Any) -> None:
        from conductor.cli import notification

        wishes = {key: options[key] for key in ("kinds", "loss_hours", "silent_hours", "cooldown")}
        notification.add_one(kind, _asked(_kinds()[kind].Config.form(), read(options)), name, wishes, data)

    return callback


def _asked(fields: Iterable[FormField], values: dict[str, Any]) -> dict[str, Any]:
    """Ask for a required secret on a terminal when no file was named."""
    for field in fields:
        if field.secret and field.required and field.name not in values and sys.stdin.isatty():
            values[field.name] = click.prompt(field.label, hide_input=True, err=True)
    return values


def _options(fields: Iterable[FormField]) -> list[click.Option]:
    return [_option(field) for field in fields]


def _option(field: FormField) -> click.Option:
    target = f"{PREFIX}{field.name}"
    if field.secret or field.widget.multiline:
        flag = f"--{field.option}-file" if field.secret else f"--{field.option}"
        help_ = f"File with it, - for standard input. {field.label}: {field.help}"
        return click.Option([flag, target], metavar="FILE", callback=_content, help=help_)
    choices = ", ".join(value for value, _ in field.widget.choices)
    help_ = f"{field.help} {f'One of: {choices}.' if choices and not field.widget.typed else ''}".strip()
    return click.Option([f"--{field.option}", target], help=help_)


def _content(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return sys.stdin.read().strip() if path == "-" else Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} cannot be read: {error}.") from error


def _kinds() -> Any:
    from conductor import channels

    return channels.KINDS


def _catalog() -> Any:
    from conductor import catalog

    return catalog.load()
