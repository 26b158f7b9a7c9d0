"""`conductor notification`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, form, talk
from conductor.cli.status import table

STATES = ("waiting", "sent", "failed", "skipped")


@click.group("notification")
def command() -> None:
    """Tell people by e-mail, Slack or webhook when a source needs them."""


@command.group("add", cls=form.ChannelGroup)
def add() -> None:
    """Add a channel. What needs somebody at present is told there at once."""


def add_one(kind: str, values: Mapping[str, Any], name: str, wishes: Mapping[str, Any], data: Path | None) -> None:
    """Add a channel of that kind; `ChannelGroup` makes the command from the kind's form."""
    body = {"name": name, "kind": kind, "config": values} | {
        key: value for key, value in wishes.items() if value not in (None, ())
    }
    added = talk.run(data, lambda api: api.post("/notifications/channels", body))
    click.echo(f"Added {added['name']}.")
    click.echo(f"Next:  conductor notification test {added['name']}")


@command.command("list")
@talk.json_option
@talk.data_option
def list_(as_json: bool, data: Path | None) -> None:
    """Show all channels. Secrets are never shown."""
    found = talk.run(data, lambda api: api.get("/notifications/channels"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [("NAME", "KIND", "TO", "ON", "TOLD OF", "LAST")]
    for item in found["channels"]:
        last = item["last"]
        told = f"{last['state']} {last['done_at']}" if last else "nothing yet"
        on = "on" if item["enabled"] else "off"
        rows.append((item["name"], item["kind"], exits.plain(item["target"]), on, " ".join(item["kinds"]), told))
    click.echo(table(rows) if len(rows) > 1 else "No notification channels.")


@command.command("test")
@click.argument("name")
@talk.json_option
@talk.data_option
def test(name: str, as_json: bool, data: Path | None) -> None:
    """Send a test and say how it went."""
    sent = talk.run(data, lambda api: api.post(f"/notifications/channels/{name}/test"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(sent))
    elif sent["state"] == "sent":
        click.echo(f"Sent a test to {name}.")
    else:
        click.echo(f"{exits.plain(sent['reason'])} ({sent['code']})", err=True)
    if sent["state"] != "sent":
        raise SystemExit(exits.code_of(sent["code"]))


@command.command("enable")
@click.argument("name")
@talk.data_option
def enable(name: str, data: Path | None) -> None:
    """Switch a channel on."""
    _switch(name, True, data)


@command.command("disable")
@click.argument("name")
@talk.data_option
def disable(name: str, data: Path | None) -> None:
    """Switch a channel off: it is told nothing."""
    _switch(name, False, data)


@command.command("remove")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@talk.data_option
def remove(name: str, yes: bool, data: Path | None) -> None:
    """Delete a channel and its secrets. The history stays."""
    if not yes:
        click.confirm(f"Delete the notification channel {name}?", abort=True, err=True)
    talk.run(data, lambda api: api.delete(f"/notifications/channels/{name}"))
    click.echo(f"Removed {name}.")


@command.command("history")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@talk.json_option
@talk.data_option
def history(state: str | None, limit: int, as_json: bool, data: Path | None) -> None:
    """Show what was told, the newest first."""
    found = talk.run(data, lambda api: api.get("/notifications/history", limit=limit, state=state), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    rows = [("AT", "CHANNEL", "STATE", "WHAT")]
    for item in found["deliveries"]:
        notice = item["notice"]
        why = f" ({item['reason'] or item['code']})" if item["code"] else ""
        told = exits.plain(f"{notice['integration']}: {notice['title']}{why}")
        rows.append((item["done_at"] or item["due_at"], item["channel"], item["state"], told))
    click.echo(table(rows) if len(rows) > 1 else "Nothing was told yet.")


def _switch(name: str, on: bool, data: Path | None) -> None:
    talk.run(data, lambda api: api.patch(f"/notifications/channels/{name}", {"enabled": on}))
    click.echo(f"{name} is {'on' if on else 'off'}.")
