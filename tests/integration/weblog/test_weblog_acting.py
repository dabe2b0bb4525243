"""Purging and masking lines of real files: exactly the planned lines, and nothing else of the file or its folder."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pytest
import zstandard
from log_place import IP, LONG_AGO, ZONE, act, due, find, keys, line, tally

from connectors.weblog import TYPE, rewriting
from ropa.connector import Action, Before, DatasetSpec, LocationSpec, Spare, normalise_identifier
from ropa.errors import CallError, ConfigurationError, IncompleteListingError

OLD, MID, NEW = "01/Feb/2026", "02/Feb/2026", "01/Jun/2026"


def old(ip="192.0.2.7", **more):
    return line(OLD, ip=ip, **more)


def new(ip="192.0.2.7", **more):
    return line(NEW, ip=ip, **more)


# --- ranges -------------------------------------------------------------------------------------------------------


def test_a_record_is_a_run_of_lines_of_one_day_and_structure_belongs_to_none(logs):
    logs.add("access.1", old(), old(), new(), "garbage\n", "\n", old(), line(MID), line("01/Jan/2099"), "more garbage")
    with_all = due(before=(), check_anchors=False)
    connector = logs.open()
    assert keys(find(connector)) == ["access.1 1-2", "access.1 6-6", "access.1 7-7"]
    assert [f.anchored[0] for b in find(connector) for f in b.records] == [date(2026, 2, 1)] * 2 + [date(2026, 2, 2)]
    assert keys(find(connector, with_all)) == [
        f"access.1 {n}" for n in ("1-2", "3-3", "4-4", "6-6", "7-7", "8-8", "9-9")
    ]
    assert connector.count("access") == 7
    assert tally(connector) == (7, 3)
    undated = due(before=(), undated=True)
    assert keys(find(connector, undated)) == ["access.1 4-4", "access.1 8-8", "access.1 9-9"]


def test_what_is_told_of_a_record_holds_nothing_of_it(logs):
    logs.add("access.1", old(user="bob"), new())
    told = repr(find(logs.open())) + repr(find(logs.open(), due(fields=IP)))
    assert not any(word in told for word in ("192.0.2", "bob", "canary"))


def test_versions_of_two_places_cannot_be_linked(logs):
    logs.add("access.1", old())
    (one,), (other,) = find(logs.open()), find(logs.open())
    assert one.versions[0].split(".")[-3:] != other.versions[0].split(".")[-3:]


# --- purging ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 100])
def test_lines_in_any_order_go_by_their_own_day_over_any_number_of_batches(logs, size):
    chance = random.Random(size)
    lines = []
    for number in range(200):
        kind = chance.choice([old, old, new, None])
        end = chance.choice(["\n", "\r\n"])
        text = kind(f"192.0.2.{number}", end=end) if kind else chance.choice(["\xff garbage\n", "\n", "x" * 300 + "\n"])
        lines.append(text.encode("latin-1"))
    path = logs.add("access.1", *lines)
    connector = logs.open(size)
    batches = find(connector)
    assert len(batches) > 1 or size == 100
    assert set(act(connector, batches)) == {"purged"}
    assert path.read_bytes() == b"".join(each for each in lines if OLD.encode() not in each)
    assert find(connector) == []


def test_another_process_finds_the_ranges_that_moved(logs):
    path = logs.add("access.1", old("1.1.1.1"), new("2.2.2.2"), old("3.3.3.3"), new("4.4.4.4"), line(MID), new())
    first, second = find(logs.open(2))
    assert act(logs.open(2), [first]) == ["purged", "purged"]
    assert act(logs.open(2), [second]) == ["purged"]
    assert path.read_text() == new("2.2.2.2") + new("4.4.4.4") + new()


def test_a_range_that_moved_is_not_taken_for_another_that_begins_alike(logs):
    # Purging the other day's line makes the two runs of the old day neighbours: "X" and "X Y" become "X X Y".
    twin = old("1.1.1.1")
    path = logs.add("access.1", twin, line(MID), twin, old("2.2.2.2"), new())
    (batch,) = find(logs.open(3))
    by_key = {found.key[1]: found for found in batch.records}
    connector = logs.open(3)
    assert act(connector, [replace(batch, **_only(batch, [by_key["2-2"]]))]) == ["purged"]
    assert act(logs.open(3), [replace(batch, **_only(batch, [by_key["3-4"]]))]) == ["purged"]
    assert path.read_text() == twin + new()


def _only(batch, records):
    return {
        "keys": [found.key for found in records],
        "versions": [found.version for found in records],
        "anchored": [found.anchored for found in records],
    }


def test_purging_again_says_absent_and_a_changed_line_stays(logs):
    path = logs.add("access.1", old("1.1.1.1"), new(), line(MID, ip="2.2.2.2"), new())
    connector = logs.open()
    batches = find(connector)
    path.write_text(path.read_text().replace("2.2.2.2", "2.2.2.3"))
    logs.age(path)
    assert act(connector, batches) == ["purged", "changed"]
    assert path.read_text() == new() + line(MID, ip="2.2.2.3") + new()
    (batch,) = find(connector)
    assert act(connector, [batch]) == ["purged"]
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert [outcome.word for outcome in outcomes] == ["absent"]


def test_a_missing_last_newline_stays_missing_and_goes_with_its_line(logs):
    kept = logs.add("access.1", old(), new(end=""))
    gone = logs.add("access.2", new(), old(end=""))
    connector = logs.open()
    assert act(connector, find(connector)) == ["purged", "purged"]
    assert kept.read_text() == new(end="")
    assert gone.read_text() == new()


def test_a_log_that_becomes_empty_stays_as_an_empty_one_and_keeps_owner_mode_and_times(logs):
    path = logs.add("access.1", old())
    path.chmod(0o640)
    if os.getuid() == 0:
        os.chown(path, 1234, 4321)
    logs.age(path)
    before = path.stat()
    connector = logs.open()
    assert act(connector, find(connector)) == ["purged"]
    after = path.stat()
    assert path.read_bytes() == b""
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert (after.st_mtime_ns, after.st_atime_ns) == (LONG_AGO, LONG_AGO)
    assert logs.names() == {"access.1"}
    assert connector.count("access") == 0


def _unzstd(data):
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        return reader.read()


PACK = {
    "gz": (gzip.compress, gzip.decompress),
    "xz": (lzma.compress, lzma.decompress),
    "zst": (zstandard.ZstdCompressor().compress, _unzstd),
}


@pytest.mark.parametrize("kind", PACK)
def test_compressed_logs_also_of_several_members_are_rewritten_compressed(logs, kind):
    pack, unpack = PACK[kind]
    half = old("1.1.1.1").encode()
    members = [pack(half[:20]), pack(half[20:] + new().encode() * 5000), pack(b""), pack(old("3.3.3.3").encode())]
    path = logs.add(f"access.1.{kind}", *members)
    connector = logs.open()
    batches = find(connector)
    assert keys(batches) == [f"access.1.{kind} 1-1", f"access.1.{kind} 5002-5002"]
    assert act(connector, batches) == ["purged", "purged"]
    assert unpack(path.read_bytes()) == new().encode() * 5000


@pytest.mark.parametrize("kind", PACK)
def test_a_compressed_log_that_breaks_off_or_goes_on_as_something_else_is_no_whole_listing(logs, kind):
    pack, _ = PACK[kind]
    packed = pack(random.Random(1).randbytes(3000).hex().encode() + b"\n" + old().encode())
    for broken in (packed[:-9], packed + b"something else", packed[: len(packed) // 2]):
        logs.add(f"access.1.{kind}", broken)
        with pytest.raises(IncompleteListingError) as caught:
            find(logs.open())
        assert "access" not in str(caught.value)
        with pytest.raises(IncompleteListingError):
            logs.open().count("access")
    logs.add(f"access.1.{kind}", packed + (b"\0" * 512 if kind == "gz" else b""))
    assert keys(find(logs.open())) == [f"access.1.{kind} 2-2"]


def test_a_very_long_line_is_no_record_of_a_day_and_stays(logs, monkeypatch):
    monkeypatch.setattr("connectors.weblog.streams.BLOCK", 1000)
    monkeypatch.setattr("connectors.weblog.streams.LONGEST_LINE", 1000)
    long = old(agent="x" * 5000)
    path = logs.add("access.1", old(), long, old(), new())
    connector = logs.open()
    assert keys(find(connector)) == ["access.1 1-1", "access.1 3-3"]
    assert set(act(connector, find(connector))) == {"purged"}
    assert path.read_text() == long + new()


# --- masking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_masking_changes_the_addresses_of_due_lines_only_and_once(logs, pack):
    lines = [
        old("192.0.2.77"),
        old("2001:db8:1:2:3::9"),
        new("192.0.2.78"),
        "garbage\xff\n",
        line(MID, ip="192.0.2.79", end=""),
    ]
    path = logs.add("access.1", pack("".join(lines).encode("latin-1")))
    selection = due(fields=IP)
    connector = logs.open()
    batches = find(connector, selection)
    assert connector.remaining(selection, batches[0]) == set(batches[0].keys)
    assert act(connector, batches, selection) == ["anonymised", "anonymised"]
    text = gzip.decompress(path.read_bytes()) if pack is gzip.compress else path.read_bytes()
    expected = "".join([old("192.0.2.0"), old("2001:db8:1:2::"), *lines[2:4], line(MID, ip="192.0.2.0", end="")])
    assert text == expected.encode("latin-1")
    assert find(connector, selection) == []
    again = connector.act(selection, batches[0], Action.ANONYMISE)
    assert {outcome.word for outcome in again} == {"changed"}


def test_the_version_after_masking_is_the_one_that_the_lines_have_now(logs):
    path = logs.add("access.1", old("192.0.2.77"), new(), line(MID, ip="192.0.2.78"), new())
    first, others = due(fields=IP), due(fields=(replace(IP[0], column="user-agent", mask="redact"),))
    (batch,), (other,) = find(logs.open(), first), find(logs.open(), others)
    connector = logs.open()
    outcomes = connector.act(first, batch, Action.ANONYMISE)
    other = replace(other, versions=[outcome.version for outcome in outcomes])
    assert act(logs.open(), [other], others) == ["anonymised", "anonymised"]
    assert path.read_text().count("canary") == 2
    assert path.read_text().count("192.0.2.0") == 2


def test_a_purge_further_up_in_the_log_does_not_hinder_masking_further_down(logs):
    path = logs.add("access.1", old(), line(MID, ip="192.0.2.78"), new("192.0.2.79"))
    day = date(2026, 2, 2)
    purge = due(before=(Before("line", day, _instant(day)),))
    masking = due(fields=IP)
    plan = find(logs.open(), purge), find(logs.open(), masking)
    connector = logs.open()
    assert act(connector, plan[0], purge) == ["purged"]
    words = act(connector, plan[1], masking)
    assert words == ["absent", "anonymised"]
    assert path.read_text() == line(MID, ip="192.0.2.0") + new("192.0.2.79")


@pytest.mark.parametrize("has_other", [True, False])
def test_a_line_that_would_have_no_date_once_it_is_masked_stays_and_is_not_said_to_be_masked(logs, has_other):
    own = {"format": "pattern", "line_pattern": r"(?P<date>\S+) (?:(?P<ip>[0-9.]+)|name=(?P<ip2>\S+)) "}
    other = "2026-02-01 name=192.0.2.77 /b\n" if has_other else ""
    text = "2026-02-01 192.0.2.77 /a\n" + other + "2026-06-01 192.0.2.78 /c\n"
    path = logs.add("access.1", text)
    selection = due(fields=(replace(IP[0], mask="clear"),))
    connector = logs.open(**own)
    batches = find(connector, selection)
    inode = path.stat().st_ino
    assert act(connector, batches, selection) == ["failed:unreadable-masked"]
    assert path.read_text() == text.replace("name=192.0.2.77", "name=-")
    assert (path.stat().st_ino == inode) == (not has_other)
    assert keys(find(connector)) == [f"access.1 1-{1 + has_other}"]


def _instant(day):
    from ropa.clock import start_of_day

    return start_of_day(day, ZONE)


# --- persons on hold ----------------------------------------------------------------------------------------------


def test_lines_of_a_person_on_hold_are_ranges_of_their_own_and_stay(logs):
    path = logs.add(
        "access.1", old("1.1.1.1"), old("2001:DB8:0::9"), old("3.3.3.3", user="Zoé Peeters"), old("4.4.4.4")
    )
    held = frozenset(map(normalise_identifier, ("2001:db8::9", "ZOE\u0301 peeters")))
    selection = due(spare=Spare(subjects=held))
    connector = logs.open(subject=("ip", "user"))
    batches = find(connector, selection)
    assert [(f.key[1], f.is_spared) for b in batches for f in b.records] == [
        ("1-1", False),
        ("2-3", True),
        ("4-4", False),
    ]
    plain = find(connector)
    assert act(connector, plain, selection) == ["held"]
    assert act(connector, batches, selection) == ["purged", "held", "purged"]
    assert path.read_text() == old("2001:DB8:0::9") + old("3.3.3.3", user="Zoé Peeters")


JSON = '{"time": "2026-02-01T10:00:00Z", "remote_user": "%s", "ip": "192.0.2.7"}\n'
ELB = (
    'h2 2026-02-01T10:00:00.1Z app/lb/50dc %s 10.0.0.66:9000 0 0 0 200 200 5 257 "GET https://x/ HTTP/2.0" "curl" - -\n'
)


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ("2001:db8:0:0:0:0:0:1", old("2001:db8::1")),
        ("2001:DB8::0:1", old("2001:0db8::1")),
        ("::ffff:192.0.2.7", old("192.0.2.7")),
        ("192.0.2.7", old("::ffff:192.0.2.7")),
        ("2001:db8::1", ELB % "2001:db8::1:54321"),
        ("2001:db8::1", ELB % "[2001:db8::1]:54321"),
        ("CORP\\ann", JSON % "CORP\\\\ann"),
        ("Jörg", JSON % "J\\u00f6rg"),
        ("o&m@example.org", JSON % "o\\u0026m@example.org"),
        ("CORP\\ann", old(user="CORP\\\\ann")),
        ("Jörg", old(user="J\\xc3\\xb6rg")),
        ("198.51.100.7", "#Fields: date time x-forwarded-for\n2026-02-01 10:00:00 192.0.2.9,%2520198.51.100.7\n"),
        ("198.51.100.7", old(end=' "192.0.2.9|198.51.100.7"\n')),
        ("2001:db8::1", old(end=' "for=192.0.2.9;by=\\"[2001:db8::1]:443\\""\n')),
        ("frank", "<190>1 2026-02-01T10:00:00Z web1 nginx - - - " + old(user="frank")),
        ("Ann Peeters", "#Fields: date time cs-username\n2026-02-01 10:00:00 Ann+Peeters\n"),
    ],
)
def test_a_person_on_hold_is_found_however_a_log_spells_what_names_them(logs, held, text):
    path = logs.add("access.1", text)
    selection = due(spare=Spare(subjects=frozenset({normalise_identifier(held)})))
    connector = logs.open(subject=("ip", "user"))
    assert act(connector, find(connector, selection), selection) == ["held"]
    assert path.read_text() == text
    assert [record.key for record in connector.read("access", held)] != []
    assert act(connector, find(connector)) == ["purged"]


def test_a_hold_on_some_lines_holds_the_log(logs):
    path = logs.add("access.1", old(), new(), line(MID))
    selection = due(spare=Spare(keys={"access": frozenset({("access.1", "3-3")})}))
    connector = logs.open()
    batches = find(connector, selection)
    assert [f.is_spared for b in batches for f in b.records] == [True, True]
    assert act(connector, batches, selection) == ["held", "held"]
    assert path.read_text() == old() + new() + line(MID)


def test_a_persons_lines_are_read_with_their_fields(logs):
    logs.add("access.1", new(), old("192.0.2.8", user="bob"), old("192.0.2.80"))
    (record,) = logs.open(subject=("ip",)).read("access", "192.0.2.8")
    assert record.key == ("access.1", "2-2")
    assert record.values == {
        "path": "access.1",
        "time": date(2026, 2, 1),
        "ip": "192.0.2.8",
        "user": "bob",
        "request": "GET /?q=1 HTTP/1.1",
        "user-agent": "canary",
    }


def test_inspecting_shows_values_to_the_look_and_returns_counts(logs):
    logs.add("access.1", old("1.1.1.1"), old("2.2.2.2"), old("3.3.3.3"))
    seen = []
    counts = logs.open().inspect(
        ".", lambda column, text: seen.append(text) or ("ip-address" if column == "ip" else None), limit=2
    )
    assert counts == {"ip": {"ip-address": 2}}
    assert "2.2.2.2" in seen
    assert "3.3.3.3" not in seen


# --- what is left alone -------------------------------------------------------------------------------------------


def _obstacles(connector):
    return [found.obstacle for batch in find(connector) for found in batch.records]


def test_a_log_that_a_process_has_open_for_writing_is_left_alone(logs):
    path = logs.add("access.1", old(), new())
    connector = logs.open()
    batches = find(connector)
    with _held_open(path):
        assert _obstacles(connector) == ["open-log"]
        assert act(connector, batches) == ["blocked:open-log"]
    assert act(connector, batches) == ["purged"]


@contextmanager
def _held_open(path):
    """Another process has the file open for writing."""
    code = "import sys; file = open(sys.argv[1], 'a'); print('.', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield
        process.stdin.close()


def test_a_log_that_was_written_a_moment_ago_or_whose_name_says_nothing_is_left_alone(logs):
    path = logs.add("access.1", old())
    os.utime(path)
    assert _obstacles(logs.open()) == ["open-log"]
    logs.age(path)
    names = ("access.log", "site2.access.log", "access.log.1", "access.log-20260201", "u_ex260201.log", "x.log.gz")
    for name in names:
        logs.add(name, old())
    rotated = {found.key[0]: found.obstacle for batch in find(logs.open(pattern=None)) for found in batch.records}
    assert {name for name in names if rotated[name] is None} == set(names[2:])
    assert {rotated[name] for name in names[:2]} == {"open-log"}
    assert set(_obstacles(logs.open(pattern="access.log"))) == {None}


def test_hard_links_links_and_foreign_names_are_left_alone(logs):
    outside = logs.root.parent / f"{logs.root.name}-outside"
    outside.write_text(old())
    try:
        (logs.root / "access.link").symlink_to(outside)
        path = logs.add("access.1", old())
        os.link(path, logs.root / "other")
        logs.add("notes.txt", old())
        connector = logs.open()
        assert keys(find(connector)) == ["access.1 1-1"]
        assert _obstacles(connector) == ["hard-link"]
        assert act(connector, find(connector)) == ["blocked:hard-link"]
        (batch,) = find(connector)
        path.unlink()
        path.symlink_to(outside)
        assert act(connector, [batch]) == ["absent"]
        assert outside.read_text() == old()
    finally:
        outside.unlink()


def test_a_log_of_two_datasets_is_left_alone(logs):
    logs.add("access.1", old())
    both = {name: DatasetSpec(name, ".", ZONE) for name in ("access", "again")}
    assert _obstacles(logs.open(datasets=both)) == ["two-datasets"]


def test_a_log_replaced_or_written_since_it_was_planned_keeps_what_is_new(logs):
    path = logs.add("access.1", old("1.1.1.1"), new())
    connector = logs.open()
    batches = find(connector)
    path.unlink()
    logs.add("access.1", old("9.9.9.9"), new())
    assert act(connector, batches) == ["changed"]
    assert path.read_text() == old("9.9.9.9") + new()


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod", "write", "posix_fallocate"])
def test_a_failure_before_the_exchange_leaves_the_log_and_nothing_beside_it(logs, monkeypatch, call):
    path = logs.add("access.1", old(), new())
    connector = logs.open()
    batches = find(connector)

    def fail(*_args, **_more):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(rewriting.os, call, fail)
        assert act(connector, batches) == ["failed:enospc"]
    assert path.read_text() == old() + new()
    assert logs.names() == {"access.1"}
    assert act(connector, batches) == ["purged"]


def test_room_is_reserved_where_that_can_be_and_large_logs_are_pushed_to_disk_on_the_way(logs, monkeypatch):
    monkeypatch.setattr(rewriting, "_CHUNK", 50)
    monkeypatch.setattr(rewriting, "_PUSH", 120)
    pushed = []
    monkeypatch.setattr(rewriting.os, "posix_fadvise", lambda *given: pushed.append(given[1:3]))

    def unknown(*_args):
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(rewriting.os, "posix_fallocate", unknown)
    kept = "".join(line("01/Jul/2026", agent=f"number {number}") for number in range(40))
    path = logs.add("access.1", old(), kept, old(), kept)
    connector = logs.open()
    assert set(act(connector, find(connector))) == {"purged"}
    assert path.read_text() == kept + kept
    assert sum(size for _, size in pushed) > len(kept)
    assert all(start + size <= 2 * len(kept) for start, size in pushed)


def test_a_log_that_is_written_while_it_is_rewritten_stays_as_it_is(logs, monkeypatch):
    path = logs.add("access.1", old(), new())
    connector = logs.open()
    batches = find(connector)
    real = rewriting.os.fsync

    def write_meanwhile(descriptor):
        with path.open("a") as file:
            file.write("late\n")
        real(descriptor)

    monkeypatch.setattr(rewriting.os, "fsync", write_meanwhile)
    assert act(connector, batches) == ["changed"]
    assert path.read_text() == old() + new() + "late\n"
    assert logs.names() == {"access.1"}


class _KilledError(BaseException):
    """Stands for a kill: no handler of ours runs after it."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_the_exchange_is_mended_by_acting_again(logs, monkeypatch, when):
    path = logs.add("access.1", old(), new(), line(MID))
    batches = find(logs.open())

    def die(*given, **more):
        if when == "after":
            real(*given, **more)
        raise _KilledError

    real = rewriting.os.rename
    with monkeypatch.context() as patch:
        patch.setattr(rewriting.os, "rename", die)
        patch.setattr(rewriting.os, "unlink", lambda *_args, **_more: None)
        with pytest.raises(_KilledError):
            logs.open().act(due(), batches[0], Action.PURGE)
    assert len(logs.names()) == (2 if when == "before" else 1)
    assert act(logs.open(), batches) == (["purged"] * 2 if when == "before" else ["absent"] * 2)
    assert path.read_text() == new()
    assert logs.names() == {"access.1"}


