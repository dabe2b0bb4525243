"""What one statement tells of a table of which nothing is selected: the usual night of the usual table.

Invariant: it is asked with conditions that hold for every record that is meant (``conditions.Question``), so none of
them means none; wherever a record might be meant, and of every key that the database itself does not keep apart, it
tells nothing, and the listing decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    and_,
    case,
    column,
    exists,
    func,
    literal_column,
    not_,
    select,
    table,
)
from sqlalchemy.sql.elements import quoted_name

from connectors.sql.anchors import is_own
from connectors.sql.backend import Backend, Dates, Dating
from connectors.sql.catalogue import Kind, TableColumn
from connectors.sql.conditions import ask
from connectors.sql.layout import Declared, Layout
from ropa.connector import Before, Selection, Tally

_DatesOf = Callable[[TableColumn, Dating], Dates]
_Kind = tuple[type[Backend], Kind, Dating, Before, int]
"""Of two places on one engine the same question has the same statement."""
_Compiled = tuple[str, tuple[Any, ...]]
"""A statement and its values, in order."""

_TABLE, _COLUMN, _ALIAS = "ropa table", "ropa column", "ropa due"
"""Stand in a statement that is made once for many tables of a kind; the first two until they are named."""
_NAMES = re.compile(f'"({_TABLE}|{_COLUMN})"')
_MOST_KNOWN = 256
_KNOWN: dict[_Kind, _Compiled | None] = {}
"""A night asks with few different days."""


def is_whole(selection: Selection) -> bool:
    """Tell whether a listing asks for all records that are due, so that a plan will ask for the counts as well."""
    asks_dates = selection.check_anchors and not selection.undated and bool(selection.before)
    return selection.keys is None and selection.parents is None and asks_dates


def survey(connection: Connection, selection: Selection, layout: Layout, backend: Backend) -> Tally | None:
    """Return what a listing would tell that finds nothing, where it is certain that it does and that no record is
    without a date either; None otherwise. Of tables of more than ``Backend.most_surveyed`` rows nothing is told."""
    declared = layout.declared(selection.dataset)
    if not (backend.most_surveyed and is_whole(selection) and declared.is_key_unique):
        return None
    found = _counts_of_plain(connection, selection, declared, backend)
    if found is None:
        due = ask(selection, layout, backend)
        undated = ask(replace(selection, before=(), undated=True), layout, backend)
        limits = [*due.hinted(), *due.conditions]
        if not limits or not undated.conditions:
            return None
        statement = _statement(due.own, limits, undated.own, list(undated.conditions), backend.most_surveyed)
        (found,) = backend.fetch(connection, statement)
    population, doubtful = found
    # No row: there is something due, or nothing at all; either way the listing tells it at once.
    if doubtful or not 0 < population <= backend.most_surveyed:
        return None
    return Tally(population, 0)


def _statement(
    due: FromClause,
    limits: list[ColumnElement[bool]],
    undated: FromClause,
    conditions: list[ColumnElement[bool]],
    most: int,
) -> Select[int, int]:
    """Return the statement that counts all rows and those without a date, or none where there is something due."""
    one: ColumnElement[int] = literal_column("1")
    is_any: Select[Any] = select(one).select_from(due).where(*limits)
    rows: Select[Any] = select(case((and_(*conditions), one)).label("undated")).select_from(undated)
    part = rows.where(not_(exists(is_any))).limit(most + 1).subquery()
    return select(func.count(), func.count(part.c.undated))


def _counts_of_plain(
    connection: Connection, selection: Selection, declared: Declared, backend: Backend
) -> tuple[int, int] | None:
    """Return the counts where nothing is asked but one date of the dataset's own; None where more is.

    Most rules are such, and to make their statement anew for each table would take as long as to answer it.
    """
    if selection.match or selection.exclude or selection.fields or len(selection.before) != 1:
        return None
    before = selection.before[0]
    anchor = declared.spec.anchors.get(before.anchor)
    if anchor is None or len(anchor.parts) != 1 or set(selection.anchors) - {before.anchor}:
        return None
    part = anchor.parts[0]
    found = declared.table.column(part.column)
    if found is None or not is_own(part, declared):
        return None
    dating = Dating(declared.spec.zone, part.form, selection.zone, selection.now)
    kind = type(backend), found.kind, dating, before, backend.most_surveyed
    known = _known_statement(kind, backend.dates, connection.dialect)
    if known is None:
        return None
    sql, values = known
    quoted = connection.dialect.identifier_preparer.quote_identifier
    names = {_TABLE: quoted(declared.table.own_name or declared.table.name), _COLUMN: quoted(found.name)}
    row = connection.exec_driver_sql(_NAMES.sub(lambda name: names[name[1]], sql), values).one()
    return row[0], row[1]


def _known_statement(key: _Kind, dates_of: _DatesOf, dialect: Dialect) -> _Compiled | None:
    if key not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = _nameless_statement(key, dates_of, dialect)
    return _KNOWN[key]


def _nameless_statement(key: _Kind, dates_of: _DatesOf, dialect: Dialect) -> _Compiled | None:
    """Return the statement for any table with a column of this kind, still without their names; None where it has to
    be asked otherwise."""
    _engine, kind, dating, before, most = key
    dates = dates_of(TableColumn(_COLUMN, "", kind), dating)
    own = table(quoted_name(_TABLE, quote=True), column(quoted_name(_COLUMN, quote=True)))
    again = own.alias(quoted_name(_ALIAS, quote=True))
    may_be_before = dates.may_be_before(again.c[_COLUMN], before)
    may_be_undated = dates.may_be_undated(own.c[_COLUMN])
    if may_be_before is None or may_be_undated is None:
        return None
    compiled = _statement(again, [may_be_before], own, [may_be_undated], most).compile(dialect=dialect)
    names = getattr(compiled, "positiontup", None)
    return None if names is None else (compiled.string, tuple(compiled.params[name] for name in names))
