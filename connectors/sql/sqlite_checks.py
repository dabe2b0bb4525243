"""What an SQLite table demands of its rows and how columns are computed: the text of CREATE is its only catalogue.

Invariant: the expression is the database's own text, cut out between its parentheses; what stands in quotes or in a
comment never counts as a word of the language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.sql.catalogue import Check, named_in

_TOKENS = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<word>[^\W\d][\w$]*)|(?P<other>\d[\w.]*|\s+|.)""",
    re.DOTALL | re.VERBOSE,
)

_ORDER = re.compile(r"\s+(?:ASC|DESC)\s*\Z", re.IGNORECASE)


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


def read_computed(sql: str, columns: Sequence[str]) -> dict[str, str]:
    """Return by what columns are computed, from the statement that made their table."""
    known = {name.lower(): name for name in columns}
    found: dict[str, str] = {}
    column, last_word = "", ""
    start, depth, is_first = -1, 0, False
    for token in _TOKENS.finditer(sql):
        sort, text = token.lastgroup, token[0]
        if sort == "comment" or text.isspace():
            continue
        if sort == "other" and text == "(":
            depth += 1
            if depth == 2 and last_word == "as" and column:
                start = token.end()
            is_first = is_first or depth == 1
        elif sort == "other" and text == ")":
            depth -= 1
            if depth == 1 and start >= 0:
                found[column], start = sql[start : token.start()], -1
        elif depth == 1 and text == ",":
            column, is_first = "", True
        elif is_first and depth == 1:
            column, is_first = known.get(_bare(text).lower(), ""), False
        last_word = text.lower() if sort == "word" else ""
    return found


def read_outside(name: str, sql: str, columns: Sequence[str]) -> Check:
    """Return what holds of a row that can never be one too many for a unique index, from the statement that made it:
    it is none of the index's rows, or something of it is NULL."""
    parts, condition = list[str](), "true"
    start, depth = -1, 0
    for token in _TOKENS.finditer(sql):
        sort, text = token.lastgroup, token[0]
        if sort == "word" and depth == 0 and parts and text.lower() == "where":
            condition = sql[token.end() :]
            break
        if sort != "other":
            continue
        if text == "(" and (depth := depth + 1) == 1:
            start = token.end()
        elif (text == "," and depth == 1) or (text == ")" and (depth := depth - 1) == 0):
            parts.append(_ORDER.sub("", sql[start : token.start()]))
            start = token.end()
    is_outside = " OR ".join([f"NOT ({condition}\n)", *(f"({part}\n) IS NULL" for part in parts)])
    return Check(name, named_in([is_outside], columns), is_outside, is_of_constants=True)


def _bare(text: str) -> str:
    if text[0] in '"`':
        return text[1:-1].replace(text[0] * 2, text[0])
    return text[1:-1] if text[0] == "[" else text
