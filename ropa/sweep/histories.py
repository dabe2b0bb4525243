"""Tables in which the records of a declared dataset live on: histories, audit trails, archives, copies, search indexes.

What is purged from a table stays in such a one until somebody erases it there too. Invariant: it is told from names of
tables and columns alone; nothing is read from the tables, and nothing is decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ropa.connector import DatasetInfo
from ropa.vocabulary.trails import bare, means_trail, trail_words

ANY_TABLE = "*"
"""A trail of the changes of any table."""

_ENDING = re.compile(r"^(?:en|es|s|e|n)")
"""Of a plural, between the name and the word beside it."""
_FEWEST_LETTERS = 3
_FEWEST_COLUMNS = 3
_MOST_ADDED_COLUMNS = 3
"""By which a history may have more columns of its own than of the other; a table with many more is another matter."""
_FEWEST_EQUAL_COLUMNS = 5
"""Columns that two tables must share, all of them, to be a copy of each other whatever their names."""


@dataclass(frozen=True, slots=True)
class Kin:
    """Why a table is thought to hold records of another."""

    of: str
    """The declared dataset's name; ``ANY_TABLE`` for a trail of changes of any table."""
    by: Literal["name", "columns", "view"]


def kin_of(infos: Sequence[DatasetInfo], sources: Mapping[str, str]) -> dict[str, Kin]:
    """Return source to what it is a history, an archive, a copy or an index of.

    ``sources``: declared dataset to its table. A table counts that has the name of a declared one with a word for it
    (``contacts_history``, ``audit.contacts``, ``old_contacts``, ``contacts_2023``, ``contacts_fts_content``), all its
    columns and one that tells of a change, or all its columns and no others; a materialised view that has a column of
    the same name for most of its own; and, for ``ANY_TABLE``, one that names tables and holds rows. The tables of
    declared datasets count by name only. Plain views hold nothing and do not count, nor do partitions, whose rows go
    with the table's.
    """
    by_name = {info.declared_as: info for info in infos if info.declared_as}
    by_source = {info.source: info for info in infos}
    declared = {name: (source, by_name.get(name) or by_source.get(source)) for name, source in sources.items()}
    own = {_folded(source) for source in sources.values()}
    found: dict[str, Kin] = {}
    for info in infos:
        if not holds_rows(info):
            continue
        kin = _by_name(info, declared)
        if kin is None and _folded(info.source) not in own and info.declared_as is None:
            kin = _by_columns(info, declared)
        if kin is not None:
            found[info.source] = kin
    return found


def holds_rows(info: DatasetInfo) -> bool:
    """Tell whether a source has rows of its own: a plain view has none, a partition's are its table's."""
    kind = info.kind.lower()
    return "material" in kind or not ("view" in kind or "partition of" in kind or kind == "partition")


def _by_name(info: DatasetInfo, declared: Mapping[str, tuple[str, DatasetInfo | None]]) -> Kin | None:
    best: tuple[int, str] | None = None  # of several the longest: contacts_notes_history is one of contacts_notes
    for name, (source, _) in declared.items():
        if _folded(source) == _folded(info.source):
            continue
        length = _kinship(info.source, source)
        if length and (best is None or length > best[0]):
            best = (length, name)
    return Kin(best[1], "name") if best else None


def _kinship(candidate: str, source: str) -> int:
    """Return how many letters of ``source`` stand in ``candidate`` where the rest means a history; 0: none."""
    schema, table = _split(candidate)
    base_schema, base = _split(source)
    if len(base) < _FEWEST_LETTERS:
        return 0
    if table in {base, _stem(base)} and schema != base_schema and means_trail(schema):
        return len(base)
    for stem in {base, _stem(base)}:
        rests = [table.removeprefix(stem)] if table.startswith(stem) else []
        rests += [table.removesuffix(stem)] if table.endswith(stem) else []
        head, among, tail = table.partition(stem)
        rests += [head + tail] if among else []
        if any(means_trail(rest) or means_trail(_ENDING.sub("", rest)) for rest in rests):
            return len(stem)
    return 0


def _by_columns(info: DatasetInfo, declared: Mapping[str, tuple[str, DatasetInfo | None]]) -> Kin | None:
    if not any(word in info.kind.lower() for word in ("table", "view", "virtual")):
        return None  # of folders and lists all have the same columns
    words = trail_words()
    columns = _names(column.name for column in info.columns)
    if columns & words.subjects and columns & words.contents:
        return Kin(ANY_TABLE, "columns")
    is_view = "view" in info.kind.lower()
    for name, (_, other) in declared.items():
        if other is None:
            continue
        theirs = _names(column.name for column in other.columns)
        if is_view and len(columns & theirs) >= max(_FEWEST_COLUMNS, 0.6 * len(columns)):
            return Kin(name, "view")
        more = columns - theirs
        if not theirs <= columns or len(theirs) < _FEWEST_COLUMNS or len(more) > len(theirs) + _MOST_ADDED_COLUMNS:
            continue
        if more & words.changes or (columns == theirs and len(theirs) >= _FEWEST_EQUAL_COLUMNS):
            return Kin(name, "columns")
    return None


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(bare, names))


def _folded(source: str) -> str:
    return ".".join(map(bare, source.split(".")))


def _split(source: str) -> tuple[str, str]:
    schema, _, table = _folded(source).rpartition(".")
    return schema.rpartition(".")[2], table


def _stem(name: str) -> str:
    """Return a name without the ending of its plural, where enough is left of it: ``klanten``, ``contacts``."""
    for ending in ("en", "es", "s"):
        if name.endswith(ending) and len(name) - len(ending) >= 4:
            return name.removesuffix(ending)
    return name
