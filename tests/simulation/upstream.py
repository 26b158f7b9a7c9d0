"""The vendor behind the real HTTP client: Conductor's own simulator, and a network that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from random import Random
from urllib.parse import parse_qsl

import httpx2
import msgspec

from conductor.core.errors import Unavailable
from conductor.simulator.server import Application
from conductor.simulator.wire import Delivery, Reply, Request
from conductor.simulator.world import World
from simulation.loop import PROCESS, Process

FOREVER = 10_000.0  # seconds
RETRY_AFTER = ("7", "0", "-5", "nan", "inf", "1e9", "soon", "٧", "299", "301", "Sun Nov 22 07:30:07 2026", "86400", "")
RESETS = ("0", "95617584000", "1795474287000", "-1", "nan", "soon", "99999999999999999999")
DATES = ("", "garbage", "Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 22 Nov 5138 07:30:00 GMT")
_LOG_ID = re.compile(rb'"log_id":\s*"(\d+)"')
_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(slots=True)
class Weather:
    """How often each thing happens to a request, all of them probabilities. Calm unless set."""

    dns: float = 0.0
    refused: float = 0.0
    black_hole: float = 0.0
    closed: float = 0.0  # the kept-alive connection is gone
    lost: float = 0.0  # the answer is lost: the vendor has seen the request
    cut: float = 0.0
    drip: float = 0.0
    slow: float = 0.0
    no_date: float = 0.0
    absurd_date: float = 0.0
    absurd_rate: float = 0.0
    short_page: float = 0.0
    other_body: float = 0.0  # an event is served with another body than before

    def scaled(self, factors: Callable[[str], float]) -> Weather:
        """The same weather with each thing more or less often."""
        values = {name: min(0.5, getattr(self, name) * factors(name)) for name in self.__dataclass_fields__}
        return Weather(**values)


@dataclass(slots=True)
class Asked:
    """One request as it left a process: for the checks of politeness."""

    at: float
    process: str
    number: int  # of the process
    tenant: str
    path: str
    status: int
    wait: float = 0.0  # seconds that a 429 told credibly, once its head has arrived
    announced: float = 0.0  # the size of the bucket that the answer told of, or 0


@dataclass
class Vendor:
    """All tenants, the network to them, and a record of what was asked."""

    world: World
    chance: Random
    now: Callable[[], datetime]
    weather: Weather = field(default_factory=Weather)
    dark: dict[tuple[str, str], float] = field(default_factory=dict)  # (process, host) cut off until
    asked: list[Asked] = field(default_factory=list)
    told: Callable[[str], None] = lambda _: None
    injected: Counter[str] = field(default_factory=Counter)
    tokens: set[str] = field(default_factory=set)
    bodies: dict[str, bytes] = field(default_factory=dict)  # other bodies that were served, by log id

    def __post_init__(self) -> None:
        self._application = Application(self.world)

    def answer(self, request: Request) -> Reply:
        """What the vendor says, with what it may get wrong beside the simulator's own faults."""
        reply = self._application.answer(request)
        if reply.status == 200 and request.path == "/oauth/token":
            self._note_token(reply)
        if reply.status == 200 and "from" in request.query:
            reply = self._spoiled(reply)
        if self._happens("no_date"):
            reply = replace(reply, dated=False)
        elif self._happens("absurd_date"):
            reply = replace(reply, dated=False).plus({"date": self.chance.choice(DATES)})
        if reply.status == 429 and self._happens("absurd_rate"):
            absurd = {"retry-after": self.chance.choice(RETRY_AFTER), "x-ratelimit-reset": self.chance.choice(RESETS)}
            reply = reply.plus(absurd)
        return reply

    def _spoiled(self, reply: Reply) -> Reply:
        short, other = self._happens("short_page"), self._happens("other_body")
        if not (short or other) or not reply.body.startswith(b"[{"):
            return reply
        events = [bytes(raw) for raw in _EVENTS.decode(reply.body)] if reply.body.endswith(b"}]") else []
        if short and len(events) > 1:  # the vendor keeps the order of ids: what is left out is what comes later
            kept = sorted(map(_log_id, events))[: self.chance.randrange(1, len(events))]
            events = [event for event in events if _log_id(event) <= kept[-1]]
        if other and events:
            place = self.chance.randrange(len(events))
            events[place] = events[place][:-1] + b',"seen_again":true}'
            self.bodies[_log_id(events[place])] = events[place]
        return replace(reply, body=b"[" + b",".join(events) + b"]") if events else reply

    def _note_token(self, reply: Reply) -> None:
        try:
            token = msgspec.json.decode(reply.body).get("access_token")
        except (msgspec.DecodeError, AttributeError):
            return
        if token:
            self.tokens.add(token)

    def happens(self, name: str) -> bool:
        """Whether this strikes the request in hand."""
        return self._happens(name)

    def _happens(self, name: str) -> bool:
        rate = getattr(self.weather, name)
        if not rate or self.chance.random() >= rate:
            return False
        self.injected[name] += 1
        return True


