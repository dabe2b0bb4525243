"""``ropa reapply``: one run that looks at a location after a restore, plans what came back, and says what it found.

Invariant: it erases nothing; what cannot be known (a key that is lost or destroyed) is said, never taken for "nothing".
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import CallError, CheckError, Finding, LocationError, Severity
from ropa.sweep import findings, review, tombstones
from ropa.sweep.journal import writing
from ropa.sweep.night import Result, ending
from ropa.sweep.place import Progress
from ropa.sweep.reapply import Reapplier
from ropa.sweep.run import Run
from ropa.sweep.scope import Scope, check_call
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id
from ropa.sweep.tables import BatchRow, TombstoneKey

_NOTHING_KNOWN = "Plan the location as a whole: `ropa plan`; what is past its period is found without tombstones."


def check_location(site: Site, location: str) -> None:
    """Raise CallError for a location that is unknown, that nothing enforces, or that keeps no tombstones."""
    known = site.config.locations.get(location)
    if known is None:
        raise CallError(
            f"there is no location {location!r} in config/retention.toml",
            next_step=f"Known: {', '.join(sorted(site.config.locations)) or 'none'}.",
        )
    if location not in site.enforcing:
        raise CallError(f"nothing is erased at {location} by this program, so nothing can have come back")
    if known.backups_kept is None:
        raise CallError(
            f'{location} has backups_kept = "none": what was erased there cannot be recognised',
            next_step=_NOTHING_KNOWN,
        )


def reapply(
    site: Site, location: str, *, by: str, reason: str | None = None, progress: Progress | None = None
) -> Result:
    """Find what came back to a location and plan it; ``ropa.reapply/1``.

    Raises CallError as ``check_location`` does, CheckError where nothing that was erased can be recognised any more,
    LocationError where the location cannot be read wholly, and what ``writing`` raises.
    """
    check_location(site, location)
    check_call(site, Scope(as_of=site.today(), reapplies=location))
    with writing(site) as journal:
        review.lapse_old_plans(site)
        since = _known_since(site, location)
        author = actor_id(site, by)
        planner = Reapplier(site, journal, location, author=author, progress=progress)
        run = Run.start(journal, "plan", actor=author, reason=reason)
        with ending(run):
            plan_id = planner.write(run.id)
            findings.record(site, f"reapply:{location}", _findings(planner))
            journal.append("reapply", run=run.id, actor=author, location=location, **_counts(planner))
    plan = review.get_plan(site, plan_id) if plan_id else None
    document = {
        "schema": "ropa.reapply/1",
        "location": location,
        "known_since": since.isoformat() if since else None,
        "unreadable": planner.unreadable,
        "plan": plan_id or None,
        "digest": f"sha256:{plan.digest}" if plan else None,
        "complete": plan is None or plan.is_complete,
        "datasets": [
            {
                "dataset": f"{location}.{name}",
                "tombstones": seen.tombstones,
                "came_back": seen.came_back,
                "planned": seen.planned,
                "left": {why: count for why, count in sorted(seen.left.items()) if count},
            }
            for name, seen in planner.seen.items()
        ],
    }
    code = LocationError.exit_code if not document["complete"] else 3 if planner.unreadable else 0
    return Result(document, code)


def _known_since(site: Site, location: str) -> date | None:
    """Return the day since which what was erased is known; None where nothing ever was. Raises CheckError where
    something was, and nothing of it can be recognised."""
    keys = tombstones.keys_of(site, location)
    readable = [row.since for row, secret in keys if secret is not None]
    if readable:
        return min(readable)
    with Session(site.engine) as session:
        was_known = session.scalar(
            select(col(TombstoneKey.name)).where(col(TombstoneKey.location) == location).limit(1)
        )
        told = session.scalars(select(col(BatchRow.outcomes)).where(col(BatchRow.location) == location))
        has_erased = any(outcomes.get(word) for outcomes in told for word in tombstones.GONE)
    if not (was_known or has_erased):
        return None
    why = "the keys of its tombstones are lost" if keys else "the tombstones have been destroyed, or none were kept"
    raise CheckError(
        f"what was erased at {location} cannot be recognised any more: {why}",
        next_step=_NOTHING_KNOWN,
        code="tombstones-gone",
    )


def _counts(planner: Reapplier) -> dict[str, Any]:
    seen = planner.seen.values()
    return {
        "came_back": sum(one.came_back for one in seen),
        "planned": sum(one.planned for one in seen),
        "unreadable": planner.unreadable,
    }


_LEFT = {
    "not-due": (
        "bear the key of one that was erased, but the rule that erased it is not due for them. They are not planned.",
        "New records under an old key may stay. If the rule was changed, see `ropa explain` why they are not due.",
    ),
    "parent-not-planned": (
        "had gone with the record they belong to, and are there without one that goes. They are not planned.",
        "Look whether they were restored by themselves; remove them at the place, or give them a rule of their own.",
    ),
    "rule-gone": (
        "were erased under a rule that is no longer in config/retention.toml. They are not planned.",
        "Write a rule that covers them, then `ropa plan`.",
    ),
    "dataset-gone": (
        "were erased from a dataset that is no longer in config/retention.toml: whether they came back is not known.",
        "Put the dataset back into config/retention.toml and run `ropa reapply` again.",
    ),
}


def _findings(planner: Reapplier) -> list[Finding]:
    found = []
    for name, seen in planner.seen.items():
        entry = f"{planner.location}.{name}"
        if seen.planned:
            found.append(
                Finding(
                    "restored",
                    Severity.ERROR,
                    entry,
                    f"{seen.planned} records that had been erased are there again; plan {planner.plan_id} has them.",
                    f"Read it with `ropa plan show {planner.plan_id}`, approve and apply it.",
                )
            )
        for why, count in sorted(seen.left.items()):
            if count:
                message, fix = _LEFT[why]
                found.append(Finding("restored", Severity.ERROR, f"{entry} ({why})", f"{count} records {message}", fix))
    return found
