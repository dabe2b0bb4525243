"""Notices as signed JSON, and the healthcheck: the one module that speaks HTTP to tell people.

The header ``Ropa-Signature`` is ``t=SECONDS,v1=HEX``: HMAC-SHA-256 of the text ``SECONDS.BODY`` under the shared
secret, so that a receiver can tell who sent it, that it is whole, and that it is not an old one played again.
Invariant: no redirect is followed, no answer is read, no address stands in an error.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ropa.notify.channel import DEADLINE_SECONDS, ChannelError, Message, within

SIGNATURE = "Ropa-Signature"
CONNECT_SECONDS, STEP_SECONDS = 5.0, 10.0
PAUSES = (1.0, 3.0)
"""Seconds to wait before the second and the third try of one look."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another try can help."""


@dataclass(frozen=True)
class WebhookChannel:
    """One address that notices are posted to."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    wait: Callable[[float], None] = time.sleep

    def send(self, message: Message) -> None:
        """Post one notice, at most three times. Raises ChannelError."""
        body = json.dumps(message.document, separators=(",", ":")).encode()
        seconds = str(int(message.at.timestamp()))
        headers = {"Content-Type": "application/json", SIGNATURE: f"t={seconds},v1={sign(self.secret, seconds, body)}"}
        within(DEADLINE_SECONDS, lambda: self._post(body, headers), code="webhook-timeout")

    def _post(self, body: bytes, headers: Mapping[str, str]) -> None:
        for pause in (*PAUSES, None):
            code, is_passing = _call("POST", self.url, "webhook", body, headers)
            if code is None:
                return
            if pause is None or not is_passing:
                raise ChannelError(code)
            self.wait(pause)


@dataclass(frozen=True)
class Healthcheck:
    """An address that waits to be called, and raises the alarm when it is not."""

    url: str = field(repr=False)

    def call(self) -> None:
        """Call it. Raises ChannelError."""
        within(DEADLINE_SECONDS, self._call, code="healthcheck-timeout")

    def _call(self) -> None:
        code, _ = _call("GET", self.url, "healthcheck")
        if code is not None:
            raise ChannelError(code)


def sign(secret: str, seconds: str, body: bytes) -> str:
    """Return the signature of a body sent at a moment, in hex."""
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, sha256).hexdigest()


def _call(
    method: str, url: str, what: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[str | None, bool]:
    """Return the code of what went wrong, None where nothing did, and whether another try can help."""
    import httpx

    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log addresses
    timeout = httpx.Timeout(STEP_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=False) as client,
            client.stream(method, url, content=body, headers=dict(headers or {})) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException:
        return f"{what}-timeout", False  # it may have arrived, and the next look comes soon
    except httpx.TransportError:
        return f"{what}-unreachable", True
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError, OSError):
        return f"{what}-url", False
    if 200 <= status < 300:
        return None, False
    return (f"{what}-redirect" if 300 <= status < 400 else f"{what}-{status}"), status in _PASSING
