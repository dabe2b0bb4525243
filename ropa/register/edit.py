"""Changing a register: pure functions from one register to the next, checked as strictly as a text is.

Invariant: a change that cannot be read back from text cannot be made; the register given in is never altered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ropa.errors import Problem, RegisterError
from ropa.register.models import Register
from ropa.register.parse import from_data
from ropa.register.specs import LISTS, Kind, Spec, specs
from ropa.register.text import plain_data, to_data

KINDS = ("activity", "recipient", "cookie", "category")
"""What an entry can be, besides ``organisation``."""


def add(register: Register, entry: str, values: Mapping[str, Any]) -> Register:
    """Return the register with a new entry (``recipient.courier``). Raises RegisterError: it exists or is not sound."""
    document = to_data(register, is_expanded=True)
    kind, key = _split(entry)
    entries = document.setdefault(kind, {})
    if kind == "organisation" or key in entries:
        raise _refused(entry, "is there already; edit it instead")
    entries[key] = {}
    _set_all(entries[key], values, entry)
    return from_data(document, entry)


def edit(register: Register, entry: str, values: Mapping[str, Any]) -> Register:
    """Return the register with keys of an entry set.

    ``values``: key path within the entry (``legal_basis``, ``data.birth-date.source``) to a value; None takes the key
    out. Raises RegisterError: no such entry, no such key, or a value that is not sound.
    """
    document = to_data(register, is_expanded=True)
    _set_all(_entry(document, entry), values, entry)
    return from_data(document, entry)


def end(register: Register, key: str, on: date, replaced_by: str | None = None) -> Register:
    """Return the register with an activity ended; it stays in the record, with its date and what took its place.

    Raises RegisterError: no such activity, ended already, or replaced by an activity that is not there or by itself.
    """
    entry = f"activity.{key}"
    found = register.activities.get(key)
    if found is None:
        raise _absent(register, entry)
    if found.status == "ended":
        raise _refused(entry, "has ended already")
    if replaced_by is not None and (replaced_by == key or replaced_by not in register.activities):
        raise _refused(f"{entry}.replaced_by", "must be the key of another activity of the register")
    return edit(register, entry, {"status": "ended", "ended_on": on, "replaced_by": replaced_by})


def remove(register: Register, entry: str) -> Register:
    """Return the register without an entry. Raises RegisterError: no such entry, or an activity that is no draft.

    Activities are ended, not removed: ended processings are kept with their end date.
    """
    document = to_data(register, is_expanded=True)
    _entry(document, entry)
    kind, key = _split(entry)
    if kind == "organisation":
        raise _refused(entry, "cannot be removed")
    if kind == "activity" and register.activities[key].status != "draft":
        raise _refused(entry, "is ended, not removed: the record keeps ended processings with their end date")
    del document[kind][key]
    return from_data(document, entry)


def read_value(entry: str, path: str, text: str) -> Any:
    """Return what a typed text means for a key: lists are separated by ``;``, truths are true or false.

    Raises RegisterError for a key that does not exist or holds tables. The value itself is checked when it is set.
    """
    spec = _spec_of(entry, path)
    if spec.kind in LISTS or spec.kind in {Kind.DATA, Kind.CONTACTS}:
        items = [part.strip() for part in text.split(";") if part.strip()]
        return {item: {} for item in items} if spec.kind is Kind.DATA else items
    if spec.kind is Kind.FLAG:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if spec.kind is Kind.COUNT:
        return int(text) if text.strip().isdecimal() else text
    if spec.table is not None:
        raise _refused(f"{entry}.{path}", "holds a table; name a key in it")
    return text


# --- differences --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two registers."""

    path: str
    """Key path, ``activity.intake.legal_basis``."""
    before: Any
    """As in JSON; None: was not there."""
    after: Any
    """As in JSON; None: is no longer there."""


def differences(before: Register, after: Register) -> list[Change]:
    """Return what differs, by key path; lists are compared as a whole, tables key by key."""
    first, second = plain_data(before), plain_data(after)
    # A kind without entries is not written; those that come are told one by one all the same.
    nothing: dict[str, Any] = {kind: {} for kind in (*first, *second)}
    return _differences(nothing | first, nothing | second, "")


def _differences(before: Any, after: Any, path: str) -> list[Change]:
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Change(path, before, after)]
    found = []
    for key in [*before, *(key for key in after if key not in before)]:
        found += _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    return found


# --- paths --------------------------------------------------------------------------------------------------------


def _split(entry: str) -> tuple[str, str]:
    kind, _, key = entry.partition(".")
    if (kind == "organisation" and not key) or (kind in KINDS and key):
        return kind, key
    raise RegisterError(
        f"{entry}: is not an entry",
        (Problem(entry, f"an entry is organisation or {', '.join(f'{kind}.KEY' for kind in KINDS)}"),),
    )


def _entry(document: dict[str, Any], entry: str) -> dict[str, Any]:
    kind, key = _split(entry)
    entries = document if kind == "organisation" else document.get(kind, {})
    found: dict[str, Any] | None = entries.get(key or kind)
    if found is None:
        raise _absent_among(entry, document.get(kind, {}))
    return found


def _set_all(table: dict[str, Any], values: Mapping[str, Any], entry: str) -> None:
    for path, value in values.items():
        *stem, last = path.split(".")
        inner = table
        for part in stem:
            step = inner.setdefault(part, {})
            if not isinstance(step, dict):
                raise _refused(f"{entry}.{path}", "leads into something that is not a table")
            inner = step
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value


def _spec_of(entry: str, path: str) -> Spec:
    kind, _ = _split(entry)
    spec = specs(Register)[kind][1]
    parts = path.split(".")
    while parts:
        table = spec.table
        known = specs(table) if table is not None else {}
        part = parts.pop(0)
        if part not in known:
            from ropa.config.problems import guess

            raise RegisterError(
                f"{entry}.{path}: is not a known key",
                (Problem(f"{entry}.{path}", "is not a known key", guess(part, known)),),
            )
        spec = known[part][1]
        if spec.kind is Kind.DATA and parts:
            parts.pop(0)
            if not parts:
                raise _refused(f"{entry}.{path}", "holds a table; name a key in it")
    return spec


def _refused(path: str, message: str) -> RegisterError:
    return RegisterError(f"{path}: {message}", (Problem(path, message),), next_step="Nothing was changed.")


def _absent(register: Register, entry: str) -> RegisterError:
    return _absent_among(entry, register.activities)


def _absent_among(entry: str, among: Mapping[str, Any]) -> RegisterError:
    from ropa.config.problems import guess

    kind, _, key = entry.partition(".")
    meant = guess(key, among)
    suggestion = f"{kind}.{meant}" if meant else None
    return RegisterError(
        f"{entry}: is not in the register",
        (Problem(entry, "is not in the register", suggestion),),
        next_step="See `ropa register list`.",
    )
