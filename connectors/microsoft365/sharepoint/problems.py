"""What in a dataset's configuration does not exist at the site, or could not be carried out there.

Invariant: a column that SharePoint would refuse to change is told when it is planned, not when it is tried.
"""

from __future__ import annotations

from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import NEEDS, Fields, Place
from connectors.microsoft365.sharepoint.listing import expand
from connectors.microsoft365.sharepoint.table import NAMED, Table, is_glob
from ropa.connector import FieldChange, Mask, Selection

_TEXT = frozenset({"text", "choice", "unknown"})
_MASKABLE = {
    Mask.YEAR: _TEXT | {"dateTime", "number"},
    Mask.TRUNCATE_IP: _TEXT,
    Mask.REDACT: _TEXT,
    Mask.RANDOM: _TEXT,
}
_FIXED = frozenset({"calculated", "contentApprovalStatus", "thumbnail", "geolocation"})


def problems_of(service: Service, table: Table, place: Place, selection: Selection | None) -> list[str]:
    """Return what stands against a dataset, one sentence each; with a selection also what stands against that."""
    spec = table.spec
    found = [] if spec.key in {(), ("id",)} else ["the key of a record of SharePoint is its id"]
    if not table.source.is_list and spec.parent is not None:
        found.append("files have no parent")
    elif spec.parent is not None and len(spec.parent.via) != 1:
        found.append("parent: via names one column, the lookup")
    found += [
        f"anchor {anchor.name}: a date of another dataset cannot be used here"
        for anchor in spec.anchors.values()
        if any(part.dataset not in {None, spec.name} for part in anchor.parts)
    ]
    found += [
        f"column {name} names a person by a number, and cannot identify one"
        for name in spec.subject
        if name in (place.fields or {}) and (place.fields or {})[name].type == "personOrGroup"
    ]
    found += _unknown(service, table, place, _columns(table, selection))
    if selection is None:
        return found
    asked = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
    found += [f"there is no anchor {name}" for name in asked if name not in spec.anchors]
    return found + [reason for change in selection.fields if (reason := _fixed(table, place.fields, change))]


def _columns(table: Table, selection: Selection | None) -> list[str]:
    spec = table.spec
    names = [*spec.subject, *(spec.parent.via if spec.parent is not None else ())]
    names += [part.column for anchor in spec.anchors.values() for part in anchor.parts]
    names += [one for columns in spec.data.values() for one in columns if table.source.is_list or not is_glob(one)]
    if table.flag is not None:
        names.append(table.flag[0])
    if selection is not None:
        names += [condition.column for condition in selection.match]
        names += [condition.column for group in selection.exclude for condition in group]
    return list(dict.fromkeys(name for name in names if name not in table.own_columns))


def _unknown(service: Service, table: Table, place: Place, columns: list[str]) -> list[str]:
    """Return which columns are not there. Where the service does not tell its columns, items are asked for them."""
    kind = "list" if table.source.is_list else "library"
    if place.fields is not None:
        return [f"the {kind} has no column {name}" for name in columns if not _is_known(name, place.fields)]
    if not columns:
        return []
    if not table.source.is_list:
        return [f"the columns of the library are not known; it may have no column {name}" for name in columns]
    try:
        next(service.pages(f"{place.root}/items{expand(tuple(columns))}", needs=NEEDS), None)
    except AnswerError as error:
        if error.status != 400:
            raise
        return [f"the list has no column {name}" for name in columns if _is_refused(service, place, name)]
    return []


def _is_refused(service: Service, place: Place, column: str) -> bool:
    try:
        next(service.pages(f"{place.root}/items{expand((column,))}", needs=NEEDS), None)
    except AnswerError as error:
        return error.status == 400
    return False


def _is_known(name: str, fields: Fields) -> bool:
    """Tell whether a column exists; columns that are hidden can be read and are not listed, so ``Created`` and such."""
    return name in fields or name.removesuffix("LookupId") in fields or name in _ALWAYS


_ALWAYS = frozenset({"Created", "Modified", "ContentType", "Author", "Editor", "Title"})


def _fixed(table: Table, fields: Fields | None, change: FieldChange) -> str | None:
    """Return why a column cannot be changed as a mask wants; None where it can."""
    name = change.column
    if name in table.own_columns or name in NAMED or (not table.source.is_list and is_glob(name)):
        return (
            f"{name}: a file goes as a whole, and what is told of every record cannot be changed; give its categories "
            "the same rule, or make two datasets"
        )
    known = (fields or {}).get(name)
    if known is None:
        return f"there is no column {name}" if fields is not None else None
    if known.is_read_only or known.type in _FIXED:
        return f"column {name} cannot be changed: SharePoint computes it"
    if change.mask is Mask.CLEAR and known.is_required:
        return f"column {name} is required and cannot be cleared; choose another mask"
    if change.mask is not Mask.CLEAR and known.type not in _MASKABLE[change.mask]:
        return f"column {name} is of type {known.type} and takes no mask {change.mask}"
    if change.mask in {Mask.REDACT, Mask.YEAR} and known.is_unique:
        return f"column {name} must differ from record to record; choose clear or random"
    return None
