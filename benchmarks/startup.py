"""How long `ropa --help` takes, beside `python -c "import typer"`, in one run on one machine.

    python benchmarks/startup.py [ROUNDS]

Both are started in turns, so that a busy machine slows both; the best of the rounds counts, as the least disturbed.
Bytecode is compiled first: without it Python compiles on every start, which no installation does. Fails when the ratio
is over the target.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
import time
from pathlib import Path

TARGET = 2.0
ROOT = Path(__file__).parents[1]


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    compileall.compile_dir(str(ROOT / "ropa"), quiet=1)
    help_command = [sys.executable, "-m", "ropa", "--help"]
    typer_command = [sys.executable, "-c", "import typer"]
    pairs = [(seconds(help_command), seconds(typer_command)) for _ in range(rounds)]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    ratio = ours / theirs
    print(f"ropa --help {ours * 1000:.0f} ms, import typer {theirs * 1000:.0f} ms, ratio {ratio:.2f} (target {TARGET})")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
