"""`conductor export`: everything that a search finds, as a file, with a manifest beside it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from conductor.cli import talk

PAGE = 1000
PARQUET = "parquet"
FORMATS = ("csv", "json", "ndjson", PARQUET)
_INSTEAD = "Begin anew under another name, or use --background: such an export goes on by itself."


@click.command("export", epilog='Example: conductor export "type:fp" --last 30d --out failed.csv')
@click.argument("query", default="*")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--format", "kind", type=click.Choice(FORMATS), help="By the file's ending, if that tells; else ndjson.")
@click.option("--columns", default="", help="Fields separated by commas; all without it, with the raw event.")
@click.option("--last", help="The last so long: 15m, 4h, 7d.")
@click.option("--from", "start", help="Begin of the range: 2026-11-20 or 2026-11-20T14:00Z.")
@click.option("--to", "end", help="End of the range.")
@talk.range_option
@click.option("--plain", is_flag=True, help="In CSV, leave cells as they are that a spreadsheet takes for formulas.")
@click.option("--resume", is_flag=True, help="Go on with an export that was cut short.")
@click.option("--background", is_flag=True, help="Have Conductor make it: see `conductor exports`.")
@talk.json_option
@talk.data_option
def command(
    query: str,
    out: Path | None,
    kind: str | None,
    columns: str,
    last: str | None,
    start: str | None,
    end: str | None,
    words: str | None,
    plain: bool,
    resume: bool,
    background: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Write every event that matches QUERY to a file, newest first, and what it is to FILE.manifest.json.

    Cut short, it leaves FILE.partial; the same command with --resume goes on from there. Parquet is made as a whole:
    cut short, it leaves FILE.new at the most, and is made anew.
    """
    if background:
        asked = talk.ranged(words, {"q": query, "last": last, "from": start, "to": end})
        wanted = [name.strip() for name in columns.split(",") if name.strip()]
        body = {**asked, "format": kind or _by_name(out), "columns": wanted, "plain": plain}
        _ask(data, body, as_json=as_json)
        return
    if out is None:
        raise click.UsageError("Give --out, the file to write, or --background.")
    state = out.with_name(f"{out.name}.partial")
    if resume and PARQUET in (kind, out.suffix.removeprefix(".")):
        raise click.UsageError(f"Parquet is made as a whole: there is nothing to go on with. {_INSTEAD}")
    if resume:
        work = _resumed(out, state)
    else:
        if out.exists() or state.exists():
            raise click.UsageError(f"{out} exists. Choose another name, or go on with it by --resume.")
        asked = talk.ranged(words, {"q": query, "last": last, "from": start, "to": end})
        work = _Work(out, state, asked, kind or _by_name(out), columns, plain=plain)
    try:
        manifest = talk.run(data, work.run, as_json=as_json)
    except OSError as error:
        raise click.UsageError(
            f"{out} cannot be written: {error.strerror}. Mend that, or choose another file."
        ) from None
    if as_json:
        click.echo(json.dumps(manifest))
        return
    click.echo(f"Wrote {manifest['count']:,} events to {out}.", err=True)
    if not manifest["complete"]:
        gaps, behind = len(manifest["gaps"]), ", ".join(manifest["behind"])
        told = [f"{gaps} gap(s) in this range"] if gaps else []
        click.echo(f"It may be incomplete: {'; '.join(told + ([f'behind: {behind}'] if behind else []))}.", err=True)


