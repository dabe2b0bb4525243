"""Notices by e-mail, over SMTP.

Invariant: the connection is encrypted and the server's certificate checked before a password or a message is sent,
unless the configuration says ``none``, which never sends a password; what the server answers is not repeated.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from ropa.config import Mail
from ropa.notify import words
from ropa.notify.channel import DEADLINE_SECONDS, ChannelError, Message, within

STEP_SECONDS = 10.0
"""How long one step of the conversation may take."""

_CODES: Mapping[type[Exception], str] = {
    smtplib.SMTPAuthenticationError: "mail-login",
    smtplib.SMTPNotSupportedError: "mail-not-offered",
    smtplib.SMTPRecipientsRefused: "mail-recipients",
    smtplib.SMTPSenderRefused: "mail-sender",
    smtplib.SMTPServerDisconnected: "mail-disconnected",
    smtplib.SMTPException: "mail-refused",
    ssl.SSLError: "mail-tls",
    TimeoutError: "mail-timeout",
    OSError: "mail-unreachable",
}
"""By kind of error, the narrower first."""


@dataclass(frozen=True)
class MailChannel:
    """One server, one sender, the people who are told."""

    settings: Mail
    user: str | None = None
    password: str | None = None
    """Resolved."""

    def __repr__(self) -> str:
        return f"MailChannel({self.settings.server!r})"

    def send(self, message: Message) -> None:
        """Send one mail to all. Raises ChannelError; where some addresses were refused, the others have it."""
        mail = self._written(message)
        within(DEADLINE_SECONDS, lambda: self._hand_over(mail), code="mail-timeout")

    def _written(self, message: Message) -> EmailMessage:
        domain = self.settings.sender.partition("@")[2]
        mail = EmailMessage()
        mail["From"], mail["To"] = self.settings.sender, ", ".join(self.settings.to)
        mail["Subject"] = words.subject(message)
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = make_msgid(message.id, domain)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply
        mail.set_content(words.text(message), cte="quoted-printable")
        return mail

    def _hand_over(self, mail: EmailMessage) -> None:
        settings = self.settings
        domain = settings.sender.partition("@")[2]
        try:
            with self._connected(domain) as server:
                if self.user is not None and self.password is not None:
                    server.login(self.user, self.password)
                server.send_message(mail, settings.sender, list(settings.to))
        except (smtplib.SMTPException, OSError) as error:
            raise ChannelError(next(code for kind, code in _CODES.items() if isinstance(error, kind))) from None
        except UnicodeError:
            raise ChannelError("mail-login") from None

    def _connected(self, domain: str) -> smtplib.SMTP:
        settings = self.settings
        context = ssl.create_default_context()
        where = (settings.server, settings.port)
        if settings.security == "tls":
            return smtplib.SMTP_SSL(*where, local_hostname=domain, timeout=STEP_SECONDS, context=context)
        server = smtplib.SMTP(*where, local_hostname=domain, timeout=STEP_SECONDS)
        if settings.security == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server
