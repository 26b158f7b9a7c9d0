"""`conductor serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from conductor import __version__
from conductor.cli import exits, talk


@click.command("serve", epilog="Every option has an environment variable, for example CONDUCTOR_BIND.")
@click.option("--bind", metavar="ADDRESS:PORT", help="Where to listen; 127.0.0.1:8080 by default.")
@talk.data_option
@click.option("--base-url", metavar="URL", help="How people reach the pages, for links in messages and invitations.")
@click.option("--tls-cert", metavar="FILE", help="Certificate (PEM). Beyond loopback one is made when none is given.")
@click.option("--tls-key", metavar="FILE", help="Key of that certificate (PEM).")
@click.option("--retention-days", type=int, metavar="DAYS", help="How long events are kept; 90 by default.")
@click.option(
    "--allow-private-targets",
    multiple=True,
    metavar="CIDR",
    help="A private network that may be polled, for tests. Repeatable.",
)
@click.option("--log-format", type=click.Choice(["line", "json"]), help="Log lines for people or for machines.")
def command(allow_private_targets: Sequence[str], **flags: Any) -> None:
    """Run Conductor until Ctrl-C: pages, API, polling and indexing in one process."""
    from conductor import app, observe, settings
    from conductor.core.errors import ConductorError

    flags["allow_private_targets"] = ",".join(allow_private_targets) or None
    try:
        loaded = settings.load(flags)
        observe.set_up(loaded.log_format)
        asyncio.run(app.serve(loaded, _announce))
    except ConductorError as error:
        exits.leave(error)


def _announce(started: Any) -> None:
    lines = [f"Conductor {__version__} is running.", ""]
    if started.setup_link:
        lines += [
            "  Finish set-up in your browser (link works once, for 60 minutes):",
            f"  {started.setup_link}",
        ]
    else:
        lines.append(f"  Open   {started.url}")
    if started.fingerprint:
        lines += ["", "  The certificate was made here. Its SHA-256 fingerprint:", f"  {started.fingerprint}"]
    lines += ["", f"  Data   {started.directory}        Stop   Ctrl-C", ""]
    click.echo("\n".join(lines), err=True)
