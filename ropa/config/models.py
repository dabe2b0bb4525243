"""The configuration as frozen values: what ``config/retention.toml`` says once it has been read and found sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from ropa.clock import Period
from ropa.connector import Action, Condition, DatasetSpec, Mask


@dataclass(frozen=True, slots=True)
class Safety:
    """``[safety]``: what stops a run before its first record (design section 5)."""

    max_records: int = 10_000
    """Per target and run."""
    max_share: float = 0.25
    """Of the dataset's population."""
    max_records_7_days: int = 50_000
    approvals: int = 1
    """Persons needed per plan."""
    approval_valid: Period = field(default_factory=lambda: Period(days=7))
    require_synchronised_clock: bool = False
    """Refuse to purge while the kernel says its clock is not disciplined; the state is recorded either way."""


@dataclass(frozen=True, slots=True)
class Mail:
    """``[notify.mail]``."""

    server: str
    port: int
    sender: str
    to: tuple[str, ...]
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = None
    """A reference."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """``[notify.webhook]``."""

    url: str = field(repr=False)
    """An address or a reference to one."""
    secret: str
    """A reference."""


@dataclass(frozen=True, slots=True)
class Notify:
    """``[notify]``: how people are told what they must hear."""

    mail: Mail | None = None
    webhook: Webhook | None = None
    healthcheck: str | None = field(default=None, repr=False)
    """An address or a reference to one."""


@dataclass(frozen=True, slots=True)
class Location:
    """``[location.X]``: a system that stores data, reached by one connector."""

    name: str
    connector: str
    title: str = ""
    country: str | None = None
    recipient: str | None = None
    """Key of a recipient in the register; None: our own system, or not said."""
    batch_size: int | None = None
    backups_kept: Period | None = field(default_factory=lambda: Period(days=90))
    """How long a backup of it may live, and so how long erased records are recognised; None: not at all."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The connector's own keys; secrets still as references, paths as written."""
    apply: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Of ``options``, what is otherwise where something is to be acted on: the credentials that may delete."""
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """``[rule.X]``: dataset + data categories + anchor + period + action + legal ground."""

    name: str
    activity: str
    dataset: str
    """``location.dataset``."""
    data: tuple[str, ...]
    """Data categories, ``*`` already replaced by every category mapped in the dataset, in the dataset's order."""
    anchor: str
    period: Period
    action: Action
    is_all_data: bool = False
    """Whether it was written ``"*"``."""
    start: Literal["anchor", "next-year"] = "anchor"
    where: tuple[Condition, ...] = ()
    mask: Mapping[str, Mask] = field(default_factory=dict)
    """Data category to mask; a category that is not named is cleared."""
    legal_ground: str | None = None
    reason: str | None = None
    approval: Literal["plan", "mandate"] = "plan"
    max_records: int | None = None
    max_share: float | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The whole policy."""

    timezone: ZoneInfo
    digest: str
    """``sha256:`` and 64 hex digits, of the bytes of its files: the policy revision that plans and receipts name."""
    folder: Path
    """The project folder; relative paths are relative to it."""
    safety: Safety = field(default_factory=Safety)
    database: str | None = None
    """``[state] database``."""
    checkpoint_export: Path | None = None
    """``[ledger] checkpoint_export``: a folder outside the state folder that receives each run's checkpoint."""
    origin: str | None = None
    """``[ledger] origin``: the ledger's name in its checkpoints; default ``ropa/<organisation or host>``."""
    notify: Notify = field(default_factory=Notify)
    locations: Mapping[str, Location] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Places and rules that stand in a further file (``("rule", "prospects")``), to that file."""

    def dataset(self, name: str) -> DatasetSpec:
        """Return the dataset ``location.dataset``. Raises KeyError when there is none."""
        location, _, rest = name.partition(".")
        return self.locations[location].datasets[rest]
