"""A root with logs, short ways to ask the connector about it, and a slow way to read a line's day."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.weblog import TYPE
from connectors.weblog.dataset import LogFolder
from connectors.weblog.readers import STRUCTURE
from ropa.clock import start_of_day
from ropa.connector import Action, Before, DatasetSpec, FieldChange, LocationSpec, Mask, Selection

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
CUTOFF = date(2026, 5, 21)
LONG_AGO = 1_700_000_000_123_456_789
BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[4] / "shared" / "beds")
IP = (FieldChange("ip", Mask.TRUNCATE_IP),)


def line(day="01/Feb/2026", clock="10:00:00", ip="192.0.2.7", *, user="-", agent="canary", zone="+0100", end="\n"):
    return f'{ip} - {user} [{day}:{clock} {zone}] "GET /?q=1 HTTP/1.1" 200 5 "-" "{agent}"{end}'


class Logs:
    """A root on disk with one dataset, ``access``, which is the root itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".ropa-root").touch()

    def add(self, name: str, *lines: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(each if isinstance(each, bytes) else each.encode() for each in lines))
        return self.age(path)

    def age(self, path: Path) -> Path:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
        return path

    def open(self, batch_size: int | None = 2, *, datasets=None, subject=(), **options):
        given = {"root": str(self.root), "folder": "/srv/project", "pattern": "access*"} | options
        spec = DatasetSpec("access", ".", ZONE, subject=subject)
        return TYPE.open(LocationSpec("web", "weblog", ZONE, given, datasets or {"access": spec}, batch_size))

    def names(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")} - {".ropa-root"}


def due(**more) -> Selection:
    before = (Before("line", CUTOFF, start_of_day(CUTOFF, ZONE)),)
    return Selection(**({"dataset": "access", "zone": ZONE, "now": NOW, "before": before, "anchors": ("line",)} | more))


def find(connector, selection=None):
    return list(connector.find(selection or due()))


def keys(batches):
    return [" ".join(key) for batch in batches for key in batch.keys]


def tally(connector, selection=None):
    batches = connector.find(selection or due())
    while True:
        try:
            next(batches)
        except StopIteration as end:
            return end.value.population, end.value.undated


def act(connector, batches, selection=None):
    """Act batch by batch, reading back after each; returns the words."""
    selection = selection or due()
    words = []
    for batch in batches:
        outcomes = connector.act(selection, batch, Action.ANONYMISE if selection.fields else Action.PURGE)
        there = connector.remaining(selection, batch)
        for outcome in outcomes:
            words.append(f"{outcome.word}:{outcome.code}" if outcome.code else str(outcome.word))
            assert (outcome.key in there) == (outcome.word not in {"purged", "anonymised", "absent"}), words[-1]
    return words


def days(text: bytes, form="auto", *, local=ZONE, zone=ZONE, **options):
    """Return each line's day as ISO text; "#" for structure, None where it has none."""
    folder = LogFolder(DatasetSpec("access", ".", local), {"format": form, **options})
    reader = folder.reader(zone, text)
    found = []
    for day, start, end in reader.pieces(text, 0, len(text)):
        name = "#" if day == STRUCTURE else None if day is None else date.fromordinal(day).isoformat()
        found += [name] * len(re.findall(rb"[^\n]*\n|[^\n]+\Z", text[start:end]))
    return found


def mask(text: bytes, fields=IP, form="auto", **options):
    """Mask every line, read in order."""
    from connectors.weblog.fields import mask_line
    from connectors.weblog.streams import lines_of

    folder = LogFolder(DatasetSpec("access", ".", ZONE), {"format": form, **options})
    reader = folder.reader(ZONE, text)
    out = []
    for day, start, end in reader.pieces(text, 0, len(text)):
        for one in lines_of(text, start, end):
            spans = reader.fields(one) if day not in {None, STRUCTURE} else []
            out.append(mask_line(one, spans, {change.column: change.mask for change in fields}))
    return b"".join(out)


def bare(text: bytes, form="combined") -> list[bytes]:
    """Return each line as it is recognised when it was masked meanwhile."""
    from connectors.weblog.fields import blank_line

    reader = LogFolder(DatasetSpec("access", ".", ZONE), {"format": form}).reader(ZONE, text)
    return [blank_line(one, reader.fields(one)) for one in text.splitlines(keepends=True)]
