"""What Conductor tells of itself: log lines with secrets masked, and metrics."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from conductor.core import clock

LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
MASK = "***"
_SECRETS = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]{8,}"
    r"|((?:client_secret|password|access_token|client_assertion|api_key)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,}]+"
    r"|()\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
)
_PLAIN = re.compile(r"[\w.:/@+-]+")


class Redactor:
    """Masks the secrets that are in use, and whatever looks like one."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def know(self, secret: str) -> None:
        """Mask this value from now on; very short ones would mask ordinary words."""
        if len(secret) >= 6:
            self._known.add(secret)

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, MASK)
        return _SECRETS.sub(lambda match: f"{match[1] or match[2] or ''}{MASK}", text)


redactor = Redactor()


class LineFormatter(logging.Formatter):
    """`2026-11-22T07:30:40.123Z [INFO] auth: message key=value`: one line a record, except for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; control characters in it are escaped, so that no content can forge another."""
        level = LEVELS.get(record.levelname, record.levelname)
        facts = "".join(f" {name}={_value(value)}" for name, value in _facts(record).items())
        line = f"{clock.to_text(clock.now())} [{level}] {_one_line(record.getMessage())}{facts}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redactor.clean(line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The same facts as the line has."""
        entry: dict[str, Any] = {
            "time": clock.to_text(clock.now()),
            "level": LEVELS.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            **{
                name: value if isinstance(value, int | float | bool) else str(value)
                for name, value in _facts(record).items()
            },
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return redactor.clean(msgspec.json.encode(entry).decode())


def set_up(form: str = "line") -> None:
    """Log to stderr. HTTP libraries speak from WARNING on: at INFO they print whole URLs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("httpx2", "httpcore2", "httpx", "uvicorn.access", "uvicorn.error", "alembic", "clickhouse_connect"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log(level: int, message: str, facts: Mapping[str, Any], *, error: BaseException | None = None) -> None:
    """One full line: a message and its facts as key=value."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    logging.getLogger("conductor").log(level, "%s", message, extra={"facts": facts}, exc_info=exc_info)


class Metrics:
    """The counters behind /metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ["integration", "connector"]
        self.signals = Counter("conductor_signals", "New signals committed", names, registry=self.registry)
        self.duplicates = Counter("conductor_duplicates", "Signals served again", names, registry=self.registry)
        self.requests = Counter("conductor_requests", "Requests to the vendor", names, registry=self.registry)
        self.polls = Counter("conductor_polls", "Polls by result", [*names, "result"], registry=self.registry)
        self.took = Histogram("conductor_poll_seconds", "Duration of a poll", registry=self.registry)
        self.indexed = Counter("conductor_indexed", "Artifacts indexed", registry=self.registry)
        self.unparsed = Counter("conductor_unparsed", "Signals kept raw only", registry=self.registry)
        self.index_delay = Gauge(
            "conductor_index_delay_seconds", "From commit to searchable, of the last batch", registry=self.registry
        )


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    return getattr(record, "facts", {})


def _value(value: Any) -> str:
    text = _one_line(str(value))
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
