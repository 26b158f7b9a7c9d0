"""`conductor user`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from conductor.cli import talk


@click.group("user")
def command() -> None:
    """Manage users."""


@command.command("add")
@click.argument("email")
@click.option("--name", default="", help="Full name.")
@click.option("--role", type=click.Choice(["viewer", "analyst", "admin"]), default="viewer", show_default=True)
@click.option("--admin", is_flag=True, help="The same as --role admin.")
@click.option("--password-file", type=click.File("r"), help="File with the password, - for standard input.")
@talk.data_option
def add(email: str, name: str, role: str, admin: bool, password_file: click.File | None, data: Path | None) -> None:
    """Add a user. The password is asked for, or read from a file; it is never an argument."""
    body = {"email": email, "name": name, "role": "admin" if admin else role, "password": _password(password_file)}
    added = talk.run(data, lambda api: api.post("/users", body))
    click.echo(f"Added {added['email']} as {added['role']}.")


def _password(file: object) -> str:
    if file is not None:
        return str(file.read()).rstrip("\n")  # type: ignore[attr-defined]  # click.File opens to a text file
    if not sys.stdin.isatty():
        raise click.UsageError("Give the password with --password-file FILE, or - for standard input.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
