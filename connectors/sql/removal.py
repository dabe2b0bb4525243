"""Removing a whole batch by a statement or a few: the swift way of ``act`` for a purge of what nothing refers to.

Design. A batch goes by a DELETE, or a few of some thousand records each, that carry the selection's conditions and give
back what they removed: by the window of keys from the first to the last where the due records lie close together, else
by where the rows lay, else by their keys. Still in the transaction, what came back is compared with the plan
(``swift.py``), while the database is at the next DELETE; anything but exactly the planned records raises UnevenError,
and all is undone.

Invariant: a record that was not planned, or that changed, is never gone after the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Connection, delete

from connectors.sql.backend import Pages, Row
from connectors.sql.finding import AT_ONCE
from connectors.sql.swift import Swift
from ropa.connector import Key

_ROWS_AT_ONCE = 5_000
"""Rows that are removed by one statement where they come back one by one: most are compared while others go."""


class Removal(Swift):
    """One batch to be removed."""

    @property
    def is_possible(self) -> bool:
        """See ``Swift.is_possible``; and nothing refers to the table."""
        return super().is_possible and not self._layout.links_to(self._question.declared.table.name)

    def carry_out(self, connection: Connection) -> bool:
        """Remove the batch, within a transaction. Raises UnevenError where anything else went than was planned."""
        self._expect_schema(connection)
        if self._pages is not None:
            for part in self._parts(AT_ONCE):
                self._remove_page(connection, self._pages, *part)
            return True
        parts = self._parts(_ROWS_AT_ONCE)
        # Whoever is spared is asked over the same connection, so that can only be done when it is free.
        if len(parts) == 1 or self._content_of is not None:
            for part in parts:
                self._compare(connection, self._remove(connection, *part), *part)
            return True
        with ThreadPoolExecutor(1, thread_name_prefix="next-delete") as executor:
            rows = self._remove(connection, *parts[0])
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                coming = None if following is None else executor.submit(self._remove, connection, *following)
                self._compare(connection, rows, *part)
                rows = [] if coming is None else coming.result()
        return True

    def _parts(self, size: int) -> list[tuple[list[Key], Sequence[str]]]:
        keys, versions = self._batch.keys, self._batch.versions
        return [(list(keys[at : at + size]), versions[at : at + size]) for at in range(0, len(keys), size)]

    def _remove_page(self, connection: Connection, pages: Pages, keys: list[Key], planned: Sequence[str]) -> None:
        removal = delete(self._question.own).where(*self._meant(connection, keys, planned), *self._selected())
        if not pages.proved(connection, removal, planned):
            self._compare_page(pages.touched(connection, removal), keys, planned)

    def _remove(self, connection: Connection, keys: list[Key], planned: Sequence[str]) -> list[Row]:
        conditions = [*self._meant(connection, keys, planned), *self._selected()]
        return self._backend.remove(connection, self._question.own, conditions, self._fetched)
