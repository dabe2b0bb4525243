"""The webhook against a server on loopback: signed, without redirects, tried again within bounds, never waited for long."""

import json
import re
import ssl
import threading
import time
from datetime import UTC, datetime

import pytest
from notify_kit import SECRET, Hook, is_signed

from ropa.errors import ConfigurationError
from ropa.notify import ChannelError, Message
from ropa.notify import webhook as module
from ropa.notify.webhook import Healthcheck, WebhookChannel
from ropa.sweep.matters import Kind, Matter
from ropa.sweep.notices import News
from ropa.wiring import _signing_secret

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)


def message(count=1):
    new = tuple(Matter(kind=Kind.OVERDUE, about=(f"crm.d{n}",), counts={"records": n + 1}) for n in range(count))
    return Message("0123456789abcdef", NOW, "ropa.example/test", News(new, ("halted",), ()))


def channel(hook, path="/hook", **more):
    waited = []
    return WebhookChannel(hook.url + path, SECRET, wait=waited.append, **more), waited


def test_a_notice_is_json_that_another_program_finds_rightly_signed(hook):
    sent, _ = channel(hook)
    sent.send(message())
    ((method, path, headers, body),) = hook.taken
    assert (method, path, headers["Content-Type"]) == ("POST", "/hook", "application/json")
    assert re.fullmatch(r"t=1795314600,v1=[0-9a-f]{64}", headers["Ropa-Signature"])
    assert is_signed(headers, body)
    assert not is_signed(headers, body + b" ")
    assert not is_signed(headers, body, secret="another-secret-of-32-characters..")
    assert json.loads(body) == {
        "schema": "ropa.notice/1",
        "id": "0123456789abcdef",
        "sent_at": "2026-11-22T02:30:00Z",
        "origin": "ropa.example/test",
        "new": [
            {
                "key": "overdue:crm.d0",
                "kind": "overdue",
                "severity": "error",
                "counts": {"records": 1},
                "facts": {},
            }
        ],
        "resolved": [{"key": "halted", "kind": "halted", "counts": {}, "facts": {}}],
        "left_out": 0,
    }


def test_a_notice_of_many_matters_counts_what_it_leaves_out(hook):
    channel(hook)[0].send(message(70))
    (notice,) = hook.notices()
    assert (len(notice["new"]), notice["left_out"]) == (50, 20)


def test_a_redirect_is_not_followed(hook):
    hook.answers = [(307, ("Location", f"{hook.url}/elsewhere"))]
    sent, waited = channel(hook)
    with pytest.raises(ChannelError) as failed:
        sent.send(message())
    assert failed.value.code == "webhook-redirect"
    assert [path for _, path, _, _ in hook.taken] == ["/hook"]
    assert waited == []


def test_a_server_in_trouble_is_tried_again_with_the_same_notice(hook):
    hook.answers = [(500,), (429,), (200,)]
    sent, waited = channel(hook)
    sent.send(message())
    bodies = {body for _, _, _, body in hook.taken}
    assert (len(hook.taken), len(bodies), waited) == (3, 1, [1.0, 3.0])


@pytest.mark.parametrize(("answers", "tries", "code"), [([503] * 9, 3, "webhook-503"), ([403] * 9, 1, "webhook-403")])
def test_tries_have_an_end_and_a_refusal_is_not_argued_with(hook, answers, tries, code):
    hook.answers = [(status,) for status in answers]
    with pytest.raises(ChannelError) as failed:
        channel(hook)[0].send(message())
    assert (failed.value.code, len(hook.taken)) == (code, tries)


def test_a_server_that_hangs_is_given_up(hook, monkeypatch):
    monkeypatch.setattr(module, "STEP_SECONDS", 0.2)
    hook.answers = [("hang",)]
    began = time.monotonic()
    with pytest.raises(ChannelError) as failed:
        channel(hook)[0].send(message())
    assert (failed.value.code, len(hook.taken)) == ("webhook-timeout", 1)
    assert time.monotonic() - began < 5


def test_a_server_that_drips_its_answer_is_given_up_too(hook, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE_SECONDS", 0.5)
    hook.answers = [("drip",)]
    with pytest.raises(ChannelError) as failed:
        channel(hook)[0].send(message())
    assert failed.value.code == "webhook-timeout"
    hook.released.set()


def test_a_server_that_is_not_there_is_a_code_without_its_address(hook):
    gone = WebhookChannel("http://127.0.0.1:1/hook?token=kanarie", SECRET, wait=lambda _: None)
    with pytest.raises(ChannelError) as failed:
        gone.send(message())
    assert failed.value.code == "webhook-unreachable"
    assert failed.value.__cause__ is None
    assert "kanarie" not in f"{failed.value!r} {failed.value.__context__!r} {gone!r}"


def test_a_certificate_that_nobody_vouches_for_is_refused_and_one_that_is_known_taken(hook, certificate, monkeypatch):
    secure = Hook()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    secure.handle_error = lambda *_: None
    hand = threading.Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    hand.start()
    url = f"https://localhost:{secure.server_address[1]}/hook"
    try:
        with pytest.raises(ChannelError) as failed:
            WebhookChannel(url, SECRET, wait=lambda _: None).send(message())
        assert failed.value.code == "webhook-unreachable"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        WebhookChannel(url, SECRET).send(message())
        assert len(secure.notices()) == 1
    finally:
        secure.shutdown()
        secure.server_close()
        hand.join()


def test_the_healthcheck_is_asked_for_once_and_says_what_is_wrong_by_a_code(hook):
    Healthcheck(f"{hook.url}/ping").call()
    hook.answers = [(404,)]
    with pytest.raises(ChannelError) as failed:
        Healthcheck(f"{hook.url}/ping").call()
    assert failed.value.code == "healthcheck-404"
    assert hook.pings() == ["/ping", "/ping"]


def test_a_secret_that_could_be_guessed_is_refused():
    assert _signing_secret("x" * 16) == "x" * 16
    with pytest.raises(ConfigurationError, match="shorter than 16"):
        _signing_secret("x" * 15)
