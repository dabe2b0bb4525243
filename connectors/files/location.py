"""Files below a root as a location: datasets are folders, records are files.

Invariant: a file is a record of one dataset only, or it is blocked; nothing is concluded from a listing that was not
whole; a record is purged only while it is the very file, in the very state, that was planned.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from connectors.files.asking import Columns, Question, Row
from connectors.files.dataset import COLUMNS, DEFAULT_ANCHORS, FileItem, Folder
from connectors.files.listing import Entries, Sift, statuses, walk
from connectors.files.names import Persons, spell_name
from connectors.files.roots import DEFAULT_SENTINEL, error_code, mounts_below, open_root, reason_to_refuse
from connectors.files.tree import PURGED, Chain, Purge, Verdict, still_there
from ropa.connector import (
    Action,
    Batch,
    Capabilities,
    Column,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Look,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Selection,
    Tally,
    normalise_identifier,
)
from ropa.errors import CallError, ConfigurationError, IncompleteListingError, LocationError, Problem

__all__ = ["CAPABILITIES", "DEFAULT_ANCHORS", "FilesConnector"]

CAPABILITIES = Capabilities(actions=frozenset({Action.PURGE}), default_batch_size=10_000)
T = TypeVar("T")


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
                self._folders[name] = Folder(dataset, str(spec.options.get("pattern") or "*"), self._sentinel)
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
        test = folder.record_test()

        def sift(entries: Entries, prefix: str) -> list[tuple[str, int]]:
            if test is None:
                return [("", sum(1 for _ in entries))]
            return [("", sum(test(prefix + spell_name(entry.name)) for entry in entries))]

        return sum(number for counts in self._listed(folder, sift) for _, number in counts)

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

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """Stream the selected files in the order of their keys. Unless they are named, the whole folder is listed, and
        what was counted on the way is returned."""
        return self._find(self._expect(selection.dataset), selection)

    def _find(self, folder: Folder, selection: Selection) -> Generator[Batch, None, Tally | None]:
        question = self._question(folder, selection)
        size = self._spec.batch_size or self.capabilities.default_batch_size
        batch = Columns(selection.dataset)
        for rows in (
            self._named(folder, question) if selection.keys is not None else self._listed(folder, question.sift)
        ):
            for path, row in rows:
                batch.add(path, *row)
                if len(batch.keys) == size:
                    yield batch.made()
                    batch = Columns(selection.dataset)
        if batch.keys:
            yield batch.made()
        return question.tally if selection.keys is None else None

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge files. Anything but a purge of whole records is refused."""
        folder = self._expect(batch.dataset)
        if action is not Action.PURGE or selection.fields or batch.companions:
            own = [Outcome(key, OutcomeWord.REFUSED) for key in batch.keys]
            others = [(child.dataset, key) for child in batch.companions for key in child.keys]
            return Outcomes.of(own + [Outcome(key, OutcomeWord.REFUSED, dataset=dataset) for dataset, key in others])
        question, keys = self._question(folder, selection), batch.keys
        versions = batch.versions or ("",) * len(keys)

        def judge(pos: int, status: os.stat_result) -> Verdict | None:
            return question.verdict(keys[pos][0], versions[pos], status)

        files, strays = folder.group(keys)
        odd = {pos: Outcome(keys[pos], OutcomeWord.CHANGED) for pos in strays}
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            purge = Purge(root, judge)
            for pos, verdict in purge.files(files):
                if verdict is not PURGED:
                    odd[pos] = Outcome(keys[pos], *verdict)
            is_durable = purge.is_durable
            if folder.is_pruned:
                emptied = [names for names, own in files.items() if any(pos not in odd for pos, _ in own)]
                with Chain(root) as chain:
                    for names in sorted(emptied, reverse=True):
                        chain.prune(names, folder.names)
                is_durable = is_durable and chain.is_durable
        # Gone for now, but a power failure could bring them back: that is not "purged".
        return Outcomes(keys, OutcomeWord.PURGED if is_durable else OutcomeWord.UNVERIFIED, odd)

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:  # noqa: ARG002 - the contract's
        """See ``Connector.inspect``: nothing can be looked into here."""
        return {}

    def settle(self, dataset: str) -> str:
        """Return ``logical``: the name is gone, but the blocks stay on the medium until they are used again, and
        snapshots and backups keep theirs."""
        self._expect(dataset)
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:  # noqa: ARG002 - the contract's
        """Return the keys under which a file is there, whichever it is. Raises LocationError when it cannot be told."""
        files, _ = self._expect(batch.dataset).group(batch.keys)
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            try:
                return {batch.keys[pos] for pos in still_there(root, files)}
            except OSError as error:
                raise LocationError(
                    f"{self._spec.name}.{batch.dataset} cannot be read back ({error_code(error)})", code="unreadable"
                ) from None

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream what is kept about a person: for each file its path, size and time; the content is the file itself."""
        folder = self._expect(dataset)
        persons, test = Persons({normalise_identifier(subject)}), folder.record_test()

        def sift(entries: Entries, prefix: str) -> list[tuple[str, FileItem]]:
            items = (FileItem(folder, prefix + spell_name(name), status) for name, status in statuses(entries))
            return [
                (item.path, item)
                for item in items
                if persons.is_about(folder.spec.subject, item.path) and (test is None or test(item.path))
            ]

        for rows in self._listed(folder, sift):
            for _, item in rows:
                modified = datetime.fromtimestamp(item.status.st_mtime_ns // 10**9, UTC)
                values = {name: item.value(name) for name in COLUMNS if name != "mtime"}
                yield Record(item.key, values | {"mtime": modified})

    def close(self) -> None:
        """Let go of nothing: nothing is held between calls."""

    def _expect(self, dataset: str) -> Folder:
        try:
            return self._folders[dataset]
        except KeyError:
            raise CallError(f"{self._spec.name} has no dataset {dataset}", code="dataset-unknown") from None

    def _listed(self, folder: Folder, sift: Sift[T]) -> Iterator[Sequence[tuple[str, T]]]:
        with open_root(self._root, self._sentinel, self._spec.name) as root:
            yield from walk(root, folder.names, sift)

    def _named(self, folder: Folder, question: Question) -> Iterator[list[Row]]:
        with open_root(self._root, self._sentinel, self._spec.name) as root, Chain(root) as chain:
            for key in sorted(set(question.selection.keys or ())):
                names = folder.names_of(key)
                try:
                    status = None if names is None else chain.status(names)
                except OSError as error:
                    raise IncompleteListingError(
                        f"{self._spec.name}.{folder.spec.name}: a file cannot be looked at ({error_code(error)})",
                        code="unreadable",
                    ) from None
                if status is not None and question.is_selected(key[0], status):
                    yield [question.row(key[0], status)]

    def _question(self, folder: Folder, selection: Selection) -> Question:
        others = [other for other in self._folders.values() if other is not folder and folder.may_share(other)]

        def obstacle(path: str, status: os.stat_result) -> str | None:
            """Return why a file cannot go: it has another name that would keep its content (hard link), or it belongs
            to a second dataset too, whose rules may still need it."""
            if status.st_nlink > 1:
                return "hard-link"
            return "two-datasets" if any(other.is_member(path) for other in others) else None

        return Question(folder, selection, folder.record_test(), obstacle)


def _may(descriptor: int, mode: int) -> bool:
    return os.access(".", mode | os.X_OK, dir_fd=descriptor, effective_ids=True)


def _identity() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
