"""A dataset as configured: which entries of a place are its records, and what a record says.

Invariant: an entry that is a folder, the root, or deleted is no record; a column that holds anything never counts as
empty, whatever Graph wraps it in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from connectors.files.names import Glob
from connectors.microsoft365.records import JsonItem
from connectors.microsoft365.sharepoint import DEFAULT_ANCHORS
from connectors.microsoft365.sharepoint.catalogue import Fields, Place
from connectors.microsoft365.sharepoint.sources import Source
from ropa.connector import DatasetSpec, Key, Selection

DATES = ("createdDateTime", "lastModifiedDateTime")
LIST_COLUMNS: Mapping[str, str] = {"id": "text", **dict.fromkeys(DATES, "dateTime")}
FILE_COLUMNS: Mapping[str, str] = {
    "id": "text",
    "name": "text",
    "path": "text",
    "folder": "text",
    "extension": "text",
    "size": "number",
    **dict.fromkeys(DATES, "dateTime"),
}
"""What there is of every record, besides the columns of its list or library."""
NAMED = frozenset({"name", "folder", "path"})
"""Columns of a file by which a person is recognised as ``files`` does."""
LABEL = "_ComplianceTag"
"""The column with the name of an item's retention label."""
_FOLDER_TYPE = "0x0120"
"""What the content types of folders start with."""
_GLOB = frozenset("*?[/.")
TWO_DATASETS, PACKAGE = "two-datasets", "package"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as a listing or a read gives it."""

    item: JsonItem
    version: str
    list_etag: str | None
    """The entity tag of its fields; of a file another than ``version``."""
    fields: Mapping[str, Any]
    obstacle: str | None = None
    """Why it must stay: another dataset's rules may still need it, or it holds more than one document."""

    @property
    def key(self) -> Key:
        """Its key."""
        return self.item.key

    @property
    def has_etag(self) -> bool:
        """Whether its version is one that a request can carry as its condition."""
        return self.version.startswith(('"', "W/"))

    @property
    def is_labelled(self) -> bool:
        """Whether its column says that it bears a retention label."""
        return bool(self.fields.get(LABEL))


