"""Was this record erased, and when? Two inclusion proofs: the leaf in its batch, the batch's lines in the ledger.

Invariant: a proof can be checked by itself, with the ledger's public key and nothing else; it shows nothing about any
other record, and never holds a batch key (a batch key would open its whole batch to guessing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from ropa.errors import CheckError, LedgerError
from ropa.ledger import merkle
from ropa.ledger.batches import LEAF_LINE, read_outcomes
from ropa.ledger.canonical import MAX_LINE, parse_line
from ropa.ledger.chain import BATCHES, CHECKPOINT_NAME, CHECKPOINTS, EVENTS
from ropa.ledger.events import MAX_LEAVES, is_hash
from ropa.ledger.files import names_in, open_regular, read_bounded
from ropa.ledger.keys import read_public_key
from ropa.ledger.leaf import leaf
from ropa.ledger.note import MAX_NOTE, is_note_signed, parse_checkpoint


@dataclass(frozen=True, slots=True)
class LineProof:
    """An event line and its place in the tree under the checkpoint."""

    seq: int
    line: str
    path: tuple[str, ...]
    """Sibling hashes from the line upwards, hex."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the ledger shows about one record in one batch."""

    leaf: str
    root: str
    index: int
    """Place of the leaf in its batch, from 0."""
    leaves: int
    path: tuple[str, ...]
    """Sibling hashes from the leaf upwards, hex."""
    intent: LineProof
    receipt: LineProof | None
    """None while the intent is open or its receipt is not signed yet."""
    outcome: str | None
    """The record's outcome, e.g. ``purged``."""
    at: str | None
    """When the receipt was written."""
    outcomes: str | None
    """The outcome file, where the receipt names one; it holds outcomes only."""
    checkpoint: str
    """The signed note both lines are proved under."""

    def as_dict(self) -> dict[str, Any]:
        """Return the proof as values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read a proof from values of JSON. Raises ValueError where they are none."""
        try:
            lines = {
                name: LineProof(part["seq"], part["line"], tuple(part["path"])) if (part := value[name]) else None
                for name in ("intent", "receipt")
            }
            rest = {name: value[name] for name in cls.__slots__ if name not in lines}
            return cls(**{**rest, **lines, "path": tuple(value["path"])})
        except (KeyError, TypeError):
            raise ValueError("not a proof") from None


def prove(
    folder: Path, candidates: Iterable[tuple[str, bytes]], location: str, dataset: str, key: Sequence[str]
) -> list[Proof]:
    """Return the proofs of every batch among ``candidates`` (root in hex, batch key) that holds the record.

    Empty where none does. Raises CheckError (``unsigned``) where the record was found, but no checkpoint covers it yet;
    LedgerError where evidence that should be there is not. It believes the ledger: verify it first.
    """
    found: dict[str, tuple[bytes, list[bytes]]] = {}
    for name, batch_key in candidates:
        record = leaf(batch_key, location, dataset, key)
        leaves = _leaves_with(folder / BATCHES / name, record)
        if leaves:
            found[name] = record, leaves
    if not found:
        return []
    note = _newest_note(folder)
    hashes, lines = _read_lines(folder, parse_checkpoint(note).size, found.keys())
    proofs = [
        _prove_one(folder, name, record, leaves, lines=lines[name], hashes=hashes, note=note)
        for name, (record, leaves) in found.items()
        if name in lines
    ]
    if not proofs:
        raise CheckError(
            "the record's batch is not covered by a checkpoint yet",
            next_step="Wait for the run to end, or run `ropa ledger checkpoint`.",
            code="unsigned",
        )
    return proofs


def _leaves_with(path: Path, record: bytes) -> list[bytes]:
    try:
        content = read_bounded(path, LEAF_LINE * MAX_LEAVES)
        # A key that is tried in vain costs one search; only the batch that has the record is taken apart.
        if record.hex().encode() + b"\n" not in content:
            return []
        return [bytes.fromhex(line) for line in content.decode("ascii").splitlines()]
    except FileNotFoundError:
        return []  # a crash came between keeping the key and writing the batch; no intent can name it
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path} cannot be read", next_step="Run `ropa ledger verify`.", code="batch-file") from error


def _newest_note(folder: Path) -> bytes:
    names = [name for name in names_in(folder / CHECKPOINTS) if CHECKPOINT_NAME.fullmatch(name)]
    try:
        note = read_bounded(folder / CHECKPOINTS / names[-1], MAX_NOTE)
        parse_checkpoint(note)
    except (IndexError, OSError, ValueError) as error:
        raise LedgerError(
            "the newest checkpoint cannot be read", next_step="Run `ropa ledger verify`.", code="checkpoint-form"
        ) from error
    return note


