"""Finding: one listing that tells what is due and what has no date, in key order.

The service leaves out what it can (``questions``); everything that comes is judged here. Rows are looked at some
thousands at a time: who refers to them, what they descend from, dates elsewhere. Invariant: nothing is told before the
whole listing was read; what was repeated on another page counts once; memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from connectors.evaluate import Judge
from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.dataverse.items import Relatives, RowItem, columns_for, comparable
from connectors.microsoft365.dataverse.layout import Declared, Layout
from connectors.microsoft365.dataverse.questions import filter_of
from connectors.microsoft365.dataverse.reading import Reader, Row
from connectors.microsoft365.dataverse.relations import UNSEEN, Sparing, referrers
from connectors.microsoft365.records import Sorter
from ropa.connector import Batch, Note, Selection, Tally

_AT_A_TIME = 10_000


class Finding:
    """One selection over one dataset."""

    def __init__(self, layout: Layout, declared: Declared, selection: Selection, reader: Reader) -> None:
        self._layout = layout
        self._declared = declared
        self._selection = comparable(declared, selection)
        self._reader = reader
        self._is_whole = not selection.fields
        """Whether rows as a whole are meant: only then it matters who refers to them."""
        self._judge = Judge(self._selection)
        self._undated = Judge(replace(self._selection, before=(), undated=True))
        self._relatives = Relatives(layout, declared, self._selection, reader)
        self._sparing = Sparing(selection.spare, layout, reader)

    def batches(self, size: int) -> Generator[Batch, None, Tally | None]:
        """Yield what is selected in batches, and return what the listing tells besides, where it saw every row."""
        selection = self._selection
        found = Sorter(selection.dataset)
        is_counting = selection.keys is None and selection.parents is None and selection.check_anchors
        for items in self._gathered(found):
            self._describe(items, found)
        yield from found.batches(size)
        if not is_counting or selection.undated:
            return None
        head = self._declared.entity.head
        return Tally(self._reader.count(head.path, head.key), found.undated)

    def _gathered(self, found: Sorter) -> Iterator[dict[str, RowItem]]:
        """Yield what is selected by key, some thousands at a time; what has no date is told to ``found``."""
        chosen: dict[str, RowItem] = {}
        for page in self._listed():
            items = {item.id: item for item in (RowItem(self._declared, row) for row in page)}
            if "" in items:
                raise self._reader.service.incomplete("a row has no key")
            if self._relatives.parts:
                kin = self._relatives.of({key: item.row for key, item in items.items()})
                items = {key: RowItem(self._declared, item.row, kin, key) for key, item in items.items()}
            for key, item in items.items():
                if self._judge.is_selected(item):
                    chosen[key] = item
                elif self._undated.is_selected(item):
                    found.pass_over((key,), is_undated=True)
            if len(chosen) >= _AT_A_TIME:
                yield chosen
                chosen = {}
        if chosen:
            yield chosen

    def _listed(self) -> Iterator[list[Row]]:
        selection, declared, reader = self._selection, self._declared, self._reader
        head = declared.entity.head
        columns = columns_for(declared, selection, is_whole=self._is_whole)
        if selection.keys is not None:
            keys = sorted({key for (key, *_) in selection.keys if spell_guid(key) is not None})
            for at in range(0, len(keys), _AT_A_TIME):
                yield list(reader.by_keys(head.path, head.key, columns, keys[at : at + _AT_A_TIME]).values())
            return
        if selection.parents is not None:
            dataset, parents = selection.parents
            names = [key for (key, *_) in parents if spell_guid(key) is not None]
            lookups = [name for name in self._layout.lookups_to(declared, dataset) if declared.is_parent(name, dataset)]
            for lookup in lookups if names else ():
                yield list(reader.where(head.path, lookup, columns, names))
            return
        needs = f"read access to {head.name}"
        condition = filter_of(declared, selection)
        pages = reader.pages(head.path, columns, condition, needs=needs)
        try:
            yield next(pages, [])
        except AnswerError as error:
            if error.status != 400 or not condition:
                raise
            # Some columns cannot stand in a condition, and the metadata does not say which: then nothing is left out.
            pages = reader.pages(head.path, columns, needs=needs)
        yield from pages

    def _describe(self, chosen: dict[str, RowItem], found: Sorter) -> None:
        """Tell ``found`` of rows that are selected, with what is to be said of each."""
        declared, judge = self._declared, self._judge
        spared = self._sparing.spared(declared, {key: item.row for key, item in chosen.items()})
        referring = referrers(self._layout, declared, self._reader, list(chosen)) if self._is_whole else None
        is_plain = not spared and not (self._is_whole and declared.lookups) and (
            referring is None or not (referring.by_parent or referring.unseen)
        )  # fmt: skip
        for key, item in chosen.items():
            if is_plain:
                found.add((key,), item.version, judge.anchored(item))
                continue
            note = Note(
                key in spared,
                item.references() if self._is_whole else (),
                referring.told(key) if referring is not None else (),
                UNSEEN if referring is not None and referring.unseen else None,
            )
            found.add((key,), item.version, judge.anchored(item), note if note != _NOTHING else None)


_NOTHING = Note()
