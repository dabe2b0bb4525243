"""The one composition root: configuration + secrets + database + connectors.

Invariant: only here do names of connectors become connectors, references become secrets, and a folder becomes a site;
nothing is created by a command that only reads, and a database is never made beside a ledger that has lost its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from ropa import config as configuration
from ropa.config import Config, Location
from ropa.connector import Connector, ConnectorType, LocationSpec
from ropa.errors import CallError, CheckError, ConfigurationError, LedgerError, LocationError
from ropa.retention import conflicts

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ropa.sweep.site import Site

GROUP = "ropa.connectors"


@cache
def connector_types() -> Mapping[str, ConnectorType]:
    """Return the connectors of the entry-point group ``ropa.connectors``: ours, and any other package's."""
    found: dict[str, ConnectorType] = {}
    for entry in entry_points(group=GROUP):
        loaded = entry.load()
        if isinstance(loaded, ConnectorType):
            found[entry.name] = loaded
    return found


def load_config(folder: Path) -> Config:
    """Read the configuration and compile its rules once, so that what contradicts is refused now and not at night.

    Raises ConfigurationError with every problem.
    """
    loaded = configuration.load(folder, connector_types())
    if problems := (*configuration.check_modes(folder), *conflicts(loaded)):
        raise ConfigurationError("config/retention.toml cannot be used", tuple(problems))
    return loaded


def state_folder(folder: Path) -> Path:
    """Return the state folder: ``ROPA_STATE``, or ``var`` in the project folder."""
    moved = os.environ.get("ROPA_STATE")
    return (folder / moved).resolve() if moved else folder / "var"


def has_state(folder: Path) -> bool:
    """Whether the project folder has been used: a database or a ledger is there, or a database is named."""
    state = state_folder(folder)
    return bool(os.environ.get("ROPA_DATABASE_URL")) or any(
        (state / name).exists() for name in ("ropa.db", "ledger/events.jsonl")
    )


def open_site(folder: Path, *, loaded: Config | None = None) -> Site:
    """Open a project folder; its state is made when there is none at all (``ropa init`` does the same by name).

    Raises ConfigurationError, LedgerError (garbage, missing or old state beside a ledger), LocationError (a state
    database that does not answer).
    """
    from ropa.sweep import journal
    from ropa.sweep.state import get_state

    loaded = loaded or load_config(folder)
    state = state_folder(folder)
    engine = _open_engine(folder, state, loaded)
    site = _site(folder, state, loaded, engine)
    if not (site.ledger_folder / "events.jsonl").exists() and get_state(site, "ledger_size") is None:
        journal.create(
            site, origin=loaded.origin or f"ropa/{folder.resolve().name}".replace(" ", "-").replace("+", "-")
        )
    return site


def _site(folder: Path, state: Path, loaded: Config, engine: Engine) -> Site:
    from ropa.sweep.site import Site

    types = connector_types()
    return Site(
        folder=folder,
        state=state,
        config=loaded,
        engine=engine,
        open_location=lambda location: open_location(location, loaded),
        enforcing=frozenset(
            name for name, loc in loaded.locations.items() if types[loc.connector].capabilities.is_enforcing
        ),
    )


@contextmanager
def open_places(folder: Path, loaded: Config) -> Iterator[Site]:
    """Open a folder that has never been used, with an empty database in memory: to look at its places, no more."""
    from ropa.database import migrate, open_database

    engine = open_database("sqlite://")
    migrate(engine)
    site = _site(folder, state_folder(folder), loaded, engine)
    try:
        yield site
    finally:
        site.close()


@contextmanager
def open_evidence(folder: Path) -> Iterator[Site]:
    """Open a folder for reading its ledger, whatever state that is in. Raises CheckError when there is none."""
    from ropa.ledger.store import Ledger

    state = state_folder(folder)
    if not Ledger.exists(state / "ledger"):
        if (state / "ropa.db").exists():
            raise LedgerError("the ledger is missing beside its run database", next_step="Restore its newest copy.")
        raise CheckError(f"there is no ledger in {state}", next_step="`ropa init` makes one.")
    loaded = load_config(folder)
    site = _site(folder, state, loaded, _open_engine(folder, state, loaded))
    try:
        yield site
    finally:
        site.close()


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, private to its owner, never through a link. Raises CallError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CallError(
            f"{path} cannot be written", next_step="Name a new file in a folder that you may write to."
        ) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def open_location(location: Location, loaded: Config) -> Connector:
    """Resolve a location's secrets and open it. Raises ConfigurationError for a missing secret, LocationError."""
    kind = connector_types()[location.connector]
    options = configuration.resolve(location, kind, loaded.folder, os.environ)
    spec = LocationSpec(
        name=location.name,
        connector=location.connector,
        zone=loaded.timezone,
        options={**options, "folder": str(loaded.folder.resolve())},
        datasets=configuration.resolve_datasets(location, kind, loaded.folder, os.environ),
        batch_size=location.batch_size,
    )
    return kind.open(spec)


def database_url(state: Path, loaded: Config) -> str:
    """Return where the register and the run state are: ``ROPA_DATABASE_URL``, ``[state] database``, or SQLite."""
    named = os.environ.get("ROPA_DATABASE_URL")
    if named is None and loaded.database is not None:
        named = configuration.dereference(
            loaded.database, path="state.database", folder=loaded.folder, environ=os.environ
        )
    return named or f"sqlite:///{state / 'ropa.db'}"


def _open_engine(folder: Path, state: Path, loaded: Config) -> Engine:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

    from ropa.database import migrate, open_database

    text = database_url(state, loaded)
    try:
        url = make_url(text)
        if url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise CallError(
                "the state database is SQLite or PostgreSQL", next_step="See ROPA_DATABASE_URL in the docs."
            )
        if url.get_backend_name() == "sqlite" and url.database:
            path = folder / url.database
            _prepare_sqlite(path, state)
            url = url.set(database=str(path))
        engine = open_database(url.render_as_string(hide_password=False))
        migrate(engine)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise CallError("the URL of the state database cannot be used", next_step="Check ROPA_DATABASE_URL.") from error
    except OperationalError as error:
        if url.get_backend_name() == "sqlite":
            raise LedgerError("the run database cannot be opened", next_step="Check its file and folder.") from error
        raise LocationError("the state database does not answer", next_step="Check ROPA_DATABASE_URL.") from error
    except DatabaseError as error:
        raise LedgerError(
            "the run database is not a database that can be read",
            next_step="Restore its newest copy; never start a new one beside an old ledger.",
            code="database-garbage",
        ) from error
    return engine


def _prepare_sqlite(path: Path, state: Path) -> None:
    has_ledger = (state / "ledger" / "events.jsonl").exists()
    if has_ledger and (not path.exists() or path.stat().st_size == 0):
        raise LedgerError(
            "the run database is missing beside its ledger",
            next_step=f"Restore {path.name} from its newest copy; a new one would know neither holds nor keys.",
            code="database-missing",
        )
    if path.exists() and path.stat().st_mode & 0o022:
        raise CallError(f"{path.name} is writable by others", next_step=f"chmod 600 {path.name}")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
