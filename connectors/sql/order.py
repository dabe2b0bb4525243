"""In which order the datasets of one batch go, and what is cut loose where there is no such order.

Invariant: nothing is decided here; a record that goes is only cut loose from others that go in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from connectors.sql.backend import Backend
from connectors.sql.catalogue import columns_of
from connectors.sql.conditions import is_one_of
from connectors.sql.entries import Entries, Verdict
from connectors.sql.finding import load
from connectors.sql.layout import Declared, Layout


def put_in_order(
    connection: Connection,
    entries: Entries,
    verdicts: Mapping[int, Verdict],
    references: Sequence[tuple[int, int | None]],
    *,
    layout: Layout,
    backend: Backend,
) -> list[Declared]:
    """Return the datasets of a batch such that records go before those that they refer to; where records refer to each
    other both ways, those that would go later are cut loose first.

    ``verdicts``: of those that stay; ``references``: (record, the record that refers to it), as ``spread`` has them.
    """
    named = {pos: name for name, keys in entries.by_dataset.items() for pos in keys.values()}
    refers: dict[tuple[str, str], set[int]] = {}
    for pos, other in references:
        if other is not None and not {pos, other} & verdicts.keys() and named[other] != named[pos]:
            refers.setdefault((named[other], named[pos]), set()).add(other)
    names = _sorted(entries.by_dataset, refers)
    for (name, above), places in refers.items():
        if names.index(name) > names.index(above):
            keys = [key for key, pos in entries.by_dataset[name].items() if pos in places]
            declared, parent = layout.declared(name), layout.declared(above)
            table, own = load(connection, "loose", declared, keys, backend), declared.table.plain()
            links = (key.columns for key in declared.table.foreign_keys if key.to_table == parent.table.name)
            columns = {column for link in links for column in link}
            backend.cut_loose(connection, declared.table, own, is_one_of(columns_of(own, declared.key), table), columns)
    return [layout.declared(name) for name in names]


def _sorted(names: Iterable[str], refers: Collection[tuple[str, str]]) -> list[str]:
    """Return datasets such that each comes before those that its records refer to, as far as there is such an order.

    ``refers``: (dataset, another one that it refers to).
    """
    left, found = list(names), list[str]()
    while left:
        free = (name for name in left if not any((other, name) in refers for other in left))
        found.append(next(free, left[0]))
        left.remove(found[-1])
    return found
