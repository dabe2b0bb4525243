"""What tables there are, with their columns and what refers to them: the service's own metadata, read once.

A table's definition is asked for when it is first needed. Where the service does not answer that, ``$metadata`` is
read in its stead (``csdl``), which does not say what happens on deletion: then every reference blocks. Invariant: a
name that is not in the metadata never gets into an address.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.microsoft365.dataverse.columns import Attribute, Kind, is_name
from connectors.microsoft365.http import Service

MULTIPLE = "MultiSelectPicklist"
"""Several choices, as a text of their numbers; the service compares it with functions of its own."""
UNKNOWN = "unknown"
"""What happens on deletion where nobody says."""

_HEADS = "EntityDefinitions?$select=MetadataId,LogicalName,EntitySetName,PrimaryIdAttribute,IsAuditEnabled"
_WHOLE = (
    "EntityDefinitions(LogicalName='{name}')?$select=LogicalName,Privileges"
    "&$expand=Attributes($select=LogicalName,AttributeType,AttributeTypeName,AttributeOf,IsValidForRead,"
    "IsValidForUpdate,RequiredLevel),"
    "OneToManyRelationships($select=ReferencingEntity,ReferencingAttribute,CascadeConfiguration),"
    "ManyToOneRelationships($select=ReferencedEntity,ReferencingAttribute)"
)
_DATES = (
    "EntityDefinitions(LogicalName='{name}')/Attributes/Microsoft.Dynamics.CRM.DateTimeAttributeMetadata"
    "?$select=LogicalName,DateTimeBehavior"
)
_VISIBLE = "EntityDefinitions?$select=LogicalName&$filter=IsValidForAdvancedFind eq true and IsIntersect eq false"
_NOT_ANSWERED = frozenset({400, 404, 405, 501})

_KINDS = {
    "String": Kind.TEXT,
    "Memo": Kind.TEXT,
    MULTIPLE: Kind.TEXT,
    "Integer": Kind.INTEGER,
    "BigInt": Kind.INTEGER,
    "Picklist": Kind.INTEGER,
    "State": Kind.INTEGER,
    "Status": Kind.INTEGER,
    "Decimal": Kind.NUMBER,
    "Double": Kind.NUMBER,
    "Money": Kind.NUMBER,
    "Boolean": Kind.BOOLEAN,
    "Uniqueidentifier": Kind.GUID,
    "Lookup": Kind.LOOKUP,
    "Customer": Kind.LOOKUP,
    "Owner": Kind.LOOKUP,
    "DateTime": Kind.INSTANT,
}
_BEHAVIOURS = {"UserLocal": Kind.INSTANT, "TimeZoneIndependent": Kind.WALL, "DateOnly": Kind.DAY}


@dataclass(frozen=True, slots=True)
class Head:
    """One table, as far as the list of tables tells."""

    name: str
    """Logical name."""
    path: str
    """Entity set: the table in an address."""
    key: str
    is_audited: bool = False
    id: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A lookup column of ``child`` that refers to rows of ``parent``."""

    child: str
    column: str
    parent: str
    on_delete: str = UNKNOWN
    """``Cascade``, ``RemoveLink``, ``Restrict``, ``NoCascade``, or ``unknown``."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One table with all that questions need."""

    head: Head
    columns: Mapping[str, Attribute]
    """By name as in answers."""
    referring: tuple[Link, ...] = ()
    refers: tuple[Link, ...] = ()
    privileges: Mapping[str, str] = field(default_factory=dict)
    """``Read``, ``Write``, ``Delete`` … to the privilege's name."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names that a column may be called by."""

    def column(self, name: str) -> Attribute | None:
        """Return the column of a name, a lookup's also by its logical name or its navigation property's."""
        return (
            self.columns.get(name) or self.columns.get(f"_{name}_value") or self.columns.get(self.aliases.get(name, ""))
        )


