"""Every kind of leaf that the document model has, each set to a value that can be found again."""

import types
import typing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from ropa.clock import Period
from ropa.report.model import Document

CHOICES = {("TermPart", "start"): ("anchor", "next-year")}

SAID_ELSEWHERE = {
    # Facts that stand in a report in another place of the model, which is shown and tested there.
    ("RowPart", "Adherence", "activity"): "the activity that the row stands in",
    ("RowPart", "Adherence", "category"): "RowPart.category",
    ("ActivityPart", "Party", "role"): "the heading says that these are controllers",
    ("Summary", "Reason", "code"): "a code is a sentence of the catalogue; tested with the format",
    ("ActivityPart", "Reason", "code"): "a code is a sentence of the catalogue; tested with the format",
    ("", "Document", "timezone"): "a zone is not free text; tested with the format",
    ("Document", "CookiePart", "is_session"): "told where there is no lifetime; tested with the format",
}


def places(document):
    """One path for every (owner, class, field) of the model, the first instance of each: path is a tuple of field
    names and indices that leads to the dataclass; yields (path, instance, owner, field, type)."""
    seen = set()

    def walk(path, value, owner):
        cls = type(value)
        hints = typing.get_type_hints(cls)
        for field in fields(value):
            key = (owner, cls.__name__, field.name)
            inner, kind = getattr(value, field.name), hints[field.name]
            parts = inner if isinstance(inner, tuple) and inner and is_dataclass(inner[0]) else ()
            if is_dataclass(inner) and not isinstance(inner, Period):
                yield from walk((*path, field.name), inner, cls.__name__)
            elif parts:
                for i, part in enumerate(parts):
                    yield from walk((*path, field.name, i), part, cls.__name__)
            elif key not in seen and _is_leaf(kind):
                seen.add(key)
                yield path, value, owner, field.name, kind

    yield from walk((), document, "")


def _is_leaf(kind):
    arguments = [a for a in typing.get_args(kind) if a is not types.NoneType and a is not Ellipsis]
    if typing.get_origin(kind) is tuple:
        return not is_dataclass(arguments[0])
    options = arguments if isinstance(kind, types.UnionType) else [kind]
    return not is_dataclass(options[0]) or options[0] is Period


def fresh(number, owner, name, kind, old):
    """A value of the field's type that stands nowhere else in the document, or another one of few."""
    options = (
        [a for a in typing.get_args(kind) if a is not types.NoneType] if isinstance(kind, types.UnionType) else [kind]
    )
    kind = options[0]
    if (owner, name) in CHOICES:
        return next(choice for choice in CHOICES[owner, name] if choice != old)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if typing.get_origin(inner) is tuple:
            return (
                tuple(fresh(number + i / 10, owner, name, part, None) for i, part in enumerate(typing.get_args(inner))),
            )
        return (fresh(number, owner, name, inner, None),)
    if kind is str:
        return f"zq{int(number * 10)}x"
    if kind is int:
        return 7_000_000 + int(number * 10) * 13
    if kind is bool:
        return not old
    if kind is Period:
        return Period(days=7000 + int(number))
    if kind is datetime:
        return datetime(1950, 1, 1, 3, 30, tzinfo=UTC) + timedelta(days=int(number) * 3)
    if kind is date:
        return date(1900, 1, 1) + timedelta(days=int(number) * 3)
    if issubclass(kind, StrEnum):
        return next(member for member in kind if member != old)
    raise AssertionError(kind)


def changed(document: Document, path, name, value) -> Document:
    """The document with one leaf changed."""

    def within(part, steps):
        if not steps:
            return replace(part, **{name: value})
        head, *rest = steps
        if isinstance(part, tuple):
            return (*part[:head], within(part[head], rest), *part[head + 1 :])
        return replace(part, **{head: within(getattr(part, head), rest)})

    return within(document, list(path))


