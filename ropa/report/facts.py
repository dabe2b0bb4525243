"""The facts of the document, one by one: what every format must say.

A fact is a leaf of the model that says something: a text, a number, a truth, a date, an instant or a period; an empty
one says nothing, nor do the numbers of what no plan has looked at. Which facts are the same fact in another place
stands in ``SAME``; a format need not say them twice. Left out of the model itself, and so of every format, is what
``ropa.report.build`` names.

Invariant: every leaf of the model is a fact or is named here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from ropa.clock import Period
from ropa.sweep.adherence import Adherence
from ropa.sweep.standing import Standing

Value: TypeAlias = str | int | bool | date | datetime | Period
"""Raw, in no language; a ``StrEnum`` is its key."""

SAME: Mapping[tuple[str, str, str], str] = {
    ("RowPart", "Adherence", "activity"): "the activity that the row stands in",
    ("RowPart", "Adherence", "category"): "the row's category",
    ("ActivityPart", "Party", "role"): "an activity's parties are its controllers",
    ("Document", "CookiePart", "is_session"): "told where there is no lifetime, and no other lifetime is then known",
}
"""(Class around it, class, field) to where the fact stands as well."""

NO_FORMAT_HAS: Mapping[tuple[str, str, str], Mapping[str, str]] = {
    ("", "Document", "timezone"): {
        "html": "its days and times are those of the zone",
        "pdf": "its days and times are those of the zone",
    },
}
"""(Class around it, class, field) to the formats that say it in another way, and how."""


_MEASURED = frozenset({"counts", "worst_late_days", "missed_nights"})


@dataclass(frozen=True, slots=True)
class Fact:
    """One leaf of the model."""

    path: str
    """From the document, as in ``activities[0].rows[2].adherence.counts.due``."""
    around: str
    """Name of the class that the one with the field stands in; empty for the document itself."""
    owner: str
    """Name of the class with the field."""
    name: str
    """The field."""
    value: Value


def facts(part: Any, path: str = "", around: str = "") -> Iterator[Fact]:
    """Yield the facts of a document, or of a part of one, in the model's order.

    Of a field with several texts each is a fact; of pairs, such as an outcome and its number, both.
    """
    for field in fields(part):
        if isinstance(part, Adherence | Standing) and part.as_of is None and field.name in _MEASURED:
            continue  # nothing was ever looked at here: 0 says nothing
        value = getattr(part, field.name)
        here = f"{path}.{field.name}" if path else field.name
        for spot, leaf in _spread(here, value):
            if is_dataclass(leaf) and not isinstance(leaf, Period | type):
                yield from facts(leaf, spot, type(part).__name__)
            else:
                yield Fact(spot, around, type(part).__name__, field.name, leaf)


def _spread(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        for i, part in enumerate(value):
            yield from _spread(f"{path}[{i}]", part)
    elif value is not None and value != "":
        yield path, value
