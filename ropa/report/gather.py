"""From an opened project folder to the report.

Invariant: gathering reads only: the register, the policy, the run tables and the ledger; no place is asked anything.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ropa.errors import Finding, Severity
from ropa.ledger.verify import Verification
from ropa.register import RegisterStore
from ropa.report.build import build
from ropa.report.model import Document, Evidence, HoldCount
from ropa.retention import is_overdue_for_review
from ropa.sweep.adherence import adherence
from ropa.sweep.check import offline_findings
from ropa.sweep.evidence import verify_site
from ropa.sweep.findings import open_findings
from ropa.sweep.history import runs
from ropa.sweep.holds import active_holds
from ropa.sweep.site import Site
from ropa.sweep.standing import standings


def gather(site: Site) -> Document:
    """Return the document of this moment. Raises LedgerError where the holds cannot be read."""
    revision, register = site.register()
    today = site.today()
    documented = frozenset(name for name in site.config.locations if name not in site.enforcing)
    return build(
        register=register,
        revision=revision,
        config=site.config,
        standings=standings(site.engine, site.config, site.targets, today=today, documented=documented),
        adherence=adherence(site.engine, site.config, site.targets, register, today=today, documented=documented),
        runs=runs(site.engine),
        findings=findings_of(site),
        holds=holds_of(site),
        evidence=evidence_of(site),
        now=site.now(),
        documented=documented,
        dated=RegisterStore(site.engine).dated(revision, site.config.timezone),
    )


def findings_of(site: Site) -> list[Finding]:
    """Return the open findings, and those that the register and the policy show now, each once; errors first."""
    kept = [Finding(row.code, Severity(row.severity), row.entry, row.message, row.fix) for row in open_findings(site)]
    found = {(finding.code, finding.entry): finding for finding in [*kept, *offline_findings(site)]}
    order = list(Severity)
    return sorted(found.values(), key=lambda finding: (order.index(finding.severity), finding.entry, finding.code))


def holds_of(site: Site) -> list[HoldCount]:
    """Return how many holds are in force by reason and kind; never on whom."""
    held = active_holds(site)
    counts = Counter((hold.reason, hold.kind) for hold in held)
    late = Counter((hold.reason, hold.kind) for hold in held if is_overdue_for_review(hold, site.today()))
    return [
        HoldCount(reason=reason, kind=kind, count=count, past_review=late[reason, kind])
        for (reason, kind), count in counts.items()
    ]


def evidence_of(site: Site) -> Evidence | None:
    """Return what the ledger is worth at this moment, verified whole; None where there is none yet."""
    if not (site.ledger_folder / "events.jsonl").is_file():
        return None
    found: Verification = verify_site(site)
    return Evidence(
        origin=found.origin,
        size=found.size,
        root=base64.b64encode(bytes.fromhex(found.root)).decode("ascii"),
        checkpoint_text=_newest_checkpoint(site.ledger_folder),
        public_key_fingerprint=", ".join(fingerprints(site.ledger_folder)),
        is_sound=found.is_sound,
        problems=tuple(str(problem) for problem in found.problems),
        open_intents=len(found.open_intents),
        open_in=_datasets_of(site.ledger_folder, found.open_intents),
    )


def _datasets_of(folder: Path, intents: Collection[int]) -> tuple[tuple[str, int], ...]:
    """Return ``location.dataset`` of the lines with these numbers, and how many each has; a line that cannot be read is
    left out."""
    wanted, counts = frozenset(intents), Counter[str]()
    if not wanted:
        return ()
    with (folder / "events.jsonl").open("rb") as lines:
        for seq, line in enumerate(lines):
            if seq in wanted:
                with suppress(ValueError, KeyError, TypeError):
                    event = json.loads(line)
                    counts[f"{event['location']}.{event['dataset']}"] += 1
    return tuple(sorted(counts.items()))


def _newest_checkpoint(folder: Path) -> str:
    names = sorted(path.name for path in (folder / "checkpoints").glob("[0-9]*"))
    return (folder / "checkpoints" / names[-1]).read_text(encoding="utf-8", errors="replace") if names else ""


def fingerprints(folder: Path) -> list[str]:
    """Return ``sha256:`` and 64 hex digits of each public key of a ledger, the first key first.

    Over the DER form, as ``openssl pkey -pubin -in public.pem -outform DER | sha256sum`` tells it.
    """
    found = []
    for path in sorted(folder.glob("public*.pem"), key=lambda path: (path.name != "public.pem", path.name)):
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
        try:
            der = base64.b64decode("".join(line for line in lines if not line.startswith("-")), validate=True)
        except ValueError:
            continue
        found.append(f"sha256:{sha256(der).hexdigest()}")
    return found
