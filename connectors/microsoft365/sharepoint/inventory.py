"""What a site holds, for whoever configures it, and a look into the first records of a place.

Invariant: values go to the one who looks and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from connectors.evaluate import spell
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import Catalogue, Fields, Place
from connectors.microsoft365.sharepoint.listing import Listing
from connectors.microsoft365.sharepoint.reading import first
from connectors.microsoft365.sharepoint.sources import Source, parse_source
from connectors.microsoft365.sharepoint.table import FILE_COLUMNS, LIST_COLUMNS, Table
from ropa.connector import CatalogueReference, Column, DatasetInfo, DatasetSpec

_MOST_LOOKED = 200
"""A page; more is not looked into at once."""


def inventory(catalogue: Catalogue, tables: Mapping[str, Table], *, has_site: bool) -> list[DatasetInfo]:
    """Return what is declared and there, then the lists and libraries of the site that nobody declared."""
    infos, seen = [], set()
    titles = {info.id: info for info in catalogue.lists()} if has_site else {}
    for name, table in tables.items():
        place = catalogue.find(table.source)
        if place is not None:
            seen.add(place.list_id)
            infos.append(_info(table.spec.source, place.fields, titles, is_list=table.source.is_list, name=name))
    if not has_site:
        return infos
    fields = catalogue.all_fields()
    for info in titles.values():
        if info.id not in seen and not info.is_hidden:
            source = f"{'library' if info.is_library else 'list'}:{info.title or info.id}"
            infos.append(_info(source, fields.get(info.id), titles, is_list=not info.is_library))
    return infos


def inspected(
    service: Service, catalogue: Catalogue, tables: Mapping[str, Table], source: str, limit: int
) -> Iterator[tuple[str, str]]:
    """Yield (column, content as text) of the first records of a source; nothing for one that is not there."""
    try:
        parsed = parse_source(source)
    except ValueError:
        return
    place = catalogue.find(parsed)
    if place is None:
        return
    table = next((one for one in tables.values() if one.source == parsed), None) or _undeclared(source, parsed)
    columns = _looked_into(place)
    entries = (entry for _, entry in Listing(service, table, place, columns).entries() if entry is not None)
    for entry in first(entries, min(limit, _MOST_LOOKED)):
        for name in sorted(entry.item.values):
            value = entry.item.value(name)
            if value is not None and name not in {"id", "createdDateTime", "lastModifiedDateTime"}:
                yield name, spell(value)


def _looked_into(place: Place) -> set[str]:
    if place.fields is None:
        return {"*"} if place.source.is_list else set()
    return {field.name for field in place.fields.values() if not field.is_hidden and not field.is_read_only}


def _undeclared(source: str, parsed: Source) -> Table:
    return Table(DatasetSpec("", source, ZoneInfo("UTC")), parsed)


def _info(
    source: str, fields: Fields | None, titles: Mapping[str, object], *, is_list: bool, name: str | None = None
) -> DatasetInfo:
    own = LIST_COLUMNS if is_list else FILE_COLUMNS
    columns = [Column(column, kind, is_nullable=False) for column, kind in own.items()]
    references = []
    for field in (fields or {}).values():
        if not field.is_hidden and field.name not in own:
            columns.append(Column(field.name, field.type, not field.is_required, field.is_unique))
        if field.looks_up is not None and field.looks_up in titles:
            to = getattr(titles[field.looks_up], "title", "")
            references.append(CatalogueReference((field.name,), f"list:{to}", ("id",), "unknown", has_index=False))
    return DatasetInfo(source, tuple(columns), ("id",), tuple(references), "list" if is_list else "library", name)
