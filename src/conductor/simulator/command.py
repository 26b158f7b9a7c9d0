"""`conductor simulate auth0`: a simulated tenant to try Conductor with."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from conductor.simulator import rate, server
from conductor.simulator.log_ids import PREFIXES
from conductor.simulator.server import Server
from conductor.simulator.shapes import SHAPES
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World

DEFAULT_TENANT = "acme"


def _rate_limit(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        rate.parse(value, "free")
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


@click.command("auth0")
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, help="Port to listen on; 0 takes a free one.")
@click.option("--tenant", "names", multiple=True, help="A tenant's name. Repeat for several.  [default: acme]")
@click.option("--client-id", help="The client id of every tenant. Otherwise generated.")
@click.option("--client-secret-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The secret.")
@click.option("--history", default=2_000, show_default=True, help="Events that happened before the start.")
@click.option("--days", default=1.0, show_default=True, help="Days over which they are spread.")
@click.option("--rate", default=0.5, show_default=True, help="New events a second, at random times.")
@click.option("--late", default=0.0, help="Share (0 to 1) of events that become visible a minute late.")
@click.option("--plan", default="enterprise", show_default=True, type=click.Choice(tuple(rate.PLANS)), help="Plan.")
@click.option("--rate-limit", default="plan", show_default=True, callback=_rate_limit, help="plan, none or N/s.")
@click.option("--shape", default="api", show_default=True, type=click.Choice(SHAPES), help="Form of the events.")
@click.option("--id-prefix", default="900", show_default=True, type=click.Choice(PREFIXES), help="Start of log ids.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same events.")
@click.option("--ca-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the CA here and use it again.")
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Write JSON here when serving.")
def auth0(
    bind: str,
    port: int,
    names: tuple[str, ...],
    client_id: str | None,
    client_secret_file: Path | None,
    ca_dir: Path | None,
    ready_file: Path | None,
    **settings: Any,
) -> None:
    """Simulate Auth0 tenants on this machine until Ctrl-C."""
    secret = client_secret_file.read_text().strip() if client_secret_file else None
    specs = [
        replace(_spec(name, number, client_id, secret), **settings)
        for number, name in enumerate(names or (DEFAULT_TENANT,))
    ]
    try:
        asyncio.run(_serve(World(specs), bind, port, ca_dir, ready_file))
    except OSError as error:
        raise click.ClickException(f"Cannot listen on {bind} port {port}: {error.strerror}.") from error


SIMULATORS: dict[str, click.Command] = {"auth0": auth0}


def _spec(name: str, number: int, client_id: str | None, secret: str | None) -> TenantSpec:
    host, aliases = _addresses(name, number)
    return TenantSpec(
        name=name,
        host=host,
        aliases=aliases,
        client_id=client_id or secrets.token_urlsafe(24),
        client_secret=secret or secrets.token_urlsafe(48),
    )


def _addresses(name: str, number: int) -> tuple[str, tuple[str, ...]]:
    """The first tenant is at localhost. Others get a name if this machine resolves it, else an address."""
    address = f"127.0.0.{number + 1}"
    if number == 0:
        return "localhost", (address, "::1", f"{name}.localhost")
    named = f"{name}.localhost"
    return (named, (address,)) if _resolves(named) else (address, (named,))


def _resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, 443)
    except OSError:
        return False
    return True


async def _serve(world: World, bind: str, port: int, ca_dir: Path | None, ready_file: Path | None) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # broken connections are what it is for
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server.running(world, bind=bind, port=port, ca_dir=ca_dir) as serving:
        _explain(serving)
        if ready_file:
            _write_ready(ready_file, serving)
        await stop.wait()
    click.echo("Stopped.", err=True)


def _explain(serving: Server) -> None:
    click.echo("Type this into Add integration, Auth0:\n", err=True)
    for name, tenant in serving.world.tenants.items():
        click.echo(f"  Domain         {serving.authority(name)}", err=True)
        click.echo(f"  Client ID      {tenant.spec.client_id}", err=True)
        click.echo(f"  Client secret  {tenant.spec.client_secret}\n", err=True)
    click.echo(f"  CA bundle      the text of {serving.ca}\n", err=True)
    click.echo("These are simulated tenants: nothing here reaches Auth0. Stop with Ctrl-C.", err=True)


def _write_ready(file: Path, serving: Server) -> None:
    """Written aside and moved, so that a script never reads half of it. Holds the secrets: readable by the owner."""
    tenants = [
        {
            "name": name,
            "domain": serving.authority(name),
            "client_id": tenant.spec.client_id,
            "client_secret": tenant.spec.client_secret,
        }
        for name, tenant in serving.world.tenants.items()
    ]
    draft = file.with_suffix(f"{file.suffix}.part")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"port": serving.port, "ca": str(serving.ca.resolve()), "tenants": tenants}))
    draft.replace(file)
