"""The workbook's sheets: each part of the document as a table with one header row, in the order of reading."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.report.sheets import activities, evidence, policy, runs, summary
from ropa.report.view import View
from ropa.report.workbook import Table


def tables(view: View) -> Iterator[Table]:
    """Yield every sheet."""
    yield from summary.tables(view)
    yield from activities.tables(view)
    yield from policy.tables(view)
    yield from runs.tables(view)
    yield from evidence.tables(view)
