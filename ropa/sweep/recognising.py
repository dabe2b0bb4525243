"""Recognising what had been erased, by its tombstones: looked up in a whole listing, or watched for in a plan's.

Invariant: only counts and targets come out of here; memory holds one piece of a listing and one row of tombstones,
however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from struct import iter_unpack

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Key
from ropa.errors import Finding, LedgerError, Severity
from ropa.ledger.leaf import leaves
from ropa.sweep.site import Site
from ropa.sweep.tables import TargetRow, TombstoneRow
from ropa.sweep.tombstones import SIZE, keys_of, lasting_keys

CHUNK = 20_000
"""Keys that are looked for at a time: every tombstone of their dataset is read once for each such piece."""
_FORM = f"{SIZE}s"


class Lookup:
    """Tells which records of one dataset were erased before. ``unreadable``: tombstones whose key is lost."""

    def __init__(self, site: Site, session: Session, location: str, dataset: str) -> None:
        self._session, self._location, self._dataset = session, location, dataset
        counted = (
            select(col(TombstoneRow.key_name), func.sum(col(TombstoneRow.count)))
            .where(col(TombstoneRow.location) == location, col(TombstoneRow.dataset) == dataset)
            .group_by(col(TombstoneRow.key_name))
        )
        counts: dict[str, int] = {name: count or 0 for name, count in session.execute(counted)}
        secrets_of = {row.name: secret for row, secret in keys_of(site, location)}
        self._secrets = {name: secret for name in counts if (secret := secrets_of.get(name)) is not None}
        self.readable = sum(counts[name] for name in self._secrets)
        self.unreadable = sum(counts.values()) - self.readable

    def matches(self, keys: Sequence[Key]) -> dict[int, dict[str, date]]:
        """Return, by position, the targets that erased a record with this key, each with the latest ``due_as_of``.

        ``keys``: those of ``tombstones.lasting_keys``, where two records may have the same."""
        found: dict[int, dict[str, date]] = {}
        for start in range(0, len(keys), CHUNK):
            for pos, by in self._piece(keys[start : start + CHUNK]).items():
                found[start + pos] = by
        return found

    def _piece(self, keys: Sequence[Key]) -> dict[int, dict[str, date]]:
        found: dict[int, dict[str, date]] = {}
        for name, secret in self._secrets.items():
            marks = leaves(secret, self._location, self._dataset, keys)
            wanted: dict[bytes, list[int]] = {}
            for pos, mark in enumerate(marks):
                wanted.setdefault(mark[:SIZE], []).append(pos)
            for identity, as_of, there in self._among(name, wanted):
                for pos in chain.from_iterable(wanted[mark] for mark in there):
                    by = found.setdefault(pos, {})
                    by[identity] = max(as_of, by.get(identity, as_of))
        return found

    def _among(self, name: str, wanted: Mapping[bytes, object]) -> Iterable[tuple[str, date, set[bytes]]]:
        columns = col(TombstoneRow.identity), col(TombstoneRow.due_as_of), col(TombstoneRow.marks)
        query = select(*columns, col(TombstoneRow.count)).where(
            col(TombstoneRow.location) == self._location,
            col(TombstoneRow.dataset) == self._dataset,
            col(TombstoneRow.key_name) == name,
        )
        for identity, as_of, marks, count in self._session.execute(query.execution_options(yield_per=10)):
            if len(marks) != count * SIZE:
                raise LedgerError(
                    "a row of tombstones is not the one that was written",
                    next_step="The run database was changed by something else; restore its newest copy.",
                    code="database-behind",
                )
            if there := wanted.keys() & set(chain.from_iterable(iter_unpack(_FORM, marks))):
                yield identity, as_of, there


@dataclass
class Watch:
    """Counts, in the listing of one target, records that had been erased before.

    Cheap: a record that was erased had its last day before the plan that erased it. Only what a listing brings with so
    old a last day is looked up; on an ordinary night that is nothing but what is held or blocked.
    """

    site: Site
    session: Session
    target: TargetRow
    _seen: int = field(default=0, init=False)
    _before: int | None = field(default=None, init=False)
    _lookup: Lookup | None = field(default=None, init=False)
    _waiting: list[Key] = field(default_factory=list, init=False)
    """Looked up together: all tombstones of the dataset are read for each lookup."""

    def look(self, keys: Sequence[Key], versions: Sequence[str], days: Sequence[int]) -> None:
        """Take in records with their last days (ordinals); ``versions`` as many as ``keys``, or none."""
        if self._before is None:
            self._before = self._newest()
        if self._before:
            lasting = lasting_keys(self.site, self.target.location, keys, versions)
            self._waiting += [key for key, day in zip(lasting, days, strict=True) if day < self._before]
            if len(self._waiting) >= CHUNK:
                self._look_up()

    def finish(self) -> int:
        """Return how many there were."""
        if self._waiting:
            self._look_up()
        return self._seen

    def _look_up(self) -> None:
        if self._lookup is None:
            self._lookup = Lookup(self.site, self.session, self.target.location, self.target.dataset)
        found = self._lookup.matches(self._waiting)
        self._seen += sum(self.target.identity in by for by in found.values())
        self._waiting.clear()

    def _newest(self) -> int:
        query = select(func.max(col(TombstoneRow.due_as_of))).where(
            col(TombstoneRow.location) == self.target.location,
            col(TombstoneRow.dataset) == self.target.dataset,
            col(TombstoneRow.identity) == self.target.identity,
        )
        newest = self.session.scalar(query)
        return newest.toordinal() if newest is not None else 0


def seen_findings(seen: Mapping[str, int]) -> list[Finding]:
    """Return what a person must look at: dataset to records that are due and had been erased before."""
    return [
        Finding(
            "restored",
            Severity.ERROR,
            dataset,
            f"{count} records that had been erased are there again.",
            f"If the place was restored from a backup: `ropa reapply {dataset.partition('.')[0]}` looks at all of it.",
        )
        for dataset, count in seen.items()
        if count
    ]


def counts(session: Session, location: str) -> Counter[tuple[str, str]]:
    """Return how many tombstones a location has, by dataset and target."""
    query = select(col(TombstoneRow.dataset), col(TombstoneRow.identity), func.sum(col(TombstoneRow.count))).where(
        col(TombstoneRow.location) == location
    )
    grouped = query.group_by(col(TombstoneRow.dataset), col(TombstoneRow.identity))
    return Counter({(dataset, identity): count or 0 for dataset, identity, count in session.execute(grouped)})
