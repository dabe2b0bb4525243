"""One run, from ``run_start`` to ``run_end``: what it counts, how it can be stopped, how it ends.

Invariant: a run's totals are the sums over the receipts that carry its id and what was counted without a leaf; a run
that is cut off gets no end, the next one names it as interrupted.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import RopaError
from ropa.ledger.canonical import MAX_LINE, canonical
from ropa.ledger.events import ALL
from ropa.sweep import safety, tracing, trouble
from ropa.sweep.journal import Journal
from ropa.sweep.site import TOOL
from ropa.sweep.tables import RunRow

log = logging.getLogger(__name__)

_ROOM = MAX_LINE - 1500
"""Bytes of a run's last line that its rules may take; the other fields take fewer than the rest."""

FALLEN_SHORT = frozenset({"changed", "blocked", "refused", "failed", "unverified"})
"""Outcomes that make the exit code 3; ``held`` and ``absent`` do not."""


class InterruptedRunError(RopaError):
    """SIGINT or SIGTERM: the batch in hand was settled, the rest waits."""

    def __init__(self, signum: int) -> None:
        super().__init__("interrupted; the batch in hand was settled", next_step="Run the command again to go on.")
        self.signum = signum


@dataclass
class Interruption:
    """Set by a signal handler, looked at between batches."""

    signum: int | None = None

    def check(self) -> None:
        """Raise InterruptedRunError when a signal has come."""
        if self.signum is not None:
            raise InterruptedRunError(self.signum)


@dataclass
class Run:
    """One open run."""

    journal: Journal
    id: str
    mode: str
    watch: safety.FrozenNow
    totals: Counter[str] = field(default_factory=Counter)
    rules: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def start(
        cls,
        journal: Journal,
        mode: str,
        *,
        plan_id: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Run:
        """Open a run that ``actor`` (an id) started: gates first, then its row, then its first line.

        Raises RefusedError when a gate is closed; LedgerError for a batch file or a page of the run database that is
        not what was written.
        """
        site, ledger = journal.site, journal.ledger
        trouble.check_pages(site.engine)
        journal.check_batches()
        watch = safety.FrozenNow(site)
        clock_facts = safety.check_clock(site, ledger, watch.started)
        revision = site.register_revision()
        run_id = secrets.token_hex(8)  # its row makes it known to the database before a line carries it
        with Session(site.engine) as session, session.begin():
            for row in session.scalars(select(RunRow).where(col(RunRow.state) == "open")).all():
                row.state, row.code, row.ended_at = "aborted", "cut-off", watch.started
                row.totals = _receipted(journal, row.id)
            session.add(
                RunRow(
                    id=run_id,
                    mode=mode,
                    plan_id=plan_id,
                    started_at=watch.started,
                    policy=site.config.digest,
                    register_revision=revision,
                    swept_on=site.today() if mode == "sweep" else None,
                    actor_id=actor,
                    reason=reason,
                )
            )
        journal.append(
            "run_start",
            run=run_id,
            mode=mode,
            tool=TOOL,
            config=site.config.digest.removeprefix("sha256:"),
            register=revision,
            host=socket.gethostname(),
            clock=clock_facts,
        )
        tracing.run_opened(run_id)
        log.info("run-start", extra={"mode": mode, "plan": plan_id, "register": revision})
        return cls(journal, run_id, mode, watch)

    def count(self, rules: Iterable[str], counts: Mapping[str, int]) -> None:
        """Add outcomes to the run's totals, and to each of the rules."""
        self.totals.update(counts)
        for rule in rules:
            self.rules.setdefault(rule, Counter()).update(counts)

    def end(self, state: str, code: str) -> None:
        """Write the last line and the row's end."""
        site = self.journal.site
        totals = _without_zeros(self.totals)
        rules = {rule: words for rule, counts in self.rules.items() if (words := _without_zeros(counts))}
        told = rules if len(canonical(rules)) <= _ROOM else {ALL: totals}
        self.journal.append("run_end", run=self.id, state=state, code=code, totals=totals, rules=told)
        with Session(site.engine) as session, session.begin():
            row = session.get_one(RunRow, self.id)
            row.state, row.code, row.ended_at, row.totals = state, code, self.journal.now(), totals
        log.info("run-end", extra={"mode": self.mode, "state": state, "code": code, "totals": totals})

    def check(self, interruption: Interruption | None) -> None:
        """Between two batches: a signal, a halt, a clock that jumped, a lease that another host took."""
        if interruption is not None:
            interruption.check()
        self.journal.lease.renew()
        self.journal.settle_holds()
        self.journal.settle_halt()
        safety.check_halt(self.journal.site)
        self.watch.check()


def exit_code(totals: Mapping[str, int], *, was_refused: bool = False) -> int:
    """Return the exit code of a run: 0 done, 3 some fell short or were refused, 4 refused and nothing done."""
    done = sum(count for word, count in totals.items() if word != "refused")
    if was_refused and not done:
        return 4
    return 3 if was_refused or any(totals.get(word) for word in FALLEN_SHORT) else 0


def _receipted(journal: Journal, run: str) -> dict[str, Any]:
    """The totals of a run that was cut off: what it could count itself went with it."""
    totals: Counter[str] = Counter()
    for event in journal.ledger.events("receipt"):
        if event["run"] == run:
            totals.update(event["counts"])
    return _without_zeros(totals)


def _without_zeros(counts: Mapping[str, int]) -> dict[str, Any]:
    return {word: count for word, count in sorted(counts.items()) if count}
