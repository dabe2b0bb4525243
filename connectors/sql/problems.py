"""What in the configuration of a dataset does not exist at the source, or could not be carried out there.

Invariant: everything wrong is told at once, each as one sentence with the table or column it names; no value of a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from connectors.sql.catalogue import Table
from connectors.sql.layout import Declared, Layout
from connectors.sql.masking import masking_problems
from ropa.connector import Anchor, LocationSpec, Selection


def find_problems(name: str, spec: LocationSpec, layout: Layout, selection: Selection | None) -> list[str]:
    """Return every problem of a dataset, with a selection also those of carrying it out."""
    dataset = spec.datasets.get(name)
    if dataset is None:
        return [f"dataset {name!r} is not declared{_hint(name, spec.datasets)}"]
    if name not in layout.datasets:
        return [f"table {dataset.source!r} does not exist{_hint(dataset.source, layout.catalogue.tables)}"]
    declared = layout.declared(name)
    found = [*_of_table(declared), *_of_columns(declared), *_of_anchors(declared, spec, layout)]
    found += _of_parent(declared, spec, layout)
    if selection is not None:
        found += _of_selection(declared, layout, selection)
    return list(dict.fromkeys(found))


def _hint(name: str, known: Iterable[str]) -> str:
    names = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def _missing(table: Table, columns: Iterable[str], role: str) -> Iterator[str]:
    known = [column.name for column in table.columns]
    for name in columns:
        if name not in known:
            yield f"table {table.name!r} has no column {name!r}, named as {role}{_hint(name, known)}"


def _of_table(declared: Declared) -> Iterator[str]:
    table = declared.table
    if table.kind == "view":
        yield f"{table.name!r} is a view: a view cannot be purged; declare the tables behind it"
    elif not table.columns:
        yield f"table {table.name!r} cannot be read"
    if not declared.key:
        yield f"table {table.name!r} has no primary key; name its key columns with key = […]"


def _of_columns(declared: Declared) -> Iterator[str]:
    spec, table = declared.spec, declared.table
    yield from _missing(table, spec.key, "key")
    yield from _missing(table, spec.subject, "subject")
    for category, columns in spec.data.items():
        yield from _missing(table, columns, f"data.{category}")


def _of_anchors(declared: Declared, spec: LocationSpec, layout: Layout) -> Iterator[str]:
    for anchor in declared.spec.anchors.values():
        yield from _of_anchor(anchor, declared, spec, layout)


def _of_anchor(anchor: Anchor, declared: Declared, spec: LocationSpec, layout: Layout) -> Iterator[str]:
    role = f"anchor.{anchor.name}"
    for part in anchor.parts:
        if part.dataset is None or part.dataset == declared.name:
            yield from _missing(declared.table, [part.column], role)
        elif part.dataset not in spec.datasets:
            yield f"{role} names dataset {part.dataset!r}, which is not declared{_hint(part.dataset, spec.datasets)}"
        elif part.dataset not in layout.datasets:
            yield f"{role} names dataset {part.dataset!r}, whose table does not exist"
        else:
            other = layout.declared(part.dataset)
            yield from _missing(other.table, [part.column], role)
            if not layout.links_between(declared, other) and not layout.links_between(other, declared):
                yield (
                    f"{role} names dataset {part.dataset!r}, but neither of {declared.table.name!r} and "
                    f"{other.table.name!r} refers to the other; declare parent = {{ dataset, via }}"
                )


def _of_parent(declared: Declared, spec: LocationSpec, layout: Layout) -> Iterator[str]:
    parent = declared.spec.parent
    if parent is None:
        return
    yield from _missing(declared.table, parent.via, "parent.via")
    if parent.dataset not in spec.datasets:
        yield f"parent names dataset {parent.dataset!r}, which is not declared{_hint(parent.dataset, spec.datasets)}"
    elif parent.dataset in layout.datasets:
        key = layout.declared(parent.dataset).key
        if len(key) != len(parent.via):
            yield f"parent.via names {len(parent.via)} columns, but the key of {parent.dataset!r} has {len(key)}"


def _of_selection(declared: Declared, layout: Layout, selection: Selection) -> Iterator[str]:
    table, spec = declared.table, declared.spec
    yield from _missing(table, [condition.column for condition in selection.match], "where")
    for conditions in selection.exclude:
        yield from _missing(table, [condition.column for condition in conditions], "where")
    for name in dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)]):
        if name not in spec.anchors:
            yield f"dataset {declared.name!r} has no anchor {name!r}{_hint(name, spec.anchors)}"
    yield from _missing(table, [change.column for change in selection.fields], "data")
    for change in selection.fields:
        yield from masking_problems(table, change, layout, declared.key)
    if not selection.fields:
        for trigger in table.deleting_triggers:
            yield f"trigger {trigger!r} deletes other rows with a row of {table.name!r}; they would go unrecorded"
