"""What in the configuration of a dataset does not exist at the source, or could not be carried out there.

Invariant: everything wrong is told at once, each as one sentence with the table or column it names; no value of a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from connectors.sql.backend import Backend
from connectors.sql.catalogue import Kind, Table
from connectors.sql.conditions import ask, can_equal
from connectors.sql.layout import Declared, Layout, Link
from connectors.sql.masking import texts_of
from ropa.connector import Anchor, Condition, LocationSpec, Selection
from ropa.errors import LocationError

_HOW_WRITTEN = {
    Kind.DATE: "write a date without quotes: 2020-12-31",
    Kind.NAIVE: "write the time without quotes: 2020-12-31T00:00:00",
    Kind.INSTANT: "write the time without quotes: 2020-12-31T00:00:00Z",
    Kind.NUMBER: "write a number without quotes",
    Kind.BOOLEAN: "write true or false",
    Kind.TEXT: "write text in quotes",
}
_NOT_TABLES = {"view", "materialized view", "foreign table", "table without transactions"}


def find_problems(
    name: str, spec: LocationSpec, layout: Layout, selection: Selection | None, backend: Backend | None = None
) -> list[str]:
    """Return every problem of a dataset, with a selection also those of carrying it out; with a backend also whether
    the database takes what its fields are to become."""
    dataset = spec.datasets.get(name)
    if dataset is None:
        return [f"dataset {name!r} is not declared{_hint(name, spec.datasets)}"]
    if name not in layout.datasets:
        return [f"table {dataset.source!r} does not exist{_hint(dataset.source, layout.catalogue.tables)}"]
    declared = layout.declared(name)
    found = [*_of_table(declared), *_of_columns(declared), *_of_anchors(declared, spec, layout)]
    found += [*_of_parent(declared, spec, layout), *_of_links(declared, layout)]
    if selection is not None:
        found += _of_selection(declared, selection)
        if backend is not None:
            found += _of_changes(declared, layout, selection, backend)
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
    if table.kind in _NOT_TABLES:
        yield f"{table.name!r} is a {table.kind}, which cannot be purged; declare the tables behind it"
    elif not table.columns:
        yield f"table {table.name!r} cannot be read"
    if not declared.key:
        yield f"table {table.name!r} has no primary key; name its key columns with key = […]"
    for name in declared.key:
        column = table.column(name)
        if column is not None and not column.is_tellable:
            yield (
                f"column {name!r} of {table.name!r} cannot be part of a key: a row is not found again by a value of "
                f"{column.type}; name other columns with key = […], which must be unique"
            )


def _of_columns(declared: Declared) -> Iterator[str]:
    spec, table = declared.spec, declared.table
    yield from _missing(table, spec.key, "key")
    yield from _missing(table, spec.subject, "subject")
    for category, columns in spec.data.items():
        yield from _missing(table, columns, f"data.{category}")
    texts = texts_of(spec.options)
    for text, identifiers in texts.items():
        role = f"own_identifiers.{text}"
        yield from _missing(table, [text, *identifiers], role)
        column = table.column(text)
        if column is not None and column.kind is not Kind.TEXT:
            yield f"{role}: column {text!r} of {table.name!r} is no text, so nothing can be found in it"
        if not identifiers or text in identifiers or texts.keys() & set(identifiers):
            yield f"{role} must name other columns of {table.name!r}, none of them a text of own_identifiers itself"


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
        other = layout.declared(parent.dataset)
        if len(other.key) != len(parent.via):
            yield f"parent.via names {len(parent.via)} columns, but the key of {parent.dataset!r} has {len(other.key)}"


def _of_links(declared: Declared, layout: Layout) -> Iterator[str]:
    """Of a dataset and its parent, and of its children: they are asked about whenever its own records are."""
    if not declared.table.is_strict:
        return
    for child in layout.datasets.values():
        if child.spec.parent is None or child.spec.parent.dataset not in layout.datasets:
            continue
        parent = layout.declared(child.spec.parent.dataset)
        if declared.name in {child.name, parent.name}:
            for link in layout.links_between(child, parent):
                yield from _of_link(child.table, parent.table, link)


def _of_link(child: Table, parent: Table, link: Link) -> Iterator[str]:
    for name, key in zip(link.child_columns, link.parent_columns, strict=True):
        own, there = child.column(name), parent.column(key)
        if own and there and not child.compares(own, there):
            yield (
                f"parent.via: the database does not compare column {name!r} of {child.name!r} ({own.type}) with "
                f"{key!r} of {parent.name!r} ({there.type}); give them one type, or name another column"
            )


def _of_changes(declared: Declared, layout: Layout, selection: Selection, backend: Backend) -> tuple[str, ...]:
    """Return why fields cannot be changed that way; those that do not exist are told elsewhere."""
    fields = tuple(change for change in selection.fields if declared.table.column(change.column) is not None)
    if not fields:
        return ()
    try:
        return ask(replace(selection, fields=fields), layout, backend).changes.problems
    except LocationError:
        return ()  # what is missing is told already, and nothing can be tried without it


def _of_selection(declared: Declared, selection: Selection) -> Iterator[str]:
    table, spec = declared.table, declared.spec
    yield from _missing(table, [condition.column for condition in selection.match], "where")
    for conditions in selection.exclude:
        yield from _missing(table, [condition.column for condition in conditions], "where")
    yield from _of_values(table, [*selection.match, *(each for group in selection.exclude for each in group)])
    for name in dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)]):
        if name not in spec.anchors:
            yield f"dataset {declared.name!r} has no anchor {name!r}{_hint(name, spec.anchors)}"
    yield from _missing(table, [change.column for change in selection.fields], "data")
    if not selection.fields:
        yield from of_purging(declared)


def _of_values(table: Table, conditions: Iterable[Condition]) -> Iterator[str]:
    """Yield which values of ``where`` the column can never hold."""
    for condition in conditions if not table.is_loose else ():
        column = table.column(condition.column)
        if column is not None and not all(can_equal(value, column) for value in condition.values):
            how = _HOW_WRITTEN.get(column.kind, "write them as the database does, in quotes")
            yield (
                f"where: column {column.name!r} of {table.name!r} is of type {column.type!r} and can never hold one of "
                f"the values given for it; {how}"
            )


def of_purging(declared: Declared) -> Iterator[str]:
    """Yield why rows of a dataset may not be deleted."""
    table = declared.table
    for trigger in table.deleting_triggers:
        yield f"trigger {trigger!r} deletes other rows with a row of {table.name!r}; they would go unrecorded"
