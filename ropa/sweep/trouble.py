"""What trouble with the run database means for whoever asked: no room, broken, in use, or not answering.

Invariant: where a run database cannot be written, nothing more is done (4); where it cannot be read as it was written,
everything stops (6); and no text of the database, which may hold a value, leaves with the error.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from ropa.errors import BusyError, LedgerError, LocationError, RefusedError, RopaError

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine, ExceptionContext

_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BROKEN_WORDS = ("no such table", "no such column")
"""SQLite has one code for these and for a statement that cannot be read."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNWRITABLE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_READING = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})
_REFUSED_BY_POSTGRESQL = frozenset({"53100", "53200", "25006", "42501", "58030"})
"""disk_full, out_of_memory, read_only_sql_transaction, insufficient_privilege, io_error
(https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_BUSY_IN_POSTGRESQL = frozenset({"40001", "40P01", "55P03", "57014"})
"""serialization_failure, deadlock_detected, lock_not_available, query_canceled (by a time limit of the server's)."""
_BROKEN_IN_POSTGRESQL = frozenset({"42P01", "42703", "XX001", "XX002"})
"""undefined_table, undefined_column, data_corrupted, index_corrupted: not what was written."""
_AWAY = ("08", "28", "3D", "53300", "57P")
"""Connection and authorisation exceptions, no such database, too many connections, a server that goes down or comes
up: how such states begin."""


def listen(engine: Engine) -> None:
    """Let an engine of the run database raise our errors where it cannot be written, read or reached."""
    from sqlalchemy import event

    event.listen(engine, "handle_error", _translate)


def _translate(context: ExceptionContext) -> RopaError | None:
    return meaning(context.original_exception, is_disconnect=context.is_disconnect)


def meaning(error: BaseException, *, is_disconnect: bool = False) -> RopaError | None:
    """Return what a driver's error means, None where it means that the program asked something wrong."""
    if isinstance(error, sqlite3.OperationalError) and str(error).startswith(_BROKEN_WORDS):
        return garbage()
    if isinstance(error, sqlite3.Error):
        return _meaning_of_sqlite(getattr(error, "sqlite_errorcode", None))
    state = getattr(error, "sqlstate", None) or ""
    if state in _REFUSED_BY_POSTGRESQL:
        return _unwritable()
    if state in _BUSY_IN_POSTGRESQL:
        return _busy()
    if state in _BROKEN_IN_POSTGRESQL:
        return garbage()
    if is_disconnect or state.startswith(_AWAY):
        return away()
    return None


def _meaning_of_sqlite(code: int | None) -> RopaError | None:
    primary = None if code is None else code & 0xFF
    if primary in _BROKEN or code in _READING:
        return garbage()
    if primary in _BUSY:
        return _busy()
    if primary in _UNWRITABLE or primary == sqlite3.SQLITE_IOERR:
        return _unwritable()
    return None


def away() -> LocationError:
    """Return the error for a server that cannot be reached or does not let us in."""
    return LocationError("the state database does not answer", next_step="Check ROPA_DATABASE_URL.")


def _busy() -> BusyError:
    return BusyError(
        "another program holds the run database", next_step="Wait until it has ended.", code="database-busy"
    )


def _unwritable() -> RefusedError:
    return RefusedError(
        "the run database cannot be written",
        next_step="Make room or mend the disk, then start again; open intents are settled first.",
        code="database-write",
    )


def garbage() -> LedgerError:
    """Return the error for a run database that is not what was written."""
    return LedgerError(
        "the run database is not a database that can be read",
        next_step="Restore its newest copy; never start a new one beside an old ledger.",
        code="database-garbage",
    )


def check_pages(engine: Engine) -> None:
    """Look through every page of the run database before a run relies on it. Raises LedgerError (SQLite)."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            if connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() != "ok":
                raise garbage()
