"""A saved secret is sent where it was entered for and nowhere else, whoever asks and by whatever way."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from worlds import Collecting, collecting, run

from conductor.operations import accounts, integrations, sessions, statuses
from conductor.simulator.faults import Fault
from conductor.web import auth
from conductor.web.app import create_app

API, LIST = "/api/v1/integrations", "/admin/settings/integrations"
ORIGIN = "https://conductor.test"
JSON = {"Content-Type": "application/json", "X-Conductor": "1", "Sec-Fetch-Site": "same-origin"}
PASSWORD = "correct horse battery staple"
BOUND = ["domain", "client_id", "tenant_domain", "ca_bundle", "proxy"]


class Thief:
    """A server that an attacker would have the secret sent to; it notes whatever arrives."""

    def __init__(self) -> None:
        self.got = b""
        self.port = 0
        self.connections = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Thief]:
        """Over plain TCP: any byte at all would be too many."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self.got += await reader.read(65_536)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self


@asynccontextmanager
async def signed_in(it: Collecting, *, local: bool = False) -> AsyncIterator[httpx2.AsyncClient]:
    """An administrator's browser, or the command line's socket."""
    app = create_app(it.system, local=local)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ORIGIN) as http:
        if not local:
            await accounts.add_user(it.system, "admin@example.com", "Ana", PASSWORD, "admin", "test")
            token = await sessions.login(it.system, "admin@example.com", PASSWORD, "")
            http.cookies.set(auth.SESSION_COOKIE, token, domain="conductor.test")
        yield http


def changed(it: Collecting, field: str, thief: Thief) -> str:
    """Another value of the field; addresses lead to the thief."""
    here = f"localhost:{thief.port}"
    certificate = trustme.CA().cert_pem.bytes().decode()
    values = {"domain": here, "tenant_domain": here, "proxy": f"http://127.0.0.1:{thief.port}"}
    return {**values, "client_id": "somebody-else", "ca_bundle": it.values()["ca_bundle"] + certificate}[field]


