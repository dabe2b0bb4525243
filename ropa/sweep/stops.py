"""Why a target was stopped or has records that cannot go: what it means for the data, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ropa.errors import Finding, LocationError, Severity
from ropa.sweep.tables import TargetRow

log = logging.getLogger(__name__)

INCOMPLETE = frozenset({"unreachable", "incomplete-listing", "population-unknown"})


def plan_findings(rows: Iterable[TargetRow]) -> list[Finding]:
    """Return what a person must look at in a plan: undatable records, stopped targets, blocked records."""
    found: list[Finding] = []
    for row in rows:
        entry = f"{row.location}.{row.dataset}"
        rules = ", ".join(row.rules)
        if row.unanchored:
            found.append(
                Finding(
                    "no-anchor",
                    Severity.WARNING,
                    f"{entry} ({rules})",
                    f"{row.unanchored} records have no date that can be read, or one in the future: they are "
                    f"never due.",
                    "Mend the dates at the source, or declare how they are written (`format` of the anchor).",
                )
            )
        if row.stopped_by:
            message, fix = STOPS.get(row.stopped_by, ("stopped", "See `ropa plan show`."))
            found.append(
                Finding(
                    f"stopped-{row.stopped_by}",
                    Severity.ERROR,
                    f"{entry} ({rules})",
                    f"{row.records} records: {message}",
                    fix,
                )
            )
        found += [
            Finding(
                "blocked",
                Severity.WARNING,
                f"{entry} ({rules})",
                f"{count} records that are due cannot go: {reason}.",
                "Declare the rows that refer to them (`parent`), give them a rule of their own, or remove the "
                "obstacle.",
            )
            for reason, count in row.blockers.items()
        ]
    return found


STOPS = {
    "unreachable": ("the place could not be read.", "Check it with `ropa location check`, then plan again."),
    "incomplete-listing": (
        "the listing was not whole; nothing is concluded from it.",
        "Check the place, then plan again.",
    ),
    "population-unknown": ("the number of records there is unknown or 0.", "Check the place, then plan again."),
    "cap-records": (
        "more than the cap on records; nothing of it happens.",
        "Look at the plan; if it is right, raise the rule's max_records in config/retention.toml for this clean-up.",
    ),
    "cap-share": (
        "more than the cap on the share of the dataset; nothing of it happens.",
        "Look at the plan; if it is right, raise the rule's max_share in config/retention.toml for this clean-up.",
    ),
    "cap-7-days": ("more than the cap over 7 days; nothing of it happens.", "Wait, or raise max_records_7_days."),
    "source-clock": ("the source's clock differs by more than 5 minutes from ours.", "Set the clocks right."),
}
"""Why a target was stopped: what it means, and what to do."""


def say_why(error: LocationError) -> None:
    """Log why a place could not be read and what to do; the plan itself keeps a code only."""
    log.warning("%s", " ".join(filter(None, (f"{error.message.rstrip('.')}.", error.next_step))))
