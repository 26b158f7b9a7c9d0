"""The time range of a search as its form shows it: a preset, or from and to in the user's own zone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from conductor.analytics import spoken
from conductor.analytics.timerange import PRESETS
from conductor.core import clock
from conductor.core.wording import duration

DEFAULT = "24h"
WORDS = {
    "15m": "Last 15 minutes",
    "1h": "Last hour",
    "4h": "Last 4 hours",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
}
CUSTOM = "custom"
SHORTEST = timedelta(seconds=4)  # that is worth to be halved
SECONDS = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Range:
    """What the URL says: `last`, or `start` and `end`; all empty means all time."""

    last: str
    start: str
    end: str
    typed: str = ""  # what could not be understood

    @property
    def choice(self) -> str:
        """What is chosen in the list of presets."""
        return self.last or CUSTOM

    @property
    def options(self) -> list[tuple[str, str]]:
        """The presets; a span that is none of them is one too."""
        known = [(preset, WORDS.get(preset, f"Last {preset}")) for preset in PRESETS]
        own = [(self.last, f"Last {self.last}")] if self.last and self.last not in PRESETS else []
        return [*own, *known, (CUSTOM, "In words …")]

    @property
    def query(self) -> dict[str, str]:
        """Its part of a URL, defaults left out."""
        if self.last:
            return {} if self.last == DEFAULT else {"last": self.last}
        return {"last": CUSTOM, "from": self.start, "to": self.end}

    def words(self, zone: ZoneInfo) -> str:
        """The range as somebody could have typed it, in their zone; empty for a preset and for all time."""
        if self.typed or self.last or not (self.start or self.end):
            return self.typed
        start, end = _shown(self.start, zone), _shown(self.end, zone, last=True)
        return f"{start} - {end}" if start and end else f"since {start}" if start else f"until {end}"


def read(parameters: Mapping[str, str], zone: ZoneInfo) -> Range:
    """From the URL. Times without a zone are the user's; what is no time stays as typed, to be told so."""
    start, end = parameters.get("from", "").strip(), parameters.get("to", "").strip()
    last = parameters.get("last", "").strip()
    if last == CUSTOM or (not last and (start or end)):
        return Range("", _to_utc(start, zone, time.min), _to_utc(end, zone, time(23, 59)))
    return Range(last or DEFAULT, "", "")


def understood(text: str, zone: ZoneInfo) -> Range:
    """From words, for example `yesterday`. Raises Invalid for the field `range`."""
    found = spoken.understand(text, clock.now().astimezone(zone))
    if found.last:
        return Range(found.last, "", "")
    start, end = found.span.start, found.span.end
    last = end and end - timedelta(seconds=1)  # a time in a URL is part of the range as a whole
    return Range("", _url(start) if start else "", last.strftime(SECONDS) if last else "")


def between(start: datetime | None, end: datetime) -> Range:
    """From one time, included, or the beginning, to another that is not. Raises ValueError for times without a zone."""
    if end.tzinfo is None or (start is not None and start.tzinfo is None):
        raise ValueError("a time without a zone")
    last = clock.to_exact(end) if end.microsecond else (end - timedelta(seconds=1)).astimezone(UTC).strftime(SECONDS)
    if start is None:
        return Range("", "", last)
    return Range("", clock.to_exact(start) if start.microsecond else _url(start.astimezone(UTC)), last)


def moves(start: datetime, end: datetime, now: datetime) -> dict[str, Range]:
    """The ranges beside one: the one before, the one after as far as it has begun, one twice as long and one half as
    long, both around its middle; what there is not is left out."""
    length, quarter = end - start, (end - start) / 4
    found = {}
    with suppress(OverflowError):
        found["earlier"] = between(start - length, start)
    if end < now:
        found["later"] = between(end, min(end + length, now))
    with suppress(OverflowError):
        found["out"] = between(start - 2 * quarter, min(end + 2 * quarter, now))
    if length >= SHORTEST:
        found["in"] = between(start + quarter, end - quarter)
    return found


def preview(text: str, zone: ZoneInfo) -> str:
    """The range that these words mean, in the user's zone. Raises Invalid."""
    span = spoken.understand(text, clock.now().astimezone(zone)).span
    start, end = (moment and moment.astimezone(zone) for moment in (span.start, span.end))
    length = f" ({duration(span.end - span.start)})" if span.start and span.end else ""
    begins = f"{start:%-d %b %Y %H:%M}" if start else "the beginning"
    return f"{begins} – {f'{end:%-d %b %Y %H:%M}' if end else 'now'} {start or end:%Z}{length}"


def _shown(text: str, zone: ZoneInfo, *, last: bool = False) -> str:
    """A time of the URL in the user's zone, other text as it is; as the `last` a minute is part of the range whole."""
    try:
        moment = datetime.fromisoformat(text).astimezone(zone)
    except (ValueError, OverflowError):
        return text
    if last and len(text) == len("2026-11-20T13:00Z"):
        moment += timedelta(seconds=59)
    return moment.strftime("%Y-%m-%d %H:%M:%S" if moment.second else "%Y-%m-%d %H:%M")


def _url(moment: datetime) -> str:
    return moment.strftime(SECONDS if moment.second else "%Y-%m-%dT%H:%MZ")


def _to_utc(text: str, zone: ZoneInfo, of_day: time) -> str:
    """A local time as RFC 3339 in UTC, a date as that time of its day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is not None:
        return text
    if len(text) == len("2026-11-22"):
        moment = datetime.combine(moment.date(), of_day)
    try:
        return _url(moment.replace(tzinfo=zone).astimezone(UTC))
    except OverflowError:  # the first or the last day that there is
        return text
