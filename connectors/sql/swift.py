"""A whole batch at once: what the swift ways of ``act`` (``removal.py``, ``alteration.py``) have in common.

Invariant: a swift way is gone only where nothing hangs on the batch and every record has a planned version; and what it
found is compared with the plan record by record: the planned keys, each with its planned version, each still selected,
none to be spared. Anything else raises UnevenError, and the careful way of ``acting.py`` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection

from connectors.sql.backend import Backend, Page, Row, UnevenError
from connectors.sql.catalogue import Kind, bound, columns_of
from connectors.sql.conditions import Question, is_one_of
from connectors.sql.fetched import Fetched, taken, taker
from connectors.sql.finding import load
from connectors.sql.keys import parse_keys, spell_keys
from connectors.sql.layout import Layout
from connectors.sql.sparing import Sparing
from ropa.connector import Batch, Key

_SPARSEST = 8
"""A window is worth while where at least one key in so many is meant."""


class Swift:
    """One batch, of which all or nothing is done."""

    def __init__(self, question: Question, batch: Batch, layout: Layout, backend: Backend, sparing: Sparing) -> None:
        self._question = question
        self._batch = batch
        self._layout = layout
        self._backend = backend
        self._sparing = sparing
        self._row_versions = backend.versions(question.declared.table)
        fetched = Fetched()
        self._key_places = fetched.add(question.key)
        self._version_places = fetched.add(self._row_versions.columns(question.own))
        self._value_places = fetched.add(question.values())
        self._content_of: Any = None
        if not sparing.is_idle:
            names = tuple(column.name for column in question.declared.table.columns)
            self._content_of = taker(fetched.add(columns_of(question.own, names)))
        self._fetched = fetched.expressions
        self._pages = backend.pages(question, batch.versions) if sparing.is_idle else None

    @property
    def is_possible(self) -> bool:
        """Whether nothing hangs on the batch, every record has a version to be compared, and all that decides stands in
        the table itself: what is read of another is as old as the statement, however long that waits for a lock."""
        batch, question = self._batch, self._question
        return (
            len(batch) > 0
            and not batch.companions
            and not any(note.is_spared or note.obstacle is not None for note in batch.notes.values())
            and question.declared.is_key_unique
            and not question.reads_others
            and question.selection.parents is None
            and question.selection.keys is None
            and len(batch.versions) == len(batch.keys)
            and "" not in batch.versions
        )

    def _expect_schema(self, connection: Connection) -> None:
        if self._backend.schema_version(connection) != self._layout.catalogue.version:
            raise UnevenError  # the careful way says so

    def _meant(self, connection: Connection, keys: Sequence[Key], planned: Sequence[str]) -> list[ColumnElement[bool]]:
        """Return where these records are: in a window of keys, in the places where they lay, or by their keys."""
        question = self._question
        if window := self._window(keys):
            return window
        found = self._row_versions.whereabouts(question.own, planned) if planned else None
        if found is not None:
            return [found]
        return [is_one_of(question.key, load(connection, "meant", question.declared, keys, self._backend))]

    def _window(self, keys: Sequence[Key]) -> list[ColumnElement[bool]]:
        """Return that a key is not before the first of these and not after the last, where few others are so."""
        window = _window_of(keys) if self._question.declared.kinds == (Kind.NUMBER,) else None
        key = self._question.key[0]
        return [] if window is None else [key >= bound(window[0]), key <= bound(window[1])]

    def _selected(self) -> list[ColumnElement[bool]]:
        return [*self._question.hinted(self._backend, is_close=True), *self._question.conditions]

    def _compare(self, connection: Connection, rows: list[Row], keys: list[Key], planned: Sequence[str]) -> None:
        """Raise UnevenError unless these rows are the planned records, as planned."""
        rows = self._in_order(rows, keys)
        if self._question.judge(rows, self._value_places)[0] is not None:
            raise UnevenError
        if not all(self._row_versions.are_same(taken(rows, self._version_places, len(self._fetched)), planned)):
            raise UnevenError
        if self._content_of is not None:
            contents = {pos: self._content_of(row) for pos, row in enumerate(rows)}
            if self._sparing.spared(connection, self._question.declared.table, contents):
                raise UnevenError

    def _compare_page(self, page: Page, keys: list[Key], planned: Sequence[str] | None) -> Page:
        """Return a page in the order of the batch. Raises UnevenError unless its rows are the planned records, as
        planned; None: nothing is known of how they were."""
        ordered = page.in_order_of(keys)
        if ordered is None or self._pages is None or self._question.in_time(ordered.numbers) is not None:
            raise UnevenError
        if planned is not None and not self._pages.are_same(ordered.versions, planned):
            raise UnevenError
        return ordered

    def _in_order(self, rows: list[Row], wanted: list[Key]) -> list[Row]:
        """Return the rows in the order of the batch."""
        if len(rows) != len(wanted):
            raise UnevenError
        keys = spell_keys(rows, self._key_places, self._question.declared.kinds)
        if keys is None:
            raise UnevenError
        if keys == wanted:
            return rows
        by_key = dict(zip(keys, rows, strict=True))
        try:
            return [by_key[key] for key in wanted]
        except KeyError:
            raise UnevenError from None


def _window_of(keys: Sequence[Key]) -> tuple[int, int] | None:
    """Return the least and the greatest of numeric keys, None where they lie too far apart."""
    numbers = [values[0] for _, values in parse_keys(((0, keys[0]), (1, keys[-1])), (Kind.NUMBER,))]
    if len(numbers) == 2 and all(type(number) is int for number in numbers):
        low, high = numbers
        if isinstance(low, int) and isinstance(high, int) and 0 <= high - low < _SPARSEST * len(keys):
            return low, high
    return None
