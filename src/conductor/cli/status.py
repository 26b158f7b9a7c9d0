"""`conductor status`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk

GAPS = 3  # as many are told one by one
COLUMNS = ("SOURCE", "STATE", "CAUGHT UP", "LAST POLL", "LOSS CLOCK", "24 H")
WORKERS = ("WORKER", "PROCESS", "STARTED", "POLLS")


@click.command("status")
@talk.json_option
@click.option("--check", is_flag=True, help="Exit 10 when something needs attention, 11 when something failed.")
@talk.data_option
def command(as_json: bool, check: bool, data: Path | None) -> None:
    """Show all sources on one screen."""
    found = talk.run(data, lambda api: api.get("/status"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print(found["sources"], found["gaps"])
        if found["workers"]:
            click.echo(table([WORKERS, *map(_worker, found["workers"])]))
    if check:
        raise SystemExit(_verdict(found["sources"]))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns, aligned; what a stranger wrote in them is made harmless."""
    rows = [tuple(exits.plain(cell) for cell in row) for row in rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def ago(moment: str | None) -> str:
    """How long ago a time of the API is, `never` for none."""
    from conductor.core import wording

    return "never" if moment is None else f"{wording.duration(-_until(moment))} ago"


def _print(sources: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]]) -> None:
    if not sources:
        click.echo("No integrations yet. Add one: conductor integration add --help")
        return
    click.echo(table([COLUMNS, *(_row(source) for source in sources)]))
    waiting = [_gap(item) for item in gaps if item["state"] != "lost"]
    if waiting:
        click.echo(f"Open gaps: {len(waiting)} ({'; '.join(waiting[:GAPS])})")
    lost = [_gap(item) for item in gaps if item["state"] == "lost"]
    if lost:
        click.echo(f"Lost: {len(lost)} ({'; '.join(lost[:GAPS])})")
    for source in sources:
        _explain(source)


def _row(source: Mapping[str, Any]) -> tuple[str, ...]:
    from conductor.core import wording

    judged, last = source["health"], source["last_poll"]
    left = None if source["loss_at"] is None else _until(source["loss_at"])
    loss = "" if left is None else wording.duration(left) if left > timedelta(0) else "losing data"
    return (
        source["name"],
        f"{judged['shape']} {judged['word']}",
        ago(source["caught_up_at"]),
        ago(last and last["started_at"]),
        loss,
        f"{source['events_24h']:,}",
    )


def _worker(item: Mapping[str, Any]) -> tuple[str, ...]:
    return item["host"], str(item["pid"]), ago(item["since"]), f"{item['integrations']:,}"


def _gap(item: Mapping[str, Any]) -> str:
    recovering = "" if item["covered"] is None else f", recovering {item['covered']:.0%}"
    return f"{item['integration']} {item['begins'][:16]}Z to {item['ends'][:16]}Z{recovering}"


def _explain(source: Mapping[str, Any]) -> None:
    judged = source["health"]
    if others := source["shares_tenant_with"]:
        click.echo(exits.plain(f"{source['name']}: reads the same tenant as {', '.join(others)} (duplicate.tenant)."))
    if judged["color"] in ("amber", "red"):
        click.echo(f"{source['name']}: {judged['sentence']} ({judged['code']})")
        for step in judged["fix"]:
            click.echo(f"  Fix: {step}")
        if judged["fix"]:
            click.echo(f"  Then: conductor integration test {source['name']}")


def _verdict(sources: Sequence[Mapping[str, Any]]) -> int:
    colors = {source["health"]["color"] for source in sources}
    return exits.RED if "red" in colors else exits.ATTENTION if "amber" in colors else 0


def _until(moment: str) -> timedelta:
    from datetime import datetime

    from conductor.core import clock

    return datetime.fromisoformat(moment) - clock.now()
