"""One token an integration, against a real token endpoint in TLS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trustme
import virtual

from conductor.core import clock
from conductor.core.config import Allowance
from conductor.core.errors import ConductorError, RateLimited, UnexpectedResponse
from conductor.outbound import guard
from conductor.outbound.client import Client, Route
from conductor.outbound.guard import Policy
from conductor.outbound.oauth2 import Grant, Token, TokenRefused, TokenSource
from conductor.outbound.pace import Limiter

LOCAL = Policy(guard.parse_networks(["127.0.0.0/8"]))


def reply(content: object, status: str = "200 OK", *headers: str) -> bytes:
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    head = "\r\n".join(
        [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    )
    return head.encode() + b"\r\n\r\n" + body


def issued(value: str, **more: Any) -> bytes:
    return reply({"access_token": value, "token_type": "Bearer", "expires_in": 86_400, "scope": "read:logs", **more})


class Memory:
    """Keeps what it is given, as a restart would find it."""

    def __init__(self, saved: bytes | None = None) -> None:
        self.saved = saved
        self.loads = 0
        self.promoted: list[tuple[str, str]] = []

    async def load(self) -> bytes | None:
        self.loads += 1
        return self.saved

    async def save(self, sealed: bytes | None) -> None:
        self.saved = sealed

    async def promote(self, refused: str, accepted: str) -> None:
        self.promoted.append((refused, accepted))


Scenario = Callable[[Callable[..., Awaitable[Token]], Any], Awaitable[Any]]
Run = Callable[..., Any]


@pytest.fixture
def run(authority: trustme.CA, wire: Callable[..., Any]) -> Run:
    """Runs a scenario with a way to get a token and the endpoint, which answers as scripted."""

    def run(scenario: Scenario, *script: Any) -> Any:
        async def whole() -> Any:
            limiter = Limiter()
            limiter.join("test", 1.0, Allowance(1000.0, 1000.0))
            route = Route(LOCAL, authority.cert_pem.bytes().decode())
            async with wire(*script) as server, Client("acme", route, limiter, lambda n: Allowance(n, n)) as http:
                grant = Grant(server.url("/oauth/token"), "id", "s3cret", "https://acme/api/v2/")

                async def ask(source: TokenSource, spare: str = "", **more: Any) -> Token:
                    return await source.token(http, replace(grant, spare_secret=spare), **more)

                return await scenario(ask, server)

        return virtual.run_hastily(whole())

    return run


def one(run: Run, answer: bytes) -> Token:
    async def scenario(ask: Any, _server: Any) -> Token:
        return await ask(TokenSource())

    token: Token = run(scenario, answer)
    return token


def refusal(run: Run, answer: bytes) -> tuple[ConductorError, bytes | None]:
    """What the endpoint's answer ends in, and what was kept."""
    memory = Memory()

    async def scenario(ask: Any, _server: Any) -> ConductorError:
        with pytest.raises(ConductorError) as caught:
            await ask(TokenSource(memory))
        return caught.value

    return run(scenario, answer), memory.saved


