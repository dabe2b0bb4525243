"""Mail over a real SMTP server on loopback: encrypted, logged in, once to all, and never a password in the clear."""

import email
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from email import policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from ropa.config import Mail
from ropa.notify import ChannelError, Message
from ropa.notify import mail as module
from ropa.notify.mail import MailChannel
from ropa.sweep.matters import Kind, Matter
from ropa.sweep.notices import News

PASSWORD = "wachtwoord-kanarie"
WAITING = Matter(
    kind=Kind.WAITING,
    about=("crm.contacts", "purge", "0123456789ab"),
    counts={
        "records": 1200,
        "with_them": 30,
        "population": 8000,
        "held": 3,
        "blocked": 12,
        "approvals_needed": 2,
    },
    facts={
        "plan": "7",
        "dataset": "crm.contacts",
        "action": "purge",
        "scope": "row",
        "as_of": "2026-11-22",
        "lapses_at": "2026-11-29T02:30:00Z",
    },
)
MISSED = Matter(
    kind=Kind.MISSED,
    about=("2026-11-20",),
    counts={"nights": 2},
    facts={"from_on": "2026-11-20", "to_on": "2026-11-21"},
    is_over=True,
)
MESSAGE = Message(
    "0123456789abcdef",
    datetime(2026, 11, 22, 2, 30, tzinfo=UTC),
    "ropa.example/test",
    News((WAITING, Matter(kind=Kind.HALTED)), ("missed:2026-11-20", "waiting:crm.letters:purge:ba98"), (MISSED,)),
)


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


