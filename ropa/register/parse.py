"""From a document (TOML, JSON or an edit) to a register, strictly: every problem is gathered and reported at once.

Invariants: an unknown key is an error, never ignored; nothing is guessed, only suggested; a message names keys and
bounds and never a value. Bounds are checked before anything is parsed (``ropa.config.bounds``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from ropa.clock import parse_period
from ropa.config import bounds
from ropa.config.problems import KeyPath, Problems
from ropa.errors import Problem, RegisterError
from ropa.register.models import SESSION, Register
from ropa.register.specs import Kind, Spec, specs
from ropa.vocabulary import UNKNOWN, iso_countries, meant_country

SCHEMA = "ropa.register/1"
LONGEST_TEXT = 2000
"""Characters; a line of the written text then stays within the bound on reading."""
LONGEST_LIST = 500
MOST_ENTRIES = 5000
"""Of one kind."""
_ENTRY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_CATEGORY = re.compile(r"[a-z0-9][a-z0-9:_-]{0,62}", re.ASCII)
_LONGEST_COOKIE = 200
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OLDEST = 120


def parse(text: bytes | str, name: str = "register.toml") -> Register:
    """Read a register text in TOML. Raises RegisterError with every problem: ``name`` and line where it is no TOML."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return from_data(bounds.parse_toml(data, name, RegisterError), name)


def parse_json(text: bytes | str, name: str = "register.json") -> Register:
    """Read a register in JSON, as ``to_json`` writes it. Raises RegisterError with every problem."""
    if len(text) > 4 * bounds.MAX_BYTES:
        raise _broken(name, f"is larger than {4 * bounds.MAX_BYTES:,} bytes")
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as failure:
        line = getattr(failure, "lineno", None)
        raise _broken(name, f"line {line}: is not JSON" if line else "is not JSON with each key once") from None
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise _broken(name, f'is not a register: "schema" must be "{SCHEMA}"')
    return from_data(document, name)


def from_data(document: Mapping[str, Any], name: str = "register") -> Register:
    """Build a register from a document of tables, lists, texts, dates and truths. Raises RegisterError."""
    if not document:
        raise _broken(name, "is empty: it says nothing, and nothing never means everything")
    problems = Problems()
    register: Register = _table(dict(document), Register, (), problems)
    if problems:
        found = problems.report(document)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise RegisterError(f"{name}: {count}", found, next_step="Mend the keys that are named; nothing was changed.")
    return register


