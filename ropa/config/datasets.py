"""``[location.X.dataset.Y]`` read into a ``DatasetSpec``: columns, data categories, anchors, the parent.

Invariant: a dataset that is wrong somewhere is still given back with the names it declares, so that a rule over it is
judged by those names and one mistake is reported once; the configuration as a whole is then refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ropa.clock import EPOCH_FORMS, reads_days
from ropa.config.keys import ANCHOR, DATASET, PARENT
from ropa.config.problems import KeyPath, Problems
from ropa.config.secrets import note_inline_secrets
from ropa.config.table import CATEGORY, Table, read_texts
from ropa.connector import Anchor, AnchorPart, ConnectorType, DatasetSpec, Option, Parent

_ELSEWHERE = re.compile(r"([^:.]+)\.([^:]+):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a dataset is read within."""

    location: str
    names: Mapping[str, str]
    """Datasets of the location, each with its name as ``location.dataset``."""
    type: ConnectorType | None
    """None: the connector is not known, and so neither are its keys."""
    zone: ZoneInfo
    problems: Problems


def read_dataset(name: str, values: Any, path: KeyPath, around: Surroundings) -> DatasetSpec:
    """Read one dataset; what is wrong is noted."""
    options = around.type.dataset_options if around.type else {}
    table = Table(values, path, around.problems, DATASET, further=options if around.type else None)
    own = {key: value for key, value in table.values.items() if key not in DATASET}
    check_options(own, path, options, around.problems)
    data: dict[str, tuple[str, ...]] = {}
    for category, columns, inner in table.members("data", "data category", CATEGORY):
        data[category] = read_texts(columns, inner, around.problems)
    anchors = dict(around.type.default_anchors) if around.type else {}
    for anchor, form, inner in table.members("anchor", "anchor"):
        anchors[anchor] = Anchor(anchor, _read_anchor(name, form, inner, around))
    return DatasetSpec(
        name=name,
        source=table.text("source") or "",
        zone=table.zone("timezone") or around.zone,
        key=table.texts("key"),
        title=table.text("title") or "",
        subject=table.texts("subject"),
        anchors=anchors,
        data=data,
        parent=_read_parent(name, table.values["parent"], (*path, "parent"), around)
        if "parent" in table.values
        else None,
        options=own,
    )


def check_options(values: Mapping[str, Any], path: KeyPath, options: Mapping[str, Option], problems: Problems) -> None:
    """Note options of a connector that are missing, of another type than declared, or secrets in the text."""
    for name, option in options.items():
        if name not in values:
            if option.is_required:
                problems.add((*path, name), f"is required by the connector{_because(option)}")
        else:
            note_type(values[name], (*path, name), option, problems)
    note_inline_secrets(values, path, options, problems)


def note_type(value: Any, path: KeyPath, option: Option, problems: Problems) -> None:
    """Note a value of another type than its option takes."""
    if not _is_one_of(value, option.types):
        problems.add(path, f"must be {' or '.join(_WORDS.get(t, t.__name__) for t in option.types)}")


_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}


def _because(option: Option) -> str:
    return f": {option.help}" if option.help else ""


def _is_one_of(value: Any, types: Iterable[type]) -> bool:
    accepted = set(types)
    if float in accepted:
        accepted.add(int)
    if tuple in accepted:
        accepted.add(list)
    return type(value) in accepted


# --- anchors ------------------------------------------------------------------------------------------------------


def _read_anchor(dataset: str, form: Any, path: KeyPath, around: Surroundings) -> tuple[AnchorPart, ...]:
    if isinstance(form, str):
        return _read_part(dataset, form, None, path, around)
    if not isinstance(form, dict):
        around.problems.add(path, "must be a column, or a table with column, latest or pattern")
        return ()
    table = Table(form, path, around.problems, ANCHOR, further={})
    given = [key for key in ("column", "latest", "pattern") if key in form]
    if len(given) != 1:
        around.problems.add(path, "must have exactly one of: column, latest, pattern")
        return ()
    for key in ("format", "in"):
        if key in form and (key, given[0]) not in {("format", "column"), ("in", "pattern")}:
            table.note(key, f"does not go with {given[0]}")
    match given[0]:
        case "column":
            how = _read_form(table, "format")
            return _read_part(dataset, table.text("column") or "", how, (*path, "column"), around)
        case "latest":
            return _read_latest(dataset, form["latest"], (*path, "latest"), around)
        case _:
            how = _read_form(table, "pattern")
            if "in" not in form:
                table.note("in", 'is required with pattern: in = "name"')
            return (AnchorPart(table.choice("in", ("name",)) or "", form=how),)


