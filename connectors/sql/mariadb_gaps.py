"""Dates that no calendar has, found in MariaDB and MySQL by an index that is hardly looked at.

An index has ``2020-00-10`` before the first of January, ``2020-05-00`` before the first of May and ``2020-02-31`` after
the last of February: in the gap between two months, where no date of the calendar is. So looking into one gap a month
tells at once what a function of each date tells only when all of them have been read. Invariant: a date of the calendar
is in no gap, and any other one is in one.
"""

from __future__ import annotations

from calendar import monthrange
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select

from connectors.sql.catalogue import Kind, bound

_MOST_YEARS = 80
"""A column with dates further apart is rather read."""


def gaps_between_months(
    connection: Connection, own: FromClause, column: ColumnElement[Any], kind: Kind, between: tuple[str, str]
) -> list[ColumnElement[bool]] | None:
    """Return conditions, each one range of an index on the column, of which one at least holds for each date (``DATE``
    or ``NAIVE``) from the first to the last of ``between`` that no calendar has; None where they would be too many."""
    is_between = column >= bound(between[0]), column <= bound(between[1])
    # Two statements within one: each is answered by an end of the index.
    ends = (select(end(column)).select_from(own).where(*is_between).scalar_subquery() for end in (func.min, func.max))
    oldest, newest = connection.execute(select(*ends)).one()
    if oldest is None or newest is None:
        return []
    first, last = (_month(str(text)) for text in (oldest, newest))
    if last - first > 12 * _MOST_YEARS:
        return None
    return [
        and_(column > bound(_last_moment(month - 1, kind)), column < bound(_first_day(month)))
        for month in range(first, last + 2)
    ]


def _month(written: str) -> int:
    """Return the month of a date as a number; of one without a month the January before which it stands."""
    return int(written[:4]) * 12 + max(int(written[5:7]), 1) - 1


def _first_day(month: int) -> str:
    year, number = divmod(month, 12)
    return f"{year:04}-{number + 1:02}-01"


def _last_moment(month: int, kind: Kind) -> str:
    year, number = divmod(month, 12)
    day = f"{year:04}-{number + 1:02}-{monthrange(max(year, 1), number + 1)[1]}"
    return day if kind is Kind.DATE else f"{day} 23:59:59.999999"
