"""`conductor exports`: those that are made in the background, as `conductor export --background` asks for them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk


@click.group("exports", epilog="Example: conductor exports get 12 --out failed.parquet")
def command() -> None:
    """Exports that are made in the background."""


@command.command("list")
@talk.json_option
@talk.data_option
def list_all(as_json: bool, data: Path | None) -> None:
    """List the newest."""
    found = talk.run(data, lambda api: api.get("/exports"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for item in found["exports"]:
        click.echo(line(item))


@command.command("show")
@click.argument("export", type=click.IntRange(0))
@talk.json_option
@talk.data_option
def show(export: int, as_json: bool, data: Path | None) -> None:
    """Show how far EXPORT, a number, is."""
    found = talk.run(data, lambda api: api.get(f"/exports/{export}"), as_json=as_json)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else line(found))


@command.command("get")
@click.argument("export", type=click.IntRange(0))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@talk.json_option
@talk.data_option
def get(export: int, out: Path, as_json: bool, data: Path | None) -> None:
    """Write the file of EXPORT, which is done, and its manifest to FILE.manifest.json.

    Cut short, it leaves FILE.partial, and the same command goes on from there.
    """
    if out.exists():
        raise click.UsageError(f"{out} exists. Choose another name.")
    try:
        manifest = talk.run(data, lambda api: _get(api, export, out), as_json=as_json)
    except OSError as error:
        raise click.UsageError(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(json.dumps(manifest) if as_json else f"Wrote {manifest['count']:,} events to {out}.", err=not as_json)


@command.command("cancel")
@click.argument("export", type=click.IntRange(0))
@talk.json_option
@talk.data_option
def cancel(export: int, as_json: bool, data: Path | None) -> None:
    """Cancel EXPORT, or delete its file when it is done."""
    found = talk.run(data, lambda api: api.delete(f"/exports/{export}"), as_json=as_json)
    told = "Cancelled." if found["state"] == "cancelled" else "Its file is deleted."
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else told)


def line(item: Mapping[str, Any]) -> str:
    """One export, for a person."""
    count = f"{item['count']:,} of {max(item['total'], item['count']):,} events"
    asked = f"{len(item['ids'])} chosen events" if "ids" in item else item["query"]
    return exits.plain(
        "  ".join([str(item["id"]), item["state"], count, item["format"], asked, item["reason"]]).strip()
    )


async def _get(api: talk.Api, export: int, out: Path) -> Mapping[str, Any]:
    manifest, _ = await api.content(f"/exports/{export}/manifest")
    told: Mapping[str, Any] = json.loads(manifest)
    part = out.with_name(f"{out.name}.partial")
    with part.open("ab") as file:
        if file.tell() < told["size"]:
            await api.download(f"/exports/{export}/file", file, file.tell())
        file.flush()
        os.fsync(file.fileno())
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != told["sha256"]:
        part.unlink()
        raise exits.Failed(
            409, {"code": "request.conflict", "title": "The file is not what its manifest says. Get it again."}
        )
    part.replace(out)
    out.with_name(f"{out.name}.manifest.json").write_bytes(manifest)
    return told
