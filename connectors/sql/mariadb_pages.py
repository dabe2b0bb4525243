"""Rows of MariaDB and MySQL as columns: the plain case, which is that of nearly every table, at its least cost.

The plain case: a key of one whole number or text, native dates of the table itself, nothing else to be looked at. The
server puts key, version and dates of all rows of a page into one text, with the salt in its place, and that is split
here; any other question is fetched row by row. Rows are deleted, or cleared, by one statement that chains the versions
of what it takes; where the server may not count as it goes, they are locked as they are read and deleted by the same
conditions.
Either way the caller's transaction is undone where it was not the planned rows, each with its planned version.
Invariant: what is told of a record is what its row tells when it is fetched by itself; the text is believed only where
it has exactly as many parts as the server counted rows times columns, else the rows are read one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from operator import itemgetter, le
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Delete, Select, Update, func, literal_column, select

from connectors.sql.anchors import Reader, is_own
from connectors.sql.backend import Dating, Page, UnevenError
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.keys import parse_keys
from connectors.sql.mariadb_catalogue import MariadbColumn
from connectors.sql.mariadb_dates import MariadbDates
from connectors.sql.mariadb_text import as_text
from connectors.sql.mariadb_versions import HashVersions, unlike
from ropa.connector import AnchorPart, Key

if TYPE_CHECKING:
    from connectors.sql.conditions import Question

_DATED = frozenset({Kind.DATE, Kind.NAIVE, Kind.INSTANT})
_BREAK = "\x1f"
_DENSE = 8
"""A window of keys is looked through where at least one in so many is asked for."""


class Pages:
    """Fetches for one question. See ``connectors.sql.backend.Pages``."""

    def __init__(
        self,
        question: Question,
        key: MariadbColumn,
        anchors: Sequence[Sequence[tuple[TableColumn, MariadbDates]]],
        versions: HashVersions,
        planned: Sequence[str],
        *,
        may_chain: bool,
    ) -> None:
        self._is_number = key.bounds is not None
        self._key = question.key[0]
        self._anchors = [[dates for _, dates in parts] for parts in anchors]
        named = dict(zip((name for name, _ in question.anchors), anchors, strict=True))
        self._in_time = _in_time(question, named) if may_chain else None
        self._salt, hashed = versions.salted(question.own, planned)
        dates = [question.own.c[column.name] for parts in anchors for column, _ in parts]
        self._plain = [self._key, hashed, *dates]
        self.columns: list[ColumnElement[Any]] = [column.label(f"c{place}") for place, column in enumerate(self._plain)]
        """See ``Pages.columns``."""

    def found(self, connection: Connection, statement: Select[Any]) -> Page:
        """See ``Pages.found``."""
        inner = statement.subquery("ropa_page")
        columns = list(inner.c)
        # A derived table keeps no order: numbers are put in order here, texts as their collation has them.
        together = select(func.count(), self._joined(columns, columns[0])).select_from(inner)
        return self._page(connection, together, statement)

    def touched(self, connection: Connection, statement: Delete | Update) -> Page:
        """See ``Pages.touched``: the rows are read and locked, then deleted by the same conditions. Raises
        UnevenError where a row came to meet them in between."""
        if not isinstance(statement, Delete):
            raise UnevenError  # what a row becomes is not told by one that is read before
        conditions = statement._where_criteria  # noqa: SLF001 - there is no public way to ask for the conditions
        together, alone = (
            select(*what).where(*conditions).with_for_update()
            for what in ((func.count(), self._joined(self._plain, self._key)), self.columns)
        )
        page = self._page(connection, together, alone.order_by(self._key))
        if connection.execute(statement).rowcount != len(page.keys):
            raise UnevenError
        return page

    def proved(self, connection: Connection, statement: Delete | Update, planned: Sequence[str]) -> bool:
        """See ``Pages.proved``: the statement itself chains the versions of the rows it takes, as they are before, each
        hashed together with all before it, and what comes out must be what the planned ones give."""
        if self._in_time is None:
            return False
        seen: ColumnElement[Any] = literal_column("@ropa_seen")
        chained = seen.op(":=")(func.sha1(func.concat(seen, self._plain[1])))
        # The link comes last: it is made of rows for which all the rest is true.
        proving = statement.where(*self._in_time).where(func.char_length(chained) > literal_column("0"))
        with ThreadPoolExecutor(1, thread_name_prefix="chain") as executor:
            expected = executor.submit(_chained, planned)
            connection.exec_driver_sql("SET @ropa_seen = ''")
            taken = connection.execute(proving).rowcount
            found = connection.exec_driver_sql("SELECT @ropa_seen").scalar()
            if taken != len(planned) or found != expected.result():
                raise UnevenError
        return True

    def unchanged(self, keys: Sequence[Key], versions: Sequence[str]) -> list[ColumnElement[bool]] | None:  # noqa: ARG002
        """See ``Pages.unchanged``: a list of versions would be slower than to read and lock the rows."""
        return None

    def are_same(self, versions: Sequence[str], planned: Sequence[str]) -> bool:
        """See ``Pages.are_same``; of several salts none are."""
        return versions == planned

    def remaining(
        self, connection: Connection, keys: Sequence[Key], conditions: Sequence[ColumnElement[bool]]
    ) -> set[Key] | None:
        """See ``Pages.remaining``: the window is looked through, with a list of which of its numbers are meant."""
        if not self._is_number:
            return None
        parsed = [values[0] for _, values in parse_keys(enumerate(keys), (Kind.NUMBER,))]
        numbers = [value for value in parsed if isinstance(value, int)]
        if not numbers or len(numbers) != len(keys):
            return None
        low, high = min(numbers), max(numbers)
        if high - low >= _DENSE * len(numbers):
            return None
        meant = bytearray(b"0") * (high - low + 1)
        for number in numbers:
            meant[number - low] = 49  # the digit 1
        place = self._key - bound(low) + literal_column("1")
        is_meant = func.substr(bound(bytes(meant)), place, literal_column("1")) == literal_column("'1'")
        rows = connection.execute(
            select(self._key).where(self._key >= bound(low), self._key <= bound(high), is_meant, *conditions)
        )
        return {(str(number),) for (number,) in rows}

    def _joined(self, columns: Sequence[ColumnElement[Any]], key: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return all rows in one text, the salt before each version, NULL as nothing at all."""
        nothing: ColumnElement[Any] = literal_column("''")
        mark: ColumnElement[Any] = literal_column(f"'{_BREAK}'")
        written = columns[0]
        if not self._is_number:
            written = as_text(written)
        listed: list[ColumnElement[Any]] = [written, bound(f"{_BREAK}{self._salt}.")]
        for column in columns[1:]:
            listed += [func.ifnull(column, nothing), mark]
        listed.pop()
        if not self._is_number:
            listed[-1] = listed[-1].op("ORDER BY", precedence=5)(key)
        listed[-1] = listed[-1].op("SEPARATOR")(mark)
        return func.group_concat(*listed)

    def _page(self, connection: Connection, together: Select[Any], alone: Select[Any]) -> Page:
        """Return the rows of the first statement, or of the other one, where a key has the mark between texts in it."""
        count, text = connection.execute(together).one()
        width = len(self.columns)
        pieces = text.split(_BREAK) if isinstance(text, str) else []
        columns = [pieces[place::width] for place in range(width)]
        if len(pieces) != count * width:
            rows = [
                (str(key), f"{self._salt}.{hashed or ''}", *dates) for key, hashed, *dates in connection.execute(alone)
            ]
            count, columns = (
                len(rows),
                [["" if value is None else value for value in column] for column in zip(*rows, strict=True)],
            )
        if not count:
            return Page([], [], [[] for _ in self._anchors], None)
        texts = columns[0]
        last: Any = texts[-1]
        if self._is_number:
            numbers = list(map(int, texts))
            if not all(map(le, numbers, numbers[1:])):
                order = sorted(range(count), key=numbers.__getitem__)
                columns = [list(itemgetter(*order)(column)) for column in columns]
                texts = columns[0]
            last = int(texts[-1])
        versions, nothing = columns[1], f"{self._salt}."
        if nothing in versions:
            versions = [version if version != nothing else nothing + unlike() for version in versions]
        waiting = iter(columns[2:])
        told = [_latest([_numbers(dates, next(waiting)) for dates in parts]) for parts in self._anchors]
        return Page(list(zip(texts)), versions, told, (last,))


