"""Records as JSON gives them: their dates and values as a selection asks for them, and their order.

Invariant: a listing comes out in key order with each key once, in memory that does not grow with it: what does not fit
is sorted in runs in a file without a name, which nobody else can open and which is gone with the process. It holds
keys, versions, days and references, no content.
"""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

from connectors.evaluate import read_moments
from ropa.clock import Moment
from ropa.connector import Batch, DatasetSpec, Key, Note, Reference, Referring, Scalar

_Line = tuple[Key, int, str, tuple[int | None, ...], str]
"""Key, how manieth it came, version, days as ordinals (None: no date), its note as JSON (empty: none)."""
RUN = 50_000
"""Records that are sorted in memory at a time."""


@dataclass(slots=True)
class JsonItem:
    """One record, looked at as ``connectors.evaluate.Judge`` asks."""

    spec: DatasetSpec
    key: Key
    values: Mapping[str, Any]
    parents: frozenset[tuple[str, Key]] = frozenset()

    def value(self, column: str) -> Scalar:
        """Return the content of a column, None where it is empty or no single value."""
        found = self.values.get(column)
        return found if isinstance(found, str | int | float | bool) else None

    def moments(self, anchor: str) -> Sequence[Moment]:
        """Return the dates of an anchor's parts."""
        parts = self.spec.anchors[anchor].parts
        return read_moments((self.values.get(part.column), self.spec.zone, part.form) for part in parts)

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:
        """Tell whether the record belongs to one of these."""
        return any(name == dataset and key in keys for name, key in self.parents)


class Sorter:
    """Takes records in any order, and gives them in key order, each key once: of two with one key the last counts.

    What is not selected may be told too (``pass_over``): then it is known in the end how many records there are, each
    counted once, and a record that came again and is not selected any more is left out.
    """

    def __init__(self, dataset: str, *, run: int = RUN) -> None:
        self._dataset = dataset
        self._run = run
        self._lines: list[_Line] = []
        self._runs: list[tuple[int, int]] = []
        self._file: IO[bytes] | None = None
        self._seen = 0
        self.repeated = 0
        """How many records came with a key that another had; known, as what follows, when all batches were given."""
        self.population = 0
        """Records that were told of."""
        self.undated = 0
        """Of those passed over, the ones that match and have no date that can be read."""

    def add(self, key: Key, version: str, days: Iterable[date | None], note: Note | None = None) -> None:
        """Take a record."""
        ordinals = tuple(None if day is None else day.toordinal() for day in days)
        self._take(key, version, ordinals, "" if note is None else _spell_note(note))

    def pass_over(self, key: Key, *, is_undated: bool = False) -> None:
        """Take note of a record that is not selected."""
        self._take(key, _UNDATED if is_undated else _PASSED)

    def forget(self, key: Key) -> None:
        """Take note that a record told of before is gone; it counts for nothing."""
        self._take(key, _GONE)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all of them in batches; nothing may be added afterwards."""
        keys: list[Key] = []
        versions: list[str] = []
        days: list[tuple[date | None, ...]] = []
        notes: dict[int, Note] = {}
        for key, _, version, ordinals, note in self._once():
            if version == _GONE:
                continue
            self.population += 1
            if version in _NOT_SELECTED:
                self.undated += version == _UNDATED
                continue
            if note:
                notes[len(keys)] = _read_note(note)
            keys.append(key)
            versions.append(version)
            days.append(tuple(None if number is None else date.fromordinal(number) for number in ordinals))
            if len(keys) == size:
                yield Batch(self._dataset, keys, versions, days, notes)
                keys, versions, days, notes = [], [], [], {}
        if keys:
            yield Batch(self._dataset, keys, versions, days, notes)
        if self._file is not None:
            self._file.close()

    def _take(self, key: Key, version: str, days: tuple[int | None, ...] = (), note: str = "") -> None:
        self._seen += 1
        self._lines.append((key, self._seen, version, days, note))
        if len(self._lines) >= self._run:
            self._spill()

    def _once(self) -> Iterator[_Line]:
        """Give lines in key order; of equal keys the one that came last."""
        waiting: _Line | None = None
        for line in self._sorted():
            if waiting is not None:
                if waiting[0] != line[0]:
                    yield waiting
                else:
                    self.repeated += 1
            waiting = line
        if waiting is not None:
            yield waiting

    def _sorted(self) -> Iterator[_Line]:
        self._lines.sort()
        if not self._runs:
            return iter(self._lines)
        return heapq.merge(self._lines, *(self._read(start, end) for start, end in self._runs))

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when all was given
        self._lines.sort()
        start = self._file.seek(0, 2)
        for at in range(0, len(self._lines), _BLOCK):
            data = json.dumps(self._lines[at : at + _BLOCK]).encode()
            self._file.write(len(data).to_bytes(8, "big") + data)
        self._runs.append((start, self._file.tell()))
        self._lines = []

    def _read(self, start: int, end: int) -> Iterator[_Line]:
        while start < end and self._file is not None:
            self._file.seek(start)
            length = int.from_bytes(self._file.read(8), "big")
            lines = json.loads(self._file.read(length))
            start += 8 + length
            yield from ((tuple(key), seen, version, tuple(days), note) for key, seen, version, days, note in lines)


def _spell_note(note: Note) -> str:
    refers = [(reference.dataset, reference.key, reference.is_parent) for reference in note.refers_to]
    referring = [(place.source, place.is_declared, place.count) for place in note.referred_by]
    return json.dumps([note.is_spared, refers, referring, note.obstacle])


def _read_note(text: str) -> Note:
    is_spared, refers, referring, obstacle = json.loads(text)
    return Note(
        is_spared,
        tuple(Reference(dataset, tuple(key), is_parent) for dataset, key, is_parent in refers),
        tuple(Referring(source, is_declared, count) for source, is_declared, count in referring),
        obstacle,
    )


_PASSED, _UNDATED, _GONE = "\0", "\1", "\2"
_NOT_SELECTED = frozenset({_PASSED, _UNDATED})
"""In the place of a version."""
_BLOCK = 500
"""Lines of a run that are in memory at a time while runs are merged."""
