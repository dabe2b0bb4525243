"""Register, places and rules held against each other, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ropa.config.models import Location
from ropa.config.problems import guess
from ropa.errors import Finding
from ropa.register.completeness.case import Case, is_third_country
from ropa.register.completeness.codes import finding
from ropa.register.models import NONE, Recipient
from ropa.vocabulary import UNKNOWN, adequacy, plain

_EXTERNAL = frozenset({"dataverse", "outlook", "sharepoint"})
"""Connectors to services that somebody else runs."""


def check_references(case: Case) -> Iterator[Finding]:
    """Check the references between activities, recipients, rules and places."""
    yield from _activity_recipients(case)
    yield from _systems(case)
    yield from _rules(case)
    for name, location in case.locations.items():
        yield from _location(case, f"location.{name}", location)
        yield from _datasets(case, name, location)


def _activity_recipients(case: Case) -> Iterator[Finding]:
    known = case.register.recipients
    for key, activity in case.register.activities.items():
        for name in activity.recipients:
            if name not in {NONE, UNKNOWN} and name not in known:
                yield finding(
                    "recipient-absent",
                    f"activity.{key}.recipients",
                    f"recipient.{name} is not in the register{_meant(name, known)}",
                    "Correct the key, or add the recipient.",
                )


def _systems(case: Case) -> Iterator[Finding]:
    own = {_words(system) for system in case.register.organisation.own_systems}
    for location in case.locations.values():
        own |= {_words(location.name), _words(location.title)}
    for key, activity in case.register.activities.items():
        named = case.recipients_of(key)
        for system in activity.systems:
            if _words(system) in own:
                continue
            running = [name for name, one in case.register.recipients.items() if _runs(name, one, system)]
            if named & set(running):
                continue
            who = f"recipient.{running[0]} runs it and is not named" if running else "no recipient runs it"
            yield finding(
                "system-without-recipient",
                f"activity.{key}.systems",
                f"{system!r} is used, and {who} among the recipients (Art. 30(1)(d))",
                f'Add "{running[0]}" to the recipients.'
                if running
                else "Add the recipient that runs it, with the system's name in its systems; or list it in "
                "organisation.own_systems.",
            )


def _runs(key: str, recipient: Recipient, system: str) -> bool:
    wanted = _words(system)
    if wanted in {_words(name) for name in (recipient.name, *recipient.systems)}:
        return True
    return bool(_words(key)) and _words(key) <= wanted


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", plain(text)))


# --- rules and places ---------------------------------------------------------------------------------------------


def _rules(case: Case) -> Iterator[Finding]:
    activities = case.register.activities
    for name, rule in case.rules.items():
        activity = activities.get(rule.activity)
        if activity is None:
            yield finding(
                "rule-activity-absent",
                f"rule.{name}.activity",
                f"activity.{rule.activity} is not in the register{_meant(rule.activity, activities)}",
                "Correct the key, or add the activity to the register.",
            )
            continue
        outside = [one for one in rule.data if one not in activity.data]
        if outside:
            yield finding(
                "rule-data-outside-activity",
                f"rule.{name}.data",
                f"covers {', '.join(outside)}, which activity.{rule.activity} does not name",
                "Add the categories to the activity, or take them out of the rule.",
            )


def _location(case: Case, entry: str, location: Location) -> Iterator[Finding]:
    recipients, home = case.register.recipients, case.register.organisation.country
    if location.recipient is not None:
        if location.recipient not in recipients:
            yield finding(
                "location-recipient-absent",
                f"{entry}.recipient",
                f"recipient.{location.recipient} is not in the register{_meant(location.recipient, recipients)}",
                "Correct the key, or add the recipient to the register.",
            )
    elif location.connector in _EXTERNAL or (location.country is not None and location.country != home):
        reason = "somebody else runs it" if location.connector in _EXTERNAL else f"it lies in {location.country}"
        yield finding(
            "location-without-recipient",
            entry,
            f"names no recipient, although {reason} (Art. 30(1)(d))",
            "Set recipient to the key of the recipient that runs it.",
        )
    elif location.country is not None:
        yield finding(
            "location-recipient-unsaid",
            entry,
            "does not say whether somebody else runs it",
            "Set recipient if a host or vendor does; otherwise leave it as it is.",
        )
    country = location.country
    if country is not None and is_third_country(country) and not _is_covered(case, location, country):
        yield finding(
            "location-outside-eea",
            f"{entry}.country",
            f"lies in {country}, and no transfer of its recipient covers that (Art. 44)",
            "Record the transfer with its safeguard on the recipient.",
        )


def _is_covered(case: Case, location: Location, country: str) -> bool:
    recipient = case.register.recipients.get(location.recipient or "")
    if adequacy(country, case.today) is not None:
        return True
    # A transfer without a safeguard is a finding of its own, on the recipient.
    if recipient is None:
        return False
    return recipient.country == country or (recipient.transfer is not None and recipient.transfer.country == country)


def _datasets(case: Case, name: str, location: Location) -> Iterator[Finding]:
    named = {key for activity in case.register.activities.values() for key in activity.data}
    for dataset in location.datasets.values():
        full = f"{name}.{dataset.name}"
        covered = {key for rule in case.rules.values() if rule.dataset == full for key in rule.data}
        for key in dataset.data:
            entry = f"{full}.data.{key}"
            if not case.knows_category(key):
                yield finding(
                    "category-unknown",
                    entry,
                    "is neither in the vocabulary nor among the organisation's own categories",
                    f"Correct the key, or add [category.{key}] with a title to the register.",
                )
            elif key not in named:
                yield finding(
                    "category-not-in-register",
                    entry,
                    "is stored here, and no activity of the register names it (Art. 30(1)(c))",
                    "Add it to the activity that needs it, or stop storing it.",
                )
            elif key not in covered:
                yield finding(
                    "column-without-activity",
                    entry,
                    "no rule ties it to an activity here, so it is kept without an end",
                    "Write a rule for this dataset that covers it.",
                )


def _meant(word: str, known: object) -> str:
    meant = guess(word, known) if isinstance(known, dict) else None
    return f" (did you mean {meant!r}?)" if meant else ""
