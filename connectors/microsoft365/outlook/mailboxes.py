"""Which mailboxes are meant: those named, and those of a group's members.

Invariant: a group that cannot be read wholly is an error, never fewer mailboxes; a member's mailbox is named by its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from connectors.microsoft365.http import Service
from ropa.errors import LocationError

_MAILBOX = re.compile(r"[^\s/\\?#%|]{1,256}")
_USER = "#microsoft.graph.user"
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
GROUP_PERMISSION = "GroupMember.Read.All"


def named_mailboxes(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses of ``mailboxes`` in small letters. Raises ValueError with the reason."""
    named = options.get("mailboxes")
    named = [] if named is None else named
    if not isinstance(named, list) or not all(isinstance(one, str) and is_mailbox(one) for one in named):
        raise ValueError('is a list of addresses: mailboxes = ["info@example.org"]')
    folded = [one.casefold() for one in named]
    if len(set(folded)) != len(folded):
        raise ValueError("names a mailbox twice")
    return tuple(folded)


def is_mailbox(text: str) -> bool:
    """Tell whether a text may name a mailbox."""
    return _MAILBOX.fullmatch(text) is not None


def path_of(mailbox: str) -> str:
    """Return where a mailbox is, relative to the service's root."""
    return f"users/{segment(mailbox)}"


def segment(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="@=")


class Mailboxes:
    """The mailboxes of a location; a group's members are asked for once."""

    def __init__(self, service: Service, named: tuple[str, ...], group: str | None) -> None:
        self._service = service
        self._named = named
        self._group = group
        self._members: tuple[str, ...] | None = None
        self.nested = 0
        """Groups that are members of the group: their members are not meant."""

    def __iter__(self) -> Any:
        return iter(self.all())

    def all(self) -> tuple[str, ...]:
        """Return every mailbox. Raises LocationError, also IncompleteListingError, where the group cannot be read."""
        if self._members is None:
            self._members = self._read_members(self._group) if self._group is not None else ()
        return self._named + self._members

    def _read_members(self, group: str) -> tuple[str, ...]:
        select = "$select=id,mail,userPrincipalName&$top=999"
        members: dict[str, None] = {}
        self.nested = 0
        for page in self._service.pages(f"groups/{self._id_of(group)}/members?{select}", needs=GROUP_PERMISSION):
            for member in page:
                kind, number = member.get("@odata.type", _USER), str(member.get("id") or "")
                self.nested += kind == "#microsoft.graph.group"
                names = {str(member.get(name) or "").casefold() for name in ("id", "mail", "userPrincipalName")}
                # A member without an address has no mailbox of its own.
                if kind == _USER and member.get("mail") and is_mailbox(number) and not names & set(self._named):
                    members[number] = None
        return tuple(members)

    def _id_of(self, group: str) -> str:
        if _GUID.fullmatch(group):
            return group
        spelled = quote(group.replace("'", "''"), safe="@")
        answer = self._service.get(f"groups?$filter=mail%20eq%20'{spelled}'&$select=id", needs=GROUP_PERMISSION)
        found = answer.get("value") if isinstance(answer, Mapping) else None
        if not isinstance(found, list) or len(found) != 1:
            raise LocationError(
                f"location {self._service.location}: there is no one group with the address in `group`",
                code="missing",
                next_step="Give the group's object id, or correct its address.",
            )
        return segment(str(found[0]["id"]))
