"""Keys as a table for MariaDB and MySQL: one JSON document, bound as one value, which ``JSON_TABLE`` takes apart.

This needs no right but to read. Invariant: JSON_TABLE cuts what does not fit, without a word, and a cut key is another
record's; so no part is narrower than any value put into it, text that the column's character set cannot spell is left
out, and so is every value that no row of that column's type can hold.
"""

from __future__ import annotations

import ipaddress
import json
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, InvalidOperation
from itertools import count
from operator import itemgetter, ne
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column, select
from sqlalchemy.sql.functions import Function

from connectors.sql.backend import KeyTable
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.keys import Values
from connectors.sql.mariadb_catalogue import MariadbColumn
from connectors.sql.mariadb_text import WHOLE, as_text, converted

_LONGEST = 16_000
"""Characters: more do not fit into a VARCHAR of four bytes each; no key is longer (InnoDB: 3,072 bytes)."""
_WIDE = Context(prec=100)
"""A DECIMAL has up to 65 digits; more than Python counts with by default."""
_DIGITS = re.compile(r"0|[1-9][0-9]{0,19}")


def load_keys(slot: str, columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]) -> KeyTable:
    """Return keys as a table; see ``Backend.load_keys``."""
    sorts = [_sort(each) for each in columns]
    if len(sorts) == 1 and isinstance(sorts[0], _Integers) and (plain := _load_integers(slot, sorts[0], keys)):
        return plain
    rows = _written(sorts, keys)
    numbers = range(len(sorts))
    declared = ", ".join(
        f"k{n} {sort.declare([row[n + 1] for row in rows])} PATH '$[{n + 1}]'" for n, sort in enumerate(sorts)
    )
    document = bound(json.dumps(rows, ensure_ascii=False, separators=(",", ":")))
    path: ColumnElement[Any] = literal_column(f"'$[*]' COLUMNS (pos INT PATH '$[0]', {declared})")
    given = func.json_table(document, path).table_valued("pos", *(f"k{n}" for n in numbers), name=f"{slot}_given")
    parts = [sort.part(given.c[f"k{n}"]) for n, sort in enumerate(sorts)]
    whole = [sort.is_whole(given.c[f"k{n}"]) for n, sort in enumerate(sorts) if sort.is_whole is not None]
    listed = select(given.c.pos, *(part.label(f"k{n}") for n, part in enumerate(parts))).select_from(given)
    source: Any = listed.where(and_(*whole)).subquery(f"{slot}_keys") if whole else None
    if source is None:
        if all(sort.is_plain for sort in sorts):
            return KeyTable(given, given.c.pos, tuple(given.c[f"k{n}"] for n in numbers))
        source = listed.subquery(f"{slot}_keys")
    return KeyTable(source, source.c.pos, tuple(source.c[f"k{n}"] for n in numbers))


def _load_integers(slot: str, sort: _Integers, keys: Sequence[tuple[int, Values]]) -> KeyTable | None:
    """Load nearly every key of nearly every table: whole numbers in one column, counted from 0 on. None: not such."""
    values: list[Any] = [value for _, (value,) in keys]
    if not values or set(map(type, values)) != {int} or any(map(ne, map(itemgetter(0), keys), count())):
        return None
    if min(values) < sort.bounds[0] or max(values) > sort.bounds[1]:
        return None
    columns: ColumnElement[Any] = literal_column(
        f"'$[*]' COLUMNS (pos FOR ORDINALITY, k0 {sort.declare(values)} PATH '$')"
    )
    given = func.json_table(bound(str(values)), columns).table_valued("pos", "k0", name=f"{slot}_keys")
    return KeyTable(given, given.c.pos - literal_column("1"), (given.c.k0,))


def _written(sorts: Sequence[_Sort], keys: Sequence[tuple[int, Values]]) -> list[list[Any]]:
    """Return keys as they stand in the document; those that no row can have are left out."""
    rows: list[list[Any]] = []
    for pos, values in keys:
        row: list[Any] = [pos]
        for sort, value in zip(sorts, values, strict=True):
            written = sort.write(value)
            if written is None:
                break
            row.append(written)
        else:
            rows.append(row)
    return rows


