"""Mail goes out here: SMTP to an address that the guard has checked, with TLS that is verified."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial

from conductor.core.errors import CredentialsRejected, Misconfigured, SourceError, Unavailable
from conductor.observe import log
from conductor.outbound import failures, guard, probe
from conductor.outbound.client import tls_context

PORTS = frozenset({25, 465, 587, 2525})  # RFC 6409, RFC 8314; 2525 is what hosts open where 25 is closed
PATIENCE = 15.0  # seconds for each answer of the server
DEADLINE = 60.0  # seconds for all of it
CUT = 5.0  # seconds in which a thread whose socket was shut ends
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
    line = _Line()
    work = partial(_hand_in, server, found, tls_context(server.ca_bundle), message, line)
    handing = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        async with asyncio.timeout(DEADLINE):
            await asyncio.shield(handing)
    except TimeoutError as error:
        raise Unavailable(code="net.timeout", domain=server.host) from error
    finally:
        if not handing.done():
            line.cut()
            await asyncio.wait([handing], timeout=CUT)
        if handing.done():
            handing.exception()  # was raised above, or is of no interest any more


class _Line:
    """The socket of a thread that talks, so that somebody else can end the talk."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def took(self, opened: socket.socket) -> socket.socket:
        """It is this one."""
        self._sockets.append(opened)
        if self._is_cut:
            self.cut()
        return opened

    def cut(self) -> None:
        """Whoever reads from it reads its end."""
        self._is_cut = True
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)


def _hand_in(
    server: Server, found: Sequence[guard.Address], context: ssl.SSLContext, message: EmailMessage, line: _Line
) -> None:
    """A mail that some of its recipients get was sent; who was refused is told in the log."""
    with _told(server.host), contextlib.closing(_opened(server, found, context, line)) as smtp:
        if server.security == STARTTLS:
            smtp.starttls(context=context)
            if smtp.sock is not None:
                line.took(smtp.sock)
        if server.user:
            smtp.login(server.user, server.password)
        for address, answer in smtp.send_message(message).items():
            facts = {"server": server.host, "recipient": address, "said": _said(*answer)}
            log(logging.WARNING, "notifications: a recipient was refused", facts)
        with contextlib.suppress(OSError):  # it was taken: how the farewell goes changes nothing
            smtp.quit()


def _opened(server: Server, found: Sequence[guard.Address], context: ssl.SSLContext, line: _Line) -> smtplib.SMTP:
    if server.security == TLS:
        return _Sealed(found, server.host, server.port, line, context)
    return _Open(found, server.host, server.port, line)


class _Open(smtplib.SMTP):
    """Connects to the first address that answers of those that were checked; the certificate is the name's."""

    def __init__(self, found: Sequence[guard.Address], host: str, port: int, line: _Line) -> None:
        self._found = found
        self._line = line
        super().__init__(host, port, timeout=PATIENCE)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        for address in guard.by_turns(self._found)[: guard.MOST_ADDRESSES]:
            with contextlib.suppress(OSError):
                opened = socket.create_connection((str(address), port), guard.CONNECT_TIMEOUT)
                opened.settimeout(timeout)
                return self._line.took(opened)
        raise guard.unreachable(host, port, self._found)


class _Sealed(_Open):
    """The same with TLS from the first byte (RFC 8314)."""

    def __init__(
        self, found: Sequence[guard.Address], host: str, port: int, line: _Line, context: ssl.SSLContext
    ) -> None:
        self._context = context
        super().__init__(found, host, port, line)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sealed = self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)
        return self._line.took(sealed)


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
        passes = 400 <= error.smtp_code < 500
        kind = Unavailable if passes else CredentialsRejected
        return kind(code="mail.login", domain=host, said=_said(error.smtp_code, error.smtp_error))
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = sorted(error.recipients.values())  # one that may pass makes another try worth it
        return _refused("mail.recipient", host, *answers[0])
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
