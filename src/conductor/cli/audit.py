"""`conductor audit`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from conductor.cli import exits, talk
from conductor.cli.db import audit_line


@click.command("audit", epilog='Example: conductor audit "prod key" --actor ana@example.com')
@click.argument("query", default="")
@click.option("--actor", help="Only what this one did: an e-mail, or local.")
@click.option("--action", help="Only this deed, for example login.failed.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at the most.")
@click.option("--verify", is_flag=True, help="Prove the chain instead: exit 1 when it is broken.")
@talk.json_option
@talk.data_option
def command(
    query: str, actor: str | None, action: str | None, limit: int, verify: bool, as_json: bool, data: Path | None
) -> None:
    """Show who did what, the newest first. QUERY is words that an entry holds."""
    if verify:
        _verify(data, as_json=as_json)
        return
    asked = {"q": query or None, "actor": actor, "action": action, "limit": limit}
    found = talk.run(data, lambda api: api.get("/audit", **asked), as_json=as_json)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for entry in found["entries"]:
        click.echo(_line(entry))


def _verify(data: Path | None, *, as_json: bool) -> None:
    verdict = talk.run(data, lambda api: api.get("/audit/verify"), as_json=as_json)
    click.echo(json.dumps(verdict) if as_json else audit_line(verdict))
    if verdict["broken"] is not None:
        raise SystemExit(exits.FAILED)


def _line(entry: Mapping[str, Any]) -> str:
    """Content cannot move the cursor or hide itself: JSON escapes what does not print."""
    facts = [entry["time"], entry["actor"], entry["address"] or "-", entry["action"], entry["target"]]
    detail = json.dumps(entry["detail"], ensure_ascii=False) if entry["detail"] else ""
    return exits.plain("  ".join([*facts, detail]).rstrip())
