"""The benchmark of the fleet runs, on a little, and prints its table."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from ropa_runs import REPOSITORY, environment


@pytest.mark.whole
def test_the_benchmark_of_the_fleet_prints_a_ratio_for_each_contender() -> None:
    words = ("--rows", "80", "--places", "2", "--workers", "1", "--only", "sqlite")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "benchmarks" / "fleet.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^threads +\d+\.\d\d +\d+\.\d\d +1\.00$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^1 workers +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d$", done.stdout, re.MULTILINE), done.stdout
