"""Errors of PostgreSQL by their SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).

Invariant: only codes leave. The text of an error quotes values and is looked at in one case alone, where the server
refuses a connection: there the driver has no code yet.
"""

from __future__ import annotations

import re

_CODES = (
    ("40001", "busy"),  # serialization_failure
    ("40P01", "busy"),  # deadlock_detected
    ("55P03", "busy"),  # lock_not_available, also lock_timeout
    ("57014", "timeout"),  # query_canceled, also statement_timeout
    ("23503", "referenced"),
    ("23001", "referenced"),
    ("23", "integrity"),
    ("44000", "integrity"),  # WITH CHECK OPTION of a view
    ("25006", "denied"),  # read_only_sql_transaction: a standby, or a role that is kept from writing
    ("42501", "denied"),
    ("28", "denied"),
    ("3D000", "unreachable"),
    ("08", "unreachable"),
    ("57P", "unreachable"),  # shutdown, crash, starting up, dropped, idle_session_timeout
    ("25P03", "unreachable"),  # idle_in_transaction_session_timeout ended the session
    ("53300", "unreachable"),  # too_many_connections
    ("53100", "full"),
    ("58030", "io"),
    ("XX001", "corrupt"),
    ("XX002", "corrupt"),
    ("P0001", "trigger"),  # RAISE in a function
    ("P0", "trigger"),
    ("27000", "trigger"),
    ("09000", "trigger"),
    ("42P01", "missing"),
    ("42703", "missing"),
    ("3F000", "missing"),
)
_REFUSED = re.compile(r"authentication|no pg_hba\.conf entry|not permitted|permission denied|role .* does not exist")


def code_of(error: object) -> str | None:
    """Return the code of an error of the driver, None where it is none of PostgreSQL's."""
    if not type(error).__module__.startswith("psycopg"):
        return None
    state = getattr(error, "sqlstate", None)
    if state:
        return next((code for prefix, code in _CODES if state.startswith(prefix)), "failed")
    if type(error).__name__ in {"OperationalError", "ConnectionTimeout", "InterfaceError"}:
        return "denied" if _REFUSED.search(str(error)) else "unreachable"
    return None
