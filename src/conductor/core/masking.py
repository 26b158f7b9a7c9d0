"""Hiding personal data from those who need not see it: names, e-mail and network addresses, phone numbers.

What is known to be personal is hidden whole (`user_name`, and the members of a record that go by such names); anything
else is searched for what looks like it. The shape stays, so that one can still tell one from another:
`a•••@example.com`, `203.0.113.•••`. It is for the eyes: whoever may search can still ask for a value.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

MARK = "•••"
PERSONAL = ("user_name", "ip")  # of an artifact
# The standard claims on a person (OpenID Connect Core 1.0, section 5.1), and what vendors, SCIM (RFC 7643) and
# directories call them; without the signs between words, so that every way to write one is found.
MEMBERS = frozenset(
    "name givenname familyname middlename nickname preferredusername profile picture website email emailaddress emails "
    "mail birthdate phonenumber phonenumbers phone mobile msisdn address addresses username login displayname fullname "
    "firstname lastname surname upn userprincipalname ip clientip ipaddress".split()
)
_KEPT = frozenset(
    "id time collected_at integration connector raw type event category outcome severity log_id masked".split()
)
_OF_THINGS = frozenset(
    "tenant client_id client_name connection connection_id strategy strategy_type hostname organization_id "
    "organization_name audience scope country city asn located_by own parsed".split()
)
_VERSIONS = "user_agent"  # numbers with dots in it are versions
_SHORTEST = 3  # characters of a name that is looked for in other texts

# Each starts where a word does, so that a long text is read once only. In URLs @ and + are written %40 and %2B.
_LOCAL = r"[^\s@\"<>|,;:()\[\]{}\\=&?/]"
_EMAIL = re.compile(rf"(?<!{_LOCAL})({_LOCAL}){_LOCAL}*(@|%40)(?=\w)")
_WHOLE_EMAIL = re.compile(rf"{_LOCAL}+@\w[\w.-]*")
_IPV4 = re.compile(r"(?<!\d)(?<!\d\.)(\d{1,3}(?:\.\d{1,3}){2})\.\d{1,3}(?!\d|\.\d)")
_IPV6 = re.compile(r"(?:(?<![\w:.])|(?<=[A-Za-z_])(?=:))[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,45}(?!\w)(?!\.\d)")
_PHONE = re.compile(r"(?<![\w+])((?:\+|%2[Bb])\d\d?)[\d\s().-]{4,18}\d")


def artifact(row: Mapping[str, Any]) -> dict[str, Any]:
    """An artifact's row as somebody may see it from whom personal data is hidden; `raw` is JSON still, if it was."""
    name = row.get("user_name", "")
    stands_for_an_id = name == row.get("user_id")
    hide = _names("" if stands_for_an_id else name)
    masked: dict[str, Any] = {key: _plain(key, value, hide) for key, value in row.items()}
    if stands_for_an_id:
        masked["user_name"] = masked.get("user_id", "")
    return {**masked, "raw": _record(row["raw"], hide)}


def value(field: str, found: str) -> str:
    """A value of a field, by its name or its dotted path into the record, that stands by itself in a list.

    Without the rest of its event nobody knows whose name may be in it: only what is about things is shown.
    """
    if field in _KEPT:
        return found
    return text(found) if field in _OF_THINGS else whole(found)


def record(raw: bytes) -> bytes:
    """A vendor's record without personal data; it is decoded for it, so it is not what was received any more."""
    return _record(raw, _names(""))


def text(value: str) -> str:
    """A text without what looks like personal data in it."""
    if "@" in value or "%40" in value:
        value = _without_emails(value)
    if "." in value:
        value = _IPV4.sub(rf"\1.{MARK}", value)
    if ":" in value:
        value = _IPV6.sub(lambda found: _ipv6(found[0]), value)
    if "+" in value or "%2" in value:
        value = _PHONE.sub(rf"\1{MARK}", value)
    return value


def whole(value: str) -> str:
    """A value that is personal as it stands: an address keeps where it belongs, anything else its first letter."""
    if _WHOLE_EMAIL.fullmatch(value) or _is_address(value) or _PHONE.fullmatch(value):
        masked = text(value)
        if masked != value:
            return masked
    return value[:1] + MARK if value else ""


def _record(raw: bytes, hide: Callable[[str], str], *, personal: bool = False) -> bytes:
    try:
        return msgspec.json.encode(_walked(_decoded(raw), hide, personal=personal))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        broken = raw.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        record_like = broken[:1] in ("{", "[") or '":' in broken
        return (MARK if record_like else hide(broken)).encode()  # of a broken record nobody knows the parts


def _decoded(raw: bytes) -> Any:
    """Python's own decoder takes what msgspec does not: lone surrogates, endless numbers, raw control characters."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        return json.loads(raw.decode("utf-8-sig", "replace").encode("utf-8", "replace"), strict=False)


def _plain(key: str, value: Any, hide: Callable[[str], str]) -> Any:
    if key in _KEPT or not isinstance(value, str):
        return value
    if key == _VERSIONS:
        return _without_emails(value)
    return whole(value) if key in PERSONAL else hide(value)


def _walked(value: Any, hide: Callable[[str], str], *, personal: bool) -> Any:
    if isinstance(value, dict):
        return {hide(key): _member(key, item, hide, personal=personal) for key, item in value.items()}
    if isinstance(value, list):
        return [_walked(item, hide, personal=personal) for item in value]
    if isinstance(value, str):
        return _string(value, hide, personal=personal)
    return MARK if personal and isinstance(value, int | float) and not isinstance(value, bool) else value


def _member(key: str, value: Any, hide: Callable[[str], str], *, personal: bool) -> Any:
    if key == _VERSIONS and isinstance(value, str):
        return _without_emails(value)
    return _walked(value, hide, personal=personal or _is_personal(key))


def _without_emails(value: str) -> str:
    return _EMAIL.sub(rf"\1{MARK}\2", value)


def _string(value: str, hide: Callable[[str], str], *, personal: bool) -> str:
    """A text; or a record that was put into one."""
    value = value.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    if value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        return _record(value.encode(), hide, personal=personal).decode()
    return whole(value) if personal else hide(value)


def _is_personal(key: str) -> bool:
    return key.lower().replace("_", "").replace("-", "") in MEMBERS


def _names(name: str) -> Callable[[str], str]:
    """What hides a person's name and e-mail's first part, too, as words of a text."""
    words = {word for word in (name, name.partition("@")[0]) if len(word) >= _SHORTEST}
    if not words:
        return text
    longest_first = sorted(words, key=len, reverse=True)
    found = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    return lambda value: text(found.sub(lambda match: whole(match[0]), value))


def _ipv6(found: str) -> str:
    """Also with the colon of a word before it, as in `ip:2001:db8::1`, or of a sentence behind it."""
    for before, bare, after in ((0, found, 0), (1, found[1:], 0), (0, found[:-1], 1)):
        with suppress(ValueError):
            packed = ipaddress.IPv6Address(bare).packed
            groups = (f"{packed[at] << 8 | packed[at + 1]:x}" for at in (0, 2, 4))
            return f"{':' * before}{':'.join(groups)}:{MARK}{':' * after}"
    return found


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value
