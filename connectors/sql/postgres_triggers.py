"""Triggers and rules of PostgreSQL, of all tables of the database, with the code of the functions that they call.

Invariant: the doubt goes against deleting. ``DELETE FROM``, ``TRUNCATE`` and the ``THEN DELETE`` of a MERGE are taken
to do it; where a statement is put together as it runs, or in a language that is not the server's own, in literals too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import compress
from typing import Any

from connectors.sql.postgres_queries import BODIES, FUNCTIONS, RULES, TRIGGERS, WRITTEN_BY
from connectors.sql.triggers import Trigger, deleting

_NO_CODE = re.compile(
    r"""(?P<literal>\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)"""
    r"""|(?P<comment>--[^\n]*|/\*.*?\*/)|"(?:[^"]|"")*\"""",
    re.DOTALL,
)
_DELETES = re.compile(r"\b(?:DELETE\s+FROM|TRUNCATE|THEN\s+DELETE)\b", re.IGNORECASE)
_DYNAMIC = re.compile(r"\b(?:EXECUTE|dblink\w*)\b", re.IGNORECASE)
_INTO = re.compile(r"\bINTO\s+[\w$.\"]+\s*\(", re.IGNORECASE)
_CALLED = re.compile(r"([\w$]+)\"?\s*\(")
_OWN = frozenset({"sql", "plpgsql"})
_RULED = {"2": "UPDATE", "3": "INSERT", "4": "DELETE"}
_Ask = Callable[[str], list[Any]]


def read_triggers(ask: _Ask) -> list[tuple[Trigger, bool]]:
    """Return triggers and rules, their tables by number (oid), and whether each deletes or sets off what does. No
    function is read where a deletion sets off nothing."""
    functions = Functions(ask)
    found: list[Trigger] = []
    triggers, rules = ask(TRIGGERS), ask(RULES)
    is_asked = any(on_delete for *_, on_delete, _, _ in triggers) or any(event == "4" for *_, event in rules)
    written_by: dict[int, list[tuple[int, str]]] = {}
    for oid, other, name in ask(WRITTEN_BY) if is_asked else ():
        written_by.setdefault(oid, []).append((other, name))
    for oid, table, name, function, *runs in triggers:
        events = frozenset(compress(("DELETE", "UPDATE", "INSERT"), runs))
        code, is_dynamic = functions.code(function) if is_asked else ("", False)
        names = _names_of(oid, table, written_by)
        found.append(Trigger(oid, names, name, events, code, _is_deleting(code), is_dynamic))
    for oid, table, name, is_instead, definition, event in rules:
        code = _code_of(definition)
        # What a rule puts in the place of the deletion, or beside it, is not what was planned.
        deletes = (is_instead and event == "4") or _is_deleting(code)
        names = _names_of(oid, table, written_by)
        found.append(Trigger(oid, names, f"rule {name}", frozenset({_RULED[event]}), code, deletes))
    gone = deleting(found)
    return [(trigger, trigger in gone) for trigger in found]


def _names_of(oid: int, name: str, written_by: Mapping[int, Sequence[tuple[int, str]]]) -> frozenset[str]:
    """Return the names by which a table or view is written to, its own among them."""
    names, seen, waiting = {name}, {oid}, [oid]
    while waiting:
        for other, other_name in written_by.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                names.add(other_name)
                waiting.append(other)
    return frozenset(names)


def _code_of(text: str) -> str:
    """Return a text without its literals and comments."""
    return _NO_CODE.sub(lambda found: "''" if found["literal"] else " " if found["comment"] else found[0], text)


def _is_deleting(code: str) -> bool:
    """Tell whether a statement deletes, or one in the code of a function."""
    return _DELETES.search(code) is not None


class Functions:
    """The functions of a database that are written in a language with a text, read when first asked about."""

    def __init__(self, ask: _Ask) -> None:
        self._ask = ask

    @cached_property
    def _found(self) -> list[Any]:
        return self._ask(FUNCTIONS)

    @cached_property
    def _codes(self) -> dict[int, tuple[str, bool]]:
        """Code by function, and whether it is all of the text because literals count."""
        bodies = dict(self._ask(BODIES)) if any(row[4] for row in self._found) else {}
        found = {}
        for oid, _, _, text, is_parsed, language in self._found:
            whole = bodies[oid] if is_parsed else text or ""
            code = _code_of(whole)
            is_dynamic = language not in _OWN or _DYNAMIC.search(code) is not None
            found[oid] = (whole, True) if is_dynamic else (code, False)
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in self._found:
            found.setdefault(str(row[2]).lower(), []).append(row[0])
        return found

    def code(self, function: int) -> tuple[str, bool]:
        """Return the code of a function and of all that it calls by name, and whether literals are part of it."""
        seen, waiting = {function}, [function]
        codes, is_dynamic = [], False
        while waiting:
            code, is_whole = self._codes.get(waiting.pop(), ("", False))
            codes.append(code)
            is_dynamic = is_dynamic or is_whole
            for name in {found.lower() for found in _CALLED.findall(_INTO.sub("(", code))}:
                more = [other for other in self._by_name.get(name, ()) if other not in seen]
                seen.update(more)
                waiting += more
        return "\n".join(codes), is_dynamic
