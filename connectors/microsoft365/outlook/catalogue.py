"""What exists in the mailboxes, declared or not: datasets as configured, and every folder that none of them covers.

Invariant: content is shown to whoever looks and goes nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from connectors.microsoft365.outlook.asking import Dataset
from connectors.microsoft365.outlook.columns import COLUMNS
from connectors.microsoft365.outlook.folders import Folders
from connectors.microsoft365.outlook.listing import PAGE, Row
from connectors.microsoft365.outlook.problems import KEY
from connectors.microsoft365.outlook.reading import Reader
from connectors.microsoft365.outlook.sources import CONTACTS, MESSAGES, parse_source, spell_source
from ropa.connector import Column, DatasetInfo, DatasetSpec
from ropa.errors import LocationError


class Catalogue:
    """The datasets and folders of a location's mailboxes."""

    def __init__(
        self,
        folders: Folders,
        reader: Reader,
        datasets: Mapping[str, Dataset],
        mailboxes: Sequence[str],
    ) -> None:
        self._folders = folders
        self._reader = reader
        self._datasets = datasets
        self._mailboxes = mailboxes

    def datasets(self) -> list[DatasetInfo]:
        """List the declared datasets, then the folders that no declared one covers, each once for all mailboxes."""
        infos = [_info(own.kind, own.spec.source, name) for name, own in self._datasets.items()]
        undeclared: dict[str, str] = {}
        for kind in (MESSAGES, CONTACTS):
            own = [dataset for dataset in self._datasets.values() if dataset.kind == kind]
            if any(dataset.source.is_whole for dataset in own):
                continue
            if kind == CONTACTS:
                undeclared[kind] = kind
            for mailbox in self._mailboxes:
                undeclared |= dict.fromkeys(self._others(mailbox, kind, own), kind)
        return infos + [_info(kind, source, None) for source, kind in undeclared.items()]

    def sample(self, source: str, limit: int) -> Iterator[tuple[Row, str]]:
        """Yield the first items of a source, declared or not, each with its kind; of what is no source, none."""
        try:
            wanted = parse_source(source)
        except ValueError:
            return
        of_source = [own for own in self._datasets.values() if own.spec.source == source]
        spec = DatasetSpec(source, source, ZoneInfo("UTC"))
        dataset = of_source[0] if of_source else Dataset(spec, wanted)
        left = limit
        for mailbox in self._mailboxes:
            if left <= 0 or not self._collections(mailbox, dataset):
                continue
            for rows in self._reader.rows(dataset, mailbox, None, page=min(left, PAGE)):
                for row in rows[:left]:
                    yield row, wanted.kind
                left -= len(rows[:left])
                if left <= 0:
                    break

    def _collections(self, mailbox: str, dataset: Dataset) -> tuple[str, ...]:
        """Return the lists of a dataset in one mailbox; none where this mailbox has no such folder."""
        try:
            return self._folders.collections(mailbox, dataset.source, with_subfolders=dataset.with_subfolders)
        except LocationError as error:
            if error.code == "folder":
                return ()
            raise

    def _others(self, mailbox: str, kind: str, own: Sequence[Dataset]) -> Iterator[str]:
        covered = {collection for dataset in own for collection in self._collections(mailbox, dataset)}
        for dataset in own:
            if dataset.source.is_known and len(dataset.source.path) == 1:
                place = self._folders.id_of(mailbox, dataset.source.path[0])
                covered |= {self._folders.address(mailbox, kind, place)} if place is not None else set()
        for names, folder in self._folders.tree(mailbox, kind):
            if self._folders.address(mailbox, kind, folder.id) not in covered:
                yield spell_source(kind, names)


def _info(kind: str, source: str, declared_as: str | None) -> DatasetInfo:
    columns = tuple(Column(name, sort) for name, sort in COLUMNS[kind].items())
    return DatasetInfo(source, columns, KEY, kind=f"{kind} of a mailbox", declared_as=declared_as)
