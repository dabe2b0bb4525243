"""What an error body of Graph or Dataverse says, as a code of ours.

Invariant: of the service's text nothing but the code leaves here, and that only where it has the form of a code:
messages name people, files and addresses. Codes fit an outcome: ``[a-z0-9_.-]{1,32}``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_CODE = re.compile(r"[^a-z0-9_.-]+")
_HOLD = re.compile(r"\bon hold\b|\bretention (?:hold|policy|label)\b|\brecord\b.*\blabel\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal: the HTTP status and the service's own code in small letters; ``http-<status>`` where it has none."""

    status: int
    code: str
    is_hold: bool = False
    """Whether the service says in words that a hold stands against it. False proves nothing: it often does not say."""


def fault_of(status: int, content: bytes) -> Fault:
    """Return what is wrong by an answer's status and body, of Graph (``error.code``) or Dataverse alike."""
    code = message = ""
    try:
        error = json.loads(content)["error"]
        code, message = str(error.get("code") or ""), str(error.get("message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    spelt = _CODE.sub("-", code.lower()).strip("-")[:32]
    return Fault(status, spelt or f"http-{status}", bool(_HOLD.search(message)))
