"""Proofs of one record, the copy for a regulator, and what a thief of the ledger learns."""

from __future__ import annotations

import hmac
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ledger_world import ORIGIN, TOOL, World, digest, found, judge, populate

from ropa.errors import CallError, CheckError, LedgerError
from ropa.ledger.canonical import canonical
from ropa.ledger.export import export
from ropa.ledger.keys import load_signing_keys
from ropa.ledger.leaf import leaf
from ropa.ledger.proof import LineProof, Proof, prove, verify_proof
from ropa.ledger.store import Ledger
from ropa.ledger.verify import verify

PEOPLE = ["ann", "bob", "cas", "dee", "eva", "fay", "gus", "hal", "ida", "jan", "kim", "leo"]
OUTCOMES = {
    "ann": "purged",
    "bob": "purged",
    "cas": "purged",
    "dee": "failed:423",
    "eva": "anonymised",
    "fay": "recoverable:2026-12-12",
    "gus": "purged",
    "hal": "held",
    "ida": "absent",
    "jan": "absent",
    "kim": "flagged",
    "leo": "flagged",
}


@pytest.fixture
def told(tmp_path: Path) -> World:
    return populate(found(tmp_path / "told"))


def newest_key(world: World) -> bytes:
    [key] = load_signing_keys(world.keys)
    return key


# --- proofs -------------------------------------------------------------------------------------------------------


def test_every_record_is_proved_with_its_own_outcome(told: World) -> None:
    key = newest_key(told)
    for person, outcome in OUTCOMES.items():
        record = (f"{person}@example.org",)
        [proof] = prove(told.folder, told.batch_keys.items(), "crm", "contacts", record)
        assert proof.outcome == outcome
        assert proof.receipt is not None
        assert proof.at == json.loads(proof.receipt.line)["at"]
        expected = leaf(told.batch_keys[proof.root], "crm", "contacts", record)
        assert verify_proof(proof, public_key=key, expected_leaf=expected)
        assert not verify_proof(proof, public_key=key, expected_leaf=bytes(32))
        again = Proof.from_dict(json.loads(json.dumps(proof.as_dict())))
        assert again == proof
        assert verify_proof(again, public_key=key)


def test_a_record_that_is_in_no_batch_has_no_proof(told: World) -> None:
    for location, dataset, key in (("crm", "contacts", ("nobody",)), ("erp", "contacts", ("ann@example.org",))):
        assert prove(told.folder, told.batch_keys.items(), location, dataset, key) == []
    wrong_keys = [(root, bytes(32)) for root in told.batch_keys]
    assert prove(told.folder, wrong_keys, "crm", "contacts", ("ann@example.org",)) == []
    assert prove(told.folder, [(digest("never written"), bytes(32))], "crm", "contacts", ("x",)) == []


def test_a_proof_that_is_changed_anywhere_does_not_hold(told: World) -> None:
    key = newest_key(told)
    [proof] = prove(told.folder, told.batch_keys.items(), "crm", "contacts", ("cas@example.org",))
    assert proof.receipt is not None
    line = proof.receipt.line
    changes: list[dict[str, Any]] = [
        {"leaf": digest("x")},
        {"leaf": "garbage"},
        {"root": digest("x")},
        {"index": 1},
        {"index": -1},
        {"index": "0"},
        {"leaves": 3},
        {"path": (digest("x"),)},
        {"path": ()},
        {"outcome": "held"},
        {"outcome": None},
        {"at": "2026-11-21T01:30:00Z"},
        {"outcomes": "purged\npurged\n"},
        {"outcomes": None},
        {"receipt": None},
        {"receipt": proof.intent},
        {"intent": proof.receipt},
        {"intent": replace(proof.intent, seq=proof.intent.seq + 1)},
        {"intent": replace(proof.intent, line="{}")},
        {"receipt": replace(proof.receipt, line=line.replace("failed", "absent"))},
        {"receipt": LineProof(proof.receipt.seq, line, ())},
        {"receipt": "garbage"},
        {"checkpoint": proof.checkpoint.replace(ORIGIN, "ropa.example/other")},
        {"checkpoint": "garbage"},
    ]
    for change in changes:
        assert not verify_proof(replace(proof, **change), public_key=key), change
    assert not verify_proof(proof, public_key=bytes(32))
    assert not verify_proof(proof, public_key=b"garbage")
    assert verify_proof(proof, public_key=key)


