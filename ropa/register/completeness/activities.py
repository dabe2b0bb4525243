"""What one activity must say by itself: the points of Art. 30(1) and 30(2), its legal basis, its periods."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.errors import Finding
from ropa.register.completeness.case import Case
from ropa.register.completeness.codes import finding
from ropa.register.models import NONE, Activity, DataUse
from ropa.vocabulary import UNKNOWN, category, conditions, legal_bases, plain, purposes_in, subjects


def check_activities(case: Case) -> Iterator[Finding]:
    """Check each activity by itself."""
    if not case.register.activities:
        yield finding(
            "register-without-activities",
            "register",
            "the register holds no processing activity",
            "Add one with `ropa register add`, or import a register.",
        )
    for key, activity in case.register.activities.items():
        entry = f"activity.{key}"
        if activity.role == "processor":
            yield from _processor(entry, activity)
        else:
            yield from _controller(case, key, entry, activity)
            yield from _bases(case, entry, activity)
            yield from _periods(case, key, entry, activity)
        yield from _both(case, key, entry, activity)


def _controller(case: Case, key: str, entry: str, activity: Activity) -> Iterator[Finding]:
    if not activity.purposes and not (activity.data and all(use.purposes for use in activity.data.values())):
        yield finding("purpose-missing", entry, "has no purpose (Art. 30(1)(b))", "Say what the data are used for.")
    if not activity.subjects:
        yield finding(
            "subjects-missing", entry, "does not say whose data they are (Art. 30(1)(c))", "Name the subjects."
        )
    if not activity.data:
        yield finding("data-missing", entry, "names no data category (Art. 30(1)(c))", "Name the data categories.")
    if UNKNOWN in activity.recipients:
        yield finding(
            "recipients-unknown", entry, "who receives the data is not known (Art. 30(1)(d))", "Find out and name them."
        )
    elif not activity.recipients and not case.recipients_of(key):
        yield finding(
            "recipients-missing",
            entry,
            "does not say who receives the data (Art. 30(1)(d))",
            f'Name the recipients (processors are recipients), or write recipients = ["{NONE}"].',
        )


def _processor(entry: str, activity: Activity) -> Iterator[Finding]:
    if not activity.controllers:
        yield finding(
            "controllers-missing",
            entry,
            "does not name the controllers it acts for (Art. 30(2)(a))",
            "Name each controller with contact details under controllers.",
        )
    for controller in activity.controllers:
        if not controller.is_reachable:
            yield finding(
                "contact-without-details",
                f"{entry}.controllers",
                "a controller has no contact details (Art. 30(2)(a))",
                "Give an address, an e-mail address or a telephone number.",
            )
    if not activity.processing:
        yield finding(
            "processing-missing",
            entry,
            "names no category of processing (Art. 30(2)(b))",
            'Say what is done for the controllers: processing = ["hosting", …].',
        )


def _both(case: Case, key: str, entry: str, activity: Activity) -> Iterator[Finding]:
    point = "30(2)(d)" if activity.role == "processor" else "30(1)(g)"
    if not activity.measures:
        yield finding("measures-missing", entry, f"names no security measures (Art. {point})", "Describe them.")
    for subject in activity.subjects:
        if subject not in subjects():
            yield finding(
                "subject-unknown",
                f"{entry}.subjects",
                f"{subject!r} is not in the vocabulary; reports show it as it is written",
                f"Use one of: {', '.join(subjects())}.",
            )
    for name in activity.data:
        if not case.knows_category(name):
            yield finding(
                "category-unknown",
                f"{entry}.data.{name}",
                "is neither in the vocabulary nor among the organisation's own categories",
                f"Correct the key, or add [category.{name}] with a title.",
            )
    yield from _life(case, key, entry, activity)


def _life(case: Case, key: str, entry: str, activity: Activity) -> Iterator[Finding]:
    if activity.replaced_by is not None and activity.replaced_by not in case.register.activities:
        yield finding(
            "replacement-absent",
            f"{entry}.replaced_by",
            f"activity.{activity.replaced_by} is not in the register",
            "Name the activity that took its place, or leave the key out.",
        )
    if activity.status == "ended":
        if activity.ended_on is None:
            yield finding("ended-without-date", entry, "has ended without a date", "Give ended_on.")
        rules = [rule.name for rule in case.rules_of(key)]
        if rules:
            yield finding(
                "ended-activity-with-rules",
                entry,
                f"has ended and still has rules: {', '.join(rules)}",
                "Keep the rules until they have emptied the data, then take them out.",
            )
        return
    if activity.owner is None:
        yield finding("owner-missing", entry, "has nobody who answers for it", "Name an owner.")
    if activity.review_on is not None and activity.review_on < case.today:
        yield finding(
            "review-passed",
            f"{entry}.review_on",
            f"had to be looked at by {activity.review_on}",
            "Look at the entry and set the next date.",
        )


# --- legal basis --------------------------------------------------------------------------------------------------


def _bases(case: Case, entry: str, activity: Activity) -> Iterator[Finding]:
    own = [use.legal_basis for use in activity.data.values()]
    if not own or None in own:
        yield from _basis(entry, activity.legal_basis, activity.legal_reference, activity.interest)
    for name, use in activity.data.items():
        at = f"{entry}.data.{name}"
        if use.legal_basis is not None:
            same = use.legal_basis == activity.legal_basis
            reference = use.legal_reference or (activity.legal_reference if same else None)
            interest = use.interest or (activity.interest if same else None)
            yield from _basis(at, use.legal_basis, reference, interest)
        yield from _sensitive(case, at, name, activity, use)
    yield from _unfit(entry, activity)


def _basis(entry: str, basis: str, reference: str | None, interest: str | None) -> Iterator[Finding]:
    if basis == UNKNOWN:
        yield finding(
            "basis-unknown", entry, "the legal basis is not known (Art. 6(1))", "Decide on one of 6.1.a to 6.1.f."
        )
        return
    if legal_bases()[basis].needs_law and not reference:
        yield finding(
            "legal-reference-missing",
            entry,
            f"rests on {basis} without naming the law (Art. 6(3))",
            "Name law and article in legal_reference.",
        )
    if basis == "6.1.f" and not interest:
        yield finding(
            "interest-missing",
            entry,
            "rests on 6.1.f without stating the interest (Art. 13(1)(d))",
            "State the legitimate interest in interest.",
        )


def _sensitive(case: Case, at: str, name: str, activity: Activity, use: DataUse) -> Iterator[Finding]:
    condition = use.condition or activity.condition
    reference = use.legal_reference or activity.legal_reference
    fitting = {key for key in conditions() if key.startswith("9.2.")} if case.is_special(name) else {"10"}
    if case.is_special(name) or case.is_criminal(name):
        article = "9(2)" if case.is_special(name) else "10"
        if condition not in fitting:
            yield finding(
                "condition-missing",
                at,
                f"is data of Art. {article.partition('(')[0]} without a condition of Art. {article}",
                f"Set condition to {'one of 9.2.a to 9.2.j' if case.is_special(name) else '10'}, or stop.",
            )
        elif condition is not None and conditions()[condition].needs_law and not reference:
            yield finding(
                "legal-reference-missing",
                at,
                f"rests on {condition} without naming the law",
                "Name law and article in legal_reference.",
            )
    known = category(name)
    if known is not None and known.is_restricted and not reference:
        yield finding(
            "restricted-without-law",
            at,
            "may be processed only where a law says so (Art. 87; BE law of 8 August 1983, NL UAVG art. 46)",
            "Name that law in legal_reference, or stop collecting it.",
        )


def _unfit(entry: str, activity: Activity) -> Iterator[Finding]:
    # A purpose that some category takes up in its own words is judged there, with that category's basis.
    taken = {plain(purpose) for use in activity.data.values() for purpose in use.purposes}
    rest = tuple(purpose for purpose in activity.purposes if plain(purpose) not in taken)
    yield from _unfit_purposes(entry, rest, activity.legal_basis)
    for name, use in activity.data.items():
        if use.purposes:
            yield from _unfit_purposes(f"{entry}.data.{name}", use.purposes, activity.basis_of(name))


def _unfit_purposes(entry: str, texts: tuple[str, ...], basis: str) -> Iterator[Finding]:
    kinds = {kind.key: kind for text in texts for kind in purposes_in(text) if basis in kind.unfit}
    for kind in kinds.values():
        yield finding(
            "basis-unfit",
            entry,
            f"{kind.labels['en']} rests on {basis} ({legal_bases()[basis].labels['en']}), which does not carry it",
            "It is not needed for that: ask consent (6.1.a), or state a legitimate interest (6.1.f) with an opt-out.",
        )


# --- periods ------------------------------------------------------------------------------------------------------


def _periods(case: Case, key: str, entry: str, activity: Activity) -> Iterator[Finding]:
    covered = {name for rule in case.rules_of(key) for name in rule.data}
    policy = case.register.organisation.policy
    for name, use in activity.data.items():
        if name in covered:
            continue
        at = f"{entry}.data.{name}"
        stated, start = _stated(activity, use, policy.stated_period, policy.stated_start)
        if stated:
            yield finding(
                "period-not-enforced",
                at,
                f"is said to be kept {stated}, and no rule carries that out",
                f'Write a rule with activity = "{key}" that covers {name}.',
            )
            if not start:
                yield finding(
                    "period-without-start",
                    at,
                    f"is said to be kept {stated}, from no stated event",
                    "Say from which event the period runs (stated_start), and write the rule with that anchor.",
                )
        elif use.criterion or activity.criterion:
            continue
        elif use.stated_text or activity.stated_text:
            yield finding(
                "period-in-words",
                at,
                "its period stands only in the words of the document it was imported from (stated_text)",
                f'Read them, then write a rule with activity = "{key}" that covers {name}, or state the criterion.',
            )
        else:
            yield finding(
                "category-without-period",
                at,
                "no rule says how long it is kept, nor does a criterion (Art. 30(1)(f))",
                f'Write a rule with activity = "{key}" that covers {name}, or state the criterion.',
            )


def _stated(activity: Activity, use: DataUse, period: str | None, start: str | None) -> tuple[str | None, str | None]:
    """Return the nearest stated period with its start event: the category's, the activity's, the policy's."""
    if use.stated_period:
        return use.stated_period, use.stated_start
    if use.criterion or use.stated_text:
        return None, None
    if activity.stated_period:
        return activity.stated_period, use.stated_start or activity.stated_start
    if activity.criterion or activity.stated_text:
        return None, None
    return period, use.stated_start or activity.stated_start or start
