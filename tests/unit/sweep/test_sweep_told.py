"""Batch files are read when they are new or were touched, some of the others in turn, and all by `ledger verify`."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col
from sweep_kit import contacts, person

from ropa.errors import LedgerError
from ropa.ledger.verify import verify
from ropa.sweep import told
from ropa.sweep.state import get_state
from ropa.sweep.tables import BatchRow


@pytest.fixture
def world(make):
    """A world with three batches behind it, the second of them with an outcome file."""
    world = make(tables={"contacts": contacts(2)})
    world.purge()
    for key in (4, 5):
        world.insert(**person(key))
    plan = world.plan()
    world.approve(plan)
    world.update(4, name="Iemand anders")
    assert world.apply(plan).document["outcomes"] == {"changed": 1, "purged": 1}
    world.remove(4)
    world.insert(**person(6))
    world.purge()
    return world


@pytest.fixture
def read(monkeypatch):
    """The roots of what was read, in order: one for the leaves, and one for the outcomes where they have a file."""
    roots, real = [], told.wrong_files

    def noting(folder, event, leaves, **more):
        roots.append(event["root"])
        return real(folder, event, leaves, **more)

    monkeypatch.setattr(told, "wrong_files", noting)
    return roots


def of(world, kind):
    """Return the roots of all intents, or of the receipts that name an outcome file."""
    return [event["root"] for event in world.events(kind) if kind == "intent" or len(event["outcomes"]) == 64]


def change(path):
    """Change the content and nothing else that can be left as it is; the new content is well-formed."""
    before = path.stat()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[-1][::-1], *lines[1:]] if len(lines) == 1 else [*lines[1:], lines[0]]) + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def test_a_batch_file_is_read_at_the_next_start_and_then_no_more(world, read, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 0)
    _first, second, third = of(world, "intent")
    assert of(world, "receipt") == [second]
    world.plan()
    assert read == [third]
    world.plan()
    assert read == [third]


@pytest.mark.parametrize("kind", ["intent", "receipt"])
def test_an_old_file_that_was_changed_stops_the_next_run_whatever_its_time_says(world, kind, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 0)
    world.plan()
    root = of(world, kind)[0]
    change(world.site.ledger_folder / "batches" / (root if kind == "intent" else f"{root}.outcomes"))
    world.is_sound = False
    with pytest.raises(LedgerError) as caught:
        world.plan()
    assert caught.value.code == ("ledger-batch-root" if kind == "intent" else "ledger-outcome-file")
    assert not verify(world.site.ledger_folder).is_sound


@pytest.mark.parametrize("kind", ["intent", "receipt"])
def test_an_old_file_that_is_gone_stops_the_next_run(world, kind, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 0)
    world.plan()
    root = of(world, kind)[0]
    (world.site.ledger_folder / "batches" / (root if kind == "intent" else f"{root}.outcomes")).unlink()
    world.is_sound = False
    with pytest.raises(LedgerError):
        world.plan()


def test_a_change_that_shows_nowhere_is_found_by_verify_and_in_turn(world, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 1)
    world.plan()
    root = of(world, "intent")[0]
    path = world.site.ledger_folder / "batches" / root
    change(path)
    looks = told._looks(path.parent, bytes.fromhex(root), told.Batch(0, 2))
    with Session(world.site.engine) as session, session.begin():  # a disk that forgets changes neither
        session.execute(update(BatchRow).where(col(BatchRow.root) == root).values(files_seen=looks))
    world.is_sound = False
    assert not verify(world.site.ledger_folder).is_sound
    with pytest.raises(LedgerError) as caught:  # noqa: PT012 - whichever of as many runs as there are batches
        for _ in range(3):
            world.plan()
    assert caught.value.code == "ledger-batch-root"


def test_what_nothing_touched_is_read_in_turn_so_much_at_a_start(world, read, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 0)
    world.plan()
    monkeypatch.setattr(told, "IN_TURN", 4)
    read.clear()
    first, second, third = of(world, "intent")
    world.plan()
    assert read == [first, second, second]  # two leaves and two, of which one file is of outcomes
    world.plan()
    assert read[3:] == [third, first, second, second]
    assert get_state(world.site, "files_in_turn") == "2"


def test_a_batch_that_the_database_does_not_know_is_read_at_every_start(world, read, monkeypatch):
    monkeypatch.setattr(told, "IN_TURN", 0)
    world.plan()
    read.clear()
    with Session(world.site.engine) as session, session.begin():
        rows = session.scalars(select(BatchRow)).all()
        gone = rows[0].root
        session.delete(rows[0])
    for _ in range(2):
        world.plan()
    assert read == [gone, gone]
