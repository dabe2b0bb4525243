"""Trying a CHECK before anything is changed, with the right to read only: its own expression is put to the database
over rows in which the changed columns are replaced.

Invariant: nothing is written; the expression comes from the catalogue, everything else is quoted or bound. What cannot
be tried (no right to call a function of the check, an error in evaluating it) counts as forbidden: rather refused when
planning than failed at night.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, case, literal_column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import quoted_name

from connectors.sql.catalogue import Check, Table, bound, named_in

_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\bVALUE\b", re.IGNORECASE)
_DEFINITION = re.compile(r"CHECK\s*\((.*)\)(?:\s+(?:NOT\s+VALID|NOT\s+ENFORCED))?\s*", re.IGNORECASE | re.DOTALL)


def may_constrain(table: Table) -> bool:
    """Tell whether ``constraints_of`` may have any."""
    return bool(table.checks or table.outside) or any(column.expression for column in table.columns)


def constraints_of(table: Table, connection: Connection) -> list[Check]:
    """Return what must hold of every row: the checks, and as checks what unique indexes and NOT NULL ask of computed
    columns. Each names also the columns that its computed ones are made of."""
    quoted = connection.dialect.identifier_preparer.quote_identifier
    computed = {column.name for column in table.columns if column.expression}
    found = [*table.checks, *table.outside]
    for column in table.columns:
        if column.expression and not column.is_nullable:
            name = f"NOT NULL of {column.name}"
            found.append(Check(name, frozenset({column.name}), f"{quoted(column.name)} IS NOT NULL"))
    for unique in table.uniques:
        if unique & computed:
            is_any_null = " OR ".join(f"{quoted(name)} IS NULL" for name in sorted(unique))
            name = f"UNIQUE of {', '.join(sorted(unique))}"
            found.append(Check(name, unique, is_any_null, is_of_constants=True))
    return [replace(check, columns=_with_sources(table, check.columns)) for check in found]


def _with_sources(table: Table, names: frozenset[str]) -> frozenset[str]:
    every, seen = [column.name for column in table.columns], frozenset[str]()
    while seen != names:
        seen = names
        names |= named_in([column.expression for column in table.columns if column.name in seen], every)
    return names


def violates(
    connection: Connection,
    table: Table,
    check: Check,
    own: FromClause,
    *,
    replaced: Mapping[str, ColumnElement[Any]],
    conditions: Sequence[ColumnElement[bool]],
) -> bool:
    """Tell whether a row that meets the conditions would break the check if these columns held that instead.

    ``own``: the table as ``replaced`` and ``conditions`` speak of it.
    """
    meant = [each for each in table.columns if not check.columns or each.name in check.columns]
    computed = [each for each in meant if each.expression]
    names = [each.name for each in meant if not each.expression]
    columns = [
        (replaced[name] if name in replaced else own.c[name]).label(quoted_name(name, quote=True)) for name in names
    ]
    rows = select(*columns).where(*conditions)
    for each in computed:
        # Computed anew, of what then stands in the others.
        seen = rows.subquery(quoted_name(table.own_name or table.name, quote=True))
        made: ColumnElement[Any] = literal_column(f"({each.expression})")
        rows = select(*seen.c, made.label(quoted_name(each.name, quote=True)))
    return _is_met(connection, _broken(table, check, rows))


def forbids(connection: Connection, table: Table, check: Check, column: str, value: object) -> bool:
    """Tell whether a check over that one column forbids a value, whatever rows there are."""
    # A row that is not there lends the column its type.
    none = table.plain().select().limit(literal_column("0")).subquery("ropa_none")
    one = select(literal_column("1").label("ropa_one")).subquery("ropa_one")
    joined = one.outerjoin(none, literal_column("1") == literal_column("1"))
    typed = case((literal_column("1") == literal_column("0"), none.c[column]), else_=bound(value))
    statement = select(typed.label(quoted_name(column, quote=True))).select_from(joined)
    return _is_met(connection, _broken(table, check, statement))


def _broken(table: Table, check: Check, rows: Select[Any]) -> Select[Any]:
    # Some checks name their table.
    seen = rows.subquery(quoted_name(table.own_name or table.name, quote=True))
    return select(literal_column("1")).select_from(seen).where(literal_column(f"NOT ({_expression(check)})")).limit(1)


def _is_met(connection: Connection, statement: Select[Any]) -> bool:
    try:
        return connection.execute(statement).first() is not None
    except DBAPIError:
        return True


def _expression(check: Check) -> str:
    """Return the condition alone; of a domain's check (PostgreSQL), which says VALUE, with the column's name in it."""
    found = _DEFINITION.fullmatch(check.expression.strip())
    if found is None or len(check.columns) != 1:
        return check.expression if found is None else found[1]
    (name,) = check.columns
    quoted = '"' + name.replace('"', '""') + '"'
    return _TOKENS.sub(lambda each: quoted if each[0].upper() == "VALUE" else each[0], found[1])