def pages_of(question: Question, versions: HashVersions, planned: Sequence[str], *, may_chain: bool) -> Pages | None:
    """Return how pages are fetched for a question, None where they cannot be. ``planned``: versions to be compared
    with; ``may_chain``: whether a statement may count in a variable of the session."""
    declared = question.declared
    key = declared.table.column(declared.key[0]) if len(declared.key) == 1 else None
    if question.judged or declared.table.kind != "table" or not declared.is_key_unique:
        return None
    if not isinstance(key, MariadbColumn) or key.is_nullable or key.is_computed or not _is_plain(key):
        return None
    anchors = []
    for name, _ in question.anchors:
        parts = [_dated(question, part) for part in declared.spec.anchors[name].parts]
        if None in parts:
            return None
        anchors.append([part for part in parts if part is not None])
    return Pages(question, key, anchors, versions, planned, may_chain=may_chain)


def _in_time(
    question: Question, anchors: Mapping[str, Sequence[tuple[TableColumn, MariadbDates]]]
) -> list[ColumnElement[bool]] | None:
    """Return the conditions that hold exactly for rows in time, None where the server cannot tell."""
    selection, conditions = question.selection, []
    if not selection.check_anchors or selection.undated:
        return None
    for before in selection.before:
        parts = anchors[before.anchor]
        column, dates = parts[0]
        # Not such that an index on the date is used: the rows are to be met in the order of keys.
        surely = dates.surely_before(func.coalesce(question.own.c[column.name]), before)
        if len(parts) > 1 or surely is None:
            return None
        conditions.append(surely)
    return conditions


def _chained(planned: Sequence[str]) -> str:
    """Return what the server makes of rows of these versions, in ``Pages.proved``."""
    seen = ""
    for version in planned:
        seen = sha1((seen + version.partition(".")[2]).encode(), usedforsecurity=False).hexdigest()
    return seen


def _is_plain(key: MariadbColumn) -> bool:
    """Tell whether a key is written in a list as it is spelled alone."""
    if key.bounds is not None:
        return "zerofill" not in key.type.lower()
    return key.kind is Kind.TEXT and key.data_type in {"char", "varchar"} and key.charset in {"ascii", "utf8mb4"}


def _dated(question: Question, part: AnchorPart) -> tuple[TableColumn, MariadbDates] | None:
    declared, selection = question.declared, question.selection
    column = declared.table.column(part.column) if is_own(part, declared) else None
    if column is None or column.kind not in _DATED:
        return None
    dating = Dating(declared.spec.zone, part.form, selection.zone, selection.now)
    return column, MariadbDates.of(column, dating)


def _numbers(dates: MariadbDates, texts: list[str]) -> list[int]:
    values: list[str | None] = [text or None for text in texts] if "" in texts else [*texts]
    number = dates.number
    return number.all(values) if isinstance(number, Reader) else list(map(number, values))


def _latest(columns: list[list[int]]) -> list[int]:
    return columns[0] if len(columns) == 1 else list(map(max, *columns))
