"""What comes back from a service: its status, what it says is wrong, and what it asks to wait or to prove.

Invariant: neither headers nor content are in a representation; the link of an error stays an attribute.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.microsoft365.faults import Fault, fault_of
from ropa.errors import LocationError


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` 0: nothing did, and whether the request was carried out is not known."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes = field(default=b"", repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether it was carried out."""
        return 200 <= self.status < 300

    @property
    def fault(self) -> Fault:
        """What the service says is wrong."""
        return fault_of(self.status, self.content)

    def json(self) -> Any:
        """Return the body. Raises ValueError where it is no JSON."""
        return json.loads(self.content)


class AnswerError(LocationError):
    """The service answered, and not with what was asked for."""

    def __init__(self, message: str, answer: Answer, *, code: str, next_step: str) -> None:
        super().__init__(message, code=code, next_step=next_step)
        self.status = answer.status
        self.link: str | None = answer.headers.get("location")
        """Of 410: where a listing must start over, where the service says so."""


def wait_of(headers: Mapping[str, str], attempt: int) -> float:
    """Return how many seconds an answer asks to wait: ``Retry-After`` in seconds or as a date, and where SharePoint
    says so the later ``RateLimit-Reset``; without either, or with none left, 1, 2, 4 … 60 seconds by attempt."""
    asked = []
    for name in ("retry-after", "ratelimit-reset"):
        text = (headers.get(name) or "").strip()
        if text.replace(".", "", 1).isdigit():
            asked.append(float(text))
        elif (when := date_of(text)) is not None:
            asked.append(max(0.0, (when - datetime.now(UTC)).total_seconds()))
    return max(asked, default=0.0) or float(min(2 ** (attempt - 1), 60))


def date_of(text: str | None) -> datetime | None:
    """Return the instant that a header names (RFC 9110), UTC; None where it names none."""
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def challenge_of(headers: Mapping[str, str]) -> str | None:
    """Return the claims that a 401 asks for (continuous access evaluation), as JSON; None where it asks for none."""
    found = re.search(r'claims="([A-Za-z0-9+/=_-]+)"', headers.get("www-authenticate") or "")
    if found is None:
        return None
    try:
        return base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
