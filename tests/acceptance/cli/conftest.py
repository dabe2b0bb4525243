"""A prepared world, made once: every test works in its own copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import Ropa, copy, write_world
from state_engines import State


@pytest.fixture(scope="session")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration, register text and data; never used."""
    folder = tmp_path_factory.mktemp("bare") / "project"
    write_world(folder)
    return folder


@pytest.fixture(scope="session")
def ready_world(bare_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with state and the register imported."""
    return make_ready(copy(bare_world, tmp_path_factory.mktemp("ready") / "project"))


def make_ready(ropa: Ropa) -> Path:
    ropa("init", code=0)
    ropa("register", "import", "register.toml", "--by", "An", code=0)
    return ropa.folder


@pytest.fixture
def bare(bare_world: Path, tmp_path: Path, run_state: State, monkeypatch: pytest.MonkeyPatch) -> Ropa:
    return seen_by_processes(copy(bare_world, tmp_path / "unused", run_state.url()), monkeypatch)


def seen_by_processes(ropa: Ropa, monkeypatch: pytest.MonkeyPatch) -> Ropa:
    """Let a process that a test starts find the state where this one does."""
    if ropa.url:
        monkeypatch.setenv("ROPA_DATABASE_URL", ropa.url)
    return ropa


@pytest.fixture
def ropa(
    ready_world: Path, bare_world: Path, tmp_path: Path, run_state: State, monkeypatch: pytest.MonkeyPatch
) -> Ropa:
    twin = ready_world.with_name("on-a-server")  # its state in PostgreSQL

    def prepare(url: str) -> None:
        make_ready(copy(bare_world, twin, url))

    url = run_state.url("ready", prepare)
    return seen_by_processes(copy(twin if url else ready_world, tmp_path / "project", url), monkeypatch)
