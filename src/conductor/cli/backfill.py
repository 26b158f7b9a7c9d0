"""`conductor integration backfill`: read a span again, behind live collection."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from conductor.cli import talk
from conductor.cli.status import table

backfill_argument = click.argument("backfill", type=int, required=False)
BAR = 24  # characters


@click.group("backfill")
@click.argument("name")
@click.pass_context
def command(context: click.Context, name: str) -> None:
    """Read a span again, behind live collection: start, status, pause, resume, stop.

    For example: conductor integration backfill prod-us start --from 5d
    """
    context.obj = name


@command.command("start")
@click.option("--from", "start", required=True, metavar="TIME", help="A time, or a length such as 5d.")
@click.option("--to", "end", metavar="TIME", help="A time; where live collection is, if not given.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what it would cost.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@talk.json_option
@talk.data_option
@click.pass_obj
def start(name: str, start: str, end: str | None, dry_run: bool, yes: bool, as_json: bool, data: Path | None) -> None:
    """Collect what lies between two times, and what of it is not there yet."""
    path, span = f"/integrations/{name}/backfills", {"from": start, "to": end}
    if dry_run or not yes:
        known = talk.run(data, lambda api: api.post(path, {**span, "dry_run": True}), as_json=as_json)
        if not as_json:
            click.echo(_cost(known["estimate"]), err=not dry_run)
        elif dry_run:
            click.echo(json.dumps(known))
        if dry_run:
            return
        if sys.stdin.isatty() and not click.confirm("Start?", err=True):
            raise click.Abort
    started = talk.run(data, lambda api: api.post(path, span), as_json=as_json)
    if as_json:
        click.echo(json.dumps(started))
        return
    click.echo(f"Started backfill {started['id']}, behind live collection. It survives restarts.")
    click.echo(f"Next:  conductor integration backfill {name} status")


@command.command("status")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@talk.json_option
@talk.data_option
@click.pass_obj
def status(name: str, limit: int, as_json: bool, data: Path | None) -> None:
    """Show how far the backfills are, the newest first."""
    path = f"/integrations/{name}/backfills"
    found = talk.run(data, lambda api: api.get(path, limit=limit), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found))
        return
    items = found["backfills"]
    if not items:
        click.echo("Nothing to backfill.")
        return
    click.echo(
        table([("ID", "CAUSE", "STATE", "COVERED", "", "EVENTS", "NEW", "LEFT"), *(_row(item) for item in items)])
    )
    for item in items:
        if item["warning"]:
            click.echo(f"{item['id']}: {item['warning']}")


def _deed(deed: str, help_: str, said: str) -> None:
    @command.command(deed, help=help_)
    @backfill_argument
    @talk.data_option
    @click.pass_obj
    def run(name: str, backfill: int | None, data: Path | None) -> None:
        async def work(api: talk.Api) -> Any:
            path = f"/integrations/{name}/backfills"
            number = backfill
            if number is None:
                number = _only((await api.get(path, limit=1000))["backfills"], deed)
            return await api.post(f"{path}/{number}/{deed}")

        done = talk.run(data, work)
        click.echo(f"Backfill {done['id']} {said}.")


_deed("pause", "Pause a backfill between two pages; the only one that can be, if no ID is given.", "is paused")
_deed("resume", "Go on with a paused backfill.", "goes on")
_deed("stop", "Stop a backfill for good. What it has collected stays.", "is stopped")


def _only(found: list[Mapping[str, Any]], deed: str) -> int:
    states = {"pause": ("waiting", "running"), "resume": ("paused",), "stop": ("waiting", "running", "paused")}[deed]
    fitting = [int(item["id"]) for item in found if item["state"] in states]
    if len(fitting) != 1:
        raise click.UsageError(f"There are {len(fitting) or 'no'} backfills to {deed}. Give an ID: see `status`.")
    return fitting[0]


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    from conductor.core import wording

    covered = item["covered"]
    full = round(covered * BAR)
    left = "" if item["left_seconds"] is None else wording.duration(timedelta(seconds=item["left_seconds"]))
    bar = f"{item['begins'][:16]} {'▮' * full}{'▯' * (BAR - full)} {item['ends'][:16]}"
    counts = (f"{item['fetched']:,}", f"{item['new']:,}")
    return (str(item["id"]), item["cause"], item["state"], f"{covered:.0%}", bar, *counts, left)


def _cost(known: Mapping[str, Any]) -> str:
    from conductor.core import wording

    span = f"{known['begins'][:16]}Z to {known['ends'][:16]}Z"
    if known["requests"] is None:
        return f"{span}. How much that is will show itself: too little is collected yet to tell."
    takes = wording.duration(timedelta(seconds=known["takes_seconds"]))
    return (
        f"{span}: about {known['events']:,} events, {known['requests']:,} requests, "
        f"{takes} at {known['share']} % of the limit."
    )
