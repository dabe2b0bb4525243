"""The run state: plans, approvals, batches, holds, findings, runs.

Invariant: this is *not* evidence (the ledger is), it is mutable and has its own period: planned keys leave when a plan
is spent, batch keys when the evidence period ends. What has to hold between this database and the ledger stands in
``ropa.sweep.journal``. No value of a record but its key is ever here.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, LargeBinary, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from ropa.database import NAMING, UtcDateTime

METADATA = MetaData(naming_convention=NAMING)
"""The run state's own tables; the register's stand in ``ropa.register.tables``."""


class Row(SQLModel, registry=registry(metadata=METADATA)):
    """A row of one of these tables."""


class RunRow(Row, table=True):
    """One run: a plan, an apply or a sweep; every ledger line carries the id of one, or of an ``issued_id``."""

    __tablename__ = "run"
    id: str = Field(primary_key=True)
    mode: str
    plan_id: int | None = None
    started_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state: str = "open"
    """open, complete, partial, aborted."""
    code: str | None = None
    policy: str
    register_revision: int
    swept_on: date | None = None
    totals: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON))
    actor_id: str | None = Field(default=None, foreign_key="actor.id")
    """Who started it."""
    reason: str | None = None


class IssuedId(Row, table=True):
    """Ids given to ledger lines, written before the line: a line with an unknown id means an older database."""

    __tablename__ = "issued_id"
    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)


class PlanRow(Row, table=True):
    """A frozen list of records, with what it was made from."""

    __tablename__ = "plan"
    id: int | None = Field(default=None, primary_key=True)
    digest: str = ""
    """64 hex digits; empty while the plan is being written."""
    as_of: date
    created_at: datetime = Field(sa_type=UtcDateTime)
    author: str
    """Actor id."""
    policy: str
    register_revision: int
    tool: str
    state: str = "writing"
    """writing, pending, approved, rejected, applied, partly-applied, lapsed, stale."""
    is_complete: bool = True
    is_forecast: bool = False
    is_nightly: bool = False
    reapplies: str | None = None
    """Of a plan of what came back after a restore, the location; it tells nothing of what else is due there."""
    approvals_needed: int = 1
    findings: int = 0
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When its first intent was about to be written: from then on it can only be finished."""


class TargetRow(Row, table=True):
    """One target of a plan, with its totals; stays when the records have left."""

    __tablename__ = "plan_target"
    __table_args__ = (Index("ix_plan_target_plan_id_location", "plan_id", "location"),)
    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(foreign_key="plan.id")
    position: int
    """Order of acting: children before parents, rows before fields."""
    identity: str
    """``Target.identity``: finds the same target in the compiled policy and in other plans."""
    location: str
    dataset: str
    scope: str
    data: list[str] = Field(sa_column=Column(JSON))
    action: str
    rules: list[str] = Field(sa_column=Column(JSON))
    revisions: list[str] = Field(sa_column=Column(JSON))
    """``mandates.revision_of`` each of ``rules``."""
    cutoffs: dict[str, str] = Field(sa_column=Column(JSON))
    population: int | None = None
    due: int = 0
    held: int = 0
    blocked: int = 0
    unanchored: int = 0
    records: int = 0
    already_flagged: int = 0
    approval: str = "needed"
    """needed, mandate, none."""
    mandate_id: int | None = None
    stopped_by: str | None = None
    previous_records: int | None = None
    oldest_due_on: date | None = None
    ages: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON))
    """Days late to number of records: ``<=30``, ``<=365``, ``>365``."""
    blockers: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON))
    """Reason to number of records."""
    rides_with: int | None = None
    """Target of the parent records that these go with."""
    turns: list[int] = Field(default_factory=list, sa_column=Column(JSON))
    """Number of the first record of each turn but the first; empty where all go in one (``ropa.sweep.turns``)."""
    refused_by: str | None = None
    """Why it was left out when the plan was applied."""
    outcomes: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON))
    level: str | None = None
    """``physical`` or ``logical``: what is true of all that was erased, once the last batch was followed up."""


