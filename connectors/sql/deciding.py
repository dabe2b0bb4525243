"""What a column is to hold when it is cleared or masked: decided from the catalogue, and by trying its CHECKs for real.

Invariant: decided once for a selection and a state of the schema, before a row is changed, and told as a problem where
there is nothing that type, length, uniqueness and every CHECK take. No right but to read is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice

from sqlalchemy import ColumnElement, Connection, TableClause, select

from connectors.sql.backend import Backend
from connectors.sql.blanks import Filler, constants, randoms, redactions
from connectors.sql.catalogue import Check, Kind, Table, TableColumn
from connectors.sql.constraints import constraints_of, forbids, may_constrain, violates
from connectors.sql.layout import Declared, Layout
from connectors.sql.masking import Change, Changes, named, texts_of
from ropa.connector import FieldChange, Mask, Selection

_SAMPLE = 200
"""So many rows are looked at to learn whether a check takes what a mask leaves."""
_KEEPING = frozenset({Mask.YEAR, Mask.TRUNCATE_IP})
_ALIKE = _KEEPING | {Mask.REDACT}
"""Of different values these may leave the same."""


def decide(
    selection: Selection,
    declared: Declared,
    layout: Layout,
    backend: Backend,
    *,
    own: TableClause,
    conditions: Sequence[ColumnElement[bool]],
) -> Changes:
    """Return how the fields of a selection are changed. ``conditions``: hold for every record that is meant.

    Raises KeyError for a column that does not exist.
    """
    if not selection.fields:
        return Changes()
    name = (declared.name, selection.fields, selection.match, selection.exclude, selection.before)
    known: Changes | None = layout.decisions.get(name)
    if known is None:
        known = _Decision(selection, declared, layout, backend, own=own, conditions=conditions).made()
        layout.decisions[name] = known
    return known


class _Decision:
    def __init__(
        self,
        selection: Selection,
        declared: Declared,
        layout: Layout,
        backend: Backend,
        *,
        own: TableClause,
        conditions: Sequence[ColumnElement[bool]],
    ) -> None:
        self._selection = selection
        self._declared = declared
        self._table = declared.table
        self._layout = layout
        self._backend = backend
        self._own = own
        self._conditions = conditions
        self._problems: list[str] = []

    def made(self) -> Changes:
        """Return the decision."""
        texts = texts_of(self._declared.spec.options)
        choices: list[list[Filler]] = []
        changes: list[Change] = []
        for field in self._selection.fields:
            column = self._table.column(field.column)
            if column is None:
                raise KeyError(field.column)
            refusal = refused(self._table, column, field, self._layout, self._declared.key)
            fillers = list(_fillers(self._table, column, field.mask, self._layout)) if refusal is None else []
            if refusal is None and not fillers:
                refusal = _nothing(self._table, column, field.mask)
            if refusal is not None:
                self._problems.append(refusal)
            choices.append(fillers or [Filler(column.kind, None)])
            identifiers = self._known(texts.get(column.name, ())) if field.mask is Mask.REDACT else ()
            changes.append(Change(column, field.mask, choices[-1][0], self._table.is_loose, identifiers))
        if not self._problems:
            changes = self._tried(changes, choices)
        renewed = {column.name for column in self._table.columns if column.renews_itself}
        anchors = tuple(name for name in self._layout.anchored(self._table.name) if name in renewed)
        beside = self._beside(texts, changes)
        self._problems += _alike(self._table, [*changes, *beside])
        return Changes(tuple(changes), beside, tuple(self._problems), anchors)

    def _known(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if self._table.column(name) is not None)

    def _beside(self, texts: dict[str, tuple[str, ...]], changes: Sequence[Change]) -> tuple[Change, ...]:
        """Return the texts in which values of the changed columns may occur, and that are not changed themselves."""
        changed = {change.column.name for change in changes}
        found = []
        for name, identifiers in texts.items():
            column = self._table.column(name)
            if column is None or name in changed or not changed.intersection(identifiers):
                continue
            refusal = refused(self._table, column, FieldChange(name, Mask.REDACT), self._layout, self._declared.key)
            if refusal is not None:
                self._problems.append(refusal)
                continue
            filler = next(iter(_fillers(self._table, column, Mask.REDACT, self._layout)), Filler(column.kind, None))
            found.append(Change(column, Mask.REDACT, filler, self._table.is_loose, self._known(identifiers)))
        return tuple(found)

    # --- the checks, for real ---

    def _tried(self, changes: list[Change], choices: list[list[Filler]]) -> list[Change]:
        """Return the changes with the first fillers that every check takes."""
        names = {change.column.name for change in changes}
        if not may_constrain(self._table):
            return changes
        with ExitStack() as stack:
            connection = stack.enter_context(self._backend.reading())
            checks = [c for c in constraints_of(self._table, connection) if not c.columns or c.columns & names]
            passed: list[Check] = []
            for check in checks:
                found = self._passing(connection, changes, choices, check, passed)
                if found is None:
                    involved = [c.column.name for c in changes if not check.columns or c.column.name in check.columns]
                    self._problems.append(_forbidden(self._table, involved, check))
                else:
                    changes = found
                    passed.append(check)
            for change in changes:
                if change.mask in _KEEPING:
                    self._try_kept(connection, change, checks)
        return changes

    def _passing(
        self,
        connection: Connection,
        changes: list[Change],
        choices: list[list[Filler]],
        check: Check,
        earlier: Sequence[Check],
    ) -> list[Change] | None:
        """Return the changes, one of them with another filler where it must be, such that a check takes them; None
        where there are none."""
        if self._takes(connection, changes, check):
            return changes
        for place, change in enumerate(changes):
            if check.columns and change.column.name not in check.columns:
                continue
            for filler in choices[place][1:]:
                attempt = [*changes[:place], replace(change, filler=filler), *changes[place + 1 :]]
                if all(self._takes(connection, attempt, each) for each in (check, *earlier)):
                    return attempt
        return None

    def _takes(self, connection: Connection, changes: Sequence[Change], check: Check) -> bool:
        involved = [change for change in changes if not check.columns or change.column.name in check.columns]
        if not involved or (check.is_of_constants and any(change.filler.is_random for change in involved)):
            return True
        if len(involved) == 1 and check.columns == {involved[0].column.name}:
            # No row has a say in that: what is allowed today is so tomorrow.
            return not forbids(connection, self._table, check, involved[0].column.name, involved[0].filler.value)
        replaced = {c.column.name: c.expression(self._own.c[c.column.name]) for c in involved}
        return not violates(connection, self._table, check, self._own, replaced=replaced, conditions=self._conditions)

    def _try_kept(self, connection: Connection, change: Change, checks: Sequence[Check]) -> None:
        """Try what a mask leaves of some of the values that there are."""
        name = change.column.name
        for check in checks:
            if check.columns != {name}:
                continue
            column = self._own.c[name]
            statement = select(column).where(change.may_be_pending(column), *self._conditions).distinct().limit(_SAMPLE)
            with self._backend.snapshot(connection):
                rows = self._backend.fetch(connection, statement)
            left = {change.changed(row[0]) for row in rows}
            if any(forbids(connection, self._table, check, name, value) for value in left):
                self._problems.append(_forbidden(self._table, [name], check))


def _fillers(table: Table, column: TableColumn, mask: Mask, layout: Layout) -> Iterator[Filler]:
    """Yield what may stand in a column afterwards, what is to be preferred first; CHECKs have yet to be tried."""
    is_unique = table.is_differing(column.name)
    if mask is Mask.REDACT:
        yield from redactions(column)
        return
    if mask is Mask.RANDOM:
        yield from islice(randoms(column), 100)
        return
    if column.is_nullable:
        yield Filler(column.kind, None)
    if any(column.name in link.child_columns for link in layout.links_from(table.name)):
        return
    yield from randoms(column) if is_unique else constants(column)


def refused(table: Table, column: TableColumn, field: FieldChange, layout: Layout, key: tuple[str, ...]) -> str | None:
    """Return why a column cannot be changed that way at all, as one sentence; None where nothing stands against it."""
    what, mask = named(table.name, column.name), field.mask
    if column.is_computed:
        return f"{what} is computed by the database and cannot be changed"
    if column.name in key or column.name in table.key:
        return f"{what} is part of the key and cannot be changed"
    if any(column.name in link.parent_columns for links in layout.links_to(table.name).values() for link in links):
        return f"{what} is what other rows refer to and cannot be changed"
    if any(column.name in link.child_columns for link in layout.links_from(table.name)):
        if mask is not Mask.CLEAR or not column.is_nullable:
            return f"{what} refers to another table: it can only be cleared, and only where it may be NULL"
        return None
    if not _takes_mask(column, mask, is_loose=table.is_loose):
        return f"{what} is of type {column.type or 'any'!r}, so it cannot take the mask {mask.value!r}"
    is_unique = table.is_unique(column.name) or column.name in table.differing
    if mask in _ALIKE and is_unique:
        return f'{what} is unique and cannot hold the same value twice; use mask "random" instead of {mask.value!r}'
    return None


def _alike(table: Table, changes: Sequence[Change]) -> Iterator[str]:
    """Yield which masked columns are unique together with others, where two rows could become the same by that: none of
    these is emptied or drawn at random as well, and those left alone need not differ."""
    by_name = {change.column.name: change for change in changes}
    for unique in (columns for columns in table.uniques if len(columns) > 1):
        masked = [by_name[name] for name in sorted(unique & by_name.keys())]
        kept = unique - by_name.keys()
        if any(change.mask not in _ALIKE for change in masked) or any(other <= kept for other in table.uniques):
            continue
        for change in masked:
            with_others = " and ".join(repr(name) for name in sorted(unique - {change.column.name}))
            yield (
                f"{named(table.name, change.column.name)} is unique together with {with_others}, and two rows could "
                f'become the same; use mask "random" or "clear" instead of {change.mask.value!r}'
            )


def _takes_mask(column: TableColumn, mask: Mask, *, is_loose: bool) -> bool:
    kind = column.kind
    if mask is Mask.REDACT:
        return kind is Kind.TEXT
    if mask is Mask.RANDOM:
        return kind in {Kind.TEXT, Kind.UUID, Kind.BYTES}
    if is_loose:
        return True
    if mask is Mask.YEAR:
        return kind in {Kind.TEXT, Kind.NUMBER, Kind.DATE, Kind.NAIVE, Kind.INSTANT, Kind.ANY}
    if mask is Mask.TRUNCATE_IP:
        return kind in {Kind.TEXT, Kind.BYTES, Kind.ADDRESS, Kind.ANY}
    return True


def _nothing(table: Table, column: TableColumn, mask: Mask) -> str:
    what = named(table.name, column.name)
    if mask is Mask.CLEAR or mask in _KEEPING:
        why = (
            "is unique, and no random value fits"
            if table.is_differing(column.name)
            else "has no value that stands for nothing, and none fits"
        )
        return f"{what} may not be NULL and {why} its type {column.type!r}, so it cannot be cleared"
    return f"{what} is too short for the mask {mask.value!r}"


def _forbidden(table: Table, columns: Sequence[str], check: Check) -> str:
    what = " and ".join(map(repr, columns))
    return f"column {what} of {table.name!r}: the constraint {check.name!r} forbids everything it could be changed to"
