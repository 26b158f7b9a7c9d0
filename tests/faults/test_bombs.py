"""What a hostile server can make a process hold, measured in a process of its own by the kernel's own figure."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from conductor.outbound import body

MIB = 1024 * 1024
BOMBED = Path(__file__).with_name("bombed.py")
WITHIN = 120  # seconds; only a process that hangs takes them


@cache
def packed(mebibytes: int) -> bytes:
    """Zeros, a thousandth of their size."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(mebibytes)) + packer.flush()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _endless(piece: bytes, times: int = 4096) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield piece


async def _endless_gzip() -> AsyncIterator[bytes]:
    packer = zlib.compressobj(0, wbits=31)  # stored: as many bytes to receive as to keep
    for _ in range(4096):
        yield packer.compress(bytes(256 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *lines, "", ""]).encode()


GZIP = "Content-Encoding: gzip"
# path → (head of the answer, its body, what the request ends in)
BOMBS: dict[str, tuple[bytes, Callable[[], AsyncIterator[bytes]], str]] = {
    "/gzip": (head(GZIP), lambda: _once(packed(500)), "source.too_large"),
    "/stacked": (
        head("Content-Encoding: gzip, gzip"),
        lambda: _once(gzip.compress(packed(300))),
        "source.encoding",
    ),
    "/brotli": (head("Content-Encoding: br"), lambda: _endless(b"x" * MIB), "source.encoding"),
    "/endless": (head(), lambda: _endless(b"x" * MIB), "source.too_large"),
    "/endless-gzip": (head(GZIP), _endless_gzip, "source.too_large"),
    "/after-its-end": (head(GZIP), lambda: _endless(gzip.compress(b"[]") + b"x" * MIB), "source.encoding"),
    "/long-header": (b"HTTP/1.1 200 OK\r\nX: ", lambda: _endless(b"y" * MIB, 16), "net.broken"),
    "/many-headers": (b"HTTP/1.1 200 OK\r\n", lambda: _endless(b"X: y\r\n" * 100_000, 16), "net.broken"),
    "/error": (head(GZIP, status="500 Oops"), lambda: _once(packed(500)), "acme.server"),
    "/chunks": (
        head("Transfer-Encoding: chunked"),
        lambda: _endless((b"100\r\n" + b"x" * 256 + b"\r\n") * 1000),
        "source.too_large",
    ),
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split(b" ")[1].decode()
        if path == "/page":
            writer.write(head("Content-Length: 2") + b"[]")
        else:
            start, content, _ = BOMBS[path]
            writer.write(start)
            async for piece in content():
                if writer.transport.is_closing():
                    break
                writer.write(piece)
                await writer.drain()
        await writer.drain()
    except (OSError, EOFError):
        pass  # it has seen enough
    finally:
        writer.transport.abort() if path != "/page" else writer.close()


def test_f18_f24_no_bomb_makes_the_process_grow_by_twice_the_limit(
    authority: trustme.CA, server_tls: Any, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(authority.cert_pem.bytes())

    async def scenario() -> dict[str, tuple[str, int]]:
        server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=server_tls)
        port = server.sockets[0].getsockname()[1]
        command = (sys.executable, str(BOMBED), str(port), str(trusted), *BOMBS)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), WITHIN)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            server.close()
        found: dict[str, tuple[str, int]] = json.loads(printed)
        return found

    found = asyncio.run(scenario())
    assert {path: code for path, (code, _) in found.items()} == {path: code for path, (_, _, code) in BOMBS.items()}
    for path, (_, grown) in found.items():
        assert grown < 2 * body.MAX_BODY, f"{path} took {grown / MIB:.1f} MiB"
