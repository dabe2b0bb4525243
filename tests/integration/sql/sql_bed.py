"""What the tests of the sql connector share: real SQLite files, and short ways to ask about them."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.sql import TYPE
from ropa.clock import start_of_day
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    Before,
    DatasetSpec,
    LocationSpec,
    OutcomeWord,
    Selection,
)

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
CUTOFF = date(2026, 5, 21)
BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[4] / "shared" / "beds")


def make(path, script, rows=()):
    """Create a database; ``rows`` are (statement, many values)."""
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executescript(script)
        for statement, values in rows:
            raw.executemany(statement, values)
    return path


def ask(path, statement, *values):
    with closing(sqlite3.connect(path)) as raw, raw:
        return raw.execute(statement, values).fetchall()


def column(path, statement, *values):
    return [row[0] for row in ask(path, statement, *values)]


def dataset(name, source=None, *, zone=ZONE, anchors=("created",), **more):
    """Return a dataset; an anchor is a column, or a name with its parts."""
    named = anchors if isinstance(anchors, dict) else {each: [AnchorPart(each)] for each in anchors}
    made = {each: Anchor(each, tuple(parts)) for each, parts in named.items()}
    return DatasetSpec(name, source or name, zone, anchors=made, **more)


def spec(path, *datasets, batch_size=2, **options):
    given = {"url": f"sqlite:///{path.name}", "folder": str(path.parent)} | options
    return LocationSpec("crm", "sql", ZONE, given, {d.name: d for d in datasets}, batch_size)


def opened(path, *datasets, batch_size=2, **options):
    return closing(TYPE.open(spec(path, *datasets, batch_size=batch_size, **options)))


def due(name, anchor="created", day=CUTOFF, **more):
    """Return what is before a day."""
    before = (Before(anchor, day, start_of_day(day, ZONE)),)
    return replace(Selection(name, ZONE, NOW, before=before, anchors=(anchor,)), **more)


def every(name, **more):
    return Selection(name, ZONE, NOW, **more)


def undated(name, *anchors):
    return Selection(name, ZONE, NOW, anchors=anchors or ("created",), undated=True)


def found(connector, selection):
    batches = list(connector.find(selection))
    assert all(0 < len(batch.records) <= 2 for batch in batches)
    return [record for batch in batches for record in batch.records]


def keys(connector, selection):
    return [record.key for record in found(connector, selection)]


def whole(connector, selection):
    """Return everything found as one batch."""
    return Batch.of(selection.dataset, tuple(r for batch in connector.find(selection) for r in batch.records))


def act(connector, selection, action=Action.PURGE, *, companions=(), batch=None):
    """Act on everything found at once; return (key, word, code)."""
    batch = batch or replace(whole(connector, selection), companions=companions)
    outcomes = connector.act(selection, batch, action)
    assert len(outcomes) == size(batch)
    return [(outcome.key[0], outcome.word, outcome.code) for outcome in outcomes]


def size(batch):
    return len(batch.records) + sum(map(size, batch.companions))


def words(outcomes):
    return {key: word.value for key, word, _ in outcomes}


def purge(connector, selection):
    """Purge batch by batch as a sweep does; return the keys said to be purged."""
    gone = []
    for batch in connector.find(selection):
        for outcome in connector.act(selection, batch, Action.PURGE):
            if outcome.word is OutcomeWord.PURGED:
                gone.append(outcome.key)
        assert connector.remaining(selection, batch) == set()
    return gone
