"""What can be proved about ``where`` clauses without asking a source: which of them can hold together.

Invariant: only what is certain in every source counts as proved. Sources compare text without regard to case, accents
or spaces at the end, and numbers across types; so two values count as different only where no usual collation could
call them equal. What cannot be proved stays a condition of the question, and the source decides it.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ropa.connector import Condition, Scalar

Clause = tuple[Condition, ...]
"""The conditions of one ``where``, all of which must hold; the empty clause always holds."""

MAX_CLAUSES = 64
MAX_CELLS = 4096
"""As many as twelve clauses make that say nothing about each other."""


class TooManyCasesError(ValueError):
    """The clauses overlap in more ways than can be asked for one by one."""


def clause_key(clause: Clause) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """Return what two clauses share when they say the same in another order."""
    return tuple(sorted({(c.column, c.negated, tuple(sorted({_spell(v) for v in c.values}))) for c in clause}))


def is_impossible(conditions: Iterable[Condition]) -> bool:
    """Tell whether it is certain that no record can satisfy all of these."""
    known = _Known()
    return not all(known.learn(condition) for condition in conditions)


def is_satisfiable(match: Iterable[Condition], exclude: Iterable[Clause]) -> bool:
    """Tell whether a record might satisfy all of ``match`` and none of the ``exclude`` clauses wholly.

    False only where that is certain: an excluded clause of which all but one condition are known to hold gives the
    opposite of that one, and so on until nothing more follows.
    """
    known = _Known()
    if not all(known.learn(condition) for condition in match):
        return False
    undecided = list(exclude)
    has_news = True
    while has_news:
        has_news = False
        for clause in tuple(undecided):
            doubtful = [c for c in clause if known.allows(_opposite(c))]
            if not doubtful:
                return False
            if len(doubtful) == 1:
                known.learn(_opposite(doubtful[0]))
                undecided.remove(clause)
                has_news = True
    return True


def cells(clauses: Sequence[Clause]) -> list[frozenset[int]]:
    """Return every set of clauses (by position) that can be exactly the clauses a record satisfies.

    Each record lies in exactly one of them. Raises TooManyCasesError beyond MAX_CLAUSES clauses or MAX_CELLS sets.
    """
    if len(clauses) > MAX_CLAUSES:
        raise TooManyCasesError
    found: list[frozenset[int]] = [frozenset()]
    for position, clause in enumerate(clauses):
        grown: list[frozenset[int]] = []
        for cell in found:
            match = [c for i in sorted(cell) for c in clauses[i]]
            exclude = [clauses[i] for i in range(position) if i not in cell]
            if is_satisfiable([*match, *clause], exclude):
                grown.append(cell | {position})
            if is_satisfiable(match, [*exclude, clause]):
                grown.append(cell)
        if len(grown) > MAX_CELLS:
            raise TooManyCasesError
        found = grown
    return sorted(found, key=lambda cell: (sorted(cell) or [len(clauses)], len(cell)))


def may_be_equal(one: Scalar, other: Scalar) -> bool:
    """Tell whether some source could take two values for the same; NULL is like nothing but itself."""
    if one is None or other is None:
        return one is other
    if isinstance(one, str) and isinstance(other, str):
        return _fold(one) == _fold(other) or _is_same_number(one, other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return type(one) is not type(other) or one == other


def _opposite(condition: Condition) -> Condition:
    return replace(condition, negated=not condition.negated)


class _Known:
    """Conditions that hold together, column by column."""

    def __init__(self) -> None:
        self._wanted: dict[str, list[tuple[Scalar, ...]]] = defaultdict(list)
        self._refused: dict[str, set[str]] = defaultdict(set)

    def learn(self, condition: Condition) -> bool:
        """Add a condition; False where it is certain that it cannot hold beside the others."""
        is_allowed = self.allows(condition)
        if condition.negated:
            self._refused[condition.column].update(_spell(v) for v in condition.values)
        else:
            self._wanted[condition.column].append(condition.values)
        return is_allowed

    def allows(self, condition: Condition) -> bool:
        """Tell whether a condition might hold beside the others; False is certain."""
        lists = self._wanted.get(condition.column, [])
        refused = self._refused.get(condition.column, set())
        if not condition.negated:
            lists = [*lists, condition.values]
        elif lists:
            refused = refused.union(_spell(v) for v in condition.values)
        if not lists:
            return True
        first, *others = lists
        return any(
            _spell(value) not in refused and all(any(may_be_equal(value, v) for v in values) for values in others)
            for value in first
        )


def _spell(value: Scalar) -> str:
    """Return a text that only the very same value of the same type has."""
    return f"{type(value).__name__}:{value!r}"


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in decomposed if c.isalnum())


def _is_same_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False
