"""Whether the anchors of changed rows stand as they stood: clearing a field never makes a period begin again.

A trigger of the database may write to the row that is changed, and a computed column follows what it is computed of.
Invariant: where either can be, the anchors are read before and after the change, within its transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from connectors.sql.backend import Backend, KeyTable, Row
from connectors.sql.catalogue import columns_of
from connectors.sql.conditions import Question, joined
from connectors.sql.layout import Layout


class AnchorMovedError(Exception):
    """With a change an anchor became another, or the row went: undo."""

    def __init__(self, positions: set[int]) -> None:
        super().__init__()
        self.positions = positions
        """Of the records it happened to."""


class Anchors:
    """The columns of one table from which periods run."""

    def __init__(self, question: Question, layout: Layout, backend: Backend) -> None:
        self._question = question
        self._backend = backend
        table = question.declared.table
        changed = question.changes.targets
        self._names = tuple(name for name in layout.anchored(table.name) if name not in changed)
        is_computed = any(column.is_computed for column in table.columns if column.name in self._names)
        self.may_move = bool(self._names) and (bool(table.update_triggers) or not table.tells_triggers or is_computed)
        """Whether a change of other columns may change them, for all that is known."""

    def read(self, connection: Connection, table: KeyTable) -> dict[int, Row]:
        """Return what stands in the rows of some keys, by position; nothing where nothing may move."""
        if not self.may_move:
            return {}
        own, question = self._question.own, self._question
        rows = self._backend.fetch(
            connection,
            select(table.pos, *columns_of(own, self._names))
            .select_from(table.source)
            .join(own, joined(question.key, table, self._backend)),
        )
        return {row[0]: tuple(row[1:]) for row in rows}

    def expect(self, connection: Connection, table: KeyTable, before: dict[int, Row]) -> None:
        """Raise AnchorMovedError unless the rows still hold what they held."""
        after = self.read(connection, table)
        if moved := {pos for pos, row in before.items() if after.get(pos) != row}:
            raise AnchorMovedError(moved)
