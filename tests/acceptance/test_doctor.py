"""`conductor doctor` and `conductor config`, as an operator runs them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import geoip
import pytest
from browser import processes
from browser.processes import Cli


def steps(cli: Cli, *words: str, code: int) -> dict[str, dict[str, Any]]:
    done = cli.run("doctor", *words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "conductor.doctor/1"
    return {step["name"]: step for step in told["steps"]}


def test_it_looks_at_the_host_and_at_every_source(tmp_path: Path) -> None:
    with processes.simulating(tmp_path, "--history", "20") as vendor, processes.serving(tmp_path) as conductor:
        cli = conductor.cli
        cli.add(vendor, "prod")
        processes.wait_for(lambda: "Healthy" in cli.ok("doctor", "sources"), "health")
        wrong = ["--domain", vendor.domain, "--client-id", "nobody", "--ca-bundle", str(vendor.ca), "--disabled"]
        cli.ok("integration", "add", "auth0", "--name", "broken", "--client-secret-file", "-", *wrong, text="wrong")
        cli.ok("integration", "enable", "broken")
        processes.wait_for(lambda: "did not accept" in cli.run("doctor", "sources").stdout, "failure")
        found = steps(cli, code=11)
        assert [found[name]["state"] for name in ("Data", "Disk", "Key", "prod")] == ["ok"] * 4
        assert found["broken"]["state"] == "failed"
        assert found["broken"]["fix"][-1] == "Then: conductor integration test broken"
        told = cli.run("doctor").stdout
        assert "    Fix: Then: conductor integration test broken" in told.splitlines()
        (cli.data / "conductor.key").chmod(0o644)
        key = steps(cli, "key", code=11)["Key"]
        assert key["text"].endswith(f"Run: chmod 600 {cli.data / 'conductor.key'}")


def test_it_follows_the_way_to_a_host(tmp_path: Path) -> None:
    with processes.simulating(tmp_path, "--history", "1") as vendor:
        cli = Cli(tmp_path / "data")
        good = steps(cli, "net", vendor.domain, "--ca-bundle", str(vendor.ca), code=0)
        assert list(good) == ["DNS", "Connect", "TLS"]
        assert list(steps(cli, "dns", "localhost", code=0)) == ["DNS"]
        untrusted = steps(cli, "net", vendor.domain, code=11)
        assert untrusted["TLS"]["code"] == "net.tls.untrusted"
    closed = steps(cli, "net", vendor.domain, code=11)
    assert (closed["Connect"]["code"], closed["TLS"]["state"]) == ("net.connect.blocked", "skipped")


def test_it_wants_a_host_and_changes_nothing(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    done = cli.run("doctor", "net")
    assert (done.returncode, "Name a host: conductor doctor net" in done.stderr) == (2, True)
    assert cli.run("doctor", "net", "api.example.com:many").returncode == 2
    found = steps(cli, code=10)
    assert (found["Data"]["state"], found["Sources"]["state"]) == ("warning", "skipped")
    assert not cli.data.exists()


def test_it_reads_the_geoip_databases(tmp_path: Path) -> None:
    good = geoip.write(tmp_path / "city.mmdb", {"8.8.8.0/24": geoip.place("CZ", "Prague")})
    cli = Cli(tmp_path / "data")
    told = cli.run("doctor", "geoip", CONDUCTOR_GEOIP_DATABASE=str(good))
    assert (told.returncode, told.stdout.split(maxsplit=2)[1:]) == (
        0,
        ["GeoIP", f"{good}: GeoLite2-City, built 24 Nov 2026\n"],
    )
    told = cli.run("doctor", "geoip", CONDUCTOR_GEOIP_DATABASE=f"{good},{tmp_path}/none.mmdb")
    assert told.returncode == 10
    assert f"{tmp_path}/none.mmdb is not there. Nothing is read from it." in told.stdout
    told = cli.run("doctor", "geoip")
    assert (told.returncode, "no database is set" in told.stdout) == (0, True)


def test_settings_are_shown_with_their_source_and_without_passwords(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    url = "postgresql+psycopg://conductor:canary@db.example/conductor"
    done = cli.run("config", "show", "--json", CONDUCTOR_DATABASE_URL=url, CONDUCTOR_RETENTION_DAYS="30")
    told = {item["name"]: (item["value"], item["source"]) for item in json.loads(done.stdout)["settings"]}
    assert told["CONDUCTOR_DATABASE_URL"] == ("postgresql+psycopg://***@db.example/conductor", "environment")
    assert told["CONDUCTOR_RETENTION_DAYS"] == ("30", "environment")
    assert told["CONDUCTOR_BIND"] == ("127.0.0.1:8080", "default")
    assert str(tmp_path / "data") in cli.ok("config", "path")
    assert cli.ok("config", "validate") == "The settings can be used.\n"


@pytest.mark.parametrize("words", [("show",), ("show", "--json"), ("validate",), ("path",)])
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = Cli(tmp_path / "data").run("config", *words, CONDUCTOR_RETENTION_DAYS="many")
    assert (done.returncode, "CONDUCTOR_RETENTION_DAYS must be a whole number." in done.stdout + done.stderr) == (
        2,
        True,
    )


def test_a_support_bundle_lists_its_contents_and_asks_before_it_writes(tmp_path: Path) -> None:
    with processes.serving(tmp_path) as conductor:
        file = tmp_path / "bundle.zip"
        no = conductor.cli.run("support-bundle", "--out", str(file), text="n\n")
        assert (no.returncode, file.exists(), "sources.json" in no.stderr) == (1, False, True)
        assert conductor.cli.ok("support-bundle", "--out", str(file), "-y") == f"{file}\n"
        assert file.stat().st_mode & 0o777 == 0o600
        with zipfile.ZipFile(file) as bundle:
            about = bundle.read("conductor-support/about.txt").decode()
            assert about.startswith("Conductor ")
            assert len(bundle.namelist()) == 7
        again = conductor.cli.run("support-bundle", "--out", str(file), "-y")
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
