"""After a restore: what had been erased at a location and is there again is found, and planned.

The location is listed dataset by dataset, keys and versions alone; each record is looked for among the tombstones;
those found are asked again by the target that erased them. Invariant: a tombstone only says which records to ask about.
Planned is what the target is due for today *and* had its last day before the plan that erased it: a new record under an
old key is neither, and stays. The plan waits for a person, whatever mandates there are, and is held, blocked and capped
like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Key, Selection
from ropa.errors import LocationError, RefusedError
from ropa.ledger.leaf import key_texts
from ropa.retention import Target
from ropa.retention import select as select_due
from ropa.sweep import blocking, blocks, holds, recognising, review
from ropa.sweep.journal import Journal
from ropa.sweep.listing import LastDays, Listing
from ropa.sweep.place import PlaceWriter, Progress, target_row
from ropa.sweep.plan import Planner
from ropa.sweep.recognising import CHUNK, Lookup
from ropa.sweep.scope import Scope
from ropa.sweep.site import Site
from ropa.sweep.stops import say_why
from ropa.sweep.tables import PlannedKey, TargetRow
from ropa.sweep.tombstones import lasting_keys


@dataclass
class Seen:
    """What was found in one dataset."""

    tombstones: int = 0
    came_back: int = 0
    planned: int = 0
    """Of those: in the plan, also what is held or blocked there."""
    left: Counter[str] = field(default_factory=Counter)
    """Why the others are not: ``not-due``, ``parent-not-planned``, ``rule-gone``."""


class Reapplier:
    """Writes the plan of what came back to one location; used once. No plan where nothing did."""

    def __init__(self, site: Site, journal: Journal, location: str, *, author: str, progress: Progress | None) -> None:
        self.site = site
        self.planner = Planner(site, journal, Scope(as_of=site.today(), reapplies=location), author=author)
        self.progress = progress or (lambda _what, _count: None)
        self.location = location
        self.here: PlaceWriter | None = None
        self.seen: dict[str, Seen] = {}
        self.unreadable = 0
        self._run = ""
        self._position = 0
        self._coverage = holds.coverage(site, location)
        if (code := self.planner.unreachable.get(location)) == "source-clock":
            raise RefusedError(
                f"the clock of {location} differs by more than 5 minutes from ours",
                next_step="Set the clocks right.",
                code=code,
            )
        if code is not None:
            raise LocationError(f"{location} cannot be read; nothing is concluded about it", code=code)

    def write(self, run: str) -> int:
        """Look, plan, and record the plan in the ledger under ``run``. Returns the plan's number, 0 where there is
        nothing to plan. Raises LocationError for a location that cannot be read wholly; then there is no plan."""
        self._run = run
        try:
            with Session(self.site.engine, expire_on_commit=False) as session:
                self._look_at_all(session)
                if self.here is not None:
                    for error in self.here.told.why:
                        say_why(error)
                    blocking.settle(session, self.plan_id, self.location)
                    for row in self._rows(session):
                        self.here.count(row)
                session.commit()
        except LocationError:
            if self.plan_id:
                review.spend(self.site, self.plan_id, "stale")
            raise
        if self.plan_id:
            self.planner.close(run)
        return self.plan_id

    @property
    def plan_id(self) -> int:
        """The plan's number; 0 where there is none."""
        return self.planner.plan_id

    def _look_at_all(self, session: Session) -> None:
        stones = recognising.counts(session, self.location)
        known = self.site.config.locations[self.location].datasets
        for (dataset, _identity), count in stones.items():
            self.seen.setdefault(dataset, Seen()).tombstones += count
            if dataset not in known:
                self.seen[dataset].left["dataset-gone"] += count
        by_dataset: dict[str, list[Target]] = {}
        for target in self.planner.targets:  # children before their parents
            if (target.dataset, target.identity) in stones:
                by_dataset.setdefault(target.dataset, []).append(target)
        for dataset, targets in by_dataset.items():
            rows = self._look_for(session, dataset, targets)
            for target in targets:
                if (row := rows.get(target.identity)) is not None and self.here is not None:
                    self.here.list_riders(target, row)
        own = {target.identity for target in self.planner.targets}
        others = dict.fromkeys(dataset for dataset, identity in stones if identity not in own and dataset in known)
        for dataset in others:
            self._look_for_others(session, dataset, own)
        self._count_unreadable(session, known)

    def _rows(self, session: Session) -> Sequence[TargetRow]:
        return session.scalars(select(TargetRow).where(col(TargetRow.plan_id) == self.plan_id)).all()

    def _count_unreadable(self, session: Session, known: Mapping[str, object]) -> None:
        self.unreadable = sum(
            Lookup(self.site, session, self.location, name).unreadable for name in self.seen if name in known
        )

    # --- records with a target of their own -----------------------------------------------------------------------

    def _look_for(self, session: Session, dataset: str, targets: list[Target]) -> dict[str, TargetRow]:
        """Plan what came back of one dataset, by the targets that erased it. Returns their rows, by identity."""
        lookup = Lookup(self.site, session, self.location, dataset)
        listings: dict[str, Listing] = {}
        seen = self.seen[dataset]
        for keys, lasting in self._listed(dataset):
            found = lookup.matches(lasting)
            ours = {keys[pos]: by for pos, by in found.items() if any(t.identity in by for t in targets)}
            taken: set[Key] = set()
            for target in targets:
                erased = {
                    key: by[target.identity] for key, by in ours.items() if target.identity in by and key not in taken
                }
                if erased:
                    taken |= self._plan_due(session, target, erased, listings)
            seen.came_back += len(ours)
            seen.planned += len(taken)
            seen.left["not-due"] += len(ours) - len(taken)
            session.commit()
            self.progress(f"{self.location}.{dataset}", seen.came_back)
        for listing in listings.values():
            listing.row.population = self.site.connector(self.location).count(dataset)
        return {identity: listing.row for identity, listing in listings.items()}

    def _plan_due(
        self, session: Session, target: Target, erased: Mapping[Key, date], listings: dict[str, Listing]
    ) -> set[Key]:
        """Write down which of some records the target is due for, as it was when it erased them. Returns their keys."""
        spare, zone = self._coverage.spare(self.location), self.site.config.timezone
        due = select_due(target, as_of=self.planner.scope.as_of, now=self.planner.now, zone=zone, spare=spare)
        last_days, planned = LastDays(target), set[Key]()
        for batch in self.site.connector(self.location).find(replace(due, keys=tuple(erased))):
            days = last_days.of(batch.anchored, len(batch))
            kept = [
                pos
                for pos, key in enumerate(batch.keys)
                if key in erased and 0 < days[pos] < erased[key].toordinal() and key not in planned
            ]
            if not kept:
                continue
            listing = listings.get(target.identity) or self._open_listing(session, target, listings)
            listing.add(
                [batch.keys[pos] for pos in kept],
                [batch.versions[pos] for pos in kept] if batch.versions else (),
                [days[pos] for pos in kept],
                {new: batch.notes[old] for new, old in enumerate(kept) if old in batch.notes},
            )
            planned.update(batch.keys[pos] for pos in kept)
        return planned

    def _open_listing(self, session: Session, target: Target, listings: dict[str, Listing]) -> Listing:
        if self.here is None:
            session.commit()  # nothing is locked while the plan gets its row
            plan = self.planner.open(self._run)
            self.here = PlaceWriter(self.site, session, plan, self.location, watches=False, progress=self.progress)
        row = target_row(self.site, self.here.plan_row, target, target.dataset, self._position)
        self._position = self.planner.position_after(target, self._position)
        session.add(row)
        session.flush()
        listing = self.here.open_listing(row, is_held=bool(self._coverage.holders(target)))
        listings[target.identity] = listing
        return listing

    # --- what went with a parent, or by a rule that is gone -------------------------------------------------------

    def _look_for_others(self, session: Session, dataset: str, own: set[str]) -> None:
        """Count what came back of records that no target of today erased by itself."""
        lookup = Lookup(self.site, session, self.location, dataset)
        seen = self.seen[dataset]
        riding = select(col(PlannedKey.key)).join(TargetRow, col(TargetRow.id) == col(PlannedKey.target_id))
        here = col(TargetRow.plan_id) == self.plan_id, col(TargetRow.dataset) == dataset
        for keys, lasting in self._listed(dataset):
            found = {keys[pos]: by for pos, by in lookup.matches(lasting).items() if not own & by.keys()}
            if not found:
                continue
            texts = dict(zip(key_texts(list(found)), found, strict=True))
            planned = blocks.among(session, riding.where(*here), col(PlannedKey.key), list(texts))
            seen.came_back += len(found)
            seen.planned += len(planned)
            for text, key in texts.items():
                if text not in planned:
                    parents = {identity.partition(">")[0] for identity in found[key]}
                    seen.left["parent-not-planned" if parents & own else "rule-gone"] += 1
            self.progress(f"{self.location}.{dataset}", seen.came_back)

    def _listed(self, dataset: str) -> Iterator[tuple[list[Key], list[Key]]]:
        """List a whole dataset in key order: keys, and what the records are recognised by."""
        everything = Selection(
            dataset=dataset,
            zone=self.site.config.timezone,
            now=self.planner.now,
            anchors=(),
            # Where records end may depend on what is held (lines of a log).
            spare=self._coverage.spare(self.location),
            check_anchors=False,
        )
        keys: list[Key] = []
        lasting: list[Key] = []
        for batch in self.site.connector(self.location).find(everything):
            keys += batch.keys
            lasting += lasting_keys(self.site, self.location, batch.keys, batch.versions)
            if len(keys) >= CHUNK:
                yield keys, lasting
                keys, lasting = [], []
        if keys:
            yield keys, lasting
