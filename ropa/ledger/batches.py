"""The files of a batch: its leaves, and its outcomes where they are not all the same.

Invariant: a batch file's name is the root over its leaves, an outcome file's hash stands in its receipt, and each has
one spelling: so a changed byte shows. The n-th outcome belongs to the n-th leaf.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Any

from ropa.ledger.events import MAX_LEAVES, is_hash, outcome_word
from ropa.ledger.files import read_bounded
from ropa.ledger.merkle import root

BATCH_NAME = re.compile(r"[0-9a-f]{64}")
OUTCOMES_NAME = re.compile(r"[0-9a-f]{64}\.outcomes")
LEAF_LINE = 65
_LEAF_LINES = re.compile(rb"(?:[0-9a-f]{64}\n)*+")
_LONGEST_OUTCOME = 48


def format_batch(leaves: Sequence[bytes]) -> tuple[str, bytes]:
    """Return (root in hex, content of the batch file). Raises ValueError unless there are 1 to 100,000 leaves of 32
    bytes, each once."""
    if not 1 <= len(leaves) <= MAX_LEAVES:
        raise ValueError(f"a batch has 1 to {MAX_LEAVES} leaves")
    if set(map(len, leaves)) != {32}:
        raise ValueError("a leaf is 32 bytes")
    if len(set(leaves)) != len(leaves):
        raise ValueError("a leaf stands twice in the batch")
    return root(leaves).hex(), b"".join(leaves).hex("\n", 32).encode("ascii") + b"\n"


def format_outcomes(outcomes: Sequence[str]) -> tuple[str, bytes | None]:
    """Return (what the receipt says, content of the outcome file or None where all outcomes are the same).

    Raises ValueError for no outcomes or one that is none.
    """
    different = set(outcomes)
    if not outcomes or any(outcome_word(outcome) is None for outcome in different):
        raise ValueError("an outcome is a word, failed:<code> or recoverable:<YYYY-MM-DD>")
    if len(different) == 1:
        return outcomes[0], None
    content = ("\n".join(outcomes) + "\n").encode()
    return sha256(content).hexdigest(), content


def count_outcomes(outcomes: Sequence[str]) -> dict[str, int]:
    """Return the receipt's ``counts``: outcome word to number, words with 0 left out."""
    counts = Counter[str]()
    for outcome, count in Counter(outcomes).items():
        if (word := outcome_word(outcome)) is not None:
            counts[word] += count
    return dict(counts)


def wrong_files(folder: Path, event: Mapping[str, Any], leaves: int, *, is_quick: bool = False) -> list[str]:
    """Return the codes of what is wrong with the files that an intent or a receipt of so many leaves relies on.

    ``is_quick``: of a batch file only the length is looked at, because it was written just before.
    """
    path = folder / event["root"]
    try:
        if event["type"] == "receipt":
            if not is_hash(event["outcomes"]):
                return []
            told = read_outcomes(path.with_suffix(".outcomes"), leaves, event["outcomes"])
            return [] if count_outcomes(told) == event["counts"] else ["receipt-counts"]
        if is_quick:
            found = os.lstat(path)
            return [] if stat.S_ISREG(found.st_mode) and found.st_size == LEAF_LINE * leaves else ["batch-file"]
        return [] if root(read_leaves(path, leaves)).hex() == event["root"] else ["batch-root"]
    except (OSError, ValueError):
        return ["batch-file" if event["type"] == "intent" else "outcome-file"]


def count_debris(folder: Path, roots: AbstractSet[bytes], told: AbstractSet[bytes]) -> int:
    """Return how many files belong neither to a batch in ``roots`` nor, as outcomes, to one in ``told``."""
    count = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                owners = told if OUTCOMES_NAME.fullmatch(entry.name) else roots
                stem = entry.name.removesuffix(".outcomes")
                count += not (BATCH_NAME.fullmatch(stem) and bytes.fromhex(stem) in owners)
    except OSError:
        pass  # nothing there; what an intent names is missed elsewhere
    return count


def read_leaves(path: Path, count: int) -> list[bytes]:
    """Return the leaves of a batch file that should hold ``count``. Raises OSError or ValueError where it does not."""
    content = read_bounded(path, LEAF_LINE * min(count, MAX_LEAVES))
    if len(content) != LEAF_LINE * count or _LEAF_LINES.fullmatch(content) is None:
        raise ValueError("not one leaf a line")
    joined = bytes.fromhex(content.decode("ascii"))
    leaves = [joined[i : i + 32] for i in range(0, len(joined), 32)]
    if len(set(leaves)) != count:
        raise ValueError("a leaf stands twice in the batch")
    return leaves


def read_outcomes(path: Path, count: int, digest: str) -> list[str]:
    """Return the outcomes of a file that should hold ``count`` under this hash. Raises OSError or ValueError where it
    does not, or where all are the same (they have another spelling)."""
    content = read_bounded(path, _LONGEST_OUTCOME * min(count, MAX_LEAVES))
    if sha256(content).hexdigest() != digest:
        raise ValueError("not the file that the receipt names")
    lines = content.decode("ascii").split("\n")
    if len(lines) != count + 1 or lines.pop() or len(set(lines)) < 2:
        raise ValueError("not one outcome a line")
    if any(outcome_word(line) is None for line in set(lines)):
        raise ValueError("an outcome that is none")
    return lines
