"""``[notify]``: what is accepted, and what is refused with its key path and without its value."""

import pytest

from ropa.config import wrong_url
from ropa.errors import ConfigurationError

BASE = """
timezone = "Europe/Brussels"
[location.crm]
connector = "sql"
url = "sqlite:///crm.sqlite"
[notify]
"""
MAIL = '[notify.mail]\nserver = "smtp.example.org"\nfrom = "ropa@example.org"\nto = ["privacy@example.org"]\n'
HOOK = '[notify.webhook]\nurl = "https://hooks.example.org/ropa"\nsecret = "env:SECRET"\n'


def test_what_is_left_out_has_the_usual_value(read):
    notify = read(BASE + 'healthcheck = "env:PING"\n' + MAIL + HOOK).notify
    assert (notify.mail.port, notify.mail.security, notify.mail.user) == (587, "starttls", None)
    assert (notify.webhook.secret, notify.healthcheck) == ("env:SECRET", "env:PING")
    assert read(BASE + MAIL + 'security = "tls"\n').notify.mail.port == 465
    assert read(BASE + MAIL + 'security = "none"\nport = 2525\n').notify.mail.port == 2525
    nothing = read(BASE).notify
    assert (nothing.mail, nothing.webhook, nothing.healthcheck) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (MAIL + 'password = "geheim-kanarie"\nuser = "ropa"', "notify.mail.password"),
        (MAIL + 'user = "kanarie"', "notify.mail.user"),
        (MAIL + 'password = "env:P"', "notify.mail.password"),
        (MAIL + 'user = "kanarie"\npassword = "env:P"\nsecurity = "none"', "notify.mail.security"),
        (MAIL + 'security = "ssl"', "notify.mail.security"),
        (MAIL + "port = 0", "notify.mail.port"),
        (MAIL + 'sender = "kanarie@example.org"', "notify.mail.sender"),
        (MAIL.replace('"privacy@example.org"', '"Kanarie <a@example.org>"'), "notify.mail.to"),
        (MAIL.replace('"privacy@example.org"', '"a@example.org\\r\\nBcc: kanarie@example.org"'), "notify.mail.to"),
        (MAIL.replace('["privacy@example.org"]', "[]"), "notify.mail.to"),
        (MAIL.replace('"ropa@example.org"', '"kanarie"'), "notify.mail.from"),
        (MAIL.replace("smtp.example.org", "smtp://kanarie"), "notify.mail.server"),
        ("mail = 3", "notify.mail"),
        ('[notify.webhook]\nsecret = "env:S"', "notify.webhook.url"),
        (HOOK.replace("env:SECRET", "kanarie-kanarie-kanarie"), "notify.webhook.secret"),
        (HOOK.replace("https", "http"), "notify.webhook.url"),
        (HOOK.replace("https://", "https://kanarie:wachtwoord@"), "notify.webhook.url"),
        (HOOK.replace("https", "ftp"), "notify.webhook.url"),
        (HOOK.replace("/ropa", "/?token=kanarie"), "notify.webhook.url"),
        ('healthcheck = "kanarie"', "notify.healthcheck"),
        ('healthchek = "env:PING"', "notify.healthchek"),
        ('webhook = "https://kanarie"', "notify.webhook"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_key_path_and_never_repeated(read, text, path):
    with pytest.raises(ConfigurationError) as failed:
        read(BASE + text)
    assert path in {problem.path for problem in failed.value.problems}
    assert "kanarie" not in " ".join(map(str, failed.value.problems)).lower()


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://hooks.example.org/x", True),
        ("http://localhost:8000/x", True),
        ("http://127.0.0.1/x", True),
        ("http://[::1]:9/x", True),
        ("http://127.0.0.1.example.org/x", False),
        ("http://169.254.169.254/x", False),
        ("https://", False),
        ("https://a b/", False),
        ("https://a:99999/", False),
        ("file:///etc/passwd", False),
        ("https://user@example.org/", False),
        ("https://ex\namp.le/", False),
    ],
)
def test_an_address_is_https_or_this_machine(url, is_right):
    assert (wrong_url(url) is None) is is_right
