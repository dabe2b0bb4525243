"""Reads the result of a test run: fails on a test that was skipped without being allowed to, and prints the last line.

    python tools/check_skips.py RESULT.xml [FAILED_CHECKS SECONDS]

RESULT.xml is what ``pytest --junitxml`` wrote. ``tests/allowed_skips.txt`` names what may be skipped, and for what
reason; an expected failure (xfail) counts as a skip. FAILED_CHECKS are failures of other checks, added to the count.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET  # our own file, written a moment ago
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ALLOWED = Path(__file__).parents[1] / "tests" / "allowed_skips.txt"


def read_allowed(text: str) -> list[tuple[str, str]]:
    """Return pairs of globs, test and reason. Raises ValueError for a line that has no reason."""
    pairs = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        test, gap, reason = line.partition("  ")
        if not gap or not reason.strip():
            message = f"a skip without a reason: {line}"
            raise ValueError(message)
        pairs.append((test.strip(), reason.strip()))
    return pairs


def skipped(root: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield each skipped test with its reason."""
    for case in root.iter("testcase"):
        for skip in case.findall("skipped"):
            yield f"{case.get('classname')}::{case.get('name')}", skip.get("message") or skip.get("type") or ""


def not_allowed(skips: Iterable[tuple[str, str]], allowed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the skips that no pair of globs covers."""
    return [
        (test, reason)
        for test, reason in skips
        if not any(fnmatchcase(test, name) and fnmatchcase(reason, why) for name, why in allowed)
    ]


def main(arguments: list[str]) -> int:
    """Check, print and return the exit code."""
    path = Path(arguments[0])
    failed_checks = int(arguments[1]) if len(arguments) > 1 else 0
    if not path.is_file():
        print("the tests did not get as far as a result")
        print(f"===== {failed_checks + 1} failed =====")
        return 1
    root = ET.parse(path).getroot()  # noqa: S314 - written by pytest a moment ago
    suites = list(root.iter("testsuite"))
    counts = {name: sum(int(s.get(name, 0)) for s in suites) for name in ("tests", "failures", "errors", "skipped")}
    seconds = float(arguments[2]) if len(arguments) > 2 else sum(float(s.get("time", 0)) for s in suites)
    wrong = not_allowed(skipped(root), read_allowed(ALLOWED.read_text(encoding="utf-8")))
    for test, reason in wrong:
        print(f"skipped, and not allowed to be by tests/allowed_skips.txt: {test}: {reason}")
    failed = counts["failures"] + counts["errors"] + len(wrong) + failed_checks
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    words = [f"{failed} failed"] if failed else []
    words += [f"{passed} passed"]
    words += [f"{counts['skipped']} skipped"] if counts["skipped"] else []
    print(f"===== {', '.join(words)} in {seconds:.2f}s =====")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
