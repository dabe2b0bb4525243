"""Keys as arrays in a statement: how a batch of them reaches PostgreSQL without a temporary table, and so without any
right but to read.

Each column of the keys is one array literal, cast to the type of the table's column without its modifier (a
``varchar(3)`` would cut a longer key to another one). Invariant: a key that the type cannot hold is left out, because
no record can have it; it neither raises nor matches another.
"""

from __future__ import annotations

import ipaddress
import math
import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, any_, cast, func
from sqlalchemy.types import NullType, UserDefinedType

from connectors.sql.backend import KeyTable
from connectors.sql.catalogue import TableColumn, bound
from connectors.sql.keys import Values
from connectors.sql.postgres_columns import PostgresColumn

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_NUMERIC = re.compile(r"-?\d{1,1000}(?:\.\d{1,1000})?|NaN|-?Infinity", re.ASCII)
_ODD_DATE = re.compile(
    r"(\d{4,6})-(\d\d)-(\d\d)(?:[ T](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:\+00|Z)?)?( BC)?", re.ASCII
)
"""As the server writes what no ``datetime`` holds."""
_TRUTHS: dict[object, str] = {True: "t", False: "f", "1": "t", "0": "f", "true": "t", "false": "f", "t": "t", "f": "f"}
_SPECIAL = re.compile(r'["\\]')
_LONGEST_NAME = 63


class Named(UserDefinedType[Any]):
    """A type by the name it has in a statement, for a cast; values pass as they are."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name."""
        return self.name


def typed(text: str, name: str) -> ColumnElement[Any]:
    """Return a text as a bound value of the named type."""
    return cast(bound(text), Named(name))


def key_table(slot: str, columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]) -> KeyTable:
    """Return keys (position, values) as a source that can be joined."""
    numbers = _plain_numbers(columns, keys)
    if numbers is not None:
        positions = [pos for pos, _ in keys]
        literals = [_literal_of_numbers(numbers)]
    else:
        spelled = _spelled(columns, keys)
        positions = [pos for pos, _ in spelled]
        literals = [array_literal([texts[place] for _, texts in spelled]) for place in range(len(columns))]
    arrays = [typed(_literal_of_numbers(positions), "pg_catalog.int4[]")]
    arrays += [typed(text, f"{_castable(column)}[]") for column, text in zip(columns, literals, strict=True)]
    names = ["pos", *(f"k{place}" for place in range(len(columns)))]
    # Only by this plain name does the server take several arrays at once.
    source = func.unnest(*arrays, type_=NullType()).table_valued(*names, name=f"{slot}_keys")
    source = source.render_derived(name=f"{slot}_keys")
    values = any_(arrays[1]) if len(columns) == 1 else None
    return KeyTable(source, source.c.pos, tuple(source.c[name] for name in names[1:]), values)


def array_literal(texts: Sequence[str]) -> str:
    """Return texts as the literal of an array (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)."""
    if not texts:
        return "{}"
    whole = '","'.join(texts)
    if "\\" in whole or whole.count('"') != 2 * (len(texts) - 1):
        whole = '","'.join([_SPECIAL.sub(r"\\\g<0>", text) for text in texts])
    return '{"' + whole + '"}'


def _literal_of_numbers(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _plain_numbers(columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]) -> list[int] | None:
    """Return the keys where all are one number within the bounds of its column, as nearly every table has them."""
    if len(columns) != 1 or not keys or columns[0].bounds is None or _sort(columns[0]) not in _INTEGERS:
        return None
    low, high = columns[0].bounds
    numbers: list[Any] = [values[0] for _, values in keys]
    is_plain = set(map(type, numbers)) == {int} and low <= min(numbers) and max(numbers) <= high
    return numbers if is_plain else None


def _spelled(columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the texts of the keys that there can be."""
    spellers = [_speller(column) for column in columns]
    found = []
    for pos, values in keys:
        texts = [spell(value) for spell, value in zip(spellers, values, strict=True)]
        if None not in texts:
            found.append((pos, tuple([text for text in texts if text is not None])))
    return found


def _sort(column: TableColumn) -> str:
    return column.sort if isinstance(column, PostgresColumn) else "text"


def _castable(column: TableColumn) -> str:
    return column.castable if isinstance(column, PostgresColumn) else "pg_catalog.text"


_INTEGERS = frozenset({"int2", "int4", "int8", "oid"})


def _speller(column: TableColumn) -> Callable[[object], str | None]:
    sort = _sort(column)
    if sort in _INTEGERS:
        low, high = column.bounds or (-(2**63), 2**63 - 1)
        return lambda value: _integer(value, low, high)
    if isinstance(column, PostgresColumn) and sort == "enum":
        labels = frozenset(column.labels)
        return lambda value: str(value) if str(value) in labels else None
    return _SPELLERS.get(sort, _text)


def _integer(value: object, low: int, high: int) -> str | None:
    return str(value) if type(value) is int and low <= value <= high else None


def _numeric(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return format(value, "f") if math.isfinite(value) and "e" in repr(value) else repr(value)
    text = str(value) if isinstance(value, int | str) else ""
    return text if _NUMERIC.fullmatch(text) else None


def _float(value: object) -> str | None:
    if isinstance(value, str):
        return value if value in {"NaN", "Infinity", "-Infinity"} else None
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    text = str(value) if isinstance(value, str | int | float) else "\0"
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in text else text


def _name(value: object) -> str | None:
    # Longer names are cut in silence by a cast.
    text = _text(value)
    return text if text is not None and len(text.encode()) <= _LONGEST_NAME else None


def _letter(value: object) -> str | None:
    text = _text(value)
    return text if text is not None and len(text.encode()) <= 1 else None


def _bytes(value: object) -> str | None:
    return "\\x" + value.hex() if isinstance(value, bytes) else None


def _truth(value: object) -> str | None:
    return _TRUTHS.get(value) if isinstance(value, bool | int | str) else None


def _uuid(value: object) -> str | None:
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def _moment(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if value in {"infinity", "-infinity"}:
        return value
    try:
        (datetime if "T" in value else date).fromisoformat(value)
    except ValueError:
        return value if _is_odd_date(value) else None
    return value


def _is_odd_date(text: str) -> bool:
    """Tell whether a text is a date before Christ or after the year 9999."""
    found = _ODD_DATE.fullmatch(text)
    if found is None or (len(found[1]) == 4 and found[4] is None):
        return False
    year = (1 - int(found[1]) if found[4] else int(found[1])) % 400 + 2000
    last = int(found[1]) <= (4713 if found[4] else 294276)
    return last and 1 <= int(found[2]) <= 12 and 1 <= int(found[3]) <= monthrange(year, int(found[2]))[1]


def _address(value: object) -> str | None:
    try:
        ipaddress.ip_interface(str(value))
    except ValueError:
        return None
    return str(value)


_SPELLERS: dict[str, Callable[[object], str | None]] = {
    "numeric": _numeric,
    "float4": _float,
    "float8": _float,
    "name": _name,
    "char": _letter,
    "bytea": _bytes,
    "bool": _truth,
    "uuid": _uuid,
    "date": _moment,
    "timestamp": _moment,
    "timestamptz": _moment,
    "inet": _address,
    "cidr": _address,
}
