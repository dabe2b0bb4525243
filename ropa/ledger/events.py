"""The events of the ledger: which types there are, which fields each has, and what a field may hold.

Invariant: what is written holds hashes, counts, codes and ids only; no field can hold a sentence, an e-mail address or
a path, because texts with white space, ``@`` or ``/`` fit nowhere but in ``tool`` and in base64. A field that a type
does not have is refused when written; when read it is covered by chain and tree and not judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ropa.connector import MAX_BATCH, OutcomeWord
from ropa.ledger.canonical import LARGEST
from ropa.ledger.keys import decode_base64
from ropa.ledger.note import ORIGIN

VERSION = 1
FIRST_PREV = "0" * 64
COMMON = frozenset({"v", "seq", "prev", "at", "run", "type"})
MAX_LEAVES = MAX_BATCH
OUTCOME_WORDS = frozenset(str(word) for word in OutcomeWord)
ALL = "*"
"""Where there are too many names for one line: all of them together; no name of the configuration can be it."""
UNCOUNTED = frozenset({"refused", "held", "blocked"})
"""Words under which ``run_end`` may count records that never got a leaf."""

Check = Callable[[object], bool]
_HASH = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9_.:+-]{1,128}")
_CODE = re.compile(r"[a-z0-9_.-]{1,64}")
_NAME = re.compile(r"[^\s@/\\\x00-\x1f\x7f]{1,128}")
_TOOL = re.compile(r"[!-?A-~][ -?A-~]{0,63}")
_OUTCOME = re.compile(r"([a-z]{1,16})(?::([a-z0-9_.-]{1,32}))?")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


is_hash = _matches(_HASH)
is_token = _matches(_TOKEN)
is_code = _matches(_CODE)
is_name = _matches(_NAME)


def is_stamp(value: object) -> bool:
    """Tell whether a value is ``YYYY-MM-DDTHH:MM:SSZ`` of a day and time that exist."""
    if not isinstance(value, str) or not _STAMP.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)  # raises where there is no such day or time
    except ValueError:
        return False
    return True


def _is_base64(length: int) -> Check:
    def check(value: object) -> bool:
        try:
            return isinstance(value, str) and len(decode_base64(value, length)) == length
        except ValueError:
            return False

    return check


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_count(value: object) -> bool:
    """Tell whether a value is a whole number, zero or more."""
    return _is_int(value) and isinstance(value, int) and value >= 0


def _is_any_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def _list_of(check: Check, least: int = 0) -> Check:
    return lambda value: isinstance(value, list) and len(value) >= least and all(check(item) for item in value)


def _distinct(check: Check) -> Check:
    return lambda value: check(value) and isinstance(value, list) and len(set(value)) == len(value)


def _object_of(key: Check, check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(key(k) and check(v) for k, v in value.items())


def _fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    def check(value: object) -> bool:
        if not isinstance(value, dict) or not required.keys() <= value.keys():
            return False
        known = {**required, **(optional or {})}
        return all(name not in known or known[name](item) for name, item in value.items())

    return check


def _is_plain(value: object) -> bool:
    """Hashes, ids, codes, counts, claims and instants, and arrays and objects of them."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(is_code(key) and _is_plain(item) for key, item in value.items())
    return isinstance(value, bool) or _is_int(value) or is_token(value)


def _is_words(value: object) -> bool:
    return isinstance(value, dict) and all(
        word in OUTCOME_WORDS and is_count(count) and count for word, count in value.items()
    )


_is_bool: Check = lambda value: isinstance(value, bool)  # noqa: E731 - stands in the table beside its like
_KEY, _SIGNATURE = _is_base64(32), _is_base64(64)
_ORIGIN = _matches(ORIGIN)
_SCOPE, _ACTION = _is_any_of("row", "field"), _is_any_of("flag", "anonymise", "purge", "keep")
_QUOTED = _fields({"size": is_count, "root": is_hash})
_RULES = _distinct(_list_of(is_name, least=1))
_TARGET = _fields(
    {
        "dataset": is_name,
        "scope": _SCOPE,
        "action": _ACTION,
        "rules": _RULES,
        **dict.fromkeys(("due", "held", "blocked", "unanchored", "records"), is_count),
    }
)
_CLOCK = _fields({"synced": _either(_is_bool, _is_any_of("unknown"))}, {"skew_s": _is_int, "gap_s": _is_int})
_SIGNED = {"signature": _SIGNATURE, "actor_key": _KEY}


