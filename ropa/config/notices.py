"""``[notify]`` read into ``Notify``: who is told, and over which wire.

Invariant: a password, a signing secret or an address with one in it stands elsewhere; nothing leaves this machine over
plain HTTP, and no password over plain SMTP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from ropa.config.keys import MAIL, NOTIFY, WEBHOOK, Key
from ropa.config.models import Mail, Notify, Webhook
from ropa.config.problems import Problems
from ropa.config.references import is_reference
from ropa.config.secrets import note_inline_secrets
from ropa.config.table import Table

PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}
SHORTEST_SECRET = 16
"""Characters of the secret that signs."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?|::1", re.ASCII)
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII
)
_MOST_ADDRESSES = 20


def read_notify(root: Table, problems: Problems) -> Notify:
    """Read ``[notify]``; what is wrong is noted. No reference is looked up."""
    table = Table(root.values.get("notify", {}), ("notify",), problems, NOTIFY, further={})
    plain = {name: value for name, value in table.values.items() if name not in {"mail", "webhook"}}
    note_inline_secrets(plain, table.path, {}, problems)
    mail, webhook = _inner(table, "mail", MAIL), _inner(table, "webhook", WEBHOOK)
    return Notify(
        mail=_read_mail(mail) if mail else None,
        webhook=_read_webhook(webhook) if webhook else None,
        healthcheck=_read_url(table, "healthcheck"),
    )


def _inner(table: Table, name: str, keys: Mapping[str, Key]) -> Table | None:
    if name not in table.values:
        return None
    inner = Table(table.values[name], (*table.path, name), table.problems, keys, further={})
    note_inline_secrets(inner.values, inner.path, {}, table.problems)
    return inner


def _read_mail(table: Table) -> Mail:
    security = table.choice("security", tuple(PORTS)) or "starttls"
    server, user, password = table.text("server"), table.text("user"), table.text("password")
    if server and _HOST.fullmatch(server) is None:
        table.note("server", "must be the name or the address of a host, without port or scheme")
    if (user is None) != (password is None):
        table.note("user" if user is not None else "password", "user and password go together")
    elif user is not None and security == "none":
        table.note("security", "would send the password in the clear; use starttls or tls")
    to, sender = table.texts("to"), table.text("from")
    if any(_ADDRESS.fullmatch(address) is None for address in to):
        table.note("to", "must be e-mail addresses such as privacy@example.org, without names")
    if len(to) > _MOST_ADDRESSES:
        table.note("to", f"has more than {_MOST_ADDRESSES} addresses; use a list of your mail server")
    if sender and _ADDRESS.fullmatch(sender) is None:
        table.note("from", "must be an e-mail address such as ropa@example.org, without a name")
    return Mail(
        server=server or "",
        port=table.integer("port", 1, 65535) or PORTS[security],
        sender=sender or "",
        to=to,
        security=cast("Literal['starttls', 'tls', 'none']", security),
        user=user,
        password=password,
    )


def _read_webhook(table: Table) -> Webhook:
    return Webhook(url=_read_url(table, "url") or "", secret=table.text("secret") or "")


def _read_url(table: Table, name: str) -> str | None:
    url = table.text(name)
    if url and url.strip() and not is_reference(url) and (wrong := wrong_url(url)) is not None:
        table.note(name, wrong)
    return url


def wrong_url(url: str) -> str | None:
    """Return what is wrong with an address to call, None where nothing is; never with a part of it."""
    try:
        parts: Any = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not url.isascii() or not url.isprintable() or " " in url or not host or parts.scheme not in {"http", "https"}:
        return "must be a URL such as https://hooks.example.org/ropa"
    if parts.username is not None or parts.password is not None:
        return "must not have a user or a password in it"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "must be https; plain http only reaches this machine itself"
    return None
