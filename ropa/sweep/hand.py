"""What is done at the place itself with one unit of a plan: holds, the act, the read-back. No ledger is known here.

It may run in the process that holds the run lock or in one of its helpers (``crew``); whoever runs it looks at the
holds again at that moment. Invariant: nothing here decides what goes; the whole selection is in the act itself, so that
a unit may be acted on again, and ``purged`` is only said of what a separate read no longer finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from ropa.connector import Action, Connector, Key, Outcome, Outcomes, OutcomeWord, Selection, Spare, WithdrawnError
from ropa.errors import LocationError
from ropa.retention import Coverage, Hold, Target
from ropa.retention import select as select_due
from ropa.sweep import holds, outcomes, own_changes, review
from ropa.sweep.site import Site
from ropa.sweep.tables import PlanRow, TargetRow
from ropa.sweep.units import Portion

_CLAIMED = (OutcomeWord.PURGED, OutcomeWord.ANONYMISED, OutcomeWord.ABSENT)
_ATTEMPTS = 10
"""How often a unit is begun anew because a hold was placed or lifted meanwhile."""
_LEFT_ALONE = (OutcomeWord.HELD, OutcomeWord.CHANGED, OutcomeWord.FAILED)


@dataclass(frozen=True)
class Told:
    """What became of a unit: the outcomes of each of its portions, in their order, and what is true of erased bytes."""

    outcomes: tuple[Outcomes, ...]
    level: str
    is_again: bool = False
    """Whether somebody who was cut off may have reached it before: what is told is then what is seen now."""


class Hand:
    """Acts on units, and looks at them."""

    def __init__(self, site: Site, holding: Callable[[], AbstractContextManager[None]]) -> None:
        """``holding``: keeps every other host from taking over the run for the time of an act (``Lease.holding``)."""
        self.site = site
        self._holding = holding
        self._plans: dict[int, PlanRow] = {}

    def act(self, portions: Sequence[Portion], *, is_again: bool = False) -> Told:
        """Steps 3 to 5 for one unit; the main batch is the last portion.

        ``is_again``: somebody who was cut off may have reached it before. Raises LocationError, and LedgerError for
        holds that cannot be read; then nothing was done, or what was done is found again the next time.
        """
        main, connector = portions[-1], self.place_of(portions[-1].target)
        selection, results = self._act_under_holds(connector, portions)
        level = connector.settle(main.row.dataset)
        seen = [
            self._read_back(connector, selection, portion, told, is_main=portion is main)
            for portion, told in zip(portions, results, strict=True)
        ]
        if is_again:
            seen = [self._observed(connector, *pair) for pair in zip(portions, seen, strict=True)]
        return Told(tuple(seen), level, is_again)

    def _act_under_holds(
        self, connector: Connector, portions: Sequence[Portion]
    ) -> tuple[Selection, Sequence[Outcomes]]:
        """Act under the holds in force. Where one was placed, or lifted, by the time that the place could make it last
        (it may have waited for somebody's lock), the place undoes it, and it is done anew under the others."""
        for _ in range(_ATTEMPTS):
            held = holds.active_holds(self.site)
            with suppress(WithdrawnError):
                return self._act_under(held, connector, portions)
        return self._selection(portions[-1].target), [_failed(portion, "holds-changing") for portion in portions]

    def _act_under(
        self, held: Sequence[Hold], connector: Connector, portions: Sequence[Portion]
    ) -> tuple[Selection, Sequence[Outcomes]]:
        def expect_the_same() -> None:
            if holds.active_holds(self.site) != held:
                raise WithdrawnError

        main = portions[-1]
        coverage = holds.coverage(self.site, main.row.location, held)
        selection = replace(
            self._selection(main.target),
            spare=_also(coverage.spare(main.row.location), _companions_held(coverage, portions)),
            tells_versions=self._is_followed(main.target),
            guard=expect_the_same,
        )
        if coverage.holders(self._target(main.target)):
            return selection, [Outcomes(portion.keys, OutcomeWord.HELD) for portion in portions]
        if main.target.action == Action.FLAG and Action.FLAG not in connector.capabilities.actions:
            return selection, [_flag(connector, selection, main)]
        return selection, self._act(connector, selection, portions)

    def look(self, portion: Portion) -> Told:
        """Say of a portion that may no longer be acted on what is seen of its records. Raises LocationError."""
        connector = self.place_of(portion.target)
        seen = self._observed(connector, portion, _failed(portion, "interrupted"))
        return Told((seen,), connector.settle(portion.row.dataset), is_again=True)

    def _act(self, connector: Connector, selection: Selection, portions: Sequence[Portion]) -> list[Outcomes]:
        main = portions[-1]
        batch = main.batch(tuple(portion.batch() for portion in portions[:-1]))
        with self._holding():
            told = connector.act(selection, batch, self._target(main.target).connector_action)
        if not isinstance(told, Outcomes):  # a connector of somebody else may tell them one by one
            told = Outcomes.of(told)
        results, start = [], len(main.keys)
        for portion in portions[:-1]:
            results.append(outcomes.part(told, start, start + len(portion.keys)))
            start += len(portion.keys)
        results.append(outcomes.part(told, 0, len(main.keys)))
        is_whole = len(told) == start and all(0 <= pos < start for pos in told.odd)
        pairs = zip(results, portions, strict=True)
        if not is_whole or not all(outcomes.accounts_for(result, portion.keys) for result, portion in pairs):
            raise LocationError(f"the connector of {main.row.location} did not account for every record it was given")
        return results

    def _read_back(
        self, connector: Connector, selection: Selection, portion: Portion, told: Outcomes, *, is_main: bool
    ) -> Outcomes:
        claimed = outcomes.positions(told, _CLAIMED)
        if not claimed:
            return told
        asked = selection if is_main else self.bare_selection(portion.target)
        there = connector.remaining(asked, portion.batch())
        if not there:
            return told
        keys = portion.keys
        unverified = {pos: Outcome(keys[pos], OutcomeWord.UNVERIFIED) for pos in claimed if keys[pos] in there}
        return outcomes.changed(told, unverified)

    def _observed(self, connector: Connector, portion: Portion, told: Outcomes) -> Outcomes:
        """Say of records that a run which was cut off may have reached what is seen of them now, where "left alone"
        would be untrue: gone is ``absent``; there, but without what a field target takes away, is ``anonymised``;
        where the configuration no longer tells which fields those were, ``unverified``."""
        left_alone = outcomes.positions(told, _LEFT_ALONE)
        if not left_alone:
            return told
        selection = self.bare_selection(portion.target)
        batch = portion.batch()
        untouched = connector.remaining(selection, batch)
        present = connector.remaining(replace(selection, fields=()), batch) if selection.fields else untouched
        is_change = portion.target.scope == "field" or portion.target.action == Action.ANONYMISE
        is_unclear = is_change and not selection.fields
        seen = {}
        for pos in left_alone:
            key = portion.keys[pos]
            if key in untouched and not is_unclear:
                continue
            if key not in present:
                seen[pos] = Outcome(key, OutcomeWord.ABSENT)
            else:
                seen[pos] = Outcome(key, OutcomeWord.UNVERIFIED if is_unclear else OutcomeWord.ANONYMISED)
        return outcomes.changed(told, seen)

    # --- questions -------------------------------------------------------------------------------------------------

    def plan(self, plan_id: int) -> PlanRow:
        """Return a plan, for what never changes of it: its digest and its day."""
        if plan_id not in self._plans:
            self._plans[plan_id] = review.get_plan(self.site, plan_id)
        return self._plans[plan_id]

    def _is_followed(self, row: TargetRow) -> bool:
        """Whether another change of what this target changes may follow."""
        with Session(self.site.engine) as session:
            return own_changes.is_followed(session, row)

    def place_of(self, row: TargetRow) -> Connector:
        """Return the place that a target is acted on at; with the credentials that plan, where it is only flagged on
        our own side. Raises what ``Site.acting`` raises."""
        looking = self.site.connector(row.location)
        is_ours = row.action == Action.FLAG and Action.FLAG not in looking.capabilities.actions
        return looking if is_ours else self.site.acting(row.location)

    def _target(self, row: TargetRow) -> Target:
        return self.site.by_identity[row.identity.partition(">")[0]]

    def _selection(self, row: TargetRow) -> Selection:
        as_of, zone = self.plan(row.plan_id).as_of, self.site.config.timezone
        return select_due(self._target(row), as_of=as_of, now=self.site.now(), zone=zone)

    def bare_selection(self, row: TargetRow) -> Selection:
        """Return a selection that names a dataset and, for field targets, its columns: enough to look what is still
        there."""
        target = self.site.by_identity.get(row.identity.partition(">")[0])
        fields = target.fields if target is not None and row.dataset == target.dataset else ()
        return Selection(
            dataset=row.dataset,
            zone=self.site.config.timezone,
            now=self.site.now(),
            fields=fields,
            check_anchors=False,
        )


def _failed(portion: Portion, code: str) -> Outcomes:
    odd = {pos: Outcome(key, OutcomeWord.FAILED, code) for pos, key in enumerate(portion.keys)}
    return Outcomes(portion.keys, OutcomeWord.FAILED, odd)


def _companions_held(coverage: Coverage, portions: Sequence[Portion]) -> dict[str, frozenset[Key]]:
    """Return the records that go along with others and are of a dataset that is held as a whole."""
    found: dict[str, frozenset[Key]] = {}
    for portion in portions[:-1]:
        dataset = portion.row.dataset
        if coverage.companion_holders(f"{portion.row.location}.{dataset}"):
            found[dataset] = found.get(dataset, frozenset()).union(portion.keys)
    return found


def _also(spare: Spare, keys: Mapping[str, frozenset[Key]]) -> Spare:
    merged = {name: spare.keys.get(name, frozenset()) | keys.get(name, frozenset()) for name in {*spare.keys, *keys}}
    return replace(spare, keys=merged)


def _flag(connector: Connector, selection: Selection, portion: Portion) -> Outcomes:
    """Flag on our side alone: the source, which has no mark for it, is asked whether the record is still due."""
    there, spared = set[Key](), set[Key]()
    for batch in connector.find(replace(selection, keys=tuple(portion.keys))):
        there.update(batch.keys)
        spared.update(batch.keys[pos] for pos, note in batch.notes.items() if note.is_spared)
    odd = {
        pos: Outcome(key, OutcomeWord.HELD if key in there else OutcomeWord.CHANGED)
        for pos, key in enumerate(portion.keys)
        if key in spared or key not in there
    }
    return Outcomes(portion.keys, OutcomeWord.FLAGGED, odd)