def _log_id(event: bytes) -> str:
    found = _LOG_ID.search(event)
    return found[1].decode() if found else ""


class Transport(httpx2.AsyncBaseTransport):
    """Carries one process's requests to the vendor in virtual time."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """There and back, or not."""
        vendor, process, host = self._vendor, PROCESS.get(), request.url.host
        assert process is not None
        body = await request.aread()
        await self._there(process, host)
        asked = _request(request, body, vendor.now())
        reply = vendor.answer(asked)
        lost = vendor.happens("lost")
        noted = self._note(process, asked, reply)
        if lost:
            await asyncio.sleep(vendor.chance.uniform(0.01, 1.0))
            raise httpx2.ReadError("connection reset by peer")
        if vendor.happens("slow"):
            await asyncio.sleep(vendor.chance.uniform(1.0, 40.0))
        await asyncio.sleep(vendor.chance.uniform(0.005, 0.1))
        if reply.delivery in (Delivery.RESET, Delivery.HANG):
            await asyncio.sleep(reply.pause)
            raise httpx2.ReadError("connection reset by peer")
        _heard(noted, reply)
        return self._response(request, asked, reply)

    async def _there(self, process: Process, host: str) -> None:
        vendor, loop = self._vendor, asyncio.get_running_loop()
        if vendor.dark.get((process.name, host), 0.0) > loop.time() or vendor.happens("black_hole"):
            await asyncio.sleep(4.0)
            raise httpx2.ConnectTimeout("timed out")
        if vendor.happens("dns"):
            raise Unavailable(f"The name {host} could not be found.", code="net.dns.notfound", domain=host)
        if vendor.happens("refused"):
            raise httpx2.ConnectError("connection refused")
        await asyncio.sleep(vendor.chance.uniform(0.005, 0.1))
        if vendor.happens("closed"):
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    def _note(self, process: Process, asked: Request, reply: Reply) -> Asked:
        at = asyncio.get_running_loop().time()
        noted = Asked(at, process.name, process.number, asked.host, asked.path, reply.status)
        self._vendor.asked.append(noted)
        self._vendor.told(f"{process.name} {asked.method} {asked.url} {reply.status} {len(reply.body)}")
        return noted

    def _response(self, request: httpx2.Request, asked: Request, reply: Reply) -> httpx2.Response:
        vendor, headers, body = self._vendor, dict(reply.headers), reply.body
        headers["content-type"] = reply.content_type
        if reply.dated:
            headers["date"] = format_datetime(asked.now, usegmt=True)
        if len(body) > 2000 and "content-encoding" not in headers and vendor.chance.random() < 0.1:
            body = gzip.compress(body, 1, mtime=0)
            headers["content-encoding"] = "gzip"
        cut = reply.delivery is Delivery.TRUNCATED or vendor.happens("cut")
        drip = reply.pause if reply.delivery is Delivery.DRIP else 0.0
        if not drip and vendor.happens("drip"):
            drip = vendor.chance.choice((0.2, 1.0, 5.0))
        stream = _Stream(body, drip, vendor.chance.random() if cut else None)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        return httpx2.Response(reply.status, headers=encoded, stream=stream, request=request)


def _heard(noted: Asked, reply: Reply) -> None:
    """The head of the answer arrives: what it tells is known from now on."""
    told = reply.headers.get("retry-after", "")
    if reply.status == 429 and told.isascii() and told.isdecimal() and float(told) <= 300.0:
        noted.wait = float(told)
    noted.announced = float(reply.headers.get("x-ratelimit-limit", 0.0))


class _Stream(httpx2.AsyncByteStream):
    """A body that comes whole, in drips, or not to its end."""

    def __init__(self, body: bytes, drip: float, cut_at: float | None) -> None:
        self._body = body
        self._drip = drip
        self._end = len(body) if cut_at is None else int(len(body) * cut_at)
        self._cut = cut_at is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        step = max(1, self._end // 20) if self._drip else max(1, self._end)
        for start in range(0, self._end, step):
            if self._drip:
                await asyncio.sleep(self._drip)
            yield self._body[start : min(start + step, self._end)]
        if self._cut:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")

    async def aclose(self) -> None:
        """Nothing is held."""


def _request(request: httpx2.Request, body: bytes, now: datetime) -> Request:
    query = request.url.query.decode()
    headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
    return Request(
        method=request.method,
        path=request.url.path,
        host=request.url.host,
        netloc=request.url.netloc.decode(),
        now=now,
        target=request.url.raw_path.decode(),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=body,
    )
