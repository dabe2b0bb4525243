"""``$filter``: which rows the service may leave out of a listing.

Invariant: a row that is selected, or that ``undated`` selects, is never left out; what is not certain is not asked, and
everything that comes is judged here once more. Text is compared by the service without regard to case, so that "is one
of" leaves in more than it means, and "is none of" would leave out more: that is judged here alone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from connectors.microsoft365.dataverse.catalogue import MULTIPLE
from connectors.microsoft365.dataverse.columns import DATES, EXACT, Attribute, Kind, literal
from connectors.microsoft365.dataverse.items import asked_anchors
from connectors.microsoft365.dataverse.layout import Declared
from ropa.clock import calendar_day, timestamp
from ropa.connector import AnchorPart, Before, Condition, Selection

_MARGIN = timedelta(days=2)
"""More than any two zones lie apart: what is in no zone is compared by the service with so much room."""
_FIRST = datetime(1753, 1, 1, tzinfo=UTC)
"""Dataverse knows no earlier date and refuses to compare with one."""
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def filter_of(declared: Declared, selection: Selection) -> str:
    """Return the condition that leaves out what is neither selected nor undated; empty: nothing can be left out."""
    terms = [term for condition in selection.match if (term := _condition(declared, condition))]
    terms += [
        f"not ({_condition(declared, conditions[0])})"
        for conditions in selection.exclude
        if len(conditions) == 1 and _is_exact(declared, conditions[0])
    ]
    if selection.fields:
        columns = declared.answered(change.column for change in selection.fields)
        known = len(columns) == len({change.column for change in selection.fields})
        terms += [" or ".join(f"{column} ne null" for column in sorted(columns))] if known else []
    if selection.check_anchors:
        terms += [_anchors(declared, selection)]
    return " and ".join(f"({term})" for term in terms if term)


def _is_exact(declared: Declared, condition: Condition) -> bool:
    column = declared.column(condition.column)
    if column is None:
        return False
    only_null = all(value is None for value in condition.values)
    return bool(_condition(declared, condition)) and (column.kind in EXACT or only_null)


def _condition(declared: Declared, condition: Condition) -> str:
    """Return a condition that holds wherever this one does; empty where there is none."""
    column = declared.column(condition.column)
    if column is None or not condition.values:
        return ""
    if column.type == MULTIPLE and any(value is not None for value in condition.values):
        return ""
    literals = [literal(column.kind, value) for value in condition.values]
    if None in literals and not all(value is None for value in condition.values):
        return ""
    terms = [f"{column.name} eq {text}" for text in literals if text is not None]
    if not condition.negated:
        return " or ".join(terms)
    if column.kind not in EXACT and any(value is not None for value in condition.values):
        return ""
    inner = " and ".join(f"{column.name} ne {text}" for text in literals if text is not None)
    # A NULL is none of the values; a service may think that it is unknown.
    return inner if None in condition.values else f"{column.name} eq null or ({inner})"


def _anchors(declared: Declared, selection: Selection) -> str:
    """Return what holds of every row that is due, or that has an anchor that is missing or in the future."""
    due = [] if selection.undated else [_before(declared, before) for before in selection.before]
    if not selection.undated and (not due or not all(due)):
        return ""
    undated = []
    for anchor in asked_anchors(selection):
        term = _undated(declared, anchor, selection)
        if not term:
            return ""
        undated.append(term)
    wanted = ([" and ".join(f"({term})" for term in due)] if due else []) + undated
    return " or ".join(f"({term})" for term in wanted)


def _before(declared: Declared, before: Before) -> str:
    """Return what holds of every row whose anchor lies before a day: each of its own dates does, or is empty."""
    terms = []
    for column in _columns(declared, before.anchor) or ():
        if column.kind is Kind.INSTANT:
            limit = max(before.instant, _FIRST)
            terms.append(f"{column.name} eq null or {column.name} lt {_moment(limit)}")
        elif column.kind is Kind.DAY:
            terms.append(f"{column.name} eq null or {column.name} lt {_day(before.day)}")
        else:
            terms.append(f"{column.name} eq null or {column.name} lt {_moment(_later(before.instant))}")
    return " and ".join(f"({term})" for term in terms)


def _undated(declared: Declared, anchor: str, selection: Selection) -> str:
    """Return what holds of every row whose anchor is missing, or lies in the future."""
    columns = _columns(declared, anchor)
    if columns is None or not columns:
        return ""
    spec = declared.spec.anchors[anchor]
    own = [part for part in spec.parts if _is_own(declared, part)]
    missing = " and ".join(f"{column.name} eq null" for column in columns)
    future = []
    for column in columns:
        if column.kind is Kind.INSTANT:
            future.append(f"{column.name} gt {_moment(selection.now)}")
        elif column.kind is Kind.DAY:
            future.append(f"{column.name} gt {calendar_day(selection.now, selection.zone).isoformat()}")
        else:
            future.append(f"{column.name} gt {_moment(selection.now - _MARGIN)}")
    # A date elsewhere may be missing, unreadable or in the future, whatever the own ones say.
    return " or ".join([f"({missing})", *future]) if len(own) == len(spec.parts) else ""


def _columns(declared: Declared, anchor: str) -> list[Attribute] | None:
    """Return the row's own date columns of an anchor; None where one of them cannot be asked for by its date."""
    spec = declared.spec.anchors.get(anchor)
    if spec is None:
        return None
    found = []
    for part in spec.parts:
        if not _is_own(declared, part):
            continue
        column = declared.column(part.column)
        if column is None or column.kind not in DATES or part.form is not None:
            return None
        found.append(column)
    return found


def _is_own(declared: Declared, part: AnchorPart) -> bool:
    return part.dataset is None or part.dataset == declared.name


def _later(instant: datetime) -> datetime:
    return min(max(instant, _FIRST), _LAST - _MARGIN) + _MARGIN


def _moment(instant: datetime) -> str:
    """Return an instant rounded down to the second, as every date of a whole second compares with it alike."""
    return timestamp(instant)


def _day(day: date) -> str:
    return max(day, _FIRST.date()).isoformat()
