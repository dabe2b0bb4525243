"""Statements that were compiled for one SQLite file, used for the next one of the same process of tests.

SQLAlchemy remembers what it made of a statement for as long as an engine lives. A command or a night has one engine;
thousands of tests have one each, and a quarter of their time went into making the same SQL again. Other engines are
left as they are: how their dialects write may depend on the server.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_STATEMENTS: LRUCache[Any, Any] = LRUCache(2_000)
_KEPT = "_kept_statements"


def share() -> None:
    """Let every engine over SQLite use what another has compiled, from now on."""
    Engine._compiled_cache = property(_statements_of, _keep)  # type: ignore[assignment,misc]
    # A statement is found again under its dialect, of which each engine has its own.
    SQLiteDialect_pysqlite.__eq__ = _is_alike  # type: ignore[method-assign]
    SQLiteDialect_pysqlite.__hash__ = _hash  # type: ignore[method-assign]


def _statements_of(engine: Engine) -> Any:
    return _STATEMENTS if type(engine.dialect) is SQLiteDialect_pysqlite else engine.__dict__[_KEPT]


def _keep(engine: Engine, statements: Any) -> None:
    engine.__dict__[_KEPT] = statements


def _is_alike(one: SQLiteDialect_pysqlite, other: object) -> bool:
    return type(one) is type(other)


def _hash(dialect: SQLiteDialect_pysqlite) -> int:
    return hash(type(dialect))
