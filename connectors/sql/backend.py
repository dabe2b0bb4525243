"""What the rest of the connector asks of one kind of database: the seam at which another engine is added.

Invariant: everything that differs between engines goes through here; statements above it are SQLAlchemy Core.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, FromClause

from connectors.sql.catalogue import Catalogue, Kind
from connectors.sql.keys import Values
from ropa.connector import Health, Mask


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Keys put where a statement can join them: column ``pos`` says which, ``parts`` are the key's columns."""

    source: FromClause
    pos: ColumnElement[int]
    parts: tuple[ColumnElement[Any], ...]


class Backend(Protocol):
    """One database of one engine."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Open a fresh connection that cannot write, outside any transaction."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Lend a connection that can write, outside any transaction; erased bytes are overwritten where possible."""

    def snapshot(self, connection: Connection) -> AbstractContextManager[None]:
        """See one state of the database until the end of the block; keys can be loaded inside."""

    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Lock out other writers, commit at the end of the block; on an error undo everything and raise it.

        References are checked at the end of the transaction where the engine can do so.
        """

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """Read the catalogue."""

    def schema_version(self, connection: Connection) -> int:
        """Return what ``Catalogue.version`` would be now."""

    def load_keys(
        self,
        connection: Connection,
        slot: str,
        kinds: tuple[Kind, ...],
        keys: Iterable[tuple[int, Values]],
        *,
        is_searched: bool = False,
    ) -> KeyTable:
        """Put keys (position, values) in a temporary table, in place of what that slot held.

        ``is_searched``: other rows will be looked up in it.
        """

    def drop_keys(self, connection: Connection, keys: KeyTable, positions: Iterable[int]) -> None:
        """Take positions out of a temporary table."""

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the column such that the planner does not look it up in an index."""

    def greatest(self, values: list[ColumnElement[Any]]) -> ColumnElement[Any]:
        """Return the greatest of several values, none of them NULL."""

    def day_number(
        self,
        column: ColumnElement[Any],
        kind: Kind,
        *,
        zone: ZoneInfo,
        form: str | None,
        local: ZoneInfo,
        now: datetime,
    ) -> ColumnElement[int]:
        """Read a date: the number of its calendar day in ``local``, or one of the marks in ``anchors``; NULL of NULL.

        ``zone``: of dates without one; ``form``: how it is written; ``now``: what is later lies in the future.
        """

    def is_identifier(self, column: ColumnElement[Any], identifier: str) -> ColumnElement[bool]:
        """Tell whether a column's content normalises to an identifier."""

    def masked(self, column: ColumnElement[Any], mask: Mask) -> ColumnElement[Any]:
        """Return what a mask leaves of a column's content, NULL where it leaves nothing."""

    def is_masked(self, column: ColumnElement[Any], mask: Mask) -> ColumnElement[bool]:
        """Tell whether a mask would leave a column's content as it is."""

    def random_text(self) -> ColumnElement[str]:
        """Return a text that ``is_masked`` knows for Mask.RANDOM, another one in each row."""

    def settle(self) -> str:
        """Make erased bytes go; ``physical`` or ``logical``."""

    def health(self) -> Health:
        """Tell who we are and what we may do."""

    def close(self) -> None:
        """Let go of every connection."""
