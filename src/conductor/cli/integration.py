"""`conductor integration`: add, test, poll and manage integrations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import backfill, exits, form, talk
from conductor.cli.status import ago, table

name_argument = click.argument("name")
MARKS = {"ok": "✓", "warning": "▲", "failed": "✗", "skipped": "·"}


@click.group("integration")
def command() -> None:
    """Add, test, poll and manage integrations."""


command.add_command(backfill.command)


@command.group("add", cls=form.ConnectorGroup)
def add() -> None:
    """Test a new integration and save it. Nothing is saved when the test fails, unless --disabled is given."""


def add_one(slug: str, values: Mapping[str, Any], name: str, disabled: bool, data: Path | None) -> None:
    """Add an integration of that connector; `ConnectorGroup` makes the command from the connector's form."""
    body = {"name": name, "connector": slug, "config": values, "enabled": not disabled, "test": not disabled}
    if not disabled:
        click.echo(f"Testing {values.get('domain', name)}", err=True)
    added = talk.run(data, lambda api: _or_steps(api.post("/integrations", body)))
    _print_steps(added.get("steps", ()))
    minutes = added["config"]["polling_interval"]
    if disabled:
        click.echo(f"Added {name}, switched off and not tested.")
        click.echo(f"Next:  conductor integration test {name}   then   conductor integration enable {name}")
    else:
        click.echo(f"Added {name}, polling every {minutes} min.")
        click.echo("Next:  conductor status")


@command.command("edit", cls=form.EditCommand)
@name_argument
@click.option("--name", "new_name", help="A new name. History stays.")
@talk.data_option
def edit(name: str, new_name: str | None, data: Path | None, **options: Any) -> None:
    """Change some settings; the others stay. The connection is tested when address or credentials change."""
    values = form.read(options)
    if not values and not new_name:
        raise click.UsageError("Say what to change, for example --polling-interval 15.")
    body = {"config": values, "name": new_name}
    changed = talk.run(data, lambda api: _or_steps(api.patch(f"/integrations/{name}", body)))
    click.echo(f"Saved {changed['name']}.")


@command.command("list")
@talk.json_option
@talk.data_option
def list_(as_json: bool, data: Path | None) -> None:
    """List all integrations."""
    found = talk.run(data, lambda api: api.get("/integrations"), as_json=as_json)
    if as_json:
        _json(found)
        return
    rows = [("NAME", "CONNECTOR", "ON", "STATE", "EVERY")]
    for item in found["integrations"]:
        state = f"{item['health']['shape']} {item['health']['word']}"
        every = f"{item['config'].get('polling_interval', 5)} min"
        rows.append((item["name"], item["connector"], "on" if item["enabled"] else "off", state, every))
    click.echo(table(rows))


@command.command("show")
@name_argument
@talk.json_option
@talk.data_option
def show(name: str, as_json: bool, data: Path | None) -> None:
    """Show one integration: settings, health, last poll. Secrets are never shown."""
    item = talk.run(data, lambda api: api.get(f"/integrations/{name}"), as_json=as_json)
    if as_json:
        _json(item)
        return
    judged = item["health"]
    click.echo(f"{item['name']}  {judged['shape']} {judged['sentence']}")
    for step in judged["fix"]:
        click.echo(f"  Fix: {step}")
    facts = {"connector": item["connector"], **{name: _short(value) for name, value in item["config"].items()}}
    facts |= {secret: f"set {about['set_at']} by {about['set_by']}" for secret, about in item["secrets"].items()}
    facts |= {
        "caught up": ago(item["caught_up_at"]),
        "loss clock": item["loss_at"] or "",
        "events in 24 h": f"{item['events_24h']:,}",
    }
    click.echo(table([(f"  {label}", str(value)) for label, value in facts.items() if value != ""]))


