"""Why one record still has what it has: per data category the rule that holds it longest, until when, and who holds it.

Invariant: the answer is the one by which the record would be selected: ``due`` here is due there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ropa.config.models import Rule
from ropa.connector import DatasetSpec
from ropa.retention.compile import deciding_rules, is_enforced
from ropa.retention.periods import due_on

State = Literal["due", "kept", "held", "no-anchor", "no-rule"]

_NOTHING: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What holds one data category of one record (``ropa.explain/1``)."""

    category: str
    due_on: date | None
    """The last day it is kept; None where that is not known or never comes."""
    rule: str | None
    """The rule that holds it longest."""
    anchor: str | None
    anchored_on: date | None
    held_by: tuple[str, ...]
    """Ids of holds."""
    state: State


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one rule says about the record."""

    rule: Rule
    state: Literal["due", "kept", "no-anchor"]
    due_on: date | None
    anchored_on: date | None

    @property
    def rank(self) -> tuple[int, date, bool]:
        if self.due_on is not None:
            return (0, self.due_on, bool(self.rule.where))
        # A rule that keeps goes before a missing anchor, and that before a period that ends after year 9999.
        order = 3 if not is_enforced(self.rule) else 2 if self.state == "no-anchor" else 1
        return (order, date.min, bool(self.rule.where))


def explain_record(
    spec: DatasetSpec,
    rules: Sequence[Rule],
    *,
    matches: Mapping[str, bool],
    anchored: Mapping[str, date | None],
    as_of: date,
    today: date,
    held_by: Iterable[str] = (),
    held_rules: Mapping[str, Sequence[str]] = _NOTHING,
) -> tuple[Explanation, ...]:
    """Explain one record, a data category each, in the order of the dataset.

    ``rules``: those of the dataset, in the order of the configuration. ``matches``: per rule with a ``where`` whether
    the record satisfies it (a rule that is not named has to have no ``where``: KeyError). ``anchored``: per anchor the
    calendar day, None where there is none that can be read; a day after ``today`` counts as none. ``held_by``: ids of
    holds that cover the record; ``held_rules``: per rule the holds on its activity (``Coverage.rules``).
    """
    present = [rule for rule in rules if not rule.where or matches[rule.name]]
    on_record = tuple(held_by)
    explanations = []
    for category in spec.data:
        deciding = deciding_rules(spec, category, present) or ()
        holders = tuple(dict.fromkeys([*on_record, *(h for rule in deciding for h in held_rules.get(rule.name, ()))]))
        if not deciding:
            explanations.append(Explanation(category, None, None, None, None, holders, "no-rule"))
            continue
        # max takes the first of equals: the order of the configuration decides what nothing else does.
        longest = max((_ask(rule, anchored, as_of, today) for rule in deciding), key=lambda answer: answer.rank)
        state: State = "held" if holders and longest.state != "no-anchor" else longest.state
        name = longest.rule.name
        explanations.append(
            Explanation(category, longest.due_on, name, longest.rule.anchor, longest.anchored_on, holders, state)
        )
    return tuple(explanations)


def _ask(rule: Rule, anchored: Mapping[str, date | None], as_of: date, today: date) -> _Answer:
    day = anchored.get(rule.anchor)
    if not is_enforced(rule):
        return _Answer(rule, "kept", None, day)
    if day is None or day > today:
        return _Answer(rule, "no-anchor", None, day)
    last = due_on(day, rule.period, rule.start)
    return _Answer(rule, "due" if last is not None and as_of > last else "kept", last, day)
