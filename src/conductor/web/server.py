"""Where the application listens: an address for browsers, and a socket for the command line of this machine's owner."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from conductor.core.errors import SettingsError
from conductor.web import certificate

SOCKET = "conductor.sock"
BACKLOG = 128
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; TLS 1.3 has no weak ones
GRACE = 5  # seconds for requests in hand


@dataclass(frozen=True, slots=True)
class Listening:
    """An open address. `certificate` and `key` are None for plain HTTP, which only loopback speaks; `fingerprint` is
    that of a certificate made here."""

    socket: socket.socket
    url: str
    certificate: str | None
    key: str | None
    fingerprint: str | None


def listen(host: str, port: int, *, cert: str, key: str, directory: Path) -> Listening:
    """Open the address for browsers. Beyond loopback it always speaks TLS. Raises SettingsError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(f"Conductor cannot listen on {host}:{port}: {error.strerror}.") from error
    opened.setblocking(False)
    fingerprint = None
    if not cert and not is_loopback(host):
        made, made_key = certificate.self_signed(directory, host)
        cert, key, fingerprint = str(made), str(made_key), certificate.fingerprint(made)
    scheme = "https" if cert else "http"
    url = f"{scheme}://{_reachable(host)}:{opened.getsockname()[1]}"
    return Listening(opened, url, cert or None, key or None, fingerprint)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve(app: FastAPI, listening: Listening, stop: asyncio.Event) -> None:
    """Answer browsers until `stop` is set, then finish the requests in hand."""
    app.state.stopping = stop
    tls: dict[str, Any] = {"ssl_certfile": listening.certificate, "ssl_keyfile": listening.key}
    await _serve(
        uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **_QUIET, **tls), listening.socket, stop
    )


async def serve_local(app: FastAPI, directory: Path, stop: asyncio.Event) -> None:
    """Answer the command line on a socket that only the owner can open."""
    app.state.stopping = stop
    path = directory / SOCKET
    path.unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        opened.bind(str(path))
    finally:
        os.umask(before)
    opened.listen(BACKLOG)
    opened.setblocking(False)
    try:
        await _serve(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **_QUIET), opened, stop)
    finally:
        path.unlink(missing_ok=True)


_QUIET: dict[str, Any] = {"server_header": False, "proxy_headers": False, "timeout_graceful_shutdown": GRACE}


class _Server(uvicorn.Server):
    """Signals are the app's business."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield


async def _serve(config: uvicorn.Config, opened: socket.socket, stop: asyncio.Event) -> None:
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever this host's OpenSSL would still allow
        config.ssl.set_ciphers(CIPHERS)
    server = _Server(config)
    stopping = asyncio.create_task(_stop(server, stop), name="web stop")
    try:
        await server.serve(sockets=[opened])
    finally:
        stopping.cancel()
        opened.close()


async def _stop(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _reachable(host: str) -> str:
    """The address to type into a browser: a name of this machine for one that stands for all of its addresses."""
    try:
        if ipaddress.ip_address(host).is_unspecified:
            return socket.gethostname()
    except ValueError:
        return host
    return f"[{host}]" if ":" in host else host
