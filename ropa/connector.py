"""The contract every connector keeps, and its value types.

A connector reaches one location. It is told *which* records are meant, by a ``Selection``, and what to do with them; it
never learns why: no rule, plan, register or ledger is known here. Invariants: ``find`` is lazy and reads only; ``act``
is safe to repeat, re-checks the whole selection in the deletion itself, and leaves a record alone that changed, that
is on hold, or that others still refer to; no content of a record ever leaves but through ``read``.

``connectors.suite`` holds the tests that every connector passes; a third party can run them on theirs.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Any, Protocol, overload, runtime_checkable
from zoneinfo import ZoneInfo

Key = tuple[str, ...]
"""What names a record in its dataset: one text per key column, in the order of the dataset's ``key``. Integers in
decimal, GUIDs lower-case with hyphens, bytes in lower-case hex, dates and instants ISO 8601 (instants UTC with ``Z``),
text exactly as the source gives it, file paths relative to the root with ``/``."""

Scalar = str | int | float | bool | date | datetime | None

MAX_BATCH = 100_000
"""The most records that one intent may cover."""


class Action(StrEnum):
    """What happens to a record that is due."""

    FLAG = "flag"
    ANONYMISE = "anonymise"
    PURGE = "purge"
    KEEP = "keep"


class Mask(StrEnum):
    """How a field is changed when it is anonymised."""

    CLEAR = "clear"
    YEAR = "year"
    TRUNCATE_IP = "truncate-ip"
    REDACT = "redact"
    RANDOM = "random"


class OutcomeWord(StrEnum):
    """What became of one planned record (design 5). They add up to the plan, always."""

    PURGED = "purged"
    ANONYMISED = "anonymised"
    FLAGGED = "flagged"
    RECOVERABLE = "recoverable"
    ABSENT = "absent"
    CHANGED = "changed"
    HELD = "held"
    BLOCKED = "blocked"
    REFUSED = "refused"
    FAILED = "failed"
    UNVERIFIED = "unverified"


# --- what is configured -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnchorPart:
    """One place where the date of an anchor stands."""

    column: str
    """The column; for files ``mtime`` or ``name``."""
    dataset: str | None = None
    """None for the record's own; else a dataset of the same location: a child of this one, or its parent."""
    form: str | None = None
    """How the date is written: None for ISO 8601 and native types, ``epoch``, ``epoch-ms``, or a strptime pattern."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The date a period runs from: the latest of its parts. A part without a date is passed over; a part with a date
    that cannot be read leaves the record without an anchor, and so does having no part left."""

    name: str
    parts: tuple[AnchorPart, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """The record that this dataset's records belong to, in the same location."""

    dataset: str
    via: tuple[str, ...]
    """Columns of the child that hold the parent's key."""
    with_parent: bool = False
    """Whether the child goes when its parent goes, whatever its own age."""


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One dataset as configured."""

    name: str
    """The part after the dot: ``contacts`` of ``crm.contacts``."""
    source: str
    """Table, folder, entity, list, mailbox folder: the connector's own word."""
    zone: ZoneInfo
    """Where dates that carry no zone are read."""
    key: tuple[str, ...] = ()
    """Key columns; empty: the primary key from the catalogue."""
    title: str = ""
    subject: tuple[str, ...] = ()
    """Columns that identify the person; any of them."""
    anchors: Mapping[str, Anchor] = field(default_factory=dict)
    data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Data category to the columns that hold it."""
    parent: Parent | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Everything else, belonging to the connector."""

    def is_child_of(self, dataset: str) -> bool:
        """Whether ``parent`` names this dataset."""
        return self.parent is not None and self.parent.dataset == dataset

    def belongs_by(self, columns: Iterable[str], dataset: str) -> bool:
        """Whether what refers to a dataset by these columns belongs to it (``Reference.is_parent``): as ``parent`` has
        it; without one every reference is as good as another."""
        parent = self.parent
        return parent is None or (parent.dataset == dataset and frozenset(parent.via) == frozenset(columns))


@dataclass(frozen=True, slots=True)
class LocationSpec:
    """One location as configured, its secrets already resolved; never printed."""

    name: str
    connector: str
    zone: ZoneInfo
    """The controller's zone: calendar days are days there."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    batch_size: int | None = None
    """Records per batch; None: the connector's own default."""


# --- what is asked for --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Before:
    """The anchor lies before a calendar day of the controller's zone."""

    anchor: str
    """Name of an anchor of the dataset."""
    day: date
    """First calendar day that does not satisfy the condition; a date without a time is compared with this."""
    instant: datetime
    """The first instant of that day in the controller's zone, UTC; an instant is compared with this."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A column has one of some values (``None`` stands for NULL), or, negated, none of them.

    Never unknown: a NULL column fails ``values=("a",)`` and satisfies it negated.
    """

    column: str
    values: tuple[Scalar, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One column to change, and how."""

    column: str
    mask: Mask = Mask.CLEAR


class SubjectSet(Protocol):
    """Persons by their identifiers: a frozenset of what ``normalise_identifier`` gives, or keyed digests of it."""

    def __contains__(self, identifier: object, /) -> bool: ...
    def __len__(self) -> int: ...


class KeyedSubjects:
    """Persons who can be recognised but not read: keyed digests (HMAC-SHA256) of their identifiers.

    Each person is there twice: by the normalised identifier, and by its letters and digits alone, by which the name
    of a file is searched.
    """

    __slots__ = ("_digests", "_secret")

    def __init__(self, secret: bytes, digests: Iterable[str]) -> None:
        self._secret = secret
        self._digests = frozenset(digests)

    def __contains__(self, identifier: object) -> bool:
        return isinstance(identifier, str) and any(
            digest_identifier(self._secret, spelled) in self._digests for spelled in _spellings_of_old(identifier)
        )

    def __len__(self) -> int:
        return len(self._digests)


def digest_identifier(secret: bytes, identifier: str) -> str:
    """Return the keyed digest of a normalised identifier, 64 hex digits."""
    return hmac.digest(secret, identifier.encode("utf-8", "surrogatepass"), "sha256").hex()


def squeeze_identifier(identifier: str) -> str:
    """Return the letters and digits of an identifier, folded: how it may stand in the name of a file."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", identifier).casefold())
    return "".join(re.findall(r"[^\W_]+", folded))


