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
