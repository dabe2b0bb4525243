"""Privacy declarations: each one in our words, and several put together as one activity.

Invariant: a period is taken over only where it is a period; where declarations of one activity disagree about a
category, the first stands and the others are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ropa.clock import parse_period
from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.entry import Entry
from ropa.register.exchange.fideslang.shelf import Shelf
from ropa.register.models import Activity, DataUse
from ropa.vocabulary import UNKNOWN, category

_LONGEST_PERIOD = 64
_PLACES = "where data lie stands in config/retention.toml: [location.NAME.dataset.NAME]"
_FLOWS = "flows between systems: name who receives data from the organisation under recipients"
_COOKIES = "name each cookie with its lifetime: [cookie.NAME]"
_VENDOR = "an identifier of a vendor in Fides; the register names recipients"
_TECHNICAL = "of use to Fides alone"
ALIKE = {
    "system_type": "the kind of software; the register has no key for it",
    "dataset_references": _PLACES,
    "ingress": _FLOWS,
    "egress": _FLOWS,
    "data_flow": _FLOWS,
    "tags": _TECHNICAL,
    "meta": _TECHNICAL,
    "fidesctl_meta": _TECHNICAL,
    "features": "the register has no key for features of processing; say them in description",
    "shared_categories": "the register names recipients for an activity as a whole",
    "vendor_id": _VENDOR,
    "previous_vendor_id": _VENDOR,
    "vendor_deleted_date": _VENDOR,
    "cookies": _COOKIES,
    "uses_cookies": _COOKIES,
    "cookie_refresh": _COOKIES,
    "cookie_max_age_seconds": _COOKIES,
    "uses_non_cookie_access": _COOKIES,
    "uses_profiling": "decide whether Art. 22 applies, and set automated_decisions",
    "legal_basis_for_profiling": "decide whether Art. 22 applies, and set automated_decisions",
    "impact_assessment_location": "set dpia, and say in note where the assessment is",
    "dpa_location": "set dpia, and say in note where the assessment is",
    "legitimate_interest_disclosure_url": "state the legitimate interest itself in interest",
    "privacy_policy": "whether it is the organisation's own policy is not said; if so: organisation.policy.url",
    "exempt_from_privacy_regulations": "decide whether the GDPR applies, and remove the activity if it does not",
    "reason_for_exemption": "decide whether the GDPR applies, and remove the activity if it does not",
    "data_qualifier": "the register has no key for how far data are tied to a person",
    "system_dependencies": _FLOWS,
    "registry_id": _TECHNICAL,
}
SILENT = {
    "administrating_department": "not defined",
    "organization_fides_key": "default_organization",
    "processes_personal_data": "true",
    "exempt_from_privacy_regulations": "false",
    "uses_profiling": "false",
    "uses_cookies": "false",
    "cookie_refresh": "false",
    "uses_non_cookie_access": "false",
}
"""The defaults that Fides writes out by itself: as good as nothing said."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One declaration in our words."""

    entry: Entry
    name: str | None
    use: str | None
    """The data use as it is written."""
    purpose: str | None
    data: tuple[str, ...]
    subjects: tuple[str, ...]
    recipients: tuple[str, ...]
    facts: dict[str, Any]
    """Legal basis, condition and period: what an activity has, or each of its categories for itself."""

    @property
    def basis(self) -> str:
        """The legal basis, or ``unknown``."""
        return str(self.facts["legal_basis"])


def read_declaration(entry: Entry, shelf: Shelf) -> Declared:
    """Read one declaration."""
    data = shelf.data(entry)
    period, words = _period(entry)
    is_special = any(shelf.categories[key].special if key in shelf.categories else _special(key) for key in data)
    if entry.flag("processes_special_category_data") and not is_special:
        entry.leave("processes_special_category_data", "name the special categories (Art. 9), such as health, in data")
    entry.flag("flexible_legal_basis_for_processing")
    found = Declared(
        entry=entry,
        name=entry.text("name"),
        use=entry.term("data_use"),
        purpose=shelf.use(entry),
        data=tuple(data),
        subjects=tuple(shelf.subjects(entry)),
        recipients=_third_parties(entry, shelf),
        facts={
            "legal_basis": _chosen(entry, "legal_basis_for_processing", terms.our_basis) or UNKNOWN,
            "condition": _chosen(entry, "special_category_legal_basis", terms.our_condition),
            "stated_period": period,
            "stated_text": words,
        },
    )
    entry.leave_rest("system.*.privacy_declarations", ALIKE, SILENT)
    return found


def _special(key: str) -> bool:
    known = category(key)
    return known is not None and known.is_special


def _chosen(entry: Entry, key: str, meaning: Callable[[str], str | None]) -> str | None:
    text = entry.text(key)
    found = meaning(text) if text else None
    if text and found is None:
        entry.leave(key, "is none of the words that fideslang has for it")
    return found


def _period(entry: Entry) -> tuple[str | None, str | None]:
    """The period, and else its words; what is no period is never made into one."""
    text = entry.text("retention_period")
    if text is None:
        return None, None
    try:
        parse_period(text)
    except ValueError:
        return None, text
    return (text, None) if len(text) <= _LONGEST_PERIOD else (None, text)


def _third_parties(entry: Entry, shelf: Shelf) -> tuple[str, ...]:
    names = listed(entry.text("third_parties"))
    is_shared = entry.flag("data_shared_with_third_parties")
    if names:
        return tuple(dict.fromkeys(shelf.recipient(name) for name in names))
    return (UNKNOWN,) if is_shared else ()


def listed(text: str | None) -> list[str]:
    """A text with ``;`` between its items."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(";") if part.strip()))


# --- several as one ---


def as_purposes(declared: list[Declared], title: str) -> list[Declared]:
    """Return the declarations of a system that is an activity: their names are its purposes, their uses the kinds."""
    names = {one.name for one in declared if one.name} | {title}
    found = []
    for one in declared:
        name = terms.unnumbered(one.name, names) if one.name else None
        purpose = None if name == title else name
        if one.use is not None and one.use not in terms.their_uses(purpose or "", title, one.basis)[0]:
            one.entry.leave("data_use", "the purpose is taken from name, whose words do not say this use")
        found.append(replace(one, purpose=purpose))
    return found


def put_together(declared: list[Declared], common: Activity) -> Activity:
    """Put declarations together: what they all say is the activity's, what some say is their categories' own."""
    first = declared[0]
    purposes = united(one.purpose for one in declared)
    shared: dict[str, Any] = {
        name: value for name, value in first.facts.items() if all(one.facts[name] == value for one in declared)
    }
    activity = replace(
        common,
        purposes=purposes,
        subjects=united(key for one in declared for key in one.subjects),
        recipients=united((*common.recipients, *(key for one in declared for key in one.recipients))),
        **({"legal_basis": first.basis} | shared),
    )
    found: dict[str, dict[str, Any]] = {}
    reasons: dict[str, tuple[str, ...]] = {}
    for one in declared:
        for key in one.data:
            if found.setdefault(key, one.facts) != one.facts:
                one.entry.leave("data_categories", f"{key} stands in another declaration with another basis or period")
            reasons[key] = united((*reasons.get(key, ()), one.purpose))
    data = {
        key: DataUse(
            purposes=() if reasons[key] == purposes else reasons[key],
            **{name: value for name, value in facts.items() if value != getattr(activity, name)},
        )
        for key, facts in found.items()
    }
    return replace(activity, data=data)


def united(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Return texts, each once, in their order."""
    return tuple(dict.fromkeys(text for text in texts if text is not None))
