"""Where the register and the run state are: their folder and their database found, prepared and opened, or refused.

Invariant: nothing is created where that could hide a loss: a database is never made beside a ledger that has lost its
own; and whatever is refused is told without the URL, which may hold a password.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ropa import config as configuration
from ropa.config import Config
from ropa.errors import CallError, LedgerError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine


def state_folder(folder: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder: ``ROPA_STATE``, or ``var`` in the project folder."""
    moved = environ.get("ROPA_STATE")
    return (folder / moved).resolve() if moved else folder / "var"


def is_used(folder: Path, loaded: Config, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the project folder has been used: a ledger is there, or a database that was made for it. Raises as
    ``open_site`` does for a database that cannot be asked."""
    from ropa.database import has_schema

    state = state_folder(folder, environ)
    if exists(state / "ledger" / "events.jsonl"):
        return True
    url = database_url(folder, state, loaded, environ)
    if url.get_backend_name() == "sqlite":
        return exists(Path(str(url.database)))
    engine = _make_engine(url)
    try:
        with _understood(is_file=False):
            return has_schema(engine)
    finally:
        engine.dispose()


def check_state(folder: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Raise CallError where the state of a folder that has no configuration yet could not be made."""
    state = state_folder(folder, environ)
    named = environ.get("ROPA_DATABASE_URL")
    if named and (url := _read_url(named, folder)).get_backend_name() != "sqlite":
        _make_engine(url)
    _check_writable(state)


def database_url(folder: Path, state: Path, loaded: Config, environ: Mapping[str, str]) -> URL:
    """Return where the register and the run state are: ``ROPA_DATABASE_URL``, ``[state] database``, or SQLite."""
    named = environ.get("ROPA_DATABASE_URL")
    if not named and loaded.database is not None:
        named = configuration.dereference(loaded.database, path="state.database", folder=loaded.folder, environ=environ)
    return _read_url(named, folder) if named else _sqlite_url(state / "ropa.db")


def _sqlite_url(path: Path) -> URL:
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path.absolute()))


def _read_url(text: str, folder: Path) -> URL:
    """Read a database URL; the file of an SQLite one is made absolute in ``folder``. Raises CallError, never with the
    URL, which may hold a password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    step = "Write for instance postgresql+psycopg://host/name, in ROPA_DATABASE_URL or [state] database."
    try:
        url = make_url(text)
        engine = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise CallError("the URL of the state database cannot be read", next_step=step, code="state-url") from None
    if engine not in {"sqlite", "postgresql"} or (engine == "sqlite" and url.get_driver_name() != "pysqlite"):
        raise CallError("the state database is SQLite or PostgreSQL", next_step=step, code="state-url")
    if engine != "sqlite":
        return url
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise CallError(
            "the state database must be an SQLite file by its plain path; one in memory would forget every hold",
            next_step=step,
            code="state-url",
        )
    return url.set(database=str(folder.absolute() / url.database))


def prepare(state: Path, url: URL) -> None:
    """Make what is missing of the state folder, and raise where it cannot be used."""
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(Path(str(url.database)), state)
        return
    _check_writable(state)


def open_engine(url: URL, state: Path) -> Engine:
    """Open the database and bring its tables up to date. Raises CallError for one that cannot be used or is newer than
    we are, LedgerError for garbage and for an empty one beside a ledger, LocationError where it does not answer."""
    from ropa.database import NewerDatabaseError, migrate

    is_file = url.get_backend_name() == "sqlite"
    engine = _make_engine(url)
    try:
        with _understood(is_file=is_file):
            if not is_file:
                _refuse_odd_encoding(engine)
                _refuse_empty(engine, state)
                with _making(state):
                    state.mkdir(mode=0o700, parents=True, exist_ok=True)
            migrate(engine)
    except NewerDatabaseError as error:
        engine.dispose()
        raise CallError(
            "the run database was made by a newer version of ropa",
            next_step="Install that version, or restore database and ledger of before the upgrade together.",
            code="database-newer",
        ) from error
    except BaseException:
        engine.dispose()  # a service tries again, and again: none of it keeps a session of the server
        raise
    return engine


@contextmanager
def _understood(*, is_file: bool) -> Iterator[None]:
    """Raise our errors for a run database that cannot be opened, reached or read."""
    from sqlalchemy.exc import DatabaseError, OperationalError

    from ropa.sweep import trouble

    try:
        yield
    except OperationalError as error:
        if is_file:
            raise LedgerError("the run database cannot be opened", next_step="Check its file and folder.") from error
        raise trouble.away() from error
    except DatabaseError as error:
        raise trouble.garbage() from error


def _missing_database(name: str) -> LedgerError:
    return LedgerError(
        "the run database is missing beside its ledger",
        next_step=f"Restore {name} from its newest copy; a new one would know neither holds nor keys.",
        code="database-missing",
    )


def _refuse_empty(engine: Engine, state: Path) -> None:
    """Raise LedgerError for a server's database without tables where there is a ledger."""
    from ropa.database import has_schema

    if exists(state / "ledger" / "events.jsonl") and not has_schema(engine):
        raise _missing_database(f"the database {engine.url.database}")


