"""The process's environment, frozen. The only reader of os.environ."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from conductor.analytics.server import Server
from conductor.core.errors import Invalid, SettingsError
from conductor.operations import general
from conductor.operations.system import Setting
from conductor.outbound import guard

_CREDENTIALS = re.compile(r"(?<=://).*@")
_IN_QUERY = re.compile(r"(?i)((?:pass|secret|token|key)\w*=)[^&\s]+")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+")
LONGEST_RETENTION = 36_500  # days
LARGEST_ANSWER = 256  # MiB


def _setting(name: str, help: str, default: Any) -> Any:
    return field(default=default, metadata={"name": f"CONDUCTOR_{name}", "help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting: a flag of `conductor serve`, or its environment variable. A flag wins."""

    data: Path = _setting("DATA", "Directory for everything Conductor keeps.", Path("~/.local/share/conductor"))
    bind: str = _setting("BIND", "Address and port to listen on.", "127.0.0.1:8080")
    base_url: str = _setting(
        "BASE_URL",
        "How people reach the pages, for links in messages and invitations; the address of BIND if empty.",
        "",
    )
    tls_cert: str = _setting("TLS_CERT", "Certificate file (PEM) for the web server.", "")
    tls_key: str = _setting("TLS_KEY", "Key file (PEM) of that certificate.", "")
    retention_days: int = _setting("RETENTION_DAYS", "How many days events are kept.", 90)
    min_free_mb: int = _setting(
        "MIN_FREE_MB",
        "Collecting pauses when fewer megabytes are free on the disk; never more than 5 % of it. 0: never.",
        512,
    )
    allow_private_targets: str = _setting(
        "ALLOW_PRIVATE_TARGETS", "Private networks that may be polled, separated by commas.", ""
    )
    log_format: str = _setting("LOG_FORMAT", "line or json.", "line")
    proxy: str = _setting("PROXY", "HTTP proxy for integrations that name none.", "")
    max_answer_mib: int = _setting("MAX_ANSWER_MIB", "Largest answer of a vendor that is read, in MiB.", 8)
    session_hours: int = _setting("SESSION_HOURS", "After how many hours everybody signs in again.", 12)
    time_zone: str = _setting("TIME_ZONE", "Time zone of users who choose none.", "UTC")
    mask: str = _setting(
        "MASK",
        "From whom personal data is hidden: nobody, viewer, analyst (and viewers) or admin (everyone).",
        "nobody",
    )
    key_file: str = _setting("KEY_FILE", "File of the master key; conductor.key in the data directory by default.", "")
    database_url: str = _setting("DATABASE_URL", "PostgreSQL instead of SQLite, for example postgresql+psycopg://…", "")
    clickhouse_url: str = _setting(
        "CLICKHOUSE_URL",
        "A ClickHouse server instead of the embedded engine, for example https://user:password@host:8443/conductor",
        "",
    )
    geoip_database: str = _setting(
        "GEOIP_DATABASE",
        "Files in MaxMind's format (.mmdb) that tell country, city and AS number where a vendor does not, separated by "
        "commas.",
        "",
    )
    admin_email: str = _setting("ADMIN_EMAIL", "First administrator, for a start without a browser.", "")
    admin_password_file: str = _setting("ADMIN_PASSWORD_FILE", "File with that administrator's password.", "")

    @property
    def host(self) -> str:
        """The address of `bind`."""
        return self.bind.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `bind`."""
        return int(self.bind.rpartition(":")[2])

    @property
    def outside(self) -> dict[str, Any]:
        """What could be set on the pages too, and was set outside: it wins."""
        told_outside = {item.name for item in told(self) if item.source != "default"}
        return {name: getattr(self, name) for name in general.NAMES if general.variable(name) in told_outside}

    @property
    def geoip_databases(self) -> tuple[Path, ...]:
        """The files of GeoIP databases."""
        return tuple(Path(part.strip()).expanduser() for part in self.geoip_database.split(",") if part.strip())

    @property
    def allowed(self) -> tuple[guard.Network, ...]:
        """The private networks that may be polled."""
        return guard.parse_networks(self.allow_private_targets.split(","))


def variables() -> list[tuple[str, str, Any]]:
    """Name, help and default of every variable, for the docs."""
    return [(item.metadata["name"], item.metadata["help"], item.default) for item in fields(Settings)]


def told(settings: Settings) -> list[Setting]:
    """Every setting as it is, and where it comes from. No password is in them."""
    found = []
    for item in fields(Settings):
        name, value = item.metadata["name"], getattr(settings, item.name)
        here = os.environ.get(name) or str(item.default)
        source = "option" if str(value) != here else "environment" if os.environ.get(name) else "default"
        shown = _IN_QUERY.sub(r"\1***", _CREDENTIALS.sub("***@", str(value)))
        found.append(Setting(name, item.metadata["help"], shown, source))
    return found


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """Settings from flags, else the environment, else defaults. Raises SettingsError naming the variable."""
    given: dict[str, Any] = {}
    for item in fields(Settings):
        name = item.metadata["name"]
        value = (flags or {}).get(item.name)
        if value is None:
            value = os.environ.get(name) or None  # an empty variable is one that is not set
        if value is not None:
            given[item.name] = _read(name, value, item.default)
    settings = Settings(**given)
    _check(settings)
    return settings


def _read(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, int):
        try:
            return int(value)
        except ValueError:
            raise SettingsError(f"{name} must be a whole number.") from None
    return Path(value) if isinstance(default, Path) else str(value)


def _check(settings: Settings) -> None:
    if not 1 <= settings.retention_days <= LONGEST_RETENTION:
        raise SettingsError(f"CONDUCTOR_RETENTION_DAYS must be from 1 to {LONGEST_RETENTION}.")
    if not 1 <= settings.max_answer_mib <= LARGEST_ANSWER:
        raise SettingsError(f"CONDUCTOR_MAX_ANSWER_MIB must be from 1 to {LARGEST_ANSWER}.")
    if settings.min_free_mb < 0:
        raise SettingsError("CONDUCTOR_MIN_FREE_MB must be 0 or more.")
    try:
        general.check({name: getattr(settings, name) for name in general.NAMES})
    except Invalid as error:
        name, text = next(iter(error.fields.items()))
        raise SettingsError(f"{general.variable(name)} cannot be used. {text}") from None
    if settings.log_format not in ("line", "json"):
        raise SettingsError("CONDUCTOR_LOG_FORMAT must be line or json.")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingsError("CONDUCTOR_TLS_CERT and CONDUCTOR_TLS_KEY go together: set both or none.")
    port = settings.bind.rpartition(":")[2]
    if not (port.isascii() and port.isdigit()) or int(port) > 65_535 or not settings.host:
        raise SettingsError("CONDUCTOR_BIND must be an address and a port, for example 127.0.0.1:8080.")
    if settings.base_url and not _BASE_URL.fullmatch(settings.base_url):
        raise SettingsError("CONDUCTOR_BASE_URL must look like https://conductor.example.com, without a / at the end.")
    _check_addresses(settings)


def _check_addresses(settings: Settings) -> None:
    if settings.clickhouse_url:
        Server.parse(settings.clickhouse_url)
    try:
        settings.allowed  # noqa: B018
    except ValueError:
        raise SettingsError("CONDUCTOR_ALLOW_PRIVATE_TARGETS must be networks such as 127.0.0.1/32.") from None