class PlannedBlock(Row, table=True):
    """Records of a plan, as many as a batch of the listing gave; leaves the database when the plan is spent.

    Planned is what lies in a block and has no ``PlannedStay``. How the columns are packed stands in ``blocks``.
    """

    __tablename__ = "planned_block"
    target_id: int = Field(primary_key=True, foreign_key="plan_target.id")
    first_seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """The number of its first record in the target; the others count on from there."""
    count: int
    keys: str
    """JSON: for each key column, its text in every record."""
    versions: str
    """JSON: an array of text, or one text where all are the same."""
    due_on: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """Last days, four bytes each."""


class PlannedStay(Row, table=True):
    """A record of a block that stays where it is."""

    __tablename__ = "planned_stay"
    target_id: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    disposition: str
    """held, blocked."""
    reason: str


class PlannedKey(Row, table=True):
    """The key of a planned record that something else of the plan looks up; most records have none."""

    __tablename__ = "planned_key"
    __table_args__ = (Index("ix_planned_key_key", "target_id", "key"),)
    target_id: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str
    """JSON array of text."""
    rank: int = 0
    """Within a dataset that refers to itself: records that are referred to come after those that refer to them."""
    turn: int = 0
    """Where targets refer to each other both ways: how often they are gone through before this record can go."""
    place: int = 0
    """Its number in the order of turns and ranks, while the records are numbered anew."""


class PlannedVersion(Row, table=True):
    """How a record reads after our own change, for another field target of the same plan; ``PlannedBlock.versions``
    is what was approved."""

    __tablename__ = "planned_version"
    plan_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    location: str = Field(primary_key=True)
    dataset: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    """JSON array of text."""
    version: str


class PlannedReference(Row, table=True):
    """A planned record refers to another record; needed while blocking is decided and while companions ride."""

    __tablename__ = "planned_reference"
    __table_args__ = (Index("ix_planned_reference_parent", "plan_id", "location", "parent_dataset", "parent_key"),)
    target_id: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    parent_dataset: str = Field(primary_key=True)
    parent_key: str = Field(primary_key=True)
    plan_id: int
    location: str
    is_parent: bool = True
    """``Reference.is_parent``: of a child that goes along, with which record it does."""


class PlannedReferring(Row, table=True):
    """How many rows refer to a planned record, from where."""

    __tablename__ = "planned_referring"
    target_id: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    source: str = Field(primary_key=True)
    is_declared: bool
    count: int


class BatchRow(Row, table=True):
    """One intent's batch: its random key, written before the intent, destroyed when the evidence period ends."""

    __tablename__ = "batch"
    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(index=True)
    target_id: int = Field(index=True)
    unit: int
    """Batches of one unit are acted on in one transaction (a batch and its companions)."""
    number: int
    """``batch`` in the ledger: counts from 1 in its plan."""
    first_seq: int = 0
    last_seq: int
    members: str | None = None
    """Of children that go with their parents: their numbers, as ranges; None: all planned ones of the range."""
    root: str = Field(index=True, unique=True)
    key: bytes | None = Field(sa_column=Column(LargeBinary))
    location: str
    dataset: str
    leaves: int
    run_id: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    outcomes: dict[str, int] = Field(default_factory=dict, sa_column=Column(JSON))
    files_seen: str | None = None
    """How its files looked when they were last read and found right (``ropa.sweep.told``)."""


class TombstoneKey(Row, table=True):
    """A key of tombstones, one a location and month; the key itself is a file (``ropa.sweep.tombstones``)."""

    __tablename__ = "tombstone_key"
    location: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    """The month, ``2026-11``; ``2026-11.2`` where the first of the month was lost."""
    since: date
    last_on: date
    """The last day of the month: nothing was put under it later."""
    digest: str
    """SHA-256 of the key, 64 hex digits: another one in its place would recognise nobody."""
    destroyed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TombstoneRow(Row, table=True):
    """What one batch erased, to be recognised and not to be read: sorted keyed digests of its keys."""

    __tablename__ = "tombstone"
    __table_args__ = (Index("ix_tombstone_dataset", "location", "dataset", "key_name"),)
    id: int | None = Field(default=None, primary_key=True)
    location: str
    dataset: str
    identity: str
    """Of the target (``TargetRow.identity``) that erased them."""
    key_name: str
    due_as_of: date
    """Of the plan: what was erased had its last day before this one."""
    count: int
    marks: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    """16 bytes each."""


