"""The command line. Commands are loaded when they are used, so that the first output comes at once."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from conductor import __version__

COMMANDS = {
    "serve": ("serve", "Run Conductor: pages, API, polling."),
    "setup-link": ("setup_link", "Print a new one-time set-up link."),
    "status": ("status", "Show all sources on one screen."),
    "integration": ("integration", "Add, test, poll and manage integrations."),
    "search": ("search", "Search the stored events."),
    "tail": ("tail", "Print new events as they come."),
    "export": ("export", "Write what a search finds to a file."),
    "exports": ("exports", "List, get and cancel exports that are made in the background."),
    "saved": ("saved", "List, run, keep and change saved searches."),
    "token": ("token", "Manage API tokens."),
    "user": ("user", "Manage users."),
    "notification": ("notification", "Tell people by e-mail, Slack or webhook when a source needs them."),
    "key": ("key", "Change the master key."),
    "audit": ("audit", "Show who did what, and prove the log."),
    "db": ("db", "Check, back up and restore what is stored."),
    "config": ("config", "Show the settings and where each comes from."),
    "doctor": ("doctor", "Find out what is wrong: host, disk, key, network, sources."),
    "support-bundle": ("support", "Write a file that helps somebody else to find a fault."),
    "simulate": ("simulate", "Run a simulated vendor to try Conductor against."),
    "version": ("version", "Print the version."),
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for; a wrong word is answered with the nearest right one."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command, imported."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"conductor.cli.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(self, context: click.Context, arguments: list[str]) -> tuple[Any, Any, list[str]]:
        """Never runs a guess."""
        name = arguments[0] if arguments else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f" Did you mean `{near[0]}`?" if near else " See `conductor --help`."
            raise click.UsageError(f"No command `{name}`.{hint}")
        return super().resolve_command(context, arguments)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: conductor serve",
)
@click.version_option(__version__, prog_name="conductor", message="%(prog)s %(version)s")
def main() -> None:
    """Conductor collects the security logs of SaaS APIs, keeps them, and makes them searchable."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
