"""The EDPS's record form (Art. 31 of Regulation (EU) 2018/1725, Part 1): its 13 items for each activity.

Source: the records that the EDPS publishes in its public register, which have the columns Nr., Item and Description.
Here the record's reference stands in front, so that all records fit on one sheet; a second sheet lists the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ropa.report.phrases import labelled, party
from ropa.report.profiles import keeping, notices, questions, record
from ropa.report.profiles.questions import Entry, FormView
from ropa.report.workbook import OPEN, Cell, Table, Value


def table(view: FormView) -> Table:
    """Return every item of every record."""
    return Table("Records", ("Record", "Nr.", "Item", "Description"), _rows(view))


def tables(view: FormView) -> Iterator[Table]:
    """Yield the sheets."""
    yield table(view)
    records = ((activity.key, record.title(Entry(view, activity))) for activity in view.document.activities)
    yield Table("Public register", ("Record Number", "Activity Description"), records)


def _rows(view: FormView) -> Iterator[tuple[Value | Cell, ...]]:
    for activity in view.document.activities:
        entries = questions.entries(view, activity)
        for number, (item, answer) in enumerate(ITEMS, 1):
            yield activity.key, number, item, answer(entries)


# --- the items ----------------------------------------------------------------------------------------------------


def _reference(entries: Sequence[Entry]) -> Cell:
    return Cell(entries[0].activity.key)


def _controller(entries: Sequence[Entry]) -> Cell:
    entry = entries[0]
    owner = entry.activity.owner
    named = labelled(entry.view, "field.owner", owner) if owner else questions.question(entry.view, "department")
    return questions.joined([record.controller(entry), Cell(named, "plain" if owner else OPEN)])


def _dpo(entries: Sequence[Entry]) -> Cell:
    found = record.parties(entries[0], "dpo")
    return Cell(found) if found else questions.nobody(entries[0].view, "dpo")


def _joint(entries: Sequence[Entry]) -> Cell:
    return record.joint(entries[0])


def _processor(entries: Sequence[Entry]) -> Cell:
    """Ourselves where we are one; else the recipients that are processors."""
    entry = entries[0]
    if entry.is_processor:
        us = [party(entry.view, one) for one in entry.view.document.organisation.parties if one.role == "controller"]
        return Cell(tuple(us))
    found = record.processors(entry)
    lines = tuple(", ".join(part for part in (one.name, one.contact) if part) for one in found)
    return questions.joined([Cell(lines), record.contracts(entry)]) if lines else entry.none()


def _description(entries: Sequence[Entry]) -> Cell:
    entry = entries[0]
    described = [Cell(entry.activity.description)] if entry.activity.description else []
    return questions.joined([record.title(entry), *described, *(record.purposes(one) for one in entries)])


def _categories(entries: Sequence[Entry]) -> Cell:
    return questions.joined([record.subjects(entries[0]), *(record.data(entry) for entry in entries)])


def _limits(entries: Sequence[Entry]) -> Cell:
    """Per group of data how long it stays, and whether that is adhered to."""
    return questions.joined([keeping.limit(entry) for entry in entries])


def _recipients(entries: Sequence[Entry]) -> Cell:
    return record.recipients(entries[0])


def _transfers(entries: Sequence[Entry]) -> Cell:
    return record.transfers(entries[0])


def _measures(entries: Sequence[Entry]) -> Cell:
    return record.measures(entries[0])


def _notice(entries: Sequence[Entry]) -> Cell:
    return questions.joined([notices.notice(entries[0]), notices.rights(entries[0])])


ITEMS: Sequence[tuple[str, Callable[[Sequence[Entry]], Cell]]] = (
    ("Last update of this record", lambda entries: notices.updated(entries[0])),
    ("Reference number", _reference),
    ("Name and contact details of controller", _controller),
    ("Name and contact details of DPO", _dpo),
    ("Name and contact details of joint controller", _joint),
    ("Name and contact details of processor", _processor),
    ("Short description and purpose of the processing", _description),
    ("Description of categories of persons and list of data categories", _categories),
    ("Time limit for keeping the data", _limits),
    ("Recipients of the data", _recipients),
    ("Transfers to third countries or international organisations: which, with which safeguards", _transfers),
    ("General description of security measures, where possible", _measures),
    (
        "For more information, including how to exercise your rights, see the data protection notice",
        _notice,
    ),
)
