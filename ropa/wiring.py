"""The one composition root: configuration + secrets + database + connectors.

Invariant: only here do names of connectors become connectors, references become secrets, and a folder becomes a site;
nothing is created by a command that only reads, and a database is never made beside a ledger that has lost its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from ropa import config as configuration
from ropa.config import Config, Location
from ropa.connector import Connector, ConnectorType, LocationSpec
from ropa.errors import CallError, CheckError, ConfigurationError, LedgerError, Problem
from ropa.retention import conflicts

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

    from ropa.notify import Opening, Teller
    from ropa.sweep.site import OpenFleet, Site

GROUP = "ropa.connectors"


class _Types(Mapping[str, ConnectorType]):
    """Connectors by name, each loaded when it is first asked for: a folder uses one or two of them."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._loaded: dict[str, object] = {}

    def __getitem__(self, name: str) -> ConnectorType:
        if name not in self._loaded:
            self._loaded[name] = self._entries[name].load()
        found = self._loaded[name]
        if not isinstance(found, ConnectorType):
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@cache
def connector_types() -> Mapping[str, ConnectorType]:
    """Return the connectors of the entry-point group ``ropa.connectors``: ours, and any other package's."""
    return _Types(entry_points(group=GROUP))


def load_config(folder: Path) -> Config:
    """Read the configuration and compile its rules once, so that what contradicts is refused now and not at night.

    Raises ConfigurationError with every problem.
    """
    loaded = configuration.load(folder, connector_types())
    modes = (*configuration.check_modes(folder), *configuration.check_secret_modes(loaded, os.environ))
    found = (configuration.in_file(loaded.origins, problem) for problem in conflicts(loaded))
    if problems := (*modes, *found):
        raise ConfigurationError("config/retention.toml cannot be used", problems)
    return loaded


