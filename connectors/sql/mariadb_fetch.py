"""Rows from MariaDB and MySQL at speed: the server joins them into one text, which is split here.

pymysql is written in Python and takes several microseconds for each row; splitting one long text takes a fraction of
one. The first time a statement is seen, its rows come one by one, and the types of its columns are noted; from then on,
where there were many, they come as one text. A derived table keeps no order: the rows are put in order here, or by the
text's own ORDER BY. Invariant: the text is believed only where it has exactly as many parts as the server counted rows
times columns; else the rows are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Select, func, literal_column, select

from connectors.sql.backend import Row
from connectors.sql.mariadb_text import as_text

MANY = 200
"""From this many rows on one text is faster."""
_REMEMBERED = 500
_BREAK = "\x1f"
_ALL_ROWS = 1 << 62
"""A derived table with a limit is never merged into the statement around it, so that its locks are taken."""

# Field types of the protocol: https://mariadb.com/kb/en/result-set-packets/#field-types
_INTEGERS = frozenset({1, 2, 3, 8, 9, 13})
_DECIMALS = frozenset({0, 246})
_FLOATS = frozenset({4, 5})
_DATES = frozenset({7, 10, 11, 12, 14, 17, 18, 19})
_BIT = 16
_STRINGS = frozenset({15, 247, 248, 249, 250, 251, 252, 253, 254})
_JSON = 245
_NULL = 6
"""Of what is always NULL."""
_BINARY = 63
"""The character set of what is no text."""


def read_decimal(text: str) -> int | float | str:
    """Return a DECIMAL as ``connectors.sql.keys`` reads its text: one without decimals as int, any other as float where
    that is spelled the same, else as it is written."""
    if "." not in text:
        return int(text)
    number = float(text)
    return number if repr(number) == text else text


def read_bits(raw: bytes) -> int:
    """Return a BIT column's number."""
    return int.from_bytes(raw, "big")


DECODERS: dict[int, Callable[[Any], Any]] = (
    dict.fromkeys(_INTEGERS, int)
    | dict.fromkeys(_DECIMALS, read_decimal)
    | dict.fromkeys(_FLOATS, float)
    | {_BIT: read_bits}
)
"""How the driver reads the server's texts: dates stay text, so that none is an error."""

Decode = Callable[[list[str]], list[Any]]


@dataclass
class _Shape:
    """What is known of a statement."""

    types: tuple[tuple[int, int], ...]
    """Of each column the field type and the character set."""
    is_many: bool = False
    is_joinable: bool = True


@dataclass
class Fetcher:
    """Fetches for one location; remembers the shapes of statements."""

    many: int = MANY
    _shapes: dict[Hashable, _Shape] = field(default_factory=dict)

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """See ``Backend.fetch``."""
        if not isinstance(statement, Select):
            return [tuple(row) for row in connection.execute(statement)]
        cache_key = statement._generate_cache_key()  # noqa: SLF001 - what SQLAlchemy knows its compiled statements by
        name: Hashable = None if cache_key is None else cache_key.key
        shape = None if name is None else self._shapes.get(name)
        if shape is not None and shape.is_many and shape.is_joinable:
            rows = _fetch_joined(connection, statement, shape.types)
            if rows is not None:
                return rows
            shape.is_joinable = False
        result = connection.execute(statement)
        fields = result.cursor._result.fields  # noqa: SLF001 - pymysql tells the character set nowhere else
        types = tuple((each.type_code, each.charsetnr) for each in fields)
        found = [tuple(row) for row in result]
        if name is not None and shape is None:
            if len(self._shapes) >= _REMEMBERED:
                self._shapes.clear()
            shape = self._shapes[name] = _Shape(types, is_joinable=all(_is_joinable(code) for code, _ in types))
        if shape is not None:
            shape.is_many = len(found) >= self.many
        return found


def _is_joinable(code: int) -> bool:
    return code in DECODERS or code in _DATES or code in _STRINGS or code in {_JSON, _NULL}


def _fetch_joined(
    connection: Connection, statement: Select[Any], types: tuple[tuple[int, int], ...]
) -> list[Row] | None:
    """Return the rows by way of one text; None where that cannot be trusted."""
    if statement._limit_clause is None:  # noqa: SLF001 - a limit of the statement's own stays
        statement = statement.limit(_ALL_ROWS)
    inner = statement.subquery("ropa_rows")
    columns = list(inner.c)
    order = _order(statement)
    if len(columns) != len(types) or order is None:
        return None
    is_sorted_here = all(types[place][0] in _INTEGERS for place in order)
    parts, decoders = zip(*(_part(column, *each) for column, each in zip(columns, types, strict=True)), strict=True)
    listed: list[ColumnElement[Any]] = []
    for part in parts:
        listed += [part, literal_column(f"'{_BREAK}'")]
    listed.pop()
    if not is_sorted_here:
        listed[-1] = listed[-1].op("ORDER BY", precedence=5)(columns[order[0]])
        listed += [columns[place] for place in order[1:]]
    listed[-1] = listed[-1].op("SEPARATOR")(literal_column(f"'{_BREAK}'"))
    count, text = connection.execute(select(func.count(), func.group_concat(*listed)).select_from(inner)).one()
    if not count:
        return []
    width = len(types)
    pieces = text.split(_BREAK) if isinstance(text, str) else []
    if len(pieces) != count * width:
        return None
    rows: list[Row] = list(zip(*(decode(pieces[place::width]) for place, decode in enumerate(decoders)), strict=True))
    if order and is_sorted_here:
        try:
            rows.sort(key=itemgetter(*order))
        except TypeError:  # NULLs, which the server knows how to put in order
            return None
    return rows


def _order(statement: Select[Any]) -> list[int] | None:
    """Return the places of the columns that rows are to be ordered by, ascending; None where that cannot be told."""
    places = {id(column): place for place, column in enumerate(statement.selected_columns)}
    found = [places.get(id(clause)) for clause in statement._order_by_clauses]  # noqa: SLF001 - nothing public tells it
    return None if None in found else [place for place in found if place is not None]


def _part(column: ColumnElement[Any], code: int, charset: int) -> tuple[ColumnElement[Any], Decode]:
    """Return how a column is written into the text, NULL as nothing at all, and how that is read."""
    nothing: ColumnElement[Any] = literal_column("''")
    if code == _NULL:
        return nothing, lambda texts: [None] * len(texts)
    if code in _STRINGS or code == _JSON:
        mark: ColumnElement[Any] = literal_column("'='")
        if charset == _BINARY and code != _JSON:
            return func.ifnull(func.concat(mark, func.hex(column)), nothing), _read_bytes
        return func.ifnull(func.concat(mark, as_text(column)), nothing), _read_texts
    if code in _DATES:
        return func.ifnull(column, nothing), _read_dates
    written = column.op("+")(literal_column("0")) if code == _BIT else column
    read = int if code == _BIT else DECODERS[code]
    return func.ifnull(written, nothing), _reader(read)


def _read_bytes(texts: list[str]) -> list[Any]:
    return [bytes.fromhex(text[1:]) if text else None for text in texts]


def _read_texts(texts: list[str]) -> list[Any]:
    return [text[1:] if text else None for text in texts]


def _read_dates(texts: list[str]) -> list[Any]:
    return [text or None for text in texts] if "" in texts else texts


def _reader(read: Callable[[Any], Any]) -> Decode:
    def decode(texts: list[str]) -> list[Any]:
        if "" in texts:
            return [read(text) if text else None for text in texts]
        return list(map(read, texts))

    return decode
