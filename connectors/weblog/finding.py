"""Listing ranges of lines: what a selection means, file by file, in one pass.

Invariant: the pass sees every line of every log of the dataset, or raises; so what it counts besides is
the population.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial

from connectors.evaluate import Judge
from connectors.files.tree import Chain
from connectors.weblog.dataset import LogFolder, People, RangeItem
from connectors.weblog.openness import Writers
from connectors.weblog.place import Place
from connectors.weblog.ranges import Cutter, Range, open_pieces
from connectors.weblog.rewriting import Log
from connectors.weblog.streams import PLAIN, count_newlines
from connectors.weblog.versions import identity_of
from ropa.connector import Batch, Found, Key, Selection, Tally


class Finder:
    """One listing for one selection."""

    def __init__(self, place: Place, folder: LogFolder, selection: Selection, salt: bytes) -> None:
        self._place, self._folder, self._selection, self._salt = place, folder, selection, salt
        # Keys are known when a range has ended, and whether a mask would change it too: the judge decides on the rest.
        bare = replace(selection, keys=None, fields=())
        self._judge = Judge(bare)
        self._undated = Judge(replace(bare, before=(), undated=True))
        self._keys = None if selection.keys is None else frozenset(selection.keys)
        self._held = held_paths(selection)
        self._people = People(folder.spec.subject, selection.spare.subjects)
        self._masks = {change.column: change.mask for change in selection.fields}
        self.population = self.undated = 0

    def batches(self, size: int) -> Generator[Batch, None, Tally | None]:
        """Stream the batches; the last word is the tally, where keys did not narrow what was read."""
        batch: list[Found] = []
        with self._place.open() as root, Chain(root) as chain:
            writers = Writers(root.device)
            for path in self._place.paths(root, self._folder):
                if self._keys is not None and not any(key[0] == path for key in self._keys if key):
                    continue
                with self._place.log(chain, path) as log:
                    for found in self._of_log(log, writers) if log is not None else ():
                        batch.append(found)
                        if len(batch) == size:
                            yield Batch.of(self._selection.dataset, batch)
                            batch = []
        if batch:
            yield Batch.of(self._selection.dataset, batch)
        return None if self._keys is not None else Tally(self.population, self.undated)

    def _of_log(self, log: Log, writers: Writers) -> Iterator[Found]:
        wants = _remembered(lambda day: self._judge.is_selected(RangeItem(self._folder, log.path, day)))
        is_undated = _remembered(lambda day: self._undated.is_selected(RangeItem(self._folder, log.path, day)))
        obstacle = self._place.obstacle(self._folder, log.path, log.status, writers)
        identity = identity_of(log.status)
        is_held = log.path in self._held
        recount = None if log.kind != PLAIN else partial(count_newlines, log.descriptor)
        cutter = Cutter(wants, self._people, self._masks, recount)
        for one in cutter.cut(open_pieces(self._folder, self._place.zone, log.source())):
            self.population += 1
            self.undated += is_undated(one.day)
            key = (log.path, one.span)
            if not one.is_wanted or (self._masks and not one.holds_something):
                continue
            if self._keys is None or key in self._keys:
                yield Found(
                    key,
                    str(one.version(self._salt, identity)),
                    self._judge.anchored(RangeItem(self._folder, log.path, one.day)),
                    is_spared=is_held or one.is_spared,
                    obstacle=obstacle,
                )


def count(place: Place, folder: LogFolder) -> int:
    """Return the number of ranges. Raises IncompleteListingError."""
    total = 0
    with place.open() as root, Chain(root) as chain:
        for path in place.paths(root, folder):
            with place.log(chain, path) as log:
                if log is not None:
                    total += sum(1 for _ in _bare_ranges(place, folder, log))
    return total


def held_paths(selection: Selection) -> frozenset[str]:
    """Return the logs that are held: a hold on some lines of a log holds all of it, because lines that go further up
    give these another number."""
    return frozenset(key[0] for key in frozenset[Key]().union(*selection.spare.keys.values()) if key)


def _bare_ranges(place: Place, folder: LogFolder, log: Log) -> Iterator[Range]:
    cutter = Cutter(lambda _: False, People((), frozenset()), {}, lambda _start, _end: 0)
    return cutter.cut(open_pieces(folder, place.zone, log.source()))


def _remembered(ask: Callable[[int | None], bool]) -> Callable[[int | None], bool]:
    known: dict[int | None, bool] = {}

    def answer(day: int | None) -> bool:
        if day not in known:
            known[day] = ask(day)
        return known[day]

    return answer
