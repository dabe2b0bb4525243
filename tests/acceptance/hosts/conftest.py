"""The same fork server as for the kills."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the checker
sys.path.insert(0, str(Path(__file__).parents[1] / "kills"))  # starting and killing

from ropa_runs import Server
from servers import Postgres
from two_hosts import Hosts, warm


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A fork server that has imported what a night imports."""
    folder = tmp_path_factory.mktemp("server")
    made = Server(folder / "said")
    with postgres.create() as database:
        warm(Hosts(made, folder / "warm", database.url).make())
    yield made
    made.close()
