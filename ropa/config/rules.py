"""``[rule.X]`` read into ``Rule``: what, from when, how long, and what then.

Invariant: activity, dataset, data, anchor, period and action are said, never assumed; an empty or blank scope is an
error and never means "everything"; a period under a day goes with ``keep`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast

from ropa.config.keys import RULE, WHERE
from ropa.config.models import Location, Rule
from ropa.config.problems import KeyPath, Problems
from ropa.config.table import Table
from ropa.connector import Action, Condition, ConnectorType, DatasetSpec, Mask, Scalar

_NOWHERE = object()


@dataclass(frozen=True, slots=True)
class Places:
    """The datasets that rules may name."""

    datasets: Mapping[str, tuple[DatasetSpec, ConnectorType | None]]
    """By ``location.dataset``, each with the type of its connector (None: unknown)."""

    @classmethod
    def of(cls, locations: Mapping[str, Location], types: Mapping[str, ConnectorType]) -> Places:
        """Gather the datasets of all locations."""
        return cls(
            {
                f"{location.name}.{name}": (dataset, types.get(location.connector))
                for location in locations.values()
                for name, dataset in location.datasets.items()
            }
        )


def read_rules(root: Table, places: Places, problems: Problems) -> dict[str, Rule]:
    """Read every rule; what is wrong is noted, and a rule that is wrong is left out."""
    read = (
        (name, _read_rule(name, values, path, places, problems)) for name, values, path in root.members("rule", "rule")
    )
    return {name: rule for name, rule in read if rule is not None}


def _read_rule(name: str, values: Any, path: KeyPath, places: Places, problems: Problems) -> Rule | None:
    table = Table(values, path, problems, RULE, further={})
    dataset_name = table.text("dataset")
    dataset, kind = places.datasets.get(dataset_name or "", (None, None))
    if dataset_name and dataset is None:
        table.note("dataset", "is not a dataset of any location", meant=dataset_name, among=places.datasets)
    data = _read_data(table, dataset)
    anchor = table.text("anchor")
    # The anchors of an unknown connector are not known either: one mistake, one problem.
    if anchor and dataset is not None and kind is not None and anchor not in dataset.anchors:
        table.note("anchor", "is not an anchor of the dataset", meant=anchor, among=dataset.anchors)
    period = table.period("period")
    action_word = table.choice("action", tuple(Action))
    action = Action(action_word) if action_word else None
    if period is not None and period.is_sub_day and action not in {None, Action.KEEP}:
        table.note("period", 'a period with parts under a day is documented, never enforced: action = "keep"')
    mask = _read_mask(table, data, action)
    _check_capabilities(table, data, action, mask, kind)
    where = _read_where(table)
    reason = table.text("reason")
    if action is Action.KEEP and "reason" not in table.values:
        table.note("reason", "is required with keep")
    start = table.choice("start", ("anchor", "next-year")) or "anchor"
    approval = table.choice("approval", ("plan", "mandate")) or "plan"
    activity = table.text("activity")
    legal_ground, max_records, max_share = (
        table.text("legal_ground"),
        table.integer("max_records"),
        table.share("max_share"),
    )
    if not (activity and dataset_name and data and anchor and period and action) or problems.has_under(path):
        return None
    return Rule(
        name=name,
        activity=activity,
        dataset=dataset_name,
        data=data,
        anchor=anchor,
        period=period,
        action=action,
        is_all_data=table.values["data"] in ("*", ["*"]),
        start=cast("Literal['anchor', 'next-year']", start),
        where=where,
        mask=mask,
        legal_ground=legal_ground,
        reason=reason,
        approval=cast("Literal['plan', 'mandate']", approval),
        max_records=max_records,
        max_share=max_share,
    )


def _read_data(table: Table, dataset: DatasetSpec | None) -> tuple[str, ...]:
    """Read the data categories that a rule covers, ``*`` replaced by all that are mapped."""
    value = table.values.get("data")
    if value is None:
        return ()
    if value in ("*", ["*"]):
        if dataset is not None and not dataset.data:
            table.note("data", "covers nothing: no data category is mapped in the dataset")
        return tuple(dataset.data) if dataset else ()
    if isinstance(value, str):
        table.note("data", 'must be a list of data categories, or "*" alone')
        return ()
    data = table.texts("data")
    path = (*table.path, "data")
    for index, category in enumerate(data):
        if category == "*":
            table.problems.add((*path, index), '"*" is every category and stands alone')
        elif dataset is not None and category not in dataset.data and category.strip():
            message = "is not a data category that the dataset maps to columns"
            table.problems.add((*path, index), message, meant=category, among=dataset.data)
    return data


def _read_mask(table: Table, data: tuple[str, ...], action: Action | None) -> dict[str, Mask]:
    value = table.values.get("mask")
    if value is None:
        return {}
    if not isinstance(value, dict) or not value:
        table.note("mask", "must be a table: data category to mask, with at least one in it")
        return {}
    if action not in {None, Action.ANONYMISE}:
        table.note("mask", "goes with action = anonymise only")
    inner = Table(value, (*table.path, "mask"), table.problems, {}, further=None)
    masks: dict[str, Mask] = {}
    for category in value:
        if data and category not in data:
            inner.note(category, "is not a data category of this rule", meant=category, among=data)
        word = inner.choice(category, tuple(Mask))
        if word is not None:
            masks[category] = Mask(word)
    return masks


def _check_capabilities(
    table: Table, data: tuple[str, ...], action: Action | None, mask: Mapping[str, Mask], kind: ConnectorType | None
) -> None:
    """Note an action that the connector cannot carry out. Where a person does the work, all can be asked for."""
    if kind is None or not kind.capabilities.is_enforcing or action not in {Action.PURGE, Action.ANONYMISE}:
        return
    if action not in kind.capabilities.actions:
        table.note("action", f"the connector {kind.name} cannot {action}")
    elif action is Action.ANONYMISE:
        for category in data:
            used = mask.get(category, Mask.CLEAR)
            if used not in kind.capabilities.masks:
                key = ("mask", category) if category in mask else ("action",)
                can = ", ".join(sorted(kind.capabilities.masks)) or "nothing"
                message = f"the connector {kind.name} cannot mask with {used}; it can: {can}"
                table.problems.add((*table.path, *key), message)
                if category not in mask:
                    return


# --- where --------------------------------------------------------------------------------------------------------


def _read_where(table: Table) -> tuple[Condition, ...]:
    value = table.values.get("where")
    if value is None:
        return ()
    path = (*table.path, "where")
    if not isinstance(value, dict):
        table.note("where", "must be a table of conditions: column = value")
        return ()
    if not value:
        table.note("where", "is empty: leave it out to cover every record, or say which records are meant")
        return ()
    read = (_read_condition(column, form, (*path, column), table.problems) for column, form in value.items())
    return tuple(condition for condition in read if condition is not None)


def _read_condition(column: str, form: Any, path: KeyPath, problems: Problems) -> Condition | None:
    if not column.strip() or not column.replace("\u00a0", " ").isprintable():
        problems.add(path, "the name of the column is blank or has control characters")
        return None
    if not isinstance(form, dict):
        values = _read_values(form, path, problems)
        return Condition(column, values) if values else None
    table = Table(form, path, problems, WHERE, further={})
    if ("not" in form) == ("null" in form):
        problems.add(path, "must be a value, a list of values, { not = value } or { null = true }")
        return None
    if "null" in form:
        is_null = table.truth("null")
        return None if is_null is None else Condition(column, (None,), negated=not is_null)
    values = _read_values(form["not"], (*path, "not"), problems)
    return Condition(column, values, negated=True) if values else None


def _read_values(form: Any, path: KeyPath, problems: Problems) -> tuple[Scalar, ...]:
    """Read one value or a list of them; an empty list matches nothing and is refused."""
    if isinstance(form, list) and not form:
        problems.add(path, "is an empty list; it would match nothing")
    values: list[Scalar] = []
    for index, value in enumerate(form if isinstance(form, list) else [form]):
        where = (*path, index) if isinstance(form, list) else path
        read = _read_scalar(value, where, problems)
        if read is not _NOWHERE:
            values.append(cast("Scalar", read))
    return tuple(values)


def _read_scalar(value: Any, path: KeyPath, problems: Problems) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        problems.add(path, "a time of day needs its offset, e.g. 2026-01-31T00:00:00Z")
        return _NOWHERE
    if isinstance(value, str | bool | int | date) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if not isinstance(value, float):  # inf and nan are noted for the whole document
        problems.add(path, "must be text, a number, true, false or a date")
    return _NOWHERE
