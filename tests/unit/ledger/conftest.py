from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_world import World, found, populate

from ropa.ledger.keys import create_signing_key
from ropa.ledger.store import Ledger


def _build(home: Path, **options: bool) -> Path:
    world = found(home)
    world.approver = create_signing_key(home / "approver")
    populate(world, **options)
    world.ledger.close()
    return home


@pytest.fixture(scope="session")
def rotated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("rotated"), has_rotation=True)


@pytest.fixture(scope="session")
def plain_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("plain"), has_rotation=False)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    def copy(home: Path) -> Path:
        return Path(shutil.copytree(home, tmp_path / "copy"))

    return copy


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A fresh ledger with its genesis and first checkpoint."""
    return found(tmp_path / "home")


@pytest.fixture
def reopened(tmp_path: Path, rotated_home: Path) -> World:
    """A copy of the whole story, open for writing."""
    home = Path(shutil.copytree(rotated_home, tmp_path / "again"))
    ledger = Ledger.open(home / "ledger", home / "keys")
    return World(home, ledger, at=ledger.last_at, runs=100)
