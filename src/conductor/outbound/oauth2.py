"""OAuth 2 client credentials: one token an integration, kept for its whole life (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from conductor.core import clock
from conductor.core.errors import RateLimited, SourceError, UnexpectedResponse
from conductor.observe import redactor
from conductor.outbound import body, pace
from conductor.outbound.client import Answer, Client

SHORTEST, LONGEST = 60.0, 86_400.0  # seconds of life that we believe
RENEW_BEFORE = timedelta(seconds=60)
RENEW_AT = 0.8  # of its life


class Token(msgspec.Struct, frozen=True):
    """An access token, when to renew it, and the scopes it carries (None when the server did not tell).

    Its repr shows no token.
    """

    value: str
    renew_at: datetime
    expires_at: datetime
    scopes: tuple[str, ...] | None

    def __repr__(self) -> str:
        return f"Token(***, expires_at={self.expires_at:%Y-%m-%dT%H:%M:%SZ})"


class TokenRefused(SourceError):
    """The token endpoint did not issue a token. `error` and `description` are OAuth's own words."""

    code = "token.refused"

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(f"HTTP {status} {error}", status=status, error=error, description=description)
        self.status = status
        self.error = error
        self.description = description


class TokenKeeper(Protocol):
    """Where a token survives a restart."""

    async def load(self) -> bytes | None:
        """What was saved, None when nothing was or it cannot be read."""
        ...

    async def save(self, sealed: bytes | None) -> None:
        """Keep it; None forgets."""
        ...

    async def promote(self, refused: str, accepted: str) -> None:
        """Of two client secrets the second is the right one from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Everything a token is asked with. A change of any of it makes an old token useless.

    `spare_secret`, where there is one, is tried when `client_secret` is refused. No repr shows either.
    """

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    audience: str
    spare_secret: str = field(default="", repr=False)


class TokenSource:
    """Hands out the integration's token, asking for one only when there is none that lives."""

    def __init__(self, keeper: TokenKeeper | None = None) -> None:
        self._keeper = keeper
        self._token: Token | None = None
        self._renew_at = 0.0  # by the loop's clock, which nobody sets
        self._loaded = keeper is None
        self._promoted = ""
        self._held_until = 0.0  # by the loop's clock: until then we were told not to ask
        self._lock = asyncio.Lock()

    async def token(self, http: Client, grant: Grant, *, instead_of: Token | None = None) -> Token:
        """A token that lives. `instead_of` is one that was refused: it is never handed out again.

        However many ask at once, one request is made; and none while the server has told one of them to wait. Raises
        TokenRefused, UnexpectedResponse and what Client raises.
        """
        async with self._lock:
            await self._load()
            if instead_of is not None and self._token == instead_of:
                await self._keep(None)
            token = self._token
            if token is None or self._renew_at <= asyncio.get_running_loop().time():
                token = await self._ask(http, grant)
                await self._keep(token)
            return token

    async def forget(self) -> None:
        """Drop the token, for example after a refusal for want of scope: scopes are baked into it."""
        async with self._lock:
            await self._keep(None)

    async def _ask(self, http: Client, grant: Grant) -> Token:
        now = asyncio.get_running_loop().time()
        if now < self._held_until:
            raise RateLimited(retry_after=max(self._held_until - now, pace.MOMENT), code=f"{http.vendor}.rate.limited")
        try:
            return await self._request(http, grant)
        except RateLimited as error:
            self._held_until = asyncio.get_running_loop().time() + (error.retry_after or 0.0)
            raise

    async def _request(self, http: Client, grant: Grant) -> Token:
        """With the one secret, or else with the other: a vendor may have been told the new one before we were."""
        if not grant.spare_secret:
            return await _request(http, grant)
        with_spare = replace(grant, client_secret=grant.spare_secret)
        if self._promoted == grant.spare_secret:
            return await _request(http, with_spare)
        try:
            return await _request(http, grant)
        except TokenRefused as error:
            if error.status != 401:  # what is refused is not the secret
                raise
        token = await _request(http, with_spare)
        self._promoted = grant.spare_secret
        if self._keeper is not None:
            await self._keeper.promote(grant.client_secret, grant.spare_secret)
        return token

    async def _load(self) -> None:
        if self._loaded or self._keeper is None:
            return
        self._loaded = True
        saved = await self._keeper.load()
        if saved is not None:
            try:
                self._take(msgspec.json.decode(saved, type=Token))
            except msgspec.MsgspecError:
                self._token = None

    def _take(self, token: Token) -> None:
        """From here on its life is counted by the loop's clock: the wall clock may jump."""
        redactor.know(token.value)
        left = min((token.renew_at - clock.now()).total_seconds(), LONGEST)
        self._token, self._renew_at = token, asyncio.get_running_loop().time() + left

    async def _keep(self, token: Token | None) -> None:
        if self._token is not None:
            redactor.forget(self._token.value)
        self._token = None
        if token is not None:
            self._take(token)
        if self._keeper is not None:
            await self._keeper.save(None if token is None else msgspec.json.encode(token))


async def _request(http: Client, grant: Grant) -> Token:
    fields = {
        "grant_type": "client_credentials",
        "client_id": grant.client_id,
        "client_secret": grant.client_secret,
        "audience": grant.audience,
    }
    return _read(await http.post_form(grant.url, fields))


def _read(answer: Answer) -> Token:
    content = _json_object(answer)
    if answer.status != 200:
        error, description = content.get("error"), content.get("error_description")
        raise TokenRefused(answer.status, _text(error), _text(description))
    value, life = content.get("access_token"), content.get("expires_in")
    if not isinstance(value, str) or not value:
        raise UnexpectedResponse("The token endpoint sent no token.", code="source.token_shape")
    seconds = _life(life)
    scopes = content.get("scope")
    now = clock.now()
    return Token(
        value=value,
        renew_at=now + max(timedelta(seconds=seconds * RENEW_AT), timedelta(seconds=seconds) - RENEW_BEFORE),
        expires_at=now + timedelta(seconds=seconds),
        scopes=tuple(scopes.split()) if isinstance(scopes, str) else None,
    )


def _json_object(answer: Answer) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and (answer.status != 200 or answer.is_json):
        return content
    if answer.status == 404:
        raise TokenRefused(404, "", "")
    title = body.title(answer.body) or "something else"
    raise UnexpectedResponse(f"The token endpoint answered with a {title}.", code="net.captive", title=title)


def _life(seconds: Any) -> float:
    """Believe between a minute and a day, whatever is announced: missing, negative, endless or not a number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return SHORTEST
    if isinstance(seconds, float) and not math.isfinite(seconds):
        return SHORTEST
    return float(min(max(seconds, SHORTEST), LONGEST))


def _text(value: object) -> str:
    return value[:200] if isinstance(value, str) else ""
