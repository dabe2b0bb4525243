"""A fork server for what is done without a fleet, and a bed in which whatever a fleet needs is started."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checker
sys.path.insert(0, str(Path(__file__).parents[1] / "kills"))

from fleet_kit import TTL, Bed, Scheduler, bed
from kill_project import Project, approve, make, prepare
from ropa_runs import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    made = Server(folder / "said")
    project = prepare(made, make(folder / "warm"))
    approve(made, project)
    made.warm("-C", project.folder, "apply", "1")
    yield made
    made.close()


@pytest.fixture(scope="session")
def prepared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Several places, with holds, without a plan."""
    return prepare(server, make(tmp_path_factory.mktemp("prepared") / "p"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Bed]:
    """Whatever is started with it is ended with the test."""
    with bed(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler that serves one test's project after the other's."""
    made = Scheduler(tmp_path_factory.mktemp("scheduler"), **TTL)
    yield made.address
    made.end()
