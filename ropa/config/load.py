"""``config/retention.toml``, with further files, read whole: frozen values, or every problem at once.

Invariant: either all of it is sound and a ``Config`` comes back, or nothing does; no location is touched, no
secret is looked up. The digest is that of the very bytes that were parsed, so a plan can name the policy it follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ropa.config.bounds import leaves, value_problems
from ropa.config.contradictions import note_contradictions
from ropa.config.keys import LEDGER, ROOT, SAFETY, STATE
from ropa.config.locations import read_locations
from ropa.config.models import Config, Safety
from ropa.config.notices import read_notify
from ropa.config.problems import Problems
from ropa.config.rules import Places, read_rules
from ropa.config.secrets import has_inline_secret, note_inline_secrets
from ropa.config.sources import FILE, read_policy
from ropa.config.table import Table
from ropa.connector import ConnectorType
from ropa.errors import ConfigurationError


def load(folder: Path, types: Mapping[str, ConnectorType]) -> Config:
    """Read ``folder/config/retention.toml``, and ``folder/config/retention.d``, against the connectors that exist.

    ``types``: connectors by name. Raises ConfigurationError with every Problem, in the order of the text, each with
    its key path and, where it can be guessed, what was meant; never with a value out of the file.
    """
    path = folder / FILE
    policy = read_policy(folder)
    document = policy.document
    problems = Problems()
    root = Table(document, (), problems, ROOT, further={})
    zone = root.zone("timezone") or ZoneInfo("UTC")
    safety = _read_safety(root, problems)
    database = _read_database(root, problems)
    checkpoint_export, origin = _read_ledger(root, folder, problems)
    notify = read_notify(root, problems)
    if not document.get("location") and not document.get("rule"):
        problems.add(("location",), "there is no location and no rule: there is nothing to enforce")
    locations = read_locations(root, types, zone, problems)
    places = Places.of(locations, types)
    rules = read_rules(root, places, problems)
    note_contradictions(rules, places, problems)
    _note_unusable_values(document, problems)
    if problems:
        found = problems.report(document, policy.where)
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        files = f"{path} and its further files" if policy.is_several else str(path)
        raise ConfigurationError(f"{files}: {count}", found, next_step=f"Mend {files}; nothing was touched.")
    return Config(
        timezone=zone,
        digest=policy.digest,
        folder=folder.absolute(),
        safety=safety,
        database=database,
        checkpoint_export=checkpoint_export,
        origin=origin,
        notify=notify,
        locations=locations,
        rules=rules,
        origins=policy.origins,
    )


def _section(root: Table, name: str, keys: Mapping[str, Any], problems: Problems) -> Table:
    return Table(root.values.get(name, {}), (name,), problems, keys, further={})


def _read_safety(root: Table, problems: Problems) -> Safety:
    table = _section(root, "safety", SAFETY, problems)
    approval_valid = table.period("approval_valid")
    if approval_valid is not None and approval_valid.is_sub_day:
        table.note("approval_valid", "must be in whole days or longer")
    given = {
        "max_records": table.integer("max_records"),
        "max_share": table.share("max_share"),
        "max_records_7_days": table.integer("max_records_7_days"),
        "approvals": table.integer("approvals", 1, 10),
        "approval_valid": approval_valid,
        "require_synchronised_clock": table.truth("require_synchronised_clock"),
    }
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return Safety(**values)


def _read_database(root: Table, problems: Problems) -> str | None:
    table = _section(root, "state", STATE, problems)
    note_inline_secrets(table.values, table.path, {}, problems)
    return table.text("database")


def _read_ledger(root: Table, folder: Path, problems: Problems) -> tuple[Path | None, str | None]:
    table = _section(root, "ledger", LEDGER, problems)
    export = table.text("checkpoint_export")
    origin = table.text("origin")
    # The first line of a checkpoint is also the key name of a signed note: no white space, no plus (C2SP signed-note).
    if origin and origin.strip() and ("+" in origin or len(origin.split()) != 1 or origin != origin.strip()):
        table.note("origin", "must have no white space and no +")
    return (folder.absolute() / export if export and "\0" not in export else None), origin


def _note_unusable_values(document: dict[str, Any], problems: Problems) -> None:
    for path, message in value_problems(document):
        if not problems.has_under(path):
            problems.add(path, message)
    for path, value in leaves(document):
        if isinstance(value, str) and has_inline_secret(value) and not problems.has_under(path):
            problems.add(path, "has a secret in it, which has no place in this file")
