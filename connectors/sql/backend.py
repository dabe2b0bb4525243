"""What the rest of the connector asks of one kind of database: the seam at which another engine is added.

Invariant: everything that differs between engines goes through here; statements above it are SQLAlchemy Core. What an
engine decides by itself (``Dates.may_be_before``) never leaves a record out that is meant: it only spares the reading
of others. What is meant is decided above, in Python, from what was read, in the same way for every engine.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Delete, Executable, FromClause, Select, TableClause, Update

from connectors.sql.catalogue import Catalogue, Table, TableColumn
from connectors.sql.keys import Values
from ropa.connector import Before, Health, Key

if TYPE_CHECKING:
    from connectors.sql.conditions import Question

Row = tuple[Any, ...]
"""A row as the driver gives it."""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Keys put where a statement can join them: column ``pos`` says which, ``parts`` are the key's columns."""

    source: FromClause
    pos: ColumnElement[int]
    parts: tuple[ColumnElement[Any], ...]
    values: ColumnElement[Any] | None = None
    """The keys of one column as one value with which the engine compares faster (``= ANY(…)``); None: there is none."""


@dataclass(frozen=True, slots=True)
class Dating:
    """How the dates of one column are to be read."""

    zone: ZoneInfo
    """Of dates without one."""
    form: str | None
    """How it is written, see ``ropa.connector.AnchorPart.form``."""
    local: ZoneInfo
    """The controller's zone."""
    now: datetime
    """What is later lies in the future."""


class Dates(Protocol):
    """The dates of one column, under one ``Dating``."""

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what is fetched of a row: NULL of NULL, else something that ``number`` reads."""

    def number(self, raw: Any) -> int:
        """Return the day's number (``connectors.sql.anchors``) of what was fetched; ``NO_DATE`` of None."""

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """Return a cheap condition, if possible one for an index, that holds for every row whose date is before, and
        for few others; false or unknown for NULL. None where none is known."""

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """Return the condition of ``may_be_before`` drawn as close as can be, also where it then errs about odd values:
        of a statement whose outcome is compared with the plan. Exact for what is ordinarily in such a column."""

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """Return a cheap condition that holds for every row whose date is missing, cannot be read or lies in the
        future, and for few others. None where none is known."""

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the aggregate over the rows of a group from which ``latest`` can tell the latest date."""

    def latest(self, raw: Any) -> int:
        """Return the number of the latest of the dates gathered: the greatest; ``NO_DATE`` where there are none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows that were found, removed or changed, as columns: a list of each, in the order of keys."""

    keys: list[Key]
    versions: list[str]
    """As they are now; of rows that were removed, as they were."""
    numbers: list[list[int]]
    """Of each anchor of the question, the number of each row; of rows that were removed or changed in any order, and
    only some, by which any that is not in time is known."""
    last: Values | None
    """The key of the last row, as the database takes it; None where there are no rows."""

    def in_order_of(self, keys: list[Key]) -> Page | None:
        """Return a page of rows that were removed or changed with them in the order of these keys, None where it does
        not have exactly these."""
        if self.keys == keys:
            return self
        places = {key: place for place, key in enumerate(self.keys)}
        if len(keys) != len(self.keys) or places.keys() != set(keys):
            return None
        return Page(keys, [self.versions[places[key]] for key in keys], self.numbers, self.last)


class Pages(Protocol):
    """How an engine that can hand over rows as columns does so, for one question."""

    columns: list[ColumnElement[Any]]
    """What the statement selects; the first is the key."""

    def found(self, connection: Connection, statement: Select[Any]) -> Page:
        """Run a statement that selects ``columns``, in the order of keys, and return what it finds."""

    def touched(self, connection: Connection, statement: Delete | Update) -> Page:
        """Run a statement that removes or changes rows of the question's table, and return which they are."""

    def proved(self, connection: Connection, statement: Delete | Update, planned: Sequence[str]) -> bool:
        """Remove or change rows, by a window of keys or a list of them in order, where the server can prove by itself
        that they are the planned ones: in time, and these versions before, in the order of keys. Returns False, and
        nothing is done, where it cannot; raises UnevenError where it were others."""

    def unchanged(self, keys: Sequence[Key], versions: Sequence[str]) -> list[ColumnElement[bool]] | None:
        """Return the condition that a row is one of these records and still has its version; None for odd keys."""

    def are_same(self, versions: Sequence[str], planned: Sequence[str]) -> bool:
        """Tell whether the versions of a page are those that were planned."""

    def remaining(
        self, connection: Connection, keys: Sequence[Key], conditions: Sequence[ColumnElement[bool]]
    ) -> set[Key] | None:
        """Return which of these records are there and meet the conditions; None for odd keys."""


