"""Every deed that matters has an entry: who, what, when, from where. And the log can be proved from the command line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from worlds import Collecting, collecting, run

from conductor.core import clock
from conductor.core.errors import ConductorError
from conductor.operations import accounts, auditing, backups, integrations, keys, retention, sessions
from conductor.outbound import local
from conductor.simulator.tenant import TenantSpec
from conductor.store import gaps
from conductor.store.database import Connection
from conductor.web.app import create_app

PASSWORD = "a long enough passphrase 7"
HERE = "203.0.113.9"
# Action, who, and what it was done to. Requirement 29 of the security checklist, one line a deed.
DEEDS = {
    ("setup.link", "local", "setup"),
    ("setup.admin", "ana@example.com", "ana@example.com"),
    ("login", "ana@example.com", "ana@example.com"),
    ("login.failed", "ana@example.com", "ana@example.com"),
    ("logout", "ana@example.com", "ana@example.com"),
    ("session.end", "ana@example.com", "ana@example.com"),
    ("user.add", "ana@example.com", "bob@example.com"),
    ("user.edit", "ana@example.com", "bob@example.com"),
    ("user.password", "ana@example.com", "bob@example.com"),
    ("access.denied", "bob@example.com", "GET /api/v1/users"),
    ("integration.added", "ana@example.com", "prod"),
    ("integration.edited", "ana@example.com", "prod"),
    ("integration.enabled", "ana@example.com", "prod"),
    ("integration.disabled", "ana@example.com", "prod"),
    ("integration.removed", "ana@example.com", "prod"),
    ("egress.blocked", "ana@example.com", "auth0"),
    ("egress.blocked", "conductor", "blocked"),
    ("tls.failed", "conductor", "untrusted"),
    ("gap.closed", "ana@example.com", "prod"),
    ("search", "bob@example.com", "events"),
    ("events.expired", "conductor", "journal"),
    ("retention.changed", "environment", "retention"),
    ("backup.made", "ana@example.com", "/backup/x.db"),
}


async def people(it: Collecting) -> None:
    """Set-up, log-ins good and bad, users."""
    token = await accounts.setup_link(it.system)
    await accounts.create_first_admin(it.system, token, "Ana", "ana@example.com", PASSWORD, "UTC", address=HERE)
    with suppress(ConductorError):
        await sessions.login(it.system, "ana@example.com", "wrong", HERE)
    for ending in (sessions.logout, None):
        cookie = await sessions.login(it.system, "ana@example.com", PASSWORD, HERE)
        if ending is not None:
            await ending(it.system, cookie, address=HERE)
    ana = await it.system.database.read(lambda connection: accounts.find(connection, "ana@example.com"))
    await sessions.end_other_sessions(it.system, ana, "", address=HERE)
    await accounts.add_user(it.system, "bob@example.com", "Bob", PASSWORD, "viewer", ana.email, address=HERE)
    await accounts.edit_user(it.system, "bob@example.com", by=ana.email, role="analyst", address=HERE)
    await accounts.set_password(it.system, "bob@example.com", PASSWORD + "8", by=ana.email)


async def requests(it: Collecting) -> None:
    """What bob asks for over the API, and what he may not have."""
    cookie = await sessions.login(it.system, "bob@example.com", PASSWORD + "8", HERE)
    async with local.in_process(create_app(it.system)) as http:
        signed = {"Cookie": f"__Host-sid={cookie}"}
        assert (await http.get("/api/v1/users", headers=signed)).status_code == 403
        assert (await http.get("/api/v1/artifacts/search?q=type:f&last=24h", headers=signed)).status_code == 200


async def sources(it: Collecting) -> None:
    """Integrations, a gap, and what the guard and TLS refuse."""
    system, by = it.system, "ana@example.com"
    values = it.values()
    await integrations.add(system, "prod", "auth0", values, enabled=False, by=by, test=False)
    await integrations.edit(system, "prod", {"client_secret": "another"}, by=by, test=False)
    await integrations.edit(system, "prod", {"client_secret": values["client_secret"]}, by=by, test=False)
    await it.poll("prod")
    now = clock.now()
    await system.database.write(lambda connection: gaps.record(connection, 1, now - timedelta(hours=1), now, "test"))
    (gap,) = await integrations.list_gaps(system, "prod")
    await integrations.close_gap(system, "prod", gap.id, note="known", by=by)
    for on in (True, False):
        await integrations.set_enabled(system, "prod", on, by=by)
    private = values | {"domain": "127.0.0.1:22"}
    with suppress(ConductorError):
        async for _ in integrations.check(system, "auth0", private | {"domain": "10.0.0.1"}, by=by):
            pass
    await integrations.add(
        system, "blocked", "auth0", values | {"domain": "10.0.0.1"}, enabled=False, by=by, test=False
    )
    await integrations.add(system, "untrusted", "auth0", values | {"ca_bundle": ""}, enabled=False, by=by, test=False)
    for name in ("blocked", "untrusted", "blocked", "untrusted"):
        await it.poll(name)
    await integrations.remove(system, "prod", by=by)


async def keeping(it: Collecting) -> None:
    """Retention, backups."""
    await retention.note_setting(it.system)
    shorter = replace(it.system, settings=replace(it.system.settings, retention_days=30))
    await retention.note_setting(shorter)
    await it.system.database.write(_age)
    await retention.expire(it.system)
    await backups.note(it.system, "/backup/x.db", by="ana@example.com")


def _age(connection: Connection) -> None:
    connection.exec_driver_sql("UPDATE batches SET committed_at = 0")


def test_s29_every_deed_has_an_entry(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, TenantSpec(history=50)) as it:
            await people(it)
            await requests(it)
            await sources(it)
            await keeping(it)
            old = it.system.vault.key_id
            await keys.rotate(it.system, by="ana@example.com")
            found = await auditing.entries(it.system, auditing.Wanted(), 1000)
            rotated = {("key.rotated", "ana@example.com", it.system.vault.key_id)}
            assert old != it.system.vault.key_id
            assert DEEDS | rotated <= {(entry.action, entry.actor, entry.target) for entry in found}
            for entry in found:
                assert abs(clock.now() - entry.time) < timedelta(minutes=5)
                if entry.action in ("login", "login.failed", "logout", "setup.admin", "user.add", "user.edit"):
                    assert entry.address == HERE
            told = json.dumps([auditing.told(entry) for entry in found])
            assert PASSWORD not in told
            assert it.values()["client_secret"] not in told
            refusals = [entry for entry in found if entry.action in ("egress.blocked", "tls.failed")]
            refused = [entry.target for entry in refusals if entry.actor == "conductor"]
            assert sorted(refused) == ["blocked", "untrusted"]  # once, not with every poll
            assert (await auditing.verify(it.system)).broken is None

    run(work)


def test_the_log_is_listed_and_proved_on_the_command_line(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it:
            await it.add()
            await it.add("other")
            await integrations.remove(it.system, "other", by="ana")

    run(work)
    data = tmp_path / "data"
    assert conductor(data, "--verify").stdout == "Chain intact, 3 entries.\n"
    lines = conductor(data).stdout.splitlines()
    assert ["integration.removed" in line for line in lines] == [True, False, False]
    assert [
        line.split()[4] for line in conductor(data, "other", "--action", "integration.added").stdout.splitlines()
    ] == ["other"]
    assert [entry["target"] for entry in json.loads(conductor(data, "--actor", "ana", "--json").stdout)["entries"]] == [
        "other"
    ]
    with closing(sqlite3.connect(data / "conductor.db")) as connection:
        connection.execute("DROP TRIGGER audit_keeps_update")
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE id = 2")
        connection.commit()
    said = conductor(data, "--verify")
    assert said.returncode == 1
    assert said.stdout.startswith("Chain broken at entry 2.")


def conductor(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conductor", "audit", *words, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
