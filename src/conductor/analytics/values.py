"""Reads single values: addresses, times, numbers, severities. Each reader gives None for what it cannot read."""

from __future__ import annotations

import ipaddress
import math
import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from conductor.analytics.syntax import Moment
from conductor.core import clock
from conductor.core.artifact import SEVERITY_NAMES

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # in seconds

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)  # what DateTime64 can hold

_NETWORK = re.compile(r"[0-9A-Fa-f.:]+(?:/[0-9.]+)?")  # nearly every word is none, and this tells it fast
_NOW = re.compile(r"now(?:([+-])([0-9]{1,6})([smhdw]))?", re.IGNORECASE | re.ASCII)
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?P<clock>[Tt ][0-9]{2}:[0-9]{2}"
    r"(?P<second>:[0-9]{2}(?P<fraction>[.,][0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def network(text: str) -> IPv4Network | IPv6Network | None:
    """An address or network; an IPv4 address written as IPv6 is IPv4."""
    if _NETWORK.fullmatch(text) is None:
        return None
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return IPv4Network((mapped, found.prefixlen - 96))
    return found


def address(text: str) -> IPv4Address | IPv6Address | None:
    """One address."""
    found = network(text)
    return found.network_address if found and found.num_addresses == 1 and "/" not in text else None


def integer(text: str) -> int | None:
    """A whole number of at most 18 digits, which fits 64 bits."""
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None


def number(text: str) -> float | None:
    """Any finite number."""
    if not re.fullmatch(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", text) or text.count(".") > 1 or text.strip("+-") == ".":
        return None
    found = float(text)
    return found if math.isfinite(found) else None


def severity(text: str) -> int | None:
    """The level of a severity's name."""
    return SEVERITY_NAMES.index(text.lower()) if text.lower() in SEVERITY_NAMES else None


def flag(text: str) -> bool | None:
    """Yes or no."""
    return {"true": True, "false": False}.get(text.lower())


def moment(text: str) -> Moment | None:
    """A month, a date, a time to the minute, second or finer, or `now`, `now-2h`."""
    if found := _NOW.fullmatch(text):
        sign, count, unit = found.groups()
        seconds = int(count) * UNITS[unit.lower()] if unit else 0
        return Moment(offset=timedelta(seconds=-seconds if sign == "-" else seconds))
    try:
        if _MONTH.fullmatch(text):
            first = datetime.fromisoformat(f"{text}-01")
            return Moment(first=first, length=(first + timedelta(days=31)).replace(day=1) - first)
        if (shape := _TIME.fullmatch(text)) is None:
            return None
        first = datetime.fromisoformat(text.upper())
        return Moment(first=first.astimezone(UTC) if first.tzinfo else first, length=_length(shape))
    except (ValueError, OverflowError):
        return None


def span(point: Moment, now: datetime) -> tuple[datetime, datetime]:
    """First instant and the one after the last, in UTC; equal for an instant. Times without a zone are in now's."""
    if point.offset is not None:
        found = _shifted(now, point.offset)
        return found, found
    first = point.first if point.first.tzinfo else point.first.replace(tzinfo=now.tzinfo or UTC)
    return _shifted(first, timedelta(0)), _shifted(first, point.length)


def _shifted(start: datetime, by: timedelta) -> datetime:
    try:
        found = (start + by).astimezone(UTC)
    except OverflowError:
        return clock.LATEST if by > timedelta(0) or start.year > 2000 else _EARLIEST
    return min(max(found, _EARLIEST), clock.LATEST)


def _length(shape: re.Match[str]) -> timedelta:
    """How long the time as written lasts: a day, a minute, a second, or no time at all."""
    if not shape["clock"]:
        return timedelta(days=1)
    if not shape["second"]:
        return timedelta(minutes=1)
    return timedelta(0) if shape["fraction"] else timedelta(seconds=1)
