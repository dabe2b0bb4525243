"""What is fetched of a row, and where it stands in what comes back. Invariant: each expression is fetched once."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement

from connectors.sql.backend import Row


class Fetched:
    """What is fetched of the rows of a statement: every expression once, and where it stands."""

    def __init__(self) -> None:
        self.expressions: list[ColumnElement[Any]] = []
        self._places: dict[int, int] = {}

    def add(self, expressions: Sequence[ColumnElement[Any]]) -> tuple[int, ...]:
        """Return the places of expressions, which are fetched from now on."""
        for expression in expressions:
            if id(expression) not in self._places:
                self._places[id(expression)] = len(self.expressions)
                self.expressions.append(expression)
        return tuple(self._places[id(expression)] for expression in expressions)


def taken(rows: list[Row], places: tuple[int, ...], width: int) -> list[Row]:
    """Return these places of each row, of ``width`` places; the rows themselves where that is all of them."""
    if places == tuple(range(width)):
        return rows
    return list(map(taker(places), rows))


def taker(places: Sequence[int]) -> Any:
    """Return the function that takes these places of a row, always as a tuple."""
    if len(places) == 1:
        only = places[0]
        return lambda row: (row[only],)
    return itemgetter(*places) if places else lambda _row: ()
