"""Errors of drivers that have no list of their own here: by SQLSTATE, by SQL Server's numbers, by the driver's classes.

Invariant: only codes leave; the text of an error is looked at for two words alone, where a driver gives no code.
"""

from __future__ import annotations

import re

from sqlalchemy.exc import DBAPIError, IntegrityError

_STATES = (
    ("40001", "busy"),  # serialization failure; SQL Server's deadlock
    ("HYT00", "busy"),  # ODBC: timeout expired, also SQL Server's LOCK_TIMEOUT
    ("HYT01", "unreachable"),  # ODBC: connection timeout expired
    ("HY008", "timeout"),
    ("57014", "timeout"),
    ("23", "integrity"),
    ("44", "integrity"),
    ("28", "denied"),
    ("42501", "denied"),
    ("25006", "denied"),
    ("08", "unreachable"),
    ("IM", "unreachable"),  # the ODBC driver itself
    ("42S02", "missing"),
    ("42S22", "missing"),
)
_NUMBERS = {
    # https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/database-engine-events-and-errors
    "busy": (1204, 1205, 1222, 3960),
    "integrity": (515, 547, 2601, 2627),
    "denied": (229, 230, 262, 916, 4064, 18456),
    "unreachable": (4060, 20002, 20009),
    "missing": (207, 208),
    "full": (1101, 1105, 9002),
    "io": (823, 824),
}
_ORACLE = {
    # https://docs.oracle.com/en/error-help/db/
    "busy": (54, 60, 8177, 30006),
    "integrity": (1, 1400, 1407, 2290, 2291, 2292),
    "denied": (1017, 1031, 1045, 28000, 28001),
    "unreachable": (3113, 3114, 12154, 12170, 12505, 12514, 12541),
    "missing": (904, 942),
    "full": (1653, 1654, 30036),
}
_STATE = re.compile(r"[0-9A-Z]{5}", re.ASCII)
_BUSY = re.compile(r"\bdeadlock|lock request time ?out", re.IGNORECASE)


def code_of(error: object) -> str:
    """Return the code of an error as SQLAlchemy raised it, ``failed`` where nothing is known."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    arguments = getattr(origin, "args", ())
    first = arguments[0] if arguments else None
    state = getattr(origin, "sqlstate", None) or first
    if isinstance(state, str) and _STATE.fullmatch(state):
        code = next((code for prefix, code in _STATES if state.startswith(prefix)), None)
        if code is not None:
            return code
    is_oracle = str(getattr(first, "full_code", "")).startswith("ORA-")
    number = getattr(first, "code", None) if is_oracle else first
    if isinstance(number, int):
        known = _ORACLE if is_oracle else _NUMBERS
        code = next((code for code, numbers in known.items() if number in numbers), None)
        if code is not None:
            return code
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return "unreachable"
    if isinstance(error, IntegrityError):
        return "integrity"
    return "busy" if _BUSY.search(str(origin)) else "failed"