class Postbox:
    def __init__(self):
        self.mails, self.logins, self.refused, self.answer = [], [], set(), None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return "550 no such kanarie"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer is not None:
            return self.answer
        self.mails.append((session.ssl is not None, envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"

    def login(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((session.ssl is not None, data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def post(certificate, monkeypatch):
    started = []

    def start(*, tls="starttls", trusts=True, **more):
        box = Postbox()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if trusts:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        named = {"tls_context" if tls == "starttls" else "ssl_context": context} if tls else {}
        asks = {"authenticator": box.login, "auth_required": True} if tls == "starttls" else {}
        controller = Controller(box, hostname="localhost", port=free_port(), **(named | asks | more))
        controller.start()
        started.append(controller)
        box.port = controller.port
        return box

    yield start
    for controller in started:
        controller.stop()


def channel(box, *, user="ropa", password=PASSWORD, **more):
    given = {"port": box.port, "sender": "ropa@example.org", "to": ("a@example.org", "b@example.org"), **more}
    return MailChannel(Mail("localhost", **given), user, password)


def test_one_mail_goes_to_all_over_an_encrypted_connection_after_logging_in(post):
    box = post()
    channel(box).send(MESSAGE)
    assert box.logins == [(True, b"ropa", PASSWORD.encode())]
    ((is_encrypted, sender, to, content),) = box.mails
    assert (is_encrypted, sender, to) == (True, "ropa@example.org", ["a@example.org", "b@example.org"])
    mail = email.message_from_bytes(content, policy=policy.default)
    assert mail["Subject"] == "[ropa] 2 to look at, 2 resolved"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Sun, 22 Nov 2026 02:30:00 +0000"
    assert mail["Message-ID"].endswith("0123456789abcdef@example.org>")
    text = mail.get_content().replace("\r\n", "\n")
    assert (
        "plan 7 waits for 2 persons. Approved and applied it would purge 1,200 of 8,000 records of crm.contacts, and 30 "
        "records that go with them; 3 held and 12 blocked stay. It lapses at 2026-11-29T02:30:00Z; `ropa plan show 7`."
    ) in text
    assert "- not enforced from 2026-11-20 to 2026-11-21 (2 nights); enforced again since." in text
    assert "- waiting crm.letters purge\n" in text


def test_every_kind_of_matter_has_words(post):
    from ropa.notify.words import sentence

    made = {
        Kind.OVERDUE: (("crm.contacts",), {"records": 1}, {}),
        Kind.BLOCKED: (("crm.contacts",), {"records": 1}, {}),
        Kind.FAILED: (("clock-forward",), {}, {"since": "2026-11-22T02:30:00Z"}),
        Kind.MISSED: (MISSED.about, MISSED.counts, MISSED.facts),
        Kind.WAITING: (WAITING.about, WAITING.counts, WAITING.facts),
        Kind.LONG_RUN: (("ab" * 8,), {}, {"mode": "sweep", "started_at": "2026-11-22T02:30:00Z"}),
        Kind.HALTED: ((), {}, {}),
        Kind.FINDING: (("came-back", "3"), {}, {"code": "came-back", "finding": "3"}),
    }
    assert set(made) == set(Kind)
    said = [sentence(Matter(kind=k, about=about, counts=n, facts=f)) for k, (about, n, f) in made.items()]
    assert all(one.endswith(".") for one in said)


def test_the_whole_connection_can_be_encrypted_from_the_start(post):
    box = post(tls="tls")
    channel(box, user=None, password=None, security="tls").send(MESSAGE)
    assert len(box.mails) == 1


def test_without_encryption_nothing_is_sent_unless_the_configuration_says_so(post):
    box = post(tls=None)
    with pytest.raises(ChannelError) as failed:
        channel(box).send(MESSAGE)
    assert (failed.value.code, box.mails, box.logins) == ("mail-not-offered", [], [])
    channel(box, user=None, password=None, security="none").send(MESSAGE)
    assert len(box.mails) == 1


def test_a_certificate_that_nobody_vouches_for_gets_no_password(post):
    box = post(trusts=False)
    with pytest.raises(ChannelError) as failed:
        channel(box).send(MESSAGE)
    assert (failed.value.code, box.logins) == ("mail-tls", [])


def test_a_wrong_password_is_a_code(post):
    box = post()
    with pytest.raises(ChannelError) as failed:
        channel(box, password="verkeerd-kanarie").send(MESSAGE)
    assert failed.value.code == "mail-login"
    assert "kanarie" not in repr(channel(box))


def test_what_the_server_says_is_not_repeated(post):
    box = post()
    box.answer = "554 kanarie"
    with pytest.raises(ChannelError) as failed:
        channel(box).send(MESSAGE)
    assert failed.value.code == "mail-refused"
    assert failed.value.__cause__ is None
    assert "kanarie" not in str(failed.value)


def test_who_is_refused_keeps_the_others_from_nothing(post):
    box = post()
    box.refused = {"a@example.org"}
    channel(box).send(MESSAGE)
    assert box.mails[0][2] == ["b@example.org"]
    box.refused |= {"b@example.org"}
    with pytest.raises(ChannelError) as failed:
        channel(box).send(MESSAGE)
    assert failed.value.code == "mail-recipients"


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "STEP_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Mail("127.0.0.1", silent.getsockname()[1], "ropa@example.org", ("a@example.org",))
        with pytest.raises(ChannelError) as failed:
            MailChannel(settings).send(MESSAGE)
    assert failed.value.code == "mail-disconnected"


def test_a_server_that_is_not_there_is_a_code():
    with pytest.raises(ChannelError) as failed:
        MailChannel(Mail("127.0.0.1", 1, "ropa@example.org", ("a@example.org",))).send(MESSAGE)
    assert failed.value.code == "mail-unreachable"


def test_a_trial_is_marked_as_one_and_tells_of_nothing(post):
    box = post()
    channel(box).send(replace(MESSAGE, news=News((), (), ()), is_trial=True))
    mail = email.message_from_bytes(box.mails[0][3], policy=policy.default)
    assert mail["Subject"] == "[ropa] trial: nothing is the matter"
    text = mail.get_content()
    assert "This is a trial." in text
    assert "To look at" not in text
    assert "ropa.example/test, message 0123456789abcdef" in text
