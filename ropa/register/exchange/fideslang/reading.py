"""A fideslang manifest as entries for the register: the resources of every document of the file, kind by kind.

Invariant: the register that comes out has passed the same checks as a text of our own (``parse.from_data``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

from ropa.register.exchange.fideslang.datasets import leave_dataset
from ropa.register.exchange.fideslang.entry import Desk, Entry, named
from ropa.register.exchange.fideslang.nodes import Node, Table, broken, read_nodes, says_nothing
from ropa.register.exchange.fideslang.shelf import TAXONOMY, Shelf
from ropa.register.exchange.fideslang.systems import activities_of
from ropa.register.exchange.incoming import Incoming
from ropa.register.models import Activity, Contact, Organisation, Register
from ropa.register.parse import from_data
from ropa.register.text import to_data
from ropa.vocabulary import plain

_KINDS = ("organization", "system", "dataset", "policy", *TAXONOMY)
_POLICY = "says which uses are allowed; the register says what is done: compare it with the purposes of the activities"


def read_fideslang(data: bytes, name: str) -> Incoming:
    """Read a manifest, or several in one file.

    Raises RegisterError with every problem, each with its path and line; ConfigurationError without PyYAML.
    """
    desk = Desk(name)
    found = _resources(read_nodes(data, name), name, desk)
    organizations = named(found["organization"], "organization")
    organisation = _organisation(organizations)
    shelf = Shelf(desk, {kind: named(found[kind], kind) for kind in TAXONOMY})
    own_names = _names(organizations)
    activities: dict[str, Activity] = {}
    for system in named(found["system"], "system"):
        activities_of(system, shelf, own_names, activities)
        desk.hold_to_bound("activities", len(activities))
    for dataset in named(found["dataset"], "dataset"):
        leave_dataset(dataset)
    for policy in named(found["policy"], "policy"):
        desk.leave(policy.path, policy.line(), _POLICY)
    shelf.leave_unused()
    desk.raise_problems()
    register = Register(
        organisation=organisation,
        recipients=shelf.recipients,
        categories=shelf.categories,
        activities=activities,
    )
    checked = from_data(to_data(register, is_expanded=True), name)
    return Incoming("fideslang", checked, is_whole=False, left=desk.left)


def _resources(roots: list[Node], name: str, desk: Desk) -> dict[str, list[Entry]]:
    """The resources of a file by kind. Raises RegisterError where it is no manifest at all."""
    found: dict[str, list[Entry]] = defaultdict(list)
    manifests = [root for root in roots if not says_nothing(root)]
    if not manifests:
        raise broken(name, "is empty: it says nothing")
    for root in manifests:
        if not isinstance(root, Table) or not root.entries.keys() & set(_KINDS):
            raise broken(name, f"line {root.line}: is no fideslang manifest, which has one of {', '.join(_KINDS)}")
        manifest = Entry(root, (), desk)
        for kind in _KINDS:
            found[kind] += manifest.entries(kind)
        manifest.leave_rest("", {}, {})
    return found


# --- organisation -------------------------------------------------------------------------------------------------


def _organisation(entries: list[Entry]) -> Organisation:
    """The one organisation of a file; of several none, for a register is of one."""
    if len(entries) != 1:
        for entry in entries:
            entry.desk.leave(entry.path, entry.line(), "a register is of one organisation: keep one in the file")
        return Organisation()
    entry = entries[0]
    controller = entry.entry("controller")
    details = _details(controller) if controller else {}
    name, controller_name = entry.text("name"), details.pop("name", None)
    if name is not None and controller_name is not None and plain(name) != plain(controller_name):
        entry.leave(
            "controller", "its name is another than the organization's; write legal_name if it is the one in law"
        )
    if entry.node("security_policy") is not None:
        entry.leave("security_policy", "name the measures themselves in measures of each activity (Art. 30(1)(g))")
    found = Organisation(
        name=name or controller_name or "",
        dpo=_contact(entry, "data_protection_officer", "Data protection officer"),
        representative=_contact(entry, "representative", "Representative"),
        **details,
    )
    entry.leave_rest("organization", {}, {"organization_fides_key": "default_organization"})
    return found


def _names(entries: list[Entry]) -> set[str]:
    """How the organisations of a file are called, and their controllers."""
    controllers = (entry.entry("controller") for entry in entries)
    found = [entry.text("name") for entry in (*entries, *(one for one in controllers if one is not None))]
    return {plain(name) for name in found if name}


def _contact(entry: Entry, key: str, role: str) -> Contact | None:
    """A contact; the name of its role where it has none of its own."""
    inner = entry.entry(key)
    details = _details(inner) if inner else {}
    return replace(Contact(name=role), **details) if details else None


def _details(entry: Entry) -> dict[str, Any]:
    found = {
        "name": entry.text("name"),
        "address": entry.text("address"),
        "email": entry.text("email"),
        "telephone": entry.text("phone"),
    }
    entry.leave_rest("contact", {}, {})
    return {key: text for key, text in found.items() if text is not None}