def test_it_asks_with_its_credentials_in_a_form_and_never_in_the_address(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> tuple[Token, bytes]:
        return await ask(TokenSource()), server.requests[0]

    token, asked = run(scenario, issued("abc"))
    assert (token.value, token.scopes) == ("abc", ("read:logs",))
    head, _, form = asked.partition(b"\r\n\r\n")
    assert (
        form
        == b"grant_type=client_credentials&client_id=id&client_secret=s3cret&audience=https%3A%2F%2Facme%2Fapi%2Fv2%2F"
    )
    assert b"s3cret" not in head


def test_f08_however_many_ask_at_once_one_request_is_made(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> tuple[set[str], int]:
        source = TokenSource()
        tokens = await asyncio.gather(*(ask(source) for _ in range(20)))
        return {token.value for token in tokens}, len(server.requests)

    assert run(scenario, issued("one"), issued("two")) == ({"one"}, 1)


def test_f05_a_token_is_kept_for_its_whole_life(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> int:
        source = TokenSource()
        for _ in range(50):
            await ask(source)
        return len(server.requests)

    assert run(scenario, issued("one")) == 1


def test_f01_f08_a_refused_token_is_never_handed_out_again(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> tuple[list[str], int]:
        source = TokenSource(Memory())
        first = await ask(source)
        again = await asyncio.gather(*(ask(source, instead_of=first) for _ in range(5)))
        return [first.value, *(token.value for token in again), (await ask(source)).value], len(server.requests)

    values, requests = run(scenario, issued("one"), issued("two"), issued("three"))
    assert values == ["one", *["two"] * 6]
    assert requests == 2


def test_an_old_refusal_does_not_cost_the_new_token(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> tuple[str, int]:
        source = TokenSource()
        first = await ask(source)
        await ask(source, instead_of=first)
        return (await ask(source, instead_of=first)).value, len(server.requests)

    assert run(scenario, issued("one"), issued("two"), issued("three")) == ("two", 2)


def test_a_token_survives_a_restart(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, server: Any) -> tuple[Token, Token, int]:
        first = await ask(TokenSource(memory))
        return first, await ask(TokenSource(memory)), len(server.requests)

    first, second, requests = run(scenario, issued("one"), issued("two"))
    assert first == second
    assert requests == 1


def test_the_keeper_is_asked_once(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, _server: Any) -> None:
        source = TokenSource(memory)
        await asyncio.gather(*(ask(source) for _ in range(5)))

    run(scenario, issued("one"))
    assert memory.loads == 1


@pytest.mark.parametrize("saved", [b"", b"garbage", b"[]", b"{}", b'{"value": 1}', b"\xff"], ids=repr)
def test_what_was_saved_and_cannot_be_read_is_asked_for_anew(run: Run, saved: bytes) -> None:
    async def scenario(ask: Any, _server: Any) -> str:
        return (await ask(TokenSource(Memory(saved)))).value

    assert run(scenario, issued("new")) == "new"


def test_a_saved_token_that_is_about_to_end_is_renewed(run: Run) -> None:
    now = clock.now()
    old = Token("old", now - timedelta(seconds=1), now + timedelta(seconds=59), None)

    async def scenario(ask: Any, _server: Any) -> str:
        return (await ask(TokenSource(Memory(msgspec.json.encode(old))))).value

    assert run(scenario, issued("new")) == "new"


def test_a_forgotten_token_is_gone_here_and_from_the_keeper(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, _server: Any) -> tuple[bytes | None, str]:
        source = TokenSource(memory)
        await ask(source)
        await source.forget()
        return memory.saved, (await ask(source)).value

    assert run(scenario, issued("one"), issued("two")) == (None, "two")


LIVES = {
    "a day": (86_400, 86_400),
    "an hour": (3600, 3600),
    "a fraction": (90.5, 90.5),
    "a minute": (60, 60),
    "less than a minute": (59, 60),
    "nothing": (0, 60),
    "negative": (-5, 60),
    "a billion": (10**9, 86_400),
    "more than a float": (10**400, 86_400),
    "missing": (..., 60),
    "null": (None, 60),
    "text": ("3600", 60),
    "true": (True, 60),
    "a list": ([3600], 60),
}


@pytest.mark.parametrize(("told", "believed"), LIVES.values(), ids=LIVES)
def test_f04_a_life_between_a_minute_and_a_day_is_believed(run: Run, told: Any, believed: float) -> None:
    content: dict[str, Any] = {"access_token": "abc"} | ({} if told is ... else {"expires_in": told})
    body = (
        b'{"access_token":"abc","expires_in":1%s}' % (b"0" * 400) if told == 10**400 else msgspec.json.encode(content)
    )
    token = one(run, reply(body))
    life = (token.expires_at - clock.now()).total_seconds()
    assert life == pytest.approx(believed, abs=5)


@pytest.mark.parametrize("told", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_f04_a_life_that_is_no_number_of_json_is_not_believed(run: Run, told: str) -> None:
    answer = reply(b'{"access_token":"abc","expires_in":%s}' % told.encode())

    async def scenario(ask: Any, _server: Any) -> Token | ConductorError:
        try:
            token: Token = await ask(TokenSource())
            return token
        except UnexpectedResponse as error:
            return error

    found = run(scenario, answer)
    if isinstance(found, Token):
        assert timedelta(seconds=0) < found.expires_at - clock.now() <= timedelta(days=1)


@pytest.mark.parametrize(("life", "renewed"), [(86_400, 86_340), (3600, 3540), (300, 240), (100, 80), (60, 48)])
def test_f04_it_is_renewed_a_minute_before_its_end_or_at_four_fifths(run: Run, life: int, renewed: int) -> None:
    token = one(run, issued("abc", expires_in=life))
    assert (token.expires_at - token.renew_at).total_seconds() == pytest.approx(life - renewed)


@pytest.mark.parametrize(
    ("told", "scopes"),
    [("a b  c", ("a", "b", "c")), ("", ()), (None, None), (["a"], None), (7, None)],
)
def test_scopes_are_told_or_unknown(run: Run, told: Any, scopes: tuple[str, ...] | None) -> None:
    assert one(run, issued("abc", scope=told)).scopes == scopes


SHAPES = {
    "a web page": (b"<!doctype html><HTML>Sign in</HTML>", "net.captive"),
    "nothing": (b"", "net.captive"),
    "a list": (b"[]", "net.captive"),
    "text": (b'"abc"', "net.captive"),
    "nesting": (b"[" * 100_000, "net.captive"),
    "cut short": (b'{"access_token":"abc"', "net.captive"),
    "no UTF-8": (b'{"access_token":"\xff"}', "net.captive"),
    "no token": (b'{"expires_in":60}', "source.token_shape"),
    "an empty token": (b'{"access_token":"","expires_in":60}', "source.token_shape"),
    "a number": (b'{"access_token":7,"expires_in":60}', "source.token_shape"),
    "null": (b'{"access_token":null,"expires_in":60}', "source.token_shape"),
}


@pytest.mark.parametrize(("body", "code"), SHAPES.values(), ids=SHAPES)
def test_f03_what_is_no_token_is_told_and_nothing_is_kept(run: Run, body: bytes, code: str) -> None:
    error, kept = refusal(run, reply(body))
    assert isinstance(error, UnexpectedResponse)
    assert (error.code, kept) == (code, None)


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/json; charset=utf-16", ""])
def test_f03_a_token_in_anything_but_json_is_not_believed(run: Run, kind: str) -> None:
    body = b'{"access_token":"abc","expires_in":86400}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(body)) + body
    error, kept = refusal(run, answer)
    assert isinstance(error, UnexpectedResponse)
    assert (error.code, kept) == ("net.captive", None)


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_f04_f33_a_clock_that_jumps_costs_no_token_and_keeps_none_too_long(
    run: Run, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async def scenario(ask: Any, server: Any) -> list[int]:
        source = TokenSource()
        await ask(source)
        ahead = hours * 3600.0
        monkeypatch.setattr(clock, "time", SimpleNamespace(time=lambda: time.time() + ahead))
        counts = []
        for rest in (3500.0, 50.0):  # until shortly before it is to be renewed, and shortly after
            await asyncio.sleep(rest)
            await ask(source)
            counts.append(len(server.requests))
        return counts

    assert run(scenario, issued("one", expires_in=3600), issued("two", expires_in=3600)) == [1, 2]


def test_a_refusal_repeats_oauths_own_words_and_no_secret(run: Run) -> None:
    told = {"error": "access_denied", "error_description": "x" * 1000}
    error, kept = refusal(run, reply(told, "403 Forbidden"))
    assert isinstance(error, TokenRefused)
    assert (error.status, error.error, len(error.description), kept) == (403, "access_denied", 200, None)
    assert "s3cret" not in f"{error} {error.facts}"


@pytest.mark.parametrize("body", [b"Not found.", b'{"error": 7, "error_description": ["x"]}'])
def test_an_unknown_tenant_is_a_refusal_without_words(run: Run, body: bytes) -> None:
    error, _ = refusal(run, reply(body, "404 Not Found"))
    assert isinstance(error, TokenRefused)
    assert (error.status, error.error, error.description) == (404, "", "")


def test_a_refused_token_is_not_handed_out_though_no_new_one_was_issued(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, server: Any) -> tuple[bytes | None, str, int]:
        source = TokenSource(memory)
        first = await ask(source)
        with pytest.raises(TokenRefused):
            await ask(source, instead_of=first)
        return memory.saved, (await ask(source)).value, len(server.requests)

    refused = reply({"error": "access_denied"}, "403 Forbidden")
    assert run(scenario, issued("one"), refused, issued("two")) == (None, "two", 3)


def test_f05_a_quota_of_tokens_is_waited_for(run: Run) -> None:
    error, _ = refusal(run, reply(b"{}", "429 Too Many", "Retry-After: 2400"))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 2400.0


def test_f05_while_one_was_told_to_wait_nobody_asks(run: Run) -> None:
    async def scenario(ask: Any, server: Any) -> Any:
        source, waits = TokenSource(), []
        for pause in (0.0, 100.0, 300.0):
            await asyncio.sleep(pause)
            with pytest.raises(RateLimited) as caught:
                await ask(source)
            waits.append(round(caught.value.retry_after))
        asked = len(server.requests)
        await asyncio.sleep(2000.0)
        return waits, asked, (await ask(source)).value, len(server.requests)

    told = run(scenario, reply(b"{}", "429 Too Many", "Retry-After: 2400"), issued("one"))
    assert told == ([2400, 2300, 2000], 1, "one", 2)


REFUSED = reply({"error": "access_denied", "error_description": "Unauthorized"}, "401 Unauthorized")


def test_f06_the_spare_secret_is_tried_once_the_other_is_refused_and_first_from_then_on(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, server: Any) -> list[bytes]:
        source = TokenSource(memory)
        first = await ask(source, spare="coming")
        await ask(source, spare="coming", instead_of=first)
        return [asked.partition(b"client_secret=")[2].partition(b"&")[0] for asked in server.requests]

    assert run(scenario, REFUSED, issued("one"), issued("two")) == [b"s3cret", b"coming", b"coming"]
    assert memory.promoted == [("s3cret", "coming")]


@pytest.mark.parametrize("answer", [reply({"error": "access_denied"}, "403 Forbidden"), reply({}, "500 Oops")])
def test_f06_what_is_no_matter_of_the_secret_costs_no_second_try(run: Run, answer: bytes) -> None:
    memory = Memory()

    async def scenario(ask: Any, server: Any) -> int:
        with pytest.raises(ConductorError):
            await ask(TokenSource(memory), spare="coming")
        return len(server.requests)

    assert run(scenario, answer) == 1
    assert memory.promoted == []


def test_f06_a_refusal_of_both_is_told_and_promotes_nothing(run: Run) -> None:
    memory = Memory()

    async def scenario(ask: Any, server: Any) -> int:
        with pytest.raises(TokenRefused):
            await ask(TokenSource(memory), spare="coming")
        return len(server.requests)

    assert run(scenario, REFUSED) == 2
    assert memory.promoted == []


def test_a_token_does_not_show_itself() -> None:
    token = Token("s3cret", clock.now(), clock.now(), None)
    assert "s3cret" not in f"{token} {token!r} {[token]}"
