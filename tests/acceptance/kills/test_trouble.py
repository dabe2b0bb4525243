"""What a driver's error about the run database means, for drivers that no test can bring to each of them."""

from __future__ import annotations

import sqlite3

import pytest

from ropa.errors import BusyError, LedgerError, LocationError, RefusedError, RopaError
from ropa.sweep.trouble import meaning


class DriverError(Exception):
    """What psycopg raises, as far as it is looked at."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("Key (email)=(somebody@example.org) already exists.")
        self.sqlstate = sqlstate


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("a text that may hold a value")
    error.sqlite_errorcode = code  # type: ignore[misc]
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), RefusedError),
        (of_sqlite(sqlite3.SQLITE_IOERR_FSYNC), RefusedError),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE), RefusedError),
        (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), RefusedError),
        (of_sqlite(sqlite3.SQLITE_CORRUPT_VTAB), LedgerError),
        (of_sqlite(sqlite3.SQLITE_NOTADB), LedgerError),
        (of_sqlite(sqlite3.SQLITE_IOERR_READ), LedgerError),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), BusyError),
        (of_sqlite(sqlite3.SQLITE_LOCKED), BusyError),
        (DriverError("53100"), RefusedError),
        (DriverError("25006"), RefusedError),
    ],
)
def test_trouble_that_nobody_programmed_is_told_by_its_exit_code(error: Exception, kind: type[RopaError]) -> None:
    found = meaning(error)
    assert isinstance(found, kind)
    assert found.next_step
    assert "value" not in str(found)


def test_a_connection_that_is_lost_means_that_the_database_does_not_answer() -> None:
    assert isinstance(meaning(DriverError(None), is_disconnect=True), LocationError)


@pytest.mark.parametrize(
    "error", [of_sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE), of_sqlite(sqlite3.SQLITE_ERROR), DriverError("23505")]
)
def test_what_the_program_asked_wrong_stays_what_it_is(error: Exception) -> None:
    assert meaning(error) is None


def test_an_error_without_a_code_stays_what_it_is() -> None:
    assert meaning(sqlite3.ProgrammingError("closed")) is None
