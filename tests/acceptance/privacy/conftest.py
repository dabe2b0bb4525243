"""The same fork server and projects as for the kills."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checker
sys.path.insert(0, str(Path(__file__).parents[1] / "kills"))  # the projects

from kill_project import approve, make, prepare
from ropa_runs import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fork server that has imported what a whole loop imports."""
    folder = tmp_path_factory.mktemp("server")
    made = Server(folder / "said")
    project = prepare(made, make(folder / "warm"))
    approve(made, project)
    made.warm("-C", project.folder, "apply", "1")
    yield made
    made.close()