def _ask(data: Path | None, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Have it made in the background."""

    async def work(api: talk.Api) -> tuple[Mapping[str, Any], bool]:
        return await api.post(
            "/exports", {name: value for name, value in body.items() if value is not None}
        ), api.running

    job, running = talk.run(data, work, as_json=as_json)
    if as_json:
        click.echo(json.dumps(job, ensure_ascii=False))
        return
    click.echo(
        f"Export {job['id']}, of {job['total']:,} events, is made {'now' if running else 'when Conductor runs'}."
    )
    click.echo(f"How far it is: conductor exports show {job['id']}", err=True)


def _by_name(out: Path | None) -> str:
    """The format that a file's ending tells."""
    suffix = out.suffix.removeprefix(".") if out else ""
    return suffix if suffix in FORMATS else "ndjson"


@dataclass(slots=True)
class _Work:
    """An export and how far it is: `size` bytes and `count` events are written, up to the place `after`."""

    out: Path
    state: Path
    asked: Mapping[str, str | None]
    format: str
    columns: str
    plain: bool = False
    after: str | None = None
    size: int = 0
    count: int = 0
    begun: bool = False

    async def run(self, api: talk.Api) -> Mapping[str, Any]:
        """Write it all; the answer is the manifest."""
        if not self.begun:
            first = await api.get("/artifacts/search", limit=1, **_given(self.asked))
            whole = first["range"]  # as of now, so that every page is of the same
            self.asked = {"q": self.asked["q"], "from": whole["from"], "to": whole["to"] or _now()}
        await (self._whole(api) if self.format == PARQUET else self._pages(api))
        manifest = await self._manifest(api)
        path = self.out.with_name(f"{self.out.name}.manifest.json")
        path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        self.state.unlink(missing_ok=True)
        return manifest

    async def _pages(self, api: talk.Api) -> None:
        with self.out.open("r+b" if self.begun else "xb") as file:
            file.seek(self.size)
            file.truncate()
            try:
                while not self.begun or self.after is not None:
                    await self._page(api, file)
            finally:
                if not self.begun:
                    self.out.unlink()

    async def _page(self, api: talk.Api, file: Any) -> None:
        asked = {**_given(self.asked), "format": self.format, "columns": self.columns or None, "plain": self.plain}
        content, headers = await api.content("/artifacts/export", part=True, limit=PAGE, after=self.after, **asked)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        self.begun, self.after = True, headers.get("conductor-next")
        self.size += len(content)
        self.count += int(headers["conductor-count"])
        self._remember()
        if sys.stderr.isatty():
            click.echo(f"\r{self.count:,} events", nl=False, err=True)

    async def _whole(self, api: talk.Api) -> None:
        """Parquet, in one go, under its name once it is there: half of it cannot be read, nor gone on with."""
        asked = {**_given(self.asked), "format": self.format, "columns": self.columns or None}
        new = self.out.with_name(f"{self.out.name}.new")
        with new.open("ab") as file:
            _claim(file)
            try:
                headers = await api.download("/artifacts/export", file, 0, **asked)
                file.flush()
                os.fsync(file.fileno())
                if self.out.exists():
                    raise FileExistsError(errno.EEXIST, "There is such a file by now")
                new.replace(self.out)
            finally:
                new.unlink(missing_ok=True)
        self.size, self.count = self.out.stat().st_size, int(headers["conductor-count"])

    def _remember(self) -> None:
        """How far it is, put in place at once."""
        names = ("asked", "format", "columns", "plain", "after", "size", "count")
        new = self.state.with_name(f"{self.state.name}.new")
        new.write_text(json.dumps({name: getattr(self, name) for name in names}))
        new.replace(self.state)

    async def _manifest(self, api: talk.Api) -> Mapping[str, Any]:
        told = await api.get("/artifacts/search", limit=1, **_given(self.asked))
        with self.out.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {
            "schema": "conductor.export/1",
            "file": self.out.name,
            "sha256": digest,
            "size": self.size,
            "count": self.count,
            "query": self.asked["q"],
            "range": {"from": self.asked["from"], "to": self.asked["to"]},
            "format": self.format,
            "columns": self.columns.split(",") if self.columns else "all",
            "exported_at": _now(),
            "complete": told["complete"],
            "gaps": told["gaps"],
            "behind": told["behind"],
            **({"formulas_marked": not self.plain} if self.format == "csv" else {}),
        }


def _claim(file: BinaryIO) -> None:
    """Empty what one that was killed has left; a file that is being written is not ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.UsageError(f"{file.name} is being written by another export.") from None
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
            file.truncate(0)
            return
    raise click.UsageError(f"{file.name} was just finished by another export.")


def _resumed(out: Path, state: Path) -> _Work:
    try:
        kept = json.loads(state.read_text())
    except FileNotFoundError:
        raise click.UsageError(f"There is no export of {out} to go on with.") from None
    except (OSError, ValueError):
        raise click.UsageError(f"{state} cannot be read. Remove it and {out}, and begin anew.") from None
    if not out.exists() or out.stat().st_size < kept["size"]:
        raise click.UsageError(f"{out} is not as it was left. Remove it and {state}, and begin anew.")
    return _Work(out, state, begun=True, **kept)


def _given(asked: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"{name}_" if name == "from" else name: value for name, value in asked.items()}


def _now() -> str:
    from conductor.core import clock

    return clock.to_exact(clock.now())
