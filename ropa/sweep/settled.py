"""Which run did what in which target, as the batches tell it.

Invariant: a batch counts for one run, the one whose receipt settled it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.sweep.tables import BatchRow, RunRow


def settled(session: Session, runs: Sequence[RunRow]) -> Mapping[int, Mapping[str, Counter[str]]]:
    """Return by target and run, the oldest run first, what became of its batches. ``runs``: all, oldest first.

    A batch whose run was cut off was settled by the run that was under way then: there is never more than one.
    """
    order = {run.id: n for n, run in enumerate(runs)}
    acting = [n for n, run in enumerate(runs) if run.mode != "plan"]  # who only plans settles nothing
    starts = [runs[n].started_at for n in acting]
    found: dict[int, dict[int, Counter[str]]] = {}
    columns = col(BatchRow.target_id), col(BatchRow.run_id), col(BatchRow.settled_at), col(BatchRow.outcomes)
    for target_id, run_id, settled_at, outcomes in session.execute(select(*columns)):
        if settled_at is None or run_id not in order:
            continue
        doer = order[run_id]
        if runs[doer].code == "cut-off":
            doer = max(doer, acting[bisect_right(starts, settled_at) - 1])
        found.setdefault(target_id, {}).setdefault(doer, Counter()).update(outcomes)
    return {target_id: {runs[n].id: by_run[n] for n in sorted(by_run)} for target_id, by_run in found.items()}
