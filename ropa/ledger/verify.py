"""Is the evidence sound? Everything that the ledger's format lets a reader check, from the files alone.

Invariant: never raises for anything the files hold, and finds what was changed after a checkpoint covered it; memory
grows with batches and checkpoints, not with lines or leaves. ``verifier/verify_ledger.py`` asks the same questions and
shares no code with this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ropa.ledger import batches
from ropa.ledger.chain import BATCHES, Fault, Scan
from ropa.ledger.events import TYPES
from ropa.ledger.files import is_content
from ropa.ledger.keys import read_public_key
from ropa.ledger.rules import Rules
from ropa.ledger.signing import public_key_files


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found."""

    problems: tuple[Fault, ...]
    """What is wrong; empty: sound. At most 1,000."""
    open_intents: tuple[int, ...]
    """``seq`` of every intent without a receipt."""
    unsigned_lines: int
    """Whole lines after the newest checkpoint."""
    debris: int
    """Files that no line names: left by a crash, ignored, never evidence."""
    size: int
    """Whole lines."""
    root: str
    """Root over them, 64 hex digits."""
    origin: str
    last_at: str
    signed_size: int
    """Lines that the newest checkpoint covers."""
    unknown_types: Mapping[str, int]
    """Types of events that this version does not know, with their number: their meaning was not checked."""
    events: Mapping[str, int]
    """Number of lines by type."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong; intents may be open."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0 clean, 3 sound with open intents, 1 broken."""
        if not self.is_sound:
            return 1
        return 3 if self.open_intents else 0


def verify(folder: Path, *, public_key: bytes | None = None, checkpoints: Sequence[bytes] = ()) -> Verification:
    """Check a ledger or an exported copy of one; reads only.

    ``public_key``: the ledger's key from outside, 32 bytes or PEM, of genesis or of a rotation since.
    ``checkpoints``: signed notes kept elsewhere; only these show that the tail was cut off, or that whoever holds the
    signing key wrote another history. Never raises for what any of these hold.
    """
    scan, rules = Scan(folder, checkpoints), Rules()
    kinds: Counter[str] = Counter()
    for seq, event in scan.events():
        kind = event["type"]
        kinds[kind] += 1
        if kind not in TYPES:
            continue
        for code in rules.wrong(event):
            scan.fault(code, seq)
        if kind == "intent":
            _check_files(scan, seq, event, event["leaves"])
        elif kind == "receipt" and event["root"] in rules.open_intents:
            _check_files(scan, seq, event, rules.open_intents[event["root"]][1]["leaves"])
        rules.record(seq, event)
    if scan.partial:
        scan.fault("last-line", scan.chain.size)
    signed = scan.newest.size if scan.newest else 0
    if not scan.notes:
        scan.fault("checkpoint-missing")
    _check_keys(scan, folder, public_key)
    return Verification(
        problems=tuple(scan.faults),
        open_intents=tuple(seq for seq, _intent in rules.open_intents.values()),
        unsigned_lines=max(0, scan.chain.size - signed),
        debris=scan.debris + batches.count_debris(folder / BATCHES, rules.roots, rules.told),
        size=scan.chain.size,
        root=scan.chain.tree.root().hex(),
        origin=scan.chain.origin,
        last_at=scan.chain.last_at,
        signed_size=signed,
        unknown_types={kind: count for kind, count in kinds.items() if kind not in TYPES},
        events=dict(kinds),
    )


def _check_files(scan: Scan, seq: int, event: Mapping[str, object], leaves: int) -> None:
    for code in batches.wrong_files(scan.folder / BATCHES, event, leaves):
        scan.fault(code, seq)


def _check_keys(scan: Scan, folder: Path, public_key: bytes | None) -> None:
    keys = [key for _start, key in scan.chain.keys]
    if keys:
        for name, pem in public_key_files(scan.chain.origin, keys).items():
            if not is_content(folder / name, pem):
                scan.fault("public-key", file=name)
    if public_key is None:
        return
    try:
        # A later key vouches for the whole, too: it signed, in its rotation, for the chain up to there.
        is_known = read_public_key(public_key) in keys
    except ValueError:
        is_known = False
    if not is_known:
        scan.fault("foreign-key")
