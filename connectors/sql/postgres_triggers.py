"""The code of functions of a database, with that of the functions they call, and whether it deletes rows.

Invariant: the doubt goes against deleting. ``DELETE FROM``, ``TRUNCATE`` and the ``THEN DELETE`` of a MERGE are taken
to do it; where a statement is put together as it runs, or in a language that is not the server's own, in literals too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from connectors.sql.postgres_queries import BODIES, FUNCTIONS

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


def code_of(text: str) -> str:
    """Return a text without its literals and comments."""
    return _NO_CODE.sub(lambda found: "''" if found["literal"] else " " if found["comment"] else found[0], text)


def is_deleting(code: str) -> bool:
    """Tell whether a statement deletes, or one in the code of a function."""
    return _DELETES.search(code) is not None


class Functions:
    """The functions of a database that are written in a language with a text, read when first asked about."""

    def __init__(self, ask: Callable[[str], list[Any]]) -> None:
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
            code = code_of(whole)
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
