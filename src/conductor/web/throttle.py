"""A token bucket for each network from which someone tries to sign in."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable

from conductor.core import addresses
from conductor.operations.sessions import TooManyAttempts

BURST = 20.0  # attempts at once
RATE = 1 / 6  # further attempts a second
NETWORKS = 10_000  # remembered at most
PREFIX = {4: 24, 6: 64}


class Throttle:
    """Counts attempts by /24 of IPv4 or /64 of IPv6, in memory."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Take one attempt. Raises TooManyAttempts when none is left."""
        now, key = self._clock(), network(address)
        left, at = self._buckets.pop(key, (BURST, now))
        left = min(BURST, left + (now - at) * RATE)
        self._buckets[key] = (max(left - 1, 0) if left >= 1 else left, now)
        while len(self._buckets) > NETWORKS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise TooManyAttempts(max(1, round((1 - left) / RATE)))


def network(address: str) -> str:
    """The network an address belongs to; what is no address stands for itself."""
    ip = addresses.parse(address)
    if ip is None:
        return address
    return str(ipaddress.ip_network((ip, PREFIX[ip.version]), strict=False))
