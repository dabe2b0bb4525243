"""Who we are on a MariaDB or MySQL server, what we may do there, and what its set-up keeps of what is deleted.

Invariant: nothing here names a secret: of ``SHOW GRANTS``, which may show a password's hash, only privileges are kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ropa.connector import Health

_GRANT = re.compile(r"GRANT (.+?) ON (?:TABLE )?(\*|`(?:[^`]|``)*`|\w+)\.(\*|`(?:[^`]|``)*`|\w+) TO ", re.IGNORECASE)
_EVERYTHING = frozenset({"ALL", "ALL PRIVILEGES"})


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do, as far as its grants and those of its active roles say."""

    grants: tuple[tuple[frozenset[str], str, str], ...]
    """Privileges, the database (a pattern, ``*`` for any), the table (``*`` for any)."""

    @classmethod
    def of(cls, connection: Connection) -> Rights:
        """Read the rights of this session."""
        found = []
        for (line,) in connection.exec_driver_sql("SHOW GRANTS"):
            match = _GRANT.match(line)
            if match:
                # A privilege on some columns only, SELECT (a, b), is none on the table.
                words = re.sub(r"\w+ \([^)]*\)", "", match[1].upper())
                privileges = frozenset(word.strip() for word in words.split(",") if word.strip())
                found.append((privileges, _plain(match[2]), _plain(match[3])))
        return cls(tuple(found))

    def may(self, privilege: str, database: str, table: str) -> bool:
        """Tell whether a privilege on a table is granted."""
        return any(
            (privilege in privileges or privileges & _EVERYTHING)
            and (where == "*" or _matches(where, database))
            and what in {"*", table}
            for privileges, where, what in self.grants
        )

    @property
    def is_everything(self) -> bool:
        """Whether the user may do everything everywhere."""
        return any(privileges & _EVERYTHING and where == "*" for privileges, where, _ in self.grants)


def tell_health(connection: Connection, database: str, sources: Sequence[str], writer: Engine | None) -> Health:
    """Return what is true of a location; ``writer``: where other credentials delete."""
    identity, version, now, read_only = connection.exec_driver_sql(
        "SELECT CURRENT_USER(), VERSION(), UTC_TIMESTAMP(6), @@global.read_only"
    ).one()
    places = [_place(source, database) for source in sources] or [(database, "*")]
    rights = Rights.of(connection)
    notes: list[str] = []
    deleting = rights
    has_delete = any(rights.may("DELETE", *place) for place in places)
    if writer is None:
        may_delete = _may(rights, "DELETE", places)
    else:
        if has_delete:
            notes.append("the user that plans could delete as well; SELECT is enough for it")
        try:
            with writer.connect() as other:
                deleting = Rights.of(other)
                may_delete = _may(deleting, "DELETE", places)
        except DBAPIError:
            may_delete = False
            notes.append("the user that deletes cannot connect")
    if rights.is_everything or deleting.is_everything:
        notes.append("the user may do everything on this server; give it rights on the tables it needs only")
    if not _may(rights, "TRIGGER", places):
        notes.append("triggers cannot be seen without the privilege TRIGGER")
    notes += _notes_of_server(connection, is_read_only=bool(int(read_only)))
    return Health(
        is_reachable=True,
        identity=f"{identity}, {version}, {database}",
        may_read=_may(rights, "SELECT", places),
        may_delete=may_delete,
        now=datetime.fromisoformat(now).replace(tzinfo=UTC),
        notes=tuple(notes),
        planning_may_delete=has_delete,
    )


def _notes_of_server(connection: Connection, *, is_read_only: bool) -> list[str]:
    notes = []
    has_log, form = connection.exec_driver_sql("SELECT @@log_bin, @@binlog_format").one()
    if int(has_log) and str(form).upper() != "STATEMENT":
        notes.append("the binary log keeps the content of deleted rows until it is purged (binlog_expire_logs_seconds)")
    if is_read_only:
        notes.append("the server is read-only")
    if replica_lag(connection) is not None:
        notes.append("the server is a replica: what is deleted here stays on its source")
    return notes


def replica_lag(connection: Connection) -> float | None:
    """See ``MariadbBackend.replica_lag_seconds``."""
    rows: Iterable[Any] = ()
    for statement in ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"):
        try:
            rows = connection.exec_driver_sql(statement).mappings().all()
        except DBAPIError:
            continue
        break
    lags = [row.get("Seconds_Behind_Master", row.get("Seconds_Behind_Source")) for row in rows]
    if not lags:
        return None
    return max(math.inf if lag is None else float(lag) for lag in lags)


def _may(rights: Rights, privilege: str, places: Iterable[tuple[str, str]]) -> bool:
    return all(rights.may(privilege, *place) for place in places)


def _place(source: str, database: str) -> tuple[str, str]:
    before, dot, after = source.partition(".")
    return (before, after) if dot else (database, source)


def _plain(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _matches(pattern: str, database: str) -> bool:
    r"""Tell whether the name of a database in a grant, with ``_``, ``%`` and ``\``, means this one."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.fullmatch("".join(wild.get(p) or re.escape(p[-1]) for p in parts), database, re.DOTALL) is not None
