"""How a command reaches Conductor: the running one through its socket, else one opened for this command alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from conductor.cli import exits
from conductor.core.errors import ConductorError

T = TypeVar("T")
Options = Callable[[Callable[..., Any]], Callable[..., Any]]

data_option: Options = click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Data directory (CONDUCTOR_DATA)."
)
json_option: Options = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def ranged(words: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked, over the time range that these words mean in this machine's zone. Ends with a usage error."""
    if not words:
        return asked
    from conductor.analytics import spoken
    from conductor.core import clock
    from conductor.core.errors import Invalid

    if any(asked.get(name) for name in ("last", "from", "from_", "to", "to_")):
        raise click.UsageError("Give either --range, or --last, --from and --to.")
    try:
        span = spoken.understand(words, clock.now().astimezone()).span
    except Invalid as error:
        raise click.UsageError(error.fields["range"]) from None
    begin, end = ("from_" if "from_" in asked else "from"), ("to_" if "to_" in asked else "to")
    return asked | {
        begin: clock.to_exact(span.start) if span.start else None,
        end: clock.to_exact(span.end) if span.end else None,
    }


range_option: Options = click.option("--range", "words", help='In words: yesterday, "20 Nov 14:00 - 15:30".')

SOCKET = "conductor.sock"  # in the data directory


class Api:
    """Conductor's REST API; of one that is `running`, or that was opened here. A call that is refused raises Failed."""

    def __init__(self, http: Any, *, running: bool = True) -> None:
        self._http = http
        self.running = running

    async def get(self, path: str, **params: Any) -> Any:
        """GET, with the parameters that are not None."""
        given = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        return _content(await self._http.get(f"/api/v1{path}", params=given))

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST JSON."""
        return _content(await self._http.post(f"/api/v1{path}", json=dict(body or {})))

    async def content(self, path: str, **params: Any) -> tuple[bytes, Mapping[str, str]]:
        """GET what is no JSON: its bytes as they came, and the headers."""
        given = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        response = await self._http.get(f"/api/v1{path}", params=given)
        if response.status_code >= 400:
            _content(response)
        return response.content, response.headers

    async def download(self, path: str, to: Any, begin: int, /, **params: Any) -> Mapping[str, str]:
        """GET a file from its byte `begin` on, written as it comes; the answer is its headers."""
        given = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={begin}-"} if begin else {})
        async with self._http.stream("GET", f"/api/v1{path}", params=given, headers=headers, timeout=None) as response:
            if response.status_code >= 400:
                await response.aread()
                _content(response)
            async for piece in response.aiter_bytes():
                to.write(piece)
            told: Mapping[str, str] = response.headers
            return told

    async def stream(self, path: str, **params: Any) -> AsyncIterator[Any]:
        """GET what has no end: each line of JSON as it comes."""
        import msgspec

        given = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        async with self._http.stream("GET", f"/api/v1{path}", params=given, timeout=60) as response:
            if response.status_code >= 400:
                await response.aread()
                _content(response)
            async for line in response.aiter_lines():
                if line:
                    yield msgspec.json.decode(line)

    async def lines(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Any]:
        """POST JSON; each line of the answer as it comes."""
        import msgspec

        headers = {"accept": "application/x-ndjson"}
        async with self._http.stream("POST", f"/api/v1{path}", json=dict(body), headers=headers) as response:
            if response.status_code >= 400:
                await response.aread()
                _content(response)
            async for line in response.aiter_lines():
                yield msgspec.json.decode(line)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """PATCH JSON."""
        return _content(await self._http.patch(f"/api/v1{path}", json=dict(body)))

    async def delete(self, path: str) -> Any:
        """DELETE."""
        return _content(await self._http.request("DELETE", f"/api/v1{path}", json={}))


def run(data: Path | None, work: Callable[[Api], Awaitable[T]], *, as_json: bool = False, **flags: Any) -> T:
    """Run `work` with the API and give its answer; a refusal ends the process with its exit code."""
    try:
        return asyncio.run(_run(data, work, flags))
    except (exits.Failed, ConductorError) as error:
        exits.leave(error, as_json=as_json)


async def _run(data: Path | None, work: Callable[[Api], Awaitable[T]], flags: Mapping[str, Any]) -> T:
    from conductor import settings

    loaded = settings.load({"data": data, **flags})
    async with connected(loaded) as api:
        return await work(api)


@asynccontextmanager
async def connected(settings: Any) -> AsyncIterator[Api]:
    """The API of the Conductor that owns the data directory, or of one opened here. Raises ConductorError."""
    from conductor.outbound import local

    directory = settings.data.expanduser().absolute()
    path = directory / SOCKET
    if await local.answers(path):
        async with local.over_socket(path) as http:
            yield Api(http, running=True)
        return
    async with _opened(settings) as http:
        yield Api(http, running=False)


@asynccontextmanager
async def _opened(settings: Any) -> AsyncIterator[Any]:
    from conductor import app, observe
    from conductor.outbound import local
    from conductor.web.app import create_app

    observe.set_up(settings.log_format, level=logging.WARNING)
    with app.owned(settings.data) as directory:
        async with app.opened(settings, directory) as system:
            async with local.in_process(create_app(system, local=True)) as http:
                yield http
            while await system.indexer.catch_up():
                pass


def _content(response: Any) -> Any:
    import msgspec

    content = msgspec.json.decode(response.content)
    if response.status_code >= 400:
        raise exits.Failed(response.status_code, content.get("error", {}))
    return content
