"""Columns of PostgreSQL: what a type holds, and what the connector must know of it beyond that.

Invariant: a domain is what it is made of, with the domain's own NOT NULL and CHECK; a type that is not known here is
``Kind.OTHER``, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sql.catalogue import Kind, TableColumn

KINDS = {
    "int2": Kind.NUMBER,
    "int4": Kind.NUMBER,
    "int8": Kind.NUMBER,
    "oid": Kind.NUMBER,
    "numeric": Kind.NUMBER,
    "float4": Kind.NUMBER,
    "float8": Kind.NUMBER,
    "text": Kind.TEXT,
    "varchar": Kind.TEXT,
    "bpchar": Kind.TEXT,
    "name": Kind.TEXT,
    "char": Kind.TEXT,
    "citext": Kind.TEXT,
    "bytea": Kind.BYTES,
    "bool": Kind.BOOLEAN,
    "date": Kind.DATE,
    "timestamp": Kind.NAIVE,
    "timestamptz": Kind.INSTANT,
    "uuid": Kind.UUID,
    "inet": Kind.ADDRESS,
    "cidr": Kind.ADDRESS,
}
"""By the name of a type of PostgreSQL itself (and of the extension citext)."""

_BOUNDS = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
    "oid": (0, 2**32 - 1),
}
_HEADER = 4
"""What a length is greater by in ``atttypmod``."""


@dataclass(frozen=True, slots=True)
class PostgresColumn(TableColumn):
    """A column, with its type as a statement names it."""

    castable: str = "pg_catalog.text"
    """The type behind a domain, without length or scale, quoted, with its schema."""
    sort: str = ""
    """Its name, for the types of PostgreSQL itself; ``citext``, ``enum``; empty for others."""


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """One row of pg_type."""

    schema: str
    name: str
    castable: str
    is_domain: bool
    is_enum: bool
    is_tellable: bool
    """See ``TableColumn.is_tellable``."""
    base: int
    modifier: int
    is_required: bool
    labels: tuple[str, ...]


def column_of(
    name: str,
    shown: str,
    oid: int,
    modifier: int,
    types: Mapping[int, TypeInfo],
    *,
    is_nullable: bool,
    is_computed: bool,
    expression: str = "",
) -> PostgresColumn:
    """Return a column. ``oid``, ``modifier``: ``atttypid`` and ``atttypmod``; ``shown``: the type as written."""
    info, is_domain = types[oid], types[oid].is_domain
    while info.is_domain:
        modifier = info.modifier if modifier < 0 else modifier
        is_nullable = is_nullable and not info.is_required
        info = types[info.base]
    sort = info.name if info.schema == "pg_catalog" or info.name == "citext" else ""
    details: dict[str, Any] = {}
    if sort in {"varchar", "bpchar"} and modifier > _HEADER:
        details["length"] = modifier - _HEADER
    elif sort == "name":
        details["length"] = 63
    elif sort == "numeric" and modifier > _HEADER and not (modifier - _HEADER) & 0x7FF:
        digits = 10 ** (((modifier - _HEADER) >> 16) & 0xFFFF) - 1
        details["bounds"] = (-digits, digits)
    elif sort in _BOUNDS:
        details["bounds"] = _BOUNDS[sort]
    return PostgresColumn(
        name=name,
        type=shown,
        kind=KINDS.get(sort, Kind.OTHER),
        is_nullable=is_nullable,
        is_computed=is_computed,
        is_tellable=info.is_tellable and not (is_domain and info.is_enum),  # which has no operator of its own
        expression=expression,
        castable=info.castable,
        sort="enum" if info.is_enum else sort,
        labels=info.labels,
        **details,
    )
