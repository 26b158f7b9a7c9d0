"""A ClickHouse server instead of the engine in this process: where it is, how it is reached, what is wrong with it.

Nothing here tells a password: `name` is what logs, cursors and pages see.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conductor.core.errors import SettingsError, StoreError, StorePaused

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SETTING = "CONDUCTOR_CLICKHOUSE_URL"
LONGEST_SEARCH = 10  # seconds; a query that takes longer is ended
PATIENCE = 5  # seconds to be connected
ANSWERED = LONGEST_SEARCH + 20  # seconds until a read is given up
INSERTED = 300  # seconds until an insert is given up
# How much memory and how many threads a query gets is the server's to say, in the user's profile.
READING = {"readonly": 2, "max_execution_time": LONGEST_SEARCH, "use_skip_indexes_on_data_read": 0}
NEEDED = ("SELECT", "INSERT", "ALTER TABLE", "TRUNCATE", "OPTIMIZE", "CREATE TABLE")
_PORTS = {"http": 8123, "https": 8443}
_OPTIONS = ("ca_cert", "client_cert", "client_cert_key", "server_host_name", "https_proxy")
_LOOKS = f"{SETTING} must look like https://user:password@clickhouse.example.com:8443/conductor"
_DENIED, _NO_TABLE, _NO_DATABASE, _TOO_SLOW = 497, 60, 81, 159
_LASTING = frozenset({_DENIED, _NO_TABLE, _NO_DATABASE})
_STRANGERS = frozenset({192, 193, 194, 516})  # no such user, or not this password


class Unsearchable(StoreError):
    """The search engine failed."""

    code = "local.analytics.failed"


class SearchTooSlow(Unsearchable):
    """This search takes longer than 10 seconds. Choose a shorter time range or more exact words."""

    code = "search.slow"


class SearchAway(Unsearchable, StorePaused):
    """The ClickHouse server cannot be used for the moment."""

    code = "local.analytics.away"

    def __init__(self, message: str = "", *, lasts: bool = True) -> None:
        super().__init__(message)
        self.facts["reason"] = str(self)
        self.lasts = lasts  # whatever is asked; not one question that the server could not answer


@dataclass(frozen=True, slots=True)
class Server:
    """One database of a ClickHouse server."""

    scheme: str
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    options: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: str) -> Server:
        """From the setting. Raises SettingsError."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):  # a port that is none: often a password with a sign that was not escaped
            raise SettingsError(f"{_LOOKS}; write / : @ and % in a password as %2F %3A %40 and %25.") from None
        options = tuple(parse_qsl(parts.query))
        if not parts.hostname or "/" in parts.path.strip("/") or parts.fragment:
            raise SettingsError(f"{_LOOKS}.")
        if unknown := next((name for name, _ in options if name not in _OPTIONS), ""):
            raise SettingsError(f"{SETTING} has no option {unknown}. There are: {', '.join(_OPTIONS)}.")
        return cls(
            parts.scheme,
            parts.hostname,
            port,
            unquote(parts.path.strip("/")) or "default",
            unquote(parts.username or "") or "default",
            unquote(parts.password or ""),
            options,
        )

    @property
    def name(self) -> str:
        """What a reader's cursor belongs to, and how the server is told of."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.database}"

    def connect(self, *, reading: bool) -> Client:
        """A handle for one thread; the one that writes makes the database when it is missing."""
        from clickhouse_connect.driver.exceptions import DatabaseError

        try:
            return self._client(self.database, reading=reading)
        except DatabaseError as error:
            if error.code != _NO_DATABASE or reading:
                raise
        with self._client("default", reading=False) as client:
            client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": self.database})
        return self._client(self.database, reading=False)

    def told(self, error: Exception) -> Unsearchable:
        """What went wrong, in words for an operator."""
        code, text = getattr(error, "code", None), _plain(error)
        if code == _TOO_SLOW:
            return SearchTooSlow()
        if code in _STRANGERS:
            reason = f"does not accept the user or the password in {SETTING}"
        elif code == _DENIED:
            reason = f"does not allow what Conductor needs: {text}"
        elif code is not None:
            reason = f"failed: {text}"
        else:
            reason = f"does not answer: {text}"
        lasts = code is None or code in _STRANGERS or code in _LASTING
        return SearchAway(f"The ClickHouse server {self.name} {reason.rstrip('.')}.", lasts=lasts)

    def _client(self, database: str, *, reading: bool) -> Client:
        from clickhouse_connect.driver import create_client

        for name in ("clickhouse_connect", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is told by whoever asked
        options: dict[str, Any] = dict(self.options)
        return create_client(
            interface=self.scheme,
            host=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            database=database,
            connect_timeout=PATIENCE,
            send_receive_timeout=ANSWERED if reading else INSERTED,
            autogenerate_session_id=False,  # a request that was given up would hold the session
            dedicated_pool=True,
            settings=dict(READING) if reading else {},
            **options,
        )


def look(server: Server) -> str:
    """The server's version, when it can be used as it is. Raises Unsearchable."""
    from clickhouse_connect.driver.binding import quote_identifier
    from clickhouse_connect.driver.exceptions import Error

    place = f"{quote_identifier(server.database)}.*"
    wanted = (f"{', '.join(NEEDED)} ON {place}", "SELECT ON system.parts", "TABLE ENGINE ON MergeTree")
    try:
        with server.connect(reading=False) as client:
            missing = [right for right in wanted if str(client.command(f"CHECK GRANT {right}")) != "1"]
            version = str(client.server_version)
    except (Error, OSError) as error:
        raise server.told(error) from error
    if missing:
        needed = "; ".join(f"GRANT {right} TO {server.user}" for right in missing)
        raise SearchAway(f"The user of {SETTING} may not do enough. Run there: {needed}")
    return version


def _plain(error: Exception) -> str:
    """In one line, without what the client puts around it."""
    cause = error.__cause__ or error
    text = str(getattr(cause, "reason", None) or error).strip() or type(error).__name__
    text = text.splitlines()[0]
    text = text.partition("DB::Exception: ")[2] or text.partition("): ")[2] or text
    return text.partition(" (for url ")[0].partition(" (version ")[0][:300]
