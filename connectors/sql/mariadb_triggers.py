"""Triggers of MariaDB and MySQL, of every database that can be seen: one may set off another elsewhere.

Invariant: the doubt goes against deleting. A function that cannot be read counts as one that deletes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from connectors.sql.triggers import Trigger, deleting

SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")

_NO_CODE = re.compile(
    r"""(?P<literal>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")"""
    r"""|(?P<comment>--(?=\s|\Z)[^\n]*|#[^\n]*|/\*(?!M?!).*?\*/)|`(?:[^`]|``)*`""",
    re.DOTALL,
)
"""What stands in ``/*! … */`` is carried out, and is code."""
_DELETES = re.compile(r"(?<![\w$`])(?:DELETE|TRUNCATE|REPLACE(?!\s*\()|CALL)\b", re.IGNORECASE)
_INTO = re.compile(r"\b(?:INTO|INSERT|REPLACE|IGNORE)\s+[\w$.`]+\s*\(", re.IGNORECASE)
_CALLED = re.compile(r"(?P<schema>[\w$]+`?\s*\.\s*`?)?(?P<name>[\w$]+)`?\s*\(")
_TRIGGERS = (
    "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION, ACTION_STATEMENT"
    " FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA"
)
_FUNCTIONS = (
    "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES"
    " WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA NOT IN :schemas"
)
_WORDS = "SELECT FUNCTION FROM information_schema.SQL_FUNCTIONS UNION SELECT WORD FROM information_schema.KEYWORDS"
"""What may stand before a bracket and is none of somebody's functions (MariaDB 10.6 and later)."""
_VIEWS = "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN :schemas"


def read_triggers(
    connection: Connection, schemas: Sequence[str]
) -> Mapping[tuple[str, str], Sequence[tuple[str, str, bool]]]:
    """Return, by schema and table, the triggers with their event; whether on deletion they delete, or set off or call
    what might."""
    own = rows_of(connection, f"{_TRIGGERS} IN :schemas ORDER BY TRIGGER_NAME", schemas)
    gone: frozenset[tuple[Any, str]] = frozenset()
    if any(row[3] == "DELETE" for row in own):
        everywhere = rows_of(connection, f"{_TRIGGERS} NOT IN :schemas", SYSTEM)
        functions: dict[str, str] = defaultdict(str)
        for name, body in rows_of(connection, _FUNCTIONS, SYSTEM):
            functions[str(name).lower()] += "CALL;" if body is None else f"{_code_of(str(body))};"
        known = _known_words(connection)
        views = [(str(name), str(body or "")) for name, body in rows_of(connection, _VIEWS, SYSTEM)]
        read = [_trigger(row, functions, known, views) for row in everywhere]
        gone = frozenset((trigger.place, trigger.name) for trigger in deleting(read))
    found: dict[tuple[str, str], list[tuple[str, str, bool]]] = defaultdict(list)
    for schema, table, name, event, _ in own:
        deletes = event == "DELETE" and ((schema, table), name) in gone
        found[schema, table].append((name, event, deletes))
    return found


def _known_words(connection: Connection) -> frozenset[str]:
    """Return the server's own words; none where it does not tell them."""
    try:
        return frozenset(str(word).lower() for (word,) in connection.exec_driver_sql(_WORDS))
    except DBAPIError:
        return frozenset()


def _trigger(
    row: Sequence[Any], functions: Mapping[str, str], known: frozenset[str], views: Sequence[tuple[str, str]]
) -> Trigger:
    schema, table, name, event, body = row
    code = _with_called(_code_of(body), functions, known)
    return Trigger(
        (schema, table), _names_of(table, views), name, frozenset({event}), code, _DELETES.search(code) is not None
    )


def _code_of(body: str) -> str:
    """Return a text without its literals and comments."""
    return _NO_CODE.sub(lambda found: "''" if found["literal"] else " " if found["comment"] else found[0], body)


def _with_called(code: str, functions: Mapping[str, str], known: frozenset[str]) -> str:
    """Return the code of a trigger, and of the functions that it calls by name. Who may not execute one does not see
    that there is one: a name that is neither seen nor the server's own is such a one."""
    seen, codes, waiting = set[str](), list[str](), [code]
    while waiting:
        codes.append(waiting.pop())
        for found in _CALLED.finditer(_INTO.sub("(", codes[-1])):
            name = found["name"].lower()
            if name in functions and name not in seen:
                seen.add(name)
                waiting.append(functions[name])
            elif name not in functions and (found["schema"] or (known and name not in known)):
                codes.append("CALL;")
    return "\n".join(codes)


def _names_of(table: str, views: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the names by which a table is written to: its own, and those of views over it."""
    names, waiting = {table}, [table]
    while waiting:
        quoted = f"`{waiting.pop()}`"
        more = {name for name, body in views if quoted in body} - names
        names |= more
        waiting += more
    return frozenset(names)


def rows_of(connection: Connection, statement: str, schemas: Sequence[str]) -> list[tuple[Any, ...]]:
    """Ask the catalogue; ``schemas`` stands in the statement for these."""
    clause = text(statement).bindparams(bindparam("schemas", expanding=True))
    return [tuple(row) for row in connection.execute(clause, {"schemas": list(schemas)})]
