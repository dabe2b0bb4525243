"""Folders of a mailbox: from the names of a dataset's ``source`` to Graph's ids, and the whole tree for discovery.

Invariant: a name that no folder has, or two have, is an error; of a mailbox that cannot be asked nothing is assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from connectors.microsoft365.http import Service
from connectors.microsoft365.outlook.mailboxes import path_of, segment
from connectors.microsoft365.outlook.sources import CONTACTS, MESSAGES, Source, fold
from ropa.errors import LocationError

NEEDS = {MESSAGES: "Mail.Read", CONTACTS: "Contacts.Read"}
_COLLECTION = {MESSAGES: "mailFolders", CONTACTS: "contactFolders"}
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder as Graph lists it."""

    id: str
    name: str
    has_children: bool = True


class Folders:
    """The folders of every mailbox of a location. What was found is kept while the location is open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._found: dict[tuple[str, Source, bool], tuple[str, ...]] = {}
        self._unknown: set[tuple[str, str]] = set()
        """Mailbox and name of folders that Graph does not know by a name of its own."""
        self._deleted: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def collections(self, mailbox: str, source: Source, *, with_subfolders: bool) -> tuple[str, ...]:
        """Return the addresses of the lists that hold a dataset's records in a mailbox.

        A folder that Graph knows by a name of its own is not asked for. Raises LocationError: no such folder (code
        ``folder``), or two of one name.
        """
        known = (mailbox, source, with_subfolders)
        with self._lock:
            if known not in self._found:
                self._found[known] = tuple(self._collections(mailbox, source, with_subfolders=with_subfolders))
            return self._found[known]

    def ids(self, mailbox: str, source: Source, *, with_subfolders: bool) -> frozenset[str]:
        """Return the ids of the folders that hold a dataset's records; its source names a folder."""
        found: set[str] = set()
        for address in self.collections(mailbox, source, with_subfolders=with_subfolders):
            place = unquote(address.split("/")[-2])
            is_name = source.is_known and place == source.path[0]
            number = self.id_of(mailbox, place) if is_name else place
            found |= {number} if number is not None else self.ids_by_name(mailbox, source)
        return frozenset(found)

    def ids_by_name(self, mailbox: str, source: Source) -> frozenset[str]:
        """Return the same where a mailbox does not know the folder by Graph's name for it."""
        return frozenset(unquote(address.split("/")[-2]) for address in self.by_name(mailbox, source))

    def by_name(self, mailbox: str, source: Source) -> tuple[str, ...]:
        """Return the same where a mailbox has no folder that Graph knows by the first name: then it is a name that
        people see."""
        with self._lock:
            self._unknown.add((mailbox, source.path[0]))
            self._found.pop((mailbox, source, False), None)
        return self.collections(mailbox, source, with_subfolders=False)

    def deleted_items(self, mailbox: str) -> tuple[str, int]:
        """Return the id of Deleted Items and how many items it holds; where the mailbox has none, its name and 0."""
        with self._lock:
            if mailbox not in self._deleted:
                address = f"{path_of(mailbox)}/mailFolders/deleteditems?$select=id,totalItemCount"
                answer = self._service.send("GET", address)
                found = answer.json() if answer.is_ok else {}
                if not answer.is_ok and answer.status != 404:
                    raise self._service.refusal(answer, NEEDS[MESSAGES])
                self._deleted[mailbox] = (str(found.get("id") or "deleteditems"), int(found.get("totalItemCount") or 0))
            return self._deleted[mailbox]

    def tree(self, mailbox: str, kind: str) -> Iterator[tuple[tuple[str, ...], Folder]]:
        """Yield every folder with its names from the top, parents first."""
        waiting: list[tuple[tuple[str, ...], Folder]] = []
        waiting += [((folder.name,), folder) for folder in self._children(mailbox, kind, None)]
        while waiting:
            names, folder = waiting.pop(0)
            yield names, folder
            if folder.has_children:
                waiting += [((*names, each.name), each) for each in self._children(mailbox, kind, folder.id)]

    def _collections(self, mailbox: str, source: Source, *, with_subfolders: bool) -> Iterator[str]:
        top, kind = path_of(mailbox), source.kind
        if source.is_whole:
            yield f"{top}/{kind}"
            if kind == CONTACTS:  # the list of the mailbox is that of the default folder alone
                for _, folder in self.tree(mailbox, kind):
                    yield self.address(mailbox, kind, folder.id)
            return
        is_direct = source.is_known and len(source.path) == 1 and not with_subfolders
        if is_direct and (mailbox, source.path[0]) not in self._unknown:
            yield self.address(mailbox, kind, source.path[0])
            return
        place = self._go(mailbox, source)
        yield self.address(mailbox, kind, place)
        waiting = self._children(mailbox, kind, place) if with_subfolders else []
        while waiting:
            folder = waiting.pop(0)
            yield self.address(mailbox, kind, folder.id)
            waiting += self._children(mailbox, kind, folder.id) if folder.has_children else []

    def _go(self, mailbox: str, source: Source) -> str:
        """Return the folder at the end of a path."""
        kind, (first, *others) = source.kind, source.path
        place = self.id_of(mailbox, first) if source.is_known else None
        if place is None:
            place = self._choose(self._children(mailbox, kind, None), first)
        for name in others:
            place = self._choose(self._children(mailbox, kind, place), name)
        return place

    def _choose(self, listed: list[Folder], name: str) -> str:
        found = [folder.id for folder in listed if fold(folder.name) == fold(name)]
        if len(found) != 1:
            what = "there are two folders" if found else "there is no folder"
            raise LocationError(
                f"location {self._service.location}: {what} {name!r} in a mailbox",
                code="folder",
                next_step="Compare source with the folders of each mailbox (`ropa location discover`).",
            )
        return found[0]

    def is_ambiguous(self, mailbox: str, source: Source) -> bool:
        """Tell whether a mailbox has, beside the folder that Graph knows by the first name, another that people see
        under that name."""
        known = self.id_of(mailbox, source.path[0]) if source.is_known else None
        if known is None:
            return False
        listed = self._children(mailbox, source.kind, None)
        return any(fold(folder.name) == source.path[0] and folder.id != known for folder in listed)

    def id_of(self, mailbox: str, name: str) -> str | None:
        """Return the id of the folder that Graph knows by a name; None where the mailbox has none."""
        if (mailbox, name) in self._unknown:
            return None
        answer = self._service.send("GET", f"{path_of(mailbox)}/mailFolders/{name}?$select=id")
        if answer.status == 404:
            self._unknown.add((mailbox, name))
            return None
        if not answer.is_ok:
            raise self._service.refusal(answer, NEEDS[MESSAGES])
        return str(answer.json().get("id"))

    def address(self, mailbox: str, kind: str, folder: str) -> str:
        """Return the address of the list of a folder's records."""
        return f"{path_of(mailbox)}/{_COLLECTION[kind]}/{segment(folder)}/{kind}"

    def _children(self, mailbox: str, kind: str, parent: str | None) -> list[Folder]:
        inner = f"/{segment(parent)}/childFolders" if parent is not None else ""
        address = f"{path_of(mailbox)}/{_COLLECTION[kind]}{inner}?$top={_PAGE}"
        try:
            rows = [row for page in self._service.pages(address, needs=NEEDS[kind]) for row in page]
        except LocationError as error:
            if error.code == "missing" and kind == CONTACTS:
                return []  # none below; where the mailbox or folder itself is gone, its own list of contacts tells
            raise
        # Of a contact folder it is not told whether there are others below it.
        return [
            Folder(
                str(row["id"]), str(row.get("displayName") or ""), kind == CONTACTS or bool(row.get("childFolderCount"))
            )
            for row in rows
        ]
