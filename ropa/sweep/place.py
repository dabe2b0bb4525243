"""Planning one place: its targets are listed into the run database, blocked by its references, and counted.

May run in the process that writes the plan or in one of its helpers (``crew``): all it needs is the number of a plan
whose targets have their rows. Invariant: ``due = held + blocked + records`` for every target; a place that cannot be
read wholly makes its targets ``stopped_by``, never "nothing due". Memory is flat in the number of records; committed
batch by batch, so that a hold can be placed meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import count
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import calendar_day, timestamp
from ropa.connector import Action, Batch, Key, Note, Selection, Tally
from ropa.errors import IncompleteListingError, LocationError
from ropa.ledger.leaf import key_texts
from ropa.retention import Coverage, Target, cutoffs
from ropa.retention import select as select_due
from ropa.sweep import blocking, blocks, holds, mandates, tracing
from ropa.sweep.digest import key_text
from ropa.sweep.listing import LastDays, Listing, Plan
from ropa.sweep.packing import unpack_days, unpack_keys
from ropa.sweep.recognising import Watch
from ropa.sweep.site import Site
from ropa.sweep.tables import PlannedStay, PlanRow, TargetRow
from ropa.sweep.tombstones import is_kept_for

Progress = Callable[[str, int], None]
"""Called with what is being read and how many records so far."""

CHUNK = 1000
"""Parents whose children are listed with one question."""


@dataclass
class Listed:
    """What the planning of a place tells besides what it wrote."""

    returned: Counter[str] = field(default_factory=Counter)
    """Full dataset to records that had been erased before."""
    why: list[LocationError] = field(default_factory=list)
    """Why the place, or a part of it, could not be read."""


def target_row(site: Site, plan: PlanRow, target: Target, dataset: str, position: int) -> TargetRow:
    """Return a new row for a target, or for a dataset whose records go with those of a target."""
    return TargetRow(**target_values(site, plan, target, dataset, position))


def target_values(site: Site, plan: PlanRow, target: Target, dataset: str, position: int) -> dict[str, Any]:
    """Return every column of ``target_row`` but its id: thousands of rows are written faster as they are."""
    is_own = dataset == target.dataset
    return {
        **_UNKNOWN,
        "plan_id": plan.id or 0,
        "position": position,
        "identity": target.identity if is_own else f"{target.identity}>{dataset}",
        "location": target.location,
        "dataset": dataset,
        "scope": target.scope if is_own else "row",
        "data": list(target.data) if is_own else ["*"],
        "action": str(target.action),
        "rules": [rule.name for rule in target.rules],
        "revisions": [mandates.revision_of(site.config, rule) for rule in target.rules],
        "cutoffs": {
            anchor: timestamp(instant) for anchor, instant in cutoffs(target, plan.as_of, site.config.timezone).items()
        },
        "blockers": {},
        "outcomes": {},
        "ages": _ages({}, plan.as_of),
    }


_UNKNOWN = {
    name: None if info.is_required() else info.get_default(call_default_factory=True)
    for name, info in TargetRow.model_fields.items()
    if name != "id"
}
"""What stands in a row before its place was asked."""


def _ages(days: Mapping[int, int], as_of: date) -> dict[str, int]:
    """Return days late to number of records, from last days (ordinals)."""
    ages = {"<=30": 0, "<=365": 0, ">365": 0}
    for day, number in days.items():
        late = as_of.toordinal() - day if day else 0
        ages["<=30" if late <= 30 else "<=365" if late <= 365 else ">365"] += number
    return ages


class PlaceWriter:
    """Lists targets of one location; holds what is known of them until they are counted."""

    def __init__(
        self, site: Site, session: Session, plan: PlanRow, location: str, *, watches: bool, progress: Progress | None
    ) -> None:
        self.site = site
        self.session = session
        self.plan_row = plan
        self.location = location
        self.watches = watches
        """Whether what comes back after it was erased is looked for."""
        self.progress = progress or (lambda _what, _count: None)
        self.now = plan.created_at
        self.is_of_today = plan.as_of == calendar_day(plan.created_at, site.config.timezone)
        self.plan = Plan(plan.id or 0, self.now, self.is_of_today)
        self.told = Listed()
        self.has_riders = False
        """Whether rows were added for what goes with other records."""
        self.days: dict[int, Counter[int]] = {}
        """Of each target, last day (an ordinal) to number of records."""
        self._tallies: dict[int, Tally] = {}
        """Of each target, what goes into its row with the counts: a row that was touched would have to be written
        before the place is asked for the next one."""

    @cached_property
    def coverage(self) -> Coverage:
        """What the holds in force cover here. Raises LocationError where it is not known what descends from what."""
        return holds.coverage(self.site, self.location)

    def selection(self, target: Target) -> Selection:
        """Return what is asked for a target."""
        spare = self.coverage.spare(self.location)
        zone = self.site.config.timezone
        return select_due(target, as_of=self.plan_row.as_of, now=self.now, zone=zone, spare=spare)

    def open_listing(self, row: TargetRow, *, is_held: bool) -> Listing:
        """Return the listing of a target, whose last days are kept for ``count``."""
        listing = Listing(self.session, self.plan, row, is_held=is_held)
        self.days[row.id or 0] = listing.days
        return listing

    def list_target(self, row: TargetRow, target: Target) -> None:
        """List the records of one target."""
        session, connector = self.session, self.site.connector(self.location)
        try:
            selection = self.selection(target)
            listing = self.open_listing(row, is_held=bool(self.coverage.holders(target)))
            if session.in_transaction():
                session.commit()  # nothing is locked while the place looks for its first batch
            watch = self._watch(row)
            tally = self._list(listing, target, iter(connector.find(selection)), watch)
            self._note_returned(watch)
            if tally is None:  # counted last, because the listing might have done so on its way
                population = connector.count(target.dataset)
                undated = replace(selection, before=(), undated=True)
                tally = Tally(population, sum(len(batch) for batch in connector.find(undated)))
            self._tallies[row.id or 0] = tally
            if row.action == Action.FLAG and self.is_of_today:
                listing.forget_flags()
        except LocationError as error:
            self._give_up(row, error)

    def _give_up(self, row: TargetRow, error: LocationError) -> None:
        self.told.why.append(error)
        is_partial = isinstance(error, IncompleteListingError) or row.rides_with is not None
        blocks.discard(self.session, row.id or 0)
        self.days.pop(row.id or 0, None)
        self._tallies.pop(row.id or 0, None)
        row.stopped_by = "incomplete-listing" if is_partial else "unreachable"
        row.population, row.unanchored = None, 0

    def _watch(self, row: TargetRow) -> Watch | None:
        return Watch(self.site, self.session, row) if self.watches and is_kept_for(row) else None

    def _list(
        self, listing: Listing, target: Target, batches: Iterator[Batch], watch: Watch | None = None
    ) -> Tally | None:
        """Write down a listing, batch by batch. Returns what it tells of the whole, None where it tells nothing."""
        last_days = LastDays(target)
        while True:
            try:
                batch = next(batches)
            except StopIteration as end:
                return end.value if isinstance(end.value, Tally) else None
            days = last_days.of(batch.anchored, len(batch))
            listing.add(batch.keys, batch.versions, days, batch.notes)
            if watch is not None:
                watch.look(batch.keys, batch.versions, days)
            self.session.commit()
            self.progress(target.full_dataset, listing.written)

    def _note_returned(self, watch: Watch | None) -> None:
        if watch is not None and (found := watch.finish()):
            self.told.returned[f"{watch.target.location}.{watch.target.dataset}"] += found

    # --- children that go with their parents ---------------------------------------------------------------------

    def list_riders(self, target: Target, row: TargetRow) -> None:
        """List what goes with the records of a row target that purges."""
        if target.action is Action.PURGE and row.stopped_by is None:
            self._plan_riders(target, row, count(row.position + 1), {row.dataset})

    def _plan_riders(self, target: Target, parent: TargetRow, positions: Iterator[int], seen: set[str]) -> None:
        session = self.session
        for name, spec in self.site.config.locations[self.location].datasets.items():
            if spec.parent is None or not spec.parent.with_parent or spec.parent.dataset != parent.dataset:
                continue
            if name in seen:
                continue
            rider = target_row(self.site, self.plan_row, target, name, next(positions))
            rider.rides_with = parent.id
            self.has_riders = True
            session.add(rider)
            session.commit()
            try:
                rider.population = self.site.connector(self.location).count(name)
                self._list_riders(parent, rider)
            except LocationError as error:
                self._give_up(rider, error)
                parent.stopped_by = "incomplete-listing"
                return
            self._plan_riders(target, rider, positions, seen | {name})

    def _list_riders(self, parent: TargetRow, rider: TargetRow) -> None:
        spare = self.coverage.spare(self.location)
        is_held = bool(self.coverage.companion_holders(f"{rider.location}.{rider.dataset}"))
        listing = self.open_listing(rider, is_held=is_held)
        watch = self._watch(rider)
        parent_id = parent.id or 0
        for block in blocks.blocks(self.session, parent_id):
            keys = unpack_keys(block.keys, block.count)
            days = unpack_days(block.due_on, block.count)
            for i in range(0, block.count, CHUNK):
                selection = Selection(
                    dataset=rider.dataset,
                    zone=self.site.config.timezone,
                    now=self.now,
                    spare=spare,
                    parents=(parent.dataset, tuple(keys[i : i + CHUNK])),
                    check_anchors=False,
                )
                family = _Family(parent.dataset, block.first_seq + i, keys[i : i + CHUNK], days[i : i + CHUNK])
                for batch in self.site.connector(self.location).find(selection):
                    family.add(batch)
                # Who stays is asked by key of those who have children.
                blocks.write_keys(self.session, parent_id, family.parents)
                children = family.columns()
                listing.add(*children)
                if watch is not None:
                    watch.look(*children[:3])
                self.session.commit()
                self.progress(f"{rider.location}.{rider.dataset}", listing.written)
        self._note_returned(watch)

    # --- counts --------------------------------------------------------------------------------------------------

    @property
    def has_records(self) -> bool:
        """Whether any record was listed."""
        return any(self.days.values())

    def count(self, row: TargetRow) -> None:
        """Put the totals of a target into its row, once what is blocked is known."""
        session, days = self.session, self.days.get(row.id or 0, Counter[int]())
        stays: Sequence[tuple[str, str, int]] = ()
        if (tally := self._tallies.get(row.id or 0)) is not None:
            row.population, row.unanchored = tally.population, tally.undated
        if not (days or row.due):
            return  # as it was made
        row.due = 0
        if days:
            columns = col(PlannedStay.disposition), col(PlannedStay.reason)
            query = select(*columns, func.count()).where(col(PlannedStay.target_id) == row.id).group_by(*columns)
            stays = [(disposition, reason, number) for disposition, reason, number in session.execute(query)]
            row.due = blocks.count(session, row.id or 0)
        row.held = sum(number for disposition, _, number in stays if disposition == "held")
        row.blockers = {reason: number for disposition, reason, number in stays if disposition == "blocked"}
        row.blocked = sum(row.blockers.values())
        row.records = row.due - row.held - row.blocked
        dated = [day for day in days if day]
        row.oldest_due_on = date.fromordinal(min(dated)) if dated else None
        row.ages = _ages(days, self.plan_row.as_of)


class PlanAtPlace:
    """Plans one location of a plan whose targets have their rows; used once."""

    def __init__(
        self,
        site: Site,
        plan_id: int,
        location: str,
        *,
        watches: bool,
        progress: Progress | None = None,
        guard: Callable[[Session], None] | None = None,
    ) -> None:
        self.site = site
        self.plan_id = plan_id
        self.location = location
        self.watches = watches
        self.progress = progress
        self.guard = guard
        """Asked before each commit, as a part of it; what it raises leaves it undone."""

    def write(self, *, is_again: bool = False) -> Listed:
        """List, settle what blocks what, and count. ``is_again``: somebody who was cut off may have begun; what was
        written then is written anew."""
        with Session(self.site.engine, expire_on_commit=False) as session:
            if self.guard is not None:
                event.listen(session, "before_commit", self.guard)
            if is_again:
                self._clear(session)
            plan = session.get_one(PlanRow, self.plan_id)
            here = PlaceWriter(self.site, session, plan, self.location, watches=self.watches, progress=self.progress)
            mains = self._rows(session)
            for row in mains:
                if row.scope == "row":
                    self._list(here, row)
            if here.has_records:
                blocking.settle(session, self.plan_id, self.location)
            for row in mains:
                if row.scope == "field":
                    self._list(here, row)
            with session.no_autoflush:  # each row is written once
                for row in self._rows(session, also_riders=True) if here.has_riders else mains:
                    here.count(row)
            session.commit()
        return here.told

    def _clear(self, session: Session) -> None:
        for row in self._rows(session, also_riders=True):
            blocks.discard(session, row.id or 0)
            row.already_flagged, row.turns = 0, []
            if row.rides_with is not None:
                session.delete(row)
        session.commit()

    def _list(self, here: PlaceWriter, row: TargetRow) -> None:
        if row.stopped_by is not None:
            return
        target = self.site.by_identity[row.identity]
        with _span(target):
            here.list_target(row, target)
            if target.scope == "row":
                here.list_riders(target, row)

    def _rows(self, session: Session, *, also_riders: bool = False) -> Sequence[TargetRow]:
        query = select(TargetRow).where(
            col(TargetRow.plan_id) == self.plan_id, col(TargetRow.location) == self.location
        )
        if not also_riders:
            query = query.where(col(TargetRow.rides_with).is_(None))
        return session.scalars(query.order_by(col(TargetRow.position))).all()


class _Family:
    """Some parents, and the children that were found with them."""

    def __init__(self, dataset: str, first_seq: int, keys: list[Key], days: tuple[int, ...]) -> None:
        self._dataset = dataset
        self._order = {text: (first_seq + pos, days[pos], text) for pos, text in enumerate(key_texts(keys))}
        self.parents: dict[int, str] = {}
        """Number to key text of those who have children."""
        self._children: list[tuple[int, int, Key, str, Note]] = []

    def add(self, batch: Batch) -> None:
        """Take in children; what names none of the parents does not go with one."""
        for pos in sorted(batch.notes):
            note, found = batch.notes[pos], []
            for reference in note.refers_to:
                text = key_text(reference.key)
                if reference.is_parent and reference.dataset == self._dataset and text in self._order:
                    found.append(self._order[text])
            self.parents |= {seq: text for seq, _, text in found}
            if found:
                version = batch.versions[pos] if batch.versions else ""
                self._children.append((*found[0][:2], batch.keys[pos], version, note))

    def columns(self) -> tuple[list[Key], list[str], list[int], dict[int, Note]]:
        """Return keys, versions, last days (the parent's) and notes of the children, in the order of their parents."""
        ordered = sorted(self._children, key=lambda child: child[0])
        notes = {pos: child[4] for pos, child in enumerate(ordered)}
        return [child[2] for child in ordered], [child[3] for child in ordered], [child[1] for child in ordered], notes


def _span(target: Target) -> AbstractContextManager[object]:
    return tracing.span("ropa.plan-target", dataset=target.full_dataset, scope=target.scope, action=str(target.action))
