"""Small configurations, and a source in Python that evaluates a selection as the contract says."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from ropa.clock import Period
from ropa.config.models import Config, Location, Rule, Safety
from ropa.connector import Action, Anchor, AnchorPart, Condition, DatasetSpec
from ropa.retention import select

BRUSSELS = ZoneInfo("Europe/Brussels")
AS_OF = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)


def equals(column, *values):
    return Condition(column, values)


def differs(column, *values):
    return Condition(column, values, negated=True)


def dataset(name="contacts", data=None, anchors=("created",), **more):
    return DatasetSpec(
        name=name,
        source=name,
        zone=BRUSSELS,
        key=more.pop("key", ("id",)),
        anchors={a: Anchor(a, (AnchorPart(f"{a}_at"),)) for a in anchors},
        data={"name": ("a",), "email": ("b",)} if data is None else data,
        **more,
    )


def rule(name, data, action=Action.PURGE, **more):
    return Rule(
        name=name,
        activity=more.pop("activity", "intake"),
        dataset=more.pop("dataset", "crm.contacts"),
        data=(data,) if isinstance(data, str) else tuple(data),
        anchor=more.pop("anchor", "created"),
        period=more.pop("period", Period(months=6)),
        action=action,
        **more,
    )


def config(*rules, datasets=None, safety=None, locations=None):
    specs = [dataset()] if datasets is None else datasets
    return Config(
        timezone=BRUSSELS,
        digest="sha256:" + "0" * 64,
        folder=Path("/project"),
        safety=safety or Safety(),
        locations=locations or {"crm": Location("crm", "memory", datasets={s.name: s for s in specs})},
        rules={r.name: r for r in rules},
    )


def holds(condition, record, same=lambda one, other: one == other):
    """Whether a record (column to value) satisfies a condition; NULL is a value like any other."""
    value = record.get(condition.column)
    found = any(value is v if value is None or v is None else same(value, v) for v in condition.values)
    return found is not condition.negated


def selects(selection, record, anchored, same=lambda one, other: one == other):
    """Whether a source selects a record: ``anchored`` gives the calendar day (or None) of each anchor."""
    if (record["id"],) in selection.spare.keys.get(selection.dataset, ()):
        return False
    days = [anchored.get(name) for name in selection.anchors]
    if any(day is None or day > selection.now.astimezone(selection.zone).date() for day in days):
        return False
    if selection.fields and all(record.get(change.column) is None for change in selection.fields):
        return False
    return (
        all(anchored[b.anchor] < b.day for b in selection.before)
        and all(holds(c, record, same) for c in selection.match)
        and not any(all(holds(c, record, same) for c in clause) for clause in selection.exclude)
    )


def hits(targets, record, anchored, **more):
    """The targets that a source would select a record for."""
    same = more.pop("same", lambda one, other: one == other)
    return [
        t for t in targets if selects(select(t, as_of=AS_OF, now=NOW, zone=BRUSSELS, **more), record, anchored, same)
    ]