class Catalogue:
    """The metadata of one environment; threads may share it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.RLock()
        self._heads: dict[str, Head] | None = None
        self._sets: dict[str, str] = {}
        self._entities: dict[str, Entity] = {}
        self._is_thin = False
        """Whether the service tells definitions by ``$metadata`` alone."""
        self._outlines: dict[str, Entity] | None = None

    def head(self, source: str) -> Head | None:
        """Return a table by its logical name or its entity set; None where there is none."""
        with self._lock:
            heads = self.heads()
            return heads.get(source) or heads.get(self._sets.get(source, ""))

    def heads(self) -> Mapping[str, Head]:
        """Return every table by its logical name. Raises LocationError when that cannot be known."""
        with self._lock:
            if self._heads is None:
                self._heads = self._ask_heads()
                self._sets = {head.path: name for name, head in self._heads.items()}
            return self._heads

    def entity(self, source: str) -> Entity | None:
        """Return a table with its columns; None where there is none."""
        with self._lock:
            head = self.head(source)
            if head is None:
                return None
            if head.name not in self._entities:
                found = None if self._is_thin else self._ask_entity(head)
                self._is_thin = found is None
                self._entities[head.name] = found or self._outline(head)
            return self._entities[head.name]

    def outlines(self) -> list[Entity]:
        """Return every table that a user could look into, by ``$metadata``: one request for all their columns."""
        visible = self._ask(_VISIBLE)
        names = None if visible is None else {row.get("LogicalName") for row in visible.get("value", ())}
        with self._lock:
            return [
                self._outline(head)
                for name, head in sorted(self.heads().items())
                if (names is None or name in names) and head.path in self._metadata()
            ]

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask(self, url: str) -> dict[str, Any] | None:
        """Return an answer, None where the service does not know the question. Raises LocationError otherwise."""
        answer = self._service.send("GET", url, headers={"Accept": "application/json"})
        if answer.status in _NOT_ANSWERED:
            return None
        if not answer.is_ok:
            raise self._service.refusal(answer, "the security role's read access to table definitions")
        try:
            found = answer.json()
        except ValueError as error:
            raise self._service.error(
                "the service answers something else than JSON", "answer", "Compare url."
            ) from error
        return found if isinstance(found, dict) else None

    def _ask_heads(self) -> dict[str, Head]:
        heads: dict[str, Head] = {}
        link: str | None = _HEADS
        while link is not None:
            page = self._ask(link)
            if page is None or not isinstance(page.get("value"), list):
                break
            for row in page["value"]:
                name, path, key = row.get("LogicalName"), row.get("EntitySetName"), row.get("PrimaryIdAttribute")
                if all(isinstance(text, str) and is_name(text) for text in (name, path, key)):
                    heads[name] = Head(
                        name, path, key, bool(_managed(row.get("IsAuditEnabled"))), row.get("MetadataId") or ""
                    )
            following = page.get("@odata.nextLink")
            link = following if isinstance(following, str) and following != link else None
        if not heads:
            raise self._service.error("its list of tables cannot be read", "no-metadata", "Compare url.")
        return heads

    def _ask_entity(self, head: Head) -> Entity | None:
        told = self._ask(_WHOLE.format(name=head.name))
        if told is None or not isinstance(told.get("Attributes"), list):
            return None
        behaviours = self._ask(_DATES.format(name=head.name)) or {}
        kinds = {
            row.get("LogicalName"): _BEHAVIOURS.get(str(_managed(row.get("DateTimeBehavior"))), Kind.INSTANT)
            for row in behaviours.get("value", ())
        }
        columns = {}
        for row in told["Attributes"]:
            attribute = _attribute(row, kinds)
            if attribute is not None:
                columns[attribute.name] = attribute
        return Entity(
            head,
            columns,
            tuple(
                Link(row["ReferencingEntity"], f"_{row['ReferencingAttribute']}_value", head.name, _on_delete(row))
                for row in told.get("OneToManyRelationships") or ()
            ),
            tuple(
                Link(head.name, f"_{row['ReferencingAttribute']}_value", row["ReferencedEntity"])
                for row in told.get("ManyToOneRelationships") or ()
            ),
            {str(row.get("PrivilegeType")): str(row.get("Name")) for row in told.get("Privileges") or ()},
        )

    def _outline(self, head: Head) -> Entity:
        found = self._metadata().get(head.path)
        if found is None:
            return Entity(head, {})
        return Entity(head, found.columns, found.referring, found.refers, {}, found.aliases)

    def _metadata(self) -> dict[str, Entity]:
        """Return what ``$metadata`` tells, by entity set; read once, because it is large."""
        if self._outlines is None:
            from connectors.microsoft365.dataverse.csdl import read_metadata

            answer = self._service.send("GET", "$metadata", headers={"Accept": "application/xml"})
            if not answer.is_ok:
                raise self._service.refusal(answer, "the security role's read access to table definitions")
            try:
                self._outlines = read_metadata(answer.content, {head.path: head for head in self.heads().values()})
            except ValueError as error:
                raise self._service.error("its $metadata cannot be read", "no-metadata", "Compare url.") from error
        return self._outlines


def _managed(value: Any) -> Any:
    """Return a value that may stand in a managed property."""
    return value.get("Value") if isinstance(value, dict) else value


def _on_delete(row: Mapping[str, Any]) -> str:
    cascade = row.get("CascadeConfiguration")
    return str(cascade.get("Delete") or UNKNOWN) if isinstance(cascade, dict) else UNKNOWN


def _attribute(row: Mapping[str, Any], dates: Mapping[Any, Kind]) -> Attribute | None:
    """Return a column that can be asked for; None for parts of others, names of lookups, files and pictures."""
    name, vendor = row.get("LogicalName"), str(row.get("AttributeType") or "")
    if str(_managed(row.get("AttributeTypeName")) or "") == "MultiSelectPicklistType":
        vendor = MULTIPLE
    kind = _KINDS.get(vendor)
    if not isinstance(name, str) or not is_name(name) or kind is None:
        return None
    if row.get("AttributeOf") or row.get("IsValidForRead") is False:
        return None
    kind = dates.get(name, kind) if kind is Kind.INSTANT else kind
    return Attribute(
        f"_{name}_value" if kind is Kind.LOOKUP else name,
        kind,
        vendor,
        is_required=_managed(row.get("RequiredLevel")) == "SystemRequired",
        is_writable=row.get("IsValidForUpdate") is not False,
    )