def _broken(name: str, trouble: str) -> RegisterError:
    return RegisterError(
        f"{name}: {trouble}", (Problem(name, trouble),), next_step=f"Mend {name}; nothing was changed."
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


# --- tables -------------------------------------------------------------------------------------------------------


def _table(raw: Any, kind: type[Any], path: KeyPath, problems: Problems) -> Any:
    if not isinstance(raw, Mapping):
        problems.add(path, "must be a table")
        return kind()
    known = specs(kind)
    values: dict[str, Any] = {}
    for written in raw:
        if written not in known:
            problems.add((*path, written), "is not a known key", meant=written, among=known)
    for written, (name, spec) in known.items():
        if written in raw:
            value = _value(raw[written], spec, (*path, written), problems)
            if value is not None:
                values[name] = value
        elif spec.is_required:
            problems.add((*path, written), "is required")
    return kind(**values)


def _value(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> Any:
    if spec.kind in _READERS:
        return _READERS[spec.kind](raw, spec, path, problems)
    table = spec.table
    if table is None:
        raise TypeError(f"a field of kind {spec.kind} needs a table")
    if spec.kind is Kind.TABLE:
        return _table(raw, table, path, problems)
    if spec.kind in {Kind.TABLES, Kind.CONTACTS}:
        return _tables(raw, spec, table, path, problems)
    if spec.kind is Kind.DATA and isinstance(raw, list):
        return {key: table() for key in _names(raw, path, problems, _CATEGORY)}
    if not isinstance(raw, Mapping):
        problems.add(path, "must be a table of tables by key" + (" or a list" if spec.kind is Kind.DATA else ""))
        return None
    if len(raw) > MOST_ENTRIES:
        problems.add(path, f"has more than {MOST_ENTRIES:,} entries")
        return None
    for key in raw:
        _check_key(key, spec, (*path, key), problems)
    return {key: _table(inner, table, (*path, key), problems) for key, inner in raw.items()}


def _check_key(key: str, spec: Spec, path: KeyPath, problems: Problems) -> None:
    if spec.name == "cookie":
        if not key.strip() or len(key) > _LONGEST_COOKIE or _UNPRINTABLE.search(key) or "\n" in key:
            problems.add(path, f"a cookie's name is printable text of at most {_LONGEST_COOKIE} characters")
    elif (_CATEGORY if spec.kind is Kind.DATA or spec.name == "category" else _ENTRY).fullmatch(key) is None:
        problems.add(path, "a key has small letters, digits, - and _, 63 at most, and starts with no sign")
    elif spec.name == "recipient" and key in {"none", "own", UNKNOWN}:
        problems.add(path, "is a word with a meaning of its own and cannot be a recipient's key")


def _tables(raw: Any, spec: Spec, table: type[Any], path: KeyPath, problems: Problems) -> Any:
    if not isinstance(raw, list) or len(raw) > LONGEST_LIST:
        problems.add(path, f"must be a list of at most {LONGEST_LIST}")
        return None
    found = []
    for index, item in enumerate(raw):
        if spec.kind is Kind.CONTACTS and isinstance(item, str):
            name = _text(item, spec, (*path, index), problems)
            found.append(table(name=name or ""))
        else:
            found.append(_table(item, table, (*path, index), problems))
    return tuple(found)


# --- values -------------------------------------------------------------------------------------------------------


def _text(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> str | None:  # noqa: ARG001 - all readers alike
    if not isinstance(raw, str):
        problems.add(path, "must be text")
    elif not raw.strip():
        problems.add(path, "is blank; leave the key out or say what is meant")
    elif len(raw) > LONGEST_TEXT:
        problems.add(path, f"is longer than {LONGEST_TEXT:,} characters")
    elif _UNPRINTABLE.search(raw):
        problems.add(path, "has a control character in it")
    else:
        return raw
    return None


def _name(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> str | None:  # noqa: ARG001
    if isinstance(raw, str) and _ENTRY.fullmatch(raw):
        return raw
    problems.add(path, "must be the key of an entry: small letters, digits, - and _")
    return None


def _choice(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> str | None:
    among = spec.choices() if spec.choices else ()
    if isinstance(raw, str) and raw in among:
        return raw
    listed = ", ".join(among) if len(among) <= 12 else "a word of the vocabulary"
    problems.add(path, f"must be one of: {listed}", meant=raw, among=among)
    return None


def _date(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> date | None:  # noqa: ARG001
    if isinstance(raw, date) and not isinstance(raw, datetime):
        return raw
    if isinstance(raw, str) and _ISO_DATE.fullmatch(raw):
        try:
            return date.fromisoformat(raw)
        except ValueError:
            pass
    problems.add(path, "must be a date: YYYY-MM-DD, without a time")
    return None


def _flag(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> bool | None:  # noqa: ARG001
    if isinstance(raw, bool):
        return raw
    problems.add(path, "must be true or false")
    return None


def _count(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> int | None:  # noqa: ARG001
    if type(raw) is int and 0 <= raw <= _OLDEST:
        return raw
    problems.add(path, f"must be a whole number from 0 to {_OLDEST}")
    return None


def _country(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> str | None:  # noqa: ARG001
    if isinstance(raw, str) and (raw == UNKNOWN or raw in iso_countries()):
        return raw
    meant = meant_country(raw) if isinstance(raw, str) and len(raw) < LONGEST_TEXT else None
    problems.add(
        path,
        f'must be an ISO 3166-1 code of two capitals, or "{UNKNOWN}"',
        meant=meant,
        among=(meant,) if meant else (),
    )
    return None


def _period(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> str | None:
    if spec.kind is Kind.LIFETIME and raw in (SESSION, UNKNOWN):
        return str(raw)
    try:
        if isinstance(raw, str) and len(raw) > 64:
            raise ValueError("is too long for a period")  # noqa: TRY301 - reported like what parse_period finds
        parse_period(raw)
    except ValueError as error:
        problems.add(path, str(error))
        return None
    return str(raw)


def _texts(raw: Any, spec: Spec, path: KeyPath, problems: Problems) -> tuple[str, ...]:
    if not isinstance(raw, list) or len(raw) > LONGEST_LIST:
        problems.add(path, f"must be a list of at most {LONGEST_LIST} texts")
        return ()
    one = {Kind.TEXTS: _text, Kind.CHOICES: _choice, Kind.NAMES: _name}[spec.kind]
    found = [one(item, spec, (*path, index), problems) for index, item in enumerate(raw)]
    kept = tuple(item for item in found if item is not None)
    if len(set(kept)) < len(kept):
        problems.add(path, "names something twice")
    return kept


def _names(raw: list[Any], path: KeyPath, problems: Problems, form: re.Pattern[str]) -> list[str]:
    kept = []
    for index, item in enumerate(raw[:LONGEST_LIST]):
        if isinstance(item, str) and form.fullmatch(item):
            kept.append(item)
        else:
            problems.add((*path, index), "must be the key of a data category: small letters, digits, - and _")
    if len(raw) > LONGEST_LIST or len(set(kept)) < len(kept):
        problems.add(path, f"must be a list of at most {LONGEST_LIST} different categories")
    return kept


_READERS: Mapping[Kind, Any] = {
    Kind.TEXT: _text,
    Kind.NAME: _name,
    Kind.CHOICE: _choice,
    Kind.DATE: _date,
    Kind.FLAG: _flag,
    Kind.COUNT: _count,
    Kind.COUNTRY: _country,
    Kind.PERIOD: _period,
    Kind.LIFETIME: _period,
    Kind.TEXTS: _texts,
    Kind.NAMES: _texts,
    Kind.CHOICES: _texts,
}
