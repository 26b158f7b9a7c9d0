"""Serves a world over HTTP: a plain ASGI application, and uvicorn with TLS around it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from conductor.simulator import control, faults, logs, oauth, tls, world
from conductor.simulator.tenant import Tenant
from conductor.simulator.wire import Delivery, Reply, Request, api_error, text_reply
from conductor.simulator.world import Seen, World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answers = Callable[[Tenant, Request], Reply]

LOGS = "/api/v2/logs"
PIECES = 20  # of a dripping body
KEEP_ALIVE = 75  # seconds
GRACE = 1  # seconds for requests that run when the server stops
LINGER_NOT = struct.pack("ii", 1, 0)  # closing sends a reset


class Application:
    """The ASGI application. Works without a server too, for clients that take an application as their transport."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        request = _request(scope, await _body(receive), self.world)
        await _deliver(self.answer(request), request, scope, receive, send)

    def answer(self, request: Request) -> Reply:
        """The reply to a request: of the control API, of a tenant, or of a fault."""
        if request.path.startswith(control.PREFIX):
            return control.answer(self.world, request)
        tenant = self.world.at(request.host)
        if tenant is None:
            return text_reply(404, "Not found.")
        endpoint, answers = _endpoint(request)
        tenant.advance(request.now)
        fault = self.world.faults.strike(endpoint, tenant.spec.name)
        reply = faults.apply(fault, request, lambda: answers(tenant, request)) if fault else answers(tenant, request)
        kind = fault.kind if fault else ""
        self.world.stats.note(Seen(endpoint, tenant.spec.name, reply.status, request.query, kind, request.now))
        return reply


@dataclass(frozen=True, slots=True)
class Server:
    """A running simulator. `authority` is what an operator types as the domain; `ca` the file to trust."""

    world: World
    port: int
    ca: Path

    def authority(self, tenant: str | None = None) -> str:
        """The tenant's canonical host with the port."""
        spec = (self.world.tenants[tenant] if tenant else self.world.first).spec
        return f"{spec.host}:{self.port}"

    def url(self, tenant: str | None = None) -> str:
        """The tenant's base address, without a slash at the end."""
        return f"https://{self.authority(tenant)}"

    def audience(self, tenant: str | None = None) -> str:
        """The audience a token for this tenant's Management API needs."""
        return f"{self.url(tenant)}/api/v2/"


@asynccontextmanager
async def running(
    simulated: World, *, bind: str = "127.0.0.1", port: int = 0, ca_dir: Path | None = None
) -> AsyncIterator[Server]:
    """Serve a world over TLS in this event loop until the block ends. Port 0 takes a free one.

    Beside `bind` it listens on every loopback address that is a tenant's name. Without `ca_dir` the certificates
    live as long as the server. Raises OSError when the port is taken.
    """
    async with AsyncExitStack() as stack:
        directory = ca_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conductor-simulator-")))
        names = _names(simulated, bind)
        files = tls.make(directory, names)
        sockets = _sockets(bind, port, names)
        for listener in sockets:
            stack.callback(listener.close)
        await stack.enter_async_context(_served(Application(simulated), files, sockets))
        yield Server(simulated, sockets[0].getsockname()[1], files.ca)


class _Protocol(H11Protocol):
    """Shows the application its connection, which it needs to break for some faults."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs the event loop."""
        yield


@asynccontextmanager
async def _served(application: Application, files: tls.Files, sockets: list[socket.socket]) -> AsyncIterator[None]:
    config = uvicorn.Config(
        application,
        http=_Protocol,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        ssl_certfile=files.certificate,
        ssl_keyfile=files.key,
    )
    server = _Uvicorn(config)
    task = asyncio.create_task(server.serve(sockets), name="simulator")
    try:
        while not server.started and not task.done():  # uvicorn sets no event
            await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task


def _names(simulated: World, bind: str) -> list[str]:
    names = [name for tenant in simulated.tenants.values() for name in world.hosts(tenant.spec)]
    return list(dict.fromkeys([*names, bind, "localhost", "127.0.0.1", "::1"]))


def _sockets(bind: str, port: int, names: list[str]) -> list[socket.socket]:
    first = _listen(bind, port)
    port = first.getsockname()[1]
    addresses = [name for name in names if name != bind and _is_loopback(name)]
    wildcard = ipaddress.ip_address(bind).is_unspecified
    return [first, *(listener for address in addresses if not wildcard for listener in _try_listen(address, port))]


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=256)


def _try_listen(address: str, port: int) -> list[socket.socket]:
    """Not every machine has every loopback address; a tenant there is then reached by its other names."""
    try:
        return [_listen(address, port)]
    except OSError:
        return []


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _endpoint(request: Request) -> tuple[str, Answers]:
    match request.method, request.path:
        case "POST", "/oauth/token":
            return "token", oauth.token
        case "GET", path if path == LOGS:
            return ("logs" if "from" in request.query else "search"), logs.page
        case "GET", path if path.startswith(f"{LOGS}/"):
            return "log", logs.one
        case "GET", "/.well-known/openid-configuration":
            return "other", _metadata
        case _:
            return "other", _not_found


def _metadata(tenant: Tenant, request: Request) -> Reply:
    """A little of OpenID Connect Discovery 1.0."""
    known = {"issuer": f"https://{request.host}/", "token_endpoint": f"https://{request.host}/oauth/token"}
    return Reply(200, msgspec.json.encode(known))


def _not_found(tenant: Tenant, request: Request) -> Reply:
    return api_error(404, "Not Found")


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _request(scope: Scope, body: bytes, simulated: World) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    netloc = headers.get("host", "")
    query = scope["query_string"].decode("latin-1")
    path = scope["path"]
    return Request(
        method=scope["method"],
        path=path,
        host=_host(netloc),
        netloc=netloc,
        now=simulated.now(),
        scheme=scope.get("scheme", "https"),
        target=f"{path}?{query}" if query else path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body,
    )


def _host(netloc: str) -> str:
    host = netloc.rpartition(":")[0] if netloc.rpartition(":")[2].isdecimal() else netloc
    return host.strip("[]").lower()


def _headers(reply: Reply, request: Request) -> list[tuple[bytes, bytes]]:
    values = {"content-type": reply.content_type, "content-length": str(len(reply.body)), "server": "cloudflare"}
    if reply.dated:
        values["date"] = format_datetime(request.now, usegmt=True)
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in {**values, **reply.headers}.items()]


async def _deliver(reply: Reply, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    if reply.delivery in (Delivery.RESET, Delivery.HANG):
        await asyncio.sleep(reply.pause)
        await _break(scope, receive, reset=reply.delivery is Delivery.RESET)
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, request)})
    if reply.delivery is Delivery.TRUNCATED:
        await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
        await _break(scope, receive, reset=False)
        return
    if reply.delivery is Delivery.DRIP:
        await _drip(reply, send)
    await send({"type": "http.response.body", "body": b"" if reply.delivery is Delivery.DRIP else reply.body})


async def _drip(reply: Reply, send: Send) -> None:
    size = max(1, -(-len(reply.body) // PIECES))
    for start in range(0, len(reply.body), size):
        await send({"type": "http.response.body", "body": reply.body[start : start + size], "more_body": True})
        await asyncio.sleep(reply.pause)


async def _break(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Break the connection and wait until it is gone, so that uvicorn sends nothing more."""
    transport = scope.get("state", {}).get("transport")
    if transport is None:
        raise ConnectionResetError("The simulator broke the connection")
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
