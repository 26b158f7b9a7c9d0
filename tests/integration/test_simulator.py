"""The simulator over a real socket with TLS, and as a command in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from conductor.simulator.faults import Fault
from conductor.simulator.server import Server, running
from conductor.simulator.tenant import TenantSpec
from conductor.simulator.world import World

LOWEST = "0" * 56
PATIENCE = 60  # seconds until a process must have started or ended


def trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


@asynccontextmanager
async def signed_in(server: Server, tenant: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    spec = server.world.tenants[tenant or "acme"].spec
    fields = {"client_id": spec.client_id, "client_secret": spec.client_secret, "audience": server.audience(tenant)}
    async with httpx2.AsyncClient(verify=trusting(server.ca), base_url=server.url(tenant)) as client:
        answer = await client.post("/oauth/token", data={"grant_type": "client_credentials", **fields})
        client.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def read_all(client: httpx2.AsyncClient) -> list[str]:
    found: list[str] = []
    url = f"/api/v2/logs?from={LOWEST}&take=100"
    while events := (page := await client.get(url)).json():
        found += [event["log_id"] for event in events]
        url = page.links["next"]["url"]
    return found


def test_every_event_is_read_once_over_tls():
    async def scenario() -> None:
        async with running(World([TenantSpec(history=950)])) as server, signed_in(server) as client:
            found = await read_all(client)
            assert found == server.world.log_ids()
            assert len(found) == 951

    asyncio.run(scenario())


def test_tenants_are_served_side_by_side():
    specs = [TenantSpec(history=5), TenantSpec(name="globex", host="127.0.0.2", aliases=(), seed=2, history=8)]

    async def scenario() -> None:
        async with running(World(specs)) as server:
            async with signed_in(server) as acme, signed_in(server, "globex") as globex:
                first, second = await asyncio.gather(read_all(acme), read_all(globex))
            assert (len(first), len(second)) == (6, 9)
            assert set(first).isdisjoint(second)

    asyncio.run(scenario())


def test_the_host_header_chooses_the_tenant_on_one_address():
    specs = [TenantSpec(), TenantSpec(name="globex", host="globex.localhost", aliases=())]

    async def scenario() -> None:
        async with running(World(specs)) as server, signed_in(server) as client:
            host = {"host": f"globex.localhost:{server.port}"}
            refused = await client.get("/api/v2/logs", headers=host)
            unknown = await client.get("/api/v2/logs", headers={"host": "nobody.localhost"})
        assert refused.json()["message"] == "Invalid signature received for JSON Web Token validation"
        assert (unknown.status_code, unknown.text) == (404, "Not found.")

    asyncio.run(scenario())


def test_a_client_that_does_not_know_the_ca_refuses():
    async def scenario() -> None:
        async with running(World()) as server, httpx2.AsyncClient() as client:
            with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(server.url())

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", httpx2.ReadError),
        ("truncated", httpx2.RemoteProtocolError),
        ("hang", httpx2.RemoteProtocolError),
        ("gzip_bomb", None),
        ("drip", None),
    ],
)
def test_faults_reach_the_wire_and_the_server_survives(kind, error):
    async def scenario() -> None:
        async with running(World([TenantSpec(history=150)])) as server, signed_in(server) as client:
            server.world.faults.add(Fault(kind, count=1, seconds=0.001))
            url = f"/api/v2/logs?from={LOWEST}&take=100"
            if error:
                with pytest.raises(error):
                    await client.get(url)
            else:
                assert (await client.get(url)).status_code == 200
            assert len((await client.get(url)).json()) == 100

    asyncio.run(scenario())


def test_a_hanging_request_does_not_hold_up_the_end():
    async def scenario() -> float:
        async with running(World()) as server, signed_in(server) as client:
            server.world.faults.add(Fault("hang", seconds=3600))
            with pytest.raises(httpx2.ReadTimeout):
                await client.get(f"/api/v2/logs?from={LOWEST}", timeout=0.05)
            begun = time.monotonic()
        return time.monotonic() - begun

    assert asyncio.run(scenario()) < 10


def test_the_control_api_is_on_the_same_server():
    async def scenario() -> None:
        async with running(World()) as server, signed_in(server) as client:
            fault = {"kind": "server_error", "count": 1, "status": 500}
            assert (await client.post("/_simulator/faults", json=fault)).status_code == 200
            assert (await client.get(f"/api/v2/logs?from={LOWEST}")).status_code == 500
            assert (await client.get("/_simulator/stats")).json()["token_requests"] == 1

    asyncio.run(scenario())


def test_a_ca_kept_in_a_directory_is_trusted_after_a_restart(tmp_path):
    async def scenario() -> None:
        async with running(World(), ca_dir=tmp_path) as first:
            context = trusting(first.ca)
        async with running(World(), ca_dir=tmp_path) as second, httpx2.AsyncClient(verify=context) as client:
            assert (await client.get(second.url())).status_code == 404

    asyncio.run(scenario())


def test_the_command_serves_says_what_to_type_and_stops_on_a_signal(tmp_path):
    ready, secret = tmp_path / "ready.json", tmp_path / "secret"
    secret.write_text("from-the-file\n")
    arguments = ["--history", "40", "--rate", "0", "--tenant", "acme", "--tenant", "globex", "--ca-dir", str(tmp_path)]
    arguments += ["--client-id", "me", "--client-secret-file", str(secret), "--ready-file", str(ready)]
    code = "from conductor.simulator.command import auth0; auth0()"
    path = os.pathsep.join(part for part in sys.path if part)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        described = _await_file(ready, process)
        assert [tenant["name"] for tenant in described["tenants"]] == ["acme", "globex"]
        assert oct(ready.stat().st_mode)[-3:] == "600"
        _use(described)
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert f"Domain         localhost:{described['port']}" in told
    assert "Client secret  from-the-file" in told
    assert "Traceback" not in told


def _await_file(file: Path, process: subprocess.Popen[str]) -> dict:
    end = time.monotonic() + PATIENCE
    while not file.exists():
        assert process.poll() is None, "The simulator ended early"
        assert time.monotonic() < end, "The simulator did not start"
        time.sleep(0.02)  # another process: there is nothing to await
    return json.loads(file.read_text())


def _use(described: dict) -> None:
    tenant = described["tenants"][0]
    base = f"https://{tenant['domain']}"
    with httpx2.Client(verify=trusting(Path(described["ca"])), base_url=base) as client:
        fields = {name: tenant[name] for name in ("client_id", "client_secret")}
        fields |= {"grant_type": "client_credentials", "audience": f"{base}/api/v2/"}
        token = client.post("/oauth/token", data=fields).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        page = client.get(f"/api/v2/logs?from={LOWEST}&take=100", headers=headers)
    assert len(page.json()) == 41
