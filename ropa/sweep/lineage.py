"""What descends from what at one place: from the configuration, and from the references that the catalogue has.

Invariant: a reference that the configuration or the catalogue names is in both maps; a table that is not declared hides
nobody behind it from ``ancestors``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ropa.connector import DatasetInfo, DatasetSpec


@dataclass(frozen=True, slots=True)
class Lineage:
    """Declared datasets of one place, each with other ones; a dataset may be among its own."""

    parents: Mapping[str, frozenset[str]]
    """Those its records belong or refer to."""
    ancestors: Mapping[str, frozenset[str]]
    """Those, and the nearest declared ones behind tables that are not declared."""

    @classmethod
    def of(cls, datasets: Mapping[str, DatasetSpec], told: Iterable[DatasetInfo]) -> Lineage:
        """Return the lineage of these datasets, of which the place tells so much (nothing: where it cannot be read)."""
        names: dict[str, set[str]] = {}
        for name, spec in datasets.items():
            names.setdefault(spec.source, set()).add(name)
        above: dict[str, set[str]] = {}
        for info in told:
            above.setdefault(info.source, set()).update(reference.to_source for reference in info.references)
            if info.declared_as is not None:
                names.setdefault(info.source, set()).add(info.declared_as)
        parents = {name: {spec.parent.dataset} if spec.parent else set[str]() for name, spec in datasets.items()}
        ancestors = {name: set(found) for name, found in parents.items()}
        for source, children in names.items():
            near = _named(above.get(source, ()), names)
            far = _named(_behind(source, above, names), names)
            for child in children:
                parents[child] |= near
                ancestors[child] |= far
        return cls(_frozen(parents), _frozen(ancestors))

    def full_ancestors(self, location: str) -> dict[str, frozenset[str]]:
        """Return ``ancestors`` with the location before each name."""
        return {
            f"{location}.{name}": frozenset(f"{location}.{ancestor}" for ancestor in found)
            for name, found in self.ancestors.items()
        }


def _behind(source: str, above: Mapping[str, Collection[str]], names: Collection[str]) -> set[str]:
    """Return every source to which references lead from one, by way of sources that have no name."""
    found = set[str]()
    waiting = [source]
    while waiting:
        new = set(above.get(waiting.pop(), ())) - found
        found |= new
        waiting += new.difference(names)
    return found


def _named(sources: Iterable[str], names: Mapping[str, Collection[str]]) -> set[str]:
    return {name for source in sources for name in names.get(source, ())}


def _frozen(found: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(others) for name, others in found.items()}
