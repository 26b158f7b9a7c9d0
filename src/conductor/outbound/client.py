"""An HTTP client for servers that are not ours: guarded, paced, bounded, with a deadline over everything.

It never follows a redirect, reads no proxy from the environment, and accepts no invalid certificate. A GET is tried a
few times within one deadline; nobody above it retries except the poller, between polls.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpcore2
import httpx2

from conductor import __version__
from conductor.core import clock
from conductor.core.config import Allowance
from conductor.core.errors import Misconfigured, RateLimited, SourceError, Unavailable, UnexpectedResponse
from conductor.outbound import body, exchanges, failures, guard, pace, probe
from conductor.outbound.exchanges import Exchanges
from conductor.outbound.guard import GuardedBackend, Policy

REFUSED_CERTIFICATES = frozenset({"net.tls.untrusted", "net.tls.name", "net.tls.expired"})
DEADLINE = 30.0  # seconds for one GET, its repetitions included
TRIES = 3
KEEP_ALIVE = 90.0  # seconds
QUOTA_PATIENCE = 86_400.0  # seconds that a token endpoint's 429 may tell
LONGEST_WAIT = 3_600.0  # seconds; a quota of a day is asked for once an hour, in case it was a mistake
PLAUSIBLE_SKEW = 366 * 86_400.0  # seconds; a Date header further away is not believed


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: header names in lower case, the body decoded, the server's time.

    `dated` tells whether `date` is the server's own word; else it is our clock's, which may be wrong by hours.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    date: datetime
    dated: bool = True

    @property
    def is_json(self) -> bool:
        """Whether it says so, in UTF-8: the only encoding of JSON between systems (RFC 8259, section 8.1)."""
        kind, _, parameters = self.headers.get("content-type", "").lower().partition(";")
        charset = next((value for value in parameters.split(";") if value.strip().startswith("charset=")), "")
        encoding = charset.partition("=")[2].strip().strip('"')
        return kind.strip() == "application/json" and encoding in ("", "utf-8", "utf8", "us-ascii")


@dataclass(slots=True)
class Usage:
    """What one poll used: requests made, the limit last announced, the server's clock against ours (seconds), and the
    requests themselves."""

    requests: int = 0
    limit: int | None = None
    remaining: int | None = None
    skew: float | None = None
    exchanges: Exchanges = field(default_factory=Exchanges)

    @property
    def clocks(self) -> dict[str, str]:
        """How far our clock is off, and what both say; empty while the server has told nothing."""
        if self.skew is None:
            return {}
        here, there = clock.now(), clock.now() - timedelta(seconds=self.skew)
        skew = f"{abs(self.skew):.0f} s {'fast' if self.skew > 0 else 'slow'}"
        return {"skew": skew, "remote": f"{there:%-d %b %H:%M:%S} UTC", "local": f"{here:%-d %b %H:%M:%S} UTC"}


Opener = Callable[["Route"], httpx2.AsyncBaseTransport]


@dataclass(frozen=True, slots=True)
class Route:
    """How a client gets out: the guard's policy, further certificates to trust (PEM), a proxy, and who named it;
    and the room for large answers.

    `opener` replaces the sockets, guard and all, for a vendor that is simulated without any.
    """

    policy: Policy = field(default_factory=Policy)
    ca_bundle: str = ""
    proxy: str = ""
    proxy_password: str = ""
    proxy_trusted: bool = False
    room: body.Room = field(default_factory=body.Room)
    opener: Opener | None = None


class Client:
    """Speaks to one vendor's tenant. `vendor` is put before some codes (`<vendor>.server`)."""

    def __init__(self, vendor: str, route: Route, limiter: pace.Limiter, allowance: Callable[[int], Allowance]) -> None:
        self.vendor = vendor
        self.usage = Usage()
        self._route = route
        self._limiter = limiter
        self._allowance = allowance
        self._http: httpx2.AsyncClient | None = None
        self._told: tuple[datetime, float] | None = None  # the server's last Date, and the loop's clock then

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def vendor_time(self) -> datetime | None:
        """The server's last Date and the time since, which no jump of our clock changes; None before the first."""
        if self._told is None:
            return None
        date, moment = self._told
        return date + timedelta(seconds=asyncio.get_running_loop().time() - moment)

    @property
    def now(self) -> datetime:
        """What the time is where the records come from: by our own clock only until the server has told."""
        return self.vendor_time or clock.now()

    async def close(self) -> None:
        """Close its connections. Safe twice, and without use."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def get(self, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> Answer:
        """GET, tried up to TRIES times within DEADLINE. Raises RateLimited, Unavailable, Misconfigured or
        UnexpectedResponse; statuses that only the vendor's connector understands (2xx, 4xx) come back."""
        try:
            async with asyncio.timeout(DEADLINE) as deadline:
                return await self._get_patiently(url, headers, params, deadline)
        except TimeoutError as error:
            raise Unavailable("The answer took too long.", code="net.timeout", domain=_host(url)) from error

    async def post_form(self, url: str, fields: Mapping[str, str]) -> Answer:
        """POST a form once. Raises as `get` does."""
        return await self._post(url, {}, {"data": dict(fields)}, QUOTA_PATIENCE)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """POST bytes once. Raises as `get` does."""
        return await self._post(url, headers, {"content": content}, pace.MAX_WAIT)

    async def _post(self, url: str, headers: Mapping[str, str], sent: Mapping[str, Any], patience: float) -> Answer:
        try:
            async with asyncio.timeout(DEADLINE) as deadline:
                return await self._once("POST", url, headers, deadline, sent=sent, patience=patience)
        except TimeoutError as error:
            raise Unavailable("The answer took too long.", code="net.timeout", domain=_host(url)) from error

    @property
    def proxied(self) -> bool:
        """Whether a proxy stands between: then names are resolved there."""
        return bool(self._route.proxy)

    async def addresses(self, host: str, port: int) -> list[guard.Address]:
        """For a connection test: the checked addresses of a host."""
        return await probe.addresses(host, port, self._route.policy)

    async def connect(self, host: str, port: int, found: Sequence[guard.Address]) -> guard.Address:
        """For a connection test: the first address where a socket opens."""
        return await probe.connect(host, port, found)

    async def handshake(self, host: str, port: int, address: guard.Address) -> probe.Certificate:
        """For a connection test: the server's certificate, checked."""
        try:
            return await probe.handshake(host, port, address, tls_context(self._route.ca_bundle))
        except SourceError as error:
            await self._tell_certificate(error, f"https://{host}:{port}")
            raise

    async def _get_patiently(
        self, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None, deadline: asyncio.Timeout
    ) -> Answer:
        attempt = 1
        if (held := self._limiter.held) > 0:
            raise RateLimited(retry_after=held, code=f"{self.vendor}.rate.limited", domain=_host(url))
        while True:
            try:
                return await self._once("GET", url, headers, deadline, params=params)
            except RateLimited as error:
                self._limiter.hold(error.retry_after or 0.0)
                raise
            except Unavailable as error:
                if attempt >= TRIES or error.code.startswith("net.dns"):
                    raise
            await asyncio.sleep(pace.backoff(attempt, cap=4.0))
            attempt += 1

    async def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        deadline: asyncio.Timeout,
        *,
        params: Mapping[str, str] | None = None,
        sent: Mapping[str, Any] = MappingProxyType({}),
        patience: float = pace.MAX_WAIT,
    ) -> Answer:
        await self._take_turn(deadline)
        self.usage.requests += 1
        running = self.usage.exchanges.begin(method, _shown(url, params))
        try:
            if self._route.proxy:
                target = httpx2.URL(url)
                guard.check_named(self._route.policy, target.raw_host.decode(), target.port or guard.HTTPS)
            answer = await self._exchange(method, url, headers, params, sent)
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError, SourceError) as error:
            told = failures.classify(error, _host(url), self._route.proxy)
            running.failed(told.code)
            await self._tell_certificate(told, url)
            if told is error:
                raise
            raise told from error
        except asyncio.CancelledError:
            running.failed("net.timeout")
            raise
        rate = pace.read_headers(answer.headers)
        running.answered(answer.status, answer.headers, answer.body, (rate.limit, rate.remaining))
        if method == "GET":  # tokens come out of a bucket of their own
            self._observe(rate)
        return self._judge(answer, rate, _host(url), patience)

    async def _tell_certificate(self, told: SourceError, url: str) -> None:
        """Who issued a certificate that was refused: the TLS library does not say. Behind a proxy it stays unknown."""
        if told.code in REFUSED_CERTIFICATES and not self.proxied:
            target = httpx2.URL(url)
            told.facts |= await probe.presented(target.host, target.port or guard.HTTPS, self._route.policy)

    async def _take_turn(self, deadline: asyncio.Timeout) -> None:
        """Wait for our own pace, which is not the vendor's slowness: the deadline stands still meanwhile."""
        if deadline.expired():
            return  # the cancellation comes with the next await
        loop = asyncio.get_running_loop()
        left = (deadline.when() or 0.0) - loop.time()
        deadline.reschedule(None)
        await self._limiter.wait()
        deadline.reschedule(loop.time() + left)

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        sent: Mapping[str, Any],
    ) -> Answer:
        http = self._open()
        request = http.build_request(method, url, params=params, headers=dict(headers), **sent)
        guard.check_url(request.url.scheme, request.url.userinfo, request.url.host)
        response = await http.send(request, stream=True)
        try:
            # Repeated headers are joined by a comma, which makes a stacked encoding visible.
            lowered = {name.lower(): value for name, value in response.headers.items()}
            content = await body.read(response.aiter_raw(), lowered, self._route.room)
        except (SourceError, httpx2.HTTPError) as error:
            if isinstance(error, SourceError):
                error.facts.setdefault("domain", _host(url))
            if response.status_code != 429 and response.status_code < 500:
                raise
            content = b""  # the status says all there is to know
        finally:
            await response.aclose()
        date = self._server_time(lowered)
        local = clock.now() - failures.DATELESS
        return Answer(response.status_code, lowered, content, date or local, dated=date is not None)

    def _observe(self, rate: pace.RateHeaders) -> None:
        if rate.limit is not None:
            self.usage.limit, self.usage.remaining = rate.limit, rate.remaining
        self._limiter.observe(rate, self._allowance)

    def _judge(self, answer: Answer, rate: pace.RateHeaders, host: str, patience: float) -> Answer:
        if answer.status == 429:
            told = pace.wait_told(answer.headers, answer.date, most=patience)
            wait = None if told is None else min(told, LONGEST_WAIT)
            raise RateLimited(retry_after=wait, code=f"{self.vendor}.rate.limited", limit=rate.limit, domain=host)
        if answer.status == 407:
            raise Misconfigured(code="net.proxy.auth", proxy=failures.without_password(self._route.proxy))
        if answer.status >= 500:
            raise Unavailable(f"HTTP {answer.status}", code=f"{self.vendor}.server", status=answer.status, domain=host)
        if 300 <= answer.status < 400:
            raise UnexpectedResponse("The server redirects, which is not followed.", code="net.redirect", domain=host)
        return answer

    def _server_time(self, headers: Mapping[str, str]) -> datetime | None:
        """The server's Date; where it is missing or absurd (reliability: fault 34), as the ones before tell."""
        date = self._date(headers)
        if date is None:
            return self.vendor_time
        self._told = (date, asyncio.get_running_loop().time())
        return date

    def _date(self, headers: Mapping[str, str]) -> datetime | None:
        try:
            date = parsedate_to_datetime(headers.get("date", ""))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        skew = (clock.now() - date).total_seconds()
        if abs(skew) > PLAUSIBLE_SKEW:
            return None
        self.usage.skew = skew
        return date

    def _open(self) -> httpx2.AsyncClient:
        if self._http is None:
            self._http = httpx2.AsyncClient(
                transport=(self._route.opener or _transport)(self._route),
                trust_env=False,
                follow_redirects=False,
                timeout=httpx2.Timeout(DEADLINE),
                headers={
                    "user-agent": f"conductor/{__version__}",
                    "accept": "application/json",
                    "accept-encoding": "gzip",
                },
            )
        return self._http


