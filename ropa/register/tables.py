"""The register's tables: plain enough that a stranger's SQL can read the record without this program.

Scalar columns bear the names of the fields in ``ropa.register.models``; a list is a table of (owner, position, value).
References between entries are not foreign keys: a broken one is a finding of ``ropa check``, not a refusal to save.

Invariant: words are stored as they are written (``6.1.b``, ``processor``), never as names of Python enums; timestamps
are aware UTC. No ``from __future__ import annotations`` here: SQLModel reads the annotations at run time.
"""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from ropa.database import NAMING, UtcDateTime

METADATA = MetaData(naming_convention=NAMING)
"""The register's own tables, and no others."""


class Row(SQLModel, registry=registry(metadata=METADATA)):
    """A row of the register."""


def _part_of(table: str) -> Any:
    """Declare the key of the entry a row belongs to; it goes when the entry goes."""
    return Field(primary_key=True, foreign_key=f"{table}.key", ondelete="CASCADE")


class OrganisationRow(Row, table=True):
    """Whose register it is: one row, ``key`` is ``organisation``."""

    __tablename__: ClassVar[str] = "organisation"
    key: str = Field(primary_key=True)
    name: str = ""
    legal_name: str | None = None
    registration: str | None = None
    address: str | None = None
    country: str | None = None
    email: str | None = None
    telephone: str | None = None
    website: str | None = None
    authority: str | None = None
    request_promise: str | None = None


class OrganisationRight(Row, table=True):
    """A right that the policy grants."""

    __tablename__: ClassVar[str] = "organisation_right"
    owner: str = _part_of("organisation")
    position: int = Field(primary_key=True)
    value: str


class OrganisationLanguage(Row, table=True):
    """A language the organisation works in."""

    __tablename__: ClassVar[str] = "organisation_language"
    owner: str = _part_of("organisation")
    position: int = Field(primary_key=True)
    value: str


class OrganisationSystem(Row, table=True):
    """A system the organisation runs itself."""

    __tablename__: ClassVar[str] = "organisation_system"
    owner: str = _part_of("organisation")
    position: int = Field(primary_key=True)
    value: str


class PolicyRow(Row, table=True):
    """What the published policy says."""

    __tablename__: ClassVar[str] = "policy"
    key: str = _part_of("organisation")
    url: str | None = None
    dated_on: date | None = None
    version: str | None = None
    no_third_parties: bool | None = None
    functional_cookies_session_only: bool | None = None
    identity_check: str | None = None
    objection_needs_reasons: bool | None = None
    minimum_age: int | None = None
    stated_period: str | None = None
    stated_start: str | None = None


class PolicyReference(Row, table=True):
    """A law, authority or mechanism that the policy names."""

    __tablename__: ClassVar[str] = "policy_reference"
    owner: str = _part_of("policy")
    position: int = Field(primary_key=True)
    value: str


class ContactRow(Row, table=True):
    """The DPO, the representative and the joint controllers of the organisation."""

    __tablename__: ClassVar[str] = "contact"
    owner: str = _part_of("organisation")
    role: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    name: str
    address: str | None = None
    email: str | None = None
    telephone: str | None = None
    country: str | None = None
    registration: str | None = None
    note: str | None = None


class RecipientRow(Row, table=True):
    """Someone to whom data are disclosed."""

    __tablename__: ClassVar[str] = "recipient"
    key: str = Field(primary_key=True)
    position: int
    name: str
    role: str
    country: str | None = None
    contact: str | None = None
    contract: str | None = None
    note: str | None = None


class RecipientSystem(Row, table=True):
    """A system or service a recipient runs."""

    __tablename__: ClassVar[str] = "recipient_system"
    owner: str = _part_of("recipient")
    position: int = Field(primary_key=True)
    value: str


