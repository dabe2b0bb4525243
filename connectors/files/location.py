"""Files below a root as a location: datasets are folders, records are files.

Invariant: a file is a record of one dataset only, or it is blocked; nothing is concluded from a listing that was not
whole; a record is purged only while it is the very file, in the very state, that was planned.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors.evaluate import Judge
from connectors.files.dataset import COLUMNS, DEFAULT_ANCHORS, FileItem, Folder
from connectors.files.names import Persons, parse_key, spell_name
from connectors.files.roots import DEFAULT_SENTINEL, error_code, mounts_below, open_root, reason_to_refuse
from connectors.files.tree import Chain, Names, Verdict, identity_of, status_of, walk
from ropa.connector import (
    Action,
    Batch,
    Capabilities,
    Column,
    DatasetInfo,
    Found,
    Health,
    Key,
    LocationSpec,
    Outcome,
    OutcomeWord,
    Record,
    Selection,
    normalise_identifier,
)
from ropa.errors import CallError, ConfigurationError, IncompleteListingError, LocationError, Problem

__all__ = ["CAPABILITIES", "DEFAULT_ANCHORS", "FilesConnector"]

CAPABILITIES = Capabilities(actions=frozenset({Action.PURGE}), default_batch_size=1000)


class FilesConnector:
    """A root with folders of files. Nothing is kept open between calls, so that a share may come and go.

    Raises ConfigurationError at once for a root that may not be one and for a dataset that is not below it, and
    LocationError in every call while the root or its sentinel is not there.
    """

    capabilities = CAPABILITIES

    def __init__(self, spec: LocationSpec) -> None:
        self._spec = spec
        # Without a "/" at the end, which would make the kernel follow a symbolic link.
        self._root = str(Path(spec.options["root"])) if spec.options.get("root") else ""
        self._sentinel = str(spec.options.get("sentinel") or DEFAULT_SENTINEL)
        folder = spec.options.get("folder")
        problems = []
        if reason := reason_to_refuse(self._root, str(folder) if folder else None):
            problems.append(Problem(f"location.{spec.name}.root", f"{self._root!r} {reason}"))
        if "/" in self._sentinel or self._sentinel in {".", ".."}:
            problems.append(Problem(f"location.{spec.name}.sentinel", "is the name of a file in the root"))
        self._folders: dict[str, Folder] = {}
        for name, dataset in spec.datasets.items():
            try:
                self._folders[name] = Folder(dataset, str(spec.options.get("pattern") or "*"))
            except ValueError as error:
                problems.append(Problem(f"location.{spec.name}.dataset.{name}.source", str(error)))
        if problems:
            raise ConfigurationError(f"{spec.name} cannot be opened", tuple(problems))

    def check(self) -> Health:
        """Look at the root, its sentinel and the rights on it. Raises LocationError when it is not there."""
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            may_read = _may(root.descriptor, os.R_OK)
            may_delete = _may(root.descriptor, os.W_OK)
            with Chain(root) as chain:
                for folder in self._folders.values():
                    try:
                        descriptor = chain.enter(folder.names)
                    except OSError:
                        may_read = False
                        continue
                    may_read = may_read and _may(descriptor, os.R_OK)
                    may_delete = may_delete and _may(descriptor, os.W_OK)
        mounts = mounts_below(self._root)
        notes = [f"{mounts} other file systems are mounted below the root; they are not entered"] if mounts else []
        return Health(True, _identity(), may_read, may_delete, None, tuple(notes))

    def datasets(self) -> list[DatasetInfo]:
        """List the declared folders, and the folders of the root that no declared one covers."""
        columns = tuple(Column(name, kind, is_nullable=False) for name, kind in COLUMNS.items())
        infos = [
            DatasetInfo(source=self._spec.datasets[name].source, columns=columns, key=("path",), kind="folder",
                        declared_as=name)
            for name in self._folders
        ]  # fmt: skip
        covered = {folder.names[:1] for folder in self._folders.values()}
        with open_root(self._root, self._sentinel, self._spec.name) as root, os.scandir(root.descriptor) as entries:
            others = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        if () not in covered:
            undeclared = [name for name in others if (name,) not in covered]
            infos += [DatasetInfo(source=name, columns=columns, key=("path",), kind="folder") for name in undeclared]
        return infos

    def count(self, dataset: str) -> int:
        """Return the number of files. Raises IncompleteListingError when a part cannot be read."""
        folder = self._expect(dataset)
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            return sum(self._is_record(folder, key) for key, _ in walk(root, folder.names))

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what cannot be: a folder, column, pattern or anchor; and every selection with ``fields``, because a
        file goes as a whole."""
        folder = self._folders.get(dataset)
        if folder is None:
            return [f"there is no dataset {dataset}"]
        problems = folder.problems(selection)
        with open_root(self._root, self._sentinel, self._spec.name) as root, Chain(root) as chain:
            try:
                chain.enter(folder.names)
            except OSError:
                problems.append(f"there is no folder {folder.spec.source} below the root, or it cannot be opened")
        return problems

    def find(self, selection: Selection) -> Iterator[Batch]:
        """Stream the selected files in the order of their keys. Unless they are named, the whole folder is listed."""
        return self._find(self._expect(selection.dataset), selection)

    def _find(self, folder: Folder, selection: Selection) -> Iterator[Batch]:
        judge, persons = Judge(selection), Persons(selection.spare.subjects)
        held = frozenset[Key]().union(*selection.spare.keys.values())
        size = self._spec.batch_size or self.capabilities.default_batch_size
        batch: list[Found] = []
        for item in self._items(folder) if selection.keys is None else self._named(folder, selection.keys):
            if not judge.is_selected(item):
                continue
            batch.append(
                Found(
                    key=item.key,
                    version=identity_of(item.status),
                    anchored=judge.anchored(item),
                    is_spared=item.key in held or persons.is_about(folder.spec.subject, item.path),
                    obstacle=self._obstacle(item),
                )
            )
            if len(batch) == size:
                yield Batch(selection.dataset, tuple(batch))
                batch = []
        if batch:
            yield Batch(selection.dataset, tuple(batch))

    def act(self, selection: Selection, batch: Batch, action: Action) -> list[Outcome]:
        """Purge files. Anything but a purge of whole records is refused."""
        folder = self._expect(batch.dataset)
        if action is not Action.PURGE or selection.fields or batch.companions:
            own = [Outcome(found.key, OutcomeWord.REFUSED) for found in batch.records]
            others = [(child.dataset, found.key) for child in batch.companions for found in child.records]
            return own + [Outcome(key, OutcomeWord.REFUSED, dataset=dataset) for dataset, key in others]
        judge, persons = Judge(selection), Persons(selection.spare.subjects)
        held = frozenset[Key]().union(*selection.spare.keys.values())
        verdicts: list[Verdict] = []
        emptied: set[Names] = set()
        with open_root(self._root, self._sentinel, self._spec.name) as root, Chain(root) as chain:
            for found in batch.records:
                names = self._names_of(folder, found.key)
                if names is None:
                    verdicts.append((OutcomeWord.CHANGED, None))
                    continue

                def look(status: os.stat_result, found: Found = found) -> Verdict | None:
                    item = FileItem(folder, found.key[0], status)
                    if found.key in held or persons.is_about(folder.spec.subject, item.path):
                        return OutcomeWord.HELD, None
                    if identity_of(status) != found.version or not judge.is_selected(item):
                        return OutcomeWord.CHANGED, None
                    obstacle = self._obstacle(item)
                    return (OutcomeWord.BLOCKED, obstacle) if obstacle else None

                verdicts.append(chain.purge(names, look))
                if verdicts[-1][0] is OutcomeWord.PURGED:
                    emptied.add(names[:-1])
            if folder.is_pruned:
                for names in sorted(emptied, key=len, reverse=True):
                    chain.prune(names, folder.names)
        if not chain.is_durable:
            # Gone for now, but a power failure could bring them back: that is not "purged".
            verdicts = [(OutcomeWord.UNVERIFIED, None) if w is OutcomeWord.PURGED else (w, c) for w, c in verdicts]
        return [Outcome(found.key, *verdict) for found, verdict in zip(batch.records, verdicts, strict=True)]

    def settle(self, dataset: str) -> str:
        """Return ``logical``: the name is gone, but the blocks stay on the medium until they are used again, and
        snapshots and backups keep theirs."""
        self._expect(dataset)
        return "logical"

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:  # noqa: ARG002 - the contract's
        """Return the keys under which a file is there, whichever it is. Raises LocationError when it cannot be told."""
        folder = self._expect(batch.dataset)
        there = set()
        with open_root(self._root, self._sentinel, self._spec.name) as root, Chain(root) as chain:
            for found in batch.records:
                names = self._names_of(folder, found.key)
                try:
                    if names is not None and chain.status(names) is not None:
                        there.add(found.key)
                except OSError as error:
                    raise LocationError(
                        f"{self._spec.name}.{batch.dataset} cannot be read back ({error_code(error)})",
                        code="unreadable",
                    ) from None
        return there

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream what is kept about a person: for each file its path, size and time; the content is the file itself."""
        folder = self._expect(dataset)
        persons = Persons({normalise_identifier(subject)})
        for item in self._items(folder):
            if persons.is_about(folder.spec.subject, item.path):
                modified = datetime.fromtimestamp(item.status.st_mtime_ns // 10**9, UTC)
                yield Record(
                    item.key, {name: item.value(name) for name in COLUMNS if name != "mtime"} | {"mtime": modified}
                )

    def close(self) -> None:
        """Let go of nothing: nothing is held between calls."""

    def _expect(self, dataset: str) -> Folder:
        try:
            return self._folders[dataset]
        except KeyError:
            raise CallError(f"{self._spec.name} has no dataset {dataset}", code="dataset-unknown") from None

    def _items(self, folder: Folder) -> Iterator[FileItem]:
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            for key, entry in walk(root, folder.names):
                if self._is_record(folder, key) and (status := status_of(entry)) is not None:
                    yield FileItem(folder, key, status)

    def _named(self, folder: Folder, keys: tuple[Key, ...]) -> Iterator[FileItem]:
        with open_root(self._root, self._sentinel, self._spec.name) as root, Chain(root) as chain:
            for key in sorted(set(keys)):
                names = self._names_of(folder, key)
                try:
                    status = None if names is None else chain.status(names)
                except OSError as error:
                    raise IncompleteListingError(
                        f"{self._spec.name}.{folder.spec.name}: a file cannot be looked at ({error_code(error)})",
                        code="unreadable",
                    ) from None
                if status is not None:
                    yield FileItem(folder, key[0], status)

    def _is_record(self, folder: Folder, path: str) -> bool:
        return path != spell_name(self._sentinel) and folder.is_member(path)

    def _names_of(self, folder: Folder, key: Key) -> Names | None:
        """Return the names that a key consists of; None where it is no key of a record of this dataset."""
        try:
            (path,) = key
            names = parse_key(path)
        except ValueError:
            return None
        return names if self._is_record(folder, path) else None

    def _obstacle(self, item: FileItem) -> str | None:
        """Return why a file cannot go: it has another name that would keep its content (hard link), or it belongs to
        a second dataset too, whose rules may still need it."""
        if item.status.st_nlink > 1:
            return "hard-link"
        others = (other for other in self._folders.values() if other is not item.folder)
        return "two-datasets" if any(other.is_member(item.path) for other in others) else None


def _may(descriptor: int, mode: int) -> bool:
    return os.access(".", mode | os.X_OK, dir_fd=descriptor, effective_ids=True)


def _identity() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
