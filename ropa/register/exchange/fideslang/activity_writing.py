"""An activity as a system of Fides, with a declaration for each of its purposes.

Invariant: what a manifest cannot say of the activity, or says with a wider word, is noted, every key of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.systems import ACTIVITY_TYPE
from ropa.register.exchange.incoming import NotCarried
from ropa.register.models import NONE, Activity, DataUse, Register
from ropa.register.parse import LONGEST_TEXT
from ropa.register.specs import default_of, specs
from ropa.vocabulary import UNKNOWN, category, conditions, legal_bases, safeguards

_ACTIVITY = frozenset(
    {"title", "description", "role", "purposes", "legal_basis", "condition", "subjects", "recipients", "measures"}
    | {"stated_period", "criterion", "stated_text", "dpia", "status", "owner", "data"}
)
_DATA_USE = frozenset({"purposes", "legal_basis", "condition", "stated_period", "criterion", "stated_text"})
_Facts = tuple[tuple[str, ...], str, str | None, str | None]
"""Purposes, legal basis, condition and period of a category."""


class Words(str):
    """A text of the register, as opposed to a word of fideslang."""

    __slots__ = ()


def leave_keys(left: list[NotCarried], where: str, value: Any, written: Iterable[str]) -> None:
    """Note the keys of an entry that say something and are not among those that are written."""
    kind = type(value)
    names = [
        shown
        for shown, (name, _) in specs(kind).items()
        if name not in written and getattr(value, name) != default_of(kind, name)
    ]
    if names:
        left.append(NotCarried(where, f"fideslang has no key for {', '.join(names)}"))


class ActivityWriter:
    """Writes one activity; what cannot be said goes to ``left``."""

    def __init__(self, key: str, activity: Activity, register: Register, left: list[NotCarried]) -> None:
        self._key, self._activity, self._register, self._left = key, activity, register, left
        self._declared: set[tuple[str, str]] = set()
        self._purposes = {*activity.purposes, *(one for use in activity.data.values() for one in use.purposes)}

    def system(self) -> dict[str, Any]:
        """Return the activity as a system."""
        activity = self._activity
        leave_keys(self._left, f"activity.{self._key}", activity, _ACTIVITY)
        found: dict[str, Any] = {"fides_key": self._key, "name": Words(activity.title)}
        if activity.description:
            found["description"] = Words(activity.description)
        found["system_type"] = ACTIVITY_TYPE
        if activity.owner:
            found["administrating_department"] = Words(activity.owner)
        found["responsibility"] = [activity.role.capitalize()]
        if activity.measures:
            found["data_security_practices"] = self._joined("measures", activity.measures)
        found |= self._assessment() | self._transfers()
        found["privacy_declarations"] = list(self._declarations())
        return found

    def _leave(self, name: str, why: str) -> None:
        self._left.append(NotCarried(f"activity.{self._key}.{name}", why))

    def _joined(self, name: str, texts: Iterable[str]) -> Words:
        """Texts as one, with ``;`` between them."""
        listed = list(dict.fromkeys(texts))
        joined = "; ".join(listed)
        if any(";" in text for text in listed):
            self._leave(name, "an item with ; in it comes back as two")
        if len(joined) > LONGEST_TEXT:
            self._leave(name, f"together longer than {LONGEST_TEXT:,} characters, which is not read back")
        return Words(joined)

    def _assessment(self) -> dict[str, Any]:
        match self._activity.dpia:
            case "required":
                return {"requires_data_protection_assessments": True}
            case "done":
                return {"requires_data_protection_assessments": True, "dpa_progress": "done"}
            case str(other):
                self._leave("dpia", f"fideslang has no word for {other}")
        return {}

    def _transfers(self) -> dict[str, Any]:
        recipients = [self._register.recipients.get(key) for key in self._activity.recipients]
        transfers = [one.transfer for one in recipients if one is not None and one.transfer is not None]
        if not transfers:
            return {}
        known = [safeguards()[one.safeguard] for one in transfers if one.safeguard and one.safeguard in safeguards()]
        found: dict[str, Any] = {"does_international_transfers": True}
        if words := list(dict.fromkeys(word for safeguard in known for word in safeguard.fideslang)):
            found["legal_basis_for_transfers"] = words
        return found

    # --- declarations ---

    def _declarations(self) -> Iterator[dict[str, Any]]:
        shared = self._subjects() | self._recipients()
        for (purposes, basis, condition, period), names in self._groups().items():
            data = self._categories(names)
            for name, use in self._uses(purposes, basis):
                found = {"name": Words(self._apart(name, use)), "data_categories": data, "data_use": use}
                found |= shared | self._bases(basis, condition, names)
                if period is not None:
                    found["retention_period"] = Words(period)
                yield found

    def _groups(self) -> dict[_Facts, list[str]]:
        """The categories by what is said of them, those that are as the activity first."""
        activity = self._activity
        general = self._period(activity, "")
        own: _Facts = (activity.purposes, activity.legal_basis, activity.condition, general)
        groups: dict[_Facts, list[str]] = {}
        for name, use in activity.data.items():
            leave_keys(self._left, f"activity.{self._key}.data.{name}", use, _DATA_USE)
            period = self._period(use, f"data.{name}.") or general
            facts = (activity.purposes_of(name), activity.basis_of(name), use.condition or activity.condition, period)
            groups.setdefault(facts, []).append(name)
        told = {purpose for facts in groups for purpose in facts[0]}
        missing = tuple(purpose for purpose in activity.purposes if purpose not in told)
        if missing or not groups:
            groups[(missing, *own[1:])] = groups.get((missing, *own[1:]), [])
        if all(facts[1] != own[1] for facts in groups):
            self._leave("legal_basis", "is that of none of its categories, which have their own")
        return dict(sorted(groups.items(), key=lambda item: (item[0] != own, item[0][1] != own[1])))

    def _uses(self, purposes: tuple[str, ...], basis: str) -> Iterator[tuple[str, str]]:
        """Give each purpose with each data use it is; the activity's title where there is no purpose."""
        title, told = self._activity.title, self._purposes
        for purpose in purposes or (title,):
            uses, is_told = terms.their_uses(purpose if purposes else "", title, basis)
            if not is_told:
                self._leave("purposes", f"no data use is told by the words of one; {uses[0]} stands in its place")
            if purposes and (purpose == title or terms.unnumbered(purpose, {*told, title}) != purpose):
                self._leave("purposes", "one that is the title, or another with a number, is not told apart from it")
            for use in uses:
                yield purpose, use

    def _apart(self, name: str, use: str) -> str:
        """A name that no other declaration with this use has, so that a pair of both names one declaration."""
        own, number = name, 1
        while (own, use) in self._declared:
            number += 1
            own = f"{name} ({number})"
        self._declared.add((own, use))
        return own

    def _categories(self, names: list[str]) -> list[str]:
        found: dict[str, None] = {}
        for name in names:
            written, is_lossy = terms.their_categories(name)
            found |= dict.fromkeys(written)
            if is_lossy:
                self._leave(f"data.{name}", f"is written as {', '.join(written)}, which says less")
        return list(found)

    def _subjects(self) -> dict[str, Any]:
        found: dict[str, None] = {}
        for key in self._activity.subjects:
            written, is_lossy = terms.their_subject(key)
            if written is not None:
                found[written] = None
            if is_lossy:
                says = f"is written as {written}, which says less" if written else "fideslang has no word for it"
                self._leave("subjects", f"{key}: {says}")
        return {"data_subjects": list(found), "flexible_legal_basis_for_processing": False}

    def _recipients(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        known = self._register.recipients
        for key in self._activity.recipients:
            if key not in known and key != UNKNOWN:
                says = "that there are none is not told apart from silence" if key == NONE else "is not in the register"
                self._leave("recipients", f"{key}: {says}")
        named = [known[key].name for key in self._activity.recipients if key in known]
        if named or UNKNOWN in self._activity.recipients:
            found["data_shared_with_third_parties"] = True
        if named:
            found["third_parties"] = self._joined("recipients", named)
            if UNKNOWN in self._activity.recipients:
                self._leave("recipients", "that there are others, not known, is not said beside names")
        return found

    def _bases(self, basis: str, condition: str | None, names: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if basis != UNKNOWN:
            found["legal_basis_for_processing"] = legal_bases()[basis].fideslang[0]
        if any(self._is_special(name) for name in names):
            found["processes_special_category_data"] = True
        known = conditions().get(condition or "")
        if known is not None and known.fideslang:
            found["special_category_legal_basis"] = known.fideslang[0]
        elif condition is not None and condition != UNKNOWN:
            self._leave("condition", f"fideslang has no word for {condition}")
        return found

    def _is_special(self, name: str) -> bool:
        own, known = self._register.categories.get(name), category(name)
        return bool(own and own.special) or bool(known and known.is_special)

    def _period(self, value: Activity | DataUse, prefix: str) -> str | None:
        """The period that is stated, else the criterion, else the words it was imported with."""
        said = [text for text in (value.stated_period, value.criterion, value.stated_text) if text]
        if len(said) > 1:
            self._leave(f"{prefix}stated_period", "of it, criterion and stated_text the first that is there stands")
        elif value.criterion:
            self._leave(f"{prefix}criterion", "stands as the words of a period")
        return said[0] if said else None
