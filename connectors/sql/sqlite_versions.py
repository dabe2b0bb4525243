"""Versions of rows in SQLite: a salted hash of one text that the database makes of a whole row.

Invariant: two rows have the same text only where every column holds the same value of the same type: it is a JSON
array, in which numbers, text and NULL are told apart; a real number, of which JSON would keep 15 digits, stands there
as SQLite quotes it, and a blob, which JSON cannot hold, in hexadecimal, each in an array of its own with a letter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, bindparam, case, func, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from connectors.sql.backend import Row
from connectors.sql.catalogue import Kind, Table
from connectors.sql.versions import are_same, hashed

_SORTS = frozenset({Kind.NUMBER, Kind.TEXT})
_MOST = 50
"""Arguments of a function; SQLite may be built to take no more than 100."""


class RowText(FunctionElement[Any]):
    """The text of a row, as an expression that ``sqlite_fetch`` knows again."""

    inherit_cache = True
    name = "row_text"

    def __init__(self, text: ColumnElement[Any], sorts: Mapping[ColumnElement[Any], Kind]) -> None:
        super().__init__(text)
        self.sorts = sorts
        """Columns of the row that hold nothing but whole or real numbers (NUMBER) or text (TEXT), NULL, and blobs."""


@compiles(RowText)
def _spell(element: RowText, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses.clauses[0], **options))


class RowTextVersions:
    """See ``connectors.sql.backend.RowVersions``."""

    def __init__(self, table: Table, salt: str, has_blobs: Callable[[], bool]) -> None:
        """``has_blobs``: whether a blob was met where there ought to be text; asked anew for each statement."""
        self._table = table
        self._salt = salt
        self._has_blobs = has_blobs

    def columns(self, own: FromClause) -> list[ColumnElement[Any]]:
        """See ``RowVersions.columns``: one text of all of them."""
        meets_blobs = bindparam("meets_blobs", callable_=self._has_blobs, type_=NullType(), unique=True)
        found: dict[ColumnElement[Any], Kind] = {own.c[column.name]: column.kind for column in self._table.columns}
        # What a table keeps has been made of the sort that is declared, if possible; a view may hold anything.
        sorts = {column: kind for column, kind in found.items() if self._table.kind == "table" and kind in _SORTS}
        plain = [c if sorts.get(c) is Kind.TEXT else _any(c, has_blobs=False) for c in found]
        whole = [_any(column, has_blobs=True) for column in found]
        return [RowText(case((meets_blobs, _arrays(whole)), else_=_arrays(plain)), sorts)]

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """See ``RowVersions.texts``."""
        return _texts(self._salt, rows)

    def are_same(self, rows: Sequence[Row], planned: Sequence[str]) -> list[bool]:
        """See ``RowVersions.are_same``."""
        return are_same(rows, planned, _texts)

    def whereabouts(self, own: FromClause, planned: Sequence[str]) -> ColumnElement[bool] | None:  # noqa: ARG002
        """See ``RowVersions.whereabouts``: content tells nothing of the place."""
        return None


def _any(value: ColumnElement[Any], *, has_blobs: bool) -> ColumnElement[Any]:
    cases: list[tuple[Any, Any]] = [(_text("real"), func.json_array(_text("r"), func.quote(value)))]
    if has_blobs:
        cases.append((_text("blob"), func.json_array(_text("b"), func.hex(value))))
    kind = func.typeof(value)
    return case(*((kind == name, found) for name, found in cases), else_=value)


def _text(word: str) -> ColumnElement[str]:
    return literal_column(f"'{word}'")


def _arrays(values: list[ColumnElement[Any]]) -> ColumnElement[Any]:
    found: ColumnElement[Any] = func.json_array(*values[:_MOST])
    return found if len(values) <= _MOST else found.op("||")(_arrays(values[_MOST:]))


def _texts(salt: str, rows: Sequence[Row]) -> list[str]:
    # What was fetched in one piece are bytes; text that is no UTF-8 has the same bytes again (``sqlite_fetch``).
    return hashed(salt, [text if type(text) is bytes else text.encode("utf-8", "surrogateescape") for (text,) in rows])
