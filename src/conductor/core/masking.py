"""Hiding personal data from those who need not see it: names, e-mail and network addresses, phone numbers.

What is known to be personal is hidden whole (`user_name`, and the members of a record that go by such names); anything
else is searched for what looks like it. The shape stays, so that one can still tell one from another:
`a•••@example.com`, `203.0.113.•••`. It is for the eyes: whoever may search can still ask for an exact value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

import msgspec

MARK = "•••"
PERSONAL = ("user_name", "ip")  # of an artifact
# The standard claims on a person (OpenID Connect Core 1.0, section 5.1), and what vendors call them.
MEMBERS = frozenset(
    "name given_name family_name middle_name nickname preferred_username profile picture website email birthdate "
    "phone_number phone phone_numbers address emails user_name username login display_name displayname first_name "
    "last_name firstname lastname ip client_ip".split()
)
_KEPT = frozenset({"id", "time", "collected_at", "integration", "connector", "raw"})
_SHORTEST = 3  # characters of a name that is looked for in other texts

# Each starts where a word does, so that a long text is read once only.
_LOCAL = r"[^\s@\"'<>|,;:()\[\]{}\\=&?/]"
_EMAIL = re.compile(rf"(?<!{_LOCAL})({_LOCAL}){_LOCAL}*@(?=\w)")
_WHOLE_EMAIL = re.compile(rf"{_LOCAL}+@[\w.-]+")
_IPV4 = re.compile(r"(?<![\w.])(?<![^/]/)(\d{1,3}(?:\.\d{1,3}){2})\.\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w.:])[0-9A-Fa-f:]{2,45}(?![\w:]|\.\d)")
_PHONE = re.compile(r"(?<!\w)(\+\d\d?)[\d ().-]{4,18}\d")
_JSON_MEMBER = re.compile(rf'(?i)"({"|".join(sorted(MEMBERS))})"(\s*:\s*)"((?:[^"\\]|\\.)*)"?')


def artifact(row: Mapping[str, Any]) -> dict[str, Any]:
    """An artifact's row as somebody may see it from whom personal data is hidden; `raw` is JSON still, if it was."""
    name = row.get("user_name", "")
    known = (name,) if len(name) >= _SHORTEST else ()
    masked: dict[str, Any] = {key: _plain(key, value, known) for key, value in row.items()}
    return {**masked, "raw": record(row["raw"], known)}


def record(raw: bytes, known: tuple[str, ...] = ()) -> bytes:
    """A vendor's record without personal data; it is decoded for it, so it is not what was received any more."""
    try:
        return msgspec.json.encode(_walked(msgspec.json.decode(raw), known, personal=False))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        broken = raw.decode("utf-8", "replace")
        return text(_JSON_MEMBER.sub(rf'"\1"\2"{MARK}"', broken), known).encode()


def text(value: str, known: tuple[str, ...] = ()) -> str:
    """A text without what looks like personal data in it, and without the `known` names."""
    for name in known:
        value = value.replace(name, whole(name))
    value = _EMAIL.sub(lambda found: f"{found[1]}{MARK}@", value)
    value = _IPV4.sub(rf"\1.{MARK}", value)
    value = _IPV6.sub(lambda found: _ipv6(found[0]), value)
    return _PHONE.sub(rf"\1{MARK}", value)


def whole(value: str) -> str:
    """A value that is personal as it stands: an address keeps where it belongs, anything else its first letter."""
    if _WHOLE_EMAIL.fullmatch(value) or _is_address(value) or _PHONE.fullmatch(value):
        return text(value)
    return value[:1] + MARK if value else ""


def _plain(key: str, value: Any, known: tuple[str, ...]) -> Any:
    if key in _KEPT or not isinstance(value, str):
        return value
    return whole(value) if key in PERSONAL else text(value, known)


def _walked(value: Any, known: tuple[str, ...], *, personal: bool) -> Any:
    if isinstance(value, dict):
        return {
            text(key, known): _walked(item, known, personal=personal or key.lower() in MEMBERS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_walked(item, known, personal=personal) for item in value]
    if isinstance(value, str):
        return whole(value) if personal else text(value, known)
    return MARK if personal and isinstance(value, int | float) and not isinstance(value, bool) else value


def _ipv6(found: str) -> str:
    try:
        groups = ipaddress.IPv6Address(found).exploded.split(":")
    except ValueError:
        return found
    return ":".join(f"{int(group, 16):x}" for group in groups[:3]) + f":{MARK}"


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
