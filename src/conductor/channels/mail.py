"""E-mail, handed in at an SMTP server."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, ClassVar

import pydantic
from pydantic import Field, SecretStr

from conductor.channels.kind import ChannelConfig
from conductor.core import addresses
from conductor.core.config import FieldError, Widget
from conductor.core.notice import Message
from conductor.outbound import mail
from conductor.outbound.client import Route

SECURITY = (
    (mail.STARTTLS, "STARTTLS, usually on port 587"),
    (mail.TLS, "TLS, usually on port 465"),
    (mail.PLAIN, "none, only within your own network"),
)
MOST_RECIPIENTS = 20


class MailConfig(ChannelConfig):
    """Which server, as whom, to whom."""

    host: Annotated[str, Widget(order=10, identity=True, placeholder="smtp.example.com")] = Field(
        min_length=1, max_length=253, title="SMTP server", description="Its name, as your mail provider tells it."
    )
    port: Annotated[int, Widget(order=11, identity=True)] = Field(
        587, ge=1, le=65_535, title="Port", description="587 or 465; 25 and 2525 can be used too."
    )
    security: Annotated[str, Widget(order=12, identity=True, choices=SECURITY)] = Field(
        mail.STARTTLS, title="Encryption", description="The server's certificate is always checked."
    )
    user: Annotated[str, Widget(order=13)] = Field(
        "", title="User name", description="Empty when the server wants none."
    )
    password: Annotated[SecretStr, Widget(order=14)] = Field(
        SecretStr(""), title="Password", description="Kept encrypted."
    )
    sender: Annotated[str, Widget(order=15, placeholder="conductor@example.com")] = Field(
        title="From", description="The sender's address; the server must let you use it."
    )
    recipients: Annotated[str, Widget(order=16, placeholder="security@example.com, oncall@example.com")] = Field(
        title="To", description=f"Who is told, {MOST_RECIPIENTS} addresses at most, with commas between."
    )

    @pydantic.field_validator("sender")
    @classmethod
    def _one(cls, value: str) -> str:
        return _address(value)

    @pydantic.field_validator("recipients")
    @classmethod
    def _some(cls, value: str) -> str:
        found = [_address(part.strip()) for part in value.replace(";", ",").split(",") if part.strip()]
        if not 1 <= len(found) <= MOST_RECIPIENTS:
            raise FieldError("channel.address", f"Enter 1 to {MOST_RECIPIENTS} e-mail addresses.")
        return ", ".join(dict.fromkeys(found))

    @pydantic.field_validator("security")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in dict(SECURITY):
            raise FieldError("channel.security", f"Choose one of: {', '.join(dict(SECURITY))}.")
        return value

    @pydantic.field_validator("user")
    @classmethod
    def _sendable(cls, value: str) -> str:
        return _ascii(value)

    @pydantic.field_validator("password")
    @classmethod
    def _never_in_clear(cls, value: SecretStr, info: pydantic.ValidationInfo) -> SecretStr:
        """`security` stands before it and was read."""
        _ascii(value.get_secret_value())
        if value.get_secret_value() and info.data.get("security") == mail.PLAIN:
            raise FieldError("channel.password", "A password is never sent without encryption. Choose STARTTLS or TLS.")
        return value

    @property
    def target(self) -> str:
        """The recipients."""
        return self.recipients

    @property
    def signs_in(self) -> bool:
        """Whether there is somebody to sign in as, and a safe way to."""
        return bool(self.user) and self.security != mail.PLAIN


class Mail:
    """A plain text mail."""

    slug: ClassVar[str] = "email"
    title: ClassVar[str] = "E-mail"
    Config: ClassVar[type[ChannelConfig]] = MailConfig

    def __init__(self, config: MailConfig, route: Callable[[str], Route]) -> None:
        self._config = config
        self._policy = route("").policy

    async def send(self, message: Message) -> None:
        """Hand it in. Raises SourceError."""
        config = self._config
        user, password = (config.user, config.password.get_secret_value()) if config.signs_in else ("", "")
        server = mail.Server(config.host, config.port, config.security, user, password, config.ca_bundle)
        await mail.send(server, self._policy, self._written(message))

    def _written(self, message: Message) -> EmailMessage:
        written = EmailMessage()
        written["From"] = self._config.sender
        written["To"] = self._config.recipients
        written["Subject"] = " ".join(f"[Conductor] {message.subject}".split())[:200]
        written["Date"] = format_datetime(message.at)
        written["Message-ID"] = f"<{message.id}@{self._config.sender.rpartition('@')[2]}>"
        written["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is told to us
        written.set_content(message.text)
        return written


def _address(value: str) -> str:
    if not addresses.is_email(value):
        raise FieldError("channel.address", f"`{value[:60]}` is no e-mail address.")
    return value


def _ascii(value: str) -> str:
    """What SMTP's ways to sign in take (RFC 4616 allows more, the library does not)."""
    if not value.isascii():
        raise FieldError("channel.password", "Only letters, digits and signs of ASCII can be sent to a mail server.")
    return value
