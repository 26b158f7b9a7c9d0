"""What a thousand hostile vendors can make a process hold, when each is asked as often as a poll would."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import tempfile
import zlib
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from conductor.core.config import Allowance
from conductor.core.errors import ConductorError
from conductor.outbound import guard
from conductor.outbound.body import Room
from conductor.outbound.client import Client, Route
from conductor.outbound.guard import Policy
from conductor.outbound.pace import Limiter
from conductor.simulator import tls

MIB = 1024 * 1024
MANY = 1000
INTERVAL = 300.0  # seconds: the default polling interval
SLOWLY = 0.25  # seconds between two pieces of an answer that grows without end


async def bombs() -> dict[str, float]:
    """Resident memory above that of a thousand clients at rest, at its highest while all are under fire."""
    process, codes = psutil.Process(), dict[str, int]()
    with tempfile.TemporaryDirectory() as folder:
        files = tls.make(Path(folder), ["127.0.0.1"])
        command = [sys.executable, "-m", "benchmarks.bombs", str(files.certificate), str(files.key)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: ASYNC220
            try:
                assert server.stdout is not None
                url = f"https://127.0.0.1:{server.stdout.readline().strip()}"
                route = Route(Policy(guard.parse_networks(["127.0.0.0/8"])), files.ca.read_text(), room=Room())
                async with AsyncExitStack() as stack:
                    clients = [await stack.enter_async_context(_client(route)) for _ in range(MANY)]
                    await asyncio.gather(*(_ask(http, f"{url}/page", codes) for http in clients[:20]))
                    idle = process.memory_info().rss
                    codes.clear()
                    watching = asyncio.create_task(_watch(process))
                    await asyncio.gather(*(_later(http, number, url, codes) for number, http in enumerate(clients)))
                    watching.cancel()
                    highest = await watching
            finally:
                server.kill()
    told = {f"ended_in_{code}": float(count) for code, count in sorted(codes.items())}
    return {"rss_idle_mib": idle / MIB, "rss_above_idle_mib": (highest - idle) / MIB, **told}


def _client(route: Route) -> Client:
    limiter = Limiter()
    limiter.join("bench", 1.0, Allowance(1000.0, 1000.0))
    return Client("vendor", route, limiter, lambda announced: Allowance(1000.0, 1000.0))


async def _later(http: Client, number: int, url: str, codes: dict[str, int]) -> None:
    await asyncio.sleep(INTERVAL * number / MANY)
    await _ask(http, f"{url}/{('slow', 'gzip')[number % 2]}", codes)


async def _ask(http: Client, url: str, codes: dict[str, int]) -> None:
    try:
        code = str((await http.get(url, {})).status)
    except ConductorError as error:
        code = error.code
    codes[code] = codes.get(code, 0) + 1
    await http.close()


async def _watch(process: psutil.Process) -> int:
    highest = 0
    try:
        while True:
            highest = max(highest, process.memory_info().rss)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return highest


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        if path == b"/page":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            await writer.drain()
            return
        kind = b"Content-Encoding: gzip\r\n" if path == b"/gzip" else b""
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + kind + b"\r\n")
        packer = zlib.compressobj(9, wbits=31)
        piece = bytes(110 * 1024)  # the limit is reached after twenty seconds, shortly before the deadline
        while not writer.transport.is_closing():
            packed = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
            writer.write(packed if kind else piece)
            await writer.drain()
            await asyncio.sleep(SLOWLY)
    except (OSError, EOFError):
        pass  # it has seen enough
    finally:
        writer.close()


async def _main(certificate: str, key: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
