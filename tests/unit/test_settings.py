"""The process's environment, read once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from conductor import settings
from conductor.core.errors import SettingsError
from conductor.settings import Settings


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CONDUCTOR_"):
            monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    loaded = settings.load()
    assert loaded == Settings()
    assert (loaded.bind, loaded.retention_days, loaded.log_format) == ("127.0.0.1:8080", 90, "line")
    assert loaded.allowed == ()


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_has_its_variable(field: dataclasses.Field[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"bind": "0.0.0.0:443", "allow_private_targets": "10.0.0.0/8", "log_format": "json"}
    values |= {"base_url": "https://conductor.example.com:8443", "time_zone": "Asia/Tokyo", "mask": "viewer"}
    values |= {"clickhouse_url": "https://clickhouse.example.com/conductor"}
    value = values.get(field.name, "7" if isinstance(field.default, int) else "/somewhere")
    pair = {"tls_cert": "tls_key", "tls_key": "tls_cert"}.get(field.name)
    if pair:
        monkeypatch.setenv(f"CONDUCTOR_{pair.upper()}", "/other")
    monkeypatch.setenv(f"CONDUCTOR_{field.name.upper()}", value)
    loaded = getattr(settings.load(), field.name)
    assert str(loaded) == value
    assert type(loaded) is type(field.default) or isinstance(loaded, Path)


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUCTOR_BIND", "127.0.0.1:1")
    monkeypatch.setenv("CONDUCTOR_RETENTION_DAYS", "7")
    loaded = settings.load({"bind": "127.0.0.1:2", "retention_days": None, "data": "/d"})
    assert (loaded.bind, loaded.retention_days, loaded.data) == ("127.0.0.1:2", 7, Path("/d"))


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("127.1.2.3:1", "127.1.2.3", 1),
        ("localhost:8080", "localhost", 8080),
        ("[::1]:8080", "::1", 8080),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::]:80", "::", 80),
        ("10.0.0.1:65535", "10.0.0.1", 65535),
        ("conductor.example:443", "conductor.example", 443),
    ],
)
def test_where_to_listen_is_an_address_and_a_port(bind: str, host: str, port: int) -> None:
    loaded = settings.load({"bind": bind})
    assert (loaded.host, loaded.port) == (host, port)


REFUSED = {
    "CONDUCTOR_BIND": [
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:²",
    ],
    "CONDUCTOR_MAX_ANSWER_MIB": ["0", "257", "-1", "x", "8.5"],
    "CONDUCTOR_RETENTION_DAYS": ["0", "36501", "-1", "x", "1.5", "1e3"],
    "CONDUCTOR_LOG_FORMAT": ["JSON", "text"],
    "CONDUCTOR_ALLOW_PRIVATE_TARGETS": ["x", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1/32,oops", "localhost"],
    "CONDUCTOR_TLS_CERT": ["/cert.pem"],
    "CONDUCTOR_TLS_KEY": ["/key.pem"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_what_cannot_be_used_is_refused_by_its_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert name in str(caught.value) or name.rpartition("_")[0] in str(caught.value)


def test_private_networks_are_separated_by_commas() -> None:
    loaded = settings.load({"allow_private_targets": "127.0.0.1, 10.0.0.0/8,::1"})
    assert [str(network) for network in loaded.allowed] == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]


def test_the_list_for_the_docs_names_every_setting_with_its_help() -> None:
    told = {name: help for name, help, _ in settings.variables()}
    assert set(told) == {f"CONDUCTOR_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    assert all(help.endswith(".") or "for example" in help for help in told.values())


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().bind = "0.0.0.0:1"  # type: ignore[misc]


@pytest.mark.parametrize("url", ["conductor.example.com", "https://conductor.example.com/", "https://a b", "ftp://a"])
def test_an_address_that_people_could_not_use_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="CONDUCTOR_BASE_URL"):
        settings.load({"base_url": url})
