"""`conductor user`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from conductor.cli import exits, talk


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


@command.command("invite", epilog="Example: conductor user invite ana@example.com --role analyst")
@click.argument("email")
@click.option("--role", type=click.Choice(["viewer", "analyst", "admin"]), default="viewer", show_default=True)
@talk.json_option
@talk.data_option
def invite(email: str, role: str, as_json: bool, data: Path | None) -> None:
    """Make a link with which somebody joins and chooses a password. It works once, for 48 hours."""
    made = talk.run(data, lambda api: api.post("/invitations", {"email": email, "role": role}), as_json=as_json)
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(f"Send this to {made['email']}. It works once, until {made['expires_at']}:", err=True)
    click.echo(made["url"])


@command.command("list")
@talk.json_option
@talk.data_option
def list_(as_json: bool, data: Path | None) -> None:
    """Show all users, and who is invited."""
    found = talk.run(data, _everyone, as_json=as_json)
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = [(user["email"], user["role"], "" if user["active"] else "inactive") for user in found["users"]]
    lines += [(item["email"], item["role"], _until(item)) for item in found["invitations"]]
    widest = max((len(email) for email, _, _ in lines), default=0)
    for email, role, more in lines:
        click.echo(exits.plain(f"{email:{widest}}  {role:7}  {more}".rstrip()))


@command.command("passwd")
@click.argument("email")
@click.option("--password-file", type=click.File("r"), help="File with the password, - for standard input.")
@talk.data_option
def passwd(email: str, password_file: click.File | None, data: Path | None) -> None:
    """Give a user another password. All their sessions end."""
    body = {"password": _password(password_file)}
    talk.run(data, lambda api: api.post(f"/users/{quote(email, safe='')}/password", body))
    click.echo(f"{email} has a new password, and is signed out everywhere.")


@command.command("disable")
@click.argument("email")
@talk.data_option
def disable(email: str, data: Path | None) -> None:
    """Switch a user off: every session ends, and nobody can sign in as them."""
    _switch(email, data, active=False)
    click.echo(f"Switched {email} off. To undo: conductor user enable {email}")


@command.command("enable")
@click.argument("email")
@talk.data_option
def enable(email: str, data: Path | None) -> None:
    """Let a user sign in again."""
    _switch(email, data, active=True)
    click.echo(f"{email} can sign in again.")


def _switch(email: str, data: Path | None, *, active: bool) -> None:
    talk.run(data, lambda api: api.patch(f"/users/{quote(email, safe='')}", {"active": active}))


async def _everyone(api: talk.Api) -> dict[str, Any]:
    return {**await api.get("/users"), **await api.get("/invitations")}


def _until(invitation: Mapping[str, Any]) -> str:
    return "invitation expired" if invitation["expired"] else f"invited, until {invitation['expires_at']}"


def _password(file: object) -> str:
    if file is not None:
        return str(file.read()).rstrip("\n")  # type: ignore[attr-defined]  # click.File opens to a text file
    if not sys.stdin.isatty():
        raise click.UsageError("Give the password with --password-file FILE, or - for standard input.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
