"""Databases in MaxMind's format: what is read from them, and what becomes of files that are missing, broken or replaced."""

from __future__ import annotations

import logging
import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import geoip
import pytest

from conductor.core.artifact import Artifact
from conductor.indexer.geography import Geography

OLDER = date(2026, 11, 17)


def _place(geography: Geography, ip: str) -> tuple[str, str, int]:
    found = geography.look().located(Artifact(time=0, log_id="1", type="s", ip=ip))
    return found.country, found.city, found.asn


def _problem(geography: Geography) -> str:
    (told,) = geography.told()
    return told.problem


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    return geoip.write(tmp_path / "city.mmdb", {"8.8.8.0/24": geoip.place("CZ", "Prague")}, built=OLDER)


def test_city_and_asn_databases_are_read_together(tmp_path: Path, file: Path) -> None:
    networks = {"8.8.0.0/16": geoip.network(64512), "2001:4860::/32": geoip.network(64513)}
    asn = geoip.write(tmp_path / "asn.mmdb", networks, "GeoLite2-ASN")
    geography = Geography([file, asn], tmp_path)
    assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 64512)
    assert _place(geography, "8.8.1.1") == ("", "", 64512)
    assert _place(geography, "2001:4860::1") == ("", "", 64513)
    assert _place(geography, "::ffff:8.8.8.8") == ("CZ", "Prague", 64512)
    assert _place(geography, "9.9.9.9") == ("", "", 0)
    assert [told.sentence for told in geography.told()] == [
        f"{file}: GeoLite2-City, built 17 Nov 2026",
        f"{asn}: GeoLite2-ASN, built 24 Nov 2026",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asn.mmdb", "city.mmdb"]  # no copy is left


@pytest.mark.parametrize(
    "ip", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "169.254.0.1", "::1", "fe80::1%eth0", "203.0.113.7", "", "<script>"]
)
def test_a_private_or_special_address_is_nowhere(tmp_path: Path, ip: str) -> None:
    networks = {"0.0.0.0/1": geoip.place("CZ"), "128.0.0.0/1": geoip.place("CZ"), "fe80::/16": geoip.place("CZ")}
    geography = Geography([geoip.write(tmp_path / "all.mmdb", networks)])
    assert _place(geography, "8.8.8.8") == ("CZ", "", 0)
    assert _place(geography, ip) == ("", "", 0)


def test_a_replaced_file_is_read_at_the_next_look(tmp_path: Path, file: Path) -> None:
    geography = Geography([file], tmp_path)
    before = geography.look()
    assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 0)
    geoip.write(file, {"8.8.8.0/24": geoip.place("SK", "Žilina")})
    assert _place(geography, "8.8.8.8") == ("SK", "Žilina", 0)
    assert geography.told()[0].built == geoip.BUILT
    assert before.located(Artifact(time=0, log_id="1", type="s", ip="8.8.8.9")).country == "CZ"  # it goes on as begun


def test_a_half_written_file_leaves_the_old_one_in_use(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    geography = Geography([file], tmp_path)
    assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 0)
    whole = geoip.write(tmp_path / "next.mmdb", {"8.8.8.0/24": geoip.place("SK", "Nitra")}).read_bytes()
    with caplog.at_level(logging.WARNING):
        for size in range(0, len(whole), 101):  # written in place, as `cp` does
            file.write_bytes(whole[:size])
            assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 0), size
    (told,) = geography.told()
    assert told.sentence == (
        f"{file} is not a whole database in MaxMind's format. GeoLite2-City, built 17 Nov 2026, stays in use."
    )
    assert len(caplog.records) == 1  # told when it changes, not at each look
    file.write_bytes(whole)
    assert _place(geography, "8.8.8.8") == ("SK", "Nitra", 0)
    assert _problem(geography) == ""
    file.unlink()
    assert _place(geography, "8.8.8.8") == ("SK", "Nitra", 0)
    assert _problem(geography) == "is not there"


def test_a_file_that_changes_while_it_is_copied_is_not_taken(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geography = Geography([file], tmp_path)
    assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 0)
    copy = shutil.copyfileobj

    def disturbed(source: Any, target: Any) -> None:
        copy(source, target)
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))

    geoip.write(file, {"8.8.8.0/24": geoip.place("SK", "Nitra")})
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", disturbed)
        assert _place(geography, "8.8.8.8") == ("CZ", "Prague", 0)
        assert _problem(geography) == "was being written"
    assert _place(geography, "8.8.8.8") == ("SK", "Nitra", 0)


def test_a_file_that_is_cut_short_while_it_is_in_use_does_no_harm(tmp_path: Path, file: Path) -> None:
    look = Geography([file], tmp_path).look()
    os.truncate(file, 0)  # a mapped file would end the process here
    assert look.located(Artifact(time=0, log_id="1", type="s", ip="8.8.8.8")).city == "Prague"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a whole database in MaxMind's format"),
        (b"x" * 5000, "is not a whole database in MaxMind's format"),
        (b"\xab\xcd\xefMaxMind.com" + bytes(300), "is not a whole database in MaxMind's format"),
        (None, "is not there"),
    ],
)
def test_what_is_no_database_is_told_and_nothing_is_read(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "bad.mmdb"
    if content is not None:
        file.write_bytes(content)
    geography = Geography([file])
    assert _place(geography, "8.8.8.8") == ("", "", 0)
    assert _problem(geography) == problem
    assert geography.told()[0].sentence == f"{file} {problem}. Nothing is read from it."


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    assert _problem(Geography([tmp_path])) == "cannot be read: Is a directory"


def test_a_database_of_another_kind_is_told(tmp_path: Path) -> None:
    file = geoip.write(tmp_path / "anonymous.mmdb", {"8.8.8.0/24": {"is_anonymous": True}}, "GeoIP2-Anonymous-IP")
    assert _problem(Geography([file])) == "has no countries, cities or AS numbers: it is GeoIP2-Anonymous-IP"


def test_records_of_odd_shapes_are_no_places(tmp_path: Path) -> None:
    odd = {"country": "CZ", "city": {"names": "x"}, "autonomous_system_number": "AS1"}
    networks = {"8.8.8.0/24": odd, "9.9.9.0/24": {"country": {"iso_code": 7}}, "1.1.1.0/24": geoip.place("AU")}
    geography = Geography([geoip.write(tmp_path / "odd.mmdb", networks)])
    assert [_place(geography, ip) for ip in ("8.8.8.8", "9.9.9.9", "1.1.1.1")] == [
        ("", "", 0),
        ("", "", 0),
        ("AU", "", 0),
    ]
