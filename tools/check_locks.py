"""Checks the locks: every requirement pinned and hashed, no host named, and the same requirements as pyproject.toml.

    python3 tools/check_locks.py [--uv UV]

Needs the standard library only. With ``--uv`` the locks are compiled again with the pins they have and compared, so
that a requirement added to pyproject.toml and not to the lock is found whatever it is called.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = {
    "requirements/core.txt": ["pyproject.toml"],
    "requirements/all.txt": ["pyproject.toml", "--extra", "all"],
    "requirements/dev.txt": ["pyproject.toml", "--extra", "all", "--group", "dev"],
    "requirements/build.txt": ["--python-version", "3.11", "requirements/build.in"],
}
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def normal(name: str) -> str:
    """Return a package's name as all its spellings have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> set[str]:
    """Return the names that a lock pins."""
    return {normal(found[1]) for found in _PIN.finditer(text)}


def problems_of(name: str, text: str, asked: Iterable[str]) -> list[str]:
    """Return what is wrong with one lock."""
    problems = [f"{name}:{number}: names a host" for number, line in enumerate(text.splitlines(), 1) if "://" in line]
    for block in re.split(r"\n(?=[^\s#])", text):
        found = _PIN.match(block)
        if found and "--hash=sha256:" not in block:
            problems.append(f"{name}: {found[1]} has no hash")
        elif not found and not block.startswith("#"):
            problems.append(f"{name}: not a pinned requirement: {block.splitlines()[0]}")
    wanted = {normal(re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0]) for one in asked}
    return problems + [
        f"{name}: {one} is asked for and not locked; run make lock" for one in sorted(wanted - pins(text))
    ]


def compiled_again(uv: str, name: str, arguments: list[str]) -> str:
    """Return what uv makes of the requirements, keeping the pins of the lock where they still fit."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "lock.txt"
        target.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
        command = [uv, "pip", "compile", "--quiet", "--universal", "--generate-hashes", *arguments, "-o", str(target)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return target.read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Check, print and return the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    core = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    every = [*core, *(one for name, needed in extras.items() if name != "all" for one in needed)]
    asked = {
        "requirements/core.txt": core,
        "requirements/all.txt": every,
        "requirements/dev.txt": [*every, *project["dependency-groups"]["dev"]],
        "requirements/build.txt": project["build-system"]["requires"],
    }
    problems = []
    for name, command in LOCKS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        problems += problems_of(name, text, asked[name])
        if arguments[:1] == ["--uv"]:
            again = compiled_again(arguments[1], name, command)
            strip = [[line for line in one.splitlines() if not line.startswith("#")] for one in (text, again)]
            if strip[0] != strip[1]:
                problems.append(f"{name}: pyproject.toml and this lock do not agree; run make lock")
    for other in (ROOT / "uv.lock", ROOT / "pylock.toml"):
        if other.exists():
            problems.append(f"{other.name}: is not kept; the locks are in requirements/")
    for problem in problems:
        print(problem)
    print(f"locks: {len(problems) or 'no'} problems in {len(LOCKS)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
