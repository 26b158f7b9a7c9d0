"""`conductor token`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk

SCOPES = ("signals:read", "signals:export", "integrations:read", "integrations:write", "admin")


@click.group("token")
def command() -> None:
    """Manage API tokens."""


@command.command("create", epilog="Example: conductor token create grafana --scope integrations:read --days 30")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="May be repeated.")
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="How long it works.")
@click.option("--network", "networks", multiple=True, help="Where it may come from, for example 203.0.113.0/24.")
@click.option("--integration", "integrations", multiple=True, help="Reach only this one. May be repeated.")
@talk.json_option
@talk.data_option
def create(name: str, scopes: tuple[str, ...], as_json: bool, data: Path | None, **more: Any) -> None:
    """Make a token and print it, this once."""
    body = {"name": name, "scopes": list(scopes), **more}
    _show(talk.run(data, lambda api: api.post("/tokens", body), as_json=as_json), as_json=as_json)


@command.command("list")
@talk.json_option
@talk.data_option
def list_(as_json: bool, data: Path | None) -> None:
    """Show all tokens, the newest first."""
    found = talk.run(data, lambda api: api.get("/tokens"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found))
        return
    for token in found["tokens"]:
        click.echo(exits.plain(_line(token)))


@command.command("rotate")
@click.argument("token_id", metavar="ID", type=int)
@talk.json_option
@talk.data_option
def rotate(token_id: int, as_json: bool, data: Path | None) -> None:
    """Print a successor; the old token works for another 24 hours at the most."""
    _show(talk.run(data, lambda api: api.post(f"/tokens/{token_id}/rotate"), as_json=as_json), as_json=as_json)


@command.command("revoke")
@click.argument("token_id", metavar="ID", type=int)
@talk.data_option
def revoke(token_id: int, data: Path | None) -> None:
    """Let a token work no more."""
    token = talk.run(data, lambda api: api.delete(f"/tokens/{token_id}"))
    click.echo(exits.plain(f"Revoked {token['name']} ({token['id']})."))


def _show(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(f"Copy it now, it is not shown again. It works until {made['expires_at']}:", err=True)
    click.echo(made["token"])


def _line(token: Mapping[str, Any]) -> str:
    state = token["state"] if token["state"] != "active" else f"until {token['expires_at']}"
    used = f"used {token['used_at']} from {token['used_from']}" if token["used_at"] else "never used"
    only = f"  only {' '.join(token['integrations'])}" if token["integrations"] else ""
    return f"{token['id']:4}  {token['name']}  {' '.join(token['scopes'])}{only}  {state}  {used}"