class ActorRow(Row, table=True):
    """A person who decided: the ledger carries the random id, the name stands here only."""

    __tablename__ = "actor"
    id: str = Field(primary_key=True)
    name: str
    normalised: str = Field(unique=True)


class ApprovalRow(Row, table=True):
    """A named person's yes to one plan digest."""

    __tablename__ = "approval"
    id: int | None = Field(default=None, primary_key=True)
    plan_id: int = Field(foreign_key="plan.id", index=True)
    actor_id: str = Field(foreign_key="actor.id")
    digest: str
    reason: str
    at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class MandateRow(Row, table=True):
    """A standing approval of one rule revision in one location, bounded in size, growth and time."""

    __tablename__ = "mandate"
    id: int | None = Field(default=None, primary_key=True)
    digest: str
    rule: str
    revision: str
    location: str
    max_records: int
    growth_pct: int
    actor_id: str = Field(foreign_key="actor.id")
    reason: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoke_reason: str | None = None


class RuleRecord(Row, table=True):
    """A rule revision whose first disposal a person approved and saw carried out; only then may a mandate cover it."""

    __tablename__ = "proven_rule"
    rule: str = Field(primary_key=True)
    revision: str = Field(primary_key=True)
    plan_id: int


class HoldRow(Row, table=True):
    """A legal hold."""

    __tablename__ = "legal_hold"
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    target: str
    """Full dataset, location, activity, or two keyed digests of a person's identifier."""
    key: str | None = None
    """JSON array of text, for a record."""
    reason: str
    actor_id: str = Field(foreign_key="actor.id")
    since: datetime = Field(sa_type=UtcDateTime)
    review_on: date | None = None
    leaf: str
    leaf_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    is_recorded: bool = False
    """Whether the ledger has its ``hold`` line; if not, the next writer appends it."""
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_by: str | None = None
    release_reason: str | None = None
    is_release_recorded: bool = False


class FindingRow(Row, table=True):
    """Something a person must look at, until it is resolved or gone."""

    __tablename__ = "finding"
    id: int | None = Field(default=None, primary_key=True)
    code: str
    severity: str
    entry: str
    message: str
    fix: str
    source: str
    """Who raises and clears it: plan, apply, check, sweep."""
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    nights: int = 1
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    resolved_by: str | None = None
    resolution: str | None = None


class NoticeRow(Row, table=True):
    """What was told by one channel: a matter once, and once that it is over."""

    __tablename__ = "notice"
    channel: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    """``Matter.key``."""
    first_told_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was told to be over."""


class FlaggedRecord(Row, table=True):
    """A record that has been flagged, so that it is not flagged again every night; leaves when it is no longer due."""

    __tablename__ = "flagged_record"
    identity: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    """When it was last found due."""


class LeaseRow(Row, table=True):
    """One run at a time per database: who runs, until when unless renewed, and a number that only grows."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    owner: str
    host: str
    fencing: int
    until: datetime = Field(sa_type=UtcDateTime)


class WorkItemRow(Row, table=True):
    """What a process that helps is asked to do (``ropa.sweep.items``): a place to plan, a unit to act on."""

    __tablename__ = "work_item"
    id: str = Field(primary_key=True)
    """32 random hex digits: no worker of another project has it."""
    kind: str
    """list, act."""
    plan_id: int
    location: str
    unit: int | None = None
    watches: bool = False
    policy: str
    """Digest of the configuration of the run that offers it."""
    run_fencing: int = Field(index=True)
    """``LeaseRow.fencing`` of that run; 0 where it was taken back."""
    offered_at: datetime = Field(sa_type=UtcDateTime)
    owner: str = ""
    fencing: int = 0
    """Grows with each worker that takes it."""
    attempts: int = 0
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StateRow(Row, table=True):
    """Small facts: ledger size and hash last seen, halt, accepted clock gap, exported checkpoint."""

    __tablename__ = "state"
    key: str = Field(primary_key=True)
    value: str
