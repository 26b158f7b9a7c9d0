"""`conductor doctor`: what is wrong, and what to do about it. It changes nothing and sends no secret."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk
from conductor.cli.integration import MARKS

HTTPS = 443
PARTS = ("all", "dns", "net", "disk", "key", "clock", "search", "geoip", "sources")


@click.command("doctor", epilog="Examples: conductor doctor · conductor doctor net api.example.com")
@click.argument("part", type=click.Choice(PARTS), default="all")
@click.argument("host", required=False)
@click.option(
    "--ca-bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Trust these, too (PEM)."
)
@talk.json_option
@talk.data_option
def command(part: str, host: str | None, ca_bundle: Path | None, as_json: bool, data: Path | None) -> None:
    """Look at host, disk, key, clock, search engine, GeoIP files and all sources; or (dns, net) at the way to a HOST.

    Exit 0 when nothing is wrong, 10 when something needs attention, 11 when something failed.
    """
    if part in ("dns", "net") and not host:
        raise click.UsageError(f"Name a host: conductor doctor {part} api.example.com")
    from conductor.core.errors import ConductorError

    try:
        steps = asyncio.run(_steps(part, host or "", ca_bundle, data))
    except (exits.Failed, ConductorError) as error:
        exits.leave(error, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"schema": "conductor.doctor/1", "steps": steps}, ensure_ascii=False))
    else:
        _print(steps)
    states = {step["state"] for step in steps}
    raise SystemExit(exits.RED if "failed" in states else exits.ATTENTION if "warning" in states else 0)


async def _steps(part: str, host: str, ca_bundle: Path | None, data: Path | None) -> list[dict[str, Any]]:
    from conductor import catalog, settings
    from conductor.operations import doctor
    from conductor.outbound.guard import Policy
    from conductor.store.room import MIB
    from conductor.web import shapes

    loaded = settings.load({"data": data})
    directory = loaded.data.expanduser().absolute()
    advice = catalog.load().advice
    found = []
    if part in ("dns", "net"):
        name, port = _address(host)
        bundle = ca_bundle.read_text("utf-8", "replace") if ca_bundle else ""
        reach = doctor.network(name, port, Policy(loaded.allowed), bundle, "dns" if part == "dns" else "")
        return [shapes.step(step, advice) async for step in reach]
    if part in ("all", "disk"):
        found += [doctor.data(directory), doctor.disk(directory, loaded.min_free_mb * MIB)]
    if part in ("all", "key"):
        found.append(doctor.key(Path(loaded.key_file) if loaded.key_file else directory / "conductor.key"))
    if part in ("all", "clock"):
        found.append(await doctor.time())
    if part in ("all", "search"):
        found.append(await doctor.search(loaded.clickhouse_url))
    if part == "geoip" or (part == "all" and loaded.geoip_databases):
        found += await asyncio.to_thread(doctor.geoip, loaded.geoip_databases)
    told = [shapes.step(step, advice) for step in found]
    if part in ("all", "sources"):
        told += await _sources(directory)
    return told


def _address(host: str) -> tuple[str, int]:
    """A host and its port, 443 when none is named; an IPv6 address stands in brackets then."""
    name, colon, port = host.rpartition(":")
    if not colon or name.startswith("[") != name.endswith("]") or (":" in name and not name.endswith("]")):
        return host.strip("[]"), HTTPS
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
        raise click.UsageError(f"{host} is no host. Write HOST or HOST:PORT.")
    return name.strip("[]"), int(port)


async def _sources(directory: Path) -> list[dict[str, Any]]:
    """Every source's health, as the running Conductor tells it; none is started or opened for that."""
    from conductor.core.errors import ConductorError
    from conductor.outbound import local

    path = directory / talk.SOCKET
    if not await local.answers(path):
        return [_told("Sources", "skipped", "Conductor does not run here, so nobody tells of them")]
    try:
        async with local.over_socket(path) as http:
            return [_source(item) for item in (await talk.Api(http).get("/status"))["sources"]]
    except (exits.Failed, ConductorError, OSError) as error:
        return [_told("Sources", "failed", str(error))]


def _told(name: str, state: str, text: str) -> dict[str, Any]:
    return {"name": name, "state": state, "text": text, "code": "", "detail": "", "fix": []}


def _source(item: Mapping[str, Any]) -> dict[str, Any]:
    """A source's health as a step."""
    judged = item["health"]
    state = {"green": "ok", "grey": "ok", "amber": "warning", "red": "failed"}[judged["color"]]
    fix = [*judged["fix"], f"Then: conductor integration test {item['name']}"] if state == "failed" else judged["fix"]
    told = {"name": item["name"], "text": judged["sentence"], "code": judged["code"], "state": state}
    return told | {"detail": judged["detail"], "fix": fix}


def _print(steps: Sequence[Mapping[str, Any]]) -> None:
    width = max((len(step["name"]) for step in steps), default=0)
    for step in steps:
        click.echo(f"{MARKS[step['state']]} {exits.plain(step['name']):<{width}}  {exits.plain(step['text'])}")
        if step["state"] in ("failed", "warning"):
            for line in [f"Fix: {line}" for line in step["fix"]] or filter(None, [step["detail"]]):
                click.echo(f"    {exits.plain(line)}")
