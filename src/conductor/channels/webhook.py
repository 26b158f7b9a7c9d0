"""Any program that takes an HTTPS POST, signed as the Standard Webhooks specification 1.0 says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec
import pydantic
from pydantic import Field, SecretStr

from conductor.channels import kind
from conductor.channels.kind import ChannelConfig
from conductor.core import clock
from conductor.core.config import FieldError, Widget
from conductor.core.notice import Message
from conductor.outbound.client import Route

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a signing secret, by the specification


class WebhookConfig(ChannelConfig):
    """Where to, and how it is signed."""

    url: Annotated[SecretStr, Widget(order=10, placeholder="https://hooks.example.com/conductor")] = Field(
        title="Address",
        description="Where JSON is posted to. Kept encrypted, since many addresses hold a key.",
    )
    secret: Annotated[SecretStr, Widget(order=11, placeholder="whsec_…")] = Field(
        SecretStr(""),
        title="Signing secret",
        description="Optional: `whsec_` and 24 to 64 bytes in Base64. With it every message carries a signature, as "
        "Standard Webhooks says.",
    )
    _https = pydantic.field_validator("url")(kind.https)

    @pydantic.field_validator("secret")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not SHORTEST <= len(_key(value)) <= LONGEST:
            raise FieldError("channel.secret", "A signing secret is `whsec_` and 24 to 64 bytes in Base64.")
        return value

    @property
    def target(self) -> str:
        """The host."""
        return kind.host(self.url)


class Webhook:
    """A POST with JSON."""

    slug: ClassVar[str] = "webhook"
    title: ClassVar[str] = "Webhook"
    Config: ClassVar[type[ChannelConfig]] = WebhookConfig

    def __init__(self, config: WebhookConfig, route: Callable[[str], Route]) -> None:
        self._config = config
        self._route = route(config.ca_bundle)

    async def send(self, message: Message) -> None:
        """Post it. A message that is sent again has the same id, so that a receiver can drop it. Raises SourceError."""
        body = msgspec.json.encode(message.as_json())
        at = str(int(clock.now().timestamp()))
        headers = {"webhook-id": message.id, "webhook-timestamp": at}
        if self._config.secret.get_secret_value():
            headers["webhook-signature"] = signature(self._config.secret, message.id, at, body)
        await kind.post(self._route, self._config.url, body, headers)


def signature(secret: SecretStr, id_: str, at: str, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 over id, time and body, in Base64."""
    digest = hmac.digest(_key(secret), f"{id_}.{at}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: SecretStr) -> bytes:
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
