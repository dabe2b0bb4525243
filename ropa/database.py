"""One database for the register and the run state: opened, hardened, migrated.

Invariant: with SQLite, foreign keys are on, deleted bytes are overwritten (``secure_delete``), the journal is a WAL and
every commit reaches the disk (``synchronous=FULL``), because an intent in the ledger relies on the row that holds its
batch key. Timestamps are aware and UTC on every engine.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, event
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Dialect, Engine

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of constraints, so that migrations can name them on every engine."""


NEWEST = "0008"
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
    from sqlalchemy import create_engine

    engine = create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _harden_sqlite)
    return engine


def _harden_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "secure_delete=ON", "synchronous=FULL", "busy_timeout=60000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class NewerDatabaseError(Exception):
    """The database was made by a newer version, whose migrations are not here."""


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
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revisions(engine: Engine) -> list[str]:
    """Return the revisions that a database says it has; none where it has no schema yet."""
    from sqlalchemy import column, inspect, select, table

    noted = table("alembic_version", column("version_num"))
    with engine.connect() as connection:
        if not inspect(connection).has_table(noted.name):
            return []
        return list(connection.scalars(select(noted.c.version_num)))
