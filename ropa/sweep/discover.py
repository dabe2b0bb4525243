"""What exists at a place and is not declared, with proposals for its data categories, and tables where records live on.

By default names and types decide, and no value of a record is read. With ``sample`` the connector shows values to a
function that answers with the key of a pattern (``ropa.vocabulary.content``); what comes back are counts. Invariant:
no value is in a document, an error or a log; the function that sees one keeps nothing but how many it saw.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ropa.clock import calendar_day
from ropa.config import Config
from ropa.connector import Connector, DatasetInfo
from ropa.errors import CallError, LocationError
from ropa.sweep.histories import Kin, holds_rows, kin_of
from ropa.sweep.site import Site
from ropa.vocabulary.content import Evidence, recognise, recognise_field, weigh
from ropa.vocabulary.hints import hint_category, hint_columns, key_value_columns

SAMPLE = 200
"""Records of each source that are looked at unless a number is given."""
LARGEST_SAMPLE = 100_000


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking into one source."""

    evidence: Mapping[str, list[Evidence]] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    """Values of each column that were not blank; no columns at all where nothing could be looked into."""
    trouble: str | None = None
    """Why it could not be looked into."""


def discover(site: Site, location: str, *, sample: int | None = None) -> dict[str, Any]:
    """Return ``ropa.discover/1``: sources, columns, what they are mapped to or look like, what is a history of what,
    and TOML to paste.

    ``sample``: None, no value is read; else records of each source whose values are looked at where they are. Raises
    CallError for an unknown location or a sample out of bounds, LocationError when the catalogue cannot be read.
    """
    if sample is not None and not 1 <= sample <= LARGEST_SAMPLE:
        raise CallError(f"a sample has 1 to {LARGEST_SAMPLE:,} records")
    connector = site.connector(location)
    infos = list(connector.datasets())
    kin = kin_of(infos, declared_sources(site.config, location))
    year = calendar_day(site.now(), site.config.timezone).year
    sources, proposals = [], []
    for info in infos:
        mapped = mapped_columns(site.config, location, info)
        hints = hinted(info)
        looked = Looked() if sample is None else _look_into(connector, info, hints, limit=sample, year=year)
        proposed = _proposed(info, mapped, hints, looked.evidence)
        sources.append(
            _describe(info, kin.get(info.source), mapped=mapped, hints=hints, looked=looked, proposed=proposed)
        )
        if proposed:
            proposals.append(_toml(location, info, proposed, kin.get(info.source)))
    return {
        "schema": "ropa.discover/1",
        "location": location,
        "sampled": sample,
        "sources": sources,
        "toml": "\n".join(proposals),
    }


def declared_sources(config: Config, location: str) -> dict[str, str]:
    """Return declared dataset to its table, folder or other source."""
    return {name: spec.source for name, spec in config.locations[location].datasets.items()}


def mapped_columns(config: Config, location: str, info: DatasetInfo) -> dict[str, list[str]]:
    """Return column to the data categories that any dataset over this source maps to it."""
    found: dict[str, list[str]] = {}
    for name, spec in config.locations[location].datasets.items():
        if info.declared_as is None or (name != info.declared_as and spec.source != info.source):
            continue
        for category, columns in spec.data.items():
            for column in columns:
                known = found.setdefault(column, [])
                known += [category] if category not in known else []
    return found


def hinted(info: DatasetInfo) -> dict[str, str]:
    """Return column to the data category that its name and type suggest."""
    if info.kind == "folder":  # what is known of every file; there is no table whose other columns would tell more
        hints = {column.name: hint_category(column.name) for column in info.columns if column.name not in info.key}
        return {name: category for name, category in hints.items() if category}
    pointers = {column for reference in info.references for column in reference.columns}
    columns = [(column.name, column.type) for column in info.columns]
    return hint_columns(info.source, columns, key=info.key, pointers=pointers)


# --- looking ------------------------------------------------------------------------------------------------------


def _look_into(connector: Connector, info: DatasetInfo, hints: Mapping[str, str], *, limit: int, year: int) -> Looked:
    """Have the values of one source looked at where they are. What is out of reach is said, and the rest goes on."""
    if not holds_rows(info):
        return Looked()
    key, value = key_value_columns(column.name for column in info.columns)
    is_pairs = key is not None and value is not None
    seen: Counter[str] = Counter()

    def look(column: str, text: str) -> str | None:
        if not text.strip():
            return None
        seen[column] += 1
        return (recognise_field(text) if is_pairs and column == key else None) or recognise(column, text, year=year)

    try:
        counts = connector.inspect(info.source, look, limit=limit)
    except LocationError as error:
        return Looked(trouble=error.message)
    evidence: dict[str, list[Evidence]] = {}
    for column, answers in counts.items():
        found = weigh(answers, seen[column], hint=hints.get(column), is_mixed=value is not None and column == value)
        if found:
            evidence[column] = found
    if key is not None and value is not None:
        told = _told_by_fields(counts.get(key, {}), seen[key])
        if told:
            evidence[value] = _merged(evidence.get(value, []), told)
    return Looked(evidence, dict(seen))


