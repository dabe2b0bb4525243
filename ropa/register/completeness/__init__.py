"""Whether the register is complete (GDPR Art. 30), and register, places, rules and published policy agree.

Everything is asked of values that are already in hand: no source is reached and nothing is changed. Invariant: the same
register, configuration and day give the same findings in the same order; each names its entry and what to do.
"""

from __future__ import annotations

from datetime import date

from ropa.config.models import Config
from ropa.errors import Finding, Severity
from ropa.register.completeness.activities import check_activities
from ropa.register.completeness.case import Case
from ropa.register.completeness.codes import CODES
from ropa.register.completeness.organisation import check_organisation
from ropa.register.completeness.recipients import check_cookies, check_recipients
from ropa.register.completeness.references import check_references
from ropa.register.models import Register

__all__ = ["CODES", "check"]

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def check(register: Register, config: Config | None, *, today: date) -> list[Finding]:
    """Return what a person must look at: errors first, then warnings, then notes, each in the order of the register.

    ``config``: the places and rules; None stands for none at all, so that every category lacks a period.
    """
    case = Case(register, config, today)
    checks = (check_organisation, check_activities, check_recipients, check_cookies, check_references)
    found = [one for part in checks for one in part(case)]
    return sorted(found, key=lambda one: _RANK[one.severity])
