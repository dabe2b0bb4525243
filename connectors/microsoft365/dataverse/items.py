"""One row as ``connectors.evaluate.Judge`` looks at it, and which columns that takes.

Invariant: a value is compared as what its column holds (a date as a date, a GUID in lower case); a date in a table of
another dataset counts only where that table is the parent's or a child's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from connectors.evaluate import read_moments
from connectors.microsoft365.dataverse.columns import moment_text, read_value, spell_guid, wanted
from connectors.microsoft365.dataverse.layout import Declared, Layout, primary_keys
from connectors.microsoft365.dataverse.reading import ETAG, TARGET, Reader, Row
from ropa.clock import Moment
from ropa.connector import AnchorPart, Condition, Key, Reference, Scalar, Selection, references_of

Dated = tuple[object, ZoneInfo, str | None]
"""A date as it stands, the zone it is read in, how it is written."""
Kin = Mapping[tuple[str, AnchorPart], Sequence[Dated]]
"""By key of a row and part of an anchor: the dates of its children, or of its parent."""
_NO_KIN: Kin = {}
_UNREADABLE = ""


class RowItem:
    """One row.

    ``kin``: None where dates in other tables were not read, so that an anchor that has any cannot be told; ``name``:
    the primary id, where it is known.
    """

    __slots__ = ("_moments", "declared", "id", "kin", "row")

    def __init__(self, declared: Declared, row: Row, kin: Kin | None = None, name: str = "") -> None:
        self.declared = declared
        self.row = row
        self.kin = kin
        self.id = name or spell_guid(row.get(declared.key)) or ""
        self._moments: tuple[str, Sequence[Moment]] | None = None

    @property
    def key(self) -> Key:
        """The record's key."""
        return (self.id,)

    @property
    def version(self) -> str:
        """The entity tag."""
        tag = self.row.get(ETAG)
        return tag if isinstance(tag, str) else ""

    def value(self, column: str) -> Scalar:
        """Return the content of a column, None where it is empty."""
        found = self.declared.column(column)
        return read_value(found.kind, self.row.get(found.name)) if found is not None else None

    def moments(self, anchor: str) -> Sequence[Moment]:
        """Return the dates of an anchor's parts."""
        known = self._moments
        if known is None or known[0] != anchor:
            known = self._moments = (anchor, self._read(anchor))
        return known[1]

    def _read(self, anchor: str) -> Sequence[Moment]:
        dated: list[Dated] = []
        found = self.declared.spec.anchors.get(anchor)
        for part in found.parts if found is not None else ():
            if part.dataset is None or part.dataset == self.declared.name:
                dated.append(_dated(self.declared, part, self.row))
            elif self.kin is None:
                return ()
            else:
                dated.extend(self.kin.get((self.id, part), ()))
        return read_moments(dated)

    def references(self) -> tuple[Reference, ...]:
        """Return the declared records that it refers to."""
        told = ((column, dataset, spell_guid(self.row.get(column))) for column, dataset in self.declared.lookups)
        return references_of(
            Reference(dataset, (key,), self.declared.is_parent(column, dataset))
            for column, dataset, key in told
            if key is not None and self._is_to(column, dataset)
        )

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:
        """Tell whether the record belongs to one of these."""
        return any(one.is_parent and one.dataset == dataset and one.key in keys for one in self.references())

    def _is_to(self, column: str, dataset: str) -> bool:
        """Tell whether a lookup that may refer to several tables refers to this dataset's, if the answer says so."""
        told = self.row.get(column + TARGET)
        return told is None or told == self.declared.targets.get(dataset, told)


