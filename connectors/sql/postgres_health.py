"""What a role is and may do on a PostgreSQL server, its clock, and how far its standbys are behind.

Invariant: names of roles, databases and tables are told; no password, no host, no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relrowsecurity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND (n.nspname = %s AND (%s OR c.relname = ANY (%s)) OR n.nspname || '.' || c.relname = ANY (%s))
"""


def identity_of(connection: Connection, schema: str) -> tuple[str, datetime]:
    """Return who we are there, and the server's clock."""
    user, database, version, clock = _one(
        connection,
        "SELECT current_user, pg_catalog.current_database(), pg_catalog.current_setting('server_version'),"
        " (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint",
    )
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock)
    return f"{user}, PostgreSQL {version.split()[0]}, database {database}, schema {schema}", now


def rights_of(connection: Connection, schema: str, sources: Sequence[str]) -> tuple[bool, bool]:
    """Return whether we may read and whether we may delete: all the configured tables, or, without any, some table.

    To delete, a row must be locked too, which takes UPDATE on at least one column.
    """
    found = connection.exec_driver_sql(
        "SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(t.oid, 'SELECT'),"  # noqa: S608 - constants
        " pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(t.oid, 'DELETE')"
        " AND pg_catalog.has_any_column_privilege(t.oid, 'UPDATE')"
        f" FROM ({_TABLES}) t JOIN pg_catalog.pg_namespace n ON n.nspname = t.nspname",
        _named(schema, sources),
    ).all()
    decide = all if sources else any
    is_empty = not found
    return is_empty or decide(row[0] for row in found), not is_empty and decide(row[1] for row in found)


def has_delete_of(connection: Connection, schema: str, sources: Sequence[str]) -> bool:
    """Return whether we could delete from any of the tables, be it by a statement that this program would not send."""
    found = connection.exec_driver_sql(
        f"SELECT coalesce(bool_or(pg_catalog.has_table_privilege(t.oid, 'DELETE')), false) FROM ({_TABLES}) t",  # noqa: S608 - constants
        _named(schema, sources),
    )
    return bool(found.scalar_one())


def notes_of(connection: Connection, schema: str, sources: Sequence[str], *, after_purge: bool = False) -> list[str]:
    """Return what a person should know of this role and this server."""
    notes = []
    is_super, is_standby = _one(
        connection,
        "SELECT pg_catalog.current_setting('is_superuser') = 'on', pg_catalog.pg_is_in_recovery()",
    )
    if is_super:
        notes.append("the role is a superuser; a role with rights on these tables alone is enough")
    if is_standby:
        notes.append("the server is a standby: it can plan, and cannot delete")
    hidden = connection.exec_driver_sql(
        f"SELECT t.relname FROM ({_TABLES}) t WHERE t.relrowsecurity AND pg_catalog.row_security_active(t.oid)"  # noqa: S608 - constants
        " ORDER BY 1",
        _named(schema, sources),
    ).scalars()
    notes += [
        f"table {name!r}: row level security hides rows from this role, so it is not read at all; let the table's owner"
        " or a role with BYPASSRLS do it"
        for name in hidden
    ]
    lockless = connection.exec_driver_sql(
        f"SELECT t.relname FROM ({_TABLES}) t WHERE pg_catalog.has_table_privilege(t.oid, 'DELETE')"  # noqa: S608 - constants
        " AND NOT pg_catalog.has_any_column_privilege(t.oid, 'UPDATE') ORDER BY 1",
        _named(schema, sources),
    ).scalars()
    notes += [
        f"table {name!r}: rows may be deleted but not locked first; grant UPDATE on one column, such as the key"
        for name in lockless
    ]
    if after_purge:
        strangers = connection.exec_driver_sql(
            f"SELECT t.relname FROM ({_TABLES}) t JOIN pg_catalog.pg_class c ON c.oid = t.oid"  # noqa: S608 - constants
            " WHERE t.relkind IN ('r', 'p') AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
            _named(schema, sources),
        ).scalars()
        notes += [
            f"table {name!r}: after_purge needs the table's owner; VACUUM may be passed over" for name in strangers
        ]
    notes += _notes_of_standbys(connection) if not is_standby else []
    return notes


def _notes_of_standbys(connection: Connection) -> list[str]:
    count = _one(connection, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication")[0]
    if not count:
        return []
    lag = lag_of(connection)
    told = (
        "how far they are behind cannot be seen (pg_monitor)" if lag is None else f"the slowest is {lag:.0f} s behind"
    )
    return [f"{count} standby or backup connections: {told}"]


def lag_of(connection: Connection) -> float | None:
    """See ``PostgresBackend.replica_lag_seconds``."""
    if _one(connection, "SELECT pg_catalog.pg_is_in_recovery()")[0]:
        lag = _one(
            connection,
            "SELECT CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0"
            " ELSE extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())"
            " END::double precision",
        )[0]
    else:
        # The server tells no lag of a standby that has caught up and sees nothing new.
        lag = _one(
            connection,
            "SELECT max(CASE WHEN replay_lsn IS NULL THEN NULL"
            " WHEN replay_lsn >= pg_catalog.pg_current_wal_lsn() THEN 0"
            " ELSE coalesce(extract(epoch FROM replay_lag), 0) END)::double precision"
            " FROM pg_catalog.pg_stat_replication WHERE state IS NULL OR state = 'streaming'",
        )[0]
    return None if lag is None else max(0.0, float(lag))


def _named(schema: str, sources: Sequence[str]) -> tuple[Any, ...]:
    names = list(sources)
    return schema, not names, names, names


def _one(connection: Connection, statement: str) -> Any:
    return connection.exec_driver_sql(statement).one()
