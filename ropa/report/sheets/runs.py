"""The sheets of what happened: how each group of data stands, holds, findings, runs, nights without one, months."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.errors import Severity
from ropa.report.model import MonthPart
from ropa.report.phrases import gap
from ropa.report.sheets.columns import alarming, table, toned
from ropa.report.view import COUNTED, View
from ropa.report.workbook import Cell, Table, Value
from ropa.sweep.history import RunSummary, RunTarget
from ropa.sweep.standing import Standing

Row = tuple[Value | Cell, ...]

_TARGET = ("place", "dataset_title", "scope", "data", "action")
_STANDING = (
    *(*_TARGET, "state", "worst_late_days", "stopped_by", "blockers", "population"),
    *(*COUNTED, "as_of", "scanned_at", "scanned_by", "plan", "plan_state", "revision", "policy"),
    *("last_run_at", "last_run", "rules", "target"),
)
_RUN = (
    *("started_at", "ended_at", "swept_on", "mode", "result", "stopped_by", "went", "outcomes"),
    *("plan", "revision", "policy", "run"),
)
_RUN_TARGET = (
    *(*_TARGET, "due", "planned", "held", "blocked", "unanchored", "stopped_by", "outcomes"),
    *("rules", "run"),
)


def tables(view: View) -> Iterator[Table]:
    """Yield standings, holds, findings, runs with their targets, nights and months."""
    document, words = view.document, view.words
    yield table(
        view, "standings", _STANDING, (_standing(view, one) for one in document.standings), empty="empty.standings"
    )
    holds = (
        (
            words.word("hold_reason", hold.reason),
            words.word("hold_kind", hold.kind),
            hold.count,
            alarming(hold.past_review, is_bad=bool(hold.past_review)),
        )
        for hold in document.holds
    )
    yield table(view, "holds", ("reason", "hold_kind", "count", "past_review"), holds, empty="empty.holds")
    findings = (
        (
            alarming(words.word("severity", found.severity), is_bad=found.severity is Severity.ERROR),
            words.finding(found.code),
            found.entry,
            found.message,
            found.fix,
            found.code,
        )
        for found in document.findings
    )
    yield table(
        view, "missing", ("severity", "meaning", "entry", "message", "fix", "code"), findings, empty="empty.missing"
    )
    yield table(view, "sweeps", _RUN, (_run(view, run) for run in document.runs), empty="empty.sweeps")
    acts = (_run_target(view, run, target) for run in document.runs for target in run.targets)
    yield table(view, "acts", _RUN_TARGET, acts, empty="empty.sweeps")
    nights = ((gap(view, found), found.from_on, found.to_on, found.nights) for found in document.gaps)
    yield table(
        view,
        "nights",
        ("message", "from_on", "to_on", "nights"),
        nights,
        empty="nights.never" if document.first_sweep_on is None else "nights.none",
    )
    months = (_month(month) for month in document.months)
    yield table(view, "months", ("month", "runs", "went", "fell_short"), months, empty="empty.sweeps")


def _target(view: View, found: Standing | RunTarget) -> Row:
    data = tuple(view.category(key) for key in found.data if key != "*")
    return (
        view.place(found.location),
        view.dataset_title(found.location, found.dataset),
        view.words.word("text", found.scope),
        data,
        view.words.word("action", found.action),
    )


def _standing(view: View, stand: Standing) -> Row:
    words, is_measured = view.words, stand.as_of is not None
    return (
        *_target(view, stand),
        toned(view, stand.state),
        stand.worst_late_days if is_measured else None,
        words.word("stop", stand.stopped_by) if stand.stopped_by else None,
        tuple(f"{reason} ({words.number(count)})" for reason, count in stand.blockers),
        stand.population,
        *(getattr(stand.counts, name) if is_measured else None for name in COUNTED),
        stand.as_of,
        stand.scanned_at,
        stand.scanned_by,
        stand.plan,
        words.word("plan_state", stand.plan_state) if stand.plan_state else None,
        stand.register_revision,
        stand.policy,
        stand.last_run_at,
        stand.last_run,
        stand.rules,
        stand.identity,
    )


def _run(view: View, run: RunSummary) -> Row:
    words = view.words
    return (
        run.started_at,
        run.ended_at,
        run.swept_on,
        words.word("mode", run.mode),
        alarming(words.word("run_state", run.state), is_bad=run.state not in {"complete", "open"}),
        words.word("stop", run.code) if run.code else None,
        run.done,
        view.outcomes(run.outcomes) if run.outcomes else None,
        run.plan,
        run.register_revision,
        run.policy,
        run.id,
    )


def _run_target(view: View, run: RunSummary, target: RunTarget) -> Row:
    return (
        *_target(view, target),
        target.due,
        target.planned,
        target.held,
        target.blocked,
        target.unanchored,
        view.words.word("stop", target.stopped_by) if target.stopped_by else None,
        view.outcomes(target.outcomes) if target.outcomes else None,
        target.rules,
        run.id,
    )


def _month(month: MonthPart) -> Row:
    short = alarming(month.fell_short, is_bad=bool(month.fell_short))
    return Cell(month.month, is_month=True), alarming(month.runs, is_bad=not month.runs), month.done, short
