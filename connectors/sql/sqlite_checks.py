"""The CHECK constraints of an SQLite table: it has no catalogue of them but the text of CREATE TABLE.

Invariant: the expression is the database's own text, cut out between its parentheses; what stands in quotes or in a
comment never counts as a word of the language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.sql.catalogue import Check

_TOKENS = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<word>[^\W\d][\w$]*)|(?P<other>\d[\w.]*|\s+|.)""",
    re.DOTALL | re.VERBOSE,
)


def read_checks(sql: str, columns: Sequence[str]) -> tuple[Check, ...]:
    """Return the checks of a table from the statement that made it."""
    if "check" not in sql.lower():
        return ()
    known = {name.lower(): name for name in columns}
    checks: list[Check] = []
    name, last_word = "", ""
    start, depth, named = -1, 0, set[str]()
    for token in _TOKENS.finditer(sql):
        sort, text = token.lastgroup, token[0]
        if sort == "comment" or text.isspace():
            continue
        if start >= 0:
            depth += {"(": 1, ")": -1}.get(text, 0) if sort == "other" else 0
            if sort in {"word", "name"} and (column := known.get(_bare(text).lower())) is not None:
                named.add(column)
            if depth == 0:
                checks.append(
                    Check(name or f"CHECK number {len(checks) + 1}", frozenset(named), sql[start : token.start()])
                )
                start, name, last_word, named = -1, "", "", set()
        elif text == "(" and last_word == "check":
            start, depth = token.end(), 1
        else:
            if last_word == "constraint" and sort in {"word", "name"}:
                name, last_word = _bare(text), ""
                continue
            if text == ",":
                name = ""
            last_word = text.lower() if sort == "word" else ""
    return tuple(checks)


def _bare(text: str) -> str:
    if text[0] in '"`':
        return text[1:-1].replace(text[0] * 2, text[0])
    return text[1:-1] if text[0] == "[" else text
