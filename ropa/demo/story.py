"""The story of the demonstration: the whole loop on generated people, told as it goes.

Invariant: it only calls what the commands call, on a folder of its own; every number it tells was read back from a run,
a plan or the ledger.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ropa.demo.data import Summary, generate
from ropa.demo.example import example_folder
from ropa.errors import CallError
from ropa.sweep import check, evidence, holds, night, review, show
from ropa.sweep.explain import explain
from ropa.sweep.journal import writing
from ropa.sweep.scope import Scope
from ropa.sweep.site import Site
from ropa.sweep.status import status

OFFICER = "Demo privacy officer"
EXAMPLE = "webassur"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Told:
    """What the story came to."""

    document: dict[str, Any]
    """``ropa.demo/1``."""
    is_whole: bool
    """Whether every step did what it should."""


def prepare(folder: Path, say: Say) -> None:
    """Make the folder, with the example's register and rules. Raises CallError for a folder in use."""
    if folder.exists() and any(folder.iterdir()):
        raise CallError(f"{folder} is not empty", next_step="Name a new folder: `ropa demo DIR`.")
    folder.mkdir(parents=True, exist_ok=True)
    source = example_folder(EXAMPLE)
    (folder / "config").mkdir()
    shutil.copyfile(source / "config" / "retention.toml", folder / "config" / "retention.toml")
    shutil.copyfile(source / "register.toml", folder / "register.toml")
    say("1. The privacy policy of a Ghent web agency, as a register and as rules:")
    say(f"   {folder / 'register.toml'}")
    say(f"   {folder / 'config' / 'retention.toml'}")


def fill(folder: Path, say: Say, *, today: date) -> Summary:
    """Generate the places: people nobody knows, with ages counted from ``today``."""
    summary = generate(folder, today=today)
    say(
        f"2. Generated people (nobody real): {sum(summary.rows.values()):,} rows in a customer database, "
        f"{summary.records['cvs.applications']:,} CVs, {summary.log_lines:,} lines of web logs."
    )
    return summary


def tell(site: Site, summary: Summary, say: Say) -> Told:
    """Run the loop on a prepared folder: check, hold, plan, approve, apply, sweep, prove, verify."""
    findings = check.document(check.offline_findings(site))["findings"]
    counts = {level: sum(1 for f in findings if f["severity"] == level) for level in ("error", "warning", "note")}
    say(
        f"3. `ropa check` reads the register against the law: {counts['error']} errors, {counts['warning']} "
        f"warnings. The first:"
    )
    for finding in findings[:3]:
        say(f"   - {finding['entry']}: {finding['message']}")
    held = summary.held
    holds.add(site, kind="subject", target=held.email, key=None, reason="litigation", by=OFFICER)
    say("4. A legal hold on one customer who is in a dispute: nothing of theirs may go.")
    plan_id = night.make_plan(site, Scope(as_of=site.today()), by=OFFICER)
    planned = show.plan_document(site, plan_id)
    say(f"5. `ropa plan` asks each place what is past its limit (plan {plan_id}, nothing is touched):")
    for target in planned["targets"]:
        say(f"   {_target_words(target)}")
    explained = explain(site, summary.overlapping.dataset, summary.overlapping.key, site.today())
    kept = [e["category"] for e in explained["data"] if e["state"] == "kept"]
    due = [e["category"] for e in explained["data"] if e["state"] == "due"]
    say(f"   Purposes overlap: of one customer {' and '.join(due) or 'nothing'} must go; {', '.join(kept)} stay.")
    with writing(site) as journal:
        review.approve(journal, plan_id, by=OFFICER, reason="demonstration", digest=planned["digest"])
        journal.checkpoint()
    say(f"6. A named person approves exactly that: {planned['digest'][:23]}…")
    applied = night.apply_plan(site, plan_id)
    say(
        f"7. `ropa apply` erases it, each record checked again at that moment: "
        f"{_outcome_words(applied.document['outcomes'])}."
    )
    swept = night.sweep(site, by=OFFICER)
    left = sum(
        t["records"] for t in show.plan_document(site, swept.document["plan"])["targets"] if t["approval"] == "needed"
    )
    say(
        f"8. `ropa sweep`, the nightly job, finds {left} left to do; flagged for a person: "
        f"{swept.document['outcomes'].get('flagged', 0)}."
    )
    proofs = evidence.prove_record(site, summary.purged.dataset, summary.purged.key)
    say(
        f"9. `ropa ledger prove` shows that one customer was {proofs[0]['outcome']} at {proofs[0]['at']}, "
        f"with no name in it."
    )
    verified = evidence.verify_site(site)
    say(
        f"10. `ropa ledger verify`: {'sound' if verified.is_sound else 'BROKEN'}, {verified.size} signed "
        f"lines of evidence."
    )
    state = status(site)
    say(
        f"11. `ropa status`: {state['overdue']} overdue, {state['held']} held, {state['blocked']} blocked by "
        f"other records."
    )
    document = {
        "schema": "ropa.demo/1",
        "folder": str(site.folder),
        "findings": counts,
        "plan": planned,
        "applied": applied.document,
        "swept": swept.document,
        "ledger": evidence.verification_document(verified),
        "status": state,
    }
    return Told(document, verified.is_sound and applied.exit_code == 0 and swept.exit_code == 0 and left == 0)


def _target_words(target: dict[str, Any]) -> str:
    what = "whole records" if target["scope"] == "row" else " and ".join(target["data"])
    parts = [f"{target['dataset']}: {target['action']} {what}: {target['records']:,} of {target['population'] or 0:,}"]
    parts += [f"{target[word]} {text}" for word, text in _ASIDE.items() if target[word]]
    return ", ".join(parts)


_ASIDE = {"held": "on hold", "blocked": "blocked", "unanchored": "without a date that can be read"}


def _outcome_words(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in outcomes.items()) or "nothing"
