"""Where notifications go in tests: an HTTPS receiver and an SMTP server, both real, on this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

SECRET = "whsec_" + base64.b64encode(b"a signing secret of 32 bytes, ok").decode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


def answer(status: str, body: str = "", *headers: str) -> bytes:
    """An HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(frozen=True, slots=True)
class Posted:
    """A request as it came: its headers in lower case, its JSON."""

    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, request: bytes) -> Posted:
        """Parse one."""
        head, _, body = request.partition(b"\r\n\r\n")
        lines = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        return cls({name.lower(): value for name, _, value in lines}, body)

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def titles(self) -> list[str]:
        """Of a webhook's notices: the source and the sentence of each."""
        return [f"{each['integration']}: {each['title']}" for each in self.json["data"]["notices"]]

    @property
    def signed(self) -> bool:
        """Whether the signature is right, told from the specification and not from our code."""
        key = base64.b64decode(SECRET.removeprefix("whsec_"))
        what = b".".join([self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body])
        wanted = "v1," + base64.b64encode(hmac.new(key, what, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == wanted


@dataclass(slots=True)
class Mailbox:
    """An SMTP server's other side: what was handed in, and how it answers."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    signed_in: list[str] = field(default_factory=list)
    refuse: str = ""  # the answer to every RCPT

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """aiosmtpd asks."""
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd brings a mail."""
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"


@contextlib.asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None, *, implicit: bool = False, user: str = "ann"
) -> AsyncIterator[Mailbox]:
    """Takes mail from `user` with the password `letmein`, after STARTTLS, or (`implicit`) within TLS; without TLS it
    takes everything."""
    box = Mailbox()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), b"letmein")
        box.signed_in += [user] if good else []
        return AuthResult(success=good, handled=False)

    options: dict[str, Any] = {"authenticator": authenticate, "auth_required": tls is not None}
    if implicit:
        options |= {"auth_require_tls": False}  # it is within TLS already
    elif tls is not None:
        options |= {"tls_context": tls, "require_starttls": True}

    def protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it does not know that it is within TLS
            return SMTP(box, **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
