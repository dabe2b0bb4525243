"""What the checks look at: register and configuration together, and the questions that several checks ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from ropa.clock import Period
from ropa.config.models import Config, Location, Rule
from ropa.register.models import NONE, Activity, Register
from ropa.retention.periods import due_on
from ropa.vocabulary import UNKNOWN, category, eea

_FIRST_DAY, _LAST_DAY = date(2027, 1, 1), date(2028, 12, 31)
"""A common year and a leap year: every month end that there is."""


@dataclass(frozen=True, slots=True)
class Case:
    """A register with its places and rules, on the day it is looked at."""

    register: Register
    config: Config | None
    today: date

    @property
    def locations(self) -> Mapping[str, Location]:
        """The places; none without a configuration."""
        return self.config.locations if self.config else {}

    @property
    def rules(self) -> Mapping[str, Rule]:
        """The retention rules; none without a configuration."""
        return self.config.rules if self.config else {}

    def rules_of(self, activity: str) -> list[Rule]:
        """Return the rules that belong to an activity."""
        return [rule for rule in self.rules.values() if rule.activity == activity]

    def location_of(self, rule: Rule) -> Location | None:
        """Return the place a rule is about."""
        return self.locations.get(rule.dataset.partition(".")[0])

    def recipients_of(self, activity: str) -> frozenset[str]:
        """Return the keys of an activity's recipients: those it names and those who run the places of its rules."""
        named = set(self.register.activities[activity].recipients) - {NONE, UNKNOWN}
        for rule in self.rules_of(activity):
            location = self.location_of(rule)
            if location and location.recipient:
                named.add(location.recipient)
        return frozenset(named)

    def knows_category(self, key: str) -> bool:
        """Whether a data category is in the vocabulary or among the organisation's own."""
        return category(key) is not None or key in self.register.categories

    def is_special(self, key: str) -> bool:
        """Whether a data category falls under Art. 9."""
        own, known = self.register.categories.get(key), category(key)
        return bool(own and own.special) or bool(known and known.is_special)

    def is_criminal(self, key: str) -> bool:
        """Whether a data category falls under Art. 10."""
        own, known = self.register.categories.get(key), category(key)
        return bool(own and own.criminal) or bool(known and known.is_criminal)

    def controlled(self) -> Iterator[tuple[str, Activity]]:
        """Give the activities that the organisation decides about itself (Art. 30(1)) and that have not ended."""
        for key, activity in self.register.activities.items():
            if activity.role == "controller" and activity.status != "ended":
                yield key, activity


def is_third_country(country: str | None) -> bool:
    """Whether a country is known and outside the EEA."""
    return country is not None and country != UNKNOWN and country not in eea()


def days_beyond(period: Period, limit: Period) -> list[date]:
    """Return the days of a common year and a leap year from which a period ends later than a limit would."""
    long, short = _whole_days(period), _whole_days(limit)
    days = (_FIRST_DAY + timedelta(n) for n in range((_LAST_DAY - _FIRST_DAY).days + 1))
    return [
        day for day in days if (due_on(day, long, "anchor") or date.max) > (due_on(day, short, "anchor") or date.max)
    ]


def _whole_days(period: Period) -> Period:
    seconds = period.hours * 3600 + period.minutes * 60 + period.seconds
    return replace(period, days=period.days + seconds // 86400, hours=0, minutes=0, seconds=0)
