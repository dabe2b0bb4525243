"""A dataset of files: which files belong to it, and one of its files as a selection looks at it.

Invariant: what a name or a time does not say for certain is no date: a time of last change in 1970 or before, two
different dates in one name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from connectors.evaluate import read_moments
from connectors.files.names import Glob, NameDate, parse_key, parse_name, spell_name
from connectors.files.tree import Files, Names
from ropa.clock import Moment
from ropa.connector import Anchor, AnchorPart, DatasetSpec, Key, Scalar, Selection

COLUMNS: Mapping[str, str] = {
    "path": "text",
    "name": "text",
    "folder": "text",
    "extension": "text",
    "size": "integer",
    "mtime": "instant",
}
"""What there is of every file; all but ``mtime``, which is an anchor, can stand in ``where``."""

_SUBJECT_COLUMNS = frozenset({"name", "folder", "path"})

_MTIME = Anchor("mtime", (AnchorPart("mtime"),))
DEFAULT_ANCHORS: Mapping[str, Anchor] = {"mtime": _MTIME}

_Part = Callable[["FileItem"], tuple[object, ZoneInfo, str | None]]


class Folder:
    """A dataset as configured, made ready. Raises ValueError for a ``source`` that is not below the root.

    ``sentinel``: the name of the file in the root that is never a record.
    """

    def __init__(self, spec: DatasetSpec, pattern: str, sentinel: str) -> None:
        self.spec = spec
        self.names = _read_source(spec.source)
        self.is_pruned = spec.options.get("prune_empty") is True
        self.anchors = {**DEFAULT_ANCHORS, **spec.anchors}
        self._glob = Glob(str(spec.options.get("pattern") or pattern))
        self._data = [Glob(glob) for globs in spec.data.values() for glob in globs]
        self._sentinel = spell_name(sentinel)
        self._prefix = "".join(f"{spell_name(name)}/" for name in self.names)
        self._parts = {name: _compile(anchor, spec.zone) for name, anchor in self.anchors.items()}

    def is_member(self, path: str) -> bool:
        """Tell whether a file, its path from the root spelled as in keys, is a record of this dataset."""
        if not path.startswith(self._prefix) or path == self._sentinel:
            return False
        name = path.rpartition("/")[2]
        below = path[len(self._prefix) :]
        if not self._glob.is_match(below, name):
            return False
        return not self._data or any(glob.is_match(below, name) for glob in self._data)

    def record_test(self) -> Callable[[str], bool] | None:
        """Return what tells of a file that lies below the folder, by its path, whether it is a record; None: it is."""
        is_everything = self._glob.is_everything and (not self._data or any(glob.is_everything for glob in self._data))
        if not is_everything:
            return self.is_member
        return None if self.names else self._sentinel.__ne__

    def names_of(self, key: Key) -> Names | None:
        """Return the names that a key consists of; None where it is no key of a record of this dataset."""
        try:
            (path,) = key
            names = parse_key(path)
        except ValueError:
            return None
        return names if self.is_member(path) else None

    def group(self, keys: Sequence[Key]) -> tuple[Files, list[int]]:
        """Return the files behind keys by their folder, and the positions of what are no keys of its records."""
        files: dict[Names, list[tuple[int, str]]] = {}
        strays: list[int] = []
        last = ""
        own: list[tuple[int, str]] | None = None
        # Then a key is one of a record wherever its neighbour's is.
        is_uniform = self.record_test() is None
        for pos, key in enumerate(keys):
            # Most keys stand in the folder of the key before.
            above, _, part = key[0].rpartition("/") if len(key) == 1 else ("", "", "")
            if own is not None and is_uniform and above == last:
                try:
                    own.append((pos, parse_name(part)))
                except ValueError:
                    strays.append(pos)
            elif (names := self.names_of(key)) is not None:
                last, own = above, files.setdefault(names[:-1], [])
                own.append((pos, names[-1]))
            else:
                strays.append(pos)
        return files, strays

    def may_share(self, other: Folder) -> bool:
        """Tell whether a file may lie in the folders of both datasets."""
        return self._prefix.startswith(other._prefix) or other._prefix.startswith(self._prefix)

    def is_mtime(self, anchor: str) -> bool:
        """Tell whether an anchor is the time of last change and nothing else."""
        found = self.anchors.get(anchor)
        return found is not None and found.parts == _MTIME.parts

    def moments(self, anchor: str, item: FileItem) -> tuple[Moment, ...]:
        """Return the dates of an anchor's parts; none where it is not configured or cannot be read."""
        parts = self._parts.get(anchor)
        return () if parts is None else read_moments(part(item) for part in parts)

    def problems(self, selection: Selection | None) -> list[str]:
        """Return what in the configuration cannot be."""
        spec = self.spec
        problems = [f"files have no column {name} for persons" for name in spec.subject if name not in _SUBJECT_COLUMNS]
        if spec.key not in {(), ("path",)}:
            problems.append("the key of a file is its path")
        if spec.parent is not None:
            problems.append("files have no parent")
        for anchor in spec.anchors.values():
            problems += [f"anchor {anchor.name}: {reason}" for part in anchor.parts if (reason := _reason(part))]
        if selection is None:
            return problems
        if selection.fields:
            problems.append(
                "a file goes as a whole: some of its data categories cannot be removed and others kept; "
                "give them the same rule, or make two datasets with different patterns"
            )
        conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
        columns = dict.fromkeys(condition.column for condition in conditions)
        problems += [f"files have no column {name}" for name in columns if name not in COLUMNS or name == "mtime"]
        asked = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
        return problems + [f"there is no anchor {name}" for name in asked if name not in self.anchors]


