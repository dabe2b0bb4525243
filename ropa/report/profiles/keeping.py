"""What forms ask of the data themselves: where they are, how long they stay, and whether that is adhered to.

Invariant: as in ``questions``: never a blank; what no run has shown is not called adhered to.
"""

from __future__ import annotations

from ropa.report.model import Reason
from ropa.report.phrases import gap, labelled, retention, told, where
from ropa.report.profiles.questions import Entry, lines_of, question
from ropa.report.workbook import BAD, GOOD, OPEN, PLAIN, Cell
from ropa.sweep.standing import State

_GOOD = frozenset({State.ENFORCED, State.HELD})
_DOUBTS = frozenset({"no-evidence", "unsound-evidence", "open-intents", "outdated"})
_BAD = frozenset({State.OVERDUE, State.BLOCKED, State.STOPPED})


def place(entry: Entry) -> Cell:
    """Return where the data are."""
    return entry.said([where(entry.view, entry.row) if entry.row else None], "place")


def period(entry: Entry) -> Cell:
    """Return how long they stay; what nothing enforces is an open question, also where a policy states a period."""
    if entry.row is None:
        return entry.open("period")
    lines = retention(entry.view, entry.row)
    if entry.row.adherence.rules or entry.row.adherence.also_needed_by or entry.row.criterion:
        return Cell(lines)
    return Cell((*lines, question(entry.view, "period")), OPEN)


def limit(entry: Entry) -> Cell:
    """Return which data stay how long, and how that stands."""
    labels = ", ".join(entry.view.category(key) for key in entry.categories)
    if entry.row is None:
        return period(entry)
    words, answer, cell = entry.view.words, period(entry), entry.row.adherence
    standing = [
        words.word("state", cell.state),
        *([words.days_late(cell.worst_late_days)] if cell.worst_late_days else []),
    ]
    at = where(entry.view, entry.row)
    lines = [f"{labels}{f' ({at})' if at else ''}: {'; '.join(lines_of(answer))}"]
    tone = BAD if cell.state in _BAD and answer.tone == PLAIN else answer.tone
    return Cell((*lines, labelled(entry.view, "field.adherence", ", ".join(standing))), tone)


def adherence(entry: Entry) -> Cell:
    """Return whether the period is adhered to: yes, no, in part, or not shown, with what the runs found."""
    if entry.row is None:
        return entry.open("adherence")
    words, cell = entry.view.words, entry.row.adherence
    lines = [f"{words.word('state', cell.state)}: {words(f'meaning.{cell.state}')}"]
    if cell.worst_late_days:
        lines.append(words.days_late(cell.worst_late_days))
    if cell.scanned_at:
        lines.append(", ".join(f"{number} {word}" for number, word in entry.view.counts(cell.counts)))
        lines.append(words("text.scanned_on", day=words.instant(cell.scanned_at)))
    if cell.state in _BAD:
        return Cell((words("common.no"), *lines), BAD)
    doubts = told(entry.view, _doubts(entry))
    if doubts and cell.scanned_at:
        return Cell((words("verdict.not-shown.word"), *doubts, *lines), BAD)
    if cell.state in _GOOD:
        return Cell((words("common.yes"), *lines), GOOD)
    if cell.state is State.WAITING:
        return Cell((words("verdict.incomplete.word"), *lines))
    tone = BAD if entry.view.tone(cell.state) == BAD else PLAIN
    return Cell((words("verdict.not-shown.word"), *lines), tone)


def reasons(entry: Entry) -> Cell:
    """Return why the period is not adhered to, or why that is not shown."""
    if entry.row is None:
        return entry.open("adherence")
    if adherence(entry).tone == GOOD:
        return entry.not_applicable()
    words, cell = entry.view.words, entry.row.adherence
    lines = [words(f"meaning.{cell.state}")]
    if cell.stopped_by:
        lines.append(labelled(entry.view, "field.stopped_by", words.word("stop", cell.stopped_by)))
    for stand in (entry.view.stands[identity] for identity in cell.targets if identity in entry.view.stands):
        lines += [
            labelled(entry.view, "field.blockers", f"{why} ({words.number(count)})") for why, count in stand.blockers
        ]
    for name in ("refused", "failed", "unverified", "changed", "waiting", "flagged", "held", "blocked", "unanchored"):
        count = getattr(cell.counts, name)
        lines += [f"{words.number(count)} {words.counted('counted', name, count)}"] if count else []
    lines += [gap(entry.view, found) for found in cell.gaps]
    return Cell((*lines, *told(entry.view, _doubts(entry))))


def _doubts(entry: Entry) -> list[Reason]:
    """Why what the runs say of the activity is not shown."""
    return [reason for reason in entry.activity.reasons if reason.code in _DOUBTS]
