"""What every test starts from: no setting of this machine's ropa reaches it, and a slow machine fails no property."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings
from microsoft365_bed import SOURCE, Bed
from servers import MariaDB, Postgres, ServerMissing
from shared_statements import share
from state_engines import CHOICES, POSTGRESQL, SQLITE, PostgresState, Shelf, State, engines_for

for name in ("ROPA_STATE", "ROPA_DATABASE_URL", "ROPA_FLEET"):
    os.environ.pop(name, None)

share()

# How long one example takes depends on who else uses the machine.
settings.register_profile("ropa", deadline=None, print_blob=True)
settings.load_profile("ropa")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--state-engine",
        choices=CHOICES,
        default=os.environ.get("ROPA_STATE_ENGINE", "sample"),
        help="where the run state of tests is: sample (the default), both, sqlite, postgresql (tests/state_engines.py)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite_state(why): is about the SQLite file, and is run on nothing else")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slowest tests, and cases of some others, to the campaigns (``make campaigns``), or to whoever names one."""
    is_named = any("::" in argument for argument in config.args)
    if "ROPA_CAMPAIGN" in os.environ or is_named:
        return
    left = [item for item in items if item.get_closest_marker("whole")]
    seen = Counter[str]()
    for item in sorted(items, key=lambda item: item.nodeid):  # they may have been shuffled
        if (sampled := item.get_closest_marker("sampled")) is not None:
            function, case, _ = item.nodeid.partition("[")
            # Of a class that is sampled its tests are the cases.
            name = function if case else function.rpartition("::")[0]
            if seen[name] % sampled.kwargs["one_in"]:
                left.append(item)
            seen[name] += 1
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep what was collected, thousands of tests that stay to the end, out of every later search for garbage."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "run_state" in metafunc.fixturenames:
        path = metafunc.definition.nodeid.partition("::")[0]
        is_about_sqlite = metafunc.definition.get_closest_marker("sqlite_state") is not None
        asked = metafunc.config.getoption("--state-engine")
        found = engines_for(asked, path, metafunc.definition.originalname, is_about_sqlite=is_about_sqlite)
        metafunc.parametrize("run_state", found, indirect=True)


@pytest.fixture(scope="session")
def shelf(postgres: Postgres) -> Iterator[Shelf]:
    """Prepared databases of this process of tests."""
    made = Shelf(postgres)
    yield made
    made.close()


@pytest.fixture
def run_state(request: pytest.FixtureRequest) -> Iterator[State]:
    """What the run state of this test is kept in (``tests/state_engines.py``)."""
    assert request.param in {SQLITE, POSTGRESQL}
    made = PostgresState(request.getfixturevalue("shelf")) if request.param == POSTGRESQL else State()
    yield made
    made.close()


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
