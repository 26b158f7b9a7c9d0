"""Another host on this machine: a network namespace behind a pair of virtual cables, with a firewall of its own.

Nothing of the machine's own network is touched: rules stand in the other host's namespace only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Host:
    """The other host: its two addresses, sockets that listen there, and what becomes of packets on the way."""

    def __init__(self, number: int) -> None:
        self.name = f"cdt{number}"
        part = number % 250 + 1
        self.v4, self.v6 = f"10.213.{part}.2", f"fd8c:213:{part:x}::2"
        self._ours = (f"10.213.{part}.1/30", f"fd8c:213:{part:x}::1/64")

    def up(self) -> None:
        """Make it and lay the cable."""
        here, there = f"{self.name}a", f"{self.name}b"
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
        for address in self._ours:
            _run("ip", "address", "add", address, "dev", here, *(["nodad"] if ":" in address else []))
        for address in (f"{self.v4}/30", f"{self.v6}/64"):
            nodad = ["nodad"] if ":" in address else []
            _run("ip", "-n", self.name, "address", "add", address, "dev", there, *nodad)
        _run("ip", "link", "set", here, "up")
        _run("ip", "-n", self.name, "link", "set", there, "up")

    def down(self) -> None:
        """Take it away; the cable goes with it."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    def listen(self, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A socket that listens there, whatever namespace its user is in."""
        made: list[socket.socket] = []

        def enter() -> None:
            with open(f"/run/netns/{self.name}") as there:
                if _libc.setns(there.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            address = self.v4 if family == socket.AF_INET else self.v6
            made.append(socket.create_server((address, 0), family=family))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return made[0]

    def rule(self, text: str = "", way: str = "input") -> None:
        """One nftables rule for what comes in (or goes out); without text nothing is in the way any more."""
        table = "flush ruleset\n"
        if text:
            table += f"table inet t {{\nchain c {{\ntype filter hook {way} priority 0\n{text}\n}}\n}}\n"
        subprocess.run(
            ["ip", "netns", "exec", self.name, "nft", "-f", "-"],
            input=table,
            text=True,
            check=True,
            capture_output=True,
        )


@contextmanager
def elsewhere(skip_or_fail: Callable[[str], NoReturn]) -> Iterator[Host]:
    """Another host, taken away at the end."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        skip_or_fail("another host needs root, ip and nft (Debian: iproute2, nftables)")
    host = Host(os.getpid())
    try:
        host.up()
        yield host
    finally:
        host.down()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
