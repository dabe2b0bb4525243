"""Corners of notes, keys and reading that the campaigns reach only by luck."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_world import ORIGIN, START, World, digest, forge, judge, read_events

from ropa.errors import LedgerError, RefusedError
from ropa.ledger.batches import read_outcomes
from ropa.ledger.canonical import MAX_LINE
from ropa.ledger.keys import decode_base64, load_signing_keys, public_pem, read_public_key
from ropa.ledger.merkle import EMPTY_ROOT
from ropa.ledger.note import format_checkpoint, parse_checkpoint
from ropa.ledger.store import Ledger
from ropa.ledger.verify import verify

ROOT = "r7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo="


def codes(world: World) -> set[str]:
    return {problem.code for problem in verify(world.folder).problems}


@pytest.mark.parametrize(
    "text",
    [
        f"o\n1\n{ROOT}\n\n— o AAAAAAEC\n" + "x" * 70_000,
        f"o\n01\n{ROOT}\n\n— o AAAAAAEC\n",
        f"o\n-1\n{ROOT}\n\n— o AAAAAAEC\n",
        f"o o\n1\n{ROOT}\n\n— o AAAAAAEC\n",
        f"o\n1\n{ROOT[:-2]}p=\n\n— o AAAAAAEC\n",
        f"o\n1\n{ROOT}\n\n- o AAAAAAEC\n",
        f"o\n1\n{ROOT}\n\n— o AAAAAA==\n",
        f"o\n1\n{ROOT}\n\n— o AAAAAAED=\n",
        f"o\n1\n{ROOT}\n\n— o AAAAAAF=\n",
        f"o\n1\n{ROOT}\nextra\n\n— o AAAAAAEC\n",
        f"o\n1\n{ROOT}\n\n— o AAAAAAEC",
        f"o\n1\n{ROOT}\n\n",
    ],
)
def test_a_note_that_is_spelled_otherwise_is_refused(text: str) -> None:
    assert parse_checkpoint(f"o\n1\n{ROOT}\n\n— o AAAAAAEC\n".encode()).size == 1
    with pytest.raises(ValueError):
        parse_checkpoint(text.encode())


@pytest.mark.parametrize("text", ["", "AA", "AB==", "AA==\n", "é", "A" * 5])
def test_base64_has_one_spelling(text: str) -> None:
    assert decode_base64("AA==", 1) == b"\0"
    with pytest.raises(ValueError):
        decode_base64(text, 1)


@pytest.mark.parametrize("body", [b"!", b"AAAA", b""])
def test_a_public_key_of_another_kind_is_refused(body: bytes) -> None:
    assert read_public_key(public_pem(bytes(32)).replace(b"\n", b"\r\n")) == bytes(32)
    with pytest.raises(ValueError):
        read_public_key(b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n")


def test_a_checkpoint_spells_its_root_both_ways(world: World) -> None:
    newest = world.ledger.newest
    assert newest is not None
    assert newest.root_base64 == newest.text.splitlines()[2]
    assert newest.root_hex == world.ledger.root()


def test_an_outcome_file_holds_different_outcomes_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "outcomes"
    for content in (b"purged\npurged\n", b"purged\ndeleted\n", b"purged\nheld", b"purged\n", b"purged\nheld\nheld\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_outcomes(path, 2, digest(content.decode()))
    path.write_bytes(b"purged\nheld\n")
    assert read_outcomes(path, 2, digest("purged\nheld\n")) == ["purged", "held"]


def test_a_line_without_end_is_not_read_into_memory_and_is_a_fault(world: World) -> None:
    with (world.folder / "events.jsonl").open("ab") as stream:
        stream.write(b"x" * (MAX_LINE + 10))
    assert "form" in codes(world)
    assert judge(world.folder) == 1
    with pytest.raises(LedgerError):
        Ledger.open(world.folder, world.keys)


def test_a_checkpoint_over_nothing_or_under_a_wrong_name_is_a_fault(world: World) -> None:
    [key] = load_signing_keys(world.keys).values()
    nothing = world.folder / "checkpoints/000000000000"
    nothing.write_bytes(format_checkpoint(ORIGIN, 0, EMPTY_ROOT, key))
    assert codes(world) == {"checkpoint-size"}
    assert judge(world.folder) == 1
    outside = nothing.rename(world.home / "outside")
    assert verify(world.folder, checkpoints=[outside.read_bytes()]).exit_code == 1
    assert judge(world.folder, checkpoints=(outside,)) == 1
    (world.folder / "checkpoints/000000000002").write_bytes((world.folder / "checkpoints/000000000001").read_bytes())
    assert codes(world) == {"checkpoint-size"}
    assert judge(world.folder) == 1


def test_a_run_may_quote_the_empty_tree_only_before_any_other(world: World) -> None:
    world.start("plan")
    world.ledger.checkpoint()
    events = read_events(world.folder)
    with pytest.raises(LedgerError):
        world.append("run_start", "r", **{**_fields(events[-1]), "checkpoint": {"size": 0, "root": EMPTY_ROOT.hex()}})
    with pytest.raises(LedgerError):
        world.append("halt", run="not a token")
    forge(world, events)
    assert verify(world.folder).is_sound


def _fields(event: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name not in {"v", "seq", "prev", "at", "run", "type"}}


def test_a_ledger_that_nothing_signs_or_whose_public_key_was_replaced_is_not_opened(world: World) -> None:
    world.append("halt", codes=["a", "b"])
    world.ledger.close()
    pem = world.folder / "public.pem"
    content = pem.read_bytes()
    pem.write_bytes(public_pem(bytes(32)))
    with pytest.raises(LedgerError) as caught:
        Ledger.open(world.folder, world.keys)
    assert caught.value.code == "ledger-public-key"
    pem.write_bytes(content)
    (world.folder / "checkpoints/000000000001").unlink()
    (world.keys / "high-water").unlink()
    with pytest.raises(LedgerError) as caught:
        Ledger.open(world.folder, world.keys)
    assert caught.value.code == "ledger-checkpoint-missing"


def test_nothing_is_exported_before_the_first_checkpoint(world: World, tmp_path: Path) -> None:
    (world.folder / "checkpoints/000000000001").unlink()
    (world.keys / "high-water").unlink()
    with Ledger.open(world.folder, world.keys) as ledger:
        with pytest.raises(LedgerError):
            ledger.export_checkpoint(tmp_path)
        with pytest.raises(LedgerError):
            ledger.append("run_start", run="r", at=START, mode="plan")


def test_a_closed_ledger_is_not_written(world: World) -> None:
    world.ledger.close()
    with pytest.raises(RefusedError):
        world.append("halt")
