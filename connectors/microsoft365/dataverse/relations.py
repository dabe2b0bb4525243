"""Who refers to a row, and which rows must be left alone with all that descends from them.

Invariant: questions are put once for many rows, never once for a row; when it cannot be told whether deleting a row
would take others along, the row stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.dataverse.items import RowItem
from connectors.microsoft365.dataverse.layout import Declared, Layout, Place
from connectors.microsoft365.dataverse.reading import Reader, Row
from ropa.connector import Referring, Spare, normalise_identifier

UNSEEN = "references-unseen"
"""The obstacle of rows to which others may refer that our user may not read."""
_FEW = 3
"""Tables of which it is not worth asking first whether they refer to anything at all."""
_REMEMBERED = 200_000


@dataclass(slots=True)
class Referrers:
    """What refers to some rows."""

    by_parent: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """Row to place (``Place.source``) to the rows there."""
    places: Mapping[str, Place] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    """Tables that may refer to them and may not be read."""

    def told(self, key: str) -> tuple[Referring, ...]:
        """Return what is said of a row in ``Found.referred_by``."""
        found = self.by_parent.get(key, {})
        return tuple(
            Referring(source, self.places[source].is_declared, len(rows)) for source, rows in sorted(found.items())
        )

    def outside(self, key: str, members: Iterable[tuple[str, str]]) -> list[frozenset[tuple[str, str]]]:
        """Return the rows that refer to a row and are none of ``members`` (dataset, row): each by the names (dataset or
        table, row) that it may go by."""
        going = frozenset(members)
        named = (
            frozenset((name, child) for name in self.places[source].datasets or (source,))
            for source, rows in self.by_parent.get(key, {}).items()
            for child in rows
        )
        return [names for names in named if not names & going]


def referrers(layout: Layout, declared: Declared, reader: Reader, keys: Sequence[str]) -> Referrers:
    """Return what refers to these rows now."""
    places = layout.places(declared)
    if not places or not keys:
        return Referrers()
    unseen: list[str] = []
    if len(places) > _FEW:
        asked = [(place, column) for place in places for column in place.columns]
        answers = reader.are_any([(place.path, place.key, f"{column} ne null") for place, column in asked])
        inhabited = {place.entity for (place, _), is_any in zip(asked, answers, strict=True) if is_any}
        denied = {place.entity for (place, _), is_any in zip(asked, answers, strict=True) if is_any is None}
        # What the service itself refuses to leave without its parent need not be seen.
        unseen = sorted(place.entity for place in places if place.entity in denied and not place.is_restricting)
        places = tuple(place for place in places if place.entity in inhabited - denied)
    found = Referrers(places={place.source: place for place in places}, unseen=tuple(unseen))
    questions = [
        (place.path, column, {place.key, column}, place.narrowed) for place in places for column in place.columns
    ]
    owners = [(place, column) for place in places for column in place.columns]
    for number, rows in reader.all_where(questions, keys) if questions else ():
        place, column = owners[number]
        for row in rows:
            parent, child = spell_guid(row.get(column)), spell_guid(row.get(place.key))
            if parent is not None and child is not None:
                found.by_parent.setdefault(parent, {}).setdefault(place.source, set()).add(child)
    return found


class Sparing:
    """Decides which rows ``spare`` covers: themselves, or by what they descend from among the declared datasets."""

    def __init__(self, spare: Spare, layout: Layout, reader: Reader) -> None:
        self._spare = spare
        self._layout = layout
        self._reader = reader
        self._known: dict[tuple[str, str], bool] = {}

    def spared(self, declared: Declared, rows: Mapping[str, Row]) -> set[str]:
        """Return the keys of those rows that are covered."""
        if not self._spare:
            return set()
        found = {key for key, row in rows.items() if self._is_itself(declared, key, row)}
        above = {key: self._above(declared, row) for key, row in rows.items() if key not in found}
        verdicts = self._climb({name for names in above.values() for name in names})
        return found | {key for key, names in above.items() if any(verdicts.get(name) for name in names)}

    def _is_itself(self, declared: Declared, key: str, row: Row) -> bool:
        if (key,) in self._spare.keys.get(declared.name, ()):
            return True
        if not len(self._spare.subjects):
            return False
        item = RowItem(declared, row)
        values = (item.value(column) for column in declared.spec.subject)
        return any(value is not None and normalise_identifier(str(value)) in self._spare.subjects for value in values)

    def _above(self, declared: Declared, row: Row) -> list[tuple[str, str]]:
        return [(reference.dataset, reference.key[0]) for reference in RowItem(declared, row).references()]

    def _climb(self, start: set[tuple[str, str]]) -> dict[tuple[str, str], bool]:
        """Return for each (dataset, key) whether it, or one above it, is covered; each row is looked at once."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        above: dict[tuple[str, str], list[tuple[str, str]]] = {}
        verdicts: dict[tuple[str, str], bool] = {}
        frontier = {name for name in start if name not in self._known}
        while frontier:
            reached: set[tuple[str, str]] = set()
            for dataset in sorted({name for name, _ in frontier}):
                declared = self._layout.declared(dataset)
                keys = sorted(key for name, key in frontier if name == dataset)
                for key in keys:
                    verdicts[dataset, key] = (key,) in self._spare.keys.get(dataset, ())
                for key, row in self._rows(declared, keys).items():
                    name = (dataset, key)
                    verdicts[name] = verdicts[name] or self._is_itself(declared, key, row)
                    above[name] = self._above(declared, row)
                    reached.update(above[name])
            frontier = {name for name in reached if name not in verdicts and name not in self._known}
        verdicts.update({name: self._known[name] for name in start if name in self._known})
        grown = True
        while grown:
            more = {
                name
                for name, names in above.items()
                if not verdicts[name] and any(verdicts.get(one, self._known.get(one)) for one in names)
            }
            verdicts.update(dict.fromkeys(more, True))
            grown = bool(more)
        self._known.update(verdicts)
        return verdicts

    def _rows(self, declared: Declared, keys: Sequence[str]) -> dict[str, Row]:
        columns = {column for column, _ in declared.lookups}
        if len(self._spare.subjects):
            columns |= declared.answered(declared.spec.subject)
        if not columns:  # nothing about these rows could matter but their key
            return {}
        return self._reader.by_keys(declared.entity.head.path, declared.key, columns, keys)
