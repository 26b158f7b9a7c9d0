"""Plain asyncio streams behind httpcore's interface.

httpcore's own go through a layer that reads one TLS record of 16 KB at a time; asyncio's TLS hands over what has
arrived. A page of 130 KB costs a third of the time (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

import httpcore2

BUFFER = 512 * 1024  # bytes that may wait to be read


class Stream(httpcore2.AsyncNetworkStream):
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, at least one byte; empty at the end. Raises httpcore2's ReadTimeout, ReadError."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it. Raises httpcore2's WriteTimeout, WriteError."""
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close without waiting for the other side's farewell. Safe twice."""
        self._writer.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """Speak TLS from here on. Raises httpcore2's ConnectTimeout, ConnectError with the library's error as cause."""
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            self._writer.close()
            raise httpcore2.ConnectTimeout from error
        except OSError as error:  # ssl.SSLError is one
            self._writer.close()
            raise httpcore2.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection; `is_readable` before one is used again: then it was closed."""
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing()
        names = {"ssl_object": "ssl_object", "client_addr": "sockname", "server_addr": "peername", "socket": "socket"}
        return self._writer.get_extra_info(names[info]) if info in names else None


async def connect(
    host: str,
    port: int,
    timeout: float,
    local_address: str | None,
    options: Iterable[httpcore2.SOCKET_OPTION] | None,
) -> Stream:
    """Open a connection. Raises httpcore2's ConnectTimeout, ConnectError."""
    local = (local_address, 0) if local_address else None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(host, port, local_addr=local, limit=BUFFER)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout from error
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    for option in options or ():
        writer.get_extra_info("socket").setsockopt(*cast("tuple[int, int, int]", option))
    return Stream(reader, writer)
