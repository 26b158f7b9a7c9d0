"""The ways in which Conductor tells people something: a module for each kind of channel, and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from conductor.channels import mail, slack, webhook
from conductor.channels.kind import Kind

KINDS: Mapping[str, type[Kind]] = MappingProxyType(
    {kind.slug: kind for kind in (mail.Mail, slack.Slack, webhook.Webhook)}
)