@dataclass(frozen=True, slots=True)
class Spare:
    """Records that must be left alone, and with them every record that descends from one of them through ``parent``
    or a reference of the catalogue."""

    keys: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    """Dataset name to keys."""
    subjects: SubjectSet = frozenset()
    """Persons: asked with ``normalise_identifier(text) in subjects`` of each of a dataset's ``subject`` columns."""

    def __bool__(self) -> bool:
        return len(self.subjects) > 0 or any(self.keys.values())


class WithdrawnError(Exception):
    """What ``act`` is at may no longer be done (``Selection.guard``)."""


def _always() -> None:
    """Object to nothing."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of one dataset are meant: a conjunction that the source evaluates itself.

    A record is selected when every ``before`` and every ``match`` holds, none of the ``exclude`` conjunctions holds
    wholly, every anchor in ``anchors`` can be read and is not later than ``now``, and, where ``fields`` is not empty,
    at least one of those columns still holds something that its mask would change. ``keys`` and ``parents`` narrow
    it to these records, or to the children of these. With ``undated`` the sense of the anchors turns round: selected
    is what matches but has an anchor that is missing, unreadable or later than ``now`` (``before`` is then ignored).
    """

    dataset: str
    zone: ZoneInfo
    """The controller's zone."""
    now: datetime
    before: tuple[Before, ...] = ()
    match: tuple[Condition, ...] = ()
    exclude: tuple[tuple[Condition, ...], ...] = ()
    anchors: tuple[str, ...] = ()
    """Anchors whose calendar day is reported in ``Found.anchored``, in this order; includes those of ``before``."""
    fields: tuple[FieldChange, ...] = ()
    spare: Spare = Spare()
    keys: tuple[Key, ...] | None = None
    parents: tuple[str, tuple[Key, ...]] | None = None
    """(parent dataset, its keys): only records that belong to these."""
    undated: bool = False
    check_anchors: bool = True
    """False: report anchors that can be read and select the record whatever they say (``explain``)."""
    tells_versions: bool = True
    """Whether ``act`` should tell ``Outcome.version``: another change of the same records follows in this plan."""
    guard: Callable[[], None] = field(default=_always, compare=False, repr=False)
    """Called by ``act`` where what was done can still be undone, last before that is over (a commit). Raises
    WithdrawnError when nothing more may be done; then ``act`` undoes what it can and lets the error through, or, where
    a part is done for good, tells the rest as ``failed``. For places that cannot undo it means nothing."""


