"""A root with a sentinel, and a short way to ask the connector about it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.files import TYPE
from ropa.clock import start_of_day
from ropa.connector import Action, Anchor, AnchorPart, Batch, Before, DatasetSpec, Found, LocationSpec, Selection, Tally

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
CUTOFF = date(2026, 5, 21)
OLD = datetime(2020, 2, 3, 12, tzinfo=UTC).timestamp()
NOBODY = 65534


class Share:
    """A root on disk with one dataset, ``cv``, in its folder ``cv``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / ".ropa-root").touch()
        (root / "cv").mkdir()
        self.cv = root / "cv"

    def add(self, name: str | bytes, content: str = "canary", *, moment: float = OLD) -> Path:
        """Make a file below ``cv``, with its folders; returns its path."""
        path = self.cv / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (moment, moment))
        return path

    def open(self, batch_size: int | None = 2, *, location=None, datasets=None, **dataset):
        options = {"root": str(self.root), "folder": "/srv/project"} | (location or {})
        spec = DatasetSpec("cv", **({"source": "cv", "zone": ZONE, "data": {"cv": ("*",)}} | dataset))
        return TYPE.open(LocationSpec("share", "files", ZONE, options, datasets or {"cv": spec}, batch_size))

    def tree(self) -> set[str]:
        """Everything there is below the root, escaped."""
        tree = os.walk(self.root)
        return {repr(str(Path(folder, name))) for folder, folders, files in tree for name in folders + files}


def due(anchor: str = "mtime", dataset: str = "cv", **more) -> Selection:
    before = (Before(anchor, CUTOFF, start_of_day(CUTOFF, ZONE)),)
    return Selection(**({"dataset": dataset, "zone": ZONE, "now": NOW, "before": before, "anchors": (anchor,)} | more))


def find(connector, selection=None) -> list[Found]:
    return [found for batch in connector.find(selection or due()) for found in batch.records]


def keys(connector, selection=None) -> list[str]:
    return [found.key[0] for found in find(connector, selection)]


def counted(connector, selection) -> tuple[list[Batch], Tally | None]:
    batches, listing = [], connector.find(selection)
    while True:
        try:
            batches.append(next(listing))
        except StopIteration as ended:
            return batches, ended.value


def purge(connector, found, selection=None) -> list[str]:
    selection = selection or due()
    outcomes = connector.act(selection, Batch.of(selection.dataset, tuple(found)), Action.PURGE)
    assert [outcome.key for outcome in outcomes] == [record.key for record in found]
    return [f"{outcome.word}:{outcome.code}" if outcome.code else str(outcome.word) for outcome in outcomes]


def name_date(pattern: str) -> dict:
    return {"anchors": {"named": Anchor("named", (AnchorPart("name", form=pattern),))}}


@contextmanager
def as_nobody():
    """Do something without the rights of root; whoever is not root has none to lose."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
