"""Between the register as a value and its rows.

Invariant: ``from_rows`` of what ``to_rows`` gave is the same register, also in the order of its entries; a test holds
every field of the models against a column.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ropa.register import tables as t
from ropa.register.models import (
    Activity,
    Contact,
    Cookie,
    DataUse,
    Organisation,
    OwnCategory,
    Policy,
    Recipient,
    Register,
    Transfer,
)
from ropa.register.specs import SCALARS, specs

if TYPE_CHECKING:
    from sqlmodel import Session

ORGANISATION = "organisation"

LISTS: Mapping[tuple[type[Any], str], type[Any]] = {
    (Organisation, "rights"): t.OrganisationRight,
    (Organisation, "languages"): t.OrganisationLanguage,
    (Organisation, "own_systems"): t.OrganisationSystem,
    (Policy, "references"): t.PolicyReference,
    (Recipient, "systems"): t.RecipientSystem,
    (Activity, "processing"): t.ActivityProcessing,
    (Activity, "purposes"): t.ActivityPurpose,
    (Activity, "subjects"): t.ActivitySubject,
    (Activity, "recipients"): t.ActivityRecipient,
    (Activity, "systems"): t.ActivitySystem,
    (Activity, "measures"): t.ActivityMeasure,
    (DataUse, "purposes"): t.ActivityDataPurpose,
}
"""Each list with the table that holds its items."""

IN_ORDER: tuple[type[t.Row], ...] = (
    t.OrganisationRow,
    t.PolicyRow,
    t.RecipientRow,
    t.CookieRow,
    t.CategoryRow,
    t.ActivityRow,
    t.ActivityData,
    t.ContactRow,
    t.TransferRow,
    t.ActivityController,
    *LISTS.values(),
)
"""Owners before what they own: written in this order, deleted in the opposite one."""


def scalars(kind: type[Any]) -> tuple[str, ...]:
    """Return the fields of a value type that are one column each."""
    return tuple(name for name, spec in specs(kind).values() if spec.kind in SCALARS)


# --- to rows ------------------------------------------------------------------------------------------------------


def to_rows(register: Register) -> list[t.Row]:
    """Return the rows of a register, owners before what they own."""
    organisation = register.organisation
    rows: list[t.Row] = [t.OrganisationRow(key=ORGANISATION, **_columns(organisation))]
    rows.append(t.PolicyRow(key=ORGANISATION, **_columns(organisation.policy)))
    contacts = [("dpo", organisation.dpo), ("representative", organisation.representative)]
    contacts += [("joint-controller", contact) for contact in organisation.joint_controllers]
    later = _items(organisation, ORGANISATION) + _items(organisation.policy, ORGANISATION)
    for position, (role, contact) in enumerate(contacts):
        if contact is not None:
            later.append(t.ContactRow(owner=ORGANISATION, role=role, position=position, **_columns(contact)))
    for position, (key, recipient) in enumerate(register.recipients.items()):
        rows.append(t.RecipientRow(key=key, position=position, **_columns(recipient)))
        later += _items(recipient, key)
        if recipient.transfer is not None:
            later.append(t.TransferRow(key=key, **_columns(recipient.transfer)))
    for position, (key, cookie) in enumerate(register.cookies.items()):
        rows.append(t.CookieRow(key=key, position=position, **_columns(cookie)))
    for position, (key, category) in enumerate(register.categories.items()):
        rows.append(t.CategoryRow(key=key, position=position, **_columns(category)))
    for position, (key, activity) in enumerate(register.activities.items()):
        rows.append(t.ActivityRow(key=key, position=position, **_columns(activity)))
        later += _activity_parts(key, activity)
    return sorted(rows + later, key=lambda row: IN_ORDER.index(type(row)))


def _activity_parts(key: str, activity: Activity) -> list[t.Row]:
    rows = _items(activity, key)
    for position, controller in enumerate(activity.controllers):
        rows.append(t.ActivityController(owner=key, position=position, **_columns(controller)))
    for position, (category, use) in enumerate(activity.data.items()):
        own = f"{key}/{category}"
        rows.append(t.ActivityData(key=own, owner=key, category=category, position=position, **_columns(use)))
        rows += _items(use, own)
    return rows


def _columns(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in scalars(type(value))}


def _items(value: Any, owner: str) -> list[t.Row]:
    found: list[t.Row] = []
    for (kind, name), table in LISTS.items():
        if kind is type(value):
            items = enumerate(getattr(value, name))
            found += [table(owner=owner, position=position, value=item) for position, item in items]
    return found


# --- from rows ----------------------------------------------------------------------------------------------------


def from_rows(session: Session) -> Register:
    """Read the register from its tables; the empty register where there are no rows."""
    from sqlmodel import select

    rows: dict[type[t.Row], list[Any]] = {table: list(session.exec(select(table)).all()) for table in IN_ORDER}
    if not rows[t.OrganisationRow]:
        return Register()
    items = {
        key: _grouped(sorted(rows[table], key=lambda row: (row.owner, row.position))) for key, table in LISTS.items()
    }

    def build(kind: type[Any], row: Any, owner: str, **more: Any) -> Any:
        lists = {name: tuple(r.value for r in items[k, name].get(owner, ())) for k, name in LISTS if k is kind}
        return kind(**{name: getattr(row, name) for name in scalars(kind)}, **lists, **more)

    transfers = {row.key: build(Transfer, row, row.key) for row in rows[t.TransferRow]}
    data = _grouped(sorted(rows[t.ActivityData], key=lambda row: row.position))
    controllers = _grouped(sorted(rows[t.ActivityController], key=lambda row: row.position))
    activities = {
        row.key: build(
            Activity,
            row,
            row.key,
            data={one.category: build(DataUse, one, one.key) for one in data.get(row.key, ())},
            controllers=tuple(build(Contact, one, row.key) for one in controllers.get(row.key, ())),
        )
        for row in _placed(rows[t.ActivityRow])
    }
    return Register(
        organisation=_organisation(rows, build),
        recipients={
            row.key: build(Recipient, row, row.key, transfer=transfers.get(row.key))
            for row in _placed(rows[t.RecipientRow])
        },
        cookies={row.key: build(Cookie, row, row.key) for row in _placed(rows[t.CookieRow])},
        categories={row.key: build(OwnCategory, row, row.key) for row in _placed(rows[t.CategoryRow])},
        activities=activities,
    )


def _organisation(rows: Mapping[type[t.Row], list[Any]], build: Any) -> Organisation:
    contacts = defaultdict(list)
    for row in _placed(rows[t.ContactRow]):
        contacts[row.role].append(build(Contact, row, ORGANISATION))
    policies = rows[t.PolicyRow]
    found: Organisation = build(
        Organisation,
        rows[t.OrganisationRow][0],
        ORGANISATION,
        dpo=next(iter(contacts["dpo"]), None),
        representative=next(iter(contacts["representative"]), None),
        joint_controllers=tuple(contacts["joint-controller"]),
        policy=build(Policy, policies[0], ORGANISATION) if policies else Policy(),
    )
    return found


def _placed(rows: Iterable[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: row.position)


def _grouped(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.owner].append(row)
    return found
