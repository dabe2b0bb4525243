"""Changing a whole batch by a statement or a few: the swift way of ``act`` for fields that are cleared to constants.

Design. Where every field becomes a constant the database can change the rows by itself. ``AT_ONCE`` at a time, the rows
of the batch are read and locked by the window of keys from the first to the last where they lie close together, else by
their keys, under the selection's conditions; they must be exactly the planned ones, each as planned, still
selected, none to be spared. Then one UPDATE with the same window and conditions must change as many rows as were read.
Anything else raises UnevenError, all is undone, and the careful way of ``acting.py`` decides record by record. Where
the database can say itself which rows a statement changed, or prove that they were the planned ones, that is one
statement.

Invariant: a record that was not planned, or that changed, is never changed by us after the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from sqlalchemy import ColumnElement, Connection, select, update

from connectors.sql.backend import Backend, Pages, UnevenError
from connectors.sql.conditions import Question
from connectors.sql.finding import AT_ONCE
from connectors.sql.keys import spell_keys
from connectors.sql.layout import Layout
from connectors.sql.sparing import Sparing
from connectors.sql.steady import Anchors
from connectors.sql.swift import Swift
from ropa.connector import Batch, Key


class Alteration(Swift):
    """One batch to be changed."""

    def __init__(self, question: Question, batch: Batch, layout: Layout, backend: Backend, sparing: Sparing) -> None:
        super().__init__(question, batch, layout, backend, sparing)
        self.versions: list[str] = []
        """Of the batch's records after the change, once it is carried out; none where they are not asked for."""

    @property
    def is_possible(self) -> bool:
        """See ``Swift.is_possible``; and the database can do it by itself, without moving an anchor."""
        if not self._question.changes.is_constant or Anchors(self._question, self._layout, self._backend).may_move:
            return False
        return super().is_possible

    def carry_out(self, connection: Connection) -> bool:
        """Change the batch, within a transaction. Raises UnevenError where anything else would be than was planned."""
        self._expect_schema(connection)
        if self._pages is not None and self._change_pages(connection, self._pages):
            return True
        self.versions = []
        for at in range(0, len(self._batch), AT_ONCE):
            keys, planned = self._batch.keys[at : at + AT_ONCE], self._batch.versions[at : at + AT_ONCE]
            self.versions += self._change(connection, list(keys), planned)
        return True

    def _change(self, connection: Connection, keys: list[Key], planned: Sequence[str]) -> list[str]:
        """Change some of the records and return their versions afterwards."""
        question = self._question
        # Not by where the rows lie: a row that is changed may lie elsewhere afterwards.
        where = self._meant(connection, keys, ())
        meant = [*where, *self._selected()]
        rows = self._backend.fetch(connection, select(*self._fetched).where(*meant).with_for_update())
        self._compare(connection, rows, keys, planned)
        rows.clear()
        change = update(question.own).where(*meant).values(question.changes.expressions(question.own))
        # A row that came to meet the conditions since they were read is one too many.
        if connection.execute(change).rowcount != len(keys):
            raise UnevenError
        return self._noted(connection, where, keys) if question.selection.tells_versions else []

    def _change_pages(self, connection: Connection, pages: Pages) -> bool:
        """Change the batch by statements that name every record and its planned version. Returns whether they can."""
        question, noted = self._question, list[str]()
        for start in range(0, len(self._batch), AT_ONCE):
            keys = list(self._batch.keys[start : start + AT_ONCE])
            planned = self._batch.versions[start : start + AT_ONCE]
            change = update(question.own).values(question.changes.expressions(question.own))
            if not question.selection.tells_versions:
                meant = change.where(*self._meant(connection, keys, ()), *self._selected())
                if pages.proved(connection, meant, planned):
                    continue
            unchanged = pages.unchanged(keys, planned)
            if unchanged is None:
                return False
            page = pages.touched(connection, change.where(*self._window(keys), *unchanged, *self._selected()))
            noted += self._compare_page(page, keys, None).versions
        self.versions = noted
        return True

    def _noted(self, connection: Connection, where: Sequence[ColumnElement[bool]], noted: list[Key]) -> list[str]:
        """Read the versions of the changed rows, still in the transaction that changed them."""
        question, backend = self._question, self._backend
        versions, width = self._row_versions, len(question.key)
        # The changed columns are in no hint: what was due is due still.
        close = question.hinted(backend, is_close=True)
        columns = [*question.key, *versions.columns(question.own)]
        rows = backend.fetch(connection, select(*columns).where(*where, *close))
        keys = spell_keys(rows, tuple(range(width)), question.declared.kinds) or []
        planned = set(noted)
        kept = [key in planned for key in keys]
        texts = versions.texts([row[width:] for row in compress(rows, kept)])
        by_key = dict(zip(compress(keys, kept), texts, strict=True))
        try:
            return [by_key[key] for key in noted]
        except KeyError:
            raise UnevenError from None