class Table:
    """A dataset, made ready. ``source`` is what its ``source`` says."""

    def __init__(self, spec: DatasetSpec, source: Source) -> None:
        self.spec = replace(spec, anchors={**DEFAULT_ANCHORS, **spec.anchors})
        self.source = source
        self.own_columns = LIST_COLUMNS if source.is_list else FILE_COLUMNS
        entries = [entry for columns in spec.data.values() for entry in columns]
        self.globs = [] if source.is_list else [entry for entry in entries if is_glob(entry)]
        self._data = [Glob(glob) for glob in self.globs]
        self._pattern = Glob(str(spec.options.get("pattern") or "*"))
        self.rivals: list[Table] = []
        """Datasets over the same library."""
        self.is_deep = any("/" in glob for glob in [*self.globs, str(spec.options.get("pattern") or "")])
        """Whether a glob looks at folders."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.spec.name

    @property
    def flag(self) -> tuple[str, Any] | None:
        """The column in which a flag is shown, and what is written there; None where none is configured."""
        column = self.spec.options.get("flag_column")
        return None if not column else (str(column), self.spec.options.get("flag_value", "ropa"))

    def columns(self, selection: Selection | None = None, *, has_persons: bool = True) -> frozenset[str]:
        """Return the columns that have to be looked at; without a selection those of persons alone."""
        asked: set[str] = set(self.spec.subject) if has_persons else set()
        if self.spec.parent is not None:
            asked.update(self.spec.parent.via)
        if selection is not None:
            asked.update(condition.column for condition in selection.match)
            asked.update(condition.column for group in selection.exclude for condition in group)
            asked.update(change.column for change in selection.fields)
            anchors = {*selection.anchors, *(before.anchor for before in selection.before)}
            asked.update(part.column for name in anchors & set(self.spec.anchors)
                         for part in self.spec.anchors[name].parts)  # fmt: skip
        return frozenset(asked)

    def may_share(self, other: Table) -> bool:
        """Tell whether both may hold the same files. Two ways to name one library are not seen through."""
        mine, theirs = self.source, other.source
        return not mine.is_list and (mine.kind, mine.name) == (theirs.kind, theirs.name)

    def needs_folders(self, columns: Iterable[str]) -> bool:
        """Tell whether it matters in which folder a file lies."""
        tables = (self, *self.rivals)
        return bool({"path", "folder"} & set(columns)) or any(one.source.folder or one.is_deep for one in tables)

    def selected(self, columns: Iterable[str], fields: Fields | None) -> tuple[str, ...]:
        """Return the fields to ask for, for some columns (``*``: all of them); with the label's where an item has one.

        None of a library whose columns the service does not tell.
        """
        if "*" in columns:
            return ("*",) if self.source.is_list or fields is not None else ()
        if not self.source.is_list and fields is None:
            return ()
        names = {field_name(column, fields) for column in columns if column not in self.own_columns}
        if self.source.is_list and fields is not None and LABEL in fields:
            names.add(LABEL)
        return tuple(sorted(names))

    def entry(self, raw: Mapping[str, Any], place: Place, folder: tuple[str, ...] | None) -> Entry | None:
        """Return the record behind what Graph gives; None where it is none. ``folder``: where a file lies."""
        if not isinstance(raw.get("id"), str) or "deleted" in raw:
            return None
        return self._item(raw, place) if self.source.is_list else self._file(raw, place, folder)

    def _item(self, raw: Mapping[str, Any], place: Place) -> Entry | None:
        content_type = raw.get("contentType") or {}
        if str(content_type.get("id") or "").lower().startswith(_FOLDER_TYPE):
            return None
        fields = raw.get("fields") or {}
        own = {column: raw.get(column) for column in LIST_COLUMNS}
        etag = _etag(raw)
        return Entry(self._json(raw["id"], own, fields, place), etag or _dated(raw), etag, fields)

    def _file(self, raw: Mapping[str, Any], place: Place, folder: tuple[str, ...] | None) -> Entry | None:
        if "folder" in raw or "root" in raw:
            return None
        name, above = str(raw.get("name") or ""), folder or ()
        if not self.is_member(above, name):
            return None
        list_item = raw.get("listItem") or {}
        fields = list_item.get("fields") or {}
        own = {column: raw.get(column) for column in ("id", "name", "size", *DATES)}
        own |= {"path": "/".join((*above, name)), "folder": "/".join(above) or "."}
        own["extension"] = PurePosixPath(name).suffix[1:].lower()
        item = self._json(raw["id"], own, fields, place)
        obstacle = TWO_DATASETS if any(other.is_member(above, name) for other in self.rivals) else None
        obstacle = PACKAGE if "package" in raw else obstacle
        return Entry(item, _etag(raw) or _dated(raw), _etag(list_item) or _etag(fields), fields, obstacle)

    def is_member(self, above: tuple[str, ...], name: str) -> bool:
        """Tell whether a file in some folders is a record of this dataset."""
        depth = len(self.source.folder)
        below = "/".join((*above[depth:], name))
        if above[:depth] != self.source.folder or not self._pattern.is_match(below, name):
            return False
        return not self._data or any(glob.is_match(below, name) for glob in self._data)

    def _json(self, key: str, own: Mapping[str, Any], fields: Mapping[str, Any], place: Place) -> JsonItem:
        values = {column: _single(value) for column, value in fields.items() if not column.startswith("@")}
        for column in place.lookups:
            values[column] = fields.get(f"{column}LookupId")
        values |= own
        parents: frozenset[tuple[str, Key]] = frozenset()
        if self.spec.parent is not None and len(self.spec.parent.via) == 1:
            found = numbers_in(fields, self.spec.parent.via[0])
            parents = frozenset((self.spec.parent.dataset, (number,)) for number in found)
        return JsonItem(self.spec, (key,), values, parents)


def is_glob(entry: str) -> bool:
    """Tell whether an entry of a library's ``data`` is a glob over files; else it is a column."""
    return not _GLOB.isdisjoint(entry)


def field_name(column: str, fields: Fields | None) -> str:
    """Return under which name a column's content stands among an item's fields: of a lookup and of a person its id.

    Source: learn.microsoft.com/graph/api/resources/fieldvalueset.
    """
    found = None if fields is None else fields.get(column)
    is_lookup = found is not None and found.type in {"lookup", "personOrGroup"} and not found.is_many
    return f"{column}LookupId" if is_lookup else column


def numbers_in(fields: Mapping[str, Any], column: str) -> set[str]:
    """Return the numbers of the items that a lookup column names, however Graph spells one or several."""
    found: set[str] = set()
    for value in (fields.get(f"{column}LookupId"), fields.get(column)):
        for one in value if isinstance(value, list) else [value]:
            number = one.get("LookupId") if isinstance(one, dict) else one
            if isinstance(number, int | str) and not isinstance(number, bool) and str(number).isdigit():
                found.add(str(number))
        if found:
            break
    return found


def _single(value: object) -> object:
    """Return what a column holds as one value: several of them, or a link with its text, as JSON, so that a column that
    holds them never counts as empty."""
    return json.dumps(value, ensure_ascii=False) if value and isinstance(value, list | dict) else value


def _etag(raw: Mapping[str, Any]) -> str | None:
    found = raw.get("eTag") or raw.get("@odata.etag")
    return found if isinstance(found, str) and found else None


def _dated(raw: Mapping[str, Any]) -> str:
    """Return what stands for a version where the service tells none."""
    return f"at {raw.get('lastModifiedDateTime')} {raw.get('size')}"
