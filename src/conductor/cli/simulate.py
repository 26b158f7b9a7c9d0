"""`conductor simulate`: one command for each vendor that can be simulated."""

import click

from conductor.simulator.command import SIMULATORS


@click.group("simulate")
def command() -> None:
    """Run a simulated vendor to try Conductor against."""


for simulator in SIMULATORS.values():
    command.add_command(simulator)
