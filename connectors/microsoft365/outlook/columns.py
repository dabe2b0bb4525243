"""The columns of messages and contacts: their names and types, what to ask Graph for, and how each is read and changed.

Names are Graph's own. Invariant: a column that holds several values (recipients, telephone numbers) is one text of all
of them for whoever looks, each of them for whom a hold or a request is about, and nothing that a condition can ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.masks import is_masked, mask_value
from connectors.microsoft365.outlook.sources import CONTACTS, MESSAGES
from ropa.connector import Anchor, AnchorPart, FieldChange, Mask, Scalar

TEXT, INSTANT, TRUTH, LIST, PERSON, PEOPLE, ADDRESS, BODY = (
    "text",
    "instant",
    "boolean",
    "texts",
    "person",
    "persons",
    "address",
    "body",
)

_MESSAGES: Mapping[str, str] = {
    "subject": TEXT,
    "from": PERSON,
    "sender": PERSON,
    "toRecipients": PEOPLE,
    "ccRecipients": PEOPLE,
    "bccRecipients": PEOPLE,
    "replyTo": PEOPLE,
    "bodyPreview": TEXT,
    "body": BODY,
    "categories": LIST,
    "importance": TEXT,
    "conversationId": TEXT,
    "internetMessageId": TEXT,
    "hasAttachments": TRUTH,
    "isDraft": TRUTH,
    "isRead": TRUTH,
    "receivedDateTime": INSTANT,
    "sentDateTime": INSTANT,
    "createdDateTime": INSTANT,
    "lastModifiedDateTime": INSTANT,
}
_CONTACT_TEXTS = (
    "displayName", "givenName", "surname", "middleName", "nickName", "title", "initials", "generation",
    "companyName", "department", "jobTitle", "profession", "officeLocation", "manager", "assistantName",
    "spouseName", "mobilePhone", "businessHomePage", "personalNotes", "fileAs", "yomiGivenName", "yomiSurname",
    "yomiCompanyName",
)  # fmt: skip
_CONTACTS: Mapping[str, str] = {
    **dict.fromkeys(_CONTACT_TEXTS, TEXT),
    "emailAddresses": PEOPLE,
    **dict.fromkeys(("businessPhones", "homePhones", "imAddresses", "children", "categories"), LIST),
    **dict.fromkeys(("homeAddress", "businessAddress", "otherAddress"), ADDRESS),
    "birthday": INSTANT,
    "createdDateTime": INSTANT,
    "lastModifiedDateTime": INSTANT,
}
COLUMNS: Mapping[str, Mapping[str, str]] = {MESSAGES: _MESSAGES, CONTACTS: _CONTACTS}
"""Kind to column to type."""
LOOKED_AT = {kind: tuple(name for name, sort in columns.items() if sort != BODY) for kind, columns in COLUMNS.items()}
"""What discovery looks into: ``bodyPreview`` says enough of a body."""

RECEIVED, CREATED, MODIFIED = "receivedDateTime", "createdDateTime", "lastModifiedDateTime"
DEFAULT_ANCHORS = {
    name: Anchor(name, (AnchorPart(column),))
    for name, column in {"received": RECEIVED, "created": CREATED, "modified": MODIFIED}.items()
}
ALWAYS = {MESSAGES: ("id", RECEIVED, "changeKey", "parentFolderId"), CONTACTS: ("id", "changeKey", "parentFolderId")}
"""What every listing asks for: enough for key and version."""
MASKS = frozenset({Mask.CLEAR, Mask.REDACT})
_FIXED = frozenset({CREATED, MODIFIED, "categories"})
_SEVERAL = frozenset({LIST, PEOPLE})


def is_single(kind: str, column: str) -> bool:
    """Tell whether a column holds one value, which a condition can ask."""
    return COLUMNS[kind][column] not in {*_SEVERAL, ADDRESS, BODY}


def values_of(kind: str, row: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Scalar]:
    """Return the content of columns: one text where there are several values, None where there is nothing."""
    return {column: _value(COLUMNS[kind].get(column, TEXT), row.get(column)) for column in columns}


def identifiers(kind: str, row: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """Return every text in columns that may say whom a record is about."""
    found: list[str] = []
    for column in columns:
        content, sort = row.get(column), COLUMNS[kind].get(column, TEXT)
        if sort in {PERSON, PEOPLE}:
            found += _people(content)
        elif isinstance(content, list):
            found += [one for one in content if isinstance(one, str)]
        elif isinstance(content, str):
            found.append(content)
    return found


def reason_against(kind: str, change: FieldChange) -> str | None:
    """Return why a column cannot be changed so; None where it can."""
    if kind == MESSAGES:
        return "a message goes as a whole: give its data categories the same rule"
    if change.column not in COLUMNS[kind] or change.column in _FIXED:
        return f"{kind} have no column {change.column} that can be cleared"
    return None if change.mask in MASKS else f"{change.column}: of {kind} a column is cleared or redacted"


def masked(kind: str, row: Mapping[str, Any], changes: Iterable[FieldChange]) -> dict[str, Any]:
    """Return what to send so that the columns hold no more than their masks leave; {} where nothing is to change."""
    body: dict[str, Any] = {}
    for change in changes:
        sort = COLUMNS[kind][change.column]
        value = _value(sort, row.get(change.column))
        if is_masked(change.mask, value):
            continue
        if sort in _SEVERAL:
            body[change.column] = []
        elif sort == TEXT:
            body[change.column] = mask_value(change.mask, value)
        else:
            body[change.column] = {} if sort == ADDRESS else None
    return body


def _value(sort: str, content: object) -> Scalar:
    if sort in {PERSON, PEOPLE}:
        return "; ".join(_people(content)) or None
    if sort == LIST and isinstance(content, list):
        return "; ".join(one for one in content if isinstance(one, str)) or None
    if sort == ADDRESS and isinstance(content, Mapping):
        return ", ".join(str(part) for part in content.values() if part) or None
    if sort == BODY and isinstance(content, Mapping):
        content = content.get("content")
    if content == "":
        return None  # Outlook says an empty text of what was never filled in
    return content if isinstance(content, str | int | float | bool) else None


def _people(content: object) -> list[str]:
    """Return the addresses of one recipient or several; a contact's addresses stand a level higher."""
    found = []
    for one in content if isinstance(content, list) else [content]:
        inner = one.get("emailAddress", one) if isinstance(one, Mapping) else None
        address = inner.get("address") if isinstance(inner, Mapping) else None
        found += [address] if isinstance(address, str) and address else []
    return found
