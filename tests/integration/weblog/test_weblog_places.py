"""Where planned lines stand when their log has to be searched again, and that no other bytes are ever taken for them."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from log_place import IP, act, due, find, line

from connectors.weblog import acting
from connectors.weblog.locating import Spot
from connectors.weblog.versions import Version
from ropa.connector import Action

OLD, MID, NEW = "01/Feb/2026", "02/Feb/2026", "01/Jun/2026"
PACKS = {"plain": (bytes, bytes), "gz": (gzip.compress, gzip.decompress)}


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("fields", [(), IP], ids=["purge", "anonymise"])
def test_the_planned_lines_are_found_again_behind_a_very_long_line(logs, monkeypatch, kind, fields):
    monkeypatch.setattr("connectors.weblog.streams.BLOCK", 1000)
    monkeypatch.setattr("connectors.weblog.streams.LONGEST_LINE", 1000)
    pack, unpack = PACKS[kind]
    long = b"x" * 5300 + b"\n" + b"y" * 3100 + b"\n"
    kept = "".join(line(NEW, ip=f"192.0.2.{number}", agent=f"keep{number}") for number in range(1, 60)).encode()
    meant = line(MID, ip="192.0.2.77").encode()
    tail = kept.replace(b"keep", b"tail")
    path = logs.add("access.1", pack(long + kept + meant + tail))
    connector, selection = logs.open(format="combined"), due(fields=fields)
    batches = find(connector, selection)
    path.chmod(0o600)
    assert act(connector, batches, selection) == ["anonymised" if fields else "purged"]
    left = meant.replace(b"192.0.2.77", b"192.0.2.0") if fields else b""
    assert unpack(path.read_bytes()) == long + kept + left + tail


@pytest.mark.parametrize("kind", PACKS)
@pytest.mark.parametrize("fields", [(), IP], ids=["purge", "anonymise"])
@pytest.mark.parametrize("is_searched", [True, False])
def test_where_other_bytes_stand_than_planned_nothing_of_the_log_changes(logs, monkeypatch, kind, fields, is_searched):
    pack, _ = PACKS[kind]
    text = line(OLD, ip="192.0.2.1") + line(NEW, ip="192.0.2.2") + line(MID, ip="192.0.2.3") + line(NEW, ip="192.0.2.4")
    path = logs.add("access.1", pack(text.encode()))
    connector, selection = logs.open(), due(fields=fields)
    (batch,) = find(connector, selection)
    if is_searched:
        # A search that errs, as one did behind a line of more than a mebibyte.
        size, real = len(line(OLD, ip="192.0.2.1")), acting.find_again

        def wrong(*given):
            located = real(*given)
            located.spots[1] = Spot(located.spots[1].start + size, located.spots[1].end + size, is_same=True)
            return located

        monkeypatch.setattr(acting, "find_again", wrong)
    else:
        version = Version.parse(batch.versions[1])
        moved = replace(version, start=version.start + version.size)
        batch = replace(batch, versions=[batch.versions[0], str(moved)])
    before = path.read_bytes(), path.stat()
    assert [str(one.word) for one in connector.act(selection, batch, Action.ANONYMISE if fields else Action.PURGE)] == [
        "changed",
        "changed",
    ]
    assert (path.read_bytes(), path.stat()) == before
    assert logs.names() == {"access.1"}


@pytest.mark.parametrize("size", [1, 2, 100])
def test_lines_that_differ_in_their_addresses_alone_are_told_apart_when_they_are_masked_one_batch_after_the_other(
    logs, size
):
    numbers = [7, 8, 6, 4, 3, 5]
    text = "".join(line(OLD, ip=f"192.0.2.{number}") + line(NEW, ip="192.0.2.9") for number in numbers)
    path = logs.add("access.1", text)
    connector, selection = logs.open(size), due(fields=IP)
    batches = find(connector, selection)
    path.chmod(0o600)
    assert act(connector, batches, selection) == ["anonymised"] * len(numbers)
    assert path.read_text() == (line(OLD, ip="192.0.2.0") + line(NEW, ip="192.0.2.9")) * len(numbers)


def test_what_was_masked_meanwhile_is_looked_for_where_no_other_planned_lines_are(logs):
    path = logs.add("access.1", line(OLD, ip="192.0.2.7") + line(NEW) + line(OLD, ip="192.0.2.8") + line(NEW))
    connector, selection = logs.open(100), due(fields=IP)
    (batch,) = find(connector, selection)
    path.write_text(line(OLD, ip="192.0.2.8") + line(NEW) + line(OLD, ip="192.0.2.0") + line(NEW))
    logs.age(path)
    assert connector.remaining(selection, batch) == {("access.1", "3-3")}
    outcomes = connector.act(selection, batch, Action.ANONYMISE)
    assert [str(outcome.word) for outcome in outcomes] == ["changed", "anonymised"]
    assert path.read_text() == (line(OLD, ip="192.0.2.0") + line(NEW)) * 2
