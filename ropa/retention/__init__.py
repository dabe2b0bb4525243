"""When data must go: periods, rules, holds, precedence. Pure: no I/O, no clock, no tables."""

from ropa.retention.compile import compile_policy, conflicts, rules_of
from ropa.retention.coverage import partly_covered, rule_revision, uncovered
from ropa.retention.explain import Explanation, explain_record
from ropa.retention.forgetting import Forgotten, How, forgotten
from ropa.retention.holds import REASON_CODES, Coverage, Hold, covering, is_overdue_for_review
from ropa.retention.periods import cutoff, due_on, is_due
from ropa.retention.targets import Target, cutoffs, due_on_record, select

__all__ = [
    "REASON_CODES",
    "Coverage",
    "Explanation",
    "Forgotten",
    "Hold",
    "How",
    "Target",
    "compile_policy",
    "conflicts",
    "covering",
    "cutoff",
    "cutoffs",
    "due_on",
    "due_on_record",
    "explain_record",
    "forgotten",
    "is_due",
    "is_overdue_for_review",
    "partly_covered",
    "rule_revision",
    "rules_of",
    "select",
    "uncovered",
]
