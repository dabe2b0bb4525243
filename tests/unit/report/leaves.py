"""Every kind of leaf that the document model has, each set to a value that can be found again."""

import types
import typing
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from ropa.clock import Period
from ropa.report.model import Document

CHOICES = {("TermPart", "start"): ("anchor", "next-year")}


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