class RowVersions(Protocol):
    """How it is noticed that a row changed: what is fetched of it, and the version that makes."""

    def columns(self, own: FromClause) -> list[ColumnElement[Any]]:
        """Return what is fetched of a row."""

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Return the versions of rows of these columns: opaque, ``[!-~]``, no plain hash of content, at most 60
        characters."""

    def are_same(self, rows: Sequence[Row], planned: Sequence[str]) -> list[bool]:
        """Tell of each row of these columns whether it still has the version planned for it, whatever the salt that
        was made with. A planned version that is empty asks nothing."""

    def whereabouts(self, own: FromClause, planned: Sequence[str]) -> ColumnElement[bool] | None:
        """Return a condition by which the database finds rows of these versions faster than by their keys; None where
        there is none. Rows that moved meanwhile may be missed, and others be found: the caller compares."""


class Backend(Protocol):
    """One database of one engine."""

    batch_size: int
    """How many records a batch has unless configured: as many as this engine deletes in well under a second."""
    most_surveyed: int
    """Tables of so many rows are gone through in well under a second by one statement (``survey``); 0: none are."""
    batches_at_once: int
    """How many batches of a table processes may act on at the same time: where rows are locked one by one, and a
    deadlock is an error that is tried again, more than one."""
    counts_beside: bool
    """Whether a table is counted over other connections while it is listed."""

    # --- connections and transactions ---

    def reading(self) -> AbstractContextManager[Connection]:
        """Lend a connection that cannot write, outside any transaction; with the planning credentials."""

    def looking(self) -> AbstractContextManager[Connection]:
        """As ``reading``, but it may be a connection that was lent before: to plan with, never to read back with."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Lend a connection that can write, outside any transaction; erased bytes are overwritten where possible."""

    def snapshot(self, connection: Connection) -> AbstractContextManager[None]:
        """See one state of the database until the end of the block; keys can be loaded inside."""

    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin to write, commit at the end of the block; on an error undo everything and raise it.

        Bounded: waits for a lock no longer than a few seconds. References are checked at the end of the transaction
        where the engine can do so.
        """

    # --- what there is ---

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """Read the catalogue."""

    def schema_version(self, connection: Connection) -> Hashable:
        """Return what ``Catalogue.version`` would be now; cheap."""

    def replica_lag_seconds(self, connection: Connection) -> float | None:
        """Return how far the slowest replica is behind, in seconds; None where there are none or it is not known."""

    def health(self) -> Health:
        """Tell who we are, what we may do, and the source's clock."""

    # --- statements ---

    def load_keys(
        self, connection: Connection, slot: str, columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]
    ) -> KeyTable:
        """Put keys (position, values) where a statement can join them, in place of what that slot held.

        Needs no right but to read. ``columns``: the key's columns, whose types and collations decide what is equal.
        """

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """Return all rows of a statement as fast as the driver can; numbers as int, text as str, bytes as bytes, NULL
        as None; keys as ``connectors.sql.keys`` takes them."""

    def remove(
        self, connection: Connection, own: TableClause, conditions: Sequence[Any], columns: Sequence[ColumnElement[Any]]
    ) -> list[Row]:
        """Delete the rows that meet the conditions and return those columns of each, as they were. Within a
        ``transaction``; nothing between the reading and the deleting can change what goes. Raises UnevenError where
        not exactly the rows that were read have gone."""

    def cut_loose(
        self, connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
    ) -> None:
        """Empty columns of rows that are about to go, by which they refer to rows that go before them or with them;
        within a ``transaction``. Nothing where the engine checks references at its end, and nothing where it cannot
        be: the columns take no NULL, a trigger would run or another reference would follow, it is not allowed. Then
        the engine refuses those rows."""

    def pages(self, question: Question, planned: Sequence[str] = ()) -> Pages | None:
        """Return how rows come as columns for a question, from whatever thread has the connection; None where rows
        have to be fetched one by one. ``planned``: versions that theirs are to be compared with."""

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the column such that the planner does not look it up in an index; the column itself where it cannot
        be told."""

    def ordered(self, column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what stands for a key's column where rows are put in order and compared with a row that came before:
        both in the same order; the column itself wherever that is so."""

    def dates(self, column: TableColumn, dating: Dating) -> Dates:
        """Return how the dates of a column are read. What has no date in it (a blob) is all unreadable."""

    def undated_ranges(
        self, connection: Connection, own: FromClause, column: ColumnElement[Any], dates: Dates
    ) -> list[list[ColumnElement[bool]]] | None:
        """Return conditions, each one range of an index on the column, of which one at least holds for every row that
        ``dates.may_be_undated`` holds for and that has no date; together those that one statement asks in good time.
        None where that condition itself is answered as soon, or nothing is.
        """

    def versions(self, table: Table) -> RowVersions:
        """Return how changes of rows are noticed; under a salt drawn for this open location."""

    # --- what stays behind ---

    def settle(self) -> str:
        """Make erased bytes go, as far as is cheap after every batch; ``physical`` or ``logical``."""

    def finish(self, table: Table) -> str:
        """Make erased bytes go, once, after the last batch (``after_purge``); ``physical`` or ``logical``."""

    def close(self) -> None:
        """Let go of every connection."""


class UnevenError(Exception):
    """More or fewer rows went than should have: undo."""
