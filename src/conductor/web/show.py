"""How values are shown: hostile text, times, spans and numbers. What comes back is safe to put into a page."""

from __future__ import annotations

import ipaddress
import json
import re
import unicodedata
import zoneinfo
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from conductor.core import clock
from conductor.core.wording import duration, fill

DEEPEST = 40  # levels of JSON that have a path of their own
HIDDEN_KINDS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # control, format (bidi, zero width), lone surrogates …
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that look like nothing
_REACHABLE = re.compile(r"(https?://\S+|([^\s@]+@)?([\w-]+\.)+([a-z]{2,}|\d+)\.?)", re.IGNORECASE)
_CODE = re.compile(r"`([^`]+)`")


def visible(text: object, *, lines: bool = False) -> Markup:
    """Text from outside, with control, bidi and zero-width characters as marks. `lines` keeps line feeds and tabs."""
    keep = "\n\t" if lines else ""
    return Markup("").join(_visible(character, keep) for character in _runs(str(text), keep))


def marked(text: str) -> Markup:
    """Our own text, with `code` in backticks; what was filled in is made visible."""
    parts = _CODE.split(text)
    shown = [
        Markup("<code>{}</code>").format(visible(part)) if at % 2 else visible(part) for at, part in enumerate(parts)
    ]
    return Markup("").join(shown)


def capital(text: str) -> str:
    """The first letter large, the others as they are: `DNS silent` stays so."""
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """A whole number with thousands separated."""
    return f"{value:,.0f}"


def size(count: float) -> str:
    """Bytes as KB, MB or GB, of a thousand each."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def zone(name: str) -> zoneinfo.ZoneInfo:
    """A user's time zone; UTC when the host no longer knows it."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


@pass_context
def moment(context: Context, at: datetime | None, style: str = "full") -> Markup:
    """A time in the user's zone, with the exact UTC time as its title. Styles: full, minute, time, date, ms."""
    if at is None:
        return Markup("–")
    there = at.astimezone(zone(context["time_zone"]))
    return _time(at, _styled(there, style))


@pass_context
def ago(context: Context, at: datetime | None) -> Markup:
    """How long ago, or in how long, with the exact time behind it."""
    if at is None:
        return Markup("–")
    distance = context["now"] - at
    text = f"{duration(distance)} ago" if distance >= timedelta(seconds=1) else "now"
    return _time(at, f"in {duration(-distance)}" if distance <= timedelta(seconds=-1) else text)


def copied(value: object) -> str:
    """Any text as JSON of plain letters, for a script to copy exactly: nothing hidden stands in the page."""
    return json.dumps(str(value))


def defanged(value: object) -> str:
    """An address, a host name, a URL or an e-mail address so that nothing makes a link of it; empty for other text."""
    text = str(value)
    with suppress(ValueError):
        ipaddress.IPv6Address(text)
        return text.replace(":", "[:]")
    if not _REACHABLE.fullmatch(text):
        return ""
    return re.sub("^http", "hxxp", text, flags=re.IGNORECASE).replace(".", "[.]")


def raw_text(raw: bytes | str) -> str:
    """Bytes as received, as text; bytes that are no UTF-8 are spelled out."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")


def indented(raw: bytes) -> Markup:
    """A record's JSON with a line for each member, in the order of its keys; as it stands when it is no JSON."""
    return visible(pretty(raw) or raw_text(raw), lines=True)


def pretty(raw: bytes) -> str:
    """JSON with a line for each member, in the order of its keys; empty for what is no JSON."""
    try:
        return raw_text(msgspec.json.format(raw, indent=2))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def leaves(raw: bytes | str) -> list[tuple[str, str]]:
    """The values of a JSON object by their dotted paths, lists as they stand; nothing when it is no JSON object."""
    try:
        whole = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    return list(_leaves(whole, "", DEEPEST)) if isinstance(whole, dict) else []


def query(values: Mapping[str, Any]) -> str:
    """A query string in the given order, without what is empty."""
    return urlencode({key: value for key, value in values.items() if value not in (None, "")})


def filled(text: str, facts: Mapping[str, Any]) -> Markup:
    """A text of advice with its facts filled in."""
    return marked(fill(text, facts))


FILTERS = {
    "indented": indented,
    "filled": filled,
    "visible": visible,
    "copied": copied,
    "defanged": defanged,
    "marked": marked,
    "capital": capital,
    "number": number,
    "size": size,
    "span": duration,
    "moment": moment,
    "ago": ago,
}


def _leaves(value: Any, path: str, left: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value and left:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name), left - 1)
    else:
        yield path, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _styled(there: datetime, style: str) -> str:
    day = f"{there.day} {there:%b %Y}"
    match style:
        case "date":
            return day
        case "time":
            return f"{there:%H:%M:%S}"
        case "minute":
            return f"{day} {there:%H:%M}"
        case "ms":
            return f"{day} {there:%H:%M:%S}.{there.microsecond // 1000:03d}"
        case _:
            return f"{day} {there:%H:%M:%S}"


def _time(at: datetime, text: str) -> Markup:
    exact = at.astimezone(UTC)
    title = f"{exact.day} {exact:%b %Y %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(clock.to_text(at), title, text)


def _runs(text: str, keep: str) -> list[str]:
    """The text cut into runs of plain characters and single hidden ones."""
    runs: list[str] = []
    plain = ""
    for character in text:
        if _is_hidden(character, keep):
            runs += [plain, character]
            plain = ""
        else:
            plain += character
    return [*runs, plain]


def _visible(run: str, keep: str) -> Markup:
    if len(run) == 1 and _is_hidden(run, keep):
        return Markup('<span class="mark">⟨U+{:04X}⟩</span>').format(ord(run))
    return escape(run)


def _is_hidden(character: str, keep: str) -> bool:
    if " " <= character <= "~" or character in keep:
        return False
    return unicodedata.category(character) in HIDDEN_KINDS or character in BLANKS
