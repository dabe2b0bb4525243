"""Statements made so that engines understand them which know fewer words: no row values, no FOR UPDATE over a join.

Invariant: what a statement means stays the same. Statements are rewritten just before they are run, on every engine of
the generic path, so that the form SQL Server and Oracle get is the form that is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Executable,
    FromClause,
    Join,
    Select,
    Update,
    and_,
    exists,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, Grouping, Tuple
from sqlalchemy.sql.selectable import SelectBase, Subquery

KEYS = "_keys"
"""How the names of key tables end."""
_EMPTY_IS_NULL = frozenset({"oracle"})
_LOCKS_ROWS_OF_A_JOIN = frozenset({"postgresql", "mysql", "mariadb", "sqlite", "mssql"})
_MSSQL_LOCK = "WITH (UPDLOCK, HOLDLOCK)"
"""https://learn.microsoft.com/en-us/sql/t-sql/queries/hints-transact-sql-table"""


def portable(statement: Any, dialect: str, refuse: Callable[[FromClause], None]) -> Any:
    """Return a statement without comparisons of row values, locking as the dialect does.

    ``refuse`` is shown every table of keys that stands in it, and may raise.
    """
    if not isinstance(statement, Select | Delete | Update):
        return statement
    if isinstance(statement, Select) and dialect == "mssql" and (lock := statement._for_update_arg) is not None:  # noqa: SLF001 - SQLAlchemy tells it nowhere else
        locked: Any
        for locked in lock.of or statement.get_final_froms():
            statement = statement.with_hint(locked, _MSSQL_LOCK, "mssql")

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, Subquery) and element.name.endswith(KEYS):
            refuse(element)
            return element  # hundreds of small selects, none of which has to be looked at
        if isinstance(element, BinaryExpression):
            return _replaced(element, dialect, replace)
        return None

    return visitors.replacement_traverse(statement, {}, replace)


def _replaced(element: BinaryExpression[Any], dialect: str, replace: Callable[..., Any]) -> Any:
    left, right = element.left, element.right
    if isinstance(left, Tuple) and element.operator is operators.in_op:
        rows = _select_of(right)
        if rows is not None:
            inner = visitors.replacement_traverse(rows, {}, replace).subquery()
            pairs = [own == other for own, other in zip(left.clauses, inner.c, strict=True)]
            one: Select[Any] = select(literal_column("1")).select_from(inner).where(and_(*pairs))
            return exists(one.correlate_except(inner))
    if isinstance(left, Tuple) and isinstance(right, Tuple) and element.operator is operators.gt:
        return _is_after(list(left.clauses), list(right.clauses))
    if (
        dialect in _EMPTY_IS_NULL
        and element.operator is operators.ne
        and isinstance(right, BindParameter)
        and right.value == ""
    ):
        return true()  # an empty text is NULL there, and NULL is asked for beside this
    return None


def _select_of(element: Any) -> Any:
    while isinstance(element, Grouping) or (hasattr(element, "element") and not isinstance(element, SelectBase)):
        element = element.element
    return element if isinstance(element, SelectBase) else None


def _is_after(columns: list[Any], bounds: list[Any]) -> ColumnElement[bool]:
    """Return what ``(a, b) > (x, y)`` means, in single comparisons."""
    return or_(
        *(
            and_(*(c == b for c, b in zip(columns[:n], bounds[:n], strict=True)), columns[n] > bounds[n])
            for n in range(len(columns))
        )
    )


def lock_first(statement: Executable, dialect: str) -> tuple[Select[Any], Select[Any]] | None:
    """Return a statement that locks the rows of a joined table, and the statement without its lock, to be run after it;
    None where the dialect locks rows of a join, or nothing is to be locked."""
    if not isinstance(statement, Select) or dialect in _LOCKS_ROWS_OF_A_JOIN:
        return None
    lock = statement._for_update_arg  # noqa: SLF001 - as above
    joined = statement.get_final_froms()[0] if lock is not None else None
    if not isinstance(joined, Join):
        return None
    there = exists(
        select(literal_column("1")).select_from(joined.left).where(joined.onclause).correlate_except(joined.left)  # type: ignore[arg-type]
    )
    locking: Select[Any] = select(literal_column("1")).select_from(joined.right).where(there).with_for_update()
    bare = statement._generate()  # noqa: SLF001 - a lock cannot be taken off otherwise
    bare._for_update_arg = None  # noqa: SLF001 - as above
    return locking, bare


def with_other_keys(statement: Select[Any], source: FromClause, other: FromClause) -> Select[Any]:
    """Return the statement over another table of keys of the same shape."""
    swapped: Mapping[int, Any] = {id(source): other} | {id(c): other.c[c.key] for c in source.c}
    found: Any = visitors.replacement_traverse(statement, {}, lambda element, **_: swapped.get(id(element)))
    return found  # type: ignore[no-any-return]


def leading(statement: Executable) -> FromClause | None:
    """Return the table with which the joins of a statement begin."""
    if not isinstance(statement, Select) or not (froms := statement.get_final_froms()):
        return None
    first = froms[0]
    while isinstance(first, Join):
        first = first.left
    return first
