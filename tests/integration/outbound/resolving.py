"""Run in a network namespace of its own by test_dns.py: a small DNS server, a TLS server, and the real client.

Prints one JSON object: for each story what became of it, and how many connections the server saw.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import trustme

from conductor.core.config import Allowance
from conductor.core.errors import ConductorError
from conductor.outbound import guard
from conductor.outbound.client import Client, Route
from conductor.outbound.guard import Policy
from conductor.outbound.pace import Limiter

NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
HERE, METADATA = "127.0.0.1", "169.254.169.254"
# What each name answers, question after question; the last answer stays. An int is an error, None is silence.
NAMES: dict[str, list[Any]] = {
    "fine.example": [[HERE]],
    "nxdomain.example": [NXDOMAIN],
    "servfail.example": [SERVFAIL],
    "refused.example": [REFUSED],
    "silent.example": [None],
    "empty.example": [[]],
    "private.example": [[METADATA]],
    "mixed.example": [[HERE, METADATA]],
    "rebind.example": [[HERE], [METADATA]],
    "gone.example": [[HERE], NXDOMAIN, [HERE]],
    "failing.example": [[HERE], SERVFAIL, [HERE]],
}
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"

asked: Counter[tuple[str, int]] = Counter()


def answer(question: bytes) -> bytes | None:
    """A DNS message for a question; AAAA has the same errors and no addresses."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
    name = ".".join(labels)
    asked[name, kind] += 1
    told = NAMES.get(name, [NXDOMAIN])
    found = told[min(asked[name, kind], len(told)) - 1]
    if found is None:
        return None
    records = found if isinstance(found, list) and kind == 1 else []
    flags = 0x8180 | (found if isinstance(found, int) else 0)
    head = question[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(item) for item in records)
    return head + question[12 : at + 5] + body


def serve_dns() -> None:
    """On port 53, for as long as the process lives."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((HERE, 53))

    def loop() -> None:
        while True:
            question, sender = listening.recvfrom(512)
            if (reply := answer(question)) is not None:
                listening.sendto(reply, sender)

    threading.Thread(target=loop, daemon=True).start()


def prepare(folder: Path) -> None:
    """Loopback up, and a resolver configuration that only this mount namespace sees."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, content in (
        ("resolv.conf", f"nameserver {HERE}\noptions timeout:1 attempts:1\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ):
        (folder / name).write_text(content)
        subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True)


async def tell() -> dict[str, Any]:
    """Every name, asked as often as it has answers."""
    authority, connections = trustme.CA(), 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*NAMES).configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(REPLY)
        except (OSError, EOFError):
            writer.close()

    server = await asyncio.start_server(serve, HERE, 8443, ssl=context)
    route = Route(Policy(guard.parse_networks([HERE])), authority.cert_pem.bytes().decode())
    stories: dict[str, Any] = {}
    for name, answers in NAMES.items():
        limiter = Limiter()
        limiter.join("test", 1.0, Allowance(1000.0, 1000.0))
        stories[name] = []
        for _ in answers:
            before = connections
            async with Client("acme", route, limiter, lambda _: Allowance(1000.0, 1000.0)) as http:
                try:
                    said: Any = (await http.get(f"https://{name}:8443/", {})).status
                except ConductorError as error:
                    said = [type(error).__name__, error.code]
            stories[name].append([said, connections - before, http.usage.requests])
    server.close()
    return stories


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    serve_dns()
    print(json.dumps(asyncio.run(tell())))
