"""Removing a whole batch by a statement or a few: the swift way of ``act`` for a purge of what nothing refers to.

Design. A batch goes by a DELETE, or a few of ``AT_ONCE`` records each, that carry the selection's conditions and give
back what they removed: by the window of keys from the first to the last where the due records lie close together, else
by where the rows lay, else by their keys. Still in the transaction, what came back is compared with the plan
(``swift.py``); anything but exactly the planned records raises UnevenError, and all is undone.

Invariant: a record that was not planned, or that changed, is never gone after the transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete

from connectors.sql.finding import AT_ONCE
from connectors.sql.swift import Swift


class Removal(Swift):
    """One batch to be removed."""

    @property
    def is_possible(self) -> bool:
        """See ``Swift.is_possible``; and nothing refers to the table."""
        return super().is_possible and not self._layout.links_to(self._question.declared.table.name)

    def carry_out(self, connection: Connection) -> bool:
        """Remove the batch, within a transaction. Raises UnevenError where anything else went than was planned."""
        self._expect_schema(connection)
        for start in range(0, len(self._batch), AT_ONCE):
            keys = list(self._batch.keys[start : start + AT_ONCE])
            planned = self._batch.versions[start : start + AT_ONCE]
            conditions = [*self._meant(connection, keys, planned), *self._selected()]
            if self._pages is not None:
                removal = delete(self._question.own).where(*conditions)
                if not (self._window(keys) and self._pages.removed(connection, removal, planned)):
                    self._compare_page(self._pages.touched(connection, removal), keys, planned)
                continue
            rows = self._backend.remove(connection, self._question.own, conditions, self._fetched)
            self._compare(connection, rows, keys, planned)
        return True
