"""`conductor version`."""

import click

from conductor import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"conductor {__version__}")
