"""A prepared world, made once: every test works in its own copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import Ropa, copy, write_world


@pytest.fixture(scope="session")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration, register text and data; never used."""
    folder = tmp_path_factory.mktemp("bare") / "project"
    write_world(folder)
    return folder


@pytest.fixture(scope="session")
def ready_world(bare_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with state and the register imported."""
    ropa = copy(bare_world, tmp_path_factory.mktemp("ready") / "project")
    ropa("init", code=0)
    ropa("register", "import", "register.toml", "--by", "An", code=0)
    return ropa.folder


@pytest.fixture
def bare(bare_world: Path, tmp_path: Path) -> Ropa:
    return copy(bare_world, tmp_path / "unused")


@pytest.fixture
def ropa(ready_world: Path, tmp_path: Path) -> Ropa:
    return copy(ready_world, tmp_path / "project")