def test_a_leftover_that_somebody_is_still_writing_stays(logs):
    import fcntl

    logs.add("access.1", old())
    name = ".ropa-weblog-0123456789abcdef"
    path = logs.root / name
    connector = logs.open()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        act(connector, find(connector))
        assert path.exists()
    logs.add("access.2", old())
    act(connector, find(connector))
    assert not path.exists()


# --- what cannot be -----------------------------------------------------------------------------------------------


def _opened(logs, **options):
    given = {"root": str(logs.root), "folder": "/srv/project"} | options
    spec = LocationSpec("web", "weblog", ZONE, given, {"access": DatasetSpec("access", ".", ZONE)})
    try:
        TYPE.open(spec)
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_format_or_pattern_that_cannot_be_is_said_with_its_key(logs):
    dataset = "location.web.dataset.access"
    assert _opened(logs, format="combned")[0].startswith(f"{dataset}.format: is not one of")
    assert "did you mean 'combined'" in _opened(logs, format="combned")[0]
    assert _opened(logs, format="pattern")[0].startswith(f"{dataset}.line_pattern: is missing")
    for pattern, reason in (
        (r"(?P<date>\d+", "no pattern"),
        ("(?P<ip>x)", "no group"),
        ("(?P<date>x)(?P<nam>y)", "nam"),
        (r"(?P<date>x)(?=y)", "look-around"),
    ):
        assert reason in _opened(logs, format="pattern", line_pattern=pattern)[0], pattern
    for form in ("%Q%!", "%H:%M", "%j", "%d/%m", "x", "", "%Y-%m-%d %e"):
        found = _opened(logs, format="pattern", line_pattern="(?P<date>x)", date_format=form)
        assert [problem.startswith(f"{dataset}.date_format: is no pattern of strptime") for problem in found] == [True]
    for form in ("epoch", "epoch-ms", "%Y-%m-%d", "%d/%b/%Y:%H:%M:%S %z", "%y%m%d", "%Y%j"):
        assert _opened(logs, format="pattern", line_pattern="(?P<date>x)", date_format=form) == []
    assert _opened(logs, format="combined", line_pattern="x")
    assert _opened(logs, root="/etc")
    assert _opened(logs) == []


