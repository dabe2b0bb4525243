"""The answer to "is it adhered to, and if not, why?": for the whole and for each activity.

Invariant: concluded here, once, so that every format says the same; records are counted per target, so that a record
which several categories or activities share is counted once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ropa.errors import Finding, Severity
from ropa.report.model import Evidence, Reason, Summary, Verdict
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary
from ropa.sweep.nights import Gap, gaps, missed, nights_swept
from ropa.sweep.standing import Standing, State

OUTDATED_DAYS = 2
"""A look older than this shows nothing about today; the job is to run every night."""

_LAWFUL = frozenset({State.WAITING, State.HELD, State.ENFORCED})

_BREACHES = frozenset({"overdue", "blocked"})
_DOUBTS = frozenset(
    {"stopped", "unsound-evidence", "no-evidence", "open-intents", "no-scan", "never-scanned", "outdated"}
)
_HOLES = frozenset({"no-rule", "no-place", "no-data"})


@dataclass(frozen=True, slots=True)
class Nights:
    """How steadily the nightly job ran."""

    first_on: date | None
    """The first night with a sweep; None: it has never run."""
    last_on: date | None
    """The last night with a sweep that succeeded."""
    missed: int
    gaps: tuple[Gap, ...]
    """All of them, the newest first."""


def nights_of(runs: Sequence[RunSummary], zone: ZoneInfo, today: date) -> Nights:
    """Return on which nights a sweep succeeded, and on which none did."""
    begun, swept = nights_swept(runs, zone, succeeded=False), nights_swept(runs, zone)
    first = min(begun, default=None)
    without = missed(swept, first=first, today=today)
    return Nights(first, max(swept, default=None), len(without), gaps(without))


def summarise(
    standings: Sequence[Standing],
    cells: Sequence[Adherence],
    findings: Sequence[Finding],
    nights: Nights,
    proof: Proof,
) -> Summary:
    """Return the answer to "is it adhered to?", its reasons, worst first, and the numbers beside it."""
    evidence = proof.evidence
    scanned = [stand.scanned_at for stand in standings if stand.scanned_at is not None]
    codes = _overdue(standings) | {
        "unsound-evidence": _problems(evidence),
        "no-evidence": int(evidence is None),
        "open-intents": evidence.open_intents if evidence is not None else 0,
        "no-scan": int(not scanned),
        "never-scanned": _never_scanned(standings) if scanned else 0,
        "outdated": _outdated(standings, proof.now),
        "no-sweep": int(nights.first_on is None),
        "missed-nights": nights.missed,
        "no-rule": _categories(cells, State.NO_RULE),
        "no-place": _categories(cells, State.NO_PLACE),
        "documented-only": _categories(cells, State.DOCUMENTED_ONLY),
        **_told(standings),
        "error-findings": sum(finding.severity is Severity.ERROR for finding in findings),
    }
    return Summary(
        verdict=_verdict(codes),
        reasons=_reasons(codes),
        due=sum(stand.counts.due for stand in standings),
        done=sum(stand.counts.done for stand in standings),
        done_total=sum(stand.counts.done_total for stand in standings),
        waiting=sum(stand.counts.waiting for stand in standings),
        held=sum(stand.counts.held for stand in standings),
        blocked=sum(stand.counts.blocked for stand in standings),
        fell_short=sum(c.refused + c.failed + c.unverified + c.changed for c in (stand.counts for stand in standings)),
        flagged=sum(stand.counts.flagged for stand in standings),
        findings=len(findings),
        oldest_scan_at=min(scanned, default=None),
    )


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of every target and of the ledger, to be asked for one activity after the other."""

    standings: Mapping[str, Standing]
    """By identity."""
    evidence: Evidence | None
    now: datetime

    def of(self, cells: Sequence[Adherence], ended_with: Collection[str]) -> tuple[Verdict, tuple[Reason, ...]]:
        """Return the verdict on an activity and its reasons, worst first.

        ``cells``: the activity's; ``ended_with``: the rules that still run for one that has ended. What only stands in
        words is not shown by any run, so an activity of which nothing is enforced is at best not shown.
        """
        named = dict.fromkeys(identity for cell in cells for identity in cell.targets)
        stands = [self.standings[identity] for identity in named if identity in self.standings]
        codes = _overdue(stands) | {
            "unsound-evidence": _problems(self.evidence) if stands else 0,
            "no-evidence": int(bool(stands) and self.evidence is None),
            "open-intents": self._open_intents({stand.full_dataset for stand in stands}),
            "never-scanned": _never_scanned(stands),
            "outdated": _outdated(stands, self.now),
            "no-data": int(not cells),
            "no-rule": _categories(cells, State.NO_RULE),
            "no-place": _categories(cells, State.NO_PLACE),
            "documented-only": _categories(cells, State.DOCUMENTED_ONLY),
            **_told(stands),
            "ended-with-rules": len(ended_with),
        }
        return _verdict(codes, is_enforced=bool(stands)), _reasons(codes)

    def _open_intents(self, datasets: Collection[str]) -> int:
        """Those about some datasets, and those of which it is not known what they are about."""
        if self.evidence is None or not datasets:
            return 0
        known = dict(self.evidence.open_in)
        return sum(known.get(name, 0) for name in datasets) + self.evidence.open_intents - sum(known.values())


def _overdue(stands: Sequence[Standing]) -> dict[str, int]:
    return {
        "overdue": sum(_left(stand) for stand in stands if stand.state not in _LAWFUL),
        "late": max((stand.worst_late_days for stand in stands if stand.state not in _LAWFUL), default=0),
        "stopped": sum(stand.state is State.STOPPED for stand in stands),
        "blocked": sum(stand.counts.blocked for stand in stands),
    }


def _told(stands: Sequence[Standing]) -> dict[str, int]:
    """What is no fault by itself."""
    return {
        "waiting": sum(_left(stand) + stand.counts.flagged for stand in stands if stand.state is State.WAITING),
        "unanchored": sum(stand.counts.unanchored for stand in stands),
    }


def _left(stand: Standing) -> int:
    """What is still there without a hold, an obstacle or a flag to say why."""
    return stand.counts.outstanding - stand.counts.held - stand.counts.blocked - stand.counts.flagged


def _problems(evidence: Evidence | None) -> int:
    return 0 if evidence is None or evidence.is_sound else max(1, len(evidence.problems))


def _never_scanned(stands: Sequence[Standing]) -> int:
    return sum(stand.state is State.NEVER_SCANNED for stand in stands)


def _outdated(stands: Iterable[Standing], now: datetime) -> int:
    """How many days ago the oldest look was, where that is too long."""
    oldest = min((stand.scanned_at for stand in stands if stand.scanned_at is not None), default=now)
    days = (now - oldest).days
    return days if days >= OUTDATED_DAYS else 0


def _categories(cells: Iterable[Adherence], state: State) -> int:
    return len({cell.category for cell in cells if cell.state is state})


def _reasons(counts: Mapping[str, int]) -> tuple[Reason, ...]:
    return tuple(Reason(code=code, count=count) for code, count in counts.items() if count)


def _verdict(counts: Mapping[str, int], *, is_enforced: bool = True) -> Verdict:
    codes = {code for code, count in counts.items() if count}
    if codes & _BREACHES:
        return Verdict.NOT_ADHERED
    if codes & _DOUBTS:
        return Verdict.NOT_SHOWN
    if codes & _HOLES:
        return Verdict.INCOMPLETE
    return Verdict.ADHERED if is_enforced else Verdict.NOT_SHOWN
