"""The command line as a stranger uses it: in processes of its own, against a simulated vendor over TLS.

Data goes to standard output and nothing else; what went wrong ends with its sentence on standard error and an exit code.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from browser import processes
from browser.processes import Cli, Conductor, Vendor, free_port, wait_for

from conductor.cli import exits

HISTORY = 150
FIELDS = "id time collected_at integration connector log_id type event category outcome severity user_name user_id ip"
MORE_FIELDS = "client_id client_name connection description raw"
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Bound to an address that is in its certificate and no tenant's name: there it has no tenant."""
    folder = tmp_path_factory.mktemp("vendor")
    with processes.simulating(folder, "--history", str(HISTORY), "--shape", "odd", "--bind", "127.0.0.7") as started:
        yield started


@pytest.fixture
def mended(vendor: Vendor) -> Iterator[Vendor]:
    """The vendor, with its scopes restored and its faults ended afterwards."""
    yield vendor
    vendor.control("DELETE", "faults")
    vendor.control("PATCH", "tenants/acme", {"scope": "read:logs", "client_secret": vendor.client_secret})


@pytest.fixture(scope="module")
def conductor(tmp_path_factory: pytest.TempPathFactory, vendor: Vendor) -> Iterator[Conductor]:
    """A Conductor that runs and has collected the tenant's log as `prod`."""
    with processes.serving(tmp_path_factory.mktemp("conductor")) as started:
        started.cli.add(vendor)
        wait_for(lambda: int(started.cli.ok("search", "integration:prod", "--count")) >= HISTORY, "events")
        yield started


def test_everything_works_while_it_runs(conductor: Conductor, vendor: Vendor) -> None:
    _everything_works(conductor.cli, vendor, "running")
    assert "running" not in conductor.cli.ok("integration", "list")


def test_each_step_of_a_connection_test_is_printed_when_it_ends(conductor: Conductor, mended: Vendor) -> None:
    mended.control("POST", "faults", {"kind": "hang", "count": 1, "endpoint": "search", "seconds": 4})
    words = [*conductor.cli.command, "integration", "test", "prod"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=conductor.cli.environment) as testing:
        assert testing.stderr is not None
        printed = [next(testing.stderr) for _ in range(7)]
        assert testing.poll() is None, "the vendor has not answered yet"
        assert "Scopes" in printed[-1]
        assert [line.split()[1] for line in testing.stderr] == ["Read", "Limits"]
    assert testing.returncode == 0


