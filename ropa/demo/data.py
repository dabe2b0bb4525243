"""The places of the demonstration: a customer database, applications of candidates, the web server's logs.

Invariant: the same ``today`` and ``seed`` give the same bytes; everything is below the folder that was asked for, and a
folder that already holds data is refused rather than written over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ropa.demo.crm import write_crm
from ropa.demo.files import write_applications
from ropa.demo.model import Candidate
from ropa.demo.visits import write_logs
from ropa.errors import CallError

__all__ = ["Candidate", "Summary", "generate"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What was generated, so that the story can be told and checked."""

    folder: Path
    today: date
    rows: Mapping[str, int]
    """Rows per table of ``data/crm.sqlite``."""
    records: Mapping[str, int]
    """Records per dataset that is no table: files of ``cvs.applications``, ranges of lines of ``weblog.access``."""
    log_lines: int
    """Lines of the web server's logs."""
    due: Mapping[str, int]
    """Per rule of the example: records whose period under that rule has ended and that still hold what it covers. What
    another rule, a hold or a reference keeps back is counted too; ``invoice-lines`` go with their invoices."""
    undated: Mapping[str, int]
    """Per ``dataset:anchor``: records whose date is missing, unreadable or in the future."""
    held: Candidate
    """A customer who is due, for whom the story places a legal hold."""
    blocked: Candidate
    """A customer who is due but to whom an invoice that is not due refers."""
    purged: Candidate
    """A customer who is due and whom nothing holds."""
    overlapping: Candidate
    """A customer whose birth date and telephone go while name, address and account stay for the tax office."""


def generate(folder: Path, *, today: date, seed: int = 7) -> Summary:
    """Create ``data/crm.sqlite``, ``data/cvs`` and ``data/logs`` in ``folder`` and tell what is in them.

    ``today``: the day that ages are counted from. Raises CallError when the folder already has data in it.
    """
    data = folder / "data"
    if data.exists():
        raise CallError(f"{data} already exists", next_step="choose a new folder for the demonstration")
    data.mkdir(parents=True)
    crm = write_crm(data / "crm.sqlite", today=today, seed=seed)
    cvs, cvs_due, cvs_undated = write_applications(data / "cvs", today=today, seed=seed)
    logs = write_logs(data / "logs", today=today, seed=seed)
    return Summary(
        folder=folder,
        today=today,
        rows=crm.rows,
        records={"cvs.applications": cvs, "weblog.access": logs.ranges},
        log_lines=logs.lines,
        due={**crm.due, "applications": cvs_due, "access-logs": logs.due},
        undated={**crm.undated, "cvs.applications:applied": cvs_undated, "weblog.access:line": logs.undated},
        held=crm.candidates["held"],
        blocked=crm.candidates["blocked"],
        purged=crm.candidates["purged"],
        overlapping=crm.candidates["overlapping"],
    )
