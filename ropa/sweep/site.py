"""What every command works with: one project folder, read once, with its database, places and compiled rules.

Invariant: the configuration's bytes are read once, when the site is made; whatever changes on disk afterwards does not
reach a run that is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ropa import __version__, clock
from ropa.config import Config, Location
from ropa.connector import Connector, LastingKey
from ropa.errors import CallError, LocationError
from ropa.register import Register, RegisterStore
from ropa.retention import Target, compile_policy
from ropa.sweep.lineage import Lineage

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ropa.sweep.crew import Crew
    from ropa.sweep.lock import Lease

    OpenFleet = Callable[["Site", Lease, Callable[[str, int], None] | None], Crew]
    """Called with the lease of the run, and whom to show progress to."""

TOOL = f"ropa {__version__}"


@dataclass
class Site:
    """One project folder, opened."""

    folder: Path
    state: Path
    """State folder: ``var`` or what ``ROPA_STATE`` says."""
    config: Config
    engine: Engine
    open_location: Callable[[Location], Connector]
    """Opens a place with its secrets, those of ``apply`` where the location has it; raises LocationError, or
    ConfigurationError for a secret that is not there."""
    enforcing: frozenset[str] = frozenset()
    """Locations whose connector acts at all (``manual`` only documents)."""
    lasting_keys: Mapping[str, LastingKey] = field(default_factory=dict)
    """Locations whose records are not recognised by their keys after a restore (``ConnectorType.lasting_key``)."""
    open_fleet: OpenFleet | None = None
    """Opens the fleet that was asked for; None: threads of this process do the work."""
    now: Callable[[], datetime] = clock.now
    _open: dict[str, Connector] = field(default_factory=dict, repr=False)
    _acting: dict[str, Connector] = field(default_factory=dict, repr=False)
    _targets: tuple[Target, ...] | None = None
    _by_identity: Mapping[str, Target] | None = field(default=None, repr=False)
    _register: tuple[int, Register] | None = field(default=None, repr=False)
    _lineages: dict[str, Lineage] = field(default_factory=dict, repr=False)

    @property
    def ledger_folder(self) -> Path:
        """Where the evidence is."""
        return self.state / "ledger"

    @property
    def keys_folder(self) -> Path:
        """Where the signing key is."""
        return self.state / "keys"

    @property
    def exports_folder(self) -> Path:
        """Where reports and the newest checkpoint go."""
        return self.state / "exports"

    @property
    def targets(self) -> tuple[Target, ...]:
        """The rules, compiled (design 4.4)."""
        if self._targets is None:
            self._targets = compile_policy(self.config)
        return self._targets

    @property
    def by_identity(self) -> Mapping[str, Target]:
        """The compiled rules by ``Target.identity``."""
        if self._by_identity is None:
            self._by_identity = {target.identity: target for target in self.targets}
        return self._by_identity

    def today(self) -> date:
        """The calendar day in the controller's zone."""
        return clock.calendar_day(self.now(), self.config.timezone)

    def end_of_day(self, day: date) -> datetime:
        """The last second of a day in the controller's zone, UTC."""
        local = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=self.config.timezone)
        return local.astimezone(UTC)

    def register(self) -> tuple[int, Register]:
        """The current revision number and the register."""
        store = RegisterStore(self.engine)
        if self._register is None or self._register[0] != store.revision():
            self._register = store.current()
        return self._register

    def activities(self) -> tuple[int, frozenset[str]]:
        """The current revision number and the keys of the register's activities alone."""
        return RegisterStore(self.engine).activities()

    def register_revision(self) -> int:
        """The current revision number alone."""
        return RegisterStore(self.engine).revision()

    def connector(self, location: str) -> Connector:
        """Return the open connector of a location, to look and to plan with: what ``[location.X.apply]`` says is not
        looked up for it. Raises LocationError, ConfigurationError; CallError for an unknown name."""
        if location not in self.config.locations:
            raise CallError(
                f"there is no location {location!r} in config/retention.toml",
                next_step=f"Known: {', '.join(sorted(self.config.locations)) or 'none'}.",
            )
        if location not in self._open:
            self._open[location] = self.open_location(replace(self.config.locations[location], apply={}))
        return self._open[location]

    def acting(self, location: str) -> Connector:
        """Return the connector of a location to act with: another than ``connector`` where ``[location.X.apply]`` names
        other credentials, which are looked up here and nowhere else. Raises as ``connector``."""
        if location not in self.config.locations or not self.config.locations[location].apply:
            return self.connector(location)
        if location not in self._acting:
            self._acting[location] = self.open_location(self.config.locations[location])
        return self._acting[location]

    def parents_or_declared(self, location: str) -> Mapping[str, frozenset[str]]:
        """Map each declared dataset of a location to the declared datasets its records belong to, from the
        configuration and, where it can be read, the catalogue. A dataset may be its own parent."""
        return self._lineage_or_declared(location).parents

    def ancestors(self, location: str) -> dict[str, frozenset[str]]:
        """Map each declared dataset of a location to those that it descends from, with full names: its parents, and
        those to which tables lead that are not declared. Raises LocationError where the place cannot be read."""
        return self._lineage_of(location).full_ancestors(location)

    def all_ancestors(self) -> dict[str, frozenset[str]]:
        """``ancestors`` of every location; of one that cannot be read what the configuration alone declares."""
        found: dict[str, frozenset[str]] = {}
        for location in self.config.locations:
            found |= self._lineage_or_declared(location).full_ancestors(location)
        return found

    def _lineage_of(self, location: str) -> Lineage:
        if location not in self.enforcing:
            return Lineage({}, {})
        if location not in self._lineages:
            datasets = self.config.locations[location].datasets
            self._lineages[location] = Lineage.of(datasets, self.connector(location).datasets())
        return self._lineages[location]

    def _lineage_or_declared(self, location: str) -> Lineage:
        try:
            return self._lineage_of(location)
        except LocationError:
            return Lineage.of(self.config.locations[location].datasets, ())

    def close(self) -> None:
        """Let go of every place and of the database."""
        for connector in (*self._open.values(), *self._acting.values()):
            connector.close()
        self._open.clear()
        self._acting.clear()
        self.engine.dispose()