def columns_for(declared: Declared, selection: Selection, *, is_whole: bool) -> set[str]:
    """Return the columns that deciding about rows takes; ``is_whole``: with all that they refer to."""
    spec = declared.spec
    names = {condition.column for conditions in (selection.match, *selection.exclude) for condition in conditions}
    names |= {change.column for change in selection.fields}
    for anchor in asked_anchors(selection):
        names |= {
            part.column
            for part in (spec.anchors[anchor].parts if anchor in spec.anchors else ())
            if part.dataset is None or part.dataset == declared.name
        }
    if len(selection.spare.subjects):
        names |= set(spec.subject)
    is_related = (
        is_whole or bool(selection.spare) or selection.parents is not None or bool(foreign_parts(declared, selection))
    )
    lookups = {column for column, _ in declared.lookups} if is_related else set()
    return {declared.key} | declared.answered(names) | lookups


def asked_anchors(selection: Selection) -> tuple[str, ...]:
    """Return the anchors that a selection looks at."""
    return tuple(dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)]))


def foreign_parts(declared: Declared, selection: Selection) -> list[AnchorPart]:
    """Return the parts of its anchors that stand in other datasets."""
    anchors = declared.spec.anchors
    parts = (part for name in asked_anchors(selection) if name in anchors for part in anchors[name].parts)
    return list(dict.fromkeys(part for part in parts if part.dataset not in {None, declared.name}))


def comparable(declared: Declared, selection: Selection) -> Selection:
    """Return the selection with the values of its conditions as items give theirs."""

    def spelt(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        found = []
        for condition in conditions:
            column = declared.column(condition.column)
            values = condition.values
            if column is not None:
                values = tuple(wanted(column.kind, value) for value in values)
            found.append(replace(condition, values=values))
        return tuple(found)

    keys = None if selection.keys is None else tuple((spell_guid(key[0]) or key[0],) for key in selection.keys)
    parents = selection.parents
    if parents is not None:
        parents = (parents[0], tuple((spell_guid(key[0]) or key[0],) for key in parents[1]))
    exclude = tuple(spelt(conditions) for conditions in selection.exclude)
    return replace(selection, match=spelt(selection.match), exclude=exclude, keys=keys, parents=parents)


class Relatives:
    """The dates that stand in rows of other datasets, for some rows at a time."""

    def __init__(self, layout: Layout, declared: Declared, selection: Selection, reader: Reader) -> None:
        self._layout = layout
        self._declared = declared
        self._reader = reader
        self.parts = foreign_parts(declared, selection)

    def of(self, rows: Mapping[str, Row]) -> Kin:
        """Return the dates of what the rows refer to, or of what refers to them."""
        found: dict[tuple[str, AnchorPart], list[Dated]] = {}
        for part in self.parts:
            for key, dated in self._dates(part, rows):
                found.setdefault((key, part), []).append(dated)
        return found or _NO_KIN

    def _dates(self, part: AnchorPart, rows: Mapping[str, Row]) -> Iterator[tuple[str, Dated]]:
        layout, own = self._layout, self._declared
        other = layout.declared(part.dataset or "") if part.dataset in layout.spec.datasets else None
        upwards = layout.lookups_to(own, other.name) if other is not None else []
        downwards = layout.lookups_to(other, own.name) if other is not None else []
        if other is None or not (upwards or downwards):  # a date that nobody can find makes the anchor unreadable
            yield from ((key, (_UNREADABLE, own.spec.zone, None)) for key in rows)
            return
        path, columns = other.entity.head.path, other.answered([part.column])
        if not upwards:
            for lookup in downwards:
                for row in self._reader.where(path, lookup, {lookup, *columns}, list(rows)):
                    yield spell_guid(row.get(lookup)) or "", _dated(other, part, row)
            return
        above = {key: primary_keys(row, upwards) for key, row in rows.items()}
        parents = self._reader.by_keys(
            path, other.key, columns, sorted({name for names in above.values() for name in names})
        )
        for key, names in above.items():
            yield from ((key, _dated(other, part, parents[name])) for name in names if name in parents)


def _dated(declared: Declared, part: AnchorPart, row: Row) -> Dated:
    column = declared.column(part.column)
    raw: Any = _UNREADABLE if column is None else moment_text(column.kind, row.get(column.name))
    return raw, declared.spec.zone, part.form
