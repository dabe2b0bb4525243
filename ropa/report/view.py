"""What renderers that show words ask about the document: look-ups and wordings.

Invariant: a view adds no fact; what it answers follows from the document and the catalogue alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from ropa.connector import OutcomeWord
from ropa.report.model import ActivityPart, Document, PlacePart, RecipientPart, RowPart, TermPart, Verdict
from ropa.report.words import Words
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary, RunTarget
from ropa.sweep.standing import Counts, State

BAD = frozenset({State.STOPPED, State.OVERDUE, State.BLOCKED, State.NO_RULE, State.NO_PLACE, State.NEVER_SCANNED})
"""States said in red, with their own shape and in words."""

COUNTED = (
    "due",
    "done",
    "waiting",
    "held",
    "blocked",
    "refused",
    "failed",
    "unverified",
    "changed",
    "flagged",
    "recoverable",
    "absent",
    "unanchored",
    "done_last",
    "done_total",
)
"""Counts in the order in which they are told."""


_RUN_COUNTS = ("due", "planned", "held", "blocked", "unanchored")

_WORDS = [str(word) for word in OutcomeWord]

_VERDICT_MARKS = {
    Verdict.ADHERED: State.ENFORCED,
    Verdict.INCOMPLETE: State.NO_PLACE,
    Verdict.NOT_SHOWN: State.NEVER_SCANNED,
    Verdict.NOT_ADHERED: State.OVERDUE,
}

ALARMS = frozenset(
    {"overdue", "late", "stopped", "blocked", "unsound-evidence", "no-evidence", "open-intents", "no-scan"}
    | {"never-scanned", "outdated", "no-rule", "no-place", "no-data", "no-sweep", "missed-nights", "error-findings"}
)
"""Reasons that are said in red."""


_BUT_CATEGORY = attrgetter(*(f.name for f in fields(RowPart) if f.name not in {"category", "adherence"}))
_CELL_BUT_CATEGORY = attrgetter(*(f.name for f in fields(Adherence) if f.name != "category"))


class View:
    """What the templates ask about the document: look-ups and wordings, never new facts."""

    numeric = (
        "population",
        "due",
        "done",
        "waiting",
        "held",
        "blocked",
        "count",
        "past_review",
        "runs",
        "went",
        "fell_short",
    )
    """Columns of numbers."""
    alarms = ALARMS

    def __init__(self, document: Document, words: Words) -> None:
        self.document = document
        self.words = words
        self.ids = {activity.key: f"activity-{i}" for i, activity in enumerate(document.activities, 1)}
        self._activities = {activity.key: activity for activity in document.activities}
        self._places = {place.key: place for place in document.places}
        self._recipients = {recipient.key: recipient for recipient in document.recipients}
        self._terms = {term.rule: term for term in document.terms}
        self._categories = {category.key: category.title for category in document.categories}
        self._drawn: dict[object, str] = {}
        self.dataset_title = cache(document.dataset_title)

    def category(self, key: str) -> str:
        """A data category's label."""
        if key == "*":
            return self.words("text.row")
        return self._categories.get(key) or self.words.label("category", key)

    def verdict_tone(self, verdict: Verdict) -> str:
        """The class of an answer."""
        return {Verdict.ADHERED: "good", Verdict.INCOMPLETE: "plain"}.get(verdict, "bad")

    def verdict_mark(self, verdict: Verdict) -> str:
        """The shape of an answer: that of a state."""
        return _VERDICT_MARKS[verdict]

    def each_state(self, draw: Callable[[str], str]) -> dict[str, str]:
        """What a macro draws for every state, drawn once."""
        return {str(state): draw(str(state)) for state in State}

    def tone(self, state: str) -> str:
        """The class of a state: said in red, in the accent colour, or plainly."""
        if state in BAD:
            return "bad"
        return "good" if state == State.ENFORCED else "plain"

    def groups(self, rows: tuple[RowPart, ...]) -> list[tuple[RowPart, list[str]]]:
        """Rows that differ in their category alone, together: the numbers are of the same records."""
        found: dict[object, tuple[RowPart, list[str]]] = {}
        for row in rows:
            same = (_BUT_CATEGORY(row), _CELL_BUT_CATEGORY(row.adherence))
            found.setdefault(same, (row, []))[1].append(row.category)
        return list(found.values())

    def once(self, draw: Callable[[Any], str], value: object, *names: str) -> str:
        """What a macro draws of a value, drawn once for all that are alike in the named fields."""
        key = (draw, attrgetter(*names)(value))
        if key not in self._drawn:
            self._drawn[key] = draw(value)
        return self._drawn[key]

    def at(self, row: RowPart) -> str:
        """For the page's filter: place and state, with a mark where they need attention."""
        cell = row.adherence
        return f"{cell.location or ''}:{cell.state}{'!' if self.needs_attention(row) else ''}"

    def needs_attention(self, row: RowPart) -> bool:
        """Whether a person has something to do here."""
        return row.adherence.state in BAD or row.adherence.missed_nights > 0

    def counts(self, counts: Counts) -> list[tuple[str, str]]:
        """The counts that are not zero: number and word; ``due`` always."""
        found = [(name, getattr(counts, name)) for name in COUNTED]
        if counts.done_last == counts.done:
            found = [(name, count) for name, count in found if name != "done_last"]
        if counts.done_total == counts.done:
            found = [(name, count) for name, count in found if name != "done_total"]
        return [
            (self.words.number(count), self.words.counted("counted", name, count))
            for name, count in found
            if count or name == "due"
        ]

    def outcomes(self, outcomes: tuple[tuple[str, int], ...]) -> str:
        """Outcomes in words, such as "1.200 verwijderd, 2 gewijzigd"."""
        words = self.words
        ordered = sorted(outcomes, key=lambda pair: (_WORDS.index(pair[0]) if pair[0] in _WORDS else len(_WORDS), pair))
        told = [f"{words.number(count)} {words.counted('outcome', word, count)}" for word, count in ordered]
        return ", ".join(told) or words("common.none")

    def terms(self, names: tuple[str, ...]) -> list[TermPart]:
        """The terms of rules."""
        return [term for term in map(self._terms.get, names) if term is not None]

    def term(self, name: str) -> TermPart | None:
        """The term of a rule."""
        return self._terms.get(name)

    def part(self, key: str | None) -> PlacePart | None:
        """A place by key."""
        return self._places.get(key or "")

    def party(self, key: str | None) -> RecipientPart | None:
        """A recipient by key."""
        return self._recipients.get(key or "")

    def longer(self, cell: Adherence) -> str:
        """The other purposes that need the same datum, and so may keep it longer."""
        told = [
            f"{self.activity(term.activity)} ({self.words.term(term)}, {term.rule})" if term else name
            for name, term in ((name, self._terms.get(name)) for name in cell.also_needed_by)
        ]
        return self.words("text.longer" if cell.rules else "text.others", terms="; ".join(told))

    def activity(self, key: str | None) -> str:
        """An activity's title, its key where it has none."""
        found = self._activities.get(key or "")
        return found.title or found.key if found else self.words.word("none", key)

    def recipient(self, key: str | None) -> str:
        """A recipient's name; words for nobody, unknown and our own."""
        found = self.party(key)
        if found is not None:
            return found.name
        if key == "own":
            return self.words("text.own")
        return self.words.word("recipient", key) if key is not None else self.words("common.own_system")

    def place(self, key: str | None) -> str:
        """A place's title."""
        found = self.part(key)
        return found.title if found else self.words.word("none", key)

    def dataset(self, full: str) -> str:
        """The title of ``location.dataset``."""
        location, _, dataset = full.partition(".")
        return self.dataset_title(location, dataset)

    def transfers(self, activity: ActivityPart) -> list[str]:
        """Transfers to third countries that the activity's recipients bring."""
        words, found = self.words, []
        for key in activity.recipients:
            recipient = self.party(key)
            if recipient is None or recipient.transfer_country is None:
                continue
            safeguard = self.safeguard(recipient) if recipient.safeguard else words("text.no_safeguard")
            country = self.country(recipient.transfer_country)
            found.append(words("text.transfer_line", name=recipient.name, country=country, safeguard=safeguard))
        return found

    def safeguard(self, recipient: RecipientPart) -> str:
        """What carries a transfer, and since when it no longer does."""
        name = self.words.label("safeguard", recipient.safeguard)
        if recipient.safeguard_ended_on is None:
            return name
        return self.words("text.safeguard_ended", name=name, day=self.words.day(recipient.safeguard_ended_on))

    def country(self, code: str | None) -> str:
        """A country in words; ``unknown`` is one too."""
        return self.words("common.unknown") if code in {None, "unknown"} else self.words.country(code)

    def day_of(self, instant: datetime) -> date:
        """The calendar day of an instant in the controller's zone."""
        return instant.astimezone(self.words.zone).date()

    def span(self, run: RunSummary) -> str:
        """From when to when a run went on, the day said once where it is the same."""
        started, ended = self.words.instant(run.started_at), run.ended_at
        if ended is None:
            return started
        is_same_day = self.day_of(ended) == self.day_of(run.started_at)
        return f"{started} \N{EN DASH} {self.words.time(ended) if is_same_day else self.words.instant(ended)}"

    def labels(self, kind: str, keys: tuple[str, ...]) -> list[str]:
        """Labels of vocabulary entries."""
        return [self.words.label(kind, key) for key in keys]

    def measures(self, texts: tuple[str, ...]) -> list[str]:
        """Security measures in words."""
        return [self.words.measure(text) for text in texts]

    def language_names(self, codes: tuple[str, ...]) -> list[str]:
        """Names of languages."""
        return [self.words.language(code) for code in codes]

    def categories(self, keys: tuple[str, ...]) -> str:
        """Labels of data categories, in a row."""
        return ", ".join(self.category(key) for key in keys)

    def states_used(self) -> list[str]:
        """The states that the picture shows, best first."""
        used = {row.adherence.state for activity in self.document.activities for row in activity.rows}
        return [state for state in reversed(State) if state in used]

    def other_counts(self, counts: Counts) -> list[tuple[str, str]]:
        """The counts without a column of their own, where they are not zero."""
        names = [name for name in COUNTED if name not in self.numeric]
        return [
            (self.words.number(count), self.words.counted("counted", name, count))
            for name, count in ((name, getattr(counts, name)) for name in names)
            if count
        ]

    def run_counts(self, target: RunTarget) -> str:
        """What a run found and did in one target."""
        words = self.words
        counts = [(name, getattr(target, name)) for name in _RUN_COUNTS]
        told = [f"{words.number(count)} {words.counted('counted', name, count)}" for name, count in counts if count]
        told += [self.outcomes(target.outcomes)] if target.outcomes else []
        told += [words.word("stop", target.stopped_by)] if target.stopped_by else []
        return "; ".join(told) or words("common.none")

    def details(self, run: RunSummary) -> list[RunTarget]:
        """The targets of a run that say anything."""
        return [t for t in run.targets if t.due or t.outcomes or t.stopped_by]

    def masks(self, term: TermPart) -> str:
        """Masks in words, such as "geboortedatum: enkel het jaar"."""
        words = self.words
        return "; ".join(
            words("text.mask_line", category=self.category(category), mask=words.word("mask", mask))
            for category, mask in term.masks
        )

    def points(self, group: str) -> Mapping[str, str]:
        """The headings of an Art. 30 paragraph, by letter."""
        prefix = f"{group}."
        return {key.removeprefix(prefix): text for key, text in self.words.texts.items() if key.startswith(prefix)}
