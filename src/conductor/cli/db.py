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


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@talk.data_option
def backup(file: Path, data: Path | None) -> None:
    """Copy the database while Conductor runs, prove the copy, and write a manifest beside it. Never the master key."""
    from conductor.core.errors import ConductorError
    from conductor.operations import backups

    file = file.absolute()
    try:
        source, key = _local(data, f"pg_dump --format=custom --file {file} DATABASE")
        backups.check_target(file, key)
        talk.run(data, lambda api: api.post("/backups", {"file": str(file)}))
        manifest = backups.make(source, file, _say)
    except ConductorError as error:
        exits.leave(error)
    events = sum(found["events"] for found in manifest["integrations"])
    click.echo(f"Backed up {events:,} events to {file} ({manifest['bytes']:,} bytes), proved.")
    click.echo(f"The master key {key} is not in it: keep a copy of it elsewhere.")


@command.command("restore")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@talk.data_option
def restore(file: Path, yes: bool, data: Path | None) -> None:
    """Put a backup in place of the database, which is kept. Conductor must be stopped; its polls fetch the rest."""
    from conductor import app
    from conductor.core.errors import ConductorError
    from conductor.operations import backups

    try:
        path, key = _local(data, "pg_restore --clean --dbname DATABASE FILE", missing=True)
        if not yes:
            click.confirm(f"Replace {path} by {file}?", abort=True, err=True)
        with app.owned(path.parent) as directory:
            done = backups.restore(directory, key, file.absolute(), _say, by="local")
    except ConductorError as error:
        exits.leave(error)
    click.echo(f"Restored the backup of {done.made_at}: {done.events:,} events.")
    if done.aside:
        click.echo(f"The database that was replaced is {done.aside}.")
    click.echo("Next:  conductor serve   (fetches what came since, as long as the vendors have it)")


@command.command("salvage")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@talk.data_option
def salvage(file: Path, data: Path | None) -> None:
    """Write every event that can still be read of a damaged database to FILE, one JSON object a line."""
    from conductor.core.errors import ConductorError
    from conductor.operations import backups

    try:
        path, _ = _local(data, "pg_dump")
        events, lost = backups.save(path, file.absolute())
    except ConductorError as error:
        exits.leave(error)
    click.echo(f"Wrote {events:,} events to {file}; {lost:,} batches cannot be read.")


def _local(data: Path | None, instead: str, *, missing: bool = False) -> tuple[Path, Path]:
    """The SQLite file and the key file. Raises SettingsError, also for PostgreSQL, with what to use instead."""
    from conductor import settings
    from conductor.core.errors import SettingsError

    loaded = settings.load({"data": data})
    if loaded.database_url:
        raise SettingsError(f"The database is PostgreSQL, which has tools of its own: {instead}")
    directory = loaded.data.expanduser().absolute()
    path = directory / "conductor.db"
    if not missing and not path.exists():
        raise SettingsError(f"There is no database {path}. Choose the data directory with --data.")
    return path, Path(loaded.key_file) if loaded.key_file else directory / "conductor.key"


def _say(text: str) -> None:
    click.echo(f"… {text}", err=True)
