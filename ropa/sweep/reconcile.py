"""Reconciling: what became of intents without a receipt; the first thing of every run that acts (design 5.3).

Where the plan may still be carried out the batch is acted on again, which is safe to repeat; otherwise it is only
looked at. Invariant: nothing is said of a record but what is seen of it now; a place that cannot be reached keeps its
intents open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import OutcomeWord
from ropa.errors import Finding, LedgerError, LocationError, Severity
from ropa.ledger.batches import read_outcomes
from ropa.ledger.chain import BATCHES
from ropa.ledger.events import is_hash
from ropa.sweep import findings, tombstones, units
from ropa.sweep.acting import Actor
from ropa.sweep.stops import say_why
from ropa.sweep.tables import BatchRow
from ropa.sweep.units import Portion

MayAct = Callable[[int, Portion], bool]
"""Asked with a plan's number and the main batch of a unit, whether it may still be acted on."""

_TO_REMEMBER = frozenset({*tombstones.GONE, OutcomeWord.FLAGGED})
"""Outcomes that the run database keeps something of."""


class Reconciler:
    """Settles open intents; used once."""

    def __init__(self, actor: Actor, may_act: MayAct) -> None:
        self.actor = actor
        self.journal = actor.journal
        self.site = actor.site
        self.may_act = may_act
        self.is_unreachable = False
        """Whether a place went away meanwhile."""

    def settle_open(self) -> None:
        """Settle every intent without a receipt by asking its source. Raises LedgerError for an intent whose batch this
        database does not know."""
        intents = {event["root"]: event for _seq, event in self.journal.ledger.open_intents()}
        with Session(self.site.engine, expire_on_commit=False) as session, session.begin():
            query = select(BatchRow).where(col(BatchRow.settled_at).is_(None)).order_by(col(BatchRow.number))
            unsettled = session.scalars(query).all()
            known = {row.root for row in unsettled}
            if missing := set(intents) - known:
                raise LedgerError(
                    f"{len(missing)} open intents of the ledger are not in this database",
                    next_step="This database is older than the ledger: put its newest copy back.",
                    code="database-behind",
                )
            receipts = self._receipts({row.root for row in unsettled} - set(intents)) if unsettled else {}
            unfinished: dict[tuple[int, int], list[BatchRow]] = {}
            for row in unsettled:
                if row.root not in receipts:
                    unfinished.setdefault((row.plan_id, row.unit), []).append(row)
            for key, rows in list(unfinished.items()):
                if not any(row.root in intents for row in rows):
                    for row in rows:
                        session.delete(row)  # no intent was written: nothing was touched, its records are free again
                    del unfinished[key]
        for row in unsettled:
            if row.root in receipts:
                self._settle_told(row, receipts[row.root])
        for (plan_id, _unit), rows in unfinished.items():
            self._settle_unit(plan_id, rows, intents)
        findings.record(self.site, "reconcile", self._still_open())

    def _still_open(self) -> list[Finding]:
        batches = Counter(f"{e['location']}.{e['dataset']}" for _seq, e in self.journal.ledger.open_intents())
        return [
            Finding(
                "intent-open",
                Severity.ERROR,
                dataset,
                f"{count} batches were begun, and what became of them is not known: the place could not be asked.",
                "Make the place reachable, or put it back into config/retention.toml; then `ropa sweep`.",
            )
            for dataset, count in batches.items()
        ]

    def _receipts(self, roots: set[str]) -> dict[str, Mapping[str, Any]]:
        return {e["root"]: e for e in self.journal.ledger.events("receipt") if e["root"] in roots}

    def _settle_told(self, row: BatchRow, receipt: Mapping[str, Any]) -> None:
        """Write down what follows from a receipt, where the run was cut off before it had done so itself."""
        told: list[str] = []
        portion = None
        if _TO_REMEMBER & receipt["counts"].keys():
            portion = units.read_back(self.site, row)
            said, file = receipt["outcomes"], self.site.ledger_folder / BATCHES / f"{row.root}.outcomes"
            told = read_outcomes(file, row.leaves, said) if is_hash(said) else [said] * row.leaves
        self.actor.settle_told(row, receipt["counts"], portion, told)

    def _settle_unit(self, plan_id: int, rows: list[BatchRow], intents: Mapping[str, Mapping[str, object]]) -> None:
        if not all(self._is_configured(row) for row in rows):
            return  # stays open: what is no longer in the configuration cannot be asked
        portions = [units.read_back(self.site, row) for row in rows]
        may_act = self.may_act(plan_id, portions[-1])
        if not may_act:
            portions = [portion for portion in portions if portion.row.root in intents]
            with Session(self.site.engine) as session, session.begin():
                for row in rows:
                    if row.root not in intents:
                        session.delete(session.get_one(BatchRow, row.id))
        else:
            for portion in portions:
                if portion.row.root not in intents:
                    self.actor.append_intent(portion)
        try:
            if may_act:
                self.actor.prepare(portions)
                self.actor.write_receipts(portions, self.actor.hand.act(portions, is_again=True))
            else:
                for portion in portions:
                    self.actor.write_receipts([portion], self.actor.hand.look(portion))
        except LocationError as error:
            say_why(error)
            self.is_unreachable = True  # stays open: the next run asks again

    def _is_configured(self, row: BatchRow) -> bool:
        location = self.site.config.locations.get(row.location)
        return location is not None and row.dataset in location.datasets