def _refuse_odd_encoding(engine: Engine) -> None:
    """Raise CallError for a database that cannot hold every name and key."""
    with engine.connect() as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise CallError(
            f"the state database is encoded in {encoding}, which cannot hold every name",
            next_step="Make it with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`.",
            code="state-encoding",
        )


def _make_engine(url: URL) -> Engine:
    """Make an engine, which connects to nothing yet. Raises CallError for a driver that is not installed."""
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    from ropa.database import open_database
    from ropa.sweep import trouble

    try:
        engine = open_database(url)
    except (NoSuchModuleError, ImportError) as error:
        driver = url.drivername.partition("+")[2] or "psycopg2"
        raise CallError(
            f"the driver {driver!r} of the state database is not installed",
            next_step="`pip install 'psycopg[binary]'` for postgresql+psycopg://…",
            code="state-driver",
        ) from error
    except ArgumentError as error:
        raise CallError(
            "the URL of the state database cannot be used", next_step="Check ROPA_DATABASE_URL.", code="state-url"
        ) from error
    trouble.listen(engine)
    return engine


def _prepare_sqlite(path: Path, state: Path) -> None:
    has_ledger = exists(state / "ledger" / "events.jsonl")
    if has_ledger and (not exists(path) or path.stat().st_size == 0):
        raise _missing_database(path.name)
    _check_writable(state)
    _check_writable(path.parent)
    if exists(path):
        if not path.is_file() or not _may(path, os.R_OK | os.W_OK):
            raise CallError(
                f"{path} is not a file that may be written", next_step="Give this user the right to write it."
            )
        if path.stat().st_mode & 0o022:  # one that [state] database names elsewhere
            raise CallError(f"{path.name} is writable by others", next_step=f"chmod 600 {path.name}")
    with _making(path):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


@contextmanager
def _making(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CallError(
            f"{path} cannot be made ({error.strerror})", next_step="ROPA_STATE names a folder for the state."
        ) from error


def exists(path: Path) -> bool:
    """Tell whether something is there. Raises CallError where nobody may look."""
    try:
        return path.exists()
    except OSError as error:
        raise CallError(
            f"{path.parent} cannot be read ({error.strerror})", next_step="Run ropa as the user whose state this is."
        ) from None


def _check_writable(folder: Path) -> None:
    """Raise CallError where a folder is none, or can neither be written to nor made. Makes nothing."""
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise CallError(f"{nearest} is not a folder", next_step="ROPA_STATE names a folder for the state.")
    if not _may(nearest, os.W_OK | os.X_OK):
        raise CallError(
            f"{nearest} cannot be written to", next_step="Give this user the right to write there, or move ROPA_STATE."
        )


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
