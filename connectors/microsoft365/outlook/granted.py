"""What the application may do, as far as it can be told: from the roles in the token, and by trying to read.

Invariant: nothing is decided by a token's text. What RBAC for Applications grants is not in it: then that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.microsoft365.graph_batch import Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.outlook.listing import PREFER
from connectors.microsoft365.outlook.mailboxes import GROUP_PERMISSION, path_of
from connectors.microsoft365.outlook.sources import CONTACTS, MESSAGES

_READ = {
    MESSAGES: ("Mail.ReadBasic.All", "Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"),
    CONTACTS: ("Contacts.Read", "Contacts.ReadWrite"),
}
_WRITE = {MESSAGES: ("Mail.ReadWrite",), CONTACTS: ("Contacts.ReadWrite",)}
_GROUP = (GROUP_PERMISSION, "Group.Read.All", "Directory.Read.All")


@dataclass(frozen=True, slots=True)
class Granted:
    """What the tokens say; None where they say nothing."""

    may_read: bool | None
    may_delete: bool | None
    notes: tuple[str, ...]
    planning_may_delete: bool | None = None


def granted(
    planning: Mapping[str, Any], applying: Mapping[str, Any], kinds: Iterable[str], *, has_group: bool
) -> Granted:
    """Compare the claims of the token for planning and of that for applying with what the kinds of datasets need."""
    wanted = sorted(set(kinds))
    reads, writes = _roles(planning), _roles(applying)
    notes: list[str] = []
    may_read = _covers("planning", reads, [_READ[kind] for kind in wanted], notes)
    may_delete = _covers("applying", writes, [_WRITE[kind] for kind in wanted], notes)
    is_one = planning == applying
    if is_one and not reads:
        notes.pop()  # it says the same of the same token
    if has_group and reads and not reads & set(_GROUP):
        notes.append(f"for planning {GROUP_PERMISSION} is missing: the group's members cannot be listed")
    useful = {role for kind in wanted for role in _READ[kind]} | (set(_GROUP) if has_group else set())
    needed = {role for kind in wanted for role in (*_READ[kind], *_WRITE[kind])}
    for name, roles, allowed in (
        ("planning", reads, useful - ({"Mail.ReadWrite", "Contacts.ReadWrite"} if not is_one else set())),
        ("applying", writes, needed | (set(_GROUP) if has_group else set())),
    ):
        if too_much := sorted(roles - allowed):
            notes.append(f"for {name} more is granted than is needed: {', '.join(too_much)}")
        if is_one:
            break
    if wide := sorted((reads | writes) & {role for kind in wanted for role in (*_READ[kind], *_WRITE[kind])}):
        notes.append(
            f"{', '.join(wide)} reach every mailbox of the tenant: take them away and grant the same by RBAC for "
            "Applications in Exchange Online, for the mailboxes that are meant"
        )
    # That it does not stand in the token does not mean that Exchange does not grant it.
    spare = True if reads & {role for kind in wanted for role in _WRITE[kind]} else None
    return Granted(may_read, may_delete, tuple(notes), spare)


def reach(service: Service, wanted: Sequence[tuple[str, str, str]]) -> list[str]:
    """Try to read one record of (how it is called here, mailbox, kind) each; return what cannot be read, in words
    without an address."""
    addresses = [f"/{path_of(mailbox)}/{kind}?$select=id&$top=1" for _, mailbox, kind in wanted]
    answers = send_parts(service, [Part("GET", address, PREFER) for address in addresses])
    return [
        f"{name}: {kind} cannot be read ({answer.status} {answer.fault.code})"
        for (name, _, kind), answer in zip(wanted, answers, strict=True)
        if not answer.is_ok
    ]


def _covers(what: str, roles: frozenset[str], needs: Iterable[tuple[str, ...]], notes: list[str]) -> bool | None:
    if not roles:
        notes.append(
            f"the token for {what} names no permission: what RBAC for Applications grants in Exchange Online does not "
            "stand in a token, and is seen only when it is used"
        )
        return None
    missing = [names[-1] if len(names) == 1 else names[-2] for names in needs if not roles & set(names)]
    if missing:
        notes.append(
            f"the token for {what} does not name {', '.join(missing)}: grant it, unless RBAC for Applications does"
        )
    return None if missing else True


def _roles(claims: Mapping[str, Any]) -> frozenset[str]:
    roles = claims.get("roles")
    return frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
