"""The short cuts say what the long way says: order, days, bounds, counts."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from share_on_disk import CUTOFF, NOW, OLD, ZONE, counted, due, find, keys, purge

from connectors.evaluate import Judge
from connectors.files import tree
from connectors.files.asking import Question
from connectors.files.dataset import FileItem, Folder
from connectors.files.listing import walk
from connectors.files.roots import open_root
from ropa.clock import start_of_day
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    Before,
    Condition,
    DatasetSpec,
    OutcomeWord,
    Selection,
    Spare,
    Tally,
    normalise_identifier,
)

SECOND = 10**9
PLAIN = Folder(DatasetSpec("cv", "cv", ZONE), "*", ".ropa-root")


def seconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


# --- bounds and days ----------------------------------------------------------------------------------------------

EDGES = [0, seconds(datetime(1971, 1, 1, tzinfo=UTC)), seconds(start_of_day(CUTOFF, ZONE)), seconds(NOW), 253402300800]
TIMES = st.one_of(
    st.builds(lambda edge, off: edge * SECOND + off, st.sampled_from(EDGES), st.integers(-2 * SECOND, 2 * SECOND)),
    st.integers(-(2**40), 2**36).map(lambda s: s * SECOND),
)


@given(
    modified=TIMES,
    now=st.sampled_from([NOW, NOW + timedelta(microseconds=1), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]),
    days=st.lists(st.sampled_from([CUTOFF, date(1970, 6, 1), date(2100, 1, 1), date(1, 1, 1)]), max_size=2),
    odd=st.sampled_from([0, 1]),
)
def test_comparing_numbers_decides_as_the_judge_does(modified, now, days, odd):
    more = timedelta(microseconds=odd)
    before = tuple(Before("mtime", day, start_of_day(day, ZONE) + more) for day in days)
    selection = due(before=before, now=now)
    status = SimpleNamespace(st_mtime_ns=modified, st_dev=1, st_ino=2, st_size=3, st_ctime_ns=4, st_nlink=1)
    status.st_mode = 0o100644
    item = FileItem(PLAIN, "cv/a", status)
    question = Question(PLAIN, selection, None, lambda _path, _status: None)
    assert question._range is not None  # else nothing would be compared
    judge, undated = Judge(selection), Judge(replace(selection, before=(), undated=True))
    rows = question.sift([SimpleNamespace(name="a", stat=lambda follow_symlinks: status)], "cv/")
    assert [row[0] for row in rows] == ["cv/a"] * judge.is_selected(item)
    assert question.is_selected("cv/a", status) == judge.is_selected(item)
    assert question.tally == Tally(1, int(undated.is_selected(item)))
    assert [row[1][1] for row in rows] == [judge.anchored(item)] * len(rows)


@pytest.mark.parametrize(
    "zone", ["America/St_Johns", "Pacific/Apia", "Africa/Monrovia", "Asia/Kathmandu", "Africa/Cairo", "UTC"]
)
def test_the_day_is_the_day_in_the_controllers_zone_whatever_its_clock_did(share, zone):
    moments = [datetime(1987, 10, 25, 2, 15, tzinfo=UTC), datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC)]
    moments += [datetime(1972, 1, 7, 0, 44, 29, tzinfo=UTC), datetime(2023, 10, 26, 21, 30, tzinfo=UTC)]
    for number, moment in enumerate(moments):
        share.add(f"{number}", moment=moment.timestamp())
    selection = due(zone=ZoneInfo(zone))
    assert [found.anchored for found in find(share.open(), selection)] == [
        (moment.astimezone(ZoneInfo(zone)).date(),) for moment in moments
    ]


def test_the_last_nanosecond_before_the_cut_off_is_due_and_the_cut_off_is_not(share):
    edge = seconds(start_of_day(CUTOFF, ZONE)) * SECOND
    for name, moment in {"a": edge - 1, "b": edge, "c": edge + 1}.items():
        os.utime(share.add(name), ns=(moment, moment))
    assert keys(share.open()) == ["cv/a"]


# --- counting -----------------------------------------------------------------------------------------------------

NAMED = {"anchors": {"named": Anchor("named", (AnchorPart("name", form="%Y-%m-%d"),))}}


@pytest.mark.parametrize(
    ("dataset", "selection"),
    [
        ({}, due()),
        ({"options": {"pattern": "*.pdf"}}, due()),
        ({}, due(match=(Condition("extension", ("pdf",)),))),
        ({}, due(exclude=((Condition("extension", ("pdf",)),),))),
        ({}, due(before=(), undated=True)),
        ({}, due(anchors=(), before=())),
        (NAMED, due("named")),
        (NAMED, due(anchors=("mtime", "named"))),
    ],
)
def test_one_listing_counts_what_three_would(share, dataset, selection):
    share.add("2020-01-01.pdf")
    share.add("2020-01-01.txt", moment=0)
    share.add("deep/er/2020-01-01.pdf", moment=4e9)
    share.add("deep/none.pdf")
    share.add("deep/2026-11-21.txt", moment=NOW.timestamp())
    connector = share.open(**dataset)
    batches, tally = counted(connector, selection)
    assert tally == Tally(connector.count("cv"), len(find(connector, replace(selection, before=(), undated=True))))
    assert sum(map(len, batches)) == len(find(connector, selection))


def test_named_files_are_no_count_of_the_folder(share):
    share.add("a")
    assert counted(share.open(), due(keys=(("cv/a",),)))[1] is None


def test_an_empty_folder_counts_nothing(share):
    assert counted(share.open(), due()) == ([], Tally(0, 0))


# --- order, columns -----------------------------------------------------------------------------------------------


def test_keys_come_in_their_order_however_deep_and_wide_the_tree(share):
    chance = random.Random(3)
    letters = ["a", "a-", "a.b", "a0", "B", "é", "z", "_", " "]
    for _ in range(300):
        parts = [chance.choice(letters) + str(chance.randint(0, 9)) for _ in range(chance.randint(1, 4))]
        path = share.cv.joinpath(*parts)
        if path.is_dir() or any(above.is_file() for above in path.parents):
            continue
        share.add("/".join(parts))
    found = keys(share.open(7))
    on_disk = [str(p.relative_to(share.root)) for p in share.cv.rglob("*") if p.is_file()]
    assert len(found) > 150
    assert found == sorted(on_disk)


def test_many_folders_side_by_side_are_each_listed_once(share):
    for number in range(300):
        share.add(f"{number:03d}/x")
    assert keys(share.open(50)) == [f"cv/{number:03d}/x" for number in range(300)]


def test_a_batch_tells_of_spared_and_blocked_files_only(share):
    for name in ("a", "b", "c", "d", "jan.txt"):
        share.add(name)
    os.link(share.cv / "d", share.root / "elsewhere")
    spare = Spare({"cv": frozenset({("cv/b",)})}, frozenset({normalise_identifier("Jan")}))
    batches = list(share.open(10, subject=("name",)).find(due(spare=spare)))
    assert [dict(batch.notes).keys() for batch in batches] == [{1, 3, 4}]
    assert [(note.is_spared, note.obstacle) for note in batches[0].notes.values()] == [
        (True, None),
        (False, "hard-link"),
        (True, None),
    ]


def test_the_version_is_device_inode_size_and_both_times(share):
    status = share.add("a").stat()
    expected = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    assert find(share.open())[0].version == ":".join(map(str, expected))


# --- acting -------------------------------------------------------------------------------------------------------


def test_outcomes_stand_in_the_order_of_the_batch_whatever_folder_was_done_first(share):
    for folder in range(70):
        for number in range(3):
            share.add(f"{folder:02d}/{number}")
    connector = share.open(500)
    (batch,) = connector.find(due())
    order = list(range(len(batch)))
    random.Random(5).shuffle(order)
    shuffled = Batch("cv", [batch.keys[i] for i in order], [batch.versions[i] for i in order])
    (share.root / batch.keys[17][0]).write_text("changed")
    (share.root / batch.keys[100][0]).unlink()
    outcomes = connector.act(due(), shuffled, Action.PURGE)
    expected = {batch.keys[17]: OutcomeWord.CHANGED, batch.keys[100]: OutcomeWord.ABSENT}
    assert [(o.key, o.word) for o in outcomes] == [
        (key, expected.get(key, OutcomeWord.PURGED)) for key in shuffled.keys
    ]
    assert set(outcomes.odd) == {order.index(17), order.index(100)}
    assert connector.remaining(due(), shuffled) == {batch.keys[17]}


def test_a_file_named_twice_goes_once(share):
    share.add("a")
    connector = share.open()
    found = find(connector)
    assert sorted(purge(connector, found * 2)) == ["absent", "purged"]


def test_folders_are_flushed_before_anything_is_told_and_each_one_that_lost_a_file(share, monkeypatch):
    for folder in range(100):
        share.add(f"{folder:02d}/x", moment=OLD if folder % 2 else NOW.timestamp())
    connector = share.open(500)
    (batch,) = connector.find(due())
    flushed, fsync = [], os.fsync

    def note(descriptor):
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    connector.act(due(), batch, Action.PURGE)
    assert sorted(flushed) == sorted({str(Path(share.root, key).parent) for (key,) in batch.keys})
    assert len(flushed) == 50


@pytest.mark.parametrize("room", [0, 10_000])
def test_what_is_still_there_is_told_whether_the_folder_is_read_or_each_name_asked(share, monkeypatch, room):
    monkeypatch.setattr(tree, "_ROOM", room)
    monkeypatch.setattr(tree, "_MANY_MORE", 0)
    for name in ("a", "b", "c", b"\xff", "d/a", "e/a"):
        share.add(name)
    connector = share.open(10)
    (batch,) = connector.find(due())
    (share.cv / "b").unlink()
    (share.cv / "c").unlink()
    (share.cv / "c").symlink_to("a")
    (share.cv / "e" / "a").unlink()
    (share.cv / "e").rmdir()
    assert connector.remaining(due(), batch) == {("cv/a",), ("cv/\\xff",), ("cv/d/a",)}


def test_a_key_that_is_none_does_not_pass_on_the_strength_of_its_neighbour(share):
    share.add("a")
    share.add("b")
    connector = share.open(10)
    (batch,) = connector.find(due())
    names = ["cv/a", "cv/", "cv/..", "cv/.", "cv/\\x61", "cv/b\0", "cv/b"]
    odd = Batch("cv", [(name,) for name in names], [batch.versions[0]] * 6 + [batch.versions[1]])
    assert [o.word for o in connector.act(due(), odd, Action.PURGE)] == [
        OutcomeWord.PURGED,
        *[OutcomeWord.CHANGED] * 5,
        OutcomeWord.PURGED,
    ]


def test_a_batch_without_versions_removes_nothing(share):
    share.add("a")
    connector = share.open()
    assert [o.word for o in connector.act(due(), Batch("cv", [("cv/a",)]), Action.PURGE)] == [OutcomeWord.CHANGED]


def test_an_error_in_a_thread_ends_the_act_and_leaves_no_descriptor_open(share, monkeypatch):
    for folder in range(5):
        share.add(f"{folder}/x")
    connector = share.open(10)
    (batch,) = connector.find(due())
    before = len(list(Path("/proc/self/fd").iterdir()))

    def fail(*_args, **_more):
        raise MemoryError

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(MemoryError):
        connector.act(due(), batch, Action.PURGE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_unfinished_listing_leaves_no_thread_in_a_closed_folder(share):
    for number in range(200):
        share.add(f"{number:03d}/x/y")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with open_root(str(share.root), ".ropa-root", "share") as root:
        listing = walk(root, ("cv",), lambda entries, prefix: [(prefix + e.name, None) for e in entries])
        assert next(listing) == [("cv/000/x/y", None)]
        listing.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_selection_is_asked_again_of_every_file(share):
    share.add("a")
    connector = share.open()
    (batch,) = connector.find(due())
    narrower = Selection("cv", ZONE, NOW, before=(Before("mtime", date(2019, 1, 1), datetime(2019, 1, 1, tzinfo=UTC)),))
    assert [o.word for o in connector.act(narrower, batch, Action.PURGE)] == [OutcomeWord.CHANGED]
