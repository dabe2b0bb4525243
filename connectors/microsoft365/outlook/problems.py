"""What in the configuration of a dataset cannot be, told without asking the service.

Invariant: one sentence for each thing, naming the column, folder or option; never a value of a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connectors.microsoft365.outlook.asking import Dataset
from connectors.microsoft365.outlook.columns import COLUMNS, DEFAULT_ANCHORS, INSTANT, is_single, reason_against
from connectors.microsoft365.outlook.sources import CONTACTS, MESSAGES
from ropa.connector import Selection

KEY = ("mailbox", "id")
_NO_SUCH_ANCHOR = {MESSAGES: frozenset[str](), CONTACTS: frozenset({"received"})}


def of_dataset(dataset: Dataset, others: Mapping[str, Dataset]) -> Iterator[str]:
    """Yield what cannot be, whatever is asked."""
    spec, kind, known = dataset.spec, dataset.kind, COLUMNS[dataset.kind]
    if spec.key not in {(), KEY}:
        yield "the key of a message or contact is its mailbox and id"
    if spec.parent is not None:
        yield f"{kind} have no parent"
    if dataset.with_subfolders and dataset.source.is_whole:
        yield f"source names no folder, so subfolders says nothing: {kind} of every folder are meant"
    if dataset.is_rechecked and kind == CONTACTS:
        yield "contacts are always listed once more before they are changed: recheck says nothing"
    for name in spec.subject:
        if name not in known or known[name] == INSTANT:
            yield f"{kind} have no column {name} for persons"
    mapped = dict.fromkeys(column for columns in spec.data.values() for column in columns)
    extra = {"*", "attachments"} if kind == MESSAGES else {"*"}
    yield from (f"{kind} have no column {name}" for name in mapped if name not in known and name not in extra)
    for anchor in spec.anchors.values():
        if anchor == DEFAULT_ANCHORS.get(anchor.name):
            continue
        for part in anchor.parts:
            if part.dataset is not None:
                yield f"anchor {anchor.name}: a date of {kind} does not stand in another dataset"
            elif part.column not in known or not is_single(kind, part.column):
                yield f"anchor {anchor.name}: {kind} have no date {part.column}"
    for name, other in others.items():
        if other is not dataset and _may_share(dataset, other):
            yield f"its records may belong to {name} too: give each folder one dataset, or leave one of the two out"


def of_selection(dataset: Dataset, selection: Selection) -> Iterator[str]:
    """Yield why a selection could not be carried out."""
    kind, known = dataset.kind, COLUMNS[dataset.kind]
    conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
    for name in dict.fromkeys(condition.column for condition in conditions):
        if name not in known:
            yield f"{kind} have no column {name}"
        elif not is_single(kind, name):
            yield f"{name} holds several values: no condition can be put on it"
    asked = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
    for name in asked:
        if name not in dataset.spec.anchors or name in _NO_SUCH_ANCHOR[kind] & _defaults(dataset):
            yield f"{kind} have no anchor {name}"
    yield from _once(reason_against(kind, change) for change in selection.fields)


def _defaults(dataset: Dataset) -> set[str]:
    return {name for name, anchor in dataset.spec.anchors.items() if anchor == DEFAULT_ANCHORS.get(name)}


def _may_share(one: Dataset, other: Dataset) -> bool:
    return one.source.covers(other.source, with_subfolders=one.with_subfolders) or other.source.covers(
        one.source, with_subfolders=other.with_subfolders
    )


def _once(reasons: Iterable[str | None]) -> Iterator[str]:
    yield from dict.fromkeys(reason for reason in reasons if reason is not None)
