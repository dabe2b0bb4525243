"""A workbook file (a zip of XML parts) taken apart within bounds, before a parser of workbooks sees any of it.

Invariant: what ``vetted`` returns is a new package of ours, holding only parts that were inflated within the bounds and
are well-formed XML without a document type; no offset, size or name of the file from outside reaches another reader.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from xml.parsers import expat

LARGEST = 64 * 1024 * 1024
"""Bytes, inflated, of all parts together; also characters of all cells together: one text may be in many of them."""
LARGEST_RATIO = 200
"""Inflated to packed, of a file that inflates to more than ``_SMALL``."""
MOST_PARTS = 1000
MOST_ELEMENTS = 3_000_000
MOST_CELLS = 4_000_000
"""Rows x columns, of all sheets together."""
_SMALL = 8 * 1024 * 1024
_CHUNK = 1 << 16
_CELL = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
    LookupError,
)
"""What the standard library raises on an archive that is none."""
_OLE = b"\xd0\xcf\x11\xe0"


class UnusableError(ValueError):
    """The file is no workbook that can be read; the message says why."""


@dataclass(slots=True)
class Part:
    """What one XML part says, as far as the bounds and the readers need it."""

    root: str = ""
    rows: int = 0
    columns: int = 0
    formulas: set[tuple[int, int]] = field(default_factory=set)
    """Row and column from 0, of cells that are computed."""
    errors: set[tuple[int, int]] = field(default_factory=set)
    """Of cells that hold an error (``#REF!``) in place of a value."""
    uses: Counter[int] = field(default_factory=Counter)
    """How often a sheet uses each shared text."""
    lengths: list[int] = field(default_factory=list)
    """Characters of each shared text."""
    sheets: list[tuple[str, str]] = field(default_factory=list)
    """Name and relationship of each sheet of a workbook."""
    targets: dict[str, str] = field(default_factory=dict)
    """Relationships."""


@dataclass(frozen=True, slots=True)
class Package:
    """A vetted workbook."""

    data: bytes
    """The parts, packed anew, not compressed."""
    parts: dict[str, Part]

    def part_of(self, sheet: str) -> Part | None:
        """Return the worksheet that a sheet's name leads to; None where it cannot be told."""
        found = [(path, part) for path, part in self.parts.items() if part.root == "workbook"]
        if len(found) != 1:
            return None
        path, workbook = found[0]
        folder, _, name = path.rpartition("/")
        relations = self.parts.get(f"{folder}/_rels/{name}.rels".removeprefix("/"))
        ids = [relation for one, relation in workbook.sheets if one == sheet]
        target = relations.targets.get(ids[0]) if relations is not None and len(ids) == 1 else None
        if target is None:
            return None
        return self.parts.get(target[1:] if target.startswith("/") else f"{folder}/{target}".removeprefix("/"))


def vetted(data: bytes) -> Package:
    """Take a workbook apart and pack it anew. Raises UnusableError for anything past the bounds or not well-formed."""
    if data.startswith(_OLE):
        raise UnusableError("is protected by a password, or an old .xls; save it as .xlsx without a password")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_directory(members, len(data))
            return _packed(archive, members)
    except UnusableError:
        raise
    except _DAMAGED as failure:
        raise UnusableError("is no workbook (.xlsx), or a damaged one") from failure


def _check_directory(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MOST_PARTS:
        raise UnusableError(f"has more than {MOST_PARTS:,} parts")
    names = [member.filename.casefold() for member in members]
    if len(set(names)) < len(names):
        raise UnusableError("has two parts of one name")
    for member in members:
        pieces = member.filename.split("/")
        if ".." in pieces or "\\" in member.filename or member.filename.startswith("/") or ":" in member.filename:
            raise UnusableError("has a part whose name leads out of the file")
        if member.flag_bits & 1:
            raise UnusableError("is encrypted; save it without a password")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise UnusableError("is packed in a way that no workbook is")
    total = sum(member.file_size for member in members)
    if total > LARGEST:
        raise UnusableError(f"unpacks to more than {LARGEST // 1024**2} MiB")
    if total > _SMALL and total > LARGEST_RATIO * size:
        raise UnusableError(f"unpacks to more than {LARGEST_RATIO} times its size")
    end = 0
    for member in sorted(members, key=lambda one: one.header_offset):
        if member.header_offset < end:
            raise UnusableError("has parts that overlap")
        end = member.header_offset + 30 + len(member.filename) + member.compress_size


def _packed(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Package:
    parts: dict[str, Part] = {}
    target = io.BytesIO()
    budget = _Budget()
    with zipfile.ZipFile(target, "w") as copy:
        for member in members:
            if member.is_dir():
                continue
            with archive.open(member) as stream:
                head = stream.read(64)
                if not _is_markup(head):
                    if member.filename.lower().endswith((".xml", ".rels")):
                        raise UnusableError("has a part that should be XML and is not")
                    continue  # a picture or a printer's settings: no reader needs it
                scan = _Scan(budget)
                kept = [head]
                try:
                    scan.feed(head)
                    while chunk := stream.read(_CHUNK):
                        budget.take(len(chunk))
                        scan.feed(chunk)
                        kept.append(chunk)
                    scan.feed(b"", is_final=True)
                except expat.ExpatError as failure:
                    if member.filename.lower().endswith(".vml"):
                        continue  # the drawing of a note, which Excel writes as loose HTML: no reader needs it
                    raise UnusableError("has a part that is not well-formed XML") from failure
            copy.writestr(zipfile.ZipInfo(member.filename), b"".join(kept))
            parts[member.filename] = scan.part
    _check_texts(parts)
    return Package(target.getvalue(), parts)


def _check_texts(parts: dict[str, Part]) -> None:
    """A text is stored once and may be used by every cell: what the cells hold together is bounded too."""
    shared = [part.lengths for part in parts.values() if part.root == "sst"]
    if len(shared) > 1:
        raise UnusableError("has two tables of texts")
    lengths = shared[0] if shared else []
    characters = 0
    for part in parts.values():
        for index, uses in part.uses.items():
            if index >= len(lengths):
                raise UnusableError("has a cell whose text cannot be found")
            characters += lengths[index] * uses
    if characters > LARGEST:
        raise UnusableError(f"has more than {LARGEST:,} characters in its cells")


def _is_markup(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n").startswith(b"<")


@dataclass(slots=True)
class _Budget:
    """What is left for the whole file."""

    size: int = LARGEST
    elements: int = MOST_ELEMENTS

    def take(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise UnusableError(f"unpacks to more than {LARGEST // 1024**2} MiB")

    def element(self) -> None:
        self.elements -= 1
        if self.elements < 0:
            raise UnusableError(f"has more than {MOST_ELEMENTS:,} elements")


class _Scan:
    """Reads one part as it is inflated, and notes what stands in it."""

    def __init__(self, budget: _Budget) -> None:
        self.part = Part()
        self._budget = budget
        self._row = self._column = -1
        self._kind = ""
        self._text: list[str] | None = None
        self._length: int | None = None
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def feed(self, data: bytes, *, is_final: bool = False) -> None:
        self._parser.Parse(data, is_final)

    def _doctype(self, *_: object) -> None:
        raise UnusableError("has a document type (DOCTYPE), which no workbook has")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._budget.element()
        name = tag.rpartition(" ")[2]
        part = self.part
        if not part.root:
            part.root = name
        if part.root == "worksheet":
            self._start_cell(name, attributes)
        elif part.root == "sst":
            if name == "si":
                self._length = 0
        elif name == "sheet" and part.root == "workbook":
            relation = [value for key, value in attributes.items() if key.endswith(" id")]
            part.sheets.append((attributes.get("name", ""), relation[0] if relation else ""))
        elif name == "Relationship":
            part.targets[attributes.get("Id", "")] = attributes.get("Target", "")

    def _start_cell(self, name: str, attributes: dict[str, str]) -> None:
        part = self.part
        if name == "row":
            self._row = _number(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = -1
        elif name == "c":
            self._kind = attributes.get("t", "n")
            if "r" in attributes:
                self._row, self._column = _place(attributes["r"])
            else:
                self._column += 1
            if self._kind == "e":
                part.errors.add((self._row, self._column))
        elif name in {"v", "is", "f"}:
            part.rows, part.columns = max(part.rows, self._row + 1), max(part.columns, self._column + 1)
            if part.rows * part.columns > MOST_CELLS:
                raise UnusableError(f"has a sheet of more than {MOST_CELLS:,} cells, rows x columns")
            if name == "f":
                part.formulas.add((self._row, self._column))
            elif name == "v" and self._kind == "s":
                self._text = []

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        if name == "si" and self._length is not None:
            self.part.lengths.append(self._length)
            self._length = None
        elif name == "v" and self._text is not None:
            index = "".join(self._text).strip()
            self._text = None
            if not (index.isdecimal() and index.isascii() and len(index) < 9):
                raise UnusableError("has a cell whose text cannot be found")
            self.part.uses[int(index)] += 1

    def _characters(self, data: str) -> None:
        if self._length is not None:
            self._length += len(data)
        elif self._text is not None:
            self._text.append(data)


def _number(text: str) -> int:
    if not (text.isdecimal() and text.isascii() and 1 <= len(text) <= 7):
        raise UnusableError("has a row whose number cannot be read")
    return int(text)


def _place(text: str) -> tuple[int, int]:
    found = _CELL.fullmatch(text)
    if found is None:
        raise UnusableError("has a cell whose place cannot be read")
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - 1, column - 1
