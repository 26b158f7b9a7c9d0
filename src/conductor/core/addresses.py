"""Addresses of hosts and of people. Pure."""

from __future__ import annotations

import ipaddress

LONGEST_EMAIL = 254  # characters: RFC 5321, section 4.5.3.1.3, with the brackets around it
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(text: str) -> Address | None:
    """An IP address, None for what is none (a Unix socket). IPv4 that comes as `::ffff:192.0.2.1` is IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def is_email(text: str) -> bool:
    """Whether it looks like an e-mail address that needs no quoting and no encoding, and hides none (RFC 2047): whether
    it works, only a mail to it tells."""
    local, at, domain = text.rpartition("@")
    plain = text.isascii() and text.isprintable() and "=?" not in text and not set(text) & set(' <>,;:"\\()[]')
    return bool(local and at and domain) and len(text) <= LONGEST_EMAIL and plain
