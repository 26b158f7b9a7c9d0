"""Slack, through an incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import msgspec
import pydantic
from pydantic import Field, SecretStr

from conductor.channels import kind
from conductor.channels.kind import ChannelConfig
from conductor.core.config import Widget
from conductor.core.notice import Message, Notice
from conductor.outbound.client import Route

LONGEST = 30_000  # characters; Slack cuts a text at 40,000


class SlackConfig(ChannelConfig):
    """Which webhook."""

    url: Annotated[SecretStr, Widget(order=10, placeholder="https://hooks.slack.com/services/…")] = Field(
        title="Webhook address",
        description="From Slack: your app → Incoming Webhooks → Add New Webhook. Whoever has it can post: it is kept "
        "encrypted.",
    )
    _https = pydantic.field_validator("url")(kind.https)

    @property
    def target(self) -> str:
        """The host."""
        return kind.host(self.url)


class Slack:
    """A message in a Slack channel."""

    slug: ClassVar[str] = "slack"
    title: ClassVar[str] = "Slack"
    Config: ClassVar[type[ChannelConfig]] = SlackConfig

    def __init__(self, config: SlackConfig, route: Callable[[str], Route]) -> None:
        self._url = config.url
        self._route = route(config.ca_bundle)

    async def send(self, message: Message) -> None:
        """Post it. Raises SourceError."""
        parts = [_marked(notice) for notice in message.listed]
        if (more := len(message.notices) - len(parts)) > 0:
            parts.append(f"And {more:,} more.")
        body = {"text": "\n\n".join(parts)[:LONGEST], "unfurl_links": False}
        await kind.post(self._route, self._url, msgspec.json.encode(body), {})


def _marked(notice: Notice) -> str:
    sign = ":white_check_mark:" if notice.over else ":red_circle:"
    lines = [f"{sign} *{_plain(notice.integration)}*: {_plain(notice.title)}"]
    lines += [_plain(notice.body)] if notice.body else []
    lines += [f"• {_plain(step)}" for step in notice.fix]
    lines += [f"<{_plain(notice.url)}|Open in Conductor>"] if notice.url else []
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Slack's three control characters escaped: nothing in a text makes a link or calls people."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
