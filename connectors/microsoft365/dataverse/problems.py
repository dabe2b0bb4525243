"""What in the configuration of a dataset the environment does not have, or would refuse.

Invariant: it is said at plan time, before anything is touched; a sentence names a column or table, never a value.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.microsoft365.dataverse.acting import Means
from connectors.microsoft365.dataverse.columns import DATES, Kind
from connectors.microsoft365.dataverse.items import asked_anchors
from connectors.microsoft365.dataverse.layout import Declared, Layout
from ropa.connector import AnchorPart, FieldChange, Mask, Selection


def problems_of(layout: Layout, dataset: str, selection: Selection | None, means: Means) -> list[str]:
    """Return what stands against a dataset, and against carrying a selection out."""
    spec = layout.spec.datasets.get(dataset)
    if spec is None:
        return [f"there is no dataset {dataset}"]
    if layout.catalogue.head(spec.source) is None:
        return [f"there is no table {spec.source}"]
    declared = layout.declared(dataset)
    problems = _key(declared) + _parent(layout, declared)
    for anchor in spec.anchors.values():
        for part in anchor.parts:
            problems += _part(layout, declared, anchor.name, part)
    named = [*spec.subject, *(column for columns in spec.data.values() for column in columns)]
    flag = spec.options.get("flag_column")
    if flag is not None:
        named.append(str(flag))
        column = declared.column(str(flag))
        if column is not None and (not column.is_writable or column.kind is Kind.LOOKUP):
            problems.append(f"column {flag} cannot be written, so that nothing can be flagged in it")
    if means.settings.delete_history is True and (trouble := means.history.trouble()) is not None:
        problems.append(f"delete_history is true, but {trouble}")
    if selection is not None:
        conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
        named += [condition.column for condition in conditions]
        named += [change.column for change in selection.fields]
        for change in selection.fields:
            problems += _change(declared, change)
        problems += [f"there is no anchor {name}" for name in asked_anchors(selection) if name not in spec.anchors]
    return problems + _missing(declared, named)


def _missing(declared: Declared, names: Iterable[str]) -> list[str]:
    return [f"there is no column {name}" for name in sorted(set(names)) if declared.column(name) is None]


def _key(declared: Declared) -> list[str]:
    if declared.spec.key in {(), (declared.key,)}:
        return []
    return [f"the key is {declared.key}: a row is addressed by nothing else; leave key out"]


def _parent(layout: Layout, declared: Declared) -> list[str]:
    parent = declared.spec.parent
    if parent is None:
        return []
    if parent.dataset not in layout.spec.datasets:
        return [f"the parent {parent.dataset} is no dataset of this location"]
    if len(parent.via) != 1:
        return [f"parent.via names one lookup column, not {len(parent.via)}"]
    column = declared.column(parent.via[0])
    if column is None:
        return [f"there is no column {parent.via[0]}"]
    return [] if column.kind in {Kind.LOOKUP, Kind.GUID} else [f"column {parent.via[0]} is no lookup"]


def _part(layout: Layout, declared: Declared, anchor: str, part: AnchorPart) -> list[str]:
    owner = declared
    if part.dataset is not None and part.dataset != declared.name:
        if (
            part.dataset not in layout.spec.datasets
            or layout.catalogue.head(layout.spec.datasets[part.dataset].source) is None
        ):
            return [f"anchor {anchor}: there is no dataset {part.dataset}"]
        owner = layout.declared(part.dataset)
        if not layout.lookups_to(declared, owner.name) and not layout.lookups_to(owner, declared.name):
            return [f"anchor {anchor}: {part.dataset} is neither a child nor the parent"]
    column = owner.column(part.column)
    if column is None:
        return [f"anchor {anchor}: {owner.name} has no column {part.column}"]
    if part.form is None and column.kind not in DATES and column.kind is not Kind.TEXT:
        return [f"anchor {anchor}: column {part.column} holds no date; say how it is written (form)"]
    return []


def _change(declared: Declared, change: FieldChange) -> list[str]:
    column = declared.column(change.column)
    if column is None:
        return []
    if column.name == declared.key:
        return [f"column {change.column} is the key and cannot be changed"]
    if column.kind is Kind.LOOKUP:
        return [f"column {change.column} is a lookup and cannot be masked; purge the record or its parent"]
    if not column.is_writable:
        return [f"column {change.column} is computed or cannot be updated"]
    if column.is_required and (change.mask is Mask.CLEAR or column.kind is not Kind.TEXT):
        return [f"column {change.column} is required by the system and cannot be cleared"]
    return []