@dataclass(frozen=True, slots=True)
class EventType:
    """The fields of one type of event, beside those that every line has."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)
    is_open: bool = False
    """Whether further fields may be written, of hashes, ids, codes, counts and claims."""


TYPES: Mapping[str, EventType] = {
    "genesis": EventType(
        {
            "origin": _ORIGIN,
            "hash": _is_any_of("sha256"),
            "public_key": _KEY,
            "tool": _matches(_TOOL),
        },
        {"follows": _fields({"origin": _ORIGIN, "size": is_count, "root": is_hash})},
    ),
    "run_start": EventType(
        {
            "mode": _is_any_of("plan", "apply", "sweep", "reconcile"),
            "tool": _matches(_TOOL),
            "config": is_hash,
            "register": _either(is_hash, is_count),
            "host": is_token,
            "clock": _CLOCK,
            "checkpoint": _QUOTED,
            "interrupted": _list_of(is_token),
        }
    ),
    "plan": EventType(
        {
            "plan": is_hash,
            "author": is_token,
            "approvals": is_count,
            "records": is_count,
            "targets": _list_of(_TARGET),
            "caps": _object_of(is_code, _is_plain),
            "holds": is_count,
        },
        {"growth_pct": _is_int},
    ),
    "approval": EventType({"plan": is_hash, "actor": is_token, "role": is_code, "expires": is_stamp}, _SIGNED),
    "mandate": EventType(
        {
            "mandate": is_hash,
            "rules": _RULES,
            "location": is_name,
            "max_records": is_count,
            "growth_pct": _is_int,
            "actor": is_token,
            "role": is_code,
            "expires": is_stamp,
        },
        _SIGNED,
    ),
    "plan_rejected": EventType({"plan": is_hash, "actor": is_token}),
    "mandate_revoked": EventType({"mandate": is_hash, "actor": is_token}),
    "intent": EventType(
        {
            "plan": is_hash,
            "batch": is_count,
            "rules": _RULES,
            "location": is_name,
            "dataset": is_name,
            "scope": _SCOPE,
            "action": _ACTION,
            "root": is_hash,
            "leaves": is_count,
        },
        {"data": _distinct(_list_of(is_name, least=1)), "mandate": is_hash},
    ),
    "receipt": EventType(
        {
            "plan": is_hash,
            "batch": is_count,
            "root": is_hash,
            "outcomes": lambda value: is_hash(value) or outcome_word(value) is not None,
            "counts": _is_words,
            "level": _is_any_of("logical", "physical"),
            "proof": is_code,
        },
        {"reconciled": lambda value: value is True},
    ),
    **dict.fromkeys(
        ("hold", "hold_release"),
        EventType(
            {"leaf": is_hash, "actors": _distinct(_list_of(is_token, least=1)), "reason": is_code, "active": is_count}
        ),
    ),
    "key_rotate": EventType(
        {"new_public_key": _KEY, "old_signature": _SIGNATURE, "new_signature": _SIGNATURE, "actor": is_token}
    ),
    "key_destroyed": EventType({"actor": is_token}, {"roots": _list_of(is_hash, least=1), "through": is_count}),
    "run_end": EventType(
        {
            "state": _is_any_of("complete", "partial", "aborted"),
            "code": _either(is_count, is_code),
            "totals": _is_words,
            "rules": _object_of(is_name, _is_words),
        }
    ),
    **dict.fromkeys(("config", "clock_accept", "recovered", "halt", "resume"), EventType({}, is_open=True)),
    **dict.fromkeys(("reapply", "restore", "attested"), EventType({"actor": is_token}, is_open=True)),
}


def outcome_word(outcome: object) -> str | None:
    """Return the word an outcome counts under, or None where it is none.

    ``purged``, ``failed:<code>`` or ``recoverable:<YYYY-MM-DD>``; the other words stand alone.
    """
    found = _OUTCOME.fullmatch(outcome) if isinstance(outcome, str) else None
    if found is None or found[1] not in OUTCOME_WORDS:
        return None
    word, detail = found.groups()
    if detail is None or word == "failed":
        return word
    return word if word == "recoverable" and is_stamp(f"{detail}T00:00:00Z") else None


def wrong_fields(event: Mapping[str, Any]) -> list[str]:
    """Return the fields of an event of a known type that are missing or hold what they cannot; extra ones pass."""
    form = TYPES[event["type"]]
    wrong = [name for name, check in form.required.items() if name not in event or not check(event[name])]
    return wrong + [name for name, check in form.optional.items() if name in event and not check(event[name])]


def unknown_fields(event: Mapping[str, Any]) -> list[str]:
    """Return the fields that may not be written: those the type does not have, or that could hold a person's data."""
    form = TYPES[event["type"]]
    extra = event.keys() - COMMON - form.required.keys() - form.optional.keys()
    return sorted(name for name in extra if not (form.is_open and is_code(name) and _is_plain(event[name])))
