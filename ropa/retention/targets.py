"""Targets: what the rules of a dataset come to, as questions a source can answer by itself.

Invariant: a target is due for a record only where every one of its rules is due; asked with ``select``, the source is
told days and instants, never a period, and its answer is the one that ``due_on_record`` gives day by day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Literal
from zoneinfo import ZoneInfo

from ropa.clock import start_of_day
from ropa.config.models import Rule
from ropa.connector import Action, Before, Condition, FieldChange, Selection, Spare
from ropa.retention.conditions import clause_key
from ropa.retention.periods import cutoff, due_on

_SPARE_NOTHING = Spare()


@dataclass(frozen=True, slots=True)
class Target:
    """Records of one dataset that go, or of which fields go, when all of the ``rules`` are due (design 4.4)."""

    location: str
    dataset: str
    """The dataset's name within its location: ``contacts`` of ``crm.contacts``."""
    scope: Literal["row", "field"]
    data: tuple[str, ...]
    """``("*",)`` for a row; else the data categories whose columns are cleared or masked, in the dataset's order."""
    action: Action
    """What the rules ask for. What a connector is told is ``connector_action``."""
    rules: tuple[Rule, ...]
    """All of which must be due, in the order of the configuration."""
    match: tuple[Condition, ...]
    exclude: tuple[tuple[Condition, ...], ...]
    fields: tuple[FieldChange, ...]
    """Columns to change. Empty where a row is purged, and for every flag."""
    approval: Literal["plan", "mandate"]
    """``mandate`` only where every rule allows it."""
    max_records: int
    max_share: float

    @property
    def full_dataset(self) -> str:
        """The dataset with its location, ``crm.contacts``."""
        return f"{self.location}.{self.dataset}"

    @property
    def connector_action(self) -> Action:
        """What a connector is told to do: purging *fields* is changing a record, never removing it."""
        return Action.ANONYMISE if self.scope == "field" and self.action is Action.PURGE else self.action

    @property
    def identity(self) -> str:
        """A text that names this target and no other of the same configuration, the same in every run; where the
        target has conditions it ends in a digest of them."""
        rules = "+".join(rule.name for rule in self.rules)
        plain = f"{self.full_dataset}/{self.scope}/{'+'.join(self.data)}/{self.action}/{rules}"
        if not (self.match or self.exclude):
            return plain
        said = repr((clause_key(self.match), sorted(clause_key(clause) for clause in self.exclude)))
        return f"{plain}/{sha256(said.encode()).hexdigest()[:12]}"

    @property
    def anchors(self) -> tuple[str, ...]:
        """Names of the anchors that the rules use, each once, in the order of the rules."""
        return tuple(dict.fromkeys(rule.anchor for rule in self.rules))


def select(target: Target, *, as_of: date, now: datetime, zone: ZoneInfo, spare: Spare = _SPARE_NOTHING) -> Selection:
    """Return the question that a source answers with the records that are due on ``as_of``.

    ``zone`` is the controller's; ``now`` is the aware instant after which an anchor counts as future.
    """
    return Selection(
        dataset=target.dataset,
        zone=zone,
        now=now,
        before=tuple(Before(name, day, start_of_day(day, zone)) for name, day in _days(target, as_of).items()),
        match=target.match,
        exclude=target.exclude,
        anchors=target.anchors,
        fields=target.fields,
        spare=spare,
    )


def cutoffs(target: Target, as_of: date, zone: ZoneInfo) -> dict[str, datetime]:
    """Return per anchor the first instant (UTC) that is not due, as ``ropa plan --json`` shows it."""
    return {name: start_of_day(day, zone) for name, day in _days(target, as_of).items()}


def due_on_record(target: Target, anchored: Sequence[date | None]) -> date | None:
    """Return the last day of the longest period that runs for a record, or None where one of them never ends.

    ``anchored``: the calendar days of ``target.anchors``, in their order, as ``Found.anchored`` gives them. An anchor
    that is missing makes it None: never due.
    """
    days = dict(zip(target.anchors, anchored, strict=True))
    ends: list[date] = []
    for rule in target.rules:
        day = days[rule.anchor]
        end = None if day is None else due_on(day, rule.period, rule.start)
        if end is None:
            return None
        ends.append(end)
    return max(ends)


def _days(target: Target, as_of: date) -> dict[str, date]:
    """Return per anchor the earliest cut-off of the rules that use it."""
    days: dict[str, date] = {}
    for rule in target.rules:
        day = cutoff(as_of, rule.period, rule.start)
        days[rule.anchor] = min(day, days.get(rule.anchor, day))
    return days
