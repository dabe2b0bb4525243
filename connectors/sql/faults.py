"""Turning a driver's errors into ours: a code and a sentence, never the driver's text, a value or a URL.

Invariant: nothing of a row or a credential can pass through here; the original error is not chained.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from connectors.sql import generic_faults, mariadb_faults, postgres_faults
from ropa.errors import LocationError

_CODES = (
    ("SQLITE_CANTOPEN", "unreachable"),
    ("SQLITE_PERM", "denied"),
    ("SQLITE_AUTH", "denied"),
    ("SQLITE_READONLY", "denied"),
    ("SQLITE_NOTADB", "corrupt"),
    ("SQLITE_CORRUPT", "corrupt"),
    ("SQLITE_BUSY", "busy"),
    ("SQLITE_LOCKED", "busy"),
    ("SQLITE_FULL", "full"),
    ("SQLITE_IOERR", "io"),
    ("SQLITE_CONSTRAINT_TRIGGER", "trigger"),
    ("SQLITE_CONSTRAINT", "integrity"),
)
_SENTENCES = {
    "unreachable": "the database cannot be opened",
    "denied": "the database denies access",
    "corrupt": "the file is not a sound database",
    "busy": "the database stayed locked by another program",
    "full": "the disk of the database is full",
    "io": "the disk of the database gives errors",
    "timeout": "the database gave up a statement that took too long",
    "missing": "a table or column that was there is missing",
}
STOPPING = frozenset({"unreachable", "denied", "corrupt"})
"""Codes that concern the whole location, not one batch."""
REFUSING = frozenset({"denied", "integrity", "trigger"})
"""Codes of what a database would not have, whatever the moment."""


def fault_code(error: BaseException) -> str:
    """Return the code of a driver's error, ``failed`` where it is none we know."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    if (code := postgres_faults.code_of(origin)) is not None:
        return code
    if (code := mariadb_faults.code_of(origin)) is not None:
        return code
    name = getattr(origin, "sqlite_errorname", None) or ""
    return next((code for prefix, code in _CODES if name.startswith(prefix)), None) or generic_faults.code_of(error)


def location_error(location: str, error: BaseException) -> LocationError:
    """Return the error for a location that failed as a whole."""
    code = fault_code(error)
    sentence = _SENTENCES.get(code, "the database refused a statement")
    return LocationError(
        f"location {location}: {sentence}",
        code=code,
        next_step="See whether the database is there, sound and open to this user, then run again.",
    )


@contextmanager
def translated(location: str) -> Iterator[None]:
    """Turn every database error inside into a LocationError."""
    try:
        yield
    except SQLAlchemyError as error:
        raise location_error(location, error) from None
