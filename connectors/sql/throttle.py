"""Holding back: not more rows in a second, and not while replicas are behind, than a busy source can bear.

Invariant: waiting happens between batches, with no transaction open and no lock held; it never changes what goes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ropa.clock import monotonic
from ropa.connector import LocationSpec
from ropa.errors import LocationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from connectors.sql.backend import Backend

_LOOK_AGAIN_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0
"""How long replicas may stay behind before the place counts as unreachable for this run."""


class Throttle:
    """The pace of one location: options ``max_rows_per_second`` and ``max_replica_lag`` (seconds)."""

    def __init__(self, spec: LocationSpec, backend: Backend) -> None:
        self._location = spec.name
        self._backend = backend
        self._rows_per_second = _positive(spec.options.get("max_rows_per_second"))
        self._lag = _positive(spec.options.get("max_replica_lag"))

    @property
    def is_set(self) -> bool:
        """Whether the location has a pace to keep."""
        return self._rows_per_second is not None or self._lag is not None

    @contextmanager
    def paced(self, connection: Connection, rows: int) -> Iterator[None]:
        """Wait until the replicas keep up, act, and stay away for as long as these rows are worth."""
        self._await_replicas(connection)
        begun = monotonic()
        yield
        if self._rows_per_second is not None:
            time.sleep(max(0.0, rows / self._rows_per_second - (monotonic() - begun)))

    def _await_replicas(self, connection: Connection) -> None:
        if self._lag is None:
            return
        until = monotonic() + _PATIENCE_SECONDS
        while (lag := self._backend.replica_lag_seconds(connection)) is not None and lag > self._lag:
            if monotonic() >= until:
                msg = f"location {self._location}: its replicas stay more than {self._lag:g} s behind"
                raise LocationError(
                    msg, code="replica-lag", next_step="See why replication lags, or raise `max_replica_lag`."
                )
            time.sleep(_LOOK_AGAIN_SECONDS)


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