def test_without_re2_a_pattern_of_ones_own_is_refused_with_the_reason(logs, monkeypatch):
    monkeypatch.setitem(sys.modules, "re2", None)
    assert "google-re2" in _opened(logs, format="pattern", line_pattern="(?P<date>x)")[0]
    assert _opened(logs, format="combined") == []


def test_a_pattern_of_ones_own_dates_and_masks(logs):
    path = logs.add(
        "access.1", "A|01.02.2026|192.0.2.77|x\n", "B|01.06.2026|192.0.2.77|x\n", "C|32.02.2026|192.0.2.77|x\n"
    )
    own = {"format": "pattern", "line_pattern": r".\|(?P<date>[\d.]+)\|(?P<ip>[^|]+)\|", "date_format": "%d.%m.%Y"}
    connector = logs.open(**own)
    assert tally(connector, due(fields=IP)) == (3, 1)
    assert act(connector, find(connector, due(fields=IP)), due(fields=IP)) == ["anonymised"]
    assert path.read_text() == "A|01.02.2026|192.0.2.0|x\nB|01.06.2026|192.0.2.77|x\nC|32.02.2026|192.0.2.77|x\n"


def test_what_cannot_be_masked_or_asked_is_a_problem_and_refused(logs):
    logs.add("access.1", old())
    connector = logs.open()
    for fields in (
        (replace(IP[0], column="user"),),
        (replace(IP[0], mask="random"),),
        (replace(IP[0], column="nope"),),
    ):
        assert connector.problems("access", due(fields=fields))
        batches = find(connector)
        assert [o.word for o in connector.act(due(fields=fields), batches[0], Action.ANONYMISE)] == ["refused"]
    assert connector.problems("access", due(fields=IP)) == []
    with pytest.raises(CallError):
        connector.count("other")


def test_a_log_in_zstd_may_begin_with_a_frame_without_content(logs):
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    path = logs.add("access.zst", skippable + zstandard.ZstdCompressor().compress((old() + new()).encode()))
    connector = logs.open()
    assert act(connector, find(connector)) == ["purged"]
    with path.open("rb") as file:
        assert zstandard.ZstdDecompressor().stream_reader(file).read() == new().encode()


def test_a_log_that_was_emptied_while_it_was_written_to_is_read_behind_its_nuls(logs):
    first, due_line, kept = line(OLD), line(OLD, ip="192.0.2.8"), line(NEW)
    path = logs.add("access.1", b"\0" * (3 << 20), first, due_line, kept)
    connector = logs.open()
    batches = find(connector)
    assert keys(batches) == ["access.1 2-2"]
    assert tally(connector) == (3, 1), "the line behind the NULs has no date"
    assert act(connector, batches) == ["purged"]
    assert path.read_bytes().lstrip(b"\0") == (first + kept).encode()
