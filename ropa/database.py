"""One database for the register and the run state: opened, hardened, migrated.

Invariant: with SQLite, foreign keys are on, deleted bytes are overwritten (``secure_delete``), the journal is a WAL and
every commit reaches the disk (``synchronous=FULL``), because an intent in the ledger relies on the row that holds its
batch key; with PostgreSQL every commit waits for the server's disk, and nobody waits for a lock, or for a server that
has vanished, without end. Timestamps are aware and UTC on every engine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, event
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Insert
    from sqlalchemy.engine import URL, Dialect, Engine
    from sqlmodel import SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of constraints, so that migrations can name them on every engine."""


NEWEST = "0010"
"""The schema that this version works with: the newest revision in ``ropa/migrations/versions``."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC timestamp; SQLite forgets zones, so they are put back when read. Naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive values; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a timestamp without a zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give UTC back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_database(url: str | URL) -> Engine:
    """Return an engine for ``sqlite:///…`` or ``postgresql+psycopg://…``; does not create or migrate anything."""
    from sqlalchemy import create_engine, make_url

    named = make_url(url)
    if named.get_backend_name() == "sqlite":
        engine = create_engine(named, hide_parameters=True)
        event.listen(engine, "connect", _harden_sqlite)
        return engine
    waits = {name: seconds for name, seconds in _WAITS.items() if name not in named.query}
    engine = create_engine(named, hide_parameters=True, connect_args=waits)
    event.listen(engine, "connect", _harden_postgres)
    return engine


def is_server(engine: Engine) -> bool:
    """Whether several hosts can use a database: PostgreSQL, where SQLite is a file of this one."""
    return engine.dialect.name != "sqlite"


def insert_missing(engine: Engine, table: type[SQLModel]) -> Insert:
    """Return an INSERT that leaves a row as it is where its key is there, also where somebody else just writes it."""
    if is_server(engine):
        from sqlalchemy.dialects.postgresql import insert

        return insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects.sqlite import insert as insert_here

    return insert_here(table).on_conflict_do_nothing()


def _harden_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "secure_delete=ON", "synchronous=FULL", "busy_timeout=60000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


_WAITS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""Seconds (and times) after which a server that does not answer is away; what the URL says goes before
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS)."""

_SESSION = {
    "default_transaction_isolation": "read committed",  # what waits for a lock then sees what it waited for
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "0",  # a place may take its time while the lease is held (ropa.sweep.lock)
    "tcp_keepalives_idle": "30",  # the server notices that this host is gone, and lets go of its locks
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""What a session asks of the server (https://www.postgresql.org/docs/current/runtime-config-client.html)."""


def _harden_postgres(connection: Any, _record: object) -> None:
    said = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {said}")
        # Only where the server does not wait for its own disk: one that waits for its replicas too shall go on so.
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


class NewerDatabaseError(Exception):
    """The database was made by a newer version, whose migrations are not here."""


_MIGRATING = 0x726F7061
"""Of the advisory lock that lets a second host wait for the first one's migration."""


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision (Alembic, ``ropa/migrations``): wholly, or not at all. Safe to repeat.

    Raises NewerDatabaseError, with nothing touched.
    """
    found = _revisions(engine)
    if found == [NEWEST]:
        return
    folder = Path(__file__).parent / "migrations"
    known = {path.name.partition("_")[0] for path in (folder / "versions").glob("[0-9]*.py")}
    if not known.issuperset(found):
        raise NewerDatabaseError
    # Alembic takes as long to load as a small command to run, and there is nothing for it to do but after an update.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder))
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Python's sqlite3 begins no transaction for CREATE TABLE by itself: a process that was killed in between
            # would leave half a schema. The write lock also lets a second process wait for the first.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def has_schema(engine: Engine) -> bool:
    """Whether a database was ever migrated."""
    return bool(_revisions(engine))


def _revisions(engine: Engine) -> list[str]:
    """Return the revisions that a database says it has; none where it has no schema yet."""
    from sqlalchemy import column, inspect, select, table

    noted = table("alembic_version", column("version_num"))
    with engine.connect() as connection:
        if not inspect(connection).has_table(noted.name):
            return []
        return list(connection.scalars(select(noted.c.version_num)))
