"""What a site holds: its lists and libraries with their columns, and which column looks up which list.

Invariant: what a source means is settled once for an open location, by ids; a name that two places bear is refused. A
service that does not tell its columns leaves them unknown (None), never empty.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.reading import content, read_all
from connectors.microsoft365.sharepoint.sources import Source, segment, site_address

NEEDS = "Sites.Selected with the role read on the site (or Sites.Read.All)"
UNKNOWN = frozenset({400, 404, 422, 501})
"""How a service answers to what it does not know."""
_TYPES = (
    *("text", "number", "boolean", "dateTime", "choice", "currency", "lookup", "personOrGroup", "calculated"),
    *("hyperlinkOrPicture", "geolocation", "term", "thumbnail", "contentApprovalStatus"),
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a list or library (Graph's columnDefinition)."""

    name: str
    type: str
    is_required: bool = False
    is_read_only: bool = False
    is_hidden: bool = False
    is_unique: bool = False
    looks_up: str | None = None
    """Id of the list whose items it names."""
    is_many: bool = False
    """Whether it names several."""


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class ListInfo:
    """One list of the site; libraries are lists too."""

    id: str
    title: str
    name: str
    is_library: bool
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A library or list, found."""

    source: Source
    id: str
    """Of the drive, or of the list."""
    root: str
    """Its address, relative to Graph's root."""
    list_id: str | None
    """The list behind a library; a list's own id."""
    fields: Fields | None

    @property
    def lookups(self) -> tuple[str, ...]:
        """Columns whose content is the number of another item, or of a person."""
        fields = (self.fields or {}).values()
        return tuple(f.name for f in fields if f.type in {"lookup", "personOrGroup"} and not f.is_many)

    def item(self, key: str) -> str:
        """Return the address of an item, for a batch."""
        return f"/{self.root}/items/{segment(key)}"

    def values(self, key: str) -> str:
        """Return the address of an item's fields, for a batch."""
        return self.item(key) + ("/fields" if self.source.is_list else "/listItem/fields")


