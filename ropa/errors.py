"""The error tree: one root, grouped by what the caller should do next, each group with its exit code.

    RopaError (1)                      unexpected, or a check fell short
      CallError (2)                    the call is wrong; nothing was touched
        ConfigurationError (2)         the configuration is wrong; carries every problem, each with its key path
        RegisterError (2)              a register text is wrong; carries every problem
      CheckError (1)                   asked about something that is not there, or a check that fell short
      RefusedError (4)                 a safety rule said no; nothing was done
      LocationError (5)                a place cannot be reached or denies access
        IncompleteListingError (5)     a place answered, but not wholly; nothing may be concluded from it
      LedgerError (6)                  the evidence or the run database is broken, missing or behind: everything stops
      BusyError (75)                   another run is under way

Invariant: errors carry facts (ids, counts, codes, key paths) and never a value of a record, a secret or a URL with a
query; they never print. Only ``ropa.cli`` turns them into words. Trouble with one record is an outcome, not an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: where it stands, what is wrong, and what was probably meant."""

    path: str
    """Key path, ``sheet!row`` or file, e.g. ``rule.prospects.period``."""
    message: str
    """What is wrong, without the offending secret or personal value."""
    suggestion: str | None = None
    """The key or value that was probably meant, where it can be guessed."""

    def __str__(self) -> str:
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.path}: {self.message}{hint}"


class RopaError(Exception):
    """Something went wrong; see the subclass for what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, next_step: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        """What the user should do now, as one sentence."""
        self.code = code
        """A stable word for programs, e.g. ``cap-records``."""


class CallError(RopaError):
    """The call is wrong: an unknown plan, a missing option, a date that cannot be read. Nothing was touched."""

    exit_code = 2


class _ProblemsError(CallError):
    def __init__(
        self, message: str, problems: tuple[Problem, ...], *, next_step: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, next_step=next_step, code=code)
        self.problems = problems
        """Every problem found, in the order of the text."""


class ConfigurationError(_ProblemsError):
    """``config/retention.toml`` cannot be used; all problems are reported at once. Nothing was touched."""


class RegisterError(_ProblemsError):
    """A register text or change cannot be used; all problems are reported at once. Nothing was changed."""


class CheckError(RopaError):
    """A check fell short, or what was asked about is not there (``explain`` or ``prove`` of an absent record)."""

    exit_code = 1


class RefusedError(RopaError):
    """A safety rule refused; nothing was done. Approve, narrow or wait."""

    exit_code = 4


class LocationError(RopaError):
    """A location is unreachable or denies access."""

    exit_code = 5


class IncompleteListingError(LocationError):
    """A location answered, but not wholly: neither may be purged nor may "nothing due" be claimed."""


class LedgerError(RopaError):
    """The ledger or the run database is broken, missing or behind; everything stops until a person has looked."""

    exit_code = 6


class BusyError(RopaError):
    """Another run is under way on this database."""

    exit_code = 75


class Severity(StrEnum):
    """How much a finding matters: ``error`` fails ``ropa check``, ``warning`` and ``note`` do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person must look at. Carries ids, counts and codes; never a value of a record."""

    code: str
    """A stable word, e.g. ``category-without-period``."""
    severity: Severity
    entry: str
    """What it is about: ``activity.intake``, ``rule.prospects``, ``crm.contacts``, ``organisation.request_promise``."""
    message: str
    """What was found, as one sentence."""
    fix: str
    """What to do about it, as one sentence."""
