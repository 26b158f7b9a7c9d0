"""What Conductor tells of itself: log lines with secrets masked, and metrics."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from conductor.core import clock

LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
MASK = "***"
RECENT = 100  # lines
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
        self._longest_first: tuple[str, ...] = ()  # one may be a part of another

    def know(self, secret: str) -> None:
        """Mask this value from now on; very short ones would mask ordinary words."""
        if len(secret) >= 6 and not self._spellings(secret) <= self._known:
            self._known |= self._spellings(secret)
            self._longest_first = tuple(sorted(self._known, key=len, reverse=True))

    def forget(self, secret: str) -> None:
        """It is of no use to anybody any more."""
        if secret in self._known:
            self._known -= self._spellings(secret)
            self._longest_first = tuple(sorted(self._known, key=len, reverse=True))

    @staticmethod
    def _spellings(secret: str) -> set[str]:
        return {secret, repr(secret)[1:-1], quote(secret, safe="")}

    def clean(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._longest_first:
            if secret in text:
                text = text.replace(secret, MASK)
        return _SECRETS.sub(lambda match: f"{match[1] or match[2] or ''}{MASK}", text)


redactor = Redactor()


class LineFormatter(logging.Formatter):
    """`2026-11-22T07:30:40.123Z [INFO] auth: message key=value`: one line a record; a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; control characters in it are escaped, so that no content can forge another."""
        level = LEVELS.get(record.levelname, record.levelname)
        facts = "".join(f" {name}={_value(_masked(name, value))}" for name, value in _facts(record).items())
        line = f"{clock.to_text(clock.now())} [{level}] {_one_line(redactor.clean(record.getMessage()))}{facts}"
        if record.exc_info:
            trace = redactor.clean(self.formatException(record.exc_info))
            line += "".join(f"\n  {_one_line(part)}" for part in trace.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The same facts as the line has."""
        entry: dict[str, Any] = {
            "time": clock.to_text(clock.now()),
            "level": LEVELS.get(record.levelname, record.levelname),
            "message": _encodable(redactor.clean(record.getMessage())),
            **{
                name: value if isinstance(value, int | float | bool) else _encodable(_masked(name, value))
                for name, value in _facts(record).items()
            },
        }
        if record.exc_info:
            entry["traceback"] = _encodable(redactor.clean(self.formatException(record.exc_info)))
        return msgspec.json.encode(entry).decode()


class Recent(logging.Handler):
    """The last warnings and errors, as lines without secrets, for a page that saves a look into the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(LineFormatter())
        self.lines: deque[str] = deque(maxlen=RECENT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one, without its traceback."""
        try:
            self.lines.append(self.format(record).partition("\n")[0])
        except Exception:
            self.handleError(record)


recent = Recent()


def set_up(form: str = "line", *, level: int = logging.INFO) -> None:
    """Log to stderr. HTTP libraries speak from WARNING on: at INFO they print whole URLs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler, recent]
    root.setLevel(level)
    for name in ("httpx2", "httpcore2", "httpx", "uvicorn.access", "uvicorn.error", "alembic", "clickhouse_connect"):
        library = logging.getLogger(name)
        library.setLevel(logging.WARNING)
        library.handlers.clear()  # whatever it set up for itself: every line goes through our redaction
        library.propagate = True


def log(level: int, message: str, facts: Mapping[str, Any], *, error: BaseException | None = None) -> None:
    """One full line: a message and its facts as key=value."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    logging.getLogger("conductor").log(level, "%s", message, extra={"facts": facts}, exc_info=exc_info)


class Pulse:
    """Beats when something has ended that open pages show."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Something has."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seen: int) -> None:
        """Until there were more beats than that."""
        if self.count == seen:
            await self._next.wait()


class Metrics:
    """The counters behind /metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ["integration", "connector"]
        self.signals = Counter("conductor_signals", "New signals committed", names, registry=self.registry)
        self.duplicates = Counter("conductor_duplicates", "Signals served again", names, registry=self.registry)
        self.quarantined = Counter(
            "conductor_quarantined",
            "Records that could not be taken, or came again with another body",
            [*names, "cause"],
            registry=self.registry,
        )
        self.requests = Counter("conductor_requests", "Requests to the vendor", names, registry=self.registry)
        self.polls = Counter("conductor_polls", "Polls by result", [*names, "result"], registry=self.registry)
        self.took = Histogram("conductor_poll_seconds", "Duration of a poll", registry=self.registry)
        self.indexed = Counter("conductor_indexed", "Artifacts indexed", registry=self.registry)
        self.unparsed = Counter("conductor_unparsed", "Signals kept raw only", registry=self.registry)
        self.unseen = Counter(
            "conductor_audit_unseen", "Signals that only reading a span again has found", names, registry=self.registry
        )
        self.messages = Counter(
            "conductor_notifications", "Messages to notification channels", ["kind", "result"], registry=self.registry
        )
        self.lateness = Gauge(
            "conductor_lateness_seconds",
            "How late a record was at the least that the last audit found; the overlap should be longer",
            names,
            registry=self.registry,
        )
        self.broken = Gauge(
            "conductor_evidence_broken", "Integrations whose stored events were not as written.", registry=self.registry
        )
        self.free = Gauge("conductor_disk_free_bytes", "Free on the disk that holds the data", registry=self.registry)
        self.loop_lag = Gauge("conductor_loop_lag_seconds", "How late the event loop was last", registry=self.registry)
        self.stalls = Counter("conductor_stalls", "Times the process stood still", registry=self.registry)
        self.index_delay = Gauge(
            "conductor_index_delay_seconds", "From commit to searchable, of the last batch", registry=self.registry
        )


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    return getattr(record, "facts", {})


def _masked(name: str, value: Any) -> str:
    """A fact's text without secrets; its name may be what tells that it is one. Before anything in it is escaped."""
    text = redactor.clean(f"{name}={value}")
    return text[len(name) + 1 :] if text.startswith(f"{name}=") else MASK


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _value(text: str) -> str:
    text = _one_line(text)
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
