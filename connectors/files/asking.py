"""What a selection asks of the files of one dataset: which of them it means, and what is said of them.

Invariant: the plain question (a record's own time of last change before a day) is answered by comparing numbers, and
that comparison says exactly what ``connectors.evaluate.Judge`` says; every other question goes to the judge itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from connectors.evaluate import Judge
from connectors.files.dataset import FileItem, Folder
from connectors.files.listing import Entries, statuses
from connectors.files.names import Persons, spell_name
from connectors.files.tree import Verdict, identity_of
from ropa.clock import calendar_day
from ropa.connector import Batch, Key, Note, OutcomeWord, Selection, Tally

Row = tuple[str, tuple[str, tuple[date | None, ...], Note | None]]
"""Key, and: version, days of the anchors, what else is to be said of it."""

_SECOND = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Times that ``connectors.files.dataset`` can read as a date, in seconds.
_FIRST = (datetime(1971, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_END = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) + 1


class Question:
    """A selection over one dataset; may be asked in several threads at once.

    ``obstacle``: why a file cannot go, given its path and status; None where nothing stands against it.
    """

    def __init__(
        self,
        folder: Folder,
        selection: Selection,
        is_record: Callable[[str], bool] | None,
        obstacle: Callable[[str, os.stat_result], str | None],
    ) -> None:
        self._folder = folder
        self.selection = selection
        self._is_record = is_record
        self._obstacle = obstacle
        self._judge = Judge(selection)
        self._undated = Judge(replace(selection, before=(), undated=True))
        self._persons = Persons(selection.spare.subjects)
        self._held = frozenset[Key]().union(*selection.spare.keys.values())
        self._may_be_spared = bool(self._held) or len(selection.spare.subjects) > 0
        self._range = _range_of(folder, selection)
        self._days: dict[date, tuple[date, ...]] = {}
        self._lock = threading.Lock()
        self._population = 0
        self._unanchored = 0

    @property
    def tally(self) -> Tally:
        """What was counted while listing."""
        return Tally(self._population, self._unanchored)

    def sift(self, entries: Entries, prefix: str) -> list[Row]:
        """Return the selected ones of a folder's files, and count them all (``connectors.files.listing.Sift``)."""
        is_record = self._is_record
        if is_record is not None:
            entries = (entry for entry in entries if is_record(prefix + spell_name(entry.name)))
        if self._range is None:
            rows, population, unanchored = self._sift_by_judge(entries, prefix)
        else:
            rows, population, unanchored = self._sift_by_time(entries, prefix, *self._range)
        with self._lock:
            self._population += population
            self._unanchored += unanchored
        return rows

    def _sift_by_time(
        self, entries: Entries, prefix: str, first: int, before: int, end: int
    ) -> tuple[list[Row], int, int]:
        rows: list[Row] = []
        population = unanchored = 0
        for name, status in statuses(entries):
            population += 1
            modified = status.st_mtime_ns
            if first <= modified < before:
                rows.append(self.row(prefix + spell_name(name), status))
            elif not first <= modified < end:
                unanchored += 1
        return rows, population, unanchored

    def _sift_by_judge(self, entries: Entries, prefix: str) -> tuple[list[Row], int, int]:
        rows: list[Row] = []
        population = unanchored = 0
        for name, status in statuses(entries):
            item = FileItem(self._folder, prefix + spell_name(name), status)
            population += 1
            unanchored += self._undated.is_selected(item)
            if self._judge.is_selected(item):
                rows.append(self.row(item.path, status))
        return rows, population, unanchored

    def is_selected(self, path: str, status: os.stat_result) -> bool:
        """Tell whether a file, its path spelled as in keys, is one of those meant."""
        if self._range is not None:
            return self._range[0] <= status.st_mtime_ns < self._range[1]
        return self._judge.is_selected(FileItem(self._folder, path, status))

    def row(self, path: str, status: os.stat_result) -> Row:
        """Return what is said of a file."""
        is_spared = self._may_be_spared and self._is_spared(path)
        obstacle = self._obstacle(path, status)
        note = Note(is_spared, obstacle=obstacle) if is_spared or obstacle is not None else None
        return path, (identity_of(status), self._anchored(path, status), note)

    def verdict(self, path: str, version: str, status: os.stat_result) -> Verdict | None:
        """Return why a file that was found as ``version`` must stay; None where it may go."""
        if self._may_be_spared and self._is_spared(path):
            return OutcomeWord.HELD, None
        if identity_of(status) != version or not self.is_selected(path, status):
            return OutcomeWord.CHANGED, None
        obstacle = self._obstacle(path, status)
        return None if obstacle is None else (OutcomeWord.BLOCKED, obstacle)

    def _anchored(self, path: str, status: os.stat_result) -> tuple[date | None, ...]:
        if self._range is None:
            return self._judge.anchored(FileItem(self._folder, path, status))
        day = calendar_day(datetime.fromtimestamp(status.st_mtime_ns // _SECOND, UTC), self.selection.zone)
        found = self._days.get(day)
        return found or self._days.setdefault(day, (day,) * len(self.selection.anchors))

    def _is_spared(self, path: str) -> bool:
        return (path,) in self._held or self._persons.is_about(self._folder.spec.subject, path)


class Columns:
    """A batch that is being filled."""

    __slots__ = ("_anchored", "_dataset", "_notes", "_versions", "keys")

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self.keys: list[Key] = []
        self._versions: list[str] = []
        self._anchored: list[tuple[date | None, ...]] = []
        self._notes: dict[int, Note] = {}

    def add(self, path: str, version: str, anchored: tuple[date | None, ...], note: Note | None) -> None:
        """Add one file."""
        if note is not None:
            self._notes[len(self.keys)] = note
        self.keys.append((path,))
        self._versions.append(version)
        self._anchored.append(anchored)

    def made(self) -> Batch:
        """Return the batch."""
        return Batch(self._dataset, self.keys, self._versions, self._anchored, self._notes)


def _range_of(folder: Folder, selection: Selection) -> tuple[int, int, int] | None:
    """Return, in nanoseconds, the first time that is a date, the first that is not selected, and the first that lies
    in the future; None where a selection asks for more than that.

    A time counts to the second, rounded down (``connectors.files.dataset``), so bounds are rounded up to seconds.
    """
    asks_more = selection.match or selection.exclude or selection.fields or selection.undated
    is_narrowed = selection.keys is not None or selection.parents is not None
    asked = {*selection.anchors, *(before.anchor for before in selection.before)}
    if asks_more or is_narrowed or not selection.check_anchors or not asked or not all(map(folder.is_mtime, asked)):
        return None
    end = min(_END, (selection.now - _EPOCH) // timedelta(seconds=1) + 1)
    before = min([end, *(-((_EPOCH - before.instant) // timedelta(seconds=1)) for before in selection.before)])
    return _FIRST * _SECOND, before * _SECOND, end * _SECOND
