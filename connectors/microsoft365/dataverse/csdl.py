"""``$metadata`` as a catalogue: columns, keys and references of every table, where the service tells them nowhere else.

Invariant: no entity of the document is expanded and nothing outside of it is fetched; what it does not say (what
happens to rows that refer to one that is deleted) is unknown, not harmless.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from connectors.microsoft365.dataverse.columns import Attribute, Kind

if TYPE_CHECKING:
    from connectors.microsoft365.dataverse.catalogue import Entity, Head, Link

_EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
_LOOKUP = re.compile(r"_\w+_value", re.ASCII)
_KINDS = {
    "Edm.String": Kind.TEXT,
    "Edm.Int16": Kind.INTEGER,
    "Edm.Int32": Kind.INTEGER,
    "Edm.Int64": Kind.INTEGER,
    "Edm.Decimal": Kind.NUMBER,
    "Edm.Double": Kind.NUMBER,
    "Edm.Boolean": Kind.BOOLEAN,
    "Edm.Guid": Kind.GUID,
    "Edm.DateTimeOffset": Kind.INSTANT,
    "Edm.Date": Kind.DAY,
}


def read_metadata(content: bytes, heads: Mapping[str, Head]) -> dict[str, Entity]:
    """Return what a document tells of the tables in ``heads``, both by entity set.

    Raises ValueError where it is none.
    """
    from connectors.microsoft365.dataverse.catalogue import Entity, Link

    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("a document type")
    try:
        root = ET.fromstring(content)  # noqa: S314 - without a document type there is nothing to expand
    except ET.ParseError as error:
        raise ValueError("no XML") from error
    types = {f"{space}.{node.get('Name')}": node for space, node in _types(root)}
    sets = {node.get("Name") or "": _bare(node.get("EntityType")) for node in root.iter(f"{_EDM}EntitySet")}
    bare = {_bare(name): node for name, node in types.items()}
    names = {sets[path]: head.name for path, head in heads.items() if path in sets}
    fixed = _fixed(root)
    links: list[Link] = []
    columns: dict[str, dict[str, Attribute]] = {}
    aliases: dict[str, dict[str, str]] = {}
    for path, head in heads.items():
        columns[path], aliases[path] = {}, {}
        for node in _lineage(bare, sets.get(path, "")):
            for prop in node.iter(f"{_EDM}Property"):
                attribute = _attribute(node, prop, fixed, head.key)
                if attribute is not None:
                    columns[path][attribute.name] = attribute
            for navigation in node.iter(f"{_EDM}NavigationProperty"):
                constraint = navigation.find(f"{_EDM}ReferentialConstraint")
                parent = names.get(_bare(navigation.get("Type")))
                column = constraint.get("Property") if constraint is not None else None
                if column and parent:
                    links.append(Link(head.name, column, parent))
                    aliases[path][navigation.get("Name") or ""] = column
    return {
        path: Entity(
            head,
            columns[path],
            tuple(link for link in links if link.parent == head.name),
            tuple(link for link in links if link.child == head.name),
            {},
            aliases[path],
        )
        for path, head in heads.items()
        if path in sets
    }


def _types(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    for schema in root.iter(f"{_EDM}Schema"):
        for node in schema.iter(f"{_EDM}EntityType"):
            yield schema.get("Namespace") or "", node


def _bare(name: str | None) -> str:
    """Return the name of a type without its namespace or alias."""
    return (name or "").removeprefix("Collection(").removesuffix(")").rpartition(".")[2]


def _lineage(types: Mapping[str, ET.Element], name: str) -> list[ET.Element]:
    """Return a type and the types it is made of, the furthest first."""
    found: list[ET.Element] = []
    seen: set[str] = set()
    while name in types and name not in seen:
        seen.add(name)
        found.insert(0, types[name])
        name = _bare(types[name].get("BaseType"))
    return found


def _fixed(root: ET.Element) -> set[tuple[str, str]]:
    """Return (type, property) of what is said elsewhere in the document to be computed."""
    found = set()
    for node in root.iter(f"{_EDM}Annotations"):
        owner, _, prop = (node.get("Target") or "").partition("/")
        if prop and any(_is_fixing(inner) for inner in node.iter(f"{_EDM}Annotation")):
            found.add((_bare(owner), prop))
    return found


def _is_fixing(node: ET.Element) -> bool:
    term = _bare(node.get("Term"))
    if term == "Computed":
        return node.get("Bool", "true") == "true"
    member = node.get("EnumMember") or node.findtext(f"{_EDM}EnumMember") or ""
    return term == "Permissions" and member.rpartition("/")[2] == "Read"


def _attribute(node: ET.Element, prop: ET.Element, fixed: set[tuple[str, str]], key: str) -> Attribute | None:
    name, vendor = prop.get("Name") or "", prop.get("Type") or ""
    kind = _KINDS.get(vendor)
    if not name or kind is None:
        return None
    if kind is Kind.GUID and name != key and _LOOKUP.fullmatch(name):
        kind = Kind.LOOKUP
    is_fixed = (node.get("Name") or "", name) in fixed or any(map(_is_fixing, prop.iter(f"{_EDM}Annotation")))
    is_required = prop.get("Nullable") == "false"
    return Attribute(name, kind, vendor, is_required=is_required, is_writable=not is_fixed and name != key)