def _told_by_fields(answers: Mapping[str, int], seen: int) -> list[Evidence]:
    """What the values of a key/value table hold, by the names beside them (``first_name``)."""
    found = [(number, key.removeprefix("field-")) for key, number in answers.items() if key.startswith("field-")]
    return [Evidence(category, number, seen, ("field",)) for number, category in sorted(found, reverse=True)]


def _merged(first: list[Evidence], second: list[Evidence]) -> list[Evidence]:
    known = {evidence.category for evidence in first}
    return [*first, *(evidence for evidence in second if evidence.category not in known)]


def _proposed(
    info: DatasetInfo,
    mapped: Mapping[str, Collection[str]],
    hints: Mapping[str, str],
    evidence: Mapping[str, list[Evidence]],
) -> dict[str, list[str]]:
    """Return column to the categories proposed for it: what most values look like, else what its name says; for the
    values of a key/value table all that was found."""
    _, value = key_value_columns(column.name for column in info.columns)
    proposed: dict[str, list[str]] = {}
    for column in info.columns:
        known = mapped.get(column.name, ())
        by_content = [found.category for found in evidence.get(column.name, [])]
        if column.name != value:
            by_content = by_content[:1]
        by_name = [] if known or column.name not in hints else [hints[column.name]]
        wanted = [category for category in by_content or by_name if category not in known]
        if wanted:
            proposed[column.name] = wanted
    return proposed


# --- telling ------------------------------------------------------------------------------------------------------


def _describe(
    info: DatasetInfo,
    kin: Kin | None,
    *,
    mapped: Mapping[str, list[str]],
    hints: Mapping[str, str],
    looked: Looked,
    proposed: Mapping[str, list[str]],
) -> dict[str, Any]:
    return {
        "source": info.source,
        "kind": info.kind,
        "declared_as": info.declared_as,
        "history_of": kin.of if kin else None,
        "history_by": kin.by if kin else None,
        "not_looked_into": looked.trouble,
        "key": list(info.key),
        "columns": [
            {
                "name": c.name,
                "type": c.type,
                "mapped": mapped.get(c.name, []),
                "proposed": next(iter(proposed.get(c.name, [])), None),
                "seen": looked.seen.get(c.name, 0) if looked.seen else None,
                "evidence": _evidence(hints.get(c.name), looked.evidence.get(c.name, [])),
            }
            for c in info.columns
        ],
        "references": [
            {"columns": list(r.columns), "to": r.to_source, "on_delete": r.on_delete, "indexed": r.has_index}
            for r in info.references
        ],
    }


def _evidence(hint: str | None, found: list[Evidence]) -> list[dict[str, Any]]:
    by_name: list[dict[str, Any]] = []
    if hint:
        by_name = [{"category": hint, "by": "name", "matched": None, "seen": None, "patterns": []}]
    return by_name + [
        {"category": e.category, "by": "content", "matched": e.matched, "seen": e.seen, "patterns": list(e.kinds)}
        for e in found
    ]


def _toml(location: str, info: DatasetInfo, proposed: Mapping[str, list[str]], kin: Kin | None) -> str:
    name = info.declared_as or re.sub(r"[^a-z0-9]+", "-", info.source.lower()).strip("-") or "dataset"
    lines = [f"[location.{location}.dataset.{name}]"]
    if info.declared_as is None:
        lines.append(f"source = {json.dumps(info.source)}")
        if not info.key:
            lines.append("# key = [...]   # it has no primary key: name the columns that identify a record")
    else:
        lines.append("# it is there already: add these lines to it")
    if kin is not None:
        lines.append("# records of others live on here: their rules do not reach it, give it its own")
    by_category: dict[str, list[str]] = {}
    for column, categories in proposed.items():
        for category in categories:
            by_category.setdefault(category, []).append(column)
    lines += [f"data.{category} = {json.dumps(columns)}" for category, columns in by_category.items()]
    return "\n".join(lines) + "\n"