def state_folder(folder: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder: ``ROPA_STATE``, or ``var`` in the project folder."""
    moved = environ.get("ROPA_STATE")
    return (folder / moved).resolve() if moved else folder / "var"


def says_state(folder: Path, loaded: Config, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the project folder has been used: a ledger is there, or a database that was made for it. Raises as
    ``open_site`` does for a database that cannot be asked."""
    from ropa.database import has_schema

    state = state_folder(folder, environ)
    if _exists(state / "ledger" / "events.jsonl"):
        return True
    url = _database_url(folder, state, loaded, environ)
    if url.get_backend_name() == "sqlite":
        return _exists(Path(str(url.database)))
    engine = _make_engine(url)
    try:
        with _understood(is_file=False):
            return has_schema(engine)
    finally:
        engine.dispose()


def open_site(folder: Path, *, loaded: Config | None = None, environ: Mapping[str, str] = os.environ) -> Site:
    """Open a project folder; its state is made when there is none at all (``ropa init`` does the same by name).

    ``environ``: where ``ROPA_STATE`` and ``ROPA_DATABASE_URL`` are looked up. Raises ConfigurationError, CallError (a
    state folder or database that cannot be used), LedgerError (garbage, missing or old state beside a ledger),
    LocationError (a state database that does not answer).
    """
    from ropa.sweep import journal
    from ropa.sweep.state import get_state

    loaded = loaded or load_config(folder)
    state = state_folder(folder, environ)
    url = _database_url(folder, state, loaded, environ)
    _prepare(state, url)
    if problems := configuration.check_state_modes(state):
        raise ConfigurationError(
            "the state folder is open to others",
            tuple(problems),
            next_step="Look who could have read or changed it, then set these modes.",
        )
    site = _site(folder, state, loaded, _open_engine(url, state))
    try:
        if get_state(site, "ledger_size") is None:
            journal.create(site, origin=loaded.origin or _origin(folder))
    except BaseException:
        site.close()
        raise
    return site


def _origin(folder: Path) -> str:
    """The ledger's name in its checkpoints: no white space and no plus (C2SP signed-note), nor what is no text."""
    return "ropa/" + (re.sub(r"[^\w.-]+", "-", folder.resolve().name, flags=re.ASCII) or "register")


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
    if not _exists(state / "ledger") or not Ledger.exists(state / "ledger"):
        if _exists(state / "ropa.db"):
            raise LedgerError("the ledger is missing beside its run database", next_step="Restore its newest copy.")
        raise CheckError(f"there is no ledger in {state}", next_step="`ropa init` makes one.")
    loaded = load_config(folder)
    url = _database_url(folder, state, loaded, os.environ)
    _prepare(state, url)
    site = _site(folder, state, loaded, _open_engine(url, state))
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
    """Resolve a location's secrets, with those of ``apply`` where it has it, and open it. Raises ConfigurationError for
    a missing secret, LocationError."""
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


def fleet_at(address: str) -> OpenFleet:
    """Return what opens the fleet with a scheduler at an address. Raises CallError for an address that cannot be used,
    ConfigurationError for an extra or a certificate that is not there; what it returns raises LocationError."""
    from ropa.sweep.engine import check_address, load, security
    from ropa.sweep.fleet import Fleet

    found = check_address(address)
    security(load(), found, "client")  # what is missing is said before anything is opened
    return lambda site, lease, progress: Fleet(site, lease, found, progress)


def open_teller(loaded: Config, environ: Mapping[str, str] = os.environ) -> Teller:
    """Return who tells people what they must hear (``[notify]``); secrets are looked up when a channel is used."""
    from ropa.notify import Teller
    from ropa.notify.mail import MailChannel
    from ropa.notify.webhook import Healthcheck, WebhookChannel

    def secret(text: str, key: str) -> str:
        return configuration.dereference(text, path=f"notify.{key}", folder=loaded.folder, environ=environ)

    def address(text: str, key: str) -> str:
        found = secret(text, key)
        if (wrong := configuration.wrong_url(found)) is not None:
            raise ConfigurationError(f"notify.{key}: {wrong}", (Problem(f"notify.{key}", wrong),))
        return found

    channels: dict[str, Opening] = {}
    notify = loaded.notify
    if (mail := notify.mail) is not None:
        channels["mail"] = lambda: MailChannel(
            mail,
            mail.user and secret(mail.user, "mail.user"),
            mail.password and secret(mail.password, "mail.password"),
        )
    if (hook := notify.webhook) is not None:
        channels["webhook"] = lambda: WebhookChannel(
            address(hook.url, "webhook.url"), _signing_secret(secret(hook.secret, "webhook.secret"))
        )
    if (url := notify.healthcheck) is not None:
        return Teller(channels, lambda: Healthcheck(address(url, "healthcheck")))
    return Teller(channels)


def _signing_secret(secret: str) -> str:
    if len(secret) < configuration.SHORTEST_SECRET:
        wrong = f"the secret is shorter than {configuration.SHORTEST_SECRET} characters"
        raise ConfigurationError(f"notify.webhook.secret: {wrong}", (Problem("notify.webhook.secret", wrong),))
    return secret


def check_state(folder: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Raise CallError where the state of a folder that has no configuration yet could not be made."""
    state = state_folder(folder, environ)
    named = environ.get("ROPA_DATABASE_URL")
    if named and (url := _read_url(named, folder)).get_backend_name() != "sqlite":
        _make_engine(url)
    _check_writable(state)


def _database_url(folder: Path, state: Path, loaded: Config, environ: Mapping[str, str]) -> URL:
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


def _prepare(state: Path, url: URL) -> None:
    """Make what is missing of the state folder, and raise where it cannot be used."""
    if url.get_backend_name() == "sqlite":
        _prepare_sqlite(Path(str(url.database)), state)
        return
    _check_writable(state)


def _open_engine(url: URL, state: Path) -> Engine:
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

    if _exists(state / "ledger" / "events.jsonl") and not has_schema(engine):
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
    has_ledger = _exists(state / "ledger" / "events.jsonl")
    if has_ledger and (not _exists(path) or path.stat().st_size == 0):
        raise _missing_database(path.name)
    _check_writable(state)
    _check_writable(path.parent)
    if _exists(path):
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


def _exists(path: Path) -> bool:
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