class _Sort(ABC):
    """How the values of one sort of column travel."""

    is_plain = True
    """Whether the part is the column of the document's table as it is."""
    is_whole: Callable[[ColumnElement[Any]], ColumnElement[bool]] | None = None

    @abstractmethod
    def write(self, value: object) -> object:
        """Return a value as it stands in the document, None where no row can have it."""

    @abstractmethod
    def declare(self, written: Sequence[Any]) -> str:
        """Return the type, wide enough for all of these."""

    def part(self, given: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what is compared with the column."""
        return given


class _Integers(_Sort):
    def __init__(self, bounds: tuple[int, int]) -> None:
        self.bounds = bounds

    def write(self, value: object) -> object:
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)  # past 63 bits a key's number comes as its text
        return value if type(value) is int and self.bounds[0] <= value <= self.bounds[1] else None

    def declare(self, written: Sequence[Any]) -> str:
        del written
        return "BIGINT UNSIGNED" if self.bounds[0] >= 0 else "BIGINT"


class _Decimals(_Sort):
    def __init__(self, digits: int, scale: int) -> None:
        self._digits, self._scale = digits, scale

    def write(self, value: object) -> object:
        try:
            number = Decimal(str(value))
            is_exact = number == number.quantize(Decimal(1).scaleb(-self._scale), context=_WIDE)
        except InvalidOperation:
            return None
        return format(number, "f") if is_exact and abs(number) < Decimal(10) ** (self._digits - self._scale) else None

    def declare(self, written: Sequence[Any]) -> str:
        del written
        return f"DECIMAL({self._digits}, {self._scale})"


class _Floats(_Sort):
    def write(self, value: object) -> object:
        return float(value) if isinstance(value, int | float) else None

    def declare(self, written: Sequence[Any]) -> str:
        del written
        return "DOUBLE"


class _Texts(_Sort):
    def __init__(self, charset: str = WHOLE, collation: str | None = None) -> None:
        self._charset, self._collation = charset, collation
        if charset != WHOLE:
            self.is_plain, self.is_whole = False, self._survives

    def write(self, value: object) -> object:
        return value if isinstance(value, str) and len(value) <= _LONGEST else None

    def declare(self, written: Sequence[Any]) -> str:
        # In few sizes, so that statements stay the same from batch to batch.
        longest = max(map(len, written), default=0)
        size = next(size for size in (36, 64, 255, 768, 3072, _LONGEST) if longest <= size)
        own = f" COLLATE {self._collation}" if self.is_plain and self._collation else ""
        return f"VARCHAR({size}) CHARACTER SET {WHOLE}{own}"

    def part(self, given: ColumnElement[Any]) -> ColumnElement[Any]:
        if self.is_plain:
            return given
        text = converted(given, self._charset)
        return text.op("COLLATE")(literal_column(self._collation)) if self._collation else text

    def _survives(self, given: ColumnElement[Any]) -> ColumnElement[bool]:
        """Tell that the column's character set can spell it: else a question mark stands in its place."""
        back = as_text(converted(given, self._charset))
        return _cast(back, "BINARY") == _cast(given, "BINARY")


class _Bytes(_Sort):
    is_plain = False

    def write(self, value: object) -> object:
        return value.hex() if isinstance(value, bytes) and len(value) * 2 <= _LONGEST else None

    def declare(self, written: Sequence[Any]) -> str:
        longest = max(map(len, written), default=0)
        return f"VARCHAR({next(size for size in (32, 64, 512, 6144, _LONGEST) if longest <= size)}) CHARACTER SET ascii"

    def part(self, given: ColumnElement[Any]) -> ColumnElement[Any]:
        return func.unhex(given)


class _Named(_Sort):
    """What is written as text and has a type of its own."""

    is_plain = False

    def __init__(self, word: str, read: Callable[[str], object]) -> None:
        self._word, self._read = word, read

    def write(self, value: object) -> object:
        try:
            self._read(str(value))
        except ValueError:
            return None
        return str(value)

    def declare(self, written: Sequence[Any]) -> str:
        del written
        return "VARCHAR(64) CHARACTER SET ascii"

    def part(self, given: ColumnElement[Any]) -> ColumnElement[Any]:
        return _cast(given, self._word)


class _Moments(_Sort):
    def __init__(self, word: str) -> None:
        self._word = word

    def write(self, value: object) -> object:
        return value if isinstance(value, str) else None

    def declare(self, written: Sequence[Any]) -> str:
        del written
        return self._word


def _cast(given: ColumnElement[Any], word: str) -> ColumnElement[Any]:
    # Of SQLAlchemy's own CAST only types are known that MySQL had long ago.
    made: ColumnElement[Any] = Function("cast", given.op("AS")(literal_column(word)))
    return made


def _sort(named: TableColumn) -> _Sort:
    data_type = named.data_type if isinstance(named, MariadbColumn) else ""
    if named.bounds is not None:
        return _Integers(named.bounds)
    if data_type == "decimal":
        digits = int(named.type.partition("(")[2].partition(",")[0].partition(")")[0] or 10)
        return _Decimals(digits, (named.scale if isinstance(named, MariadbColumn) else None) or 0)
    if named.kind is Kind.NUMBER:
        return _Floats()
    if named.kind is Kind.BYTES:
        return _Bytes()
    if named.kind is Kind.UUID:
        return _Named("UUID", uuid.UUID)
    if named.kind is Kind.ADDRESS:
        return _Named(data_type.upper(), ipaddress.ip_address)
    if named.kind is Kind.DATE:
        return _Moments("DATE")
    if named.kind in {Kind.NAIVE, Kind.INSTANT}:
        return _Moments("DATETIME(6)")
    if isinstance(named, MariadbColumn) and named.charset:
        return _Texts(named.charset, named.collation)
    return _Texts()