# --- what is found and what became of it --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reference:
    """A record refers to another record of the same location that is in a declared dataset."""

    dataset: str
    key: Key
    is_parent: bool = True
    """Whether it belongs to that record, and goes along with it where that is configured (``Parent.via``); a record may
    refer to others of its parent's dataset as well."""


def references_of(told: Iterable[Reference]) -> tuple[Reference, ...]:
    """Return each record that is referred to once, in the order of datasets and keys: as what a record belongs to where
    one of these says so."""
    found: dict[tuple[str, Key], Reference] = {}
    for one in told:
        if one.is_parent or (one.dataset, one.key) not in found:
            found[one.dataset, one.key] = one
    return tuple(found[name] for name in sorted(found))


@dataclass(frozen=True, slots=True)
class Referring:
    """How many rows refer to a record from one place."""

    source: str
    """The dataset's name where it is declared; else the connector's own word for the place (the table)."""
    is_declared: bool
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """One record: never its content."""

    key: Key
    version: str = ""
    """Changes whenever anything in the record changes; opaque, and not a plain hash of content."""
    anchored: tuple[date | None, ...] = ()
    """Calendar days of ``Selection.anchors``, in their order; None where there is none that can be read."""
    is_spared: bool = False
    """Whether ``Selection.spare`` covers it."""
    refers_to: tuple[Reference, ...] = ()
    referred_by: tuple[Referring, ...] = ()
    obstacle: str | None = None
    """A code why it cannot be removed as it is: ``hard-link``, ``mount-point`` …; None: nothing stands against it."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is told of a record beyond its key, version and anchors; most records have none."""

    is_spared: bool = False
    refers_to: tuple[Reference, ...] = ()
    referred_by: tuple[Referring, ...] = ()
    obstacle: str | None = None


_NOTHING = Note()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one dataset in key order, with the records of other datasets that go in the same breath.

    Columns, not rows: a night moves millions of keys, and an object for each would cost more than the deletion. The
    same thing row by row is ``records``; ``Batch.of`` makes one from rows.
    """

    dataset: str
    keys: Sequence[Key]
    versions: Sequence[str] = ()
    """As many as ``keys``, or none at all where nothing is told."""
    anchored: Sequence[tuple[date | None, ...]] = ()
    """As many as ``keys``, or none at all."""
    notes: Mapping[int, Note] = field(default_factory=dict)
    """By position in ``keys``; only of those of which there is something to say."""
    companions: tuple[Batch, ...] = ()
    """Children that go with these records (``with_parent``): removed first, in the same transaction, or not at all.
    A companion's ``refers_to`` names the record it goes with. Listed so that the deepest descendants come first."""

    @classmethod
    def of(cls, dataset: str, records: Iterable[Found], companions: tuple[Batch, ...] = ()) -> Batch:
        """Return the batch of records given one by one."""
        found = tuple(records)
        notes = {
            pos: Note(one.is_spared, one.refers_to, one.referred_by, one.obstacle)
            for pos, one in enumerate(found)
            if one.is_spared or one.refers_to or one.referred_by or one.obstacle is not None
        }
        return cls(
            dataset,
            [one.key for one in found],
            [one.version for one in found],
            [one.anchored for one in found],
            notes,
            companions,
        )

    @property
    def records(self) -> tuple[Found, ...]:
        """The records one by one."""
        versions = self.versions or ("",) * len(self.keys)
        anchored = self.anchored or ((),) * len(self.keys)
        return tuple(
            Found(key, version, days, note.is_spared, note.refers_to, note.referred_by, note.obstacle)
            for pos, (key, version, days) in enumerate(zip(self.keys, versions, anchored, strict=True))
            for note in (self.notes.get(pos, _NOTHING),)
        )

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record."""

    key: Key
    word: OutcomeWord
    code: str | None = None
    """For ``failed`` and ``blocked``: ``[a-z0-9_.-]{1,32}``; never a text of the source."""
    until: date | None = None
    """For ``recoverable``: the day from which it cannot be brought back."""
    dataset: str | None = None
    """Set for a companion's record; None: the batch's own dataset."""
    version: str | None = None
    """For ``anonymised``: the record's version after our own change, read in the same transaction, so that another
    change of the same plan does not take ours for somebody else's. None where it cannot be told, or need not be."""


