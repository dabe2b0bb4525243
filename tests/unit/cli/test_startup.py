"""`ropa --help` starts fast, because nothing heavy is imported for it: counted here, timed by benchmarks/startup.py."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

HEAVY = (
    "sqlalchemy", "sqlmodel", "alembic", "cryptography", "jinja2", "babel", "rich", "faker", "pydantic", "tomlkit",
    "stdnum", "dateutil", "sqlite3", "asyncio", "concurrent", "http", "email", "connectors",
)  # fmt: skip
"""Packages that commands need and their help does not."""


def imported(*arguments: str) -> list[str]:
    """Return the modules that a command imports, as ``-X importtime`` lists them."""
    command = [sys.executable, "-X", "importtime", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return re.findall(r"^import time: .*\| +(\S+)$", ran.stderr, re.MULTILINE)


@pytest.fixture(scope="module")
def typer_alone() -> list[str]:
    return imported("-c", "import typer")


BY_TYPER = {"pydantic", "email"}
"""What Typer itself loads to read the options that stand before a command."""


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("--help",), set()),
        (("--version",), set()),
        (("plan", "--help"), BY_TYPER),
        (("ledger", "prove", "--help"), BY_TYPER),
    ],
)
def test_help_loads_nothing_heavy(arguments, allowed, typer_alone):
    found = imported("-m", "ropa", *arguments)
    assert "ropa.cli.app" in found
    loaded = {name.partition(".")[0] for name in found} - {name.partition(".")[0] for name in typer_alone}
    assert loaded & set(HEAVY) <= allowed


def test_help_loads_of_ours_only_the_command_line_the_errors_and_the_package():
    ours = {name for name in imported("-m", "ropa", "--help") if name.startswith(("ropa", "connectors"))}
    assert {name for name in ours if not name.startswith("ropa.cli")} <= {"ropa", "ropa.errors"}


def test_help_loads_few_modules_beside_those_of_typer(typer_alone):
    found = set(imported("-m", "ropa", "--help")) - set(typer_alone)
    assert len(found) <= 80, sorted(found)


def test_the_command_also_runs_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "ropa", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"ropa \d+\.\d+\.\d+\n", ran.stdout)


def test_a_heavy_module_would_be_seen():
    assert "sqlalchemy" in imported("-c", "import ropa.database")
