"""``[location.X]`` read into ``Location``: the common keys, and the connector's own as the connector declares them.

Invariant: what a connector did not declare is refused, and an option is kept as it was written: secrets stay
references until the location is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from ropa.clock import Period
from ropa.config.countries import COUNTRIES, LIKELY
from ropa.config.datasets import Surroundings, check_options, note_parent_cycles, note_type, read_dataset
from ropa.config.keys import LOCATION
from ropa.config.models import Location
from ropa.config.problems import KeyPath, Problems
from ropa.config.secrets import note_inline_secrets
from ropa.config.table import Table
from ropa.connector import MAX_BATCH, ConnectorType, Option

_ANY = Option((str, int, float, bool, list, dict))
"""What a key of an unknown connector takes."""

NO_BACKUPS = "none"
"""``backups_kept`` where erased records are not to be recognised."""


def read_locations(
    root: Table, types: Mapping[str, ConnectorType], zone: ZoneInfo, problems: Problems
) -> dict[str, Location]:
    """Read every location; what is wrong is noted."""
    return {
        name: _read_location(name, values, path, types=types, zone=zone, problems=problems)
        for name, values, path in root.members("location", "location")
    }


def _read_location(
    name: str, values: Any, path: KeyPath, *, types: Mapping[str, ConnectorType], zone: ZoneInfo, problems: Problems
) -> Location:
    connector = values.get("connector") if isinstance(values, dict) else None
    kind = types.get(connector) if isinstance(connector, str) else None
    table = Table(values, path, problems, LOCATION, further=kind.options if kind else None)
    if kind is None and table.text("connector"):
        table.note(
            "connector", f"is not a connector; there are: {', '.join(sorted(types))}", meant=connector, among=types
        )
    own = {key: value for key, value in table.values.items() if key not in LOCATION}
    check_options(own, path, kind.options if kind else {}, problems)
    members = list(table.members("dataset", "dataset"))
    around = Surroundings(name, {member: f"{name}.{member}" for member, _, _ in members}, kind, zone, problems)
    datasets = {member: read_dataset(member, inner, where, around) for member, inner, where in members}
    note_parent_cycles(datasets, (*path, "dataset"), problems)
    return Location(
        name=name,
        connector=table.text("connector") or "",
        title=table.text("title") or "",
        country=_read_country(table),
        recipient=table.text("recipient"),
        batch_size=table.integer("batch_size", 1, MAX_BATCH),
        options=own,
        apply=_read_apply(values["apply"], (*path, "apply"), kind, problems) if "apply" in table.values else {},
        **_read_backups_kept(table),
        datasets=datasets,
    )


def _read_apply(values: Any, path: KeyPath, kind: ConnectorType | None, problems: Problems) -> dict[str, Any]:
    """Read the credentials for applying: of the connector's keys those that say who we are, so that what was planned
    and what is acted on is the same source."""
    table = Table(values, path, problems, {})
    options: dict[str, Option] = dict(kind.options) if kind else {}
    known = [name for name, option in options.items() if option.is_identity]
    if kind is not None and not known:
        problems.add(path, f"means nothing to {kind.name}: its rights are those of whoever runs this")
        return {}
    if table.is_table and not table.values:
        problems.add(path, "is empty; leave it out, or give other credentials")
    for name, value in table.values.items():
        if kind is None or name in known:
            note_type(value, (*path, name), options.get(name, _ANY), problems)
        elif name in options or name in LOCATION:
            problems.add(
                (*path, name), f"cannot be another for applying than for planning; only {', '.join(known)} can"
            )
        else:
            table.note(name, "is not a known key", meant=name, among=known)
    note_inline_secrets(table.values, path, options, problems)
    return table.values


def _read_backups_kept(table: Table) -> dict[str, Period | None]:
    """Return the argument of ``Location``; empty: its own default."""
    if table.values.get("backups_kept") == NO_BACKUPS:
        return {"backups_kept": None}
    kept = table.period("backups_kept")
    if kept is not None and kept.is_sub_day:
        table.note("backups_kept", "must be in whole days or longer")
    return {} if kept is None else {"backups_kept": kept}


def _read_country(table: Table) -> str | None:
    country = table.text("country")
    if country is None or country in COUNTRIES or not country.strip():
        return country
    upper = country.strip().upper()
    meant = upper if upper in COUNTRIES else LIKELY.get(upper)
    message = "must be a country of ISO 3166-1 by its two capitals, e.g. BE"
    table.problems.add((*table.path, "country"), message, suggestion=meant)
    return None
