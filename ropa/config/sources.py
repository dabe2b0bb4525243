"""The files of one policy: ``config/retention.toml``, and ``config/retention.d/*.toml`` for more places and rules.

One file is bounded before it is parsed (``bounds``), and hundreds of places do not fit in it. Further files are read
after it in the order of their names, each within the same bounds and all of them within a total; they hold
``[location.*]`` and ``[rule.*]`` and nothing else: what holds for the whole (the zone, the caps) stands in one file.

Invariant: what stands in two files is an error that names both, never the later or the earlier of the two. The digest
covers every byte of every file, its name and its place in the order; of ``retention.toml`` alone it is that of its
bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ropa.config.bounds import MAX_BYTES, MAX_KEYS, read_toml, unusable_file
from ropa.config.problems import KeyPath, spell
from ropa.errors import ConfigurationError, Problem

FILE = Path("config", "retention.toml")
"""Relative to the project folder."""
FURTHER = Path("config", "retention.d")
"""The folder of further files, relative to the project folder."""
MAX_FILES = 1000
"""Further files."""
MAX_TOTAL_BYTES = 16 * MAX_BYTES
"""Of all files together."""
MAX_TOTAL_VALUES = 16 * MAX_KEYS
"""Values in all files together."""

_TABLES = ("location", "rule")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,249}\.toml", re.ASCII)
"""Of such names every machine knows the same order."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The files as one document."""

    document: dict[str, Any]
    digest: str
    """``sha256:`` and 64 hex digits."""
    is_several: bool = False
    """Whether there are further files."""
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Places and rules of further files (``("rule", "prospects")``) to the file."""

    def where(self, path: KeyPath) -> str:
        """Spell a key path, with the file before it where that is a further one."""
        file = self.origins.get((str(path[0]), str(path[1]))) if len(path) > 1 else None
        return spell(path) if file is None else f"{file}: {spell(path)}"


def read_policy(folder: Path) -> Policy:
    """Read all files of the policy of a project folder.

    Raises ConfigurationError with a Problem for each file that cannot be read, is past a bound or is not TOML, for
    each table that has no place in a further file, and for each place or rule that stands in two.
    """
    files = [FILE, *(FURTHER / name for name in _names(folder / FURTHER))]
    contents: dict[str, bytes] = {}
    documents: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    size = values = 0
    for file in files:
        try:
            documents[str(file)], contents[str(file)] = read_toml(folder / file)
        except ConfigurationError as error:
            if len(files) == 1:
                raise
            problems += error.problems
            continue
        # Looked at after each file, so that no more is parsed than may be.
        size, values = size + len(contents[str(file)]), values + _values_in(documents[str(file)])
        if size > MAX_TOTAL_BYTES:
            raise unusable_file(folder / FURTHER, f"its files are together larger than {MAX_TOTAL_BYTES:,} bytes")
        if values > MAX_TOTAL_VALUES:
            raise unusable_file(folder / FURTHER, f"its files give together more than {MAX_TOTAL_VALUES:,} values")
    if len(files) == 1:
        return Policy(documents[str(FILE)], _digest(contents[str(FILE)]))
    origins: dict[tuple[str, str], str] = {}
    merged = _merge(documents, origins, problems)
    if problems:
        raise ConfigurationError(
            f"{folder / FILE.parent}: {_count(problems)}", tuple(problems), next_step="Mend them; nothing was touched."
        )
    further = {key: file for key, file in origins.items() if file != str(FILE)}
    return Policy(merged, _digest_of_all(contents), is_several=True, origins=further)


def in_file(origins: Mapping[tuple[str, str], str], problem: Problem) -> Problem:
    """Return a problem with the further file that it is in before its key path; any other as it is."""
    table, _, rest = problem.path.partition(".")
    file = origins.get((table, rest.partition(".")[0]))
    return problem if file is None else replace(problem, path=f"{file}: {problem.path}")


def further_files(folder: Path) -> list[Path]:
    """Return the further files of a project folder that is known to be readable, in the order of reading."""
    return [folder / FURTHER / name for name in _names(folder / FURTHER)]


def _names(path: Path) -> list[str]:
    """Return the names of the further files in order. What a shell would not list as ``*.toml`` is none."""
    if not os.path.lexists(path):
        return []
    try:
        found = sorted(file.name for file in path.iterdir() if file.suffix == ".toml" and file.name[0] != ".")
    except OSError as failure:
        raise unusable_file(path, f"cannot be listed: {failure.strerror}") from None
    odd = [name for name in found if _NAME.fullmatch(name) is None]
    if odd:
        trouble = "the name of a further file has letters, digits, ., - and _, and ends in .toml"
        problems = tuple(Problem(str(path / name), trouble) for name in odd[:MAX_FILES])
        raise ConfigurationError(f"{path}: {_count(problems)}", problems, next_step="Give them other names.")
    if len(found) > MAX_FILES:
        raise unusable_file(path, f"has more than {MAX_FILES:,} files")
    return found


def _values_in(value: Any) -> int:
    """Count the values of a document; a list is one, with what its tables give."""
    if isinstance(value, dict):
        return sum(map(_values_in, value.values()))
    return 1 + (sum(_values_in(inner) for inner in value if isinstance(inner, dict)) if isinstance(value, list) else 0)


def _merge(
    documents: Mapping[str, dict[str, Any]], origins: dict[tuple[str, str], str], problems: list[Problem]
) -> dict[str, Any]:
    """Return the documents as one; ``origins`` learns where each place and rule stands."""
    merged = dict(documents.get(str(FILE), {}))
    for table in _TABLES:
        if isinstance(members := merged.get(table), dict):
            merged[table] = dict(members)
            origins.update({(table, name): str(FILE) for name in members})
    for file, document in documents.items():
        if file == str(FILE):
            continue
        for table, name, value in _members(file, document, problems):
            if (other := origins.setdefault((table, name), file)) != file:
                message = f"stands in {other} too; a place or a rule may stand only once"
                problems.append(Problem(f"{file}: {spell((table, name))}", message))
            elif isinstance(inner := merged.setdefault(table, {}), dict):
                inner[name] = value
    return merged


def _members(file: str, document: dict[str, Any], problems: list[Problem]) -> Iterator[tuple[str, str, Any]]:
    for table, members in document.items():
        if table not in _TABLES:
            message = f"may stand in {FILE} only; further files hold places and rules, [location.*] and [rule.*]"
            problems.append(Problem(f"{file}: {spell((table,))}", message))
        elif not isinstance(members, dict):
            problems.append(Problem(f"{file}: {table}", f"must be a table of {table}s by name"))
        else:
            yield from ((table, name, value) for name, value in members.items())


def _count(problems: Sequence[Problem]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _digest_of_all(contents: Mapping[str, bytes]) -> str:
    """Return the digest of several files: of a list of their digests and names that is no TOML, and so no file."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items()]
    return _digest(b"policy files:\n" + "".join(lines).encode())