@command.command("test")
@name_argument
@talk.json_option
@talk.data_option
def test(name: str, as_json: bool, data: Path | None) -> None:
    """Test the connection step by step. Nothing is changed."""
    steps = talk.run(data, lambda api: _tested(api, name, quiet=as_json), as_json=as_json)
    failed = next((step for step in steps if step["state"] == "failed"), None)
    if as_json:
        _json({"ok": failed is None, "steps": steps})
    elif failed:
        _print_advice(failed)
    if failed:
        raise SystemExit(exits.code_of(failed["code"]))


async def _tested(api: talk.Api, name: str, *, quiet: bool) -> list[Mapping[str, Any]]:
    """The steps, each printed when it ends."""
    steps = []
    async for step in api.lines("/integrations/test", {"name": name}):
        steps.append(step)
        if not quiet:
            _print_steps([step])
    return steps


@command.command("preview")
@name_argument
@talk.json_option
@talk.data_option
def preview(name: str, as_json: bool, data: Path | None) -> None:
    """Show the source's newest ten events and what becomes of them. Nothing is stored."""
    found = talk.run(data, lambda api: api.post("/integrations/preview", {"name": name}), as_json=as_json)
    if as_json:
        _json(found)
        return
    for event in found["events"]:
        fields = "  ".join(f"{field}={value}" for field, value in event["fields"].items())
        click.echo(exits.plain(fields or "(could not be understood)"))
    count = len(found["events"])
    told = f"{count} event{'' if count == 1 else 's'}, {found['requests']} requests. Nothing was stored."
    click.echo(told, err=True)


@command.command("enable")
@name_argument
@talk.data_option
def enable(name: str, data: Path | None) -> None:
    """Switch an integration on."""
    talk.run(data, lambda api: api.post(f"/integrations/{name}/enable"))
    click.echo(f"{name} is on.")


@command.command("disable")
@name_argument
@talk.data_option
def disable(name: str, data: Path | None) -> None:
    """Switch an integration off. Its position is kept."""
    talk.run(data, lambda api: api.post(f"/integrations/{name}/disable"))
    click.echo(f"{name} is off. Its position is kept.")


@command.command("poll")
@name_argument
@talk.json_option
@talk.data_option
def poll(name: str, as_json: bool, data: Path | None) -> None:
    """Poll now and wait for the end."""
    done = talk.run(data, lambda api: api.post(f"/integrations/{name}/poll"), as_json=as_json)
    if as_json:
        _json(done)
    elif done["result"] == "ok":
        counts = f"{done['fetched']:,} events fetched, {done['new']:,} new, {done['duplicates']:,} already stored"
        click.echo(f"{counts}, {done['requests']} requests.")
    else:
        click.echo(f"Error: {exits.plain(done['reason'])}\n({done['result']})", err=True)
    if done["result"] != "ok":
        raise SystemExit(exits.code_of(done["result"]))


@command.command("polls")
@name_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--id", "poll", type=int, metavar="ID", help="One poll with its requests.")
@talk.json_option
@talk.data_option
def polls(name: str, limit: int, failed: bool, poll: int | None, as_json: bool, data: Path | None) -> None:
    """List the newest polls, or show one with its requests."""
    if poll is not None:
        _show_poll(talk.run(data, lambda api: api.get(f"/integrations/{name}/polls/{poll}"), as_json=as_json), as_json)
        return
    only = "failed" if failed else None
    path = f"/integrations/{name}/polls"
    found = talk.run(data, lambda api: api.get(path, limit=limit, result=only), as_json=as_json)
    if as_json:
        _json(found)
        return
    rows = [("ID", "STARTED", "LANE", "RESULT", "REQUESTS", "FETCHED", "NEW", "DUPLICATES", "REASON")]
    for item in found["polls"]:
        numbers = [f"{item[key]:,}" for key in ("requests", "fetched", "new", "duplicates")]
        rows.append((str(item["id"]), item["started_at"], item["lane"], item["result"], *numbers, item["reason"]))
    click.echo(table(rows) if len(rows) > 1 else "No polls yet.")


