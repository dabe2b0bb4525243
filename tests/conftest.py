"""What every test starts from: no setting of this machine's ropa reaches it, and a slow machine fails no property."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from microsoft365_bed import SOURCE, Bed
from servers import MariaDB, Postgres, ServerMissing

for name in ("ROPA_STATE", "ROPA_DATABASE_URL", "ROPA_FLEET"):
    os.environ.pop(name, None)

# How long one example takes depends on who else uses the machine.
settings.register_profile("ropa", deadline=None, print_blob=True)
settings.load_profile("ropa")


@pytest.fixture
def repository() -> os.PathLike[str]:
    """The root of the checkout."""
    from pathlib import Path

    return Path(__file__).parents[1]


def _started(start: Callable[[], Any]) -> Iterator[Any]:
    """Start a server, once for each process of tests that asks; where it is not installed, only CI insists on it."""
    try:
        server = start()
    except ServerMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"server absent: {missing}")
        pytest.skip(f"server absent: {missing}")
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; ``postgres.create()`` gives a database (``tests/servers.py``)."""
    yield from _started(Postgres.start)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server; ``mariadb.create()`` gives a database (``tests/servers.py``)."""
    yield from _started(MariaDB.start)


def _bed() -> Iterator[Bed]:
    if not SOURCE.is_dir():
        pytest.skip(f"beds absent: {SOURCE}")
    yield from _started(Bed.start)


@pytest.fixture(scope="session")
def microsoft365() -> Iterator[Bed]:
    """Stand-ins for Microsoft 365 to read from (``tests/microsoft365_bed.py``)."""
    yield from _bed()


@pytest.fixture(scope="module")
def own_microsoft365() -> Iterator[Bed]:
    """Stand-ins for Microsoft 365 of a module's own, because it deletes there."""
    yield from _bed()
