"""Fetching from SQLite: rows as the driver gives them, or, of the rows whose versions are asked, columns in one piece.

A value a row costs the driver as much as finding it costs SQLite, and each row is a switch between the two. So where
little more than the version is asked of each row, SQLite puts each column together to one text: while it does, other
threads of this process go on. Invariant: both ways give the same rows; what cannot be told from the text (a real
number, a blob, text that is no UTF-8) is fetched row by row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    Select,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError, OperationalError

from connectors.sql.backend import Row
from connectors.sql.catalogue import Kind
from connectors.sql.sqlite_versions import RowText

_FEW = 4
"""Columns beside the version, at most, of what is fetched in one piece."""
_SURE = frozenset({str, int, type(None)})


class Fetching:
    """How one open file is read; remembers that there are blobs where there ought to be text."""

    def __init__(self) -> None:
        self.has_blobs = False

    def rows(self, connection: Connection, statement: Executable) -> list[Row]:
        """Return all rows of a statement. Raises what the driver raises."""
        if not (isinstance(statement, Select) and any(isinstance(c, RowText) for c in statement.selected_columns)):
            return _lenient(connection, statement)
        knew = self.has_blobs  # another thread may learn it meanwhile
        try:
            return self._versions(connection, statement)
        except DBAPIError as error:
            if knew or "BLOB" not in str(error.orig):
                raise
        self.has_blobs = True
        return self._versions(connection, statement)

    def _versions(self, connection: Connection, statement: Select[Any]) -> list[Row]:
        columns = list(statement.selected_columns)
        is_plain = all(isinstance(column, RowText | ColumnClause) for column in columns)
        if is_plain and len(columns) <= 1 + _FEW and not self.has_blobs:
            found = _in_pieces(connection, statement, columns)
            if found is not None:
                return found
        return _lenient(connection, statement)


def raw_of(connection: Connection) -> Any:
    """Return the driver's own connection."""
    return connection.connection.dbapi_connection


def _in_pieces(connection: Connection, statement: Select[Any], columns: list[ColumnElement[Any]]) -> list[Row] | None:
    """Return the rows of a statement, fetched column by column; None where that cannot be done."""
    sorts: dict[ColumnElement[Any], Kind] = {}
    for column in columns:
        if isinstance(column, RowText):
            sorts |= column.sorts
    # In the order of the subquery: SQLite heeds it where the order shows.
    named = [column.label(f"c{number}") for number, column in enumerate(columns)]
    part = statement.with_only_columns(*named).subquery()
    newline: ColumnElement[str] = literal_column("char(10)")
    pieces, readers = [], []
    for column, piece in zip(columns, part.c, strict=True):
        is_text = isinstance(column, RowText)  # JSON, so without a newline of its own
        readers.append(_read_row_texts if is_text else _READERS.get(sorts.get(column), _read_values))
        pieces.append(func.group_concat(piece if is_text or column in sorts else func.json_quote(piece), newline))
    raw = raw_of(connection)
    usual, raw.text_factory = raw.text_factory, bytes
    try:
        counts = [
            func.count(),
            *(func.count(piece) for column, piece in zip(columns, part.c, strict=True) if column in sorts),
        ]
        (found,) = rows_of(connection.execute(select(*counts, *pieces).select_from(part)))
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DataError):  # longer than SQLite takes
            return None
        raise
    finally:
        raw.text_factory = usual
    count, texts = found[0], found[len(counts) :]
    if count == 0:
        return []
    # What is put together as it stands has a line less for each NULL, and more where a text has several.
    if any(number < count for number in found[: len(counts)]):
        return None
    try:
        values = [reader(text) for text, reader in zip(texts, readers, strict=True)]
    except ValueError:
        return None
    return list(zip(*values, strict=True)) if set(map(len, values)) == {count} else None


def _read_row_texts(piece: bytes) -> list[Any]:
    return piece.split(b"\n")


def _read_plain_texts(piece: bytes) -> list[Any]:
    return piece.decode().split("\n")


def _read_numbers(piece: bytes) -> list[Any]:
    """Return whole numbers. Raises ValueError where there is anything else."""
    if piece.strip(b"0123456789-\n"):
        raise ValueError
    return list(map(int, piece.split(b"\n")))


def _read_values(piece: bytes) -> list[Any]:
    """Return the values of a column. Raises ValueError where they cannot be told, also of text that is no UTF-8."""
    if piece.startswith(b'"') and piece.endswith(b'"') and b"\\" not in piece:
        values = piece[1:-1].decode().split('"\n"')
        if len(values) == piece.count(b"\n") + 1:
            return values
    found: list[Any] = json.loads(f"[{piece.decode()}]".replace("\n", ","))
    if not set(map(type, found)) <= _SURE:
        raise ValueError
    return found


_READERS: dict[Kind | None, Callable[[bytes], list[Any]]] = {
    Kind.NUMBER: _read_numbers,
    Kind.TEXT: _read_plain_texts,
}


def _lenient(connection: Connection, statement: Executable) -> list[Row]:
    """Return rows; text that is no UTF-8 is read all the same, and is the same text again."""
    try:
        return rows_of(connection.execute(statement))
    except OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    raw_of(connection).text_factory = _surrogates
    return rows_of(connection.execute(statement))


def rows_of(result: CursorResult[Any]) -> list[Row]:
    """Return rows as the driver gives them; SQLAlchemy's own row objects would cost as much as reading the row."""
    cursor = result.cursor
    if cursor is None:
        return []
    try:
        return list(cursor.fetchall())
    except sqlite3.Error as error:  # of a later row; of the first one SQLAlchemy says it
        raise DBAPIError.instance("", None, error, sqlite3.Error, hide_parameters=True) from None


def _surrogates(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