class Catalogue:
    """What one location holds, asked for when it is needed and kept; threads may share it."""

    def __init__(self, service: Service, *, site: str | None, site_id: str | None, user: str | None) -> None:
        """``site``: its address; ``site_id`` in place of it; ``user``: whose OneDrive. None asked yet."""
        self._service = service
        self._site = site
        self._site_id = site_id
        self._user = user
        self._kept: dict[Any, Any] = {}
        self._lock = threading.RLock()

    def site(self) -> str:
        """Return the site's address relative to Graph's root. Raises LocationError where none is configured."""
        if self._site_id is not None:
            return f"sites/{segment(self._site_id)}"
        return f"sites/{segment(str(self.site_facts()['id']))}"

    def site_facts(self) -> Mapping[str, Any]:
        """Return what Graph says of the site: ``id``, ``webUrl`` … One request."""

        def ask() -> Mapping[str, Any]:
            if self._site_id is not None:
                address = f"sites/{segment(self._site_id)}"
            elif self._site is not None:
                address = site_address(self._site)
            else:
                step = "Give site, the address of the site, or site_id."
                raise self._service.error("no site is configured", "option", step)
            found = self._service.get(address, needs=NEEDS)
            if not isinstance(found, dict) or not isinstance(found.get("id"), str):
                raise self._service.error("the service says no site's id", "answer", "Compare site.")
            return found

        return self._once("site", ask)

    def lists(self) -> list[ListInfo]:
        """Return the lists and libraries of the site."""

        def ask() -> list[ListInfo]:
            pages = self._service.pages(f"{self.site()}/lists", needs=NEEDS)
            return [_read_list(entry) for page in pages for entry in page if isinstance(entry, dict)]

        return self._once("lists", ask)

    def all_fields(self) -> Mapping[str, Fields | None]:
        """Return the columns of every list, by its id; None where the service does not tell."""

        def ask() -> dict[str, Fields | None]:
            ids = [info.id for info in self.lists()]
            answers = read_all(self._service, [f"/{self.site()}/lists/{segment(one)}/columns" for one in ids])
            found: dict[str, Fields | None] = {}
            for one, answer in zip(ids, answers, strict=True):
                values = content(answer).get("value")
                found[one] = _read_fields(values) if isinstance(values, list) else None
            return found

        return self._once("fields", ask)

    def find(self, source: Source) -> Place | None:
        """Return the place that a source means, None where there is none. Raises LocationError where there are two."""
        return self._once(source, lambda: self._find_list(source) if source.is_list else self._find_drive(source))

    def place(self, source: Source) -> Place:
        """Return the place that a source means. Raises LocationError where there is none."""
        found = self.find(source)
        if found is None:
            raise self._service.error("a source is not there", "missing", "Run ropa check; compare source.")
        return found

    def _find_list(self, source: Source) -> Place | None:
        named = [info for info in self.lists() if source.name in {info.id, info.title, info.name}]
        info = self._only(named)
        if info is None or info.is_library:
            return None
        root = f"{self.site()}/lists/{segment(info.id)}"
        return Place(source, info.id, root, info.id, self._fields_of(root))

    def _find_drive(self, source: Source) -> Place | None:
        drive: str | None = source.name
        if source.kind == "onedrive":
            if self._user is None:
                raise self._service.error("no user is configured", "option", "Give user, the person's address.")
            needs = "Files.Read.All"
            drive = self._service.get(f"users/{segment(self._user)}/drive?$select=id", needs=needs).get("id")
        elif source.kind == "library":
            pages = self._service.pages(f"{self.site()}/drives?$select=id,name", needs=NEEDS)
            found = self._only([entry for page in pages for entry in page if entry.get("name") == source.name])
            drive = found["id"] if found is not None else None
        if not isinstance(drive, str):
            return None
        root = f"drives/{segment(drive)}"
        fields = self._fields_of(f"{root}/list")
        if fields is None and not self._is_there(root):
            return None
        list_id = None if fields is None else self._list_id(root)
        return Place(source, drive, root, list_id, fields)

    def _list_id(self, root: str) -> str | None:
        found = self._service.get(f"{root}/list?$select=id", needs=NEEDS).get("id")
        return found if isinstance(found, str) else None

    def _is_there(self, root: str) -> bool:
        try:
            self._service.get(root, needs=NEEDS)
        except AnswerError as error:
            if error.status in UNKNOWN:
                return False
            raise
        return True

    def _fields_of(self, root: str) -> Fields | None:
        try:
            return _read_fields([entry for page in self._service.pages(f"{root}/columns", needs=NEEDS)
                                 for entry in page])  # fmt: skip
        except AnswerError as error:
            if error.status in UNKNOWN:
                return None
            raise

    def _only(self, found: list[T]) -> T | None:
        if len(found) > 1:
            raise self._service.error(
                "two places bear the name of one source", "ambiguous", "Name it by its id: list:ID or drive:ID."
            )
        return found[0] if found else None

    def _once(self, name: object, ask: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._kept:
                self._kept[name] = ask()
            found: T = self._kept[name]
            return found


def address_error(url: str) -> str | None:
    """Return why an address is none of a site; None: it may be one."""
    try:
        site_address(url)
    except ValueError as error:
        return str(error)
    return None


def _read_list(entry: Mapping[str, Any]) -> ListInfo:
    facet = entry.get("list") or {}
    title, own = str(entry.get("displayName") or ""), str(entry.get("id") or "")
    is_library = facet.get("template") in {"documentLibrary", "mySiteDocumentLibrary"}
    return ListInfo(own, title, str(entry.get("name") or title), is_library, bool(facet.get("hidden")))


def _read_fields(values: list[Any]) -> dict[str, Field]:
    found = {}
    for entry in values:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            continue
        lookup = entry.get("lookup") or {}
        is_own = not entry.get("readOnly") and not lookup.get("primaryLookupColumnId")
        found[entry["name"]] = Field(
            entry["name"],
            next((kind for kind in _TYPES if entry.get(kind) is not None), "unknown"),
            is_required=bool(entry.get("required")),
            is_read_only=bool(entry.get("readOnly")),
            is_hidden=bool(entry.get("hidden")),
            is_unique=bool(entry.get("enforceUniqueValues")),
            looks_up=lookup.get("listId") or None if is_own else None,
            is_many=bool(lookup.get("allowMultipleValues")),
        )
    return found
