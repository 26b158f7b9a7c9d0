"""`conductor support-bundle`."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import click

from conductor.cli import talk


@click.command("support-bundle")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file; conductor-support-….zip here.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@talk.data_option
def command(out: Path | None, yes: bool, data: Path | None) -> None:
    """Write a file that helps somebody else to find a fault. What is in it is listed first; nothing is sent."""
    from conductor.core import clock

    made = talk.run(data, lambda api: api.post("/support-bundle"))
    file = out or Path(f"conductor-support-{clock.now():%Y%m%dT%H%M%SZ}.zip")
    if file.exists():
        raise click.UsageError(f"{file} is there already. Choose another name: --out FILE")
    click.echo("The bundle holds no secret, no password and no event. It does hold names and domains:", err=True)
    for name, told in made["contents"].items():
        click.echo(f"  {name:<14} {len(made['parts'][name]):>9,} characters  {told}", err=True)
    if not yes:
        click.confirm(f"Write it to {file}?", abort=True, err=True)
    _write(file, made["parts"])
    click.echo(file)


def _write(file: Path, parts: Mapping[str, str]) -> None:
    """Readable by whoever asked, and nobody else."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "wb") as output, zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in parts.items():
            bundle.writestr(f"conductor-support/{name}", text)
