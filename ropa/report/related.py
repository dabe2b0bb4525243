"""Which parts of the document concern which row: for a format of rows alone, in which every fact must find one.

Invariant: a part that concerns no row is left over, never lost; what concerns several rows stands with each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from ropa.clock import timestamp
from ropa.errors import Finding
from ropa.report.facts import Value, facts
from ropa.report.json import to_data
from ropa.report.model import ActivityPart, Document, RowPart
from ropa.sweep.history import RunSummary, RunTarget

_LARGEST_CELL = 30_000
"""Characters; a spreadsheet's cell holds 32,767."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunHere:
    """What a run did in one target, with the run that it was."""

    run: str
    did: RunTarget


class Related:
    """Finds the parts that concern a row, and remembers which were found."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.told: set[tuple[str, Any]] = set()
        self.recipients = {part.key: part for part in document.recipients}
        self.places = {part.key: part for part in document.places}
        self.terms = {part.rule: part for part in document.terms}
        self.standings = {part.identity: part for part in document.standings}
        self.categories = {part.key: part for part in document.categories}
        self.cookies = _grouped((part.activity, (i, part)) for i, part in enumerate(document.cookies))
        self.findings = _grouped((_about(part), (i, part)) for i, part in enumerate(document.findings))
        self.runs = _grouped(
            ((did.location, did.dataset), ((run.id, i), _RunHere(run=run.id, did=did)))
            for run in document.runs
            for i, did in enumerate(run.targets)
        )

    def of(self, activity: ActivityPart, row: RowPart | None) -> dict[str, str]:
        """Return the facts of what concerns a row, by column."""
        cell = row.adherence if row else None
        rules = [*cell.rules, *cell.also_needed_by] if cell else list(activity.rules)
        matters = [f"activity.{activity.key}", *(f"recipient.{key}" for key in activity.recipients)]
        matters += [f"rule.{rule}" for rule in rules]
        here: list[Any] = []
        ran: list[tuple[Any, Any]] = []
        if cell is not None and cell.location is not None:
            matters += [f"location.{cell.location}", f"{cell.location}.{cell.dataset}"]
            here = self._place(cell.location, cell.dataset)
            ran = [
                (name, part)
                for name, part in self.runs.get((cell.location, cell.dataset), [])
                if set(part.did.rules) & set(cell.rules)
            ]
        cookies = self.cookies.get(activity.key, [])
        matters += [f"cookie.{cookie.name}" for _, cookie in cookies]
        found = [pair for matter in dict.fromkeys(matters) for pair in self.findings.get(matter, [])]
        return {
            "recipient_facts": _text(self._known("recipient", self.recipients, activity.recipients)),
            "place_facts": _text(here),
            "rule_facts": _text(self._known("term", self.terms, rules)),
            "target_facts": _text(self._known("standing", self.standings, cell.targets if cell else ())),
            "run_facts": _text(self._tell("run", ran)),
            "cookie_facts": _text(self._tell("cookie", cookies)),
            "category_facts": _text(self._known("category", self.categories, (row.category,) if row else ())),
            "finding_facts": _text(self._tell("finding", found)),
        }

    def left_over(self) -> list[str]:
        """Return the facts that ``of`` has not told, as texts that fit a cell each; asked when every row is told."""
        document = self.document
        rest = replace(
            document,
            activities=(),
            recipients=tuple(part for part in document.recipients if ("recipient", part.key) not in self.told),
            places=tuple(self._unnamed_places()),
            terms=tuple(part for part in document.terms if ("term", part.rule) not in self.told),
            standings=tuple(part for part in document.standings if ("standing", part.identity) not in self.told),
            categories=tuple(part for part in document.categories if ("category", part.key) not in self.told),
            cookies=tuple(part for i, part in enumerate(document.cookies) if ("cookie", i) not in self.told),
            findings=tuple(part for i, part in enumerate(document.findings) if ("finding", i) not in self.told),
            runs=tuple(replace(run, targets=tuple(self._unnamed_targets(run))) for run in document.runs),
        )
        cells = [""]
        for said in (f"{fact.path}={_plain(fact.value)}" for fact in facts(rest)):
            if cells[-1] and len(cells[-1]) + len(said) > _LARGEST_CELL:
                cells.append("")
            cells[-1] += f"; {said}" if cells[-1] else said
        return cells

    def _known(self, kind: str, parts: dict[str, Any], keys: Iterable[str]) -> list[Any]:
        return self._tell(kind, [(key, parts[key]) for key in dict.fromkeys(keys) if key in parts])

    def _tell(self, kind: str, found: Iterable[tuple[Any, Any]]) -> list[Any]:
        chosen = list(found)
        self.told |= {(kind, name) for name, _ in chosen}
        return [part for _, part in chosen]

    def _place(self, location: str, dataset: str | None) -> list[Any]:
        """A place with the one dataset of the row."""
        place = self.places.get(location)
        if place is None:
            return []
        self.told |= {("place", location), ("dataset", (location, dataset))}
        return [replace(place, datasets=tuple(part for part in place.datasets if part.name == dataset))]

    def _unnamed_targets(self, run: RunSummary) -> Iterator[RunTarget]:
        return (did for i, did in enumerate(run.targets) if ("run", (run.id, i)) not in self.told)

    def _unnamed_places(self) -> Iterator[Any]:
        for place in self.document.places:
            unnamed = tuple(part for part in place.datasets if ("dataset", (place.key, part.name)) not in self.told)
            if unnamed or ("place", place.key) not in self.told:
                yield replace(place, datasets=unnamed)


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for key, part in pairs:
        found.setdefault(key, []).append(part)
    return found


def _about(finding: Finding) -> str:
    """What a finding is about: ``activity.intake`` of ``activity.intake.data.name``, ``crm.contacts`` of its rules'."""
    return ".".join(finding.entry.partition(" ")[0].split(".")[:2])


def _text(parts: Iterable[Any]) -> str:
    """Return parts in a cell: ``field=value``, parts set apart by a bar."""
    return " | ".join(map(line_of, parts))


def line_of(part: Any) -> str:
    """Return the facts of a part in a line, as ``field=value``."""
    return "; ".join(f"{fact.path}={_plain(fact.value)}" for fact in facts(part))


def _plain(value: Value) -> str:
    """A value as JSON has it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return timestamp(value)
    return value.isoformat() if isinstance(value, date) else str(to_data(value))
