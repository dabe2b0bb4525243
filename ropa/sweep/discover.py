"""What exists at a place and is not declared, with proposals for its data categories (by the columns' names alone)."""

from __future__ import annotations

import json
import re
from typing import Any

from ropa.connector import DatasetInfo
from ropa.sweep.site import Site
from ropa.vocabulary import hint_category


def discover(site: Site, location: str) -> dict[str, Any]:
    """Return ``ropa.discover/1``: sources, columns, what they are mapped to or look like, and TOML to paste. No value
    of any record is read. Raises CallError for an unknown location, LocationError when it cannot be read."""
    connector = site.connector(location)
    datasets = site.config.locations[location].datasets
    sources, proposals = [], []
    for info in connector.datasets():
        spec = datasets.get(info.declared_as or "")
        mapped: dict[str, list[str]] = {}
        for category, columns in spec.data.items() if spec else ():
            for column in columns:
                mapped.setdefault(column, []).append(category)
        hints = {c.name: hint_category(c.name) for c in info.columns if c.name not in mapped and c.name not in info.key}
        proposed = {name: hint for name, hint in hints.items() if hint is not None}
        sources.append(
            {
                "source": info.source,
                "kind": info.kind,
                "declared_as": info.declared_as,
                "key": list(info.key),
                "columns": [
                    {"name": c.name, "type": c.type, "mapped": mapped.get(c.name, []), "proposed": proposed.get(c.name)}
                    for c in info.columns
                ],
                "references": [
                    {"columns": list(r.columns), "to": r.to_source, "on_delete": r.on_delete, "indexed": r.has_index}
                    for r in info.references
                ],
            }
        )
        if proposed:
            proposals.append(_toml(location, info, proposed))
    return {"schema": "ropa.discover/1", "location": location, "sources": sources, "toml": "\n".join(proposals)}


def _toml(location: str, info: DatasetInfo, proposed: dict[str, str]) -> str:
    name = info.declared_as or re.sub(r"[^a-z0-9]+", "-", info.source.lower()).strip("-") or "dataset"
    lines = [f"[location.{location}.dataset.{name}]"]
    if info.declared_as is None:
        lines.append(f"source = {json.dumps(info.source)}")
        if not info.key:
            lines.append("# key = [...]   # it has no primary key: name the columns that identify a record")
    by_category: dict[str, list[str]] = {}
    for column, category in proposed.items():
        by_category.setdefault(category, []).append(column)
    lines += [f"data.{category} = {json.dumps(columns)}" for category, columns in by_category.items()]
    return "\n".join(lines) + "\n"
