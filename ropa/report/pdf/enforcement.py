"""What was enforced as pieces of the PDF: standings, holds, findings, runs.

Invariant: wordings come from the view and the catalogue; each table is bounded, and says how many rows it leaves out.
"""

from __future__ import annotations

from ropa.errors import Finding
from ropa.report.model import Document
from ropa.report.pdf.blocks import TABLE_ROWS, Cell, Data, capitalised, facts, heading, line, para, span, table
from ropa.report.pdf.rows import counted, gap
from ropa.report.view import View
from ropa.report.words import Words
from ropa.sweep.history import RunSummary, RunTarget
from ropa.sweep.standing import Standing

_NUMBERS = ("due", "done", "waiting", "held", "blocked")
_STANDINGS = (("target", 2.0), ("state", 1.6), *((name, 0.55) for name in _NUMBERS), ("outcomes", 1.6))
_HOLDS = (("reason", 2.0), ("hold_kind", 1.4), ("count", 0.8), ("past_review", 1.2))
_FINDINGS = (("severity", 0.9), ("entry", 1.2), ("message", 2.1), ("fix", 1.6))
_RUNS = (("started", 1.3), ("mode", 1.0), ("result", 1.0), ("outcomes", 2.6))
_MONTHS = (("month", 1.0), ("runs", 1.0), ("went", 1.0), ("fell_short", 1.0))