@pytest.mark.parametrize("value", [{}, {"intent": 7}, {"leaf": 1, "intent": None, "receipt": None}])
def test_what_is_no_proof_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Proof.from_dict(value)


def test_an_open_intent_is_proved_without_an_outcome(tmp_path: Path) -> None:
    world = populate(found(tmp_path), has_open_intent=True)
    [proof] = prove(world.folder, world.batch_keys.items(), "crm", "contacts", ("mia@example.org",))
    assert (proof.receipt, proof.outcome, proof.at) == (None, None, None)
    assert verify_proof(proof, public_key=newest_key(world))


def test_what_no_checkpoint_covers_is_not_claimed(world: World) -> None:
    plan = world.plan("p", 2)
    world.approve(plan, "a1")
    world.ledger.checkpoint()
    run = world.start("apply")
    root = world.done(run, plan, 0, ["ann", "bob"], ["purged", "held"])
    with pytest.raises(CheckError) as caught:
        prove(world.folder, world.batch_keys.items(), "crm", "contacts", ("ann",))
    assert (caught.value.code, caught.value.exit_code) == ("unsigned", 1)
    world.ledger.checkpoint()
    [proof] = prove(world.folder, world.batch_keys.items(), "crm", "contacts", ("ann",))
    assert proof.outcome == "purged"
    (world.folder / f"batches/{root}.outcomes").write_bytes(b"held\npurged\n")
    with pytest.raises(LedgerError):
        prove(world.folder, world.batch_keys.items(), "crm", "contacts", ("ann",))


@pytest.mark.parametrize("damage", ["checkpoints", "events.jsonl", "batches"])
def test_a_proof_from_damaged_evidence_is_an_error_and_not_an_answer(told: World, damage: str) -> None:
    if damage == "checkpoints":
        shutil.rmtree(told.folder / damage)
    elif damage == "batches":
        for path in (told.folder / damage).iterdir():
            path.write_bytes(b"\xff" * 10_000_000 if path.suffix == "" else b"")
    else:
        (told.folder / damage).unlink()
    with pytest.raises(LedgerError):
        prove(told.folder, told.batch_keys.items(), "crm", "contacts", ("ann@example.org",))


def test_a_proof_holds_no_key_and_no_name(told: World) -> None:
    for person in PEOPLE:
        [proof] = prove(told.folder, told.batch_keys.items(), "crm", "contacts", (f"{person}@example.org",))
        text = json.dumps(proof.as_dict())
        assert "example.org" not in text
        assert not any(key.hex() in text for key in told.batch_keys.values())


# --- handing over -------------------------------------------------------------------------------------------------


