"""Anonymising: what a column becomes, and whether it still holds something that its mask would change.

A cleared column becomes NULL; where that is forbidden, the first of the documented constants (``blanks.py``) that type,
length and every CHECK take; in a UNIQUE column a random value. What that is, is decided before the first row is read
(``deciding.py``), and what cannot be is told as a problem when planning. Invariant: after a change nothing is pending,
so a second run changes nothing. NULL and empty text hold nothing. A mask is ``connectors.masks``: the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, null, or_

from connectors.masks import REDACTED, mask_value
from connectors.sql.backend import Row
from connectors.sql.blanks import TEXTUAL, Filler, fits
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.identifiers import Needles, has_mark
from ropa.connector import Mask

_KEPT = frozenset({Mask.YEAR, Mask.TRUNCATE_IP})
"""Masks that leave a part of the value."""


@dataclass(frozen=True, slots=True)
class Change:
    """One column to be changed, and how."""

    column: TableColumn
    mask: Mask
    filler: Filler
    """What stands there afterwards; of a mask that keeps a part, where it finds none to keep."""
    is_loose: bool = False
    """Whether the column may hold values of any type (SQLite)."""
    identifiers: tuple[str, ...] = ()
    """Columns of the same row whose values alone are taken out of the text; empty: the whole of it goes."""

    @property
    def is_constant(self) -> bool:
        """Whether every row gets the same, so that the database can do it by itself."""
        is_whole = self.mask is Mask.CLEAR or (self.mask is Mask.REDACT and not self.identifiers and not self.is_loose)
        return is_whole and not self.filler.is_random

    def may_be_pending(self, value: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return a condition that holds wherever the column still holds something to change; exactly there where
        ``is_constant``."""
        conditions: list[ColumnElement[bool]] = [value.is_not(None)]
        blanks: list[object] = [""] if self.is_loose or self.column.kind in TEXTUAL else []
        if self.column.kind is Kind.BYTES:
            blanks.append(b"")
        if self.filler.value is not None and not self.filler.is_random:
            blanks.append(self.filler.value)
        conditions += [value != bound(blank) for blank in dict.fromkeys(blanks)]
        return and_(*conditions)

    def is_pending(self, value: Any, needles: Needles | None = None) -> bool:
        """Tell whether what a row holds would be changed; ``needles``: of the row's identifiers."""
        if value is None or value in ("", b"") or self.filler.is_own(value):
            return False
        if self.mask in _KEPT:
            return bool(self._kept(value) != value)
        if self.identifiers and needles is not None and isinstance(value, str):
            return needles.is_in(value) if needles else not has_mark(value)
        return True

    def changed(self, value: Any) -> Any:
        """Return what a row holds afterwards."""
        if not self.is_pending(value):
            return value
        if self.mask in _KEPT:
            left = self._kept(value)
            if left is not None and fits(self.column, left):
                return left
        if self.mask is Mask.REDACT and isinstance(value, bytes) and self.column.is_nullable:
            return None
        return self.filler.make()

    def cut(self, text: Any, needles: Needles, *, is_last: bool) -> Any:
        """Return a text without what the identifiers hold. ``is_last``: they go with it, so a mark must tell from now
        on that the text was looked through."""
        if not isinstance(text, str) or not text or self.filler.is_own(text):
            return text if text is None or text == "" or self.filler.is_own(text) else self.filler.make()
        if not needles:
            return text if has_mark(text) else self.filler.make()
        left = needles.replaced(text)
        if is_last and not has_mark(left):
            left = f"{left} {REDACTED}"
        return left if fits(self.column, left) else self.filler.make()

    def _kept(self, value: Any) -> Any:
        """Return what a mask leaves of a value; None where it can keep nothing."""
        bare = self._bare(value)
        left: Any = mask_value(self.mask, bare)
        if isinstance(left, bytes) and self.column.type.lower().startswith("binary") and not any(left[4:]):
            # BINARY(16) fills an IPv4 address up with zeros.
            return left[:3] + bytes(len(left) - 3)
        return f"{left}{value[len(bare) :]}" if isinstance(left, str) and bare is not value else left

    def _bare(self, value: Any) -> Any:
        """Return an address without the length of its network (PostgreSQL: ``192.0.2.7/24``)."""
        is_long = self.column.kind is Kind.ADDRESS and isinstance(value, str) and "/" in value
        return value.partition("/")[0] if is_long else value

    def expression(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what the database makes of the column, where ``is_constant``; else an example of it."""
        blank = null() if self.filler.value is None else bound(self.filler.value)
        return case((self.may_be_pending(value), blank), else_=value)


@dataclass(frozen=True)
class Changes:
    """All that is changed in a row, in one statement."""

    own: tuple[Change, ...] = ()
    """The fields of the selection, in their order."""
    beside: tuple[Change, ...] = ()
    """Texts in which the value of a changed column may occur too: it goes from there with the column."""
    problems: tuple[str, ...] = ()
    """Why it cannot be carried out, one sentence each."""
    anchors: tuple[str, ...] = ()
    """Columns into which the engine would write the time of the change, although periods run from them."""

    def __bool__(self) -> bool:
        return bool(self.own)

    @property
    def is_constant(self) -> bool:
        """Whether the database can do it by itself."""
        return not self.beside and all(change.is_constant for change in self.own)

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns that are written."""
        return tuple(change.column.name for change in (*self.own, *self.beside))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be read to judge a row: what is written first, in that order."""
        others = [name for change in (*self.own, *self.beside) for name in change.identifiers]
        return tuple(dict.fromkeys([*self.targets, *others]))

    def may_be_pending(self, own: FromClause) -> ColumnElement[bool]:
        """Return a condition that holds for every row with something to change; exactly those where ``is_constant``."""
        return or_(*(change.may_be_pending(own.c[change.column.name]) for change in self.own))

    def expressions(self, own: FromClause) -> dict[Any, ColumnElement[Any]]:
        """Return what the database makes of the columns, where ``is_constant``."""
        return {own.c[c.column.name]: c.expression(own.c[c.column.name]) for c in self.own} | self.as_they_are(own)

    def as_they_are(self, own: FromClause) -> dict[Any, ColumnElement[Any]]:
        """Return what ``anchors`` are set to so that they stay."""
        return {own.c[name]: own.c[name] for name in self.anchors}

    def is_pending(self, row: Row) -> bool:
        """Tell whether anything in a row of ``columns`` would be changed."""
        if not any(change.identifiers for change in self.own):
            return any(change.is_pending(value) for change, value in zip(self.own, row, strict=False))
        values = dict(zip(self.columns, row, strict=True))
        return any(
            change.is_pending(value, _needles(change, values) if change.identifiers else None)
            for change, value in zip(self.own, row, strict=False)
        )

    def changed(self, row: Row) -> tuple[Any, ...]:
        """Return what ``targets`` hold afterwards, of a row of ``columns``."""
        before = dict(zip(self.columns, row, strict=True))
        after = dict(before)
        for change in self.own:
            if not change.identifiers:
                after[change.column.name] = change.changed(before[change.column.name])
        for change in self.own:
            if change.identifiers:
                needles, later = _needles(change, before), _needles(change, after)
                text = before[change.column.name]
                after[change.column.name] = change.cut(text, needles, is_last=not later)
        for change in self.beside:
            text = before[change.column.name]
            going = _needles(change, before).without(_needles(change, after))
            if going and isinstance(text, str) and going.is_in(text):
                after[change.column.name] = change.cut(text, going, is_last=False)
        return tuple(after[name] for name in self.targets)


def _needles(change: Change, values: Mapping[str, Any]) -> Needles:
    return Needles(values[name] for name in change.identifiers)


def named(table: str, column: str) -> str:
    """Return how a column is called in a sentence."""
    return f"column {column!r} of {table!r}"


def texts_of(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the dataset option ``own_identifiers``: text column to the columns whose values are taken out of it."""
    given = options.get("own_identifiers")
    if not isinstance(given, Mapping):
        return {}
    return {
        str(text): tuple(map(str, names))
        if isinstance(names, Sequence) and not isinstance(names, str)
        else (str(names),)
        for text, names in given.items()
    }
