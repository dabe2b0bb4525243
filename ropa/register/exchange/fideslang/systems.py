"""Systems and their privacy declarations as processing activities with their recipients.

A declaration is one use that a system makes of data: one activity. A system whose ``system_type`` is
``Processing activity``, as our own export writes it, is one activity, and its declarations are its purposes.
Invariant: a period is taken over only where it is a period, and a transfer only where it is clear who receives.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from ropa.register.exchange.fideslang import terms
from ropa.register.exchange.fideslang.declarations import (
    ALIKE,
    SILENT,
    Declared,
    as_purposes,
    listed,
    put_together,
    read_declaration,
)
from ropa.register.exchange.fideslang.entry import Entry
from ropa.register.exchange.fideslang.shelf import Shelf
from ropa.register.exchange.incoming import key_of
from ropa.register.models import Activity, Transfer
from ropa.vocabulary import UNKNOWN, plain

ACTIVITY_TYPE = "Processing activity"
"""The ``system_type`` of a system that is one activity."""
_ENTRY_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)


def activities_of(system: Entry, shelf: Shelf, own_names: Collection[str], found: dict[str, Activity]) -> None:
    """Add the activities that a system is to those that were found, by key.

    ``own_names``: how the organisation itself is called, so that it is no recipient.
    """
    name = system.text("name")
    key = system.term("fides_key")
    kind = system.text("system_type")
    is_activity = kind == ACTIVITY_TYPE
    if not is_activity and kind is not None:
        system.desk.leave_alike("system.*.system_type", system.line("system_type"), ALIKE["system_type"])
    declared = [read_declaration(one, shelf) for one in system.entries("privacy_declarations")]
    common = _common(system, shelf, declared, own_names)
    system.leave_rest("system", ALIKE, SILENT)
    title = name or key or "system"
    if not declared:
        system.desk.leave(system.path, system.line(), "declares no use of data, so that there is no activity to enter")
        return
    if is_activity:
        is_ours = key is not None and _ENTRY_KEY.fullmatch(key) is not None and key not in found
        own_key = key if key is not None and is_ours else key_of(key or title, found)
        found[own_key] = put_together(as_purposes(declared, title), replace(common, title=title))
        return
    common = replace(common, systems=(title,))
    for one in declared:
        further = one.name or (one.use if len(declared) > 1 else None)
        own_title = one.name or (f"{title} ({one.use})" if further else title)
        own_key = key_of(" ".join(filter(None, (key or title, further))), found)
        found[own_key] = put_together([one], replace(common, title=own_title))


# --- what a system says for all of them ---------------------------------------------------------------------------


def _common(system: Entry, shelf: Shelf, declared: list[Declared], own_names: Collection[str]) -> Activity:
    department = system.text("administrating_department")
    further = [shelf.recipient(joint, "joint-controller") for joint in _joint(system)]
    vendor = _vendor(system, shelf, own_names)
    if vendor:
        further.append(vendor)
    named = {key for one in declared for key in one.recipients if key != UNKNOWN}
    _transfer(system, shelf, {vendor} if vendor else named)
    if system.flag("processes_personal_data") is False and declared:
        system.leave("processes_personal_data", "says no, and yet data are declared; remove the activity if that is so")
    return Activity(
        description=system.text("description"),
        role=_role(system),
        owner=None if department is None or department.casefold() == "not defined" else department,
        measures=tuple(listed(system.text("data_security_practices"))),
        dpia=_dpia(system),
        recipients=tuple(further),
    )


def _joint(system: Entry) -> list[str]:
    """The joint controllers: a text, or as releases before 3 have it, a contact."""
    older = system.entry("joint_controller")
    found = [system.text("joint_controller_info"), older.text("name") if older else None]
    if older:
        older.leave_rest("system.*.joint_controller", {}, {})
    return [name for name in found if name]


def _role(system: Entry) -> str:
    older = system.text("data_responsibility_title")
    titles = {title.casefold() for title in [*system.texts("responsibility"), *([older] if older else [])]}
    known = {"controller": "controller", "processor": "processor", "sub-processor": "processor"}
    roles = {known[title] for title in titles if title in known}
    if titles - known.keys() or len(roles) > 1:
        system.leave("responsibility", "an activity has one role, controller or processor; controller stands")
    elif "sub-processor" in titles:
        system.leave("responsibility", "is taken as processor; name the processors it acts for under controllers")
    return next(iter(roles)) if len(roles) == 1 else "controller"


def _dpia(system: Entry) -> str | None:
    is_required = system.flag("requires_data_protection_assessments")
    progress = system.text("dpa_progress")
    older = system.entry("data_protection_impact_assessment")
    if older:
        is_required = older.flag("is_required") or is_required
        older.leave_rest("system.*.data_protection_impact_assessment", {}, {})
    if progress is not None and progress.casefold() == "done":
        return "done"
    if progress is not None:
        system.leave("dpa_progress", 'set dpia = "done" if the assessment is finished')
    return "required" if is_required else None


def _vendor(system: Entry, shelf: Shelf, own_names: Collection[str]) -> str | None:
    """The business that a system represents, as a recipient; none where that is the organisation itself."""
    legal_name = system.text("legal_name")
    if legal_name is None or plain(legal_name) in own_names:
        for key in ("legal_address", "dpo"):
            if system.node(key) is not None:
                system.leave(key, "whose it is cannot be told without legal_name; the organisation has its own keys")
        return None
    key = shelf.recipient(legal_name)
    contact = "; ".join(filter(None, (system.text("dpo"), system.text("legal_address"))))
    name = system.text("name")
    before = shelf.recipients[key]
    systems = (*before.systems, name) if name and name not in before.systems else before.systems
    if contact and before.contact not in {None, contact}:
        system.leave("dpo", "another contact stands with the same business already")
    shelf.recipients[key] = replace(before, contact=before.contact or contact or None, systems=systems)
    return key


def _transfer(system: Entry, shelf: Shelf, receivers: Collection[str]) -> None:
    """Data go to a third country: noted with the one recipient they can go to, and else left."""
    words = system.texts("legal_basis_for_transfers")
    if system.node("third_country_transfers") is not None:
        system.leave("third_country_transfers", "name each country under transfer of the recipient that the data go to")
    if not system.flag("does_international_transfers") and not words:
        return
    key = (
        "does_international_transfers"
        if "does_international_transfers" in system.table.entries
        else "legal_basis_for_transfers"
    )
    if len(receivers) != 1:
        system.leave(
            key, "who receives cannot be told: set transfer (country, safeguard) of the recipient (Art. 30(1)(e))"
        )
        return
    safeguard = terms.SAFEGUARDS.get(words[0].casefold()) if len(words) == 1 else None
    note = "; ".join(words) if words and safeguard is None else None
    receiver = next(iter(receivers))
    before = shelf.recipients[receiver]
    transfer = Transfer(safeguard=safeguard, note=note)
    if before.transfer not in {None, transfer}:
        system.leave(key, "another transfer to the same recipient stands already")
        return
    shelf.recipients[receiver] = replace(before, transfer=transfer)