def _read_latest(dataset: str, members: Any, path: KeyPath, around: Surroundings) -> tuple[AnchorPart, ...]:
    if not isinstance(members, list) or not members:
        around.problems.add(path, "must be a list with at least one column")
        return ()
    parts: list[AnchorPart] = []
    for index, member in enumerate(members):
        where = (*path, index)
        if isinstance(member, str):
            parts.extend(_read_part(dataset, member, None, where, around))
        elif isinstance(member, dict):
            table = Table(
                member, where, around.problems, {key: ANCHOR[key] for key in ("column", "format")}, further={}
            )
            if "column" not in member:
                table.note("column", "is required")
            how = _read_form(table, "format")
            parts.extend(_read_part(dataset, table.text("column") or "", how, (*where, "column"), around))
        else:
            around.problems.add(where, "must be a column, or a table with column and format")
    if len({(part.dataset, part.column) for part in parts}) < len(parts):
        around.problems.add(path, "names a column twice")
    return tuple(parts)


def _read_part(
    dataset: str, text: str, form: str | None, path: KeyPath, around: Surroundings
) -> tuple[AnchorPart, ...]:
    """Read ``column`` or ``location.dataset:column``; a column of this very dataset needs no dataset in the part."""
    if ":" not in text:
        return (AnchorPart(text, form=form),)
    elsewhere = _ELSEWHERE.fullmatch(text)
    if elsewhere is None or elsewhere[1] != around.location or elsewhere[2] not in around.names:
        message = f"must be a column, or {around.location}.DATASET:COLUMN with a dataset of this location"
        around.problems.add(path, message, meant=text.partition(":")[0], among=around.names.values())
        return ()
    return (AnchorPart(elsewhere[3], dataset=None if elsewhere[2] == dataset else elsewhere[2], form=form),)


def _read_form(table: Table, key: str) -> str | None:
    form = table.text(key)
    if form is None or not form.strip() or (key == "format" and form in EPOCH_FORMS):
        return form
    if not reads_days(form):
        table.note(
            key, "must be a pattern of strptime that gives a date with its year, e.g. %Y-%m-%d; or epoch, epoch-ms"
        )
    return form


# --- parents ------------------------------------------------------------------------------------------------------


def _read_parent(dataset: str, values: Any, path: KeyPath, around: Surroundings) -> Parent | None:
    table = Table(values, path, around.problems, PARENT, further={})
    name = table.text("dataset")
    via = table.texts("via")
    with_parent = table.truth("with_parent")
    if name is None or not name.strip():
        return None
    location, _, short = name.partition(".")
    known = (full for other, full in around.names.items() if other != dataset)
    if location != around.location or short not in around.names:
        table.note(
            "dataset", "must be another dataset of the same location, as location.dataset", meant=name, among=known
        )
        return None
    return Parent(short, via, with_parent=bool(with_parent))


def note_parent_cycles(datasets: Mapping[str, DatasetSpec], path: KeyPath, problems: Problems) -> None:
    """Note every circle of parents, once, at its first dataset: no order would remove its children first."""
    done: set[str] = set()
    for start in datasets:
        trail: dict[str, None] = {}
        name: str | None = start
        while name is not None and name not in done and name not in trail:
            trail[name] = None
            parent = datasets[name].parent
            name = parent.dataset if parent and parent.dataset in datasets else None
        if name is not None and name in trail:
            steps = list(trail)
            circle = [*steps[steps.index(name) :], name]
            problems.add((*path, name, "parent"), f"is its own ancestor: {' > '.join(circle)}")
        done.update(trail)
