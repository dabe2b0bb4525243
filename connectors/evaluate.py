"""What a ``Selection`` means, for a source that cannot evaluate it itself: over one item at a time.

``memory`` and ``files`` share this; a connector whose source has a language of its own (SQL) says the same there, and
the contract suite holds them to it. Invariant: what cannot be decided is not selected. A date that is missing, that
cannot be read or that lies in the future is never "before" anything; a NULL never makes a condition unknown.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from connectors.masks import is_masked
from ropa.clock import Moment, calendar_day, read_moment
from ropa.connector import Before, Condition, FieldChange, Key, Scalar, Selection


class Item(Protocol):
    """One record as it stands, looked at through what a selection asks of it."""

    @property
    def key(self) -> Key:
        """The record's key."""

    def value(self, column: str) -> Scalar:
        """Return the content of a column, None where it is empty."""

    def moments(self, anchor: str) -> Sequence[Moment]:
        """Return the dates of an anchor's parts; none at all where the anchor cannot be read (``read_moments``)."""

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:
        """Tell whether the record belongs to one of these records of ``dataset``."""


def read_moments(values: Iterable[tuple[object, ZoneInfo, str | None]]) -> tuple[Moment, ...]:
    """Return the moments of an anchor's parts, given as (value, zone, form).

    A part that is None is passed over. One that is there and cannot be read (an empty text too: whoever wrote it may
    have meant a date) leaves the record without an anchor: the result is then empty, as when no part is left.
    """
    moments = []
    for value, zone, form in values:
        if value is None:
            continue
        moment = read_moment(value, zone=zone, form=form)
        if moment is None:
            return ()
        moments.append(moment)
    return tuple(moments)


class Judge:
    """Decides about one record after another for one selection."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._today = calendar_day(selection.now, selection.zone)
        self._keys = None if selection.keys is None else frozenset(selection.keys)
        self._parents = None if selection.parents is None else (selection.parents[0], frozenset(selection.parents[1]))
        self._asked = tuple(dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)]))

    def is_selected(self, item: Item) -> bool:
        """Tell whether a record is one of those meant. ``spare`` is no part of this: it marks, it does not select."""
        return self._is_named(item) and self._is_matching(item) and self._is_in_time(item)

    def anchored(self, item: Item) -> tuple[date | None, ...]:
        """Return the calendar days of the selection's anchors, in their order; None where none can be read."""
        zone = self.selection.zone
        return tuple(_latest_day(item.moments(anchor), zone) for anchor in self.selection.anchors)

    def _is_named(self, item: Item) -> bool:
        if self._keys is not None and item.key not in self._keys:
            return False
        return self._parents is None or item.is_child_of(*self._parents)

    def _is_matching(self, item: Item) -> bool:
        selection = self.selection
        if selection.match and not _are_all(selection.match, item):
            return False
        if selection.exclude and any(_are_all(conditions, item) for conditions in selection.exclude):
            return False
        return not selection.fields or holds_something(selection.fields, item)

    def _is_in_time(self, item: Item) -> bool:
        if not self.selection.check_anchors:
            return True
        for anchor in self._asked:
            found = item.moments(anchor)
            if not found or any(map(self._is_future, found)):
                return self.selection.undated
        if self.selection.undated:
            return False
        return all(_is_before(item.moments(before.anchor), before) for before in self.selection.before)

    def _is_future(self, moment: Moment) -> bool:
        return moment > self.selection.now if isinstance(moment, datetime) else moment > self._today


def _are_all(conditions: Iterable[Condition], item: Item) -> bool:
    return all(is_satisfied(condition, item.value(condition.column)) for condition in conditions)


def holds_something(fields: Sequence[FieldChange], item: Item) -> bool:
    """Tell whether one of the columns still holds something that its mask would change."""
    return any(not is_masked(change.mask, item.value(change.column)) for change in fields)


def is_satisfied(condition: Condition, value: Scalar) -> bool:
    """Tell whether a column's content satisfies a condition; None among the values stands for NULL."""
    is_one_of = any(value is None if wanted is None else value == wanted for wanted in condition.values)
    return is_one_of is not condition.negated


def spell(value: object) -> str:
    """Return one component of a key as text, in the spelling that ``ropa.connector.Key`` promises."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _is_before(moments: Sequence[Moment], before: Before) -> bool:
    """Tell whether the latest moment is before: that is, whether each of them is."""
    return all(m < before.instant if isinstance(m, datetime) else m < before.day for m in moments)


def _latest_day(moments: Sequence[Moment], zone: ZoneInfo) -> date | None:
    return max((calendar_day(moment, zone) for moment in moments), default=None)