def _shown(url: str, params: Mapping[str, str] | None) -> str:
    """An address with its query, without what may stand before the host."""
    whole = httpx2.URL(url, params=params) if params else httpx2.URL(url)
    return str(whole.copy_with(userinfo=b"") if whole.userinfo else whole)[: exchanges.LONGEST]


def _transport(route: Route) -> httpx2.AsyncHTTPTransport:
    """httpx takes no network backend, httpcore's pools do: the guard is put into the pool that httpx made."""
    trusted: set[tuple[str, int]] = set()
    proxy = None
    if route.proxy:
        proxy = _proxy(route)
        if route.proxy_trusted:
            trusted.add((proxy.url.host, proxy.url.port or (443 if proxy.url.scheme == "https" else 80)))
    limits = httpx2.Limits(max_connections=4, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE)
    transport = httpx2.AsyncHTTPTransport(
        verify=tls_context(route.ca_bundle), trust_env=False, limits=limits, proxy=proxy
    )
    pool: httpcore2.AsyncConnectionPool = transport._pool
    pool._network_backend = GuardedBackend(route.policy, trusted=frozenset(trusted))
    return transport


def _proxy(route: Route) -> httpx2.Proxy:
    try:
        url = httpx2.URL(route.proxy)
        if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > 65_535:
            raise ValueError("no HTTP proxy")
    except (httpx2.InvalidURL, ValueError) as error:
        shown = failures.without_password(route.proxy)
        raise Misconfigured(f"{shown} cannot be used as a proxy.", code="net.proxy.unreachable", proxy=shown) from error
    if route.proxy_password:
        return httpx2.Proxy(url.copy_with(userinfo=b""), auth=(url.username, route.proxy_password))
    return httpx2.Proxy(url)


@functools.lru_cache(maxsize=64)
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """The system's certificates and the operator's; there is no switch to skip verification.

    Kept, for it takes 20 ms and a megabyte to make, and a thousand integrations need the same one.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle.strip():
        try:
            context.load_verify_locations(cadata=ca_bundle)
        except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: not ASCII
            raise Misconfigured("The CA bundle is not a certificate in PEM.", code="net.tls.bundle") from error
    return context


def is_https(url: str) -> bool:
    """Whether it is an address that may be spoken to: https, with a host, without a name or a password."""
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parts.scheme == "https" and bool(parts.host) and not parts.userinfo


def _host(url: str) -> str:
    return httpx2.URL(url).host