def test_nothing_is_removed_without_a_yes(conductor: Conductor) -> None:
    done = conductor.cli.run("integration", "remove", "prod", text="n\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert "prod" in conductor.cli.ok("integration", "list")


def test_everything_works_while_it_does_not_run(tmp_path: Path, vendor: Vendor) -> None:
    cli = Cli(tmp_path / "data")
    _everything_works(cli, vendor, "alone")
    assert int(cli.ok("search", "--count")) >= HISTORY  # the events stay when their integration is removed


def test_each_event_is_a_line_with_its_fields_and_the_vendors_own_object(conductor: Conductor, vendor: Vendor) -> None:
    sent = vendor.control("GET", "log-ids")["log_ids"]
    conductor.cli.ok("integration", "poll", "prod")
    wait_for(lambda: int(conductor.cli.ok("search", "integration:prod", "--count")) >= len(sent), "index of all")
    lines = conductor.cli.ok("search", "integration:prod", "--limit", "100000", "--jsonl").splitlines()
    rows = [json.loads(line) for line in lines]
    assert sorted(row["log_id"] for row in rows) == sorted(sent)
    assert all(set(FIELDS.split() + MORE_FIELDS.split()) <= row.keys() for row in rows)
    assert {(row["integration"], row["connector"]) for row in rows} == {("prod", "auth0")}
    assert len({row["id"] for row in rows}) == len(rows)
    for line, row in list(zip(lines, rows, strict=True))[:3]:
        assert processes.raw_of(line) == vendor.event(row["log_id"])


def test_search_counts_limits_and_documents_agree(conductor: Conductor) -> None:
    ask = conductor.cli.ok
    count = int(ask("search", "integration:prod type:s", "--count"))
    document = json.loads(ask("search", "integration:prod type:s", "--json"))
    assert document["schema"] == "conductor.search/1"
    assert len(document["rows"]) == count
    assert document["complete"] is True
    assert len(ask("search", "integration:prod", "--limit", "7").splitlines()) == 7
    assert ask("search", "type:nothing-is-called-so", "--jsonl") == ""
    assert int(ask("search", "*", "--last", "1h", "--count")) <= int(ask("search", "*", "--count"))


def test_standard_output_holds_data_only(conductor: Conductor) -> None:
    for words in (["search", "--limit", "3"], ["status"], ["integration", "list"], ["integration", "show", "prod"]):
        done = conductor.cli.run(*words, FORCE_COLOR="1")
        assert done.returncode == 0
        assert ESCAPE not in done.stdout + done.stderr
        assert "[INFO]" not in done.stdout
    for words in (
        ["search", "--limit", "3", "--json"],
        ["status", "--json"],
        ["config", "show", "--json"],
        ["integration", "polls", "prod", "--json"],
        ["integration", "polls", "prod", "--id", "1", "--json"],
    ):
        assert isinstance(json.loads(conductor.cli.ok(*words)), dict)


def test_what_is_set_while_it_runs_is_shown_and_what_cannot_be_used_is_refused(conductor: Conductor) -> None:
    cli = conductor.cli

    def shown() -> list[str]:
        line = next(
            line for line in cli.ok("config", "show").splitlines() if line.startswith("CONDUCTOR_SESSION_HOURS")
        )
        return line.split()[1:]

    assert shown() == ["12", "default"]
    assert cli.ok("config", "set", "session_hours", "9") == "session_hours is 9 now.\n"
    assert shown() == ["9", "here"]
    for wrong, told in (("none", "'none' is not a valid integer."), ("0", "Enter a whole number of hours, from 1 to")):
        refused = cli.run("config", "set", "session_hours", wrong)
        assert refused.returncode == 2
        assert told in refused.stderr
    cli.ok("config", "set", "session_hours", "12")


def test_hostile_content_cannot_move_the_cursor(conductor: Conductor, vendor: Vendor) -> None:
    event = {"type": "fp", "user_name": "ana\x1b[2J\u202e\r\nroot", "ip": "192.0.2.1"}
    log_id = vendor.control("POST", "events", {"event": event})["log_id"]
    conductor.cli.ok("integration", "poll", "prod")
    query = f'log_id:"{log_id}"'
    wait_for(lambda: conductor.cli.ok("search", query, "--count").strip() == "1", "event")
    table = conductor.cli.ok("search", query)
    assert "ana⟨U+001B⟩[2J⟨U+202E⟩⟨U+000D⟩⟨U+000A⟩root" in table
    assert len(table.splitlines()) == 1


def test_status_tells_failure_by_its_exit_code(conductor: Conductor, mended: Vendor) -> None:
    cli = conductor.cli
    assert cli.run("status", "--check").returncode == 0
    mended.control("POST", "faults", {"kind": "insufficient_scope"})
    assert cli.run("integration", "poll", "prod").returncode == 6
    failed = cli.run("status", "--check")
    assert failed.returncode == 11
    assert "■" in failed.stdout
    assert "Fix: " in failed.stdout
    mended.control("DELETE", "faults")
    mended.control("POST", "faults", {"kind": "rate_limited", "endpoint": "any", "retry_after": "2"})
    assert cli.run("integration", "poll", "prod").returncode == 8
    attention = cli.run("status", "--check")
    assert attention.returncode == 10
    assert "▲" in attention.stdout
    mended.control("DELETE", "faults")
    wait_for(lambda: cli.run("integration", "poll", "prod").returncode == 0, "poll after the time that was told")
    assert cli.run("status", "--check").returncode == 0


def test_the_first_administrator_can_be_made_without_a_browser(tmp_path: Path) -> None:
    with processes.serving(tmp_path, admin=False) as fresh:
        link = fresh.cli.ok("setup-link")
        assert re.fullmatch(rf"{fresh.url}/setup\?token=\S+\n", link)
        weak = fresh.cli.run("user", "add", "bob@example.com", "--password-file", "-", text="short")
        assert weak.returncode == 2
        assert "12 characters" in weak.stderr
        added = fresh.cli.ok(
            "user", "add", "ana@example.com", "--admin", "--password-file", "-", text=processes.PASSWORD
        )
        assert added == "Added ana@example.com as admin.\n"
        again = fresh.cli.run("setup-link")
        assert again.returncode == 4
        assert "There is already an administrator." in again.stderr


def test_users_are_invited_listed_and_switched_off(conductor: Conductor) -> None:
    cli = conductor.cli
    invited = cli.run("user", "invite", "bob@example.com", "--role", "analyst")
    assert re.fullmatch(rf"{re.escape(conductor.url)}/invite\?token=[\w-]{{43}}\n", invited.stdout)
    assert "It works once, until" in invited.stderr
    cli.ok("user", "add", "eve@example.com", "--password-file", "-", text=processes.PASSWORD)
    cli.ok("user", "passwd", "eve@example.com", "--password-file", "-", text=f"{processes.PASSWORD} 2")
    cli.ok("user", "disable", "eve@example.com")
    lines = cli.ok("user", "list").splitlines()
    assert any(re.fullmatch(r"bob@example\.com +analyst +invited, until \S+", line) for line in lines)
    assert any(re.fullmatch(r"eve@example\.com +viewer +inactive", line) for line in lines)
    cli.ok("user", "enable", "eve@example.com")
    told = json.loads(cli.ok("user", "list", "--json"))
    assert [user["active"] for user in told["users"] if user["email"] == "eve@example.com"] == [True]
    last = cli.run("user", "disable", processes.EMAIL)
    assert (last.returncode, last.stderr.splitlines()[0]) == (4, "Error: Make someone else an administrator first.")


def test_a_preview_shows_what_a_source_would_bring(conductor: Conductor) -> None:
    seen = conductor.cli.run("integration", "preview", "prod")
    assert len(seen.stdout.splitlines()) == 10
    assert all(line.startswith("time=20") for line in seen.stdout.splitlines())
    assert re.search(r"10 events, \d requests\. Nothing was stored\.", seen.stderr)
    told = json.loads(conductor.cli.ok("integration", "preview", "prod", "--json"))
    assert {event["raw"]["log_id"] for event in told["events"]} >= {
        event["fields"]["log_id"] for event in told["events"]
    }


def test_a_token_is_made_used_rotated_and_revoked(conductor: Conductor) -> None:
    cli = conductor.cli
    made = cli.run("token", "create", "grafana", "--scope", "integrations:read", "--days", "30")
    assert re.fullmatch(r"cdr_[\w-]{43}\n", made.stdout)
    assert "Copy it now" in made.stderr
    (token,) = json.loads(cli.ok("token", "list", "--json"))["tokens"]
    assert made.stdout.strip() not in cli.ok("token", "list")
    rotated = json.loads(cli.ok("token", "rotate", str(token["id"]), "--json"))
    assert rotated["token"] != made.stdout.strip()
    assert cli.ok("token", "revoke", str(token["id"])) == f"Revoked grafana ({token['id']}).\n"
    assert "revoked" in cli.ok("token", "list").splitlines()[-1]
    wrong = cli.run("token", "create", "x", "--scope", "admin", "--network", "here")
    assert (wrong.returncode, "is no network" in wrong.stderr) == (2, True)
    gone = cli.run("token", "revoke", "99")
    assert (gone.returncode, gone.stderr.splitlines()[0]) == (3, "Error: There is no such token.")


_ADD_MISTAKES = {
    "a domain that is none": ({"--domain": "not a domain"}, 2, "This is not an Auth0 domain."),
    "the dashboard": ({"--domain": "https://manage.auth0.com/"}, 2, "That is the Auth0 dashboard, not your tenant."),
    "a tenant that is not there": ({"--domain": "127.0.0.7:PORT"}, 3, "Auth0 has no tenant at 127.0.0.7"),
    "a name that is taken": ({"--name": "prod"}, 4, "There is already an integration called prod."),
    "a wrong secret": ({"secret": "wrong"}, 6, "Auth0 did not accept the Client ID and Client Secret."),
    "nobody there": ({"--domain": "127.0.0.1:FREE"}, 7, "127.0.0.1 cannot be reached on port FREE."),
    "a certificate nobody vouches for": ({"--ca-bundle": None}, 7, "is not trusted."),
    "an interval that is none": ({"--polling-interval": "never"}, 2, "polling_interval"),
    "no name": ({"--name": None}, 2, "Missing option '--name'"),
}


@pytest.mark.parametrize(("changes", "code", "sentence"), _ADD_MISTAKES.values(), ids=_ADD_MISTAKES.keys())
def test_a_mistake_in_adding_is_told_and_saves_nothing(
    conductor: Conductor, vendor: Vendor, changes: dict[str, str | None], code: int, sentence: str
) -> None:
    free = str(free_port())
    real = {key: value and value.replace("PORT", vendor.port).replace("FREE", free) for key, value in changes.items()}
    _assert_refused(conductor.cli, vendor, real, code, sentence.replace("FREE", free))


def test_a_missing_permission_is_told_and_saves_nothing(conductor: Conductor, mended: Vendor) -> None:
    mended.control("PATCH", "tenants/acme", {"scope": "read:users"})
    _assert_refused(conductor.cli, mended, {}, 6, "The application may not read logs.")


def test_a_rate_limit_is_told_and_saves_nothing(conductor: Conductor, mended: Vendor) -> None:
    mended.control("POST", "faults", {"kind": "rate_limited", "endpoint": "search", "retry_after": "1"})
    _assert_refused(conductor.cli, mended, {}, 8, "Auth0 asked us to slow down.")


def test_a_private_address_is_not_polled_unless_it_is_allowed(tmp_path: Path, vendor: Vendor) -> None:
    with processes.serving(tmp_path, private="") as closed:
        _assert_refused(closed.cli, vendor, {}, 5, "points to a private address (127.0.0.1).")


_QUERIES = {
    "type:": "Add a value after `type:`, for example `type:fp`.",
    "(type:fp OR type:fu": "The bracket opened here is never closed. Add `)` at the end.",
    '"abc': 'The quote opened here is never closed. Add `"` at the end.',
    "ip:10.0.0.0/33": "`10.0.0.0/33` is not a valid network: the number after `/` must be 0–32.",
    "ip:nope": "`nope` is not an IP address or network.",
}


def test_an_export_that_was_killed_goes_on_where_it_was(conductor: Conductor, tmp_path: Path) -> None:
    out, partial = tmp_path / "all.ndjson", tmp_path / "all.ndjson.partial"
    words = [*conductor.cli.command, "export", "--out", str(out)]
    whole = tmp_path / "whole.ndjson"
    conductor.cli.ok("export", "--out", str(whole))
    conductor.cli.ok("export", "--out", str(out))
    content = out.read_bytes()
    lines = content.splitlines(keepends=True)
    assert sorted(lines) == sorted(whole.read_bytes().splitlines(keepends=True))
    manifest = json.loads((tmp_path / "all.ndjson.manifest.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["count"] == len(lines)
    again = subprocess.run(words, capture_output=True, text=True, env=conductor.cli.environment, timeout=60)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    left = b"".join(lines[:50])  # as a kill would leave it: some pages told, and a bit more written
    out.write_bytes(left + lines[50][:10])
    row = json.loads(conductor.cli.ok("search", "--limit", "50", "--to", manifest["range"]["to"], "--json"))
    kept = {"asked": {"q": "*", **manifest["range"]}, "format": "ndjson", "columns": "", "plain": False}
    partial.write_text(json.dumps(kept | {"after": row["next"], "size": len(left), "count": 50}))
    conductor.cli.ok("export", "--out", str(out), "--resume")
    assert out.read_bytes() == content
    assert not partial.exists()


def test_a_parquet_export_is_whole_and_proven(conductor: Conductor, tmp_path: Path) -> None:
    out = tmp_path / "all.parquet"
    manifest = json.loads(conductor.cli.ok("export", "--out", str(out), "--columns", "id,time,raw", "--json"))
    assert (manifest["format"], manifest["size"]) == ("parquet", out.stat().st_size)
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    ids = duckdb.sql(f"SELECT id FROM read_parquet('{out}')").fetchall()
    ends = ["--from", manifest["range"]["from"] or "1970-01-01", "--to", manifest["range"]["to"]]
    lines = conductor.cli.ok("search", *ends, "--limit", "1000", "--jsonl").splitlines()
    assert [id_ for (id_,) in ids] == [json.loads(line)["id"] for line in lines]
    assert manifest["count"] == len(ids)
    refused = conductor.cli.run("export", "--out", str(tmp_path / "x.parquet"), "--resume")
    assert refused.returncode == 2
    assert "Parquet is made as a whole" in refused.stderr


def test_a_parquet_export_that_was_killed_is_never_taken_for_a_whole_one(conductor: Conductor, tmp_path: Path) -> None:
    out, new = tmp_path / "all.parquet", tmp_path / "all.parquet.new"
    words = [*conductor.cli.command, "export", "--out", str(out)]
    with subprocess.Popen(words, env=conductor.cli.environment, stderr=subprocess.DEVNULL) as exporting:
        while not (new.exists() or out.exists()) and exporting.poll() is None:
            pass
        exporting.kill()
    assert not out.exists() or duckdb.sql(f"SELECT count() FROM read_parquet('{out}')").fetchall()
    out.unlink(missing_ok=True)
    new.write_bytes(b"left by the one that was killed")
    manifest = json.loads(conductor.cli.ok("export", "--out", str(out), "--json"))
    assert manifest["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert not new.exists()


def test_an_export_in_the_background_is_asked_for_watched_taken_and_deleted(
    conductor: Conductor, tmp_path: Path
) -> None:
    cli, out = conductor.cli, tmp_path / "x.parquet"
    job = json.loads(cli.ok("export", "type:*", "--background", "--format", "parquet", "--json"))
    number = str(job["id"])
    wait_for(lambda: f"{number}  done" in cli.ok("exports", "list"), "the export")
    manifest = json.loads(cli.ok("exports", "get", number, "--out", str(out), "--json"))
    content = out.read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert duckdb.sql(f"SELECT count() FROM read_parquet('{out}')").fetchall() == [(manifest["count"],)]
    assert cli.run("exports", "get", number, "--out", str(out)).returncode == 2
    out.rename(tmp_path / "y.parquet.partial")
    (tmp_path / "y.parquet.partial").write_bytes(content[:100])  # as a cut would leave it
    cli.ok("exports", "get", number, "--out", str(tmp_path / "y.parquet"))
    assert (tmp_path / "y.parquet").read_bytes() == content
    (tmp_path / "z.partial").write_bytes(b"something else")
    assert "not what its manifest says" in cli.run("exports", "get", number, "--out", str(tmp_path / "z")).stderr
    assert cli.ok("exports", "cancel", number) == "Its file is deleted.\n"
    assert "expired" in cli.ok("exports", "show", number)
    assert cli.run("exports", "get", number, "--out", str(tmp_path / "z")).returncode == 3
    assert "--background" in cli.run("export", "type:fp").stderr


def test_an_export_that_cannot_be_written_says_so(conductor: Conductor, tmp_path: Path) -> None:
    refused = conductor.cli.run("export", "--out", str(tmp_path / "nowhere" / "x.csv"))
    assert refused.returncode == 2
    assert "cannot be written: No such file or directory" in refused.stderr
    (tmp_path / "y.csv.partial").write_text("{broken")
    assert "cannot be read" in conductor.cli.run("export", "--out", str(tmp_path / "y.csv"), "--resume").stderr
    nothing = conductor.cli.run("export", "--out", str(tmp_path / "z.csv"), "--resume")
    assert "no export" in nothing.stderr


def test_saved_searches_are_kept_run_and_written_as_yaml(conductor: Conductor, tmp_path: Path) -> None:
    cli, file = conductor.cli, tmp_path / "searches.yaml"
    cli.ok("saved", "save", "Failing", "outcome:failure", "--last", "30d", "--shared")
    assert cli.ok("saved", "run", "failing", "--count") == cli.ok(
        "search", "outcome:failure", "--last", "30d", "--count"
    )
    file.write_text(cli.ok("saved", "show", "failing").replace("outcome:failure", "type:fp"))
    cli.ok("saved", "save", "--file", str(file))
    assert json.loads(cli.ok("saved", "show", "Failing", "--json"))["state"] == {"q": "type:fp", "last": "30d"}
    cli.ok("saved", "delete", "failing")
    assert cli.run("saved", "run", "failing").returncode == 3
    file.write_text('searches:\n- {name: 404, q: "type:*", from: "2026-01-01"}\n')
    cli.ok("saved", "save", "--file", str(file))
    assert cli.ok("saved", "run", "404", "--count") == cli.ok("search", "type:*", "--from", "2026-01-01", "--count")
    cli.ok("saved", "delete", "404")
    file.write_text("searches: 5")
    assert "is no list of saved searches" in cli.run("saved", "save", "--file", str(file)).stderr


def test_new_events_are_printed_as_they_come(conductor: Conductor, vendor: Vendor) -> None:
    words = [*conductor.cli.command, "tail", "type:gd_tx_delete OR type:fcpr", "--jsonl"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=conductor.cli.environment) as tailing:
        assert tailing.stdout
        try:
            printed: list[dict[str, Any]] = []

            def read() -> None:
                assert tailing.stdout
                printed.append(json.loads(tailing.stdout.readline()))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()

            def come() -> bool:
                """Until it listens, what comes is not printed."""
                vendor.control("POST", "events", {"type": "fcpr"})
                conductor.cli.ok("integration", "poll", "prod")
                reader.join(2)
                return not reader.is_alive()

            wait_for(come, "a line")
        finally:
            tailing.kill()
    assert printed[0]["type"] == "fcpr"
    assert printed[0]["raw"]["type"] == "fcpr"


def test_a_program_is_told_all_that_comes_at_once_with_the_oldest_first(conductor: Conductor, vendor: Vendor) -> None:
    token = json.loads(conductor.cli.ok("token", "create", "tail", "--scope", "signals:read", "--json"))["token"]
    request = urllib.request.Request(
        f"{conductor.url}/api/v1/artifacts/live?q=type:fcpr&limit=4",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.build_opener(processes.NO_PROXY).open(request, timeout=30) as told:
        assert told.readline() == b"\n"  # it listens
        sent = [vendor.control("POST", "events", {"type": "fcpr"})["log_id"] for _ in range(11)]
        conductor.cli.ok("integration", "poll", "prod")
        came: list[dict[str, Any]] = []
        silent = 0
        while len(came) < len(sent) and silent < 3:  # an empty line every 15 s is a sign of life
            line = told.readline().strip()
            came += [json.loads(line)] if line else []
            silent += not line
    assert sorted(row["log_id"] for row in came) == sent  # more than `limit`, each once
    assert [row["time"] for row in came] == sorted(row["time"] for row in came)


def test_a_tail_of_a_conductor_that_does_not_run_says_so(tmp_path: Path) -> None:
    stopped = Cli(tmp_path / "data", processes.PRIVATE)
    assert "does not run" in stopped.run("tail").stderr


def test_a_time_range_can_be_told_in_words(conductor: Conductor) -> None:
    cli = conductor.cli
    assert cli.ok("search", "--range", "last 30d", "--count") == cli.ok("search", "--last", "30d", "--count")
    assert cli.ok("search", "--range", "yesterday", "--count") != cli.ok("search", "--count")
    assert "is not a time range" in cli.run("search", "--range", "next week").stderr
    assert "Give either --range" in cli.run("search", "--range", "today", "--last", "4h").stderr


def test_events_are_counted_by_a_field(conductor: Conductor) -> None:
    lines = conductor.cli.ok("search", "--by", "outcome").splitlines()
    for line in lines:
        count, value = line.split()
        assert int(conductor.cli.ok("search", f"outcome:{value}", "--count")) == int(count.replace(",", ""))
    assert "is not a field" in conductor.cli.run("search", "--by", "a b").stderr


def test_a_chart_stands_above_the_events_on_a_terminal_alone(conductor: Conductor) -> None:
    cli, words = conductor.cli, ("search", "integration:prod", "--last", "30d", "--limit", "3")
    rows = cli.ok(*words)
    shown = cli.on_terminal(*words, "--chart")
    assert shown.endswith(rows)
    chart = shown.removesuffix(rows).splitlines()
    count = int(cli.ok(*words, "--count"))
    assert re.fullmatch(rf" +{count:,} events, a bar is \d+ [a-z]+, times in UTC", chart[-1])
    assert all(len(line) <= 80 for line in chart)
    assert "█" in "".join(chart)
    assert ESCAPE not in shown
    assert cli.on_terminal(*words) == rows
    assert cli.ok(*words, "--chart") == rows
    assert cli.on_terminal(*words, "--chart", "--jsonl") == cli.ok(*words, "--jsonl")
    assert "Leave out --by" in cli.run(*words, "--chart", "--by", "type").stderr


def test_columns_are_chosen_by_the_names_of_the_fields(conductor: Conductor) -> None:
    words = ("search", "integration:prod", "--limit", "40")
    rows = [json.loads(line) for line in conductor.cli.ok(*words, "--jsonl").splitlines()]
    lines = conductor.cli.ok(*words, "--cols", "date, user,asn,own,id").splitlines()
    for line, row in zip(lines, rows, strict=True):
        own = "true" if row["own"] else "false"
        facts = [row["time"], exits.plain(row["user_name"]) or "-", str(row["asn"] or "-"), own, row["id"]]
        assert line.split() == " ".join(facts).split()
    assert len({line.index(row["id"]) for line, row in zip(lines, rows, strict=True)}) == 1, "one below the other"
    assert conductor.cli.ok(*words, "--cols", "ip", "--jsonl") == conductor.cli.ok(*words, "--jsonl")
    refused = conductor.cli.run(*words, "--cols", "ip,colour")
    assert refused.returncode == 2
    assert "There is no column `colour`. There are: id, date, ingested, event, " in refused.stderr


@pytest.mark.parametrize(("query", "sentence"), _QUERIES.items())
def test_a_query_that_does_not_parse_is_told(conductor: Conductor, query: str, sentence: str) -> None:
    done = conductor.cli.run("search", query)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


_USAGE = {
    "an unknown command": (["intgration"], 2, "No command `intgration`. Did you mean `integration`?"),
    "an unknown option": (["status", "--colour"], 2, "No such option"),
    "nothing to edit": (["integration", "edit", "prod"], 2, "Say what to change"),
    "a range that is none": (["search", "--last", "soon"], 2, "soon"),
    "an integration that is not there": (["integration", "show", "nobody"], 3, "nobody"),
    "a gap that is not there": (["integration", "gaps", "prod", "--close", "9", "--note", "x"], 3, "gap"),
}


@pytest.mark.parametrize(("words", "code", "sentence"), _USAGE.values(), ids=_USAGE.keys())
def test_wrong_usage_is_told(conductor: Conductor, words: list[str], code: int, sentence: str) -> None:
    done = conductor.cli.run(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_process_on_the_same_data_is_refused(conductor: Conductor) -> None:
    done = conductor.cli.run("serve", "--bind", f"127.0.0.1:{free_port()}")
    assert done.returncode == 5
    assert f"Another Conductor uses {conductor.cli.data}" in done.stderr
    assert conductor.cli.run("status", "--check").returncode == 0


def test_a_key_of_other_data_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    mine, other = Cli(tmp_path / "mine"), Cli(tmp_path / "other")
    mine.ok("status")
    other.ok("status")
    key, kept = mine.data / "conductor.key", tmp_path / "kept.key"
    shutil.copy(key, kept)
    shutil.copy(other.data / "conductor.key", key)
    done = mine.run("status")
    assert done.returncode == 5
    assert f"The key file {key} does not belong to this data." in done.stderr
    shutil.copy(kept, key)
    mine.ok("status")


def test_help_comes_at_once_since_it_loads_no_database() -> None:
    asked = (
        "import sys; sys.argv = ['conductor', '--help']; from conductor.cli import main; main(standalone_mode=False)"
    )
    told = "; print(sorted({'sqlalchemy', 'chdb', 'fastapi', 'httpx2'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked + told], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.splitlines()[-1] == "[]"


def _everything_works(cli: Cli, vendor: Vendor, name: str) -> None:
    ask = cli.ok
    assert re.fullmatch(r"conductor \d+\.\d+\.\d+\S*\n", ask("version"))
    assert ask("--version") == ask("version")
    assert cli.add(vendor, name).startswith(f"Added {name}, polling every 5 min.")
    assert re.search(rf"^{name} +auth0 +on ", ask("integration", "list"), re.MULTILINE)
    shown = json.loads(ask("integration", "show", name, "--json"))
    assert shown["config"]["domain"] == vendor.domain
    assert vendor.client_secret not in json.dumps(shown)
    steps = [step["state"] for step in json.loads(ask("integration", "test", name, "--json"))["steps"]]
    assert len(steps) == 9
    assert set(steps) <= {"ok", "warning"}
    assert ask("integration", "edit", name, "--polling-interval", "15") == f"Saved {name}.\n"
    assert ask("integration", "disable", name) == f"{name} is off. Its position is kept.\n"
    assert ask("integration", "enable", name) == f"{name} is on.\n"
    assert "events fetched" in ask("integration", "poll", name)
    polls = json.loads(ask("integration", "polls", name, "--json"))["polls"]
    assert {poll["result"] for poll in polls} <= {"ok", "running", "interrupted"}
    assert sum(poll["new"] for poll in polls) >= HISTORY
    assert vendor.client_secret not in ask("integration", "show", name)
    assert ask("integration", "gaps", name) == "No gaps.\n"
    wait_for(lambda: int(ask("search", f"integration:{name}", "--count")) >= HISTORY, "events")
    status = json.loads(ask("status", "--json"))
    assert status["schema"] == "conductor.status/1"
    assert [item["health"]["color"] for item in status["sources"] if item["name"] == name] == ["green"]
    assert ask("integration", "remove", name, text="y\n") == f"Removed {name}. Its stored events stay.\n"


def _assert_refused(cli: Cli, vendor: Vendor, changes: dict[str, Any], code: int, sentence: str) -> None:
    given: dict[str, str | None] = {"--name": "second", "--domain": vendor.domain, "--client-id": vendor.client_id}
    given |= {"--ca-bundle": str(vendor.ca), "--client-secret-file": "-"} | changes
    secret = given.pop("secret", vendor.client_secret)
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    done = cli.run("integration", "add", "auth0", *words, text=secret or "")
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert vendor.client_secret not in done.stderr
    kept = json.loads(cli.ok("integration", "list", "--json"))["integrations"]
    assert {item["name"] for item in kept} <= {"prod"}
