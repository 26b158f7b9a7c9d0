"""What every kind of channel has: a config that makes its form, and a way to send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Protocol
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from conductor.core.config import Allowance, Declared, FieldError, Widget
from conductor.core.errors import Misconfigured
from conductor.core.notice import Message
from conductor.outbound.client import Answer, Client, Route, is_https
from conductor.outbound.pace import Limiter

PACE = Allowance(per_second=1.0, burst=5.0)


class ChannelConfig(Declared):
    """What is typed for one channel; every kind adds its own fields."""

    ca_bundle: Annotated[str, Widget(order=90, advanced=True, multiline=True)] = Field(
        "",
        title="CA bundle",
        description="Certificates in PEM, trusted beside the system's. For a company that inspects TLS traffic.",
    )

    @property
    def target(self) -> str:
        """Where messages go, as it may be shown to everybody who sees the settings."""
        raise NotImplementedError

    @property
    def signs_in(self) -> bool:
        """Whether its secrets are sent to where it says."""
        return True


class Kind(Protocol):
    """Built as `Kind(config, route)`, where `route` makes the guarded way out for further certificates."""

    slug: ClassVar[str]
    title: ClassVar[str]
    Config: ClassVar[type[ChannelConfig]]

    def __init__(self, config: ChannelConfig, route: Callable[[str], Route]) -> None: ...

    async def send(self, message: Message) -> None:
        """Once. Raises SourceError; one that `needs_person` is not worth another try."""
        ...


def https(value: SecretStr) -> SecretStr:
    """Raise FieldError unless it is an https address with a host and no name in it."""
    if not is_https(value.get_secret_value()):
        raise FieldError("channel.address", "Enter an address that begins with https://.")
    return value


def host(url: SecretStr) -> str:
    """The host of an address, which is no secret."""
    return urlsplit(url.get_secret_value()).hostname or ""


async def post(route: Route, url: SecretStr, content: bytes, headers: dict[str, str]) -> Answer:
    """POST JSON; the answer was 2xx. Raises SourceError."""
    async with Client("channel", route, Limiter(), lambda _: PACE) as http:
        answer = await http.post(url.get_secret_value(), content, {"content-type": "application/json", **headers})
    if answer.status >= 400:
        said = answer.body[:200].decode("utf-8", "replace").strip()
        raise Misconfigured(code="channel.refused", domain=host(url), status=answer.status, said=said)
    return answer
