"""The files of the demonstration: applications of candidates.

Invariant: the date that counts stands in the name; the time of last modification agrees with it save where a file was
opened and saved again later, which is why the example's rules go by the name.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ropa.demo.model import first_kept_day
from ropa.demo.people import Person, make_people

SENTINEL = ".ropa-root"
"""Without this file in it a folder is not taken for the right one, and nothing in it is touched."""

APPLICATIONS, APPLICATIONS_DUE = 48, 10


def write_applications(folder: Path, *, today: date, seed: int) -> tuple[int, int, int]:
    """Write the applications; return how many there are, how many are due, and how many have no date in their name."""
    make_root(folder)
    draw = random.Random(f"applications {seed}")  # noqa: S311 - generated data
    kept = first_kept_day(today, months=3)
    people = make_people(APPLICATIONS + 1, seed=seed + 1, today=today)
    for number in range(APPLICATIONS):
        person = next(people)
        is_due = number < APPLICATIONS_DUE
        day = kept - timedelta(days=draw.randint(1, 400)) if is_due else _day_between(draw, kept, today)
        # One of those due was opened and saved today: its time of modification would have kept it.
        changed = today if number == 0 else day
        _write_application(folder, f"{day.isoformat()} ", person, changed, is_text=number % 3 == 0)
    _write_application(folder, "zonder datum ", next(people), kept - timedelta(days=200), is_text=True)
    return APPLICATIONS + 1, APPLICATIONS_DUE, 1


def make_root(folder: Path) -> None:
    """Make a folder that is recognised as the root of a location."""
    folder.mkdir(parents=True)
    (folder / SENTINEL).write_text("ropa: the root of a location; without this file nothing here is touched.\n")


def set_modified(path: Path, day: date) -> None:
    """Give a file a time of last modification: noon of a day."""
    noon = datetime.combine(day, time(12), tzinfo=UTC).timestamp()
    os.utime(path, (noon, noon))


def _day_between(draw: random.Random, first: date, last: date) -> date:
    return first + timedelta(days=draw.randint(0, max(0, (last - first).days)))


def _write_application(folder: Path, prefix: str, person: Person, changed: date, *, is_text: bool) -> None:
    lines = (f"Curriculum vitae van {person.name}", person.email, person.telephone, "Ervaring: webontwikkeling")
    path = folder / f"{prefix}{person.name}.{'txt' if is_text else 'pdf'}"
    path.write_bytes("\n".join((*lines, "")).encode() if is_text else _pdf(lines))
    set_modified(path, changed)


def _pdf(lines: tuple[str, ...]) -> bytes:
    """Return a PDF of one page with these lines (ISO 32000-1, 7.5: header, objects, cross-reference table, trailer)."""
    shown = " ".join(f"({line.replace(chr(92), '').replace('(', '').replace(')', '')}) Tj T*" for line in lines)
    text = f"BT /F1 12 Tf 16 TL 72 760 Td {shown} ET".encode("cp1252", "replace")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>",
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    document = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(document)