class FileItem:
    """One file (``connectors.evaluate.Item``)."""

    __slots__ = ("folder", "key", "path", "status")

    def __init__(self, folder: Folder, path: str, status: os.stat_result) -> None:
        self.folder = folder
        self.path = path
        self.key: Key = (path,)
        self.status = status

    @property
    def name(self) -> str:
        """The name, spelled as in keys."""
        return self.path.rpartition("/")[2]

    def value(self, column: str) -> Scalar:
        """Return what ``COLUMNS`` tells of; the folder is relative to the root, the extension lower-case, no dot."""
        if column == "path":
            return self.path
        if column == "name":
            return self.name
        if column == "folder":
            return self.path.rpartition("/")[0] or "."
        if column == "extension":
            return PurePosixPath(self.name).suffix[1:].lower()
        return self.status.st_size if column == "size" else None

    def moments(self, anchor: str) -> tuple[Moment, ...]:
        """Return the dates of an anchor's parts."""
        return self.folder.moments(anchor, self)

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:  # noqa: ARG002 - part of the protocol
        """Return False: files belong to no other record."""
        return False


def _read_source(source: str) -> Names:
    if source == ".":
        return ()
    names = tuple(source.removeprefix("./").removesuffix("/").split("/"))
    if any(name in {"", ".", ".."} or "\0" in name for name in names):
        raise ValueError('is not the path of a folder below the root; "." is the root itself')
    return names


def _reason(part: AnchorPart) -> str | None:
    """Return why a part of an anchor cannot be read from files."""
    if part.dataset is not None:
        return "a file's date does not stand in another dataset"
    if part.column == "mtime":
        return None if part.form is None else "mtime has no pattern"
    if part.column != "name":
        return f"files have no date {part.column}; there are mtime and name"
    if part.form is None:
        return "a date in the name needs a pattern"
    try:
        NameDate(part.form)
    except ValueError as error:
        return str(error)
    return None


def _compile(anchor: Anchor, zone: ZoneInfo) -> list[_Part]:
    return [_compile_part(part, zone) for part in anchor.parts]


def _compile_part(part: AnchorPart, zone: ZoneInfo) -> _Part:
    if _reason(part) is not None:
        return lambda _: ((), zone, None)
    if part.form is None:
        return lambda item: (_read_mtime(item.status), zone, None)
    dates = NameDate(part.form)
    return lambda item: (dates.find(item.name, zone), zone, part.form)


def _read_mtime(status: os.stat_result) -> object:
    """Return the time of last change, to the second; something unreadable for 1970 and before, which nobody set."""
    try:
        moment = datetime.fromtimestamp(status.st_mtime_ns // 10**9, UTC)
    except (ValueError, OverflowError, OSError):
        return ()
    return moment if moment.year > 1970 else ()
