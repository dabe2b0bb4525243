"""A dataset of logs: which files belong to it, how their lines are read, and what may be asked of it.

Invariant: a file of our own making that was left behind by a crash is never a log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

from connectors.files.names import Glob, spell_name
from connectors.files.tree import Names
from connectors.weblog.fields import COLUMNS, Span, named_addresses
from connectors.weblog.formats import AUTO, NAMES, PATTERN, Maker, maker_of, suggest
from connectors.weblog.patterns import compile_pattern
from connectors.weblog.readers import Reader
from connectors.weblog.stamps import Days
from ropa.clock import EPOCH_FORMS, Moment, reads_days
from ropa.connector import (
    Anchor,
    AnchorPart,
    DatasetSpec,
    Key,
    Mask,
    Scalar,
    Selection,
    SubjectSet,
    normalise_identifier,
)

KEY = ("path", "lines")
FILE_COLUMNS: Mapping[str, str] = {"path": "text", "name": "text", "folder": "text"}
"""What can stand in ``where``: it is the same for all lines of a file."""

DEFAULT_ANCHORS: Mapping[str, Anchor] = {"line": Anchor("line", (AnchorPart("time"),))}
TEMPORARY = re.compile(r"\.ropa-weblog-[0-9a-f]{16}")
"""Names of files that we write beside a log, before the two are exchanged."""

_SUBJECTS = frozenset({"ip", "user"})
_MASKS = frozenset({Mask.CLEAR, Mask.REDACT})
_ROTATED = re.compile(r"(?:[._-][0-9]+|[0-9]{6,})(?:\.[A-Za-z]{1,4})?(?:\.(?:gz|zst|xz))?|.*\.(?:gz|zst|xz)", re.ASCII)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_KEPT = 50_000


class LogFolder:
    """A dataset as configured, made ready. Raises ValueError (key, reason) for what cannot be."""

    def __init__(self, spec: DatasetSpec, location: Mapping[str, Any]) -> None:
        self.spec = spec
        options = {**location, **spec.options}
        self.names = _read_source(spec.source)
        self.anchors = {**DEFAULT_ANCHORS, **spec.anchors}
        self._says_rotated = bool(options.get("pattern"))
        self._glob = Glob(str(options.get("pattern") or "*"))
        self._prefix = "".join(f"{spell_name(name)}/" for name in self.names)
        self._maker = _read_format(options)

    def is_member(self, path: str) -> bool:
        """Tell whether a file, its path from the root spelled as in keys, belongs to this dataset."""
        name = path.rpartition("/")[2]
        if not path.startswith(self._prefix) or TEMPORARY.fullmatch(name):
            return False
        return self._glob.is_match(path[len(self._prefix) :], name)

    def is_rotated(self, path: str) -> bool:
        """Tell whether a file is one that nothing is written to any more: the configuration says so by ``pattern``, or
        its name does by a number, a date or a compression."""
        name = path.rpartition("/")[2]
        return self._says_rotated or any(_ROTATED.fullmatch(name, at) for at in range(len(name)))

    def reader(self, zone: ZoneInfo, first: bytes) -> Reader:
        """Return a reader for one file, given its first block; ``zone`` is the controller's."""
        return self._maker(Days(self.spec.zone, zone), first)

    def moments(self, anchor: str, day: int | None) -> tuple[Moment, ...]:
        """Return the date of an anchor: the lines' day; none where they have none or the anchor is not configured."""
        return (date.fromordinal(day),) if day is not None and anchor in self.anchors else ()

    def problems(self, selection: Selection | None) -> list[str]:
        """Return what in the configuration cannot be."""
        spec = self.spec
        problems = [f"web logs have no column {name} for persons" for name in spec.subject if name not in _SUBJECTS]
        if spec.key not in {(), KEY}:
            problems.append("the key of a range of lines is its path and its lines")
        if spec.parent is not None:
            problems.append("web logs have no parent")
        for anchor in spec.anchors.values():
            parts = anchor.parts
            if any(part.column not in {"time", "line"} or part.dataset or part.form for part in parts):
                problems.append(f"anchor {anchor.name}: a line has one date, time, read as its format says")
        columns = dict.fromkeys(name for group in spec.data.values() for name in group)
        problems += [f"web logs have no column {name}" for name in columns if name not in COLUMNS]
        return problems + ([] if selection is None else self._problems_of(selection))

    def _problems_of(self, selection: Selection) -> list[str]:
        problems = []
        for change in selection.fields:
            if change.column not in COLUMNS:
                problems.append(f"web logs have no column {change.column}")
            elif change.mask not in _MASKS and not (change.mask is Mask.TRUNCATE_IP and change.column == "ip"):
                problems.append(f"{change.column} of a web log cannot be masked by {change.mask}")
        conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
        problems += [
            f"web logs have no column {name} that can stand in a condition; there are {', '.join(FILE_COLUMNS)}"
            for name in dict.fromkeys(condition.column for condition in conditions)
            if name not in FILE_COLUMNS
        ]
        asked = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
        return problems + [f"there is no anchor {name}" for name in asked if name not in self.anchors]