def _read_lines(
    folder: Path, size: int, roots: Iterable[str]
) -> tuple[list[bytes], dict[str, dict[str, tuple[int, bytes]]]]:
    """Return the hashes of the first ``size`` lines, and by root the intent and receipt among them."""
    wanted = {name.encode(): name for name in roots}
    hashes: list[bytes] = []
    lines: dict[str, dict[str, tuple[int, bytes]]] = {}
    try:
        with open_regular(folder / EVENTS) as stream:
            for seq in range(size):
                line = stream.readline(MAX_LINE + 2).removesuffix(b"\n")
                hashes.append(merkle.leaf_hash(line))
                if any(root in line for root in wanted):
                    event = parse_line(line)
                    if event.get("root") in wanted.values() and event["type"] in {"intent", "receipt"}:
                        lines.setdefault(event["root"], {})[event["type"]] = (seq, line)
    except (OSError, ValueError) as error:
        raise LedgerError(
            f"{EVENTS} cannot be read", next_step="Run `ropa ledger verify`.", code="events-unreadable"
        ) from error
    return hashes, {name: part for name, part in lines.items() if "intent" in part}


def _prove_one(
    folder: Path,
    name: str,
    record: bytes,
    leaves: list[bytes],
    *,
    lines: Mapping[str, tuple[int, bytes]],
    hashes: list[bytes],
    note: bytes,
) -> Proof:
    index = leaves.index(record)
    batch_path = merkle.inclusion_proof([merkle.leaf_hash(data) for data in leaves], index)
    proved = {
        kind: LineProof(seq, line.decode(), _hex(merkle.inclusion_proof(hashes, seq)))
        for kind, (seq, line) in lines.items()
    }
    receipt = parse_line(lines["receipt"][1]) if "receipt" in lines else None
    outcome, told = None, None
    if receipt is not None:
        outcome = receipt["outcomes"]
        if is_hash(outcome):
            try:
                words = read_outcomes(folder / BATCHES / f"{name}.outcomes", len(leaves), outcome)
            except (OSError, ValueError) as error:
                raise LedgerError(
                    f"{name}.outcomes cannot be read", next_step="Run `ropa ledger verify`.", code="outcome-file"
                ) from error
            outcome, told = words[index], "".join(f"{word}\n" for word in words)
    return Proof(
        leaf=record.hex(),
        root=name,
        index=index,
        leaves=len(leaves),
        path=_hex(batch_path),
        intent=proved["intent"],
        receipt=proved.get("receipt"),
        outcome=outcome,
        at=receipt["at"] if receipt else None,
        outcomes=told,
        checkpoint=note.decode(),
    )


def _hex(path: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(digest.hex() for digest in path)


def verify_proof(proof: Proof, *, public_key: bytes, expected_leaf: bytes | None = None) -> bool:
    """Tell whether a proof holds under the ledger's public key (32 bytes or PEM, the one that signs now).

    ``expected_leaf``: the leaf that one who was shown the batch key computes for the record; without it the proof is
    about whatever record the leaf belongs to. Never raises for what a proof holds.
    """
    try:
        note = parse_checkpoint(proof.checkpoint.encode())
        record = bytes.fromhex(proof.leaf)
        path = [bytes.fromhex(digest) for digest in proof.path]
        return (
            (expected_leaf is None or record == expected_leaf)
            and is_note_signed(note, note.origin, read_public_key(public_key))
            and merkle.verify_inclusion(
                merkle.leaf_hash(record), proof.index, proof.leaves, path, bytes.fromhex(proof.root)
            )
            and _holds_intent(proof, note.size, note.root)
            and _holds_receipt(proof, note.size, note.root)
        )
    except (ValueError, TypeError, AttributeError, KeyError):
        return False


def _line_under(part: LineProof, size: int, root: bytes) -> dict[str, Any] | None:
    line, path = part.line.encode(), [bytes.fromhex(digest) for digest in part.path]
    is_there = merkle.verify_inclusion(merkle.leaf_hash(line), part.seq, size, path, root)
    return parse_line(line) if is_there else None


def _holds_intent(proof: Proof, size: int, root: bytes) -> bool:
    intent = _line_under(proof.intent, size, root)
    return intent is not None and (intent["type"], intent["root"], intent["leaves"]) == (
        "intent",
        proof.root,
        proof.leaves,
    )


def _holds_receipt(proof: Proof, size: int, root: bytes) -> bool:
    if proof.receipt is None:
        return proof.outcome is None and proof.at is None
    receipt = _line_under(proof.receipt, size, root)
    if receipt is None or (receipt["type"], receipt["root"], receipt["at"]) != ("receipt", proof.root, proof.at):
        return False
    if not is_hash(receipt["outcomes"]):
        return bool(receipt["outcomes"] == proof.outcome)
    told = proof.outcomes or ""
    lines = told.split("\n")
    return (
        sha256(told.encode()).hexdigest() == receipt["outcomes"]
        and len(lines) == proof.leaves + 1
        and lines[proof.index] == proof.outcome
    )
