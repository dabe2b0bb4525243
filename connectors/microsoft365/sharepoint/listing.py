"""Every entry of a library or list, whole.

Invariant: pages are followed by whole next links, and what came is all there is, or the listing is an error: a folder
that cannot be placed, a start over that does not end, a count that does not agree. Nothing is filtered at the source: a
filter on a column of a list may answer with nothing although something is due.

Libraries are listed by ``delta``, which alone is promised to be whole (learn.microsoft.com/graph/api/driveitem-delta);
a server that does not know it is asked for ``items`` with their count. In a delta a file does not say its path but the
id of its folder, which is listed too, mostly before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import NEEDS, UNKNOWN, Place
from connectors.microsoft365.sharepoint.reading import content, read_all
from connectors.microsoft365.sharepoint.sources import folder_of, segment
from connectors.microsoft365.sharepoint.table import Entry, Table
from ropa.connector import Key

_FACETS = "id,name,eTag,size,createdDateTime,lastModifiedDateTime,parentReference,folder,root,deleted,file,package"
RESTARTS = 3
"""How often a service may ask to start over before the listing counts as one that does not end."""


class Listing:
    """One pass over a place; used once. ``link``: where a pass that must start over is to begin."""

    def __init__(
        self, service: Service, table: Table, place: Place, columns: Iterable[str], *, link: str | None = None
    ) -> None:
        self._service = service
        self._table = table
        self._place = place
        asked = frozenset(columns)
        self._names = table.selected(asked, place.fields)
        self._link = link
        self.pages = 0
        """How many came so far."""
        self._folders: Folders | None = Folders() if table.needs_folders(asked) else None

    def entries(self) -> Iterator[tuple[Key, Entry | None]]:
        """Yield what stands under each id, in any order, perhaps more than once; None where it is no record (any more).

        Raises IncompleteListingError, and AnswerError 410 with the link where to start over.
        """
        pages = self._list_pages() if self._table.source.is_list else self._drive_pages()
        pending: list[Mapping[str, Any]] = []
        for page in pages:
            self.pages += 1
            if self._folders is None:
                yield from self._read(page)
                continue
            self._folders.learn(page)
            pending += [raw for raw in page if "folder" not in raw and "root" not in raw]
            ready = [raw for raw in pending if "deleted" in raw or self._folders.path(raw) is not None]
            pending = [raw for raw in pending if "deleted" not in raw and self._folders.path(raw) is None]
            yield from self._read(ready)
        if pending:
            raise self._service.incomplete("a file lies in a folder that was not listed")

    def _read(self, page: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Key, Entry | None]]:
        raws = [raw for raw in page if isinstance(raw.get("id"), str) and "folder" not in raw and "root" not in raw]
        if self._names and not self._table.source.is_list:
            raws = self._filled(raws)
        for raw in raws:
            folder = None if self._folders is None else self._folders.path(raw)
            yield (raw["id"],), self._table.entry(raw, self._place, folder)

    def _list_pages(self) -> Iterator[list[Any]]:
        return self._service.pages(self._link or f"{self._place.root}/items{expand(self._names)}", needs=NEEDS)

    def _drive_pages(self) -> Iterator[list[Any]]:
        root = self._place.root
        plain = f"{root}/root/delta?$select={_FACETS}"
        fuller = f"{plain},listItem&$expand=listItem($expand={_fields(self._names)})" if self._names else plain
        for address in dict.fromkeys([self._link or fuller, plain]):
            pages = self._service.pages(address, needs=NEEDS)
            try:
                page = next(pages, [])
            except AnswerError as error:
                if error.status not in UNKNOWN:
                    raise
                continue
            yield page
            yield from pages
            return
        yield from self._counted_pages(f"{root}/items?$count=true")

    def _counted_pages(self, address: str) -> Iterator[list[Any]]:
        """Yield the pages of a server without delta; it must tell how many there are."""
        total, seen = None, 0
        for page in self._service.whole_pages(address, needs=NEEDS):
            total = page.get("@odata.count") if total is None else total
            seen += len(page["value"])
            yield page["value"]
        if not isinstance(total, int) or seen < total:
            raise self._service.incomplete("a library is not listed as whole as it says it is")

    def _filled(self, raws: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return files with their columns, read one by one where the listing does not bring them."""
        bare = [pos for pos, raw in enumerate(raws) if "listItem" not in raw and "deleted" not in raw]
        urls = [f"{self._place.item(raws[pos]['id'])}/listItem{expand(self._names)}" for pos in bare]
        for pos, answer in zip(bare, read_all(self._service, urls), strict=True):
            if not answer.is_ok and answer.status not in UNKNOWN:
                raise self._service.refusal(answer, NEEDS)
            raws[pos] = {**raws[pos], "listItem": content(answer)}
        return raws


class Folders:
    """Folders by their id, as a listing brings them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, str]] = {}

    def learn(self, page: Iterable[Mapping[str, Any]]) -> None:
        """Take note of a page's folders; what was said of one before counts no more."""
        for raw in page:
            if ("folder" in raw or "root" in raw) and isinstance(raw.get("id"), str):
                above = None if "root" in raw else (raw.get("parentReference") or {}).get("id")
                self._known[raw["id"]] = (above, str(raw.get("name") or ""))

    def path(self, raw: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the folders above a file from the root down; None where they are not known (yet)."""
        reference = raw.get("parentReference") or {}
        named = folder_of(reference.get("path"))
        if named is not None:
            return named
        names: list[str] = []
        folder = reference.get("id")
        while folder is not None:
            known = self._known.get(folder)
            if known is None or len(names) > len(self._known):
                return None
            folder, name = known
            if folder is not None:
                names.append(name)
        return tuple(reversed(names)) if reference.get("id") is not None else None


def item_url(place: Place, key: str, names: tuple[str, ...]) -> str:
    """Return where one record is read, with its fields, for a batch."""
    if place.source.is_list:
        return place.item(key) + expand(names)
    return place.item(key) + (f"?$expand=listItem($expand={_fields(names)})" if names else "")


def expand(names: tuple[str, ...]) -> str:
    """Return the query that brings these fields of an item along; no query where none is asked for."""
    return f"?$expand={_fields(names)}" if names else ""


def _fields(names: tuple[str, ...]) -> str:
    return f"fields($select={','.join(map(segment, names))})" if names != ("*",) else "fields"
