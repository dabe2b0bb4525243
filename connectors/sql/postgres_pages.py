"""Rows as columns: the server puts what a statement finds, or removes, or changes, into one value for each column.

A table of millions is read so at a fraction of what a Python object for each value costs. It serves the plain case of
nearly every table: a key of one number or UUID, native dates of the table itself, nothing else to be looked at; for any
other ``pages_of`` returns None, and rows are fetched one by one. Invariant: what is told of a record is what its row
tells when it is fetched by itself; the n-th of each column is the n-th row's, or it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Delete, FromClause, Select, Update, any_, func, literal_column, select
from sqlalchemy.types import NullType

from connectors.sql.anchors import is_own
from connectors.sql.backend import Dating, Page, UnevenError
from connectors.sql.catalogue import bound
from connectors.sql.postgres_columns import PostgresColumn
from connectors.sql.postgres_keys import Named, typed
from connectors.sql.postgres_packed import Packed, packed_of
from connectors.sql.postgres_versions import system_column, texts_of
from ropa.connector import AnchorPart, Key

if TYPE_CHECKING:
    from connectors.sql.conditions import Question
    from connectors.sql.postgres_session import Fetcher

_NUMBERS = frozenset({"int2", "int4", "int8"})
_SPELLED_NUMBERS = re.compile(r"(?:(?:0|-?[1-9]\d{0,17})(?:,(?!\Z)|\Z))+", re.ASCII)
_SPELLED_UUIDS = re.compile(r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:,(?!\Z)|\Z))+", re.ASCII)
_FIRST, _TEXT = itemgetter(0), Named("pg_catalog.text")
_DENSE = 8
"""A window of keys is worth while where at least one in so many is meant."""
_OLDEST = 140_000
"""The server from which on a long list of keys is compared by a hash."""


class Pages:
    """Fetches for one question. See ``connectors.sql.backend.Pages``."""

    def __init__(
        self, question: Question, key: PostgresColumn, anchors: Sequence[Sequence[Packed]], fetcher: Fetcher
    ) -> None:
        self._question = question
        self._key = key
        self._is_number = key.sort in _NUMBERS
        self._anchors = anchors
        self._fetcher = fetcher
        own = question.own
        self._key_column = question.key[0]
        dates = [
            packed.value(own.c[part.column])
            for (name, _), parts in zip(question.anchors, anchors, strict=True)
            for packed, part in zip(parts, question.declared.spec.anchors[name].parts, strict=True)
        ]
        self._writer_column = system_column(own, "xmin")
        self.columns: list[ColumnElement[Any]] = [
            self._key_column.label("k"),
            self._writer_column.label("w"),
            system_column(own, "ctid").label("p"),
            *(value.label(f"d{place}") for place, value in enumerate(dates)),
        ]
        """See ``Pages.columns``."""

    def found(self, connection: Connection, statement: Select[Any]) -> Page:
        """See ``Pages.found``."""
        return self._page(connection, statement.subquery("page"), are_new=True)

    def touched(self, connection: Connection, statement: Delete | Update) -> Page:
        """See ``Pages.touched``."""
        rows = statement.returning(*self.columns).cte("touched")
        # They come back in the order in which they were met.
        return self._page(connection, select(rows).order_by(rows.c.k).subquery("page"), are_new=False)

    def proved(self, connection: Connection, statement: Delete | Update, planned: Sequence[str]) -> bool:  # noqa: ARG002 - the seam's
        """See ``Pages.proved``: what a statement gives back costs no more than having it proved."""
        return False

    def unchanged(self, keys: Sequence[Key], versions: Sequence[str]) -> list[ColumnElement[bool]] | None:
        """See ``Pages.unchanged``: by key and writer."""
        joined = self._joined(keys)
        if joined is None:
            return None
        writers = ",".join([version[1 : version.index(".")] for version in versions])
        arrays = [joined[0], typed(f"{{{writers}}}", "pg_catalog.xid[]")]
        planned = func.unnest(*arrays, type_=NullType()).table_valued("k", "w", name="planned")
        planned = planned.render_derived(name="planned")
        return [self._key_column == planned.c.k, self._writer_column == planned.c.w]

    def are_same(self, versions: Sequence[str], planned: Sequence[str]) -> bool:
        """See ``Pages.are_same``: a row that was only moved is the same."""
        return versions == planned or list(map(_writer, versions)) == list(map(_writer, planned))

    def remaining(
        self, connection: Connection, keys: Sequence[Key], conditions: Sequence[ColumnElement[bool]]
    ) -> set[Key] | None:
        """See ``Pages.remaining``."""
        joined = self._joined(keys)
        if joined is None:
            return None
        literal, bounds = joined
        column, where = self._key_column, list(conditions)
        if bounds is not None and bounds[1] - bounds[0] < _DENSE * len(keys):
            # The window is looked through once, and only what is there is compared, by a hash.
            where += [column >= bound(bounds[0]), column <= bound(bounds[1])]
            column = column.op("+")(literal_column("0"))
        where.append(column == any_(literal))
        text = self._key_column.cast(_TEXT).label("k")
        return {(row[0],) for row in self._fetcher.rows(connection, select(text).where(*where))}

    def _joined(self, keys: Sequence[Key]) -> tuple[ColumnElement[Any], tuple[int, int] | None] | None:
        """Return keys as an array, and the least and the greatest of numbers; None where one is not as this key is
        spelled."""
        if set(map(len, keys)) != {1}:
            return None
        texts = list(map(_FIRST, keys))
        joined = ",".join(texts)
        spelling = _SPELLED_NUMBERS if self._is_number else _SPELLED_UUIDS
        if joined.count(",") != len(keys) - 1 or spelling.fullmatch(joined) is None:
            return None
        bounds = None
        if self._is_number:
            numbers, (least, greatest) = list(map(int, texts)), self._key.bounds or (0, 0)
            bounds = min(numbers), max(numbers)
            if bounds[0] < least or greatest < bounds[1]:
                return None
        return typed(f"{{{joined}}}", f"{self._key.castable}[]"), bounds

    def _page(self, connection: Connection, rows: FromClause, *, are_new: bool) -> Page:
        """Return a page. ``are_new``: rows of which the numbers are not known yet."""
        key, writer, place, *dates = rows.c
        nothing: ColumnElement[Any] = literal_column("''::pg_catalog.bytea")
        joined = [func.pg_catalog.string_agg(column.cast(_TEXT), literal_column("','")) for column in (key, writer)]
        packed = [func.pg_catalog.string_agg(column, nothing) for column in (func.pg_catalog.tidsend(place), *dates)]
        count, keys, writers, places, *days = self._fetcher.rows(
            connection, select(func.count(), *joined, *packed).select_from(rows)
        )[0]
        if not count:
            return Page([], [], [[] for _ in self._anchors], None)
        texts: list[str] = keys.split(",")
        waiting = iter(days)
        numbers = [
            parts[0].extremes(next(waiting))
            if len(parts) == 1 and not are_new
            else _latest([packed.numbers(next(waiting)) for packed in parts])
            for parts in self._anchors
        ]
        versions = texts_of(writers.split(","), places)
        if {len(texts), len(versions), *(map(len, numbers) if are_new else ())} != {count}:
            raise UnevenError  # a value that is NULL in a column that has none
        last = int(texts[-1]) if self._is_number else texts[-1]
        return Page(list(zip(texts)), versions, numbers, (last,))


def pages_of(question: Question, fetcher: Fetcher, version: int) -> Pages | None:
    """Return how pages are fetched for a question, None where they cannot be. ``version``: of the server."""
    declared = question.declared
    key = declared.table.column(declared.key[0]) if len(declared.key) == 1 else None
    if version < _OLDEST or question.judged or declared.table.kind != "table":
        return None
    if not isinstance(key, PostgresColumn) or key.is_nullable or key.sort not in _NUMBERS | {"uuid"}:
        return None
    anchors = []
    for name, _ in question.anchors:
        parts = [_packed(question, part) for part in declared.spec.anchors[name].parts]
        if None in parts:
            return None
        anchors.append([part for part in parts if part is not None])
    return Pages(question, key, anchors, fetcher)


def _packed(question: Question, part: AnchorPart) -> Packed | None:
    declared, selection = question.declared, question.selection
    column = declared.table.column(part.column) if is_own(part, declared) else None
    if column is None:
        return None
    return packed_of(column, Dating(declared.spec.zone, part.form, selection.zone, selection.now))


def _latest(columns: list[list[int]]) -> list[int]:
    return columns[0] if len(columns) == 1 else list(map(max, *columns))


def _writer(version: str) -> str:
    return version.partition(".")[0]
