"""Changing a whole batch in one statement: the swift way of ``act`` for fields that are cleared to constants.

Design. Where every field becomes a constant the database can change the rows by itself. The rows of the batch are read
and locked by the window of keys from the first to the last where they lie close together, else by their keys, under the
selection's conditions; they must be exactly the planned ones, each with its planned version, still selected, none to be
spared. Then one UPDATE with the same window and conditions must change as many rows as were read. Anything else raises
UnevenError, all is undone, and the careful way of ``acting.py`` decides record by record.

Invariant: a record that was not planned, or that changed, is never changed by us after the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import itemgetter

from sqlalchemy import ColumnElement, Connection, select, update

from connectors.sql.backend import Backend, Row, UnevenError
from connectors.sql.catalogue import Kind, bound, columns_of
from connectors.sql.conditions import Question, is_one_of
from connectors.sql.finding import Fetched, load, spell_keys, taker
from connectors.sql.layout import Layout
from connectors.sql.removal import window_of
from connectors.sql.sparing import Sparing
from ropa.connector import Batch, Key


class Alteration:
    """One batch to be changed in one statement."""

    def __init__(self, question: Question, batch: Batch, layout: Layout, backend: Backend, sparing: Sparing) -> None:
        self._question = question
        self._batch = batch
        self._layout = layout
        self._backend = backend
        self._sparing = sparing
        self.versions: list[str] = []
        """Of the batch's records after the change, once it is carried out."""

    @property
    def is_possible(self) -> bool:
        """Whether the database can do it by itself, and every record has a version to be compared."""
        batch, question = self._batch, self._question
        has_obstacle = any(note.is_spared or note.obstacle is not None for note in batch.notes.values())
        return (
            len(batch) > 0
            and not batch.companions
            and not has_obstacle
            and question.changes.is_constant
            and frozenset(question.declared.key) in question.declared.table.uniques
            and question.selection.parents is None
            and question.selection.keys is None
            and len(batch.versions) == len(batch.keys)
            and "" not in batch.versions
        )

    def carry_out(self, connection: Connection) -> bool:
        """Change the batch, within a transaction. Raises UnevenError where anything else would be than was planned."""
        if self._backend.schema_version(connection) != self._layout.catalogue.version:
            raise UnevenError  # the careful way says so
        question, backend = self._question, self._backend
        where = self._whereabouts(connection)
        meant = [*where, *question.hinted(backend, is_close=True), *question.conditions]
        self._expect(connection, meant)
        change = update(question.own).where(*meant).values(question.changes.expressions(question.own))
        # A row that came to meet the conditions since they were read is one too many.
        if connection.execute(change).rowcount != len(self._batch):
            raise UnevenError
        self.versions = self._noted(connection, where)
        return True

    def _expect(self, connection: Connection, meant: Sequence[ColumnElement[bool]]) -> None:
        """Lock and read the rows that are meant; raise UnevenError unless they are the planned ones as planned."""
        question, backend = self._question, self._backend
        own, versions = question.own, backend.versions(question.declared.table)
        fetched = Fetched()
        key_places = fetched.add(question.key)
        version_of = taker(fetched.add(versions.columns(own)))
        value_places = fetched.add(question.values())
        content_of = None
        if not self._sparing.is_idle:
            names = tuple(column.name for column in question.declared.table.columns)
            content_of = taker(fetched.add(columns_of(own, names)))
        rows = backend.fetch(connection, select(*fetched.expressions).where(*meant).with_for_update())
        rows = self._in_order(rows, key_places)
        if question.judge(rows, value_places)[0] is not None:
            raise UnevenError
        if not all(versions.are_same([version_of(row) for row in rows], self._batch.versions)):
            raise UnevenError
        if content_of is not None:
            contents = {pos: content_of(row) for pos, row in enumerate(rows)}
            if self._sparing.spared(connection, question.declared.table, contents):
                raise UnevenError

    def _whereabouts(self, connection: Connection) -> list[ColumnElement[bool]]:
        question, batch = self._question, self._batch
        if question.declared.kinds == (Kind.NUMBER,):
            window = window_of(batch.keys)
            if window is not None:
                return [question.key[0] >= bound(window[0]), question.key[0] <= bound(window[1])]
        keys = load(connection, "changing", question.declared, batch.keys, self._backend)
        return [is_one_of(question.key, keys)]

    def _noted(self, connection: Connection, where: Sequence[ColumnElement[bool]]) -> list[str]:
        """Read the versions of the changed rows, still in the transaction that changed them."""
        question, backend = self._question, self._backend
        versions, width = backend.versions(question.declared.table), len(question.key)
        # The changed columns are in no hint: what was due is due still.
        close = question.hinted(backend, is_close=True)
        columns = [*question.key, *versions.columns(question.own)]
        rows = backend.fetch(connection, select(*columns).where(*where, *close))
        keys = spell_keys(rows, tuple(range(width)), question.declared.kinds) or []
        planned = set(self._batch.keys)
        kept = [key in planned for key in keys]
        texts = versions.texts([row[width:] for row in compress(rows, kept)])
        by_key = dict(zip(compress(keys, kept), texts, strict=True))
        try:
            return [by_key[key] for key in self._batch.keys]
        except KeyError:
            raise UnevenError from None

    def _in_order(self, rows: list[Row], places: tuple[int, ...]) -> list[Row]:
        """Return the rows in the order of the batch."""
        keys: Sequence[Key] | None = spell_keys(rows, places, self._question.declared.kinds)
        if keys is None or len(keys) != len(self._batch.keys):
            raise UnevenError
        if list(keys) == list(self._batch.keys):
            return rows
        by_key = dict(zip(keys, rows, strict=True))
        if len(by_key) != len(rows) or by_key.keys() != set(self._batch.keys):
            raise UnevenError
        return list(itemgetter(*self._batch.keys)(by_key)) if len(rows) > 1 else rows
