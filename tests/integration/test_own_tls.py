"""What our own web server speaks beyond loopback: TLS 1.2 and 1.3 with forward secrecy, nothing older."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from pathlib import Path

import pytest
from fastapi import FastAPI

from conductor.web import certificate, server

OLD, NEW = ("TLSv1", "TLSv1_1"), ("TLSv1_2", "TLSv1_3")


def speak(folder: Path, version: str, ciphers: str = "ALL:@SECLEVEL=0") -> str:
    """The version that client and server agree on. Raises ssl.SSLError."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
    client.set_ciphers(ciphers)

    async def story() -> str:
        made, key = certificate.self_signed(folder, "127.0.0.1")
        listening = server.listen("127.0.0.1", 0, cert=str(made), key=str(key), directory=folder)
        stop = asyncio.Event()
        serving = asyncio.create_task(server.serve(FastAPI(), listening, stop))
        try:
            port = listening.socket.getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
            agreed: str = writer.get_extra_info("ssl_object").version()
            writer.close()
            return agreed
        finally:
            stop.set()
            await serving

    return asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.parametrize("version", OLD)
def test_s05_our_server_speaks_no_old_tls(tmp_path: Path, version: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        speak(tmp_path, version)


@pytest.mark.parametrize("version", NEW)
def test_s05_our_server_speaks_tls_of_today(tmp_path: Path, version: str) -> None:
    assert speak(tmp_path, version) == version.replace("_", ".")


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
def test_s05_our_server_has_no_weak_ciphers(tmp_path: Path, ciphers: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        speak(tmp_path, "TLSv1_2", f"{ciphers}:@SECLEVEL=0")
