"""Keys in a statement as a derived table, ``SELECT 0 AS pos, … AS k0 UNION ALL …``: needs no right but to read.

Invariants: a key that no record of the column can have is left out, and never becomes another by being cut or rounded
to the column's type. Text and bytes are bound; numbers and GUIDs, which are digits and nothing else, are written, so
that a batch does not run into the limit of parameters (2,100 on SQL Server).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import ColumnElement, Subquery, bindparam, cast, false, literal_column, null, select, types, union_all
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.type_api import TypeEngine

from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.generic_catalogue import GenericColumn, native_of
from connectors.sql.generic_statements import KEYS
from connectors.sql.keys import Values

MOST_BOUND = 1000
"""Bound values of one table of keys: two of them fit into a statement of SQL Server, with conditions beside."""
MOST_ROWS = 2000
"""Rows of one table of keys."""
_TOGETHER = 200
"""Selects in one UNION ALL; more are nested (SQLite takes 500)."""
_DIGITS = 38
"""The most that SQL Server and Oracle take."""


def key_sources(slot: str, columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]) -> list[Subquery]:
    """Return tables with columns ``pos``, ``k0``, ``k1`` … of the keys: one, or as many as the limits ask for."""
    carriers = [_carriers(column, [values[n] for _, values in keys]) for n, column in enumerate(columns)]
    rows: list[tuple[int, tuple[ColumnElement[Any], ...]]] = []
    for (pos, _), parts in zip(keys, zip(*carriers, strict=True), strict=True):
        if all(part is not None for part in parts):
            rows.append((pos, parts))
    found: list[Subquery] = []
    part: list[tuple[int, tuple[ColumnElement[Any], ...]]] = []
    count = 0
    for pos, parts in rows:
        bounds = sum(isinstance(getattr(p, "clause", p), BindParameter) for p in parts)
        if part and (count + bounds > MOST_BOUND or len(part) >= MOST_ROWS):
            found.append(_source(slot, columns, part))
            part, count = [], 0
        part.append((pos, parts))
        count += bounds
    if part or not found:
        found.append(_source(slot, columns, part))
    return found


def placeholder(slot: str, columns: Sequence[TableColumn]) -> Subquery:
    """Return an empty table of keys, to stand in a statement for several."""
    return _source(slot, columns, [])


def _source(
    slot: str, columns: Sequence[TableColumn], rows: Sequence[tuple[int, tuple[ColumnElement[Any], ...]]]
) -> Subquery:
    selects = [
        select(literal_column(str(pos)).label("pos"), *(part.label(f"k{n}") for n, part in enumerate(parts)))
        for pos, parts in rows
    ]
    name = f"{slot}{KEYS}"
    if not selects:
        none = [_cast(null(), column).label(f"k{n}") for n, column in enumerate(columns)]
        return select(literal_column("0").label("pos"), *none).where(false()).subquery(name)
    groups = [selects[n : n + _TOGETHER] for n in range(0, len(selects), _TOGETHER)]
    if len(groups) == 1:
        return union_all(*selects).subquery(name) if len(selects) > 1 else selects[0].subquery(name)
    outer = []
    for n, group in enumerate(groups):
        inner = (union_all(*group) if len(group) > 1 else group[0]).subquery(f"{slot}{n}{KEYS}")
        outer.append(select(*inner.c))
    return union_all(*outer).subquery(name)


def _carriers(column: TableColumn, values: Sequence[object]) -> list[ColumnElement[Any] | None]:
    if column.kind is Kind.NUMBER:
        return _numbers(values)
    if column.kind is Kind.TEXT:
        return _texts(column, values)
    return [_other(column, value) for value in values]


def _numbers(values: Sequence[object]) -> list[ColumnElement[Any] | None]:
    read: list[object] = []
    for value in values:
        if isinstance(value, int | float) or value is None:
            read.append(int(value) if isinstance(value, bool) else value)
            continue
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            read.append(None)
        else:
            read.append(number if number.is_finite() and _fits(number) else None)
    scale = max((-int(v.as_tuple().exponent) for v in read if isinstance(v, Decimal)), default=0)
    exact = types.Numeric(_DIGITS, max(scale, 0))
    found: list[ColumnElement[Any] | None] = []
    for value in read:
        if value is None:
            found.append(None)
        elif isinstance(value, int):
            found.append(literal_column(str(value)))
        elif isinstance(value, float):
            found.append(cast(bindparam(None, value, type_=types.Double(), unique=True), types.Double()))
        else:
            found.append(cast(bindparam(None, value, type_=exact, unique=True), exact))
    return found


def _fits(number: Decimal) -> bool:
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and len(digits) + abs(exponent) <= _DIGITS


def _texts(column: TableColumn, values: Sequence[object]) -> list[ColumnElement[Any] | None]:
    texts = [value if isinstance(value, str) else None if value is None else str(value) for value in values]
    found = column.found if isinstance(column, GenericColumn) else types.NullType()
    collation = getattr(found, "collation", None)
    # As long as the longest of them: none is cut to the length of the column, where it might be another's key. SQL
    # Server and Oracle count what UTF-16 has.
    length = max((len(text.encode("utf-16-le", "surrogatepass")) // 2 for text in texts if text), default=1)
    made: TypeEngine[Any] = types.Unicode(length, collation=collation)
    if isinstance(found, types.CHAR | types.NCHAR):
        made = types.NCHAR(max(length, found.length or 1), collation=collation)
    return [
        None if text is None or "\0" in text else cast(bindparam(None, text, type_=types.Unicode(), unique=True), made)
        for text in texts
    ]


def _other(column: TableColumn, value: object) -> ColumnElement[Any] | None:
    native = native_of(value, column.kind)
    if native is None:
        return None
    if isinstance(native, uuid.UUID):
        return _cast(literal_column(f"'{native}'"), column)
    if isinstance(native, bytes) and column.length is not None and len(native) > column.length:
        return None
    found = column.found if isinstance(column, GenericColumn) else types.NullType()
    if column.kind in {Kind.OTHER, Kind.ANY, Kind.ADDRESS}:
        return _cast(bound(native), column)
    return _cast(bindparam(None, native, type_=found, unique=True), column)


def _cast(element: ColumnElement[Any], column: TableColumn) -> ColumnElement[Any]:
    found = column.found if isinstance(column, GenericColumn) else types.NullType()
    return element if isinstance(found, types.NullType) or column.kind is Kind.ANY else cast(element, found)
