"""What regulators' forms ask, answered from the document; where the register has no answer, the question itself.

Invariant: a question never gets a blank. What the register does not say is an open question, in words; what does not
apply says so; what nothing shows is not called adhered to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ropa.report.model import ActivityPart, Document, RowPart
from ropa.report.view import View
from ropa.report.words import Words
from ropa.report.workbook import BAD, OPEN, PLAIN, Cell


class FormView(View):
    """A view that also finds how a group of data stands."""

    def __init__(self, document: Document, words: Words) -> None:
        super().__init__(document, words)
        self.stands = {stand.identity: stand for stand in document.standings}


@dataclass(frozen=True, slots=True)
class Entry:
    """An activity, and those of its data that share place, period and numbers; None: it names no data."""

    view: FormView
    activity: ActivityPart
    row: RowPart | None = None
    categories: tuple[str, ...] = ()

    @property
    def is_processor(self) -> bool:
        """Whether we act for another controller (Art. 30(2))."""
        return self.activity.role == "processor"

    @property
    def basis(self) -> str | None:
        """The legal basis of these data: their own, else the activity's."""
        return (self.row.legal_basis if self.row else None) or self.activity.legal_basis

    @property
    def is_sensitive(self) -> bool:
        """Whether they fall under Art. 9 or 10."""
        return self.row is not None and (self.row.is_special or self.row.is_criminal)

    def open(self, about: str, /, **values: object) -> Cell:
        """Return an open question."""
        return Cell(question(self.view, about, **values), OPEN)

    def none(self) -> Cell:
        """Return that the register states none."""
        return Cell(self.view.words("form.none"))

    def not_applicable(self) -> Cell:
        """Return that the question does not arise."""
        return Cell(self.view.words("text.not_applicable"))

    def said(self, lines: Iterable[str | None], about: str) -> Cell:
        """Return what is said, or the open question."""
        found = tuple(line for line in lines if line and line != self.view.words("common.unknown"))
        return Cell(found) if found else self.open(about)


def entries(view: FormView, activity: ActivityPart) -> list[Entry]:
    """Return the activity's entries; one without data where it names none."""
    found = [Entry(view, activity, row, tuple(keys)) for row, keys in view.groups(activity.rows)]
    return found or [Entry(view, activity)]


def question(view: View, about: str, /, **values: object) -> str:
    """Return an open question in words."""
    return view.words("form.open", what=view.words(f"open.{about}", **values))


def lines_of(cell: Cell) -> tuple[str, ...]:
    """Return what a cell says, line by line."""
    return cell.value if isinstance(cell.value, tuple) else (str(cell.value),)


def detail(view: View, text: str | None) -> Cell:
    """Return a contact detail, or that it is open."""
    return Cell(text) if text else Cell(question(view, "detail"), OPEN)


def nobody(view: View, role: str) -> Cell:
    """Return that the register names nobody in a role; for the data protection officer that is a question."""
    return Cell(question(view, "dpo"), OPEN) if role == "dpo" else Cell(view.words("form.none"))


def joined(cells: Sequence[Cell]) -> Cell:
    """Return the lines of several answers, each once; open where one is, else bad where one is."""
    tones = [cell.tone for cell in cells]
    tone = next((tone for tone in (OPEN, BAD) if tone in tones), PLAIN)
    return Cell(tuple(dict.fromkeys(line for cell in cells for line in lines_of(cell))), tone)