class RangeItem:
    """Lines of one day in one file (``connectors.evaluate.Item``)."""

    __slots__ = ("day", "folder", "path")

    def __init__(self, folder: LogFolder, path: str, day: int | None) -> None:
        self.folder, self.path, self.day = folder, path, day

    @property
    def key(self) -> Key:
        """The path alone: the lines are told when the range ends."""
        return (self.path,)

    def value(self, column: str) -> Scalar:
        """Return what ``FILE_COLUMNS`` tells of; the folder is relative to the root."""
        if column == "path":
            return self.path
        folder, _, name = self.path.rpartition("/")
        if column == "name":
            return name
        return (folder or ".") if column == "folder" else None

    def moments(self, anchor: str) -> tuple[Moment, ...]:
        """Return the date of an anchor."""
        return self.folder.moments(anchor, self.day)

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:  # noqa: ARG002 - part of the protocol
        """Return False: lines belong to no other record."""
        return False


class People:
    """Whether a line is about one of some persons, by the dataset's ``subject`` columns."""

    def __init__(self, subject: Sequence[str], identifiers: SubjectSet) -> None:
        self._columns = frozenset(subject)
        self._identifiers = identifiers
        self._known: dict[tuple[str, bytes], bool] = {}
        self.is_nobody = not len(identifiers) or not self._columns

    def is_about(self, line: bytes, spans: Sequence[Span]) -> bool:
        """Tell whether a line, with its fields, is about one of them."""
        return any(
            self._is_one(column, line[start:stop]) for column, start, stop, *_ in spans if column in self._columns
        )

    def _is_one(self, column: str, text: bytes) -> bool:
        key = (column, text)
        if key not in self._known:
            if len(self._known) > _KEPT:
                self._known.clear()
            self._known[key] = any(
                normalise_identifier(spelling) in self._identifiers for spelling in _spellings(column, text)
            )
        return self._known[key]


def _spellings(column: str, text: bytes) -> set[str]:
    """Return what a field may say: one too many is better than one too few."""
    said = {text, unquote_to_bytes(text), unquote_to_bytes(text.replace(b"+", b" ")), _ESCAPE.sub(_unescaped, text)}
    if column == "ip":
        unquoted = {unquote_to_bytes(one) for one in said}  # CloudFront quotes twice
        said |= {part.strip() for one in unquoted for part in one.split(b",")}
        said |= {address for one in said | unquoted for address in named_addresses(one)}
    spellings = {one.decode("utf-8", "replace") for one in said}
    if b"\\" in text:
        with suppress(ValueError):
            spellings.add(str(json.loads(b'"%b"' % text)))
    return spellings


def _unescaped(found: re.Match[bytes]) -> bytes:
    r"""Apache and nginx write \xhh for a byte, and a backslash before a backslash or a quote."""
    return found[2] or bytes([int(found[1], 16)])


def _read_source(source: str) -> Names:
    if source == ".":
        return ()
    names = tuple(source.removeprefix("./").removesuffix("/").split("/"))
    if any(name in {"", ".", ".."} or "\0" in name for name in names):
        raise ValueError("source", 'is not the path of a folder below the root; "." is the root itself')
    return names


def _read_format(options: Mapping[str, Any]) -> Maker:
    name = str(options.get("format") or AUTO).casefold()
    if name not in NAMES:
        meant = suggest(name)
        hint = f" (did you mean {meant!r}?)" if meant else ""
        raise ValueError("format", f"is not one of {', '.join(NAMES)}{hint}")
    if name != PATTERN:
        if options.get("line_pattern"):
            raise ValueError("line_pattern", f'is read where format = "{PATTERN}" only')
        return maker_of(name, None, None)
    pattern, form = options.get("line_pattern"), options.get("date_format")
    if not pattern:
        raise ValueError("line_pattern", f'is missing; format = "{PATTERN}" reads lines by it')
    try:
        compiled = compile_pattern(str(pattern))
    except ValueError as error:
        raise ValueError("line_pattern", str(error)) from None
    if form is not None and form not in EPOCH_FORMS and not reads_days(str(form)):
        reason = "is no pattern of strptime that gives a date with its year, e.g. %Y-%m-%d, nor epoch or epoch-ms"
        raise ValueError("date_format", reason)
    return maker_of(name, compiled, None if form is None else str(form))
