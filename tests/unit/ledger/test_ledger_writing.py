"""The writer: what it promises, what it refuses, and what a crash or a full disk leaves behind."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_world import ORIGIN, START, World, digest, found, hold, judge, populate, read_events

from ropa.errors import CallError, LedgerError, LocationError, RefusedError
from ropa.ledger.keys import create_signing_key, load_signing_keys
from ropa.ledger.note import is_note_signed, parse_checkpoint
from ropa.ledger.store import Ledger
from ropa.ledger.verify import verify

Copy = Callable[[Path], Path]


def codes(world: World) -> list[str]:
    return [problem.code for problem in verify(world.folder).problems]


# --- beginning and opening ----------------------------------------------------------------------------------------


def test_a_new_ledger_is_signed_private_and_sound(world: World) -> None:
    assert world.ledger.size == 1
    assert world.ledger.newest is not None
    assert world.ledger.newest.size == 1
    assert verify(world.folder).exit_code == judge(world.folder) == 0
    for path in [world.folder, world.keys, *world.folder.rglob("*"), *world.keys.rglob("*")]:
        assert not path.stat().st_mode & 0o077


def test_a_ledger_is_not_begun_over_another_or_over_its_remains(world: World) -> None:
    def again() -> None:
        Ledger.create(world.folder, world.keys, origin=ORIGIN, at=START, run="r1", tool="ropa 0.1.0")

    with pytest.raises(LedgerError) as caught:
        again()
    assert caught.value.code == "ledger-exists"
    (world.folder / "events.jsonl").unlink()
    with pytest.raises(LedgerError) as caught:
        again()
    assert caught.value.code == "ledger-missing"
    shutil.rmtree(world.folder)
    with pytest.raises(LedgerError) as caught:
        again()
    assert caught.value.code == "ledger-missing"
    assert not Ledger.exists(world.folder)


def test_a_beginning_that_was_cut_off_is_finished(world: World) -> None:
    (world.folder / "checkpoints/000000000001").unlink()
    (world.keys / "high-water").unlink()
    with Ledger.open(world.folder, world.keys) as ledger:
        assert ledger.newest is None
        ledger.checkpoint()
    assert verify(world.folder).is_sound
    shutil.rmtree(world.folder)
    (world.keys / "high-water").unlink()
    [key] = load_signing_keys(world.keys)
    with Ledger.create(world.folder, world.keys, origin=ORIGIN, at=START, run="r1", tool="t") as ledger:
        assert ledger.size == 1
    assert verify(world.folder, public_key=key).is_sound


@pytest.mark.parametrize("origin", ["", "with space", "a+b", "tab\t", "x" * 256])
def test_an_origin_that_no_checkpoint_can_carry_is_refused(tmp_path: Path, origin: str) -> None:
    with pytest.raises(CallError):
        Ledger.create(tmp_path / "l", tmp_path / "k", origin=origin, at=START, run="r1", tool="t")
    assert not (tmp_path / "l").exists()
    assert not (tmp_path / "k").exists()


def test_a_ledger_after_a_lost_key_quotes_the_last_anchored_checkpoint(tmp_path: Path) -> None:
    follows = {"origin": "ropa/old", "size": 41, "root": digest("old")}
    ledger = Ledger.create(tmp_path / "l", tmp_path / "k", origin=ORIGIN, at=START, run="r", tool="t", follows=follows)
    assert next(ledger.events())["follows"] == follows
    assert judge(tmp_path / "l") == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o606])
def test_a_key_that_others_can_read_is_not_used(world: World, mode: int) -> None:
    (world.keys / "signing.pem").chmod(mode)
    with pytest.raises(CallError) as caught:
        Ledger.open(world.folder, world.keys)
    assert caught.value.exit_code == 2
    assert caught.value.code == "key-permissions"


def test_a_key_in_a_folder_that_others_can_write_is_not_used(world: World) -> None:
    world.keys.chmod(0o770)
    with pytest.raises(CallError):
        Ledger.open(world.folder, world.keys)


def test_a_key_behind_a_link_or_of_another_owner_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = world.keys / "signing.pem"
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: key.stat().st_uid + 1)
        with pytest.raises(CallError):
            Ledger.open(world.folder, world.keys)
    key.rename(world.home / "moved.pem")
    key.symlink_to(world.home / "moved.pem")
    with pytest.raises(CallError):
        Ledger.open(world.folder, world.keys)


def test_a_key_that_is_garbage_or_gone_or_foreign_is_said_to_be(world: World, tmp_path: Path) -> None:
    key = world.keys / "signing.pem"
    content = key.read_bytes()
    key.write_bytes(b"garbage")
    with pytest.raises(CallError) as garbage:
        Ledger.open(world.folder, world.keys)
    assert garbage.value.code == "key-unreadable"
    other = create_signing_key(tmp_path / "other")
    for replacement in (other.path.read_bytes(), None):
        key.unlink()
        if replacement:
            shutil.copy(other.path, key)
        with pytest.raises(LedgerError) as caught:
            Ledger.open(world.folder, world.keys)
        assert caught.value.code == "key-missing"
    key.write_bytes(content)
    key.chmod(0o600)
    Ledger.open(world.folder, world.keys).close()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    key = create_signing_key(tmp_path)
    with pytest.raises(FileExistsError):
        create_signing_key(tmp_path)
    assert list(load_signing_keys(tmp_path)) == [key.public]
    assert "PRIVATE" not in repr(key)


def test_reopening_knows_what_writing_knew(plain_home: Path, copy_of: Copy) -> None:
    home = copy_of(plain_home)
    with Ledger.open(home / "ledger", home / "keys") as ledger:
        events = list(ledger.events())
        assert [event["seq"] for event in events] == list(range(ledger.size))
        assert events == read_events(home / "ledger")
        assert ledger.last_hash == digest((home / "ledger/events.jsonl").read_text().splitlines()[-1])
        assert ledger.root() == verify(home / "ledger").root
        assert (ledger.origin, ledger.active_holds, ledger.open_intents()) == (ORIGIN, 1, [])
        assert len(list(ledger.events("receipt"))) == 6
        assert ledger.newest is not None
        assert ledger.newest.text.splitlines()[:2] == [ORIGIN, str(ledger.size)]
        assert ledger.newest.root_hex == ledger.root()


def test_a_ledger_opened_for_reading_cannot_be_written_and_needs_no_keys(world: World) -> None:
    shutil.rmtree(world.keys)
    with Ledger.open(world.folder, None) as ledger:
        for work in (
            lambda: ledger.append("halt", run="r", at=START),
            lambda: ledger.write_batch([bytes(32)]),
            ledger.checkpoint,
            lambda: ledger.rotate_key(run="r", at=START, actor="a1"),
        ):
            with pytest.raises(RefusedError):
                work()


# --- appending ----------------------------------------------------------------------------------------------------


def test_what_append_returned_from_is_in_the_file_and_the_chain(world: World) -> None:
    before = world.ledger.last_hash
    seq = world.append("halt", actor="a1")
    event = read_events(world.folder)[-1]
    assert (seq, event["seq"], event["prev"], event["v"]) == (1, 1, before, 1)
    assert event["at"] == "2026-11-21T01:30:01Z"
    world.ledger.checkpoint()
    assert verify(world.folder).is_sound


def test_the_batch_and_the_intent_are_on_the_disk_in_that_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = world.plan("p", 2)
    world.approve(plan, "a1")
    run = world.start("apply")
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(_name(handle)), real(handle))[1])
    root = world.intent(run, plan, 0, ["ann", "bob"])
    assert synced == [f".{root}.new", "batches", "events.jsonl"]
    synced.clear()
    world.receipt(run, plan, 0, root, ["purged", "held"])
    assert synced == [f".{root}.outcomes.new", "batches", "events.jsonl"]


def _name(handle: int) -> str:
    return Path(f"/proc/self/fd/{handle}").readlink().name


def test_the_time_of_a_line_never_decreases(world: World) -> None:
    world.ledger.append("halt", run="r", at=START + timedelta(seconds=100))
    world.ledger.append("resume", run="r", at=START + timedelta(seconds=40))
    assert [event["at"] for event in world.ledger.events()][1:] == ["2026-11-21T01:31:40Z"] * 2
    with pytest.raises(RefusedError) as caught:
        world.ledger.append("halt", run="r", at=START + timedelta(seconds=39))
    assert (caught.value.code, caught.value.exit_code) == ("clock-behind", 4)
    assert world.ledger.append("halt", run="r", at=START + timedelta(seconds=101)) == 3


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("unheard_of", {}),
        (
            "genesis",
            {
                "origin": ORIGIN,
                "hash": "sha256",
                "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                "tool": "t",
            },
        ),
        ("halt", {"note": "Jan Peeters asked for it"}),
        ("halt", {"who": "jan@example.org"}),
        ("halt", {"file": "/home/jan/cv.pdf"}),
        ("halt", {"share": 0.5}),
        ("halt", {"code": None}),
        ("halt", {"deep": {"name": "Jan Peeters"}}),
        ("halt", {"seq": 7}),
        ("halt", {"type": "resume"}),
        ("hold", {"leaf": digest("h"), "actors": ["a1"], "reason": "Jan is in court", "active": 1}),
        ("hold", {"leaf": digest("h"), "actors": ["a1"], "reason": "litigation", "active": 1, "name": "x"}),
        ("hold", {"leaf": "sha256:" + digest("h"), "actors": ["a1"], "reason": "litigation", "active": 1}),
        ("hold", {"leaf": digest("h"), "actors": [], "reason": "litigation", "active": 1}),
        ("hold", {"leaf": digest("h"), "actors": ["a1"], "reason": "litigation", "active": 2}),
        ("hold", {"leaf": digest("h"), "actors": ["a1"], "reason": "litigation", "active": True}),
        ("hold_release", {"leaf": digest("h"), "actors": ["a1"], "reason": "litigation", "active": -1}),
        ("approval", {"plan": digest("p"), "actor": "a1", "role": "dpo", "expires": "2099-01-01T00:00:00Z"}),
        ("plan_rejected", {"plan": digest("p"), "actor": "a1"}),
        ("mandate_revoked", {"mandate": digest("m"), "actor": "a1"}),
        ("run_end", {"state": "complete", "code": 0, "totals": {}, "rules": {}}),
        ("key_destroyed", {"actor": "a1"}),
        ("key_destroyed", {"actor": "a1", "through": 5}),
        ("key_destroyed", {"actor": "a1", "roots": [digest("r")]}),
        ("attested", {}),
        ("config", {"rules": ["x" * 100] * 1000}),
    ],
)
def test_an_event_that_does_not_belong_is_refused_and_not_written(
    world: World, kind: str, fields: dict[str, object]
) -> None:
    before = (world.folder / "events.jsonl").read_bytes()
    with pytest.raises((LedgerError, TypeError)) as caught:
        world.append(kind, **fields)
    assert "Jan" not in str(caught.value)
    assert "jan" not in str(caught.value)
    assert (world.folder / "events.jsonl").read_bytes() == before
    assert world.append("halt", actor="a1") == 1


def test_an_intent_that_nobody_approved_is_refused_by_the_ledger_itself(world: World) -> None:
    plan = world.plan("p", 2, approvals=2)
    world.approve(plan, "a1")
    world.approve(plan, "a1")
    run = world.start("apply")
    with pytest.raises(RefusedError) as caught:
        world.intent(run, plan, 0, ["ann", "bob"])
    assert (caught.value.code, caught.value.exit_code) == ("approval-missing", 4)
    world.approve(plan, "a2", expires="2026-11-21T01:30:05Z")
    with pytest.raises(RefusedError):
        world.intent(run, plan, 0, ["ann", "bob"])
    world.approve(plan, "a2")
    world.intent(run, plan, 0, ["ann", "bob"])
    assert [event["batch"] for _seq, event in world.ledger.open_intents()] == [0]


def test_an_intent_needs_its_batch_and_a_receipt_its_outcomes_on_the_disk(world: World) -> None:
    plan = world.plan("p", 2)
    world.approve(plan, "a1")
    run = world.start("apply")
    fields = {"rules": ["r"], "location": "crm", "dataset": "c", "scope": "row", "action": "purge", "leaves": 2}
    with pytest.raises(LedgerError):
        world.append("intent", run, plan=plan, batch=0, root=digest("nowhere"), **fields)
    root = world.intent(run, plan, 0, ["ann", "bob"])
    said = world.ledger.write_outcomes(root, ["purged", "held"])
    receipt = {"plan": plan, "batch": 0, "root": root, "outcomes": said, "level": "logical", "proof": "re-read"}
    for counts in ({"purged": 2}, {"purged": 1}, {"purged": 1, "held": 0}):
        with pytest.raises(LedgerError):
            world.append("receipt", run, counts=counts, **receipt)
    for wrong in ([], ["purged"], ["purged"] * 3):
        with pytest.raises((LedgerError, ValueError)):
            world.ledger.write_outcomes(root, wrong)
    with pytest.raises(LedgerError):
        world.ledger.write_outcomes(digest("nowhere"), ["purged"])
    world.append("receipt", run, counts={"purged": 1, "held": 1}, **receipt)
    with pytest.raises(LedgerError):
        world.append("receipt", run, counts={"purged": 1, "held": 1}, **receipt)
    assert world.ledger.open_intents() == []


def test_a_run_that_was_cut_off_is_told_by_the_next_one(world: World) -> None:
    first = world.start("plan")
    assert world.ledger.open_run == first
    world.start("reconcile")
    assert [event["interrupted"] for event in world.ledger.events("run_start")] == [[], [first]]
    with pytest.raises(LedgerError):
        world.end(first, {}, {})
    world.end(first, {}, {}, state="aborted")
    world.ledger.checkpoint()
    assert codes(world) == []


def test_a_second_writer_is_noticed(world: World) -> None:
    with Ledger.open(world.folder, world.keys) as other:
        other.append("halt", run="r", at=START)
    for work in (lambda: world.append("resume"), world.ledger.checkpoint):
        with pytest.raises(LedgerError) as caught:
            work()
        assert caught.value.code == "ledger-changed"


def test_a_ledger_that_was_moved_away_is_noticed(world: World) -> None:
    shutil.copy(world.folder / "events.jsonl", world.folder / "copy")
    (world.folder / "copy").replace(world.folder / "events.jsonl")
    with pytest.raises(LedgerError):
        world.append("halt")
    (world.folder / "events.jsonl").unlink()
    with pytest.raises(LedgerError):
        world.append("halt")


# --- signing ------------------------------------------------------------------------------------------------------


def test_a_checkpoint_signs_everything_once(world: World) -> None:
    world.append("halt")
    first = world.ledger.checkpoint()
    assert world.ledger.checkpoint() == first
    assert first.size == 2
    assert first.path.read_bytes() == first.note == (world.keys / "high-water").read_bytes()
    assert verify(world.folder).unsigned_lines == 0
    world.append("resume")
    assert verify(world.folder).unsigned_lines == 1


def test_an_older_copy_of_the_ledger_is_not_signed_again(world: World, tmp_path: Path) -> None:
    world.append("halt")
    world.ledger.checkpoint()
    yesterday = Path(shutil.copytree(world.folder, tmp_path / "yesterday"))
    world.append("resume")
    world.ledger.checkpoint()
    exported = world.ledger.export_checkpoint(tmp_path / "outside")
    assert exported.name == "000000000003"
    world.ledger.close()
    shutil.rmtree(world.folder)
    yesterday.rename(world.folder)
    with pytest.raises(LedgerError) as caught:
        Ledger.open(world.folder, world.keys)
    assert caught.value.code == "ledger-outside-beyond"
    (world.keys / "high-water").unlink()
    for mark in (exported, exported.parent):
        with pytest.raises(LedgerError) as caught:
            Ledger.open(world.folder, world.keys, high_water=mark)
        assert caught.value.exit_code == 6
    assert verify(world.folder, checkpoints=[exported.read_bytes()]).exit_code == 1
    assert judge(world.folder, checkpoints=(exported,)) == 1
    assert judge(world.folder) == 0


def test_a_fork_of_the_same_length_is_not_opened_or_exported_over(world: World, tmp_path: Path) -> None:
    world.ledger.close()
    other = World(tmp_path / "other", world.ledger)
    shutil.copytree(world.home, other.home)
    for each, kind in ((world, "halt"), (other, "config")):
        each.ledger = Ledger.open(each.folder, each.keys)
        each.append(kind)
        each.ledger.checkpoint()
    outside = tmp_path / "outside"
    world.ledger.export_checkpoint(outside)
    assert world.ledger.export_checkpoint(outside) == outside / "000000000002"
    with pytest.raises(LedgerError) as caught:
        other.ledger.export_checkpoint(outside)
    assert caught.value.code == "fork"
    with pytest.raises(LedgerError) as caught:
        Ledger.open(other.folder, other.keys, high_water=outside)
    assert caught.value.code == "ledger-outside-root"


def test_a_larger_mark_that_appears_meanwhile_stops_the_signing(world: World) -> None:
    mark = world.keys / "high-water"
    key = next(iter(load_signing_keys(world.keys).values()))
    from ropa.ledger.note import format_checkpoint

    mark.write_bytes(format_checkpoint(ORIGIN, 9, bytes(32), key))
    world.append("halt")
    with pytest.raises(LedgerError):
        world.ledger.checkpoint()
    mark.write_bytes(b"garbage")
    with pytest.raises(LedgerError):
        world.ledger.checkpoint()
    with pytest.raises(LedgerError):
        Ledger.open(world.folder, world.keys)


def test_an_export_place_that_is_gone_does_not_hurt_the_ledger(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LocationError):
        world.ledger.export_checkpoint(tmp_path / "file")
    world.append("halt")
    assert world.ledger.checkpoint().size == 2
    Ledger.open(world.folder, world.keys, high_water=tmp_path / "not there").close()


def test_witnesses_lines_are_passed_over(world: World, tmp_path: Path) -> None:
    path = world.folder / "checkpoints/000000000001"
    exported = world.ledger.export_checkpoint(tmp_path / "outside")
    for each in (path, exported):
        each.write_bytes(each.read_bytes() + "— witness.example/w1 AAAAAAEC\n".encode())
    assert world.ledger.export_checkpoint(tmp_path / "outside") == exported
    assert verify(world.folder, checkpoints=[exported.read_bytes()]).is_sound
    assert judge(world.folder, checkpoints=(exported,)) == 0


def test_a_key_is_followed_by_another_and_old_checkpoints_still_verify(reopened: World) -> None:
    old = load_signing_keys(reopened.keys)
    before = reopened.ledger.newest
    assert before is not None
    reopened.at += timedelta(seconds=1)
    both = reopened.ledger.rotate_key(run="r", at=reopened.at, actor="a1")
    reopened.append("halt")
    alone = reopened.ledger.checkpoint()
    [new] = load_signing_keys(reopened.keys)
    assert new not in old
    assert len(parse_checkpoint(both.note).signatures) == 2
    assert all(is_note_signed(parse_checkpoint(both.note), ORIGIN, key) for key in [*old, new])
    assert len(parse_checkpoint(alone.note).signatures) == 1
    assert verify(reopened.folder, public_key=new, checkpoints=[before.note]).is_sound
    assert verify(reopened.folder, public_key=next(iter(old))).is_sound
    assert judge(reopened.folder, checkpoints=(before.path,)) == 0
    assert judge(reopened.folder, key=reopened.folder / "public.pem") == 0
    assert sum(path.name.startswith("public-") for path in reopened.folder.iterdir()) == 2
    reopened.ledger.close()
    Ledger.open(reopened.folder, reopened.keys).close()


@pytest.mark.parametrize("broken", ["public", "checkpoints", "high-water"])
def test_a_rotation_that_was_cut_off_is_finished(world: World, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    old = next(iter(load_signing_keys(world.keys)))
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if broken in str(target).removeprefix(str(world.home)):
            raise OSError(errno.EIO, "gone")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(RefusedError):
            world.ledger.rotate_key(run="r", at=START, actor="a1")
    assert old in load_signing_keys(world.keys)
    with Ledger.open(world.folder, world.keys) as ledger:
        both = ledger.checkpoint()
    assert len(parse_checkpoint(both.note).signatures) == 2
    assert old not in load_signing_keys(world.keys)
    assert verify(world.folder).exit_code == judge(world.folder) == 0


# --- crashes and disks that refuse --------------------------------------------------------------------------------


def last_three(home: Path) -> tuple[Path, bytes, int]:
    path = home / "ledger/events.jsonl"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    return path, content, len(content) - sum(map(len, lines[-3:]))


def test_a_signed_ledger_cut_at_any_byte_is_refused(world: World) -> None:
    for number in range(4):
        world.append("halt", n=number)
    world.ledger.checkpoint()
    world.ledger.close()
    path, content, start = last_three(world.home)
    for cut in range(start, len(content)):
        path.write_bytes(content[:cut])
        with pytest.raises(LedgerError):
            Ledger.open(world.folder, world.keys)
        assert path.read_bytes() == content[:cut]
        assert verify(world.folder).exit_code == 1
    path.write_bytes(content)
    Ledger.open(world.folder, world.keys).close()


def test_only_a_partial_last_line_that_nothing_signs_is_cut_and_told(world: World) -> None:
    for number in range(4):
        world.append("halt", n=number)
    world.ledger.close()
    path, content, start = last_three(world.home)
    for cut in range(start, len(content)):
        path.write_bytes(content[:cut])
        whole = content[:cut].rfind(b"\n") + 1
        if whole != cut:
            assert verify(world.folder).exit_code == judge(world.folder) == 1
        with Ledger.open(world.folder, None) as reader:
            assert reader.recovered_bytes == cut - whole
        assert path.read_bytes() == content[:cut]
        with Ledger.open(world.folder, world.keys) as ledger:
            assert ledger.recovered_bytes == cut - whole
            assert path.read_bytes() == content[:whole]
    with Ledger.open(world.folder, world.keys) as ledger:
        ledger.append("recovered", run="r", at=world.at, bytes=7)
        ledger.checkpoint()
    assert verify(world.folder).exit_code == judge(world.folder) == 0


def _failing(call: str, name: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(os, call)

    def fail(handle: int, *rest: object) -> object:
        if name in _name(handle):
            if call == "write":
                real(handle, bytes(rest[0])[:5])  # type: ignore[call-overload]
            raise OSError(code, os.strerror(code))
        return real(handle, *rest)

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_write_that_fails_is_refused_cleaned_up_and_not_retried(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    before = (world.folder / "events.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        _failing(call, "events.jsonl", code, patch)
        with pytest.raises(RefusedError) as caught:
            world.append("halt", actor="a1")
        assert (caught.value.code, caught.value.exit_code) == ("ledger-write", 4)
    assert (world.folder / "events.jsonl").read_bytes() == before
    for work in (
        lambda: world.append("resume"),
        world.ledger.checkpoint,
        lambda: world.ledger.write_batch([bytes(32)]),
    ):
        with pytest.raises(RefusedError):
            work()
    assert (world.folder / "events.jsonl").read_bytes() == before
    with Ledger.open(world.folder, world.keys) as ledger:
        assert ledger.append("halt", run="r", at=world.at) == 1


def test_a_write_that_fails_and_cannot_be_cleaned_up_leaves_what_the_next_opening_cuts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int, _length: int) -> None:
        raise OSError(errno.EIO, "gone")

    with monkeypatch.context() as patch:
        _failing("write", "events.jsonl", errno.ENOSPC, patch)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(RefusedError):
            world.append("halt")
    with Ledger.open(world.folder, world.keys) as ledger:
        assert ledger.recovered_bytes == 5


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("part", [".new", "batches"])
def test_a_batch_that_cannot_be_written_stops_everything(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, part: str
) -> None:
    with monkeypatch.context() as patch:
        _failing("fsync" if part == "batches" else call, part, errno.ENOSPC, patch)
        with pytest.raises(RefusedError):
            world.ledger.write_batch([bytes(32)])
    with pytest.raises(RefusedError):
        world.append("halt")
    assert not [path for path in (world.folder / "batches").iterdir() if path.name.startswith(".")]
    assert verify(world.folder).is_sound


def test_an_interrupt_in_the_middle_of_a_write_leaves_the_object_dead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_handle: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            world.append("halt")
    with pytest.raises(RefusedError):
        world.append("halt")


def test_a_disk_that_is_really_full_refuses_and_leaves_a_sound_ledger(world: World) -> None:
    world.ledger.close()
    limit = (world.folder / "events.jsonl").stat().st_size + 100
    program = f"""
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from ropa.errors import RefusedError
from ropa.ledger.store import Ledger
ledger = Ledger.open(Path({str(world.folder)!r}), Path({str(world.keys)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
for _ in range(2):
    try:
        ledger.append("halt", run="r", at=datetime(2026, 11, 22, tzinfo=UTC), actor="a1")
    except RefusedError as error:
        print(error.code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ledger-write", "ledger-write"]
    assert verify(world.folder).exit_code == 0


def test_a_stale_hidden_file_of_a_crash_is_no_obstacle_and_no_evidence(world: World) -> None:
    root = world.ledger.write_batch([bytes(32)])
    (world.folder / f"batches/.{root}.new").write_bytes(b"half")
    (world.folder / "checkpoints/.000000000009.new").write_bytes(b"half")
    (world.folder / f"batches/{digest('x')}.outcomes").write_bytes(b"purged\n")
    found_now = verify(world.folder)
    assert (found_now.is_sound, found_now.debris) == (True, 4)
    assert judge(world.folder) == 0
    assert world.ledger.write_batch([bytes(32)]) == root
    assert stat.S_IMODE((world.folder / "batches" / root).stat().st_mode) == 0o600


def test_the_same_story_gives_the_same_ledger_byte_for_byte(tmp_path: Path) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    create_signing_key(homes[0] / "keys")
    shutil.copytree(homes[0], homes[1])
    for home in homes:
        story = populate(found(home), has_rotation=False)
        story.ledger.close()
    assert all(
        (homes[1] / path.relative_to(homes[0])).read_bytes() == path.read_bytes()
        for path in homes[0].rglob("*")
        if path.is_file()
    )


def test_a_hold_twice_or_a_release_of_none_is_refused(world: World) -> None:
    hold(world, "h", 1)
    for name, active, kind in (("h", 2, "hold"), ("other", 0, "hold_release"), ("h", 1, "hold_release")):
        with pytest.raises(LedgerError):
            hold(world, name, active, kind)
    hold(world, "h", 0, "hold_release")
    assert world.ledger.active_holds == 0