async def form(http: httpx2.AsyncClient, page: str, **values: Any) -> Any:
    """Post the form of an integration as it stands, with some values changed."""
    text = (await http.get(f"{page}?tab=settings")).text
    shown = dict(re.findall(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"', text))
    headers = {"Sec-Fetch-Site": "same-origin"}
    return await http.post(page, headers=headers, data={**shown, "do": "save", **values})


async def by_page(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    answer = await form(http, f"{LIST}/prod", name="prod", **{field: value})
    return answer.status_code, answer.text


async def by_test_page(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    answer = await form(http, f"{LIST}/prod", name="prod", do="test", **{field: value})
    return answer.status_code, answer.text


async def by_save_off(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    answer = await form(http, f"{LIST}/prod", name="prod", do="save-off", **{field: value})
    return answer.status_code, answer.text


async def by_api(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    answer = await http.patch(f"{API}/prod", headers=JSON, content=json.dumps({"config": {field: value}}))
    return answer.status_code, answer.text


async def by_api_untested(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    body = {"config": {field: value, "client_secret": ""}, "test": False}
    answer = await http.patch(f"{API}/prod", headers=JSON, content=json.dumps(body))
    return answer.status_code, answer.text


async def by_api_test(http: httpx2.AsyncClient, field: str, value: str) -> tuple[int, str]:
    body = {"name": "prod", "config": {field: value}}
    answer = await http.post(f"{API}/test", headers=JSON, content=json.dumps(body))
    return answer.status_code, answer.text


WAYS: dict[str, Callable[[httpx2.AsyncClient, str, str], Awaitable[tuple[int, str]]]] = {
    "page": by_page,
    "page's test": by_test_page,
    "page, switched off": by_save_off,
    "API": by_api,
    "API, untested": by_api_untested,
    "API's test": by_api_test,
}


@pytest.mark.parametrize("field", BOUND)
@pytest.mark.parametrize("local", [False, True], ids=["browser", "command line"])
def test_s18_a_change_of_where_or_as_whom_demands_the_secret_again(tmp_path: Path, field: str, local: bool) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it, Thief().listening() as thief, signed_in(it, local=local) as http:
            await it.add()
            before = await integrations.find(it.system, "prod")
            secret = it.values()["client_secret"].encode()
            for way, change in WAYS.items():
                status, text = await change(http, field, changed(it, field, thief))
                assert status == 422, way
                assert "Enter the Client Secret again. We never send a saved secret to a new address." in text, way
                assert secret.decode() not in text
            assert thief.connections == 0
            assert await integrations.find(it.system, "prod") == before
            assert (await it.poll()).result == "ok"  # the saved secret is as good as before

    run(work)


@pytest.mark.parametrize("field", BOUND)
def test_s18_with_the_secret_entered_again_only_the_new_one_is_used(tmp_path: Path, field: str) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it, Thief().listening() as thief, signed_in(it) as http:
            await it.add()
            values = {field: changed(it, field, thief), "client_secret": "entered-again"}
            answer = await http.patch(
                f"{API}/prod", headers=JSON, content=json.dumps({"config": values, "test": False})
            )
            assert answer.status_code == 200, answer.text
            config = await it.system.assembly.config(await integrations.find(it.system, "prod"))
            assert config.secrets() == {"client_secret": "entered-again"}
            assert it.values()["client_secret"].encode() not in thief.got

    run(work)


def test_s18_what_binds_nothing_demands_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path) as it, signed_in(it) as http:
            await it.add()
            for config in ({"polling_interval": 7}, {"plan": "starter"}, {"rate_share": 50}, {"start_from": "now"}):
                body = json.dumps({"config": config, "name": f"n{len(str(config))}"})
                name = (await http.get(API)).json()["integrations"][0]["name"]
                answer = await http.patch(f"{API}/{name}", headers=JSON, content=body)
                assert answer.status_code == 200, answer.text

    run(work)


def test_s04_private_networks_are_the_operators_to_allow_and_nobody_elses(tmp_path: Path) -> None:
    async def work() -> None:
        async with collecting(tmp_path, allow_private_targets="") as it, signed_in(it) as http:
            body = {"name": "inside", "connector": "auth0", "config": it.values()}
            refused = await http.post(API, headers=JSON, content=json.dumps(body))
            assert refused.json()["error"]["code"] == "net.address.private"
            for name in ("allow_private_targets", "allowed", "policy"):
                for inside in (
                    {**body, "config": {**it.values(), name: "127.0.0.0/8"}},
                    {**body, name: ["127.0.0.0/8"]},
                ):
                    answer = await http.post(API, headers=JSON, content=json.dumps(inside))
                    assert answer.status_code == 422, name
            described = (await http.get("/api/v1/openapi.json")).text
            page = (await http.get(f"{LIST}/new?kind=auth0")).text
            assert "private_targets" not in described + page
            assert await statuses.overview(it.system) == []

    run(work)


def test_s23_a_vendors_body_is_never_repeated(tmp_path: Path) -> None:
    """A vendor, or whoever answers in its place, cannot have us show what it sends."""

    async def work() -> None:
        async with collecting(tmp_path) as it, signed_in(it) as http:
            await it.add()
            for kind in ("html", "html_error", "error_object", "server_error", "truncated", "invalid_json"):
                for endpoint in ("token", "logs"):
                    try:
                        it.world.faults.add(Fault(kind, count=3, endpoint=endpoint))
                    except ValueError:
                        continue  # the simulator has no such fault
                    told = [
                        (await http.post(f"{API}/prod/poll", headers=JSON, content="{}")).text,
                        (await http.post(f"{API}/test", headers=JSON, content='{"name": "prod"}')).text,
                        (await http.get(f"{API}/prod")).text,
                        (await http.get(f"{LIST}/prod")).text,
                    ]
                    it.world.faults.clear()
                    for text in told:
                        assert "Checking your browser" not in text
                        assert "The server is not available" not in text
                        assert "Traceback" not in text

    run(work)
