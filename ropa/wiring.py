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
from ropa.connector import Connector, ConnectorType, LastingKey, LocationSpec
from ropa.errors import CallError, CheckError, ConfigurationError, LedgerError, Problem
from ropa.retention import conflicts
from ropa.sweep.opening import database_url, exists, open_engine, prepare, state_folder

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

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
    url = database_url(folder, state, loaded, environ)
    prepare(state, url)
    if problems := configuration.check_state_modes(state):
        raise ConfigurationError(
            "the state folder is open to others",
            tuple(problems),
            next_step="Look who could have read or changed it, then set these modes.",
        )
    site = _site(folder, state, loaded, open_engine(url, state))
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
        lasting_keys=lasting_keys(loaded),
    )


def lasting_keys(loaded: Config) -> dict[str, LastingKey]:
    """Return the locations whose records are not recognised by their keys after a restore, and by what they are."""
    types = connector_types()
    found = ((name, types[location.connector].lasting_key) for name, location in loaded.locations.items())
    return {name: lasting_key for name, lasting_key in found if lasting_key is not None}


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
    if not exists(state / "ledger") or not Ledger.exists(state / "ledger"):
        if exists(state / "ropa.db"):
            raise LedgerError("the ledger is missing beside its run database", next_step="Restore its newest copy.")
        raise CheckError(f"there is no ledger in {state}", next_step="`ropa init` makes one.")
    loaded = load_config(folder)
    url = database_url(folder, state, loaded, os.environ)
    prepare(state, url)
    site = _site(folder, state, loaded, open_engine(url, state))
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