class Outcomes(Sequence[Outcome]):
    """What became of the records of one ``act``: the batch's own in their order, then each companion's.

    Nearly always the same became of nearly all of them, so that is said once: ``word``; ``odd`` has the outcomes, by
    position, that say anything else. Read it as any sequence of ``Outcome``.
    """

    __slots__ = ("keys", "odd", "versions", "word")

    def __init__(
        self,
        keys: Sequence[Key],
        word: OutcomeWord,
        odd: Mapping[int, Outcome] | None = None,
        versions: Sequence[str | None] = (),
    ) -> None:
        self.keys = keys
        self.word = word
        self.odd: Mapping[int, Outcome] = odd or {}
        self.versions = versions
        """For ``anonymised``: ``Outcome.version`` of each, or none at all."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Outcomes:
        """Return outcomes given one by one."""
        found = tuple(outcomes)
        return cls([one.key for one in found], OutcomeWord.FAILED, dict(enumerate(found)))

    def __len__(self) -> int:
        return len(self.keys)

    def _at(self, pos: int) -> Outcome:
        odd = self.odd.get(pos)
        if odd is not None:
            return odd
        return Outcome(self.keys[pos], self.word, version=self.versions[pos] if self.versions else None)

    @overload
    def __getitem__(self, pos: int) -> Outcome: ...
    @overload
    def __getitem__(self, pos: slice) -> list[Outcome]: ...
    def __getitem__(self, pos: int | slice) -> Outcome | list[Outcome]:
        if isinstance(pos, slice):
            return [self._at(place) for place in range(*pos.indices(len(self.keys)))]
        return self._at(range(len(self.keys))[pos])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Record:
    """A record with its content, for the person it is about."""

    key: Key
    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the catalogue."""

    name: str
    type: str
    is_nullable: bool = True
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class CatalogueReference:
    """A foreign key as the catalogue has it."""

    columns: tuple[str, ...]
    to_source: str
    to_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    has_index: bool = True


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What exists at the location, declared or not."""

    source: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    references: tuple[CatalogueReference, ...] = ()
    kind: str = "table"
    """``table``, ``view``, ``folder`` …"""
    declared_as: str | None = None
    """The dataset's name in the configuration, None where it is not declared."""


@dataclass(frozen=True, slots=True)
class Health:
    """What ``check`` found."""

    is_reachable: bool
    identity: str = ""
    """Who we are there, without a secret."""
    may_read: bool | None = None
    may_delete: bool | None = None
    now: datetime | None = None
    """The source's own clock; None where it has none of its own."""
    notes: tuple[str, ...] = ()
    planning_may_delete: bool | None = None
    """Whether the credentials that plan could delete anything there; None where that cannot be told, or where there
    are no credentials at all (the rights on a file are those of whoever runs this)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a connector can do; declared, not discovered by exceptions."""

    actions: frozenset[Action] = frozenset({Action.PURGE})
    """FLAG here means: can mark the record in the source. Flagging on our own side needs no capability."""
    masks: frozenset[Mask] = frozenset()
    is_enforcing: bool = True
    """False: the place is documented only, a person does the work (``manual``)."""
    has_subjects: bool = True
    """Whether ``subject`` columns can be matched."""
    default_batch_size: int = 1000
    batches_at_once: int = 1
    """Batches of one dataset that may be acted on at the same time: by threads that share the open location, and by
    processes that know nothing of each other."""


@dataclass(frozen=True, slots=True)
class Option:
    """One key that a location or dataset of this connector takes."""

    types: tuple[type, ...] = (str,)
    is_required: bool = False
    is_secret: bool = False
    """A secret must be a reference (``env:NAME``, ``file:PATH`` …); a value in the file is refused."""
    is_path: bool = False
    """A path relative to the project folder."""
    help: str = ""
    is_identity: bool = False
    """Says who we are there, and not what is there: ``[location.X.apply]`` may give it otherwise. Where that is so and
    something is to be acted on, ``LocationSpec.options["apply"]`` has what it gives; ``act``, ``settle`` and ``finish``
    are done with that, and everything else, also ``remaining``, with the location's own."""


Look = Callable[[str, str], str | None]
"""Asked with a column's name and one value as text: the data category it looks like, None where none."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a listing that saw every record can tell besides: the population, and how many matching records have no
    anchor that can be read, or one in the future (``Selection.undated``)."""

    population: int
    undated: int