class TransferRow(Row, table=True):
    """A recipient's transfer to a third country."""

    __tablename__: ClassVar[str] = "transfer"
    key: str = _part_of("recipient")
    country: str | None = None
    safeguard: str | None = None
    evidence: str | None = None
    note: str | None = None


class CookieRow(Row, table=True):
    """A cookie."""

    __tablename__: ClassVar[str] = "cookie"
    key: str = Field(primary_key=True)
    position: int
    setter: str | None = None
    lifetime: str | None = None
    purpose: str | None = None
    consent: bool | None = None
    activity: str | None = None
    note: str | None = None


class CategoryRow(Row, table=True):
    """A data category of the organisation's own."""

    __tablename__: ClassVar[str] = "category"
    key: str = Field(primary_key=True)
    position: int
    title: str
    special: bool = False
    criminal: bool = False
    note: str | None = None


class ActivityRow(Row, table=True):
    """A processing activity."""

    __tablename__: ClassVar[str] = "activity"
    key: str = Field(primary_key=True)
    position: int
    title: str
    description: str | None = None
    role: str
    legal_basis: str
    legal_reference: str | None = None
    condition: str | None = None
    interest: str | None = None
    source: str | None = None
    stated_period: str | None = None
    stated_start: str | None = None
    criterion: str | None = None
    stated_text: str | None = None
    automated_decisions: bool | None = None
    dpia: str | None = None
    status: str
    ended_on: date | None = None
    replaced_by: str | None = None
    owner: str | None = None
    review_on: date | None = None
    policy_reference: str | None = None
    note: str | None = None


class ActivityProcessing(Row, table=True):
    """A category of processing that a processor carries out."""

    __tablename__: ClassVar[str] = "activity_processing"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivityPurpose(Row, table=True):
    """A purpose."""

    __tablename__: ClassVar[str] = "activity_purpose"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivitySubject(Row, table=True):
    """A category of data subjects."""

    __tablename__: ClassVar[str] = "activity_subject"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivityRecipient(Row, table=True):
    """A recipient's key."""

    __tablename__: ClassVar[str] = "activity_recipient"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivitySystem(Row, table=True):
    """A system that is used."""

    __tablename__: ClassVar[str] = "activity_system"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivityMeasure(Row, table=True):
    """A security measure."""

    __tablename__: ClassVar[str] = "activity_measure"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    value: str


class ActivityController(Row, table=True):
    """A controller on whose behalf a processor acts."""

    __tablename__: ClassVar[str] = "activity_controller"
    owner: str = _part_of("activity")
    position: int = Field(primary_key=True)
    name: str
    address: str | None = None
    email: str | None = None
    telephone: str | None = None
    country: str | None = None
    registration: str | None = None
    note: str | None = None


class ActivityData(Row, table=True):
    """A data category within an activity; NULL: as the activity has it."""

    __tablename__: ClassVar[str] = "activity_data"
    key: str = Field(primary_key=True)
    """``activity/category``."""
    owner: str = Field(foreign_key="activity.key", ondelete="CASCADE", index=True)
    category: str = Field(index=True)
    position: int
    legal_basis: str | None = None
    legal_reference: str | None = None
    condition: str | None = None
    interest: str | None = None
    source: str | None = None
    stated_period: str | None = None
    stated_start: str | None = None
    criterion: str | None = None
    stated_text: str | None = None
    policy_reference: str | None = None
    note: str | None = None


class ActivityDataPurpose(Row, table=True):
    """A purpose of one data category within an activity."""

    __tablename__: ClassVar[str] = "activity_data_purpose"
    owner: str = _part_of("activity_data")
    position: int = Field(primary_key=True)
    value: str


class RevisionRow(Row, table=True):
    """One revision: who changed the register, when and why, with the whole register as it then was."""

    __tablename__: ClassVar[str] = "register_revision"
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime)
    by: str
    reason: str
    digest: str
    snapshot: str = Field(sa_type=Text)
    """The register as ``to_json`` writes it."""
