"""Workbooks to read: made by hand, changed by hand, and broken on purpose."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openpyxl
from register_builders import sound

from ropa.errors import RegisterError
from ropa.register import Register
from ropa.register.exchange import Incoming
from ropa.register.exchange.workbook import to_workbook
from ropa.register.exchange.workbook_reading import read_workbook

NAME = "edited.xlsx"


def edited(change: Callable[[Any], object], register: Register | None = None) -> bytes:
    """Return the workbook of a register as openpyxl saves it after a change."""
    book = openpyxl.load_workbook(io.BytesIO(to_workbook(register or sound())))
    change(book)
    return saved(book)


def saved(book: Any) -> bytes:
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def sheet_of(rows: Sequence[Sequence[Any]], title: str = "Sheet1") -> bytes:
    """Return a workbook with one sheet."""
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(list(row))
    return saved(book)


def read(data: bytes) -> Incoming:
    return read_workbook(data, NAME)


def problems(data: bytes) -> dict[str, str]:
    """Return the problems of a workbook that cannot be read, by place."""
    try:
        read(data)
    except RegisterError as error:
        return {one.path: one.message for one in error.problems}
    raise AssertionError("it was read")


def at(book: Any, sheet: str, column: str, row: int) -> Any:
    """Return the cell of a column, by its heading."""
    for cell in book[sheet][1]:
        if cell.value == column:
            return book[sheet].cell(row, cell.column)
    raise AssertionError(f"no column {column}")


def parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: Mapping[str, bytes], **more: Any) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return target.getvalue()


def with_part(name: str, text: bytes | Callable[[bytes], bytes], data: bytes | None = None) -> bytes:
    """Return a workbook with one of its parts replaced or added."""
    content = parts(data or to_workbook(sound()))
    content[name] = text if isinstance(text, bytes) else text(content[name])
    return packed(content)


def lying(data: bytes, member: str, size: int) -> bytes:
    """Return an archive whose directory says another unpacked size of a member than it has."""
    found = bytearray(data)
    start = 0
    while (start := found.find(b"PK\x01\x02", start)) >= 0:
        length = struct.unpack_from("<H", found, start + 28)[0]
        if found[start + 46 : start + 46 + length] == member.encode():
            struct.pack_into("<I", found, start + 24, size)
        start += 4
    return bytes(found)