def standings(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of what stands how."""
    found = [heading(1, words("heading.standings")), para(line(words("intro.standings")), look="lead")]
    if not document.standings:
        return [*found, para(line(words("empty.standings"), look="none"))]
    rows = [_standing(stand, words, view) for stand in document.standings[:TABLE_ROWS]]
    left_out = len(document.standings) - len(rows)
    return [*found, table(words, _STANDINGS, rows, numeric=_NUMBERS, left_out=left_out)]


def _standing(stand: Standing, words: Words, view: View) -> list[Cell]:
    document = view.document
    scope = capitalised(words.word("text", stand.scope))
    data = "" if stand.data == ("*",) else f": {view.categories(stand.data)}"
    target = [
        line(span(f"{view.place(stand.location)}: {document.dataset_title(stand.location, stand.dataset)}", "strong")),
        line(f"{scope}{data}, {words.word('action', stand.action)}"),
        line(f"{words('field.rules')}: ", span(", ".join(stand.rules), "code"), look="soft"),
        line(span(stand.identity, "code"), look="soft"),
    ]
    due = [line(words.number(stand.counts.due))]
    if stand.population is not None:
        due.append(line(words("text.of_population", n=words.number(stand.population)), look="soft"))
    numbers = [[line(words.number(getattr(stand.counts, name)))] for name in _NUMBERS[1:]]
    outcomes = [counted(view.other_counts(stand.counts), words)]
    if stand.last_run and stand.last_run_at:
        at = words.instant(stand.last_run_at)
        outcomes.append(line(f"{words('field.last_run')}: {at}, ", span(stand.last_run, "code"), look="soft"))
    return [target, _state(stand, words, view), due, *numbers, outcomes]


def _state(stand: Standing, words: Words, view: View) -> Cell:
    found = [line(span(words(f"state.{stand.state}"), "strong"), mark=stand.state, tone=view.tone(stand.state))]
    if stand.worst_late_days:
        found.append(line(span(capitalised(words.days_late(stand.worst_late_days)), "strong")))
    if stand.stopped_by:
        found.append(line(capitalised(words.word("stop", stand.stopped_by))))
    found += [line(f"{words('field.blockers')}: {reason} ({words.number(count)})") for reason, count in stand.blockers]
    if stand.scanned_at:
        said = [capitalised(words("text.scanned_on", day=words.instant(stand.scanned_at)))]
        said += (
            [words("text.as_of", day=words.day(stand.as_of))] if stand.as_of != view.day_of(stand.scanned_at) else []
        )
        if stand.plan is not None:
            state = words.word("plan_state", stand.plan_state)
            said.append(f"{words('text.plan', n=words.number(stand.plan))} ({state})")
        if stand.register_revision is not None:
            said.append(words("text.revision", n=words.number(stand.register_revision)))
        said += [words("text.run", id=stand.scanned_by)] if stand.scanned_by else []
        found.append(line(", ".join(said), look="soft"))
    if stand.policy and stand.policy != view.document.policy:
        found.append(line(f"{words('field.policy')}: ", span(stand.policy, "code"), look="soft"))
    return found


def holds(document: Document, words: Words) -> list[Data]:
    """Return the section of the legal holds."""
    found = [heading(1, words("heading.holds")), para(line(words("intro.holds")), look="lead")]
    if not document.holds:
        return [*found, para(line(words("empty.holds"), look="none"))]
    rows = [
        [
            [line(capitalised(words.word("hold_reason", hold.reason)))],
            [line(capitalised(words.word("hold_kind", hold.kind)))],
            [line(words.number(hold.count))],
            [line(words.number(hold.past_review))],
        ]
        for hold in document.holds[:TABLE_ROWS]
    ]
    left_out = len(document.holds) - len(rows)
    return [*found, table(words, _HOLDS, rows, numeric=("count", "past_review"), left_out=left_out)]


def missing(document: Document, words: Words) -> list[Data]:
    """Return the section of the open findings."""
    found = [heading(1, words("heading.missing")), para(line(words("intro.missing")), look="lead")]
    if not document.findings:
        return [*found, para(line(words("empty.missing"), look="none"))]
    rows = [_finding(finding, words) for finding in document.findings[:TABLE_ROWS]]
    return [*found, table(words, _FINDINGS, rows, left_out=len(document.findings) - len(rows))]


_SEVERITY = {"error": ("overdue", "bad"), "warning": ("no-place", "plain")}


def _finding(finding: Finding, words: Words) -> list[Cell]:
    mark, tone = _SEVERITY.get(finding.severity, ("documented-only", "plain"))
    title = words.finding(finding.code)
    message = [line(span(title, "strong"))] if title else []
    return [
        [line(span(capitalised(words.word("severity", finding.severity)), "strong"), mark=mark, tone=tone)],
        [line(span(finding.entry, "code"))],
        [
            *message,
            line(span(finding.message, "english"), look="soft" if title else ""),
            line(span(finding.code, "code"), look="soft"),
        ],
        [line(span(finding.fix, "english"))],
    ]


def sweeps(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the runs, and what they came to each month."""
    found = [heading(1, words("heading.sweeps")), para(line(words("intro.sweeps")), look="lead")]
    found += _nights(document, words)
    if not document.runs:
        return [*found, para(line(words("empty.sweeps"), look="none"))]
    runs = [_run(run, words, view) for run in document.runs[:TABLE_ROWS]]
    months = [
        [
            [line(words.month(month.month))],
            *([line(words.number(number))] for number in (month.runs, month.done, month.fell_short)),
        ]
        for month in document.months[:TABLE_ROWS]
    ]
    return [
        *found,
        table(words, _RUNS, runs, left_out=len(document.runs) - len(runs)),
        table(
            words,
            _MONTHS,
            months,
            numeric=("runs", "went", "fell_short"),
            caption=words("picture.went_title"),
            left_out=len(document.months) - len(months),
        ),
    ]


def _nights(document: Document, words: Words) -> list[Data]:
    """On which nights nothing was enforced."""
    if document.first_sweep_on is None:
        return [heading(2, words("heading.nights")), para(line(span(words("nights.never"), "bad")))]
    found = [
        heading(2, words("heading.nights")),
        facts(
            [
                (words("field.first_sweep_on"), [line(words.day(document.first_sweep_on))]),
                (words("field.last_sweep_on"), [line(words.day(document.last_sweep_on))]),
                (words("field.missed_nights"), [line(words.number(document.missed_nights))]),
            ]
        ),
    ]
    if not document.gaps:
        return [*found, para(line(words("nights.none")))]
    shown = document.gaps[:TABLE_ROWS]
    found.append(para(*(line(capitalised(gap(lost, words))) for lost in shown), look="small"))
    left_out = len(document.gaps) - len(shown)
    return [*found, para(line(words.count("pdf.left_out", left_out), look="missing"))] if left_out else found


_RESULT = {"complete": ("enforced", "good"), "open": ("waiting", "plain")}


def _run(run: RunSummary, words: Words, view: View) -> list[Cell]:
    started = [line(span(view.span(run), "strong"))]
    if run.swept_on and run.swept_on != view.day_of(run.started_at):
        started.append(line(f"{words('field.swept_on')}: {words.day(run.swept_on)}", look="soft"))
    started.append(line(span(run.id, "code"), look="soft"))
    plan = f"{words('text.plan', n=words.number(run.plan))}, " if run.plan else ""
    mode = [
        line(capitalised(words.word("mode", run.mode))),
        line(f"{plan}{words('text.revision', n=words.number(run.register_revision))}", look="soft"),
    ]
    mark, tone = _RESULT.get(run.state, ("overdue", "bad"))
    result = [line(span(capitalised(words.word("run_state", run.state)), "strong"), mark=mark, tone=tone)]
    result += [line(words.word("stop", run.code), look="soft")] if run.code else []
    outcomes = [line(span(view.outcomes(run.outcomes), "strong"))]
    outcomes += [_detail(target, words, view) for target in view.details(run)]
    if run.policy != view.document.policy:
        outcomes.append(line(f"{words('field.policy')}: ", span(run.policy, "code"), look="soft"))
    return [started, mode, result, outcomes]


def _detail(target: RunTarget, words: Words, view: View) -> Data:
    data = "" if target.data == ("*",) else f": {view.categories(target.data)}"
    dataset = view.document.dataset_title(target.location, target.dataset)
    return line(
        f"{view.place(target.location)}: {dataset} "
        f"({words.word('text', target.scope)}{data}, {words.word('action', target.action)}; ",
        span(", ".join(target.rules), "code"),
        f"): {view.run_counts(target)}",
        look="soft",
    )