AS_THEY_ARE = {
    # Words of the catalogue or of the vocabulary, or codes with a meaning of their own.
    *(("Document", name) for name in ("timezone",)),
    *(("Party", name) for name in ("role", "country")),
    *(("OrganisationPart", name) for name in ("rights", "languages")),
    *(("RecipientPart", name) for name in ("role", "country", "contract", "transfer_country", "safeguard")),
    *(("CategoryPart", name) for name in ("key",)),
    *(("PlacePart", name) for name in ("connector", "country")),
    *(("DatasetPart", name) for name in ("data",)),
    *(("TermPart", name) for name in ("start", "anchor", "action", "masks")),
    *(("RowPart", name) for name in ("category", "legal_basis", "condition")),
    *(("ActivityPart", name) for name in ("role", "status", "legal_basis", "condition", "subjects", "dpia", "rights")),
    *(("ActivityPart", name) for name in ("measures",)),
    *(("Adherence", name) for name in ("category", "stopped_by")),
    *(("Standing", name) for name in ("scope", "data", "action", "stopped_by", "plan_state")),
    *(("RunSummary", name) for name in ("mode", "state", "code")),
    *(("RunTarget", name) for name in ("scope", "data", "action", "stopped_by")),
    *(("HoldCount", name) for name in ("reason", "kind")),
    *(("Finding", name) for name in ("code",)),
    *(("Reason", name) for name in ("code",)),
    *(("MonthPart", name) for name in ("month",)),
}

MEANT = {"none", "unknown", "own", "*"}
"""Texts that mean something wherever they stand."""


class Marker:
    """Gives every free value of a document one that stands nowhere else; the same text, as keys are, the same one."""

    def __init__(self):
        self.texts, self.count = {}, 0

    def mark(self, value, owner="", name=""):
        """Return a document, or a part of one, marked."""
        if is_dataclass(value) and not isinstance(value, Period):
            cls = type(value).__name__
            marked = {field.name: self.mark(getattr(value, field.name), cls, field.name) for field in fields(value)}
            return replace(value, **marked)
        if isinstance(value, tuple):
            return tuple(self.mark(part, owner, name) for part in value)
        if value is None or isinstance(value, (bool, StrEnum)) or (owner, name) in AS_THEY_ARE:
            return value
        self.count += 1
        if isinstance(value, str):
            return self._text(value, owner, name)
        if isinstance(value, int):
            return 1_000_003 + self.count * 1_009
        if isinstance(value, Period):
            return Period(days=7000 + self.count)
        if isinstance(value, datetime):
            return datetime(1950, 1, 1, 3, 30, tzinfo=UTC) + timedelta(days=self.count * 3)
        return date(1900, 1, 1) + timedelta(days=self.count * 3)

    def _text(self, value, owner, name):
        if value in MEANT or not value or name == "outcomes":
            return value
        if (owner, name) in {("Adherence", "goes_with"), ("Evidence", "open_in")}:
            return ".".join(self._text(part, "", "") for part in value.split("."))
        return self.texts.setdefault(value, f"zq{len(self.texts)}x")


def filled(document):
    """The document with a value in each field that is empty wherever its class stands."""
    said = {(type(part).__name__, name) for part, name in _said(document)}
    return _fill(document, said)


def _said(value):
    if isinstance(value, tuple):
        for part in value:
            yield from _said(part)
    elif is_dataclass(value) and not isinstance(value, Period):
        for field in fields(value):
            inner = getattr(value, field.name)
            if inner is not None and inner not in {"", ()}:
                yield value, field.name
            yield from _said(inner)


def _fill(value, said):
    if isinstance(value, tuple):
        return tuple(_fill(part, said) for part in value)
    if not is_dataclass(value) or isinstance(value, Period):
        return value
    cls, hints, found = type(value).__name__, typing.get_type_hints(type(value)), {}
    for field in fields(value):
        inner = getattr(value, field.name)
        if (cls, field.name) not in said and _is_leaf(hints[field.name]):
            said.add((cls, field.name))
            found[field.name] = fresh(len(said), cls, field.name, hints[field.name], inner)
        else:
            found[field.name] = _fill(inner, said)
    return replace(value, **found)
