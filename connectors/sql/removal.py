"""Removing a whole batch in one statement: the swift way of ``act``, for what nothing hangs on.

Design. Of a table to which nothing refers, with nothing riding along, a batch goes by a DELETE or a few that carry the
selection's conditions and gives back what it removed: by the window of keys from the first to the last where the due
records lie close together, else by where the rows lay, else by their keys. Then, still in the transaction, what came
back is compared with the plan: exactly the planned keys, each with its planned version, each still selected, none to be
spared. Anything else raises UnevenError, all is undone, and the careful way of ``acting.py`` decides record by record.

Invariant: a record that was not planned, or that changed, is never gone after the transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection

from connectors.sql.backend import Backend, Row, RowVersions, UnevenError
from connectors.sql.catalogue import Kind, bound, columns_of
from connectors.sql.conditions import Question, is_one_of
from connectors.sql.finding import AT_ONCE, Fetched, load, spell_keys, taken, taker
from connectors.sql.keys import parse_keys
from connectors.sql.layout import Layout
from connectors.sql.sparing import Sparing
from ropa.connector import Batch, Key

_SPARSEST = 8
"""A window is worth while where at least one key in so many goes."""


class Removal:
    """One batch to be removed in one statement."""

    def __init__(self, question: Question, batch: Batch, layout: Layout, backend: Backend, sparing: Sparing) -> None:
        self._question = question
        self._batch = batch
        self._layout = layout
        self._backend = backend
        self._sparing = sparing

    @property
    def is_possible(self) -> bool:
        """Whether nothing hangs on the batch, and every record has a version to be compared."""
        batch, question = self._batch, self._question
        table = question.declared.table
        has_obstacle = any(note.is_spared or note.obstacle is not None for note in batch.notes.values())
        return (
            len(batch) > 0
            and not batch.companions
            and not has_obstacle
            and not self._layout.links_to(table.name)
            and question.declared.is_key_unique
            and question.selection.parents is None
            and question.selection.keys is None
            and len(batch.versions) == len(batch.keys)
            and "" not in batch.versions
        )

    def carry_out(self, connection: Connection) -> bool:
        """Remove the batch, within a transaction. Raises UnevenError where anything else went than was planned."""
        if self._backend.schema_version(connection) != self._layout.catalogue.version:
            raise UnevenError  # the careful way says so
        for start in range(0, len(self._batch), AT_ONCE):
            self._remove(connection, start, min(start + AT_ONCE, len(self._batch)))
        return True

    def _remove(self, connection: Connection, start: int, end: int) -> None:
        """Remove the records from one position up to another, and compare them with the plan."""
        question, backend = self._question, self._backend
        planned, keys = self._batch.versions[start:end], list(self._batch.keys[start:end])
        own, versions = question.own, backend.versions(question.declared.table)
        fetched = Fetched()
        key_places = fetched.add(question.key)
        version_places = fetched.add(versions.columns(own))
        value_places = fetched.add(question.values())
        content_of = None
        if not self._sparing.is_idle:
            names = tuple(column.name for column in question.declared.table.columns)
            content_of = taker(fetched.add(columns_of(own, names)))
        where = self._whereabouts(connection, versions, keys, planned)
        conditions = [*where, *question.hinted(backend, is_close=True), *question.conditions]
        rows = backend.remove(connection, own, conditions, fetched.expressions)
        rows = self._in_order(rows, key_places, keys)
        if question.judge(rows, value_places)[0] is not None:
            raise UnevenError
        if not all(versions.are_same(taken(rows, version_places, len(fetched.expressions)), planned)):
            raise UnevenError
        if content_of is not None:
            contents = {pos: content_of(row) for pos, row in enumerate(rows)}
            if self._sparing.spared(connection, question.declared.table, contents):
                raise UnevenError

    def _whereabouts(
        self, connection: Connection, versions: RowVersions, keys: Sequence[Key], planned: Sequence[str]
    ) -> list[ColumnElement[bool]]:
        question = self._question
        if question.declared.kinds == (Kind.NUMBER,):
            window = window_of(keys)
            if window is not None:
                return [question.key[0] >= bound(window[0]), question.key[0] <= bound(window[1])]
        found = versions.whereabouts(question.own, planned)
        if found is not None:
            return [found]
        table = load(connection, "leaving", question.declared, keys, self._backend)
        return [is_one_of(question.key, table)]

    def _in_order(self, rows: list[Row], places: tuple[int, ...], wanted: list[Key]) -> list[Row]:
        """Return the removed rows in the order of the batch."""
        if len(rows) != len(wanted):
            raise UnevenError
        keys = spell_keys(rows, places, self._question.declared.kinds)
        if keys is None:
            raise UnevenError
        if keys == wanted:
            return rows
        by_key = dict(zip(keys, rows, strict=True))
        try:
            return [by_key[key] for key in wanted]
        except KeyError:
            raise UnevenError from None


def window_of(keys: Sequence[Key]) -> tuple[int, int] | None:
    """Return the least and the greatest of numeric keys, None where they lie too far apart."""
    numbers = [values[0] for _, values in parse_keys(((0, keys[0]), (1, keys[-1])), (Kind.NUMBER,))]
    if len(numbers) == 2 and all(type(number) is int for number in numbers):
        low, high = numbers
        if isinstance(low, int) and isinstance(high, int) and 0 <= high - low < _SPARSEST * len(keys):
            return low, high
    return None
