"""The register as text: TOML for people, JSON for programs, one document for both, and the reference of every key.

Invariants: ``from_toml(to_toml(r)) == r`` and ``from_json(to_json(r)) == r``; the same register gives the same text, in
the order in which its entries were written; the digest does not depend on that order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from ropa.register.models import Activity, Register
from ropa.register.parse import SCHEMA, parse, parse_json
from ropa.register.specs import LISTS, SCALARS, Kind, Spec, default_of, specs
from ropa.vocabulary import UNKNOWN

_WIDE = 100
_HEADER = "Register of processing activities (GDPR Art. 30). Periods are not written here: they follow from the rules."


def to_data(register: Register, *, is_expanded: bool = False) -> dict[str, Any]:
    """Return the register as a document of tables, lists, texts, dates and truths, as the TOML has it.

    ``is_expanded``: data categories and controllers always as tables, never as a list of names, so that a path such as
    ``activity.intake.data.email.source`` can be set.
    """
    return _dump(register, is_expanded)


def to_toml(register: Register) -> str:
    """Return the register as readable TOML."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    data = to_data(register)
    document.add("organisation", _toml_table(data.pop("organisation"), Register, "organisation"))
    for name, entries in data.items():
        outer = tomlkit.table(is_super_table=True)
        for key, entry in entries.items():
            outer.add(key, _toml_table(entry, Register, name))
        document.add(name, outer)
    return tomlkit.dumps(document).rstrip("\n") + "\n"


def from_toml(text: str | bytes, name: str = "register.toml") -> Register:
    """Read what ``to_toml`` or a person wrote. Raises RegisterError with every problem at once."""
    return parse(text, name)


def to_json(register: Register, *, indent: int | None = 2) -> str:
    """Return the register as one JSON document, ``"schema": "ropa.register/1"``; dates are ``YYYY-MM-DD``."""
    return json.dumps({"schema": SCHEMA, **plain_data(register)}, ensure_ascii=False, indent=indent)


def from_json(text: str | bytes, name: str = "register.json") -> Register:
    """Read what ``to_json`` wrote. Raises RegisterError with every problem at once."""
    return parse_json(text, name)


def plain_data(register: Register) -> dict[str, Any]:
    """Return ``to_data`` with dates as text, as JSON has it."""
    found: dict[str, Any] = json.loads(json.dumps(to_data(register), default=date.isoformat, ensure_ascii=False))
    return found


def digest(register: Register) -> str:
    """Return ``sha256:`` and 64 hex digits over what the register says, whatever the order of its entries."""
    text = json.dumps(plain_data(register), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


# --- values to documents ------------------------------------------------------------------------------------------


def _dump(value: Any, is_expanded: bool) -> dict[str, Any]:
    kind = type(value)
    found: dict[str, Any] = {}
    is_processor = kind is Activity and value.role == "processor"
    for written, (name, spec) in specs(kind).items():
        inner = getattr(value, name)
        # A processor's record has no legal basis of its own (Art. 30(2)), so there is no gap to show.
        is_shown = spec.is_always_written and not (is_processor and name == "legal_basis")
        if is_shown or inner != default_of(kind, name):
            found[written] = _dump_value(inner, spec, is_expanded)
    return found


def _dump_value(value: Any, spec: Spec, is_expanded: bool) -> Any:
    if spec.kind in SCALARS:
        return value
    if spec.kind in LISTS:
        return list(value)
    if spec.kind is Kind.TABLE:
        return _dump(value, is_expanded)
    if spec.kind is Kind.TABLES:
        return [_dump(item, is_expanded) for item in value]
    if spec.kind is Kind.CONTACTS:
        is_short = not is_expanded and all(item == replace(type(item)(), name=item.name) for item in value)
        return [item.name if is_short else _dump(item, is_expanded) for item in value]
    tables = {key: _dump(item, is_expanded) for key, item in value.items()}
    if spec.kind is Kind.DATA and not is_expanded and not any(tables.values()):
        return list(tables)
    return tables


# --- documents to TOML --------------------------------------------------------------------------------------------


def _toml_table(data: Mapping[str, Any], kind: type[Any], written: str) -> Any:
    import tomlkit

    spec = specs(kind)[written][1]
    inner_kind = spec.table
    if inner_kind is None:
        raise TypeError(f"{written} is not a table")
    table = tomlkit.table()
    later: list[tuple[str, Any]] = []
    for key, value in data.items():
        is_nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict) for v in value))
        if is_nested:
            later.append((key, value))
        else:
            table.add(key, _toml_value(value))
    for key, value in later:
        table.add(key, _toml_nested(value, inner_kind, key))
    return table


def _toml_nested(value: Any, kind: type[Any], key: str) -> Any:
    import tomlkit

    if isinstance(value, list):
        array = tomlkit.aot()
        for item in value:
            array.append(_toml_table(item, kind, key))
        return array
    if specs(kind)[key][1].kind is Kind.DATA:
        outer = tomlkit.table(is_super_table=True)
        for name, item in value.items():
            outer.add(name, _toml_table(item, kind, key))
        return outer
    return _toml_table(value, kind, key)


def _toml_value(value: Any) -> Any:
    import tomlkit

    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(tomlkit.string(item) for item in value)
        return array.multiline(sum(len(item) + 4 for item in value) > _WIDE)
    return tomlkit.string(value) if isinstance(value, str) else tomlkit.item(value)


# --- the reference ------------------------------------------------------------------------------------------------


def reference() -> str:
    """Return the reference of every key of the register as Markdown: one section per table."""
    lines = ["# The register as text", "", "Unknown keys are errors. Where a fact is not known, write `unknown` if it"]
    lines += ["is among the words of the key, or leave the key out: both are findings of `ropa check`.", ""]
    for name, (_, spec) in specs(Register).items():
        header = f"[{name}]" if spec.kind is Kind.TABLE else f"[{name}.KEY]"
        lines += _reference_table(header, spec)
    return "\n".join(lines).rstrip("\n") + "\n"


def _reference_table(header: str, spec: Spec) -> list[str]:
    if spec.table is None:
        return []
    lines = [f"## `{header}`", "", spec.help, "", "| key | takes | default | means |", "|---|---|---|---|"]
    nested: list[tuple[str, Spec]] = []
    for written, (name, inner) in specs(spec.table).items():
        if inner.table is not None:
            nested.append((written, inner))
        default = default_of(spec.table, name)
        shown = "required" if inner.is_required else f"`{_shown(default)}`" if default not in (None, (), {}, "") else ""
        if inner.table is not None:
            shown = ""
        lines.append(f"| `{written}` | {_takes(inner)} | {shown} | {inner.help} |")
    lines.append("")
    stem = header.strip("[]")
    for written, inner in nested:
        path = f"{stem}.{written}"
        if inner.kind is Kind.TABLES or inner.kind is Kind.CONTACTS:
            lines += _reference_table(f"[[{path}]]", inner)
        else:
            lines += _reference_table(f"[{path}.CATEGORY]" if inner.kind is Kind.DATA else f"[{path}]", inner)
    return lines


def _takes(spec: Spec) -> str:
    if spec.choices is None:
        return spec.kind.value
    listed = ", ".join(f"`{word}`" for word in spec.choices())
    return f"{spec.kind.value}: {listed}"


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else UNKNOWN if value == UNKNOWN else str(value)
