"""Mail goes out here: SMTP to an address that the guard has checked, with TLS that is verified."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from conductor.core.errors import CredentialsRejected, Misconfigured, SourceError, Unavailable
from conductor.outbound import failures, guard, probe
from conductor.outbound.client import tls_context

PORTS = frozenset({25, 465, 587, 2525})  # RFC 6409, RFC 8314; 2525 is what hosts open where 25 is closed
PATIENCE = 15.0  # seconds for each answer of the server
WANTS_MORE = 530  # encryption or a sign-in first: RFC 3207, section 4; RFC 4954, section 6
STARTTLS, TLS, PLAIN = "starttls", "tls", "plain"


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in, and as whom. `security` is starttls, tls or plain."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = ""
    ca_bundle: str = ""


async def send(server: Server, policy: guard.Policy, message: EmailMessage) -> None:
    """Hand one mail in, for all of its recipients. Raises Unavailable, Misconfigured, CredentialsRejected."""
    found = await probe.addresses(server.host, server.port, policy, PORTS)
    context = tls_context(server.ca_bundle)
    await asyncio.get_running_loop().run_in_executor(None, _hand_in, server, found, context, message)


def _hand_in(server: Server, found: Sequence[guard.Address], context: ssl.SSLContext, message: EmailMessage) -> None:
    with _told(server.host), contextlib.closing(_opened(server, found, context)) as smtp:
        if server.security == STARTTLS:
            smtp.starttls(context=context)
        if server.user:
            smtp.login(server.user, server.password)
        refused = smtp.send_message(message)
        with contextlib.suppress(OSError):  # it was taken: how the farewell goes changes nothing
            smtp.quit()
    if refused:
        raise Misconfigured(code="mail.recipient", domain=server.host, said=_said(*next(iter(refused.values()))))


def _opened(server: Server, found: Sequence[guard.Address], context: ssl.SSLContext) -> smtplib.SMTP:
    if server.security == TLS:
        return _Sealed(found, server.host, server.port, context)
    return _Open(found, server.host, server.port)


class _Open(smtplib.SMTP):
    """Connects to the first address that answers of those that were checked; the certificate is the name's."""

    def __init__(self, found: Sequence[guard.Address], host: str, port: int) -> None:
        self._found = found
        super().__init__(host, port, timeout=PATIENCE)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        for address in guard.by_turns(self._found)[: guard.MOST_ADDRESSES]:
            with contextlib.suppress(OSError):
                opened = socket.create_connection((str(address), port), guard.CONNECT_TIMEOUT)
                opened.settimeout(timeout)
                return opened
        raise guard.unreachable(host, port, self._found)


class _Sealed(_Open):
    """The same with TLS from the first byte (RFC 8314)."""

    def __init__(self, found: Sequence[guard.Address], host: str, port: int, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(found, host, port)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)


@contextlib.contextmanager
def _told(host: str) -> Iterator[None]:
    """What the library raises as what an operator can act on. The server's words are told, for they say why."""
    try:
        yield
    except smtplib.SMTPException as error:
        raise _answered(error, host) from error
    except ssl.SSLCertVerificationError as error:
        raise failures.classify(error, host) from error
    except ssl.SSLError as error:
        raise Misconfigured(code="net.tls.failed", domain=host, reason=error.reason) from error
    except OSError as error:
        code = "net.timeout" if isinstance(error, TimeoutError) else "net.broken"
        raise Unavailable(code=code, domain=host) from error


def _answered(error: smtplib.SMTPException, host: str) -> SourceError:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return CredentialsRejected(code="mail.login", domain=host, said=_said(error.smtp_code, error.smtp_error))
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _refused("mail.recipient", host, *next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPResponseException):
        sender = isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code != WANTS_MORE
        code = "mail.sender" if sender else "mail.refused"
        return _refused(code, host, error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Unavailable(code="net.broken", domain=host)
    return Misconfigured(code="mail.unsupported", domain=host, reason=str(error))  # no STARTTLS, no way to sign in


def _refused(code: str, host: str, status: int, words: bytes | str) -> SourceError:
    """4xx is a "not now", 5xx a "no" (RFC 5321, section 4.2.1)."""
    kind = Unavailable if 400 <= status < 500 else Misconfigured
    return kind(code=code, domain=host, said=_said(status, words))


def _said(status: int, words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return f"{status} {text}"[:300]
