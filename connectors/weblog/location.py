"""Web logs below a root as a location: datasets are folders, records are ranges of lines of one day.

Invariant: nothing is concluded from a log that was not read to its end; lines are purged or masked only while they are
the very lines that were planned, in a log that nobody writes to; every byte outside them stays.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import date
from pathlib import Path

from connectors.files.location import FilesConnector
from connectors.files.roots import DEFAULT_SENTINEL, reason_to_refuse
from connectors.files.tree import Chain
from connectors.weblog.acting import Actor, Looker, Rewritten
from connectors.weblog.dataset import KEY, LogFolder, People
from connectors.weblog.fields import COLUMNS, PLACEHOLDER, Span
from connectors.weblog.finding import Finder, count
from connectors.weblog.place import Place
from connectors.weblog.ranges import open_pieces
from connectors.weblog.readers import STRUCTURE, Reader
from connectors.weblog.streams import lines_of
from connectors.weblog.versions import draw_salt
from ropa.connector import (
    Action,
    Batch,
    Capabilities,
    Column,
    DatasetInfo,
    DatasetSpec,
    Health,
    Key,
    LocationSpec,
    Look,
    Mask,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Selection,
    Tally,
    normalise_identifier,
)
from ropa.errors import CallError, ConfigurationError, Problem

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE}),
    masks=frozenset({Mask.CLEAR, Mask.REDACT, Mask.TRUNCATE_IP}),
    default_batch_size=10_000,
)
"""A large batch: each batch that names a log rewrites it once."""


class WeblogConnector:
    """A root with folders of logs. Nothing is kept open between calls.

    Raises ConfigurationError at once for a root that may not be one, a dataset that is not below it, and a format that
    cannot be; LocationError in every call while the root or its sentinel is not there.
    """

    capabilities = CAPABILITIES

    def __init__(self, spec: LocationSpec) -> None:
        self._spec = spec
        root = str(Path(spec.options["root"])) if spec.options.get("root") else ""
        sentinel = str(spec.options.get("sentinel") or DEFAULT_SENTINEL)
        project = spec.options.get("folder")
        problems = []
        if reason := reason_to_refuse(root, str(project) if project else None):
            problems.append(Problem(f"location.{spec.name}.root", f"{root!r} {reason}"))
        if "/" in sentinel or sentinel in {".", ".."}:
            problems.append(Problem(f"location.{spec.name}.sentinel", "is the name of a file in the root"))
        self._folders: dict[str, LogFolder] = {}
        for name, dataset in spec.datasets.items():
            try:
                self._folders[name] = LogFolder(dataset, spec.options)
            except ValueError as error:
                key, text = error.args
                problems.append(Problem(f"location.{spec.name}.dataset.{name}.{key}", text))
        if problems:
            raise ConfigurationError(f"{spec.name} cannot be opened", tuple(problems))
        self._place = Place(spec.name, spec.zone, root, sentinel, self._folders)
        self._salt = draw_salt()
        self._rewritten: Rewritten = {}
        # Which folders there are and what may be done there is the same question as for any files.
        bare = {name: DatasetSpec(name, one.source, one.zone, options={}) for name, one in spec.datasets.items()}
        options = {"root": root, "sentinel": sentinel, "folder": project}
        self._files = FilesConnector(LocationSpec(spec.name, "files", spec.zone, options, bare))

    def check(self) -> Health:
        """Look at the root, its sentinel and the rights on it. Raises LocationError when it is not there."""
        return self._files.check()

    def datasets(self) -> list[DatasetInfo]:
        """List the declared folders, and the folders of the root that no declared one covers."""
        columns = (
            *(Column(name, "text", is_nullable=False) for name in KEY),
            Column("time", "day"),
            *(Column(name, "text") for name in COLUMNS),
        )
        return [
            DatasetInfo(source=info.source, columns=columns, key=KEY, kind="folder", declared_as=info.declared_as)
            for info in self._files.datasets()
        ]

    def count(self, dataset: str) -> int:
        """Return the number of ranges. Raises IncompleteListingError when a log cannot be read."""
        return count(self._place, self._expect(dataset))

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what cannot be: a folder, column, mask or anchor."""
        folder = self._folders.get(dataset)
        if folder is None:
            return [f"there is no dataset {dataset}"]
        problems = folder.problems(selection)
        with self._place.open() as root, Chain(root) as chain:
            try:
                chain.enter(folder.names)
            except OSError:
                problems.append(f"there is no folder {folder.spec.source} below the root, or it cannot be opened")
        return problems

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """Stream the selected ranges, log by log in the order of their paths, in a log in the order of their lines."""
        finder = Finder(self._place, self._expect(selection.dataset), selection, self._salt)
        return finder.batches(self._spec.batch_size or self.capabilities.default_batch_size)

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge lines, or mask the selection's fields in them."""
        folder = self._expect(batch.dataset)
        is_purge = action is Action.PURGE and not selection.fields
        is_masking = action is Action.ANONYMISE and bool(selection.fields)
        if not (is_purge or is_masking) or batch.companions or folder.problems(selection):
            own = [Outcome(key, OutcomeWord.REFUSED) for key in batch.keys]
            others = [(child.dataset, key) for child in batch.companions for key in child.keys]
            return Outcomes.of(own + [Outcome(key, OutcomeWord.REFUSED, dataset=dataset) for dataset, key in others])
        return Actor(self._place, folder, selection, self._rewritten).act(batch)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """Return the ranges that are still there (with fields: that still hold something to mask). Raises LocationError
        when it cannot be told."""
        return Looker(self._place, self._expect(batch.dataset), selection, self._rewritten).remaining(batch)

    def settle(self, dataset: str) -> str:
        """Return ``logical``: the old file's blocks stay on the medium until they are used again, and snapshots and
        backups keep theirs."""
        self._expect(dataset)
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """Show the fields of the first ``limit`` lines of a folder's logs to ``look``; see ``Connector.inspect``."""
        folder = next((one for one in self._folders.values() if one.spec.source == source), None)
        if folder is None:
            try:
                folder = LogFolder(DatasetSpec("", source, self._spec.zone), self._spec.options)
            except ValueError:
                return {}
        answers: dict[str, dict[str, int]] = {}
        for _, line, spans, _ in self._lines(folder, limit):
            for column, text in values_of(line, spans).items():
                answer = look(column, text)
                if answer is not None:
                    counts = answers.setdefault(column, {})
                    counts[answer] = counts.get(answer, 0) + 1
        return answers

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream the lines about a person, by the dataset's ``subject`` columns: the day and the fields of each."""
        folder = self._expect(dataset)
        people = People(folder.spec.subject, frozenset({normalise_identifier(subject)}))
        for key, line, spans, day in self._lines(folder):
            if people.is_about(line, spans):
                on = None if day is None else date.fromordinal(day)
                yield Record(key, {"path": key[0], "time": on, **values_of(line, spans)})

    def close(self) -> None:
        """Let go of nothing: nothing is held between calls."""

    def _expect(self, dataset: str) -> LogFolder:
        try:
            return self._folders[dataset]
        except KeyError:
            raise CallError(f"{self._spec.name} has no dataset {dataset}", code="dataset-unknown") from None

    def _lines(
        self, folder: LogFolder, limit: int | None = None
    ) -> Iterator[tuple[Key, bytes, list[Span], int | None]]:
        """Stream (key, line, fields, day) of every line that is no structure."""
        seen = 0
        with self._place.open() as root, Chain(root) as chain:
            for path in self._place.paths(root, folder):
                with self._place.log(chain, path) as log:
                    number = 0
                    for reader, block, _, pieces in open_pieces(folder, self._place.zone, log.source()) if log else ():
                        for day, start, end in pieces:
                            for line in lines_of(block, start, end):
                                number += 1
                                if day == STRUCTURE:
                                    continue
                                if limit is not None and seen >= limit:
                                    return
                                seen += 1
                                yield (path, f"{number}-{number}"), line, _fields(reader, day, line), day


def values_of(line: bytes, spans: list[Span]) -> dict[str, str]:
    """Return the fields of a line as text, without what stands for nothing; several of one column in a list."""
    values: dict[str, list[str]] = {}
    for column, start, stop, *placeholder in sorted(spans, key=lambda span: span[1]):
        text = line[start:stop]
        if text not in {b"", PLACEHOLDER, *placeholder}:
            values.setdefault(column, []).append(text.decode("utf-8", "replace"))
    return {column: ", ".join(dict.fromkeys(texts)) for column, texts in values.items()}


def _fields(reader: Reader, day: int | None, line: bytes) -> list[Span]:
    return [] if day is None else reader.fields(line)
