"""Datasets: places and their columns, which the register does not hold; told as what to write in ``retention.toml``.

Invariant: names of tables and columns are told, and nothing of what stands beside them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.entry import Desk, Entry
from ropa.register.exchange.fideslang.nodes import Sequence, Table, Text

_MOST_COLUMNS = 40
_MOST_TERMS = 10
"""Of a column."""
_LONGEST_NAME = 64


def leave_dataset(dataset: Entry) -> None:
    """Note a dataset as a place, and each of its collections with the categories of its columns."""
    dataset.desk.leave(
        dataset.path,
        dataset.line(),
        "is a place, and places stand in config/retention.toml: add [location.NAME], its collections as datasets",
    )
    collections = dataset.table.entries.get("collections")
    for index, collection in enumerate(collections.items if isinstance(collections, Sequence) else ()):
        if isinstance(collection, Table):
            _leave_collection(dataset.desk, (*dataset.path, "collections", index), collection)


def _leave_collection(desk: Desk, path: tuple[str | int, ...], collection: Table) -> None:
    found: dict[str, list[str]] = defaultdict(list)
    columns = list(_columns(collection, "", _terms(collection)))
    for column, listed in columns[:_MOST_COLUMNS]:
        for term in listed:
            if term != terms.NO_PERSON and not term.startswith(f"{terms.NO_PERSON}."):
                key = terms.column_category(term) or terms.own_key(term)
                if column not in found[key]:
                    found[key].append(column)
    source = _name(collection)
    lines = [f"source = {_quoted(source)}"] if source else []
    lines += [f"data.{key} = [{', '.join(map(_quoted, names))}]" for key, names in found.items()]
    rest = f"; and {len(columns) - _MOST_COLUMNS} more columns" if len(columns) > _MOST_COLUMNS else ""
    proposal = f"a dataset with {'; '.join(lines)}" if found else "no column is said to hold personal data"
    desk.leave(path, collection.line, f"{proposal}{rest}")


def _columns(table: Table, prefix: str, inherited: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each column with its terms; the columns of an object by their path."""
    fields = table.entries.get("fields")
    for field in fields.items if isinstance(fields, Sequence) else ():
        if isinstance(field, Table) and (name := _name(field)):
            own = (*inherited, *_terms(field))[:_MOST_TERMS]
            inner = list(_columns(field, f"{prefix}{name}.", own))
            yield from inner or [(f"{prefix}{name}", own)]


def _terms(table: Table) -> tuple[str, ...]:
    listed = table.entries.get("data_categories")
    items = listed.items if isinstance(listed, Sequence) else []
    return tuple(
        item.value for item in items[:_MOST_TERMS] if isinstance(item, Text) and len(item.value) <= _LONGEST_NAME
    )


def _name(table: Table) -> str | None:
    found = table.entries.get("name")
    return found.value if isinstance(found, Text) and not found.is_nothing else None


def _quoted(name: str) -> str:
    return json.dumps(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…", ensure_ascii=False)
