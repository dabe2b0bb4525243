"""A ``Selection`` as SQL: the conjunction that ``find``, ``act`` and ``remaining`` all put to the database.

Invariant: no condition is ever unknown (SQL's third truth value): a NULL column fails ``values=("a",)`` and satisfies
it negated, so that NOT around a conjunction means what it says. Values are bound, never written into the statement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, TableClause, and_, false, not_, or_, select, tuple_

from connectors.sql.anchors import anchor_number, is_before, is_undated, prefilter, sargable
from connectors.sql.backend import Backend, KeyTable
from connectors.sql.catalogue import bound, columns_of
from connectors.sql.layout import Declared, Layout
from connectors.sql.masking import is_pending
from ropa.connector import Condition, Scalar, Selection
from ropa.errors import LocationError


@dataclass(frozen=True)
class Question:
    """A selection, ready to be put to the database."""

    declared: Declared
    own: TableClause
    """The dataset's table in the statement."""
    exact: tuple[ColumnElement[bool], ...]
    """The whole selection but for ``keys`` and ``parents``; decides alone."""
    hints: tuple[tuple[str, object], ...]
    """(column, limit): every selected record has ``column < limit``; adds nothing but speed."""
    anchors: tuple[ColumnElement[int], ...]
    """The numbers of ``Selection.anchors``."""

    @property
    def key(self) -> list[ColumnElement[Any]]:
        """The key columns."""
        return columns_of(self.own, self.declared.key)

    def conditions(self, backend: Backend, *, is_indexed: bool) -> list[ColumnElement[bool]]:
        """Return every condition; ``is_indexed``: whether the hints may lead the database to an index."""
        columns = [(self.own.c[name], limit) for name, limit in self.hints]
        return [
            *(sargable(c if is_indexed else backend.unhinted(c), limit) for c, limit in columns),
            *self.exact,
        ]


def ask(selection: Selection, layout: Layout, backend: Backend) -> Question:
    """Prepare a selection. Raises LocationError when it names a table or column that does not exist."""
    declared = layout.declared(selection.dataset)
    own = declared.table.plain()
    try:
        return _ask(selection, declared, layout, own, backend)
    except KeyError as error:
        msg = f"location {layout.location}: dataset {declared.name} has no column or anchor {error.args[0]!r}"
        raise LocationError(msg, code="missing", next_step="Run `ropa check` and correct the configuration.") from None


def _ask(selection: Selection, declared: Declared, layout: Layout, own: TableClause, backend: Backend) -> Question:
    named = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
    numbers = {
        name: anchor_number(
            declared.spec.anchors[name], declared, own, layout=layout, selection=selection, backend=backend
        )
        for name in named
    }
    exact = [satisfied(own.c[condition.column], condition) for condition in selection.match]
    exact += [
        not_(and_(*(satisfied(own.c[c.column], c) for c in conditions))) if conditions else false()
        for conditions in selection.exclude
    ]
    if selection.fields:
        exact.append(or_(*(is_pending(own, declared.table, change, backend) for change in selection.fields)))
    hints: dict[tuple[str, object], None] = {}
    if selection.check_anchors and selection.undated:
        exact.append(or_(*(is_undated(number) for number in numbers.values())) if numbers else false())
    elif selection.check_anchors:
        for name, number in numbers.items():
            exact.append(is_before(number, [before for before in selection.before if before.anchor == name]))
        for before in selection.before:
            if (hint := prefilter(declared.spec.anchors[before.anchor], before, declared)) is not None:
                hints[hint] = None
    return Question(declared, own, tuple(exact), tuple(hints), tuple(numbers[name] for name in selection.anchors))


def satisfied(column: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
    """Return a condition on a column, true or false for every row (``ropa.connector.Condition``)."""
    values = [bound(spelling) for value in condition.values if value is not None for spelling in _spellings(value)]
    is_null_wanted = None in condition.values
    # NULL first, so that the comparison, which would be unknown for it, never decides alone.
    is_one_of = and_(column.is_not(None), column.in_(values)) if values else false()
    if is_null_wanted:
        is_one_of = or_(column.is_(None), is_one_of)
    return not_(is_one_of) if condition.negated else is_one_of


def _spellings(value: Scalar) -> Sequence[object]:
    """Return the values of the database that a configured value equals; none for what no column can hold."""
    if isinstance(value, bool):
        return [int(value)]
    if isinstance(value, datetime):
        plain = [value.isoformat(sep, "seconds") for sep in " T"]
        utc = (
            [value.astimezone(UTC).replace(tzinfo=None).isoformat(sep, "seconds") for sep in " T"]
            if value.tzinfo
            else []
        )
        return [*plain, *utc, *(f"{text}Z" for text in utc)]
    if isinstance(value, date):
        return [value.isoformat(), *(f"{value.isoformat()}{sep}00:00:00" for sep in " T")]
    if isinstance(value, float):
        return [] if math.isnan(value) else [value]
    if isinstance(value, int):
        return [value if -(2**63) <= value < 2**63 else float(value)]
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return []
    return [value]


def is_one_of(columns: list[ColumnElement[Any]], keys: KeyTable) -> ColumnElement[bool]:
    """Return the condition that these columns hold one of the loaded keys."""
    if len(columns) == 1:
        return columns[0].in_(select(keys.parts[0]))
    return tuple_(*columns).in_(select(*keys.parts))


def joined(columns: list[ColumnElement[Any]], keys: KeyTable, backend: Backend) -> ColumnElement[bool]:
    """Return the condition that joins loaded keys to a table's rows: the keys lead, the rows are looked up.

    The table's column stands on the left, where its collation counts.
    """
    return and_(*(column == backend.unhinted(part) for column, part in zip(columns, keys.parts, strict=True)))
