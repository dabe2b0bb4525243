"""The load benchmark runs as it is documented, small: its project is sound, and its plan counts what is there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.whole
def test_a_small_load_counts_what_the_bare_statements_count(tmp_path):
    small = ["--locations", "2", "--rules", "3", "--rows", "40", "--times", "1", "--limit", "1e6"]
    command = [sys.executable, "benchmarks/load.py", *small, "--keep", str(tmp_path / "project")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 locations x 3 rules x 40 rows" in done.stdout
    assert "6 targets" in done.stdout
    assert "(limit 1e+06: ok)" in done.stdout
