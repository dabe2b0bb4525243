"""Nothing but the planned files goes, whatever the disk does meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from share_on_disk import OLD, ZONE, as_nobody, counted, due, find, keys, purge

from connectors.files import TYPE, tree
from connectors.files.roots import Root, mounts_below, open_root
from connectors.files.tree import Purge
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    DatasetSpec,
    FieldChange,
    Found,
    LocationSpec,
    OutcomeWord,
    Parent,
    Spare,
    Tally,
)
from ropa.errors import CallError, ConfigurationError, IncompleteListingError, LocationError

TRIES = int(os.environ.get("ROPA_CAMPAIGN", "2000"))

# --- the root -----------------------------------------------------------------------------------------------------


def every_question(connector):
    batch = Batch.of("cv", (Found(("cv/a",), "1:1:1:1:1"),))
    return [
        connector.check,
        connector.datasets,
        lambda: connector.count("cv"),
        lambda: connector.problems("cv"),
        lambda: list(connector.find(due())),
        lambda: list(connector.find(due(keys=(("cv/a",),)))),
        lambda: connector.act(due(), batch, Action.PURGE),
        lambda: connector.remaining(due(), batch),
        lambda: list(connector.read("cv", "zoé")),
    ]


@pytest.mark.parametrize("how", ["sentinel", "folder", "link"])
def test_a_root_without_its_sentinel_is_never_taken_for_an_empty_one(share, how):
    connector = share.open()
    sentinel = share.root / ".ropa-root"
    sentinel.unlink()
    if how == "folder":
        sentinel.mkdir()
    if how == "link":
        sentinel.symlink_to("/etc/hostname")
    for ask in every_question(connector):
        with pytest.raises(LocationError, match="share may not be mounted") as caught:
            ask()
        assert caught.value.code == "sentinel-missing"
        assert str(sentinel) in caught.value.next_step


def test_a_root_that_is_not_there_is_an_error_and_not_an_empty_place(share):
    connector = share.open(location={"root": str(share.root / "gone")})
    for ask in every_question(connector):
        with pytest.raises(LocationError, match="not there"):
            ask()


def test_a_root_that_becomes_a_link_after_opening_is_not_followed(share, tmp_path):
    share.add("a")
    connector = share.open()
    moved = tmp_path / "moved"
    share.root.rename(moved)
    share.root.symlink_to(moved)
    try:
        with pytest.raises(LocationError):
            connector.count("cv")
    finally:
        share.root.unlink()
        moved.rename(share.root)


@pytest.mark.parametrize(
    "root",
    ["", ".", "data", "/", "//", "/home", "/home/", "/home/someone", "/etc", "/etc/ssl", "/usr", "/usr/share", "/var",
     "/root", "/tmp", "/proc/self", "/srv/../etc", "/srv/data/..", "/srv", "/srv/project", "/srv/project/var/ledger",
     "/srv/project/config"],
)  # fmt: skip
def test_a_root_that_holds_a_system_a_home_or_this_project_is_refused(root):
    spec = LocationSpec("share", "files", ZONE, {"root": root, "folder": "/srv/project"})
    with pytest.raises(ConfigurationError) as caught:
        TYPE.open(spec)
    assert [problem.path for problem in caught.value.problems] == ["location.share.root"]


def test_a_link_as_root_is_refused_also_with_a_slash_behind_it(share, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(share.root)
    for root in (str(link), f"{link}/"):
        with pytest.raises(ConfigurationError):
            share.open(location={"root": root})


def test_a_link_in_the_way_to_a_system_folder_does_not_hide_it(tmp_path):
    (tmp_path / "link").symlink_to("/")
    spec = LocationSpec("share", "files", ZONE, {"root": str(tmp_path / "link" / "etc")})
    with pytest.raises(ConfigurationError):
        TYPE.open(spec)


@pytest.mark.parametrize("source", ["", "..", "../other", "/etc", "cv/../..", "cv//x", "cv/."])
def test_a_dataset_that_is_not_below_the_root_is_refused(share, source):
    with pytest.raises(ConfigurationError) as caught:
        share.open(source=source)
    assert [problem.path for problem in caught.value.problems] == ["location.share.dataset.cv.source"]


def test_a_folder_that_is_a_link_or_missing_is_a_problem_and_an_error(share, tmp_path):
    (tmp_path / "a").touch()
    (share.root / "link").symlink_to(tmp_path)
    for source in ("link", "gone"):
        connector = share.open(source=source)
        assert len(connector.problems("cv")) == 1
        with pytest.raises(LocationError):
            connector.count("cv")
        with pytest.raises(LocationError):
            list(connector.find(due()))


def test_the_sentinel_is_no_record(share):
    os.utime(share.root / ".ropa-root", (OLD, OLD))
    share.add("a")
    connector = share.open(source=".")
    assert keys(connector) == ["cv/a"]
    assert purge(connector, [replace(find(connector)[0], key=(".ropa-root",))]) == ["changed"]
    assert (share.root / ".ropa-root").exists()


def test_another_sentinel_can_be_named(share):
    (share.root / ".ropa-root").rename(share.root / "this-is-it")
    assert share.open(location={"sentinel": "this-is-it"}).check().is_reachable
    with pytest.raises(ConfigurationError):
        share.open(location={"sentinel": "cv/this-is-it"})


def test_undeclared_folders_are_listed(share):
    (share.root / "photos").mkdir()
    listed = [(info.source, info.declared_as, info.kind) for info in share.open().datasets()]
    assert listed == [("cv", "cv", "folder"), ("photos", None, "folder")]
    assert [info.source for info in share.open(source=".").datasets()] == ["."]


# --- what is no file ----------------------------------------------------------------------------------------------


def test_links_pipes_and_sockets_are_never_opened_and_never_records(share, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("canary")
    (share.cv / "to-folder").symlink_to(outside)
    (share.cv / "to-file").symlink_to(outside / "precious")
    (share.cv / "to-nothing").symlink_to("nowhere")
    os.mkfifo(share.cv / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(share.cv / "socket"))
        share.add("file")
        connector = share.open(100)
        (found,) = find(connector)
        assert found.key == ("cv/file",)
        assert connector.count("cv") == 1
        others = ["to-folder", "to-file", "to-nothing", "pipe", "socket", "to-folder/precious"]
        batch = [replace(found, key=(f"cv/{name}",)) for name in others]
        before = share.tree()
        assert purge(connector, batch) == ["changed"] * 6
        assert connector.remaining(due(), Batch.of("cv", tuple(batch))) == set()
    assert share.tree() == before
    assert (outside / "precious").read_text() == "canary"


def test_a_device_is_never_a_record(share):
    try:
        os.mknod(share.cv / "device", 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        print("devices cannot be made here")
    share.add("file")
    assert keys(share.open()) == ["cv/file"]


def test_a_key_never_leads_outside_the_datasets_folder(share):
    share.add("inside")
    elsewhere = share.root / "other"
    elsewhere.write_text("canary")
    connector = share.open(100)
    (found,) = find(connector)
    bad = ["other", "../other", "cv/../other", str(elsewhere), "cv", "cv/", "", "cv/inside/x", "cv/\\x2e\\x2e/other"]
    outcomes = purge(connector, [replace(found, key=(key,)) for key in bad] + [replace(found, key=("cv", "inside"))])
    assert set(outcomes) == {"changed"}
    assert elsewhere.exists()
    assert (share.cv / "inside").exists()


def test_a_hard_link_is_blocked_because_the_content_would_stay(share, tmp_path):
    path = share.add("one")
    os.link(path, share.cv / "two")
    connector = share.open()
    found = find(connector)
    assert [record.obstacle for record in found] == ["hard-link", "hard-link"]
    assert purge(connector, found) == ["blocked:hard-link"] * 2
    assert len(keys(connector)) == 2


def test_a_file_of_two_datasets_is_blocked(share):
    share.add("a.pdf")
    share.add("b.txt")
    wide = DatasetSpec("all", "cv", ZONE)
    narrow = DatasetSpec("pdfs", "cv", ZONE, options={"pattern": "*.pdf"})
    connector = share.open(datasets={"all": wide, "pdfs": narrow})
    found = find(connector, due(dataset="all"))
    assert [record.obstacle for record in found] == ["two-datasets", None]
    assert purge(connector, found, due(dataset="all")) == ["blocked:two-datasets", "purged"]


def test_a_hold_under_any_dataset_of_the_location_covers_the_file(share):
    share.add("a")
    connector = share.open()
    selection = due(spare=Spare(keys={"other": frozenset({("cv/a",)})}))
    assert purge(connector, find(connector), selection) == ["held"]


# --- other file systems -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_another_file_system_in_the_tree_is_not_entered(share, tmp_path, kind):
    mounted = share.cv / "mounted"
    mounted.mkdir()
    (tmp_path / "old").touch()
    command = {"tmpfs": ["mount", "-t", "tmpfs", "none"], "bind": ["mount", "--bind", str(tmp_path)]}[kind]
    if os.getuid() != 0 or subprocess.run([*command, str(mounted)], capture_output=True, check=False).returncode != 0:
        print(f"does not apply: {kind} cannot be mounted here")
        return
    try:
        share.add("mounted/old")
        share.add("here")
        connector = share.open(100)
        found = find(connector)
        assert [record.key for record in found] == [("cv/here",)]
        assert connector.count("cv") == 1
        assert mounts_below(str(share.root)) == 1
        assert "mounted" in connector.check().notes[0]
        status = (mounted / "old").stat()
        forged = f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
        stray = Found(("cv/mounted/old",), forged)
        assert purge(connector, [stray, *found]) == ["changed", "purged"]
        assert (mounted / "old").exists()
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


# --- identity -----------------------------------------------------------------------------------------------------


def rewrite(path):
    path.write_text("other text")
    os.utime(path, (OLD, OLD))


def replace_file(path):
    path.rename(f"{path}.away")
    path.write_text("canary")
    os.utime(path, (OLD, OLD))


def touch(path):
    os.utime(path, (OLD + 1, OLD + 1))


def chmod(path):
    path.chmod(0o600)


def make_folder(path):
    path.unlink()
    path.mkdir()


def link_away(path):
    path.symlink_to(path.rename(f"{path}.away"))


@pytest.mark.parametrize("change", [rewrite, replace_file, touch, chmod, make_folder, link_away])
def test_a_file_that_is_not_the_planned_one_in_the_planned_state_stays(share, change):
    path = share.add("a")
    connector = share.open()
    found = find(connector)
    time.sleep(0.01)  # two states within one tick of the kernel's clock would have the same times
    change(path)
    before = share.tree()
    assert purge(connector, found) == ["changed"]
    assert share.tree() == before


def test_a_file_that_took_the_name_in_the_last_moment_is_not_called_purged(share, monkeypatch):
    path = share.add("a")
    share.add("b")
    connector = share.open()
    found = find(connector)
    unlink = os.unlink

    def late(name, *, dir_fd):
        if name == "a":
            path.rename(f"{path}.away")
            path.touch()
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", late)
    assert purge(connector, found) == ["failed:name-swapped", "purged"]
    assert Path(f"{path}.away").exists()


@pytest.mark.parametrize("moment", [0, 1, 86400 * 364, -5, 4e9])
def test_a_time_that_nobody_set_or_that_is_yet_to_come_is_never_due(share, moment):
    share.add("a", moment=moment)
    connector = share.open()
    assert keys(connector) == []
    assert keys(connector, due(before=(), undated=True)) == ["cv/a"]


# --- trouble ------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_read_makes_the_listing_incomplete_and_is_not_named(share):
    share.add("a")
    share.add("Zoé Canary/b")
    (share.cv / "Zoé Canary").chmod(0)
    connector = share.open()
    with as_nobody():
        for ask in (lambda: list(connector.find(due())), lambda: connector.count("cv")):
            with pytest.raises(IncompleteListingError) as caught:
                ask()
            assert "Canary" not in f"{caught.value} {caught.value.next_step}"
            assert str((share.cv / "Zoé Canary").lstat().st_ino) in str(caught.value)


def test_a_file_that_may_not_be_removed_fails_and_the_others_go(share):
    share.add("closed/a")
    share.add("open/b")
    (share.cv / "open").chmod(0o777)
    (share.cv / "closed").chmod(0o555)
    connector = share.open()
    found = find(connector)
    with as_nobody():
        assert purge(connector, found) == ["failed:eacces", "purged"]
        assert connector.remaining(due(), Batch.of("cv", tuple(found))) == {("cv/closed/a",)}


def test_a_name_that_no_disk_takes_fails_by_its_code(share):
    share.add("a")
    connector = share.open()
    (found,) = find(connector)
    assert purge(connector, [replace(found, key=(f"cv/{'x' * 300}",)), found]) == ["failed:enametoolong", "purged"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EBUSY, errno.EROFS, errno.EIO])
def test_every_error_of_the_disk_is_told_by_its_code(share, monkeypatch, error):
    share.add("a")
    share.add("b")
    connector = share.open()
    found = find(connector)
    unlink = os.unlink

    def refuse(name, *, dir_fd):
        if name == "a":
            raise OSError(error, os.strerror(error))
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    assert purge(connector, found) == [f"failed:{errno.errorcode[error].lower()}", "purged"]


def test_what_cannot_be_flushed_to_disk_is_not_called_purged(share, monkeypatch):
    share.add("a")

    def fail(_descriptor):
        raise OSError(errno.EIO, "")

    connector = share.open()
    found = find(connector)
    monkeypatch.setattr(os, "fsync", fail)
    assert purge(connector, found) == ["unverified"]


def test_a_read_back_that_is_not_possible_is_an_error(share):
    share.add("closed/a")
    connector = share.open()
    batch = Batch.of("cv", tuple(find(connector)))
    (share.cv / "closed").chmod(0)
    with as_nobody(), pytest.raises(LocationError):
        connector.remaining(due(), batch)


def test_a_named_file_that_cannot_be_looked_at_makes_the_listing_incomplete(share):
    share.add("closed/a")
    (share.cv / "closed").chmod(0)
    with as_nobody(), pytest.raises(IncompleteListingError):
        list(share.open().find(due(keys=(("cv/closed/a",),))))


class Going:
    """An entry of a folder whose file goes, or becomes something else, after it was listed."""

    def __init__(self, entry, go) -> None:
        self._entry = entry
        self._go = go
        self.name = entry.name

    def __getattr__(self, name):
        return getattr(self._entry, name)

    def stat(self, **how):
        self._go(self.name)
        return self._entry.stat(**how)


def test_a_file_that_goes_while_the_folder_is_listed_is_passed_over(share, monkeypatch):
    for name in ("a", "b", "c", "d/e"):
        share.add(name)
    scandir = os.scandir

    def go(name):
        if name == "b":
            (share.cv / "b").unlink()
        if name == "c":
            (share.cv / "c").unlink()
            (share.cv / "c").mkdir()
        if name == "e":
            (share.cv / "d" / "e").unlink()
            (share.cv / "d").rmdir()

    @contextlib.contextmanager
    def late(descriptor):
        with scandir(descriptor) as entries:
            yield (Going(entry, go) for entry in entries)

    monkeypatch.setattr(os, "scandir", late)
    batches, tally = counted(share.open(), due())
    assert [batch.keys for batch in batches] == [[("cv/a",)]]
    assert tally == Tally(1, 0)


@pytest.fixture
def when_entered(monkeypatch):
    """Have something done just before a folder is entered for the nth time."""

    def plan(name, times, do):
        enter, entered = Root.enter, []

        def late(root, parent, other):
            entered.append(other)
            if other == name and entered.count(name) == times:
                do()
            return enter(root, parent, other)

        monkeypatch.setattr(Root, "enter", late)

    return plan


def test_a_folder_that_goes_before_it_is_entered_is_passed_over(share, when_entered):
    for name in ("a", "d/e/f", "f/g/h"):
        share.add(name)
    when_entered("d", 1, lambda: (share.cv / "d").rename(share.root / "d"))
    assert keys(share.open()) == ["cv/a", "cv/f/g/h"]


def test_of_a_folder_that_goes_after_it_was_listed_the_folders_are_passed_over(share, when_entered):
    for name in ("b/c", "d/a", "d/e/f", "g/h/i"):
        share.add(name)
    when_entered("d", 2, lambda: (share.cv / "d").rename(share.root / "d"))
    assert keys(share.open()) == ["cv/b/c", "cv/d/a", "cv/g/h/i"]


def test_a_folder_that_was_exchanged_for_another_after_it_was_listed_makes_the_listing_incomplete(share, when_entered):
    share.add("d/e/f")

    def exchange():
        (share.cv / "d").rename(share.root / "d")
        share.add("d/e/f")

    when_entered("d", 2, exchange)
    with pytest.raises(IncompleteListingError, match="enotdir") as caught:
        keys(share.open())
    assert str((share.root / "d").stat().st_ino) in str(caught.value)


def test_a_folder_that_becomes_a_link_after_it_was_listed_makes_the_listing_incomplete(share, when_entered):
    share.add("d/e/f")

    def exchange():
        (share.cv / "d").rename(share.root / "d")
        (share.cv / "d").symlink_to(share.root / "d")

    when_entered("d", 2, exchange)
    with pytest.raises(IncompleteListingError):
        keys(share.open())


def test_a_file_whose_status_cannot_be_told_makes_the_listing_incomplete_and_is_not_named(share, monkeypatch):
    share.add("b")
    scandir = os.scandir

    def fail(name):
        raise OSError(errno.EIO, "", name)

    @contextlib.contextmanager
    def broken(descriptor):
        with scandir(descriptor) as entries:
            yield (Going(entry, fail) for entry in entries)

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(IncompleteListingError, match=f"eio, inode {(share.cv / 'b').stat().st_ino}"):
        keys(share.open())


def test_a_folder_that_cannot_be_listed_to_the_end_makes_the_listing_incomplete(share, monkeypatch):
    share.add("b")

    @contextlib.contextmanager
    def broken(_descriptor):
        raise OSError(errno.EIO, "")
        yield

    monkeypatch.setattr(os, "scandir", broken)
    connector = share.open()
    for ask in (lambda: keys(connector), lambda: connector.count("cv")):
        with pytest.raises(IncompleteListingError, match="eio"):
            ask()


def test_a_file_that_somebody_else_removes_in_the_last_moment_is_absent(share, monkeypatch):
    path = share.add("a")
    connector = share.open()
    found = find(connector)
    unlink = os.unlink

    def late(name, *, dir_fd):
        unlink(path)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", late)
    assert purge(connector, found) == ["absent"]


def test_a_folder_that_becomes_a_link_while_it_is_listed_makes_the_listing_incomplete(share, tmp_path):
    share.add("a")
    share.add("b/c")
    (tmp_path / "c").write_text("canary")
    batches = share.open(1).find(due())
    next(batches)
    (share.cv / "b").rename(share.root / "b")
    (share.cv / "b").symlink_to(tmp_path)
    with pytest.raises(IncompleteListingError):
        list(batches)


def test_rights_are_told_before_anything_is_asked(share):
    share.add("a")
    connector = share.open()
    assert (connector.check().may_read, connector.check().may_delete) == (True, True)
    assert share.open(source="gone").check().may_read is False
    share.root.chmod(0o555)
    share.cv.chmod(0o555)
    with as_nobody():
        assert (connector.check().may_read, connector.check().may_delete) == (True, False)


def test_no_descriptor_stays_open(share):
    for number in range(5):
        share.add(f"{number}/x/y/z")
    connector = share.open(1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    unfinished = connector.find(due())
    next(unfinished)
    unfinished.close()
    purge(connector, find(connector))
    connector.check()
    connector.datasets()
    connector.problems("cv")
    with contextlib.suppress(LocationError):
        share.open(source="gone").count("cv")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_deep_tree_is_no_trouble(share):
    deep = "/".join(["d"] * 120)
    share.add(f"{deep}/a")
    connector = share.open()
    assert purge(connector, find(connector)) == ["purged"]


# --- what it cannot do --------------------------------------------------------------------------------------------


def test_a_file_goes_as_a_whole_or_not_at_all(share):
    share.add("a")
    connector = share.open(data={"cv": ("*.pdf",), "name": ("*",)})
    fields = due(fields=(FieldChange("*.pdf"),))
    assert len(connector.problems("cv", fields)) == 1
    assert connector.problems("cv", due()) == []
    batch = Batch.of("cv", tuple(find(connector)))
    assert [o.word for o in connector.act(fields, batch, Action.ANONYMISE)] == [OutcomeWord.REFUSED]
    assert [o.word for o in connector.act(fields, batch, Action.PURGE)] == [OutcomeWord.REFUSED]
    riding = Batch.of("cv", batch.records, (Batch.of("x", batch.records),))
    assert [(o.word, o.dataset) for o in connector.act(due(), riding, Action.PURGE)] == [
        (OutcomeWord.REFUSED, None),
        (OutcomeWord.REFUSED, "x"),
    ]
    assert (share.cv / "a").exists()


@pytest.mark.parametrize(
    "part",
    [AnchorPart("ctime"), AnchorPart("name"), AnchorPart("mtime", form="%Y"), AnchorPart("mtime", dataset="other")],
)
def test_a_date_that_files_do_not_have_is_a_problem_and_never_due(share, part):
    share.add("2020-01-01")
    connector = share.open(anchors={"odd": Anchor("odd", (part,))})
    assert len(connector.problems("cv")) == 1
    assert keys(connector, due("odd")) == []
    assert keys(connector, due("nowhere")) == []


def test_files_belong_to_no_other_record(share):
    share.add("a")
    assert keys(share.open(), due(parents=("other", (("cv/a",),)))) == []


def test_what_files_do_not_have_is_a_problem(share):
    connector = share.open(subject=("email",), key=("id",), parent=Parent("x", ("y",)))
    assert len(connector.problems("cv")) == 3
    assert len(connector.problems("cv", due("opened", parents=None))) == 4
    with pytest.raises(CallError):
        connector.count("photos")


def test_more_folders_than_are_held_open_at_a_time_are_all_flushed_and_closed(share, monkeypatch):
    monkeypatch.setattr(tree, "_OPEN", 3)
    flushed, real = [], tree.is_flushed
    monkeypatch.setattr(tree, "is_flushed", lambda folder: flushed.append(os.fstat(folder).st_ino) or real(folder))
    for number in range(8):
        share.add(f"{number}/a.pdf")
        share.add(f"{number}/b.pdf")
    folders = {(share.cv / str(number)).stat().st_ino for number in range(8)}
    connector = share.open(100)
    (batch,) = connector.find(due())
    before = len(list(Path("/proc/self/fd").iterdir()))
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert (outcomes.word, outcomes.odd) == (OutcomeWord.PURGED, {})
    assert sorted(flushed) == sorted(folders)
    assert not any(path.is_file() for path in share.cv.rglob("*"))


# --- empty folders ------------------------------------------------------------------------------------------------


def test_folders_stay_unless_it_was_asked_that_they_go(share):
    share.add("a/b/one")
    connector = share.open()
    assert purge(connector, find(connector)) == ["purged"]
    assert (share.cv / "a" / "b").is_dir()


def test_folders_that_a_purge_empties_go_where_it_was_asked_but_not_the_datasets_own(share):
    share.add("a/b/one")
    share.add("a/c/two")
    share.add("d/three")
    share.add("d/new", moment=2e9)
    share.add("top")
    (share.cv / "was-empty").mkdir()
    connector = share.open(100, options={"prune_empty": True})
    assert purge(connector, find(connector)) == ["purged"] * 4
    assert sorted(path.name for path in share.cv.iterdir()) == ["d", "was-empty"]
    (share.cv / "d" / "new").unlink()
    (share.cv / "d").rmdir()
    (share.cv / "was-empty").rmdir()
    share.add("last")
    assert purge(connector, find(connector)) == ["purged"]
    assert share.cv.is_dir()


# --- the race -----------------------------------------------------------------------------------------------------


class Exchanger(threading.Thread):
    """Exchanges two names as fast as it can (renameat2(2), RENAME_EXCHANGE)."""

    def __init__(self, one: Path, other: Path) -> None:
        super().__init__(daemon=True)
        self._names = (os.fsencode(one), os.fsencode(other))
        self._stopped = threading.Event()
        self.exchanges = 0

    def run(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        while not self._stopped.is_set():
            if libc.renameat2(-100, self._names[0], -100, self._names[1], 2) == 0:
                self.exchanges += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self.join()


@pytest.mark.whole
def test_a_folder_exchanged_with_a_link_all_the_time_leads_nowhere_else(share, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = [outside / str(number) for number in range(TRIES)]
    for number, path in enumerate(precious):
        path.write_text("canary")
        share.add(f"folder/{number}")
    (share.cv / "link").symlink_to(outside)
    seen = set()
    with Exchanger(share.cv / "folder", share.cv / "link") as exchanger:
        for number in range(TRIES):
            # Whatever is at that path would go: only the way to it protects what lies outside.
            with open_root(str(share.root), ".ropa-root", "share") as root:
                files = {("cv", "folder"): [(0, str(number))]}
                seen |= {word for _, (word, _) in Purge(root, lambda _pos, _status: None).files(files)}
            time.sleep(0)
    assert exchanger.exchanges > 0
    assert seen <= {OutcomeWord.PURGED, OutcomeWord.CHANGED, OutcomeWord.ABSENT}
    assert sum(path.exists() for path in precious) == TRIES
    print(f"{TRIES} tries, {exchanger.exchanges} exchanges, seen {sorted(seen)}")


def test_the_whole_connector_under_exchange_purges_planned_files_only(share, tmp_path):
    tries = max(TRIES // 10, 20)
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(tries):
        share.add(f"folder/{number}")
        (outside / str(number)).write_text("canary")
        os.utime(outside / str(number), (OLD, OLD))
    (share.cv / "link").symlink_to(outside)
    connector = share.open(1)
    planned = [found for found in find(connector) if found.key[0].startswith("cv/folder/")]
    assert len(planned) == tries
    with Exchanger(share.cv / "folder", share.cv / "link"):
        outcomes = [purge(connector, [found])[0] for found in planned]
    purged = outcomes.count("purged")
    assert set(outcomes) <= {"purged", "changed"}
    real = next(path for path in (share.cv / "folder", share.cv / "link") if not path.is_symlink())
    assert len(list(real.iterdir())) == tries - purged
    assert len(list(outside.iterdir())) == tries