@command.command("gaps")
@name_argument
@click.option("--recover", "again", type=int, metavar="ID", help="Let this gap's span be read again.")
@click.option("--close", "gap", type=int, metavar="ID", help="Close this gap.")
@click.option("--note", help="Why it is closed.")
@talk.json_option
@talk.data_option
def gaps(name: str, again: int | None, gap: int | None, note: str | None, as_json: bool, data: Path | None) -> None:
    """List the gaps: spans of time that could not be collected. Closing one needs a note."""
    if again is not None:
        started = talk.run(data, lambda api: api.post(f"/integrations/{name}/gaps/{again}/recover"), as_json=as_json)
        click.echo(f"Gap {again} is read again, as backfill {started['id']}.")
        return
    if gap is not None:
        body = {"note": note or ""}
        closed = talk.run(data, lambda api: api.post(f"/integrations/{name}/gaps/{gap}/close", body), as_json=as_json)
        click.echo(f"Closed gap {closed['id']}.")
        return
    found = talk.run(data, lambda api: api.get(f"/integrations/{name}/gaps"), as_json=as_json)
    if as_json:
        _json(found)
        return
    rows: list[tuple[str, ...]] = [("ID", "FROM", "TO", "EVENTS", "STATE", "CAUSE", "NOTE")]
    for item in found["gaps"]:
        about = "" if item["estimate"] is None else f"≈ {item['estimate']:,}"
        rows.append((str(item["id"]), item["begins"], item["ends"], about, item["state"], item["cause"], item["note"]))
    click.echo(table(rows) if len(rows) > 1 else "No gaps.")


@command.command("remove")
@name_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@talk.data_option
def remove(name: str, yes: bool, data: Path | None) -> None:
    """Delete an integration's settings, secret and position. Stored events stay."""
    if not yes:
        question = f"Delete the settings, the secret and the checkpoint of {name}? Stored events stay."
        click.confirm(question, abort=True, err=True)
    talk.run(data, lambda api: api.delete(f"/integrations/{name}"))
    click.echo(f"Removed {name}. Its stored events stay.")


def _show_poll(poll: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        _json(poll)
        return
    click.echo(f"{poll['started_at']}  {poll['lane']}  {poll['result']}  {exits.plain(poll['reason'])}".rstrip())
    click.echo(f"{poll['fetched']:,} fetched, {poll['new']:,} new, {poll['duplicates']:,} already stored\n")
    rows = [("AT", "METHOD", "ADDRESS", "ANSWER", "MS", "BYTES", "RATE LEFT")]
    for one in poll["exchanges"]:
        left = "" if one["remaining"] is None else f"{one['remaining']} of {one['limit']}"
        answer = str(one["status"] or one["code"])
        rows.append((one["at"], one["method"], one["url"], answer, f"{one['took']:,}", f"{one['size']:,}", left))
    click.echo(table(rows) if len(rows) > 1 else "No requests are kept: they go after 7 days.")
    for one in poll["exchanges"]:
        if one["body"]:
            body = "\n".join(map(exits.plain, one["body"].splitlines()))
            click.echo(f"\nAnswer to {one['method']} {exits.plain(one['url'])}:\n{body}")


async def _or_steps(answer: Any) -> Any:
    """The answer; or the refusal with the steps of a failed test, to be printed first."""
    try:
        return await answer
    except exits.Failed as failed:
        _print_steps(failed.error.get("steps", ()))
        raise


def _short(value: Any) -> str:
    """One line of a value: a certificate has many."""
    lines = str(value).splitlines()
    return f"{lines[0]} … ({len(lines)} lines)" if len(lines) > 1 else str(value)


def _print_steps(steps: Any) -> None:
    for step in steps:
        click.echo(f"  {MARKS[step['state']]} {step['name']:<9}{exits.plain(step['text'])}", err=True)
        for line in step.get("fix", ()) if step["state"] == "warning" else ():  # what failed is told after all steps
            click.echo(f"    Fix: {exits.plain(line)}", err=True)


def _print_advice(step: Mapping[str, Any]) -> None:
    click.echo(f"({step['code']})", err=True)
    for line in step.get("fix", ()):
        click.echo(f"Fix: {line}", err=True)


def _json(content: Any) -> None:
    click.echo(json.dumps(content, ensure_ascii=False))
