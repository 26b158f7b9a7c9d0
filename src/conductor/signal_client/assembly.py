"""Builds what a poll needs: the connector with its config, its guarded client and its token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from conductor.catalog import Catalog
from conductor.core.config import Config, Declared
from conductor.core.connector import Connector
from conductor.core.errors import NotFound
from conductor.core.integration import Integration
from conductor.observe import redactor
from conductor.outbound.body import MAX_BODY, Room
from conductor.outbound.client import Client, Opener, Route
from conductor.outbound.guard import Policy
from conductor.outbound.oauth2 import TokenSource
from conductor.outbound.pace import Limiter, Limiters
from conductor.store import audit, integrations
from conductor.store.database import Connection, Database
from conductor.store.vault import SecretUnreadable, Vault

TOKEN = "token"  # noqa: S105 - a field's name


@dataclass(frozen=True, slots=True)
class Source:
    """One integration, ready to be polled or tested. Close it when done."""

    connector: Connector
    config: Config
    http: Client
    limiter: Limiter

    async def close(self) -> None:
        """Close its connections and leave the tenant's limiter. Safe twice."""
        self.limiter.leave(self)
        await self.http.close()


@dataclass(frozen=True, slots=True)
class Egress:
    """How the operator lets Conductor out: allowed private networks, a proxy, and the largest answer (bytes) that is
    read, all from the command line."""

    policy: Policy
    proxy: str = ""
    max_body: int = MAX_BODY
    opener: Opener | None = None


class Assembly:
    """Makes sources out of stored integrations, or of a config that is being tried."""

    def __init__(self, database: Database, vault: Vault, catalog: Catalog, egress: Egress) -> None:
        self.catalog = catalog
        self._database = database
        self._vault = vault
        self._egress = egress
        self._limiters = Limiters()
        self._configs: dict[int, tuple[int, Config]] = {}  # by integration: its revision, its config without secrets
        self._room = Room(egress.max_body)

    async def source(self, integration: Integration) -> Source:
        """A stored integration's source. Raises SecretUnreadable, NotFound, Invalid."""
        config = await self.config(integration)
        keeper = SealedToken(self._database, self._vault, integration, config)
        return self.trial(integration.connector, config, TokenSource(keeper))

    def public(self, integration: Integration) -> Config:
        """A stored integration's config without its secrets. Raises NotFound for a connector that is not there."""
        known = self._configs.get(integration.id)
        if known is None or known[0] != integration.revision:
            kind = self.catalog.get(integration.connector).Config
            known = (integration.revision, kind.model_construct(**integration.config))
            self._configs[integration.id] = known
        return known[1]

    def tenant(self, integration: Integration) -> str:
        """Whose rate limit its requests count against. A connector that is not there any more has none."""
        try:
            return self.public(integration).tenant
        except NotFound:
            return f"integration/{integration.id}"

    async def config(self, integration: Integration) -> Config:
        """A stored integration's config with its secrets."""
        kind = self.catalog.get(integration.connector).Config
        sealed = await self.secrets(integration, kind, context(kind, integration.config))
        return kind.parse({**integration.config, **sealed})

    async def secrets(self, integration: Integration, kind: type[Config], bound: str) -> dict[str, str]:
        """The secrets of an integration. Raises SecretUnreadable when they are bound to other values."""
        names = [field.name for field in kind.form() if field.secret]
        owner = integrations.owner(integration.id)

        def read(connection: Any) -> dict[str, str]:
            found = {name: self._vault.get(connection, owner, name, context=bound) for name in names}
            return {name: value for name, value in found.items() if value is not None}

        return await self._database.read(read)

    def trial(self, slug: str, config: Config, tokens: TokenSource | None = None) -> Source:
        """A source for a config, stored or not."""
        for secret in config.secrets().values():
            redactor.know(secret)
        limiter = self._limiters.of(config.tenant)
        http = Client(slug, self._route(config), limiter, config.allowance)
        kind: Any = self.catalog.get(slug)
        source = Source(kind(config, http, tokens or TokenSource()), config, http, limiter)
        limiter.join(source, config.rate_share / 100, config.allowance())
        return source

    def way_out(self, ca_bundle: str = "") -> Route:
        """To hosts that are no vendor's: the operator's guard and proxy, and these certificates trusted too."""
        return Route(
            policy=self._egress.policy,
            ca_bundle=ca_bundle,
            proxy=self._egress.proxy,
            proxy_trusted=True,
            room=self._room,
            opener=self._egress.opener,
        )

    def _route(self, config: Config) -> Route:
        route = self.way_out(config.ca_bundle)
        if not config.proxy:
            return route
        password = config.proxy_password.get_secret_value()
        return replace(route, proxy=config.proxy, proxy_password=password, proxy_trusted=False)


class SealedToken:
    """Keeps an integration's token in the vault, so that a restart asks for none."""

    def __init__(self, database: Database, vault: Vault, integration: Integration, config: Config) -> None:
        self._database = database
        self._vault = vault
        self._id = integration.id
        self._name = integration.name
        self._owner = integrations.owner(integration.id)
        self._context = context(type(config), config.public())
        self._spares = [(field.name, field.widget.replaces) for field in config.form() if field.widget.replaces]

    async def load(self) -> bytes | None:
        """The token as it was saved; None when it was saved for another address."""
        try:
            found = await self._database.read(
                lambda connection: self._vault.get(connection, self._owner, TOKEN, context=self._context)
            )
        except SecretUnreadable:
            return None
        return None if found is None else found.encode()

    async def save(self, sealed: bytes | None) -> None:
        """Seal it; None forgets. A removed integration's token is not kept: nobody would forget it any more."""

        def work(connection: Connection) -> None:
            if sealed is None:
                self._vault.forget(connection, self._owner, TOKEN)
            elif integrations.lives(connection, self._id):
                self._vault.put(connection, self._owner, TOKEN, sealed.decode(), context=self._context, by="conductor")

        await self._database.write(work)

    async def promote(self, refused: str, accepted: str) -> None:
        """The accepted secret takes the refused one's place, unless somebody has changed either meanwhile."""

        def work(connection: Connection) -> None:
            for spare, field in self._spares:
                if (self._secret(connection, field), self._secret(connection, spare)) == (refused, accepted):
                    self._vault.put(connection, self._owner, field, accepted, context=self._context, by="conductor")
                    self._vault.forget(connection, self._owner, spare)
                    audit.append(connection, "conductor", "secret.promoted", self._name, {"field": field})

        await self._database.write(work)

    def _secret(self, connection: Connection, field: str) -> str | None:
        try:
            return self._vault.get(connection, self._owner, field, context=self._context)
        except SecretUnreadable:
            return None


def context(kind: type[Declared], values: Mapping[str, Any]) -> str:
    """What the secrets are bound to: the fields that decide where they are sent. A change makes them unreadable."""
    bound = {field.name: values.get(field.name, field.default) for field in kind.form() if field.widget.identity}
    return msgspec.json.encode(bound, order="sorted").decode()
