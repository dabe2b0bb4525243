"""What a listing has found and not handed out yet, and finding more meanwhile.

Invariant: batches come whole, in their order, each once; what fails at the next one is told when that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import TypeVar

from ropa.connector import Batch, Key, Note

T = TypeVar("T")


class Gathered:
    """What was found and not handed out yet: keys and what is told of them, without the rows' content."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        self._keys: list[Key] = []
        self._versions: list[str] = []
        self._anchored: list[tuple[date | None, ...]] = []
        self._notes: dict[int, Note] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, batch: Batch) -> None:
        """Put what was found behind the rest."""
        start = len(self._keys)
        self._keys += batch.keys
        self._versions += batch.versions
        self._anchored += batch.anchored
        self._notes |= {start + pos: note for pos, note in batch.notes.items()}

    def take(self, size: int) -> Batch:
        """Return the first so many as a batch, and keep the rest."""
        notes = {pos: note for pos, note in self._notes.items() if pos < size}
        batch = Batch(self._dataset, self._keys[:size], self._versions[:size], self._anchored[:size], notes)
        del self._keys[:size], self._versions[:size], self._anchored[:size]
        self._notes = {pos - size: note for pos, note in self._notes.items() if pos >= size}
        return batch


def ahead(pages: Iterator[T]) -> Iterator[T]:
    """Yield what is fetched, while a thread is already at the next page."""
    with ThreadPoolExecutor(1, thread_name_prefix="next-page") as executor:
        following = executor.submit(next, pages, None)
        while (page := following.result()) is not None:
            following = executor.submit(next, pages, None)
            yield page
