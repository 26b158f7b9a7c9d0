"""Auth0's two endpoints, and what their refusals mean.

Sources: Auth0's documentation of the client credentials flow, of the Management API's `GET /api/v2/logs` and of its
errors; bodies as recorded in public clients' test suites. A tenant's own code can invent further token errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from conductor.connectors.auth0.config import TenantConfig
from conductor.core import clock
from conductor.core.errors import (
    CredentialsRejected,
    PermissionMissing,
    RateLimited,
    SourceError,
    Unavailable,
    UnexpectedResponse,
    UnknownTenant,
)
from conductor.outbound import body
from conductor.outbound.client import Answer, Client
from conductor.outbound.oauth2 import Grant, Token, TokenRefused, TokenSource

SCOPES = frozenset({"read:logs", "read:logs_users"})
PROPAGATION = "It can take 30 seconds until a new secret works."


class CheckpointRefused(Exception):
    """Auth0 answered 400 or 404 to a `from`."""


class Api:
    """One tenant's API, with its token."""

    def __init__(self, config: TenantConfig, http: Client, tokens: TokenSource) -> None:
        self._config = config
        self._http = http
        self._tokens = tokens

    async def token(self, *, instead_of: Token | None = None) -> Token:
        """A token that may read logs. Raises CredentialsRejected, PermissionMissing, UnknownTenant and what the
        client raises."""
        token = await self.any_token(instead_of=instead_of)
        if token.scopes is not None and not SCOPES & set(token.scopes):
            await self._tokens.forget()  # scopes are baked in: the next try must ask anew
            raise self._scope_missing(token)
        return token

    async def any_token(self, *, instead_of: Token | None = None) -> Token:
        """A token, whatever its scopes."""
        config = self._config
        grant = Grant(
            f"https://{config.domain}/oauth/token",
            config.client_id,
            config.client_secret.get_secret_value(),
            config.audience,
            config.next_client_secret.get_secret_value(),
        )
        try:
            return await self._tokens.token(self._http, grant, instead_of=instead_of)
        except TokenRefused as error:
            raise self._token_refused(error) from error
        except RateLimited as error:
            raise RateLimited(retry_after=error.retry_after, code="auth0.rate.token", **error.facts) from error

    async def logs(self, params: Mapping[str, str]) -> Answer:
        """One page of the log. Raises CheckpointRefused for a `from` that Auth0 does not take, and the errors of
        `token`. A token that is refused is replaced once."""
        token = await self.token()
        answer = await self._ask(params, token)
        if answer.status == 401:
            token = await self.token(instead_of=token)
            answer = await self._ask(params, token)
        return await self._judge(answer, params, token)

    async def _ask(self, params: Mapping[str, str], token: Token) -> Answer:
        url = f"https://{self._config.domain}/api/v2/logs"
        return await self._http.get(url, {"authorization": f"Bearer {token.value}"}, params)

    async def _judge(self, answer: Answer, params: Mapping[str, str], token: Token) -> Answer:
        if answer.status == 200:
            return _json_only(answer, self._config.domain)
        if answer.status == 401:
            raise CredentialsRejected(
                "Auth0 refused a new token.", code="auth0.token.rejected", skew=self._skew(), **self._facts()
            )
        if answer.status == 403:
            await self._tokens.forget()
            raise self._scope_missing(token)
        if answer.status in (400, 404) and "from" in params:
            raise CheckpointRefused(str(answer.status))
        raise UnexpectedResponse(
            f"HTTP {answer.status}", code="auth0.response.shape", status=answer.status, **self._facts()
        )

    def _token_refused(self, error: TokenRefused) -> SourceError:
        facts = {**self._facts(), "error": error.error, "error_description": error.description, "status": error.status}
        if error.status == 404:
            return UnknownTenant(code="auth0.domain.unknown", **facts)
        if error.status >= 500:
            return Unavailable(code="auth0.server", **facts)
        if error.status == 401:
            return CredentialsRejected(code="auth0.token.badsecret", **facts)
        if "Service not enabled within domain" in error.description:
            return PermissionMissing(code="auth0.token.audience", **facts)
        if error.error == "unauthorized_client":
            return PermissionMissing(code="auth0.token.granttype", **facts)
        if "not authorized to access" in error.description or error.description.startswith("Client is not authorized"):
            return PermissionMissing(code="auth0.token.nogrant", **facts)
        at = f"{clock.now():%-d %b %H:%M:%S} UTC"
        return CredentialsRejected(code="auth0.token.other", time=at, **facts)

    def _scope_missing(self, token: Token) -> PermissionMissing:
        scopes = ", ".join(token.scopes or ()) or "none"
        return PermissionMissing(code="auth0.scope.missing", scopes=scopes, **self._facts())

    def _facts(self) -> dict[str, Any]:
        config = self._config
        return {
            "domain": config.domain,
            "name": config.host.partition(".")[0],
            "client": config.client_id,
            "audience": config.audience,
            "len": len(config.client_secret.get_secret_value()),
        }

    def _skew(self) -> str:
        skew = self._http.usage.skew
        return "unknown" if skew is None else f"{abs(skew):.0f} s"


def events_of(answer: Answer) -> list[Any]:
    """The decoded array of a search answer, for the few facts that are read from it."""
    try:
        content = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    return content if isinstance(content, list) else []


def _json_only(answer: Answer, domain: str) -> Answer:
    if answer.is_json:
        return answer
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
    title = body.title(answer.body) or kind or "unknown type"
    raise UnexpectedResponse("This is not Auth0's answer.", code="net.captive", title=title, domain=domain)
