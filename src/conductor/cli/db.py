"""`conductor db`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk


@click.group("db")
def command() -> None:
    """Check, back up and restore what is stored."""


@command.command("check")
@click.option("--every-key", is_flag=True, help="Look up the key of every event, not of one a batch. Takes longer.")
@talk.json_option
@talk.data_option
def check(every_key: bool, as_json: bool, data: Path | None) -> None:
    """Prove that no event is missing, changed or out of order. Works while Conductor runs, and changes nothing."""
    from conductor.core.errors import ConductorError
    from conductor.operations import proof

    try:
        url = database(data)
        report = proof.told(proof.check(url, every_key=every_key))
    except ConductorError as error:
        exits.leave(error, as_json=as_json)
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else "\n".join(_lines(report)))
    if not report["intact"]:
        raise SystemExit(exits.FAILED)


def database(data: Path | None) -> str:
    """Where the database is. Raises SettingsError when there is none."""
    from conductor import settings
    from conductor.core.errors import SettingsError
    from conductor.store.database import sqlite_url

    loaded = settings.load({"data": data})
    path = loaded.data.expanduser().absolute() / "conductor.db"
    if not loaded.database_url and not path.exists():
        raise SettingsError(f"There is no database {path}. Choose the data directory with --data.")
    return loaded.database_url or sqlite_url(path)


def _lines(report: Mapping[str, Any]) -> list[str]:
    lines = [_chain(found) for found in report["integrations"]]
    lines += [f"Database file: {line}" for line in report["damage"]]
    lines += [f"Reader: {line}" for line in report["cursors"]]
    if report["unreadable"]:
        lines.append(f"Cannot be read further: {report['unreadable']}")
    else:
        lines.append(f"Audit log: {audit_line(report['audit'])}")
    if report["intact"]:
        events = sum(found["events"] for found in report["integrations"])
        return [*lines, f"Intact: {events:,} events, none missing, changed or out of order."]
    return [
        *lines,
        "Fix: restore a backup (conductor db restore FILE), or export what can be read (conductor db salvage).",
    ]


def audit_line(audit: Mapping[str, Any]) -> str:
    """The verdict on the audit log, in a sentence."""
    if audit["broken"] is None:
        return f"Chain intact, {audit['entries']:,} entries."
    return f"Chain broken at entry {audit['broken']}. {audit['reason']} The {audit['entries']:,} before are intact."


def _chain(found: Mapping[str, Any]) -> str:
    name, broken = found["integration"], found["broken"]
    what = f"{found['batches']:,} batches, {found['events']:,} events"
    if broken is None:
        span = f", {found['from']} to {found['to']}" if found["from"] else ""
        return f"{name}: {what}{span}: intact."
    first, last = broken["first"], broken["last"]
    batches = f"batch {first:,} is" if first == last else f"batches {first:,} to {last:,} are"
    begins, ends = broken["from"] or "the beginning", broken["to"] or "now"
    when = f"committed {begins}" if begins == ends else f"committed between {begins} and {ends}"
    events = f", {broken['events']:,} events" if broken["events"] is not None else ""
    return f"{name}: {batches} {broken['what']} ({when}{events}). The {what} before are intact."
