"""The register's sheets: activities, their data with place and period, how that is adhered to, own categories."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.report import csv
from ropa.report.model import ActivityPart, CategoryPart, RowPart
from ropa.report.phrases import coded, dpia, gap, is_known, party, receiver, told, truth
from ropa.report.sheets.columns import MEASURED, alarming, table, toned
from ropa.report.view import ALARMS, View
from ropa.report.view import BAD as DIRE
from ropa.report.workbook import BAD, Cell, Table, Value
from ropa.sweep.standing import State


def tables(view: View) -> Iterator[Table]:
    """Yield activities, data, adherence and the organisation's own categories."""
    found = view.document.activities
    heads = list(_activity(view, csv.NOTHING))
    yield table(view, "activities", heads, (list(_activity(view, a).values()) for a in found), empty="empty.activities")
    for key, cells in (("data", _data), ("adherence", _adherence)):
        heads = list(cells(view, csv.NOTHING, csv.NOWHERE))
        rows = (list(cells(view, a, row).values()) for a in found for row in a.rows)
        yield table(view, key, heads, rows, empty="empty.rows")
    own = (_category(view, category) for category in view.document.categories)
    yield table(view, "categories", ("category_title", "special", "description", "key"), own)


def _category(view: View, category: CategoryPart) -> tuple[Value, ...]:
    words = view.words
    marks = [words("text.special")] * category.is_special + [words("text.criminal")] * category.is_criminal
    return category.title, tuple(marks), category.description, category.key


def _activity(view: View, activity: ActivityPart) -> dict[str, Value | Cell]:
    words = view.words
    return {
        "activity": activity.title or activity.key,
        "key": activity.key,
        "role": words.word("role", activity.role),
        "verdict": Cell(words(f"verdict.{activity.verdict}.word"), view.verdict_tone(activity.verdict)),
        "why": alarming(told(view, activity.reasons), is_bad=any(one.code in ALARMS for one in activity.reasons)),
        "status": words.word("status", activity.status),
        "ended_on": activity.ended_on,
        "replaced_by": view.activity(activity.replaced_by) if activity.replaced_by else None,
        "owner": activity.owner,
        "review_on": activity.review_on,
        "recorded_on": activity.recorded_on,
        "changed_on": activity.changed_on,
        "description": activity.description,
        "controllers": tuple(party(view, one) for one in activity.controllers),
        "purposes": _asked(view, activity.purposes or (None if activity.processing else ())),
        "processing": activity.processing,
        "legal_basis": _basis(view, activity),
        "legal_reference": activity.legal_reference,
        "condition": coded(view, "condition", activity.condition),
        "interest": activity.interest,
        "subjects": _asked(view, tuple(view.labels("subject", activity.subjects))),
        "recipients": _asked(view, tuple(receiver(view, key) for key in activity.recipients)),
        "transfers": tuple(view.transfers(activity)) or words("field.no_transfer"),
        "measures": _asked(view, tuple(view.measures(activity.measures))),
        "rights_by_basis": tuple(view.labels("right", activity.rights)),
        "source": activity.source,
        "criterion": activity.criterion,
        "stated_period": words.period(activity.stated_period) if activity.stated_period else None,
        "stated_start": activity.stated_start,
        "stated_text": activity.stated_text,
        "policy_reference": activity.policy_reference,
        "rules": activity.rules,
        "systems": activity.systems,
        "dpia": dpia(view, activity.dpia),
        "automated_decisions": None
        if activity.automated_decisions is None
        else truth(view, activity.automated_decisions),
    }


def _basis(view: View, activity: ActivityPart) -> Value | Cell:
    if is_known(activity.legal_basis):
        return coded(view, "legal_basis", activity.legal_basis)
    return None if activity.role == "processor" else Cell(view.words("common.unknown"), BAD)


def _asked(view: View, said: tuple[str, ...] | None) -> Value | Cell:
    """What Article 30 asks is never a blank; None: it is not asked here."""
    unknown = view.words("common.unknown")
    return Cell(said or unknown, BAD) if said in {(), (unknown,)} else said


_KEYS = ("category", "location", "dataset")


def _data(view: View, activity: ActivityPart, row: RowPart) -> dict[str, Value | Cell]:
    cells = csv.data_cells(view, row) | csv.place_cells(view, row) | csv.period_cells(view, row)
    keys = {f"{name}_key": cells.pop(name) for name in _KEYS}
    place = view.part(row.adherence.location)
    missing = {State.NO_PLACE: "location_title", State.NO_RULE: "period"}.get(row.adherence.state)
    return {
        "activity": activity.title or activity.key,
        **cells,
        "legal_basis": coded(view, "legal_basis", row.legal_basis),
        "condition": coded(view, "condition", row.condition),
        "location_country": view.country(place.country) if place else None,
        **({missing: Cell(view.words.word("state", row.adherence.state), BAD)} if missing else {}),
        "activity_key": activity.key,
        **keys,
    }


def _adherence(view: View, activity: ActivityPart, row: RowPart) -> dict[str, Value | Cell]:
    missed = row.adherence.missed_nights
    late = row.adherence.worst_late_days
    where, cells = csv.place_cells(view, row), csv.adherence_cells(view, row)
    del cells["state"]  # the word beside it says the same
    is_measured = row.adherence.as_of is not None
    return {
        "activity": activity.title or activity.key,
        "category_title": view.category(row.category),
        "location_title": where["location_title"],
        "dataset_title": where["dataset_title"],
        **(cells if is_measured else cells | dict.fromkeys(MEASURED)),
        "gaps": tuple(gap(view, found) for found in row.adherence.gaps),
        "missed_nights": alarming(missed if is_measured else None, is_bad=bool(missed)),
        "state_title": toned(view, row.adherence.state),
        "worst_late_days": alarming(late if is_measured else None, is_bad=late > 0 and row.adherence.state in DIRE),
    }