@runtime_checkable
class Connector(Protocol):
    """One open location."""

    capabilities: Capabilities

    def check(self) -> Health:
        """Tell whether the location can be reached, as whom, with which rights, and its clock. Changes nothing."""

    def datasets(self) -> Iterable[DatasetInfo]:
        """List what exists there: columns, types, keys, references; declared or not."""

    def count(self, dataset: str) -> int:
        """Return the number of records in a dataset (the population). Raises LocationError when it cannot be known."""

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what in the configuration of a dataset does not exist at the source, one sentence each with the
        column or table it names; with a selection, also why it could not be carried out (a column that cannot be
        cleared). Empty: nothing stands against it."""

    def find(self, selection: Selection) -> Iterator[Batch]:
        """Stream the selected records in key order, in batches. Reads only. Raises IncompleteListingError when the
        listing cannot be trusted to be whole.

        A generator that saw every record on its way may return a ``Tally``, which saves two more listings.
        """

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge (``action`` PURGE) or change the ``fields`` (ANONYMISE) of a batch that ``find`` gave; re-checks
        selection, version, holds and references in the act itself. One outcome per record: the batch's own in
        their order, then each companion's. Safe to repeat."""

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """Show the values of up to ``limit`` records of a source, declared or not, to ``look``, and return for each
        column how often each answer was given. The values themselves go nowhere else: not kept, not returned, not
        logged. Reads only; {} where there is nothing that could be looked into."""

    def settle(self, dataset: str) -> str:
        """Do what makes erased bytes go and is cheap enough for every batch, and return ``physical`` or ``logical``:
        what is true now."""

    def finish(self, dataset: str) -> str:
        """Do what makes erased bytes go and is done once, after the last batch of a dataset (``after_purge``), and
        return ``physical`` or ``logical``: what is true now of all that was erased."""

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """Read back, by a separate read, which of the batch's own records are still there (row) or still hold
        something to change (``fields``)."""

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream a person's own records with their content, for the person's own request."""

    def close(self) -> None:
        """Let go of every connection and file."""


LastingKey = Callable[[Key, str], Key]
"""From a record's key and the version that ``find`` told with it to what it is recognised by after a restore."""


@dataclass(frozen=True, slots=True)
class ConnectorType:
    """What an entry point of the group ``ropa.connectors`` names: light to import, opens a location on demand."""

    name: str
    open: Callable[[LocationSpec], Connector]
    """Raises LocationError when the location cannot be reached; must not change anything there."""
    capabilities: Capabilities
    options: Mapping[str, Option] = field(default_factory=dict)
    dataset_options: Mapping[str, Option] = field(default_factory=dict)
    """Keys of a dataset beyond the common ones (title source key timezone subject anchor data parent)."""
    default_anchors: Mapping[str, Anchor] = field(default_factory=dict)
    """Anchors every dataset of this connector has without naming them (files: ``mtime``)."""
    lasting_key: LastingKey | None = None
    """For places where keys pass to other records when some go (weblog: numbers of lines); None: keys last."""


def normalise_identifier(text: str) -> str:
    """Return the form in which identifiers are compared: without regard to case, Unicode form, spacing or braces, nor
    to how an address of IPv6 is spelled; one that stands for an address of IPv4 is that one.

    The form of a form is itself.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Turkish has four letters i where case folding knows two; a name in capitals is the same name.
    folded = folded.replace("i\u0307", "i").replace("\u0131", "i")
    kept = "".join(c for c in folded if unicodedata.category(c) not in {"Zs", "Zl", "Zp", "Cc", "Cf"})
    while kept.startswith("{") and kept.endswith("}"):
        kept = kept[1:-1]
    return _one_address(unicodedata.normalize("NFKC", kept))


def _one_address(text: str) -> str:
    address = _ipv6_of(text)
    return text if address is None else str(address.ipv4_mapped or address)


def _ipv6_of(text: str) -> IPv6Address | None:
    try:
        return IPv6Address(text) if text.count(":") > 1 else None
    except ValueError:
        return None


def _spellings_of_old(identifier: str) -> Iterator[str]:
    """Stream an identifier, and the usual spellings of an address as they were kept when spellings were not one."""
    yield identifier
    mapped = f"::ffff:{identifier}" if identifier.count(".") == 3 else identifier
    address = _ipv6_of(mapped)
    if address is not None:
        yield mapped
        yield str(address)
        yield address.exploded
        yield ":".join(f"{int(group, 16):x}" for group in address.exploded.partition("%")[0].split(":"))
