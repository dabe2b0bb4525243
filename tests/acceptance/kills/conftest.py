"""A fork server per worker, and prepared projects to copy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checker

from kill_project import Project, approve, make, prepare
from ropa_runs import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fork server that has imported what a whole loop imports."""
    folder = tmp_path_factory.mktemp("server")
    made = Server(folder / "said")
    project = prepare(made, make(folder / "warm"))
    made.warm("-C", project.folder, "init")
    approve(made, project)
    made.warm("-C", project.folder, "apply", "1")
    made.warm("-C", project.folder, "ledger", "verify")
    yield made
    made.close()


@pytest.fixture(scope="session")
def approved(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A database alone, its plan approved: to be copied and carried out."""
    return approve(server, prepare(server, make(tmp_path_factory.mktemp("approved") / "p", files=False)))


@pytest.fixture(scope="session")
def planless(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A database and files, with holds, without a plan."""
    return prepare(server, make(tmp_path_factory.mktemp("planless") / "p"))