def test_the_copy_holds_the_evidence_and_nothing_else_and_verifies_alone(told: World, tmp_path: Path) -> None:
    (told.folder / "notes.txt").write_text("canary")
    (told.folder / "batches/.half.new").write_text("canary")
    to = tmp_path / "bundle"
    count = export(told.folder, to)
    copied = {path.relative_to(to) for path in to.rglob("*") if path.is_file()}
    present = {path.relative_to(told.folder) for path in told.folder.rglob("*") if path.is_file()}
    assert len(copied) == count
    assert present - copied == {Path("notes.txt"), Path("batches/.half.new")}
    assert all((to / part).read_bytes() == (told.folder / part).read_bytes() for part in copied)
    assert all(not path.stat().st_mode & 0o077 for path in [to, *to.rglob("*")])
    shutil.copy(TOOL, tmp_path / "tool.py")
    call = [sys.executable, "-I", "-S", str(tmp_path / "tool.py"), str(to), "--key", str(to / "public.pem")]
    done = subprocess.run(call, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    assert done.returncode == 0
    assert verify(to).is_sound


def _target(kind: str, tmp_path: Path) -> Path:
    target = tmp_path / "target"
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        target.write_text("intact")
    elif kind == "full":
        target.mkdir()
        (target / "mine").write_text("intact")
    elif kind == "link":
        target.symlink_to(tmp_path / "elsewhere")
    elif kind == "dangling":
        target.symlink_to(tmp_path / "elsewhere/new")
    elif kind == "no parent":
        target = target / "below"
    return target


@pytest.mark.parametrize("kind", ["file", "full", "link", "dangling", "no parent"])
def test_the_copy_never_touches_what_is_there(told: World, tmp_path: Path, kind: str) -> None:
    target = _target(kind, tmp_path)
    with pytest.raises(CallError) as caught:
        export(told.folder, target)
    assert (caught.value.code, caught.value.exit_code) == ("export-target", 2)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert all(path.read_text() == "intact" for path in (tmp_path / "target").rglob("mine"))


def test_an_empty_folder_may_be_the_target(told: World, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    export(told.folder, tmp_path / "empty")
    assert judge(tmp_path / "empty") == 0


def test_evidence_that_cannot_be_read_is_not_copied_in_part_and_called_done(told: World, tmp_path: Path) -> None:
    (told.folder / "events.jsonl").rename(told.folder / "aside")
    (told.folder / "events.jsonl").symlink_to(told.folder / "aside")
    with pytest.raises(LedgerError):
        export(told.folder, tmp_path / "bundle")


# --- privacy ------------------------------------------------------------------------------------------------------


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.name.encode() + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def _guesses(candidate: str, public: list[bytes]) -> set[str]:
    """What one who has the ledger alone can compute from a guessed key."""
    found = set()
    for text in (
        candidate,
        f'["{candidate}"]',
        *(
            canonical([place, name, [candidate]]).decode()
            for place, name in (("crm", "contacts"), ("crm", "crm.contacts"))
        ),
    ):
        data = text.encode()
        found |= {sha256(data).hexdigest(), sha256(b"\0" + data).hexdigest()}
        found |= {hmac.digest(key, data, "sha256").hex() for key in public}
    return found


def test_guessing_every_candidate_finds_nobody_in_the_ledger_alone(told: World) -> None:
    content = _all_bytes(told.folder).decode()
    public = [bytes(32), b"", bytes.fromhex(digest("plan one")), (told.folder / "public.pem").read_bytes()]
    public += [bytes.fromhex(root) for root in told.batch_keys]
    candidates = [f"{person}@example.org" for person in PEOPLE] + [
        f"person{number}@example.org" for number in range(500)
    ]
    matches = [who for who in candidates if any(guess in content for guess in _guesses(who, public))]
    assert matches == []
    # The attack itself works: given the batch keys it finds exactly the people.
    with_keys = [
        who
        for who in candidates
        if any(leaf(key, "crm", "contacts", (who,)).hex() in content for key in told.batch_keys.values())
    ]
    assert with_keys == candidates[: len(PEOPLE)]


def test_no_canary_and_no_key_is_in_any_byte_that_was_written(told: World) -> None:
    content = _all_bytes(told.folder)
    for person in PEOPLE:
        assert f"{person}@example.org".encode() not in content
    for key in told.batch_keys.values():
        assert key not in content
        assert key.hex().encode() not in content
    assert b"PRIVATE" not in content


def test_one_person_in_two_batches_has_two_leaves(world: World) -> None:
    plan = world.plan("p", 4)
    world.approve(plan, "a1")
    run = world.start("apply")
    for batch in (0, 1):
        world.done(run, plan, batch, ["ann", "bob"], ["purged", "purged"])
    lines = [line for root in world.batch_keys for line in (world.folder / "batches" / root).read_text().split()]
    assert len(set(lines)) == 4
    world.ledger.checkpoint()
    assert len(prove(world.folder, world.batch_keys.items(), "crm", "contacts", ("ann",))) == 2


def test_once_the_keys_are_destroyed_the_chain_stands_and_no_leaf_opens(told: World) -> None:
    told.append("key_destroyed", through=told.ledger.size - 1, actor="a1")
    told.ledger.checkpoint()
    told.batch_keys.clear()
    assert verify(told.folder).exit_code == judge(told.folder) == 0
    assert prove(told.folder, told.batch_keys.items(), "crm", "contacts", ("ann@example.org",)) == []


def test_reading_the_ledger_imports_no_database() -> None:
    program = "import sys, ropa.ledger.store, ropa.ledger.verify, ropa.ledger.proof, ropa.ledger.export\n"
    program += "print(*(name for name in ('sqlalchemy', 'sqlmodel', 'cryptography') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_ledger_can_be_read_back_by_type(told: World) -> None:
    with Ledger.open(told.folder, None) as ledger:
        assert [event["active"] for event in ledger.events("hold")] == [1, 2]
        assert list(ledger.events("unheard_of")) == []
