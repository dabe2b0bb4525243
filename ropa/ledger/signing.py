"""Signing checkpoints: with which keys, never below what was signed, and where copies go.

Invariant: the mark in ``keys/`` always holds the newest checkpoint that was signed, and goes to the disk before the
checkpoint itself: a crash in between leaves a mark that the ledger contains, never a signature that nobody remembers.
So an older copy of the ledger, put back from a backup, is not signed a second time with other lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ropa.errors import LedgerError, LocationError
from ropa.ledger.appending import LOOK, EventFile
from ropa.ledger.chain import CHECKPOINT_NAME, CHECKPOINTS, Chain
from ropa.ledger.files import make_private_folder, names_in, read_bounded, sync_folder, write_durably
from ropa.ledger.keys import SigningKey, create_signing_key, key_id, load_signing_keys, public_pem
from ropa.ledger.note import MAX_NOTE, Checkpoint, format_checkpoint, parse_checkpoint

HIGH_WATER = "high-water"
"""In ``keys/``: the newest checkpoint that was ever signed."""


def public_key_files(origin: str, keys: Sequence[bytes]) -> dict[str, bytes]:
    """Return the public key files that stand in the ledger: ``public.pem``, and one for each key that followed."""
    names = ["public.pem", *(f"public-{key_id(origin, key).hex()}.pem" for key in keys[1:])]
    return {name: public_pem(key) for name, key in zip(names, keys, strict=True)}


def read_mark(path: Path) -> bytes:
    """Return a checkpoint kept outside the ledger. Raises LedgerError (``high-water``) where it cannot be read."""
    try:
        content = read_bounded(path, MAX_NOTE)
        parse_checkpoint(content)
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path} cannot be read as a checkpoint", next_step=LOOK, code="high-water") from error
    return content


def marks(keys: Path | None, high_water: Path | None) -> list[bytes]:
    """Return the checkpoints that the ledger must contain: the mark in ``keys/`` and the largest that was exported.

    The largest is enough: it commits to every line before it, those of smaller checkpoints included.
    """
    paths = [keys / HIGH_WATER] if keys is not None else []
    if high_water is not None and high_water.is_dir():
        sizes = [name for name in names_in(high_water) if CHECKPOINT_NAME.fullmatch(name)]
        paths += [high_water / name for name in sizes[-1:]]
    elif high_water is not None:
        paths.append(high_water)
    return [read_mark(path) for path in paths if os.path.lexists(path)]


class Signer:
    """The signing keys of one ledger."""

    def __init__(self, folder: Path, keys: Path) -> None:
        """Load the keys. Raises CallError where they are open to others or cannot be read."""
        self._folder, self._keys = folder, keys
        self._loaded: dict[bytes, SigningKey] = load_signing_keys(keys)

    def current(self, chain: Chain) -> SigningKey:
        """Return the key that signs now. Raises LedgerError (``key-missing``)."""
        return self._require(chain, [chain.keys[-1][1]])[0]

    def _require(self, chain: Chain, publics: Sequence[bytes]) -> list[SigningKey]:
        if any(public not in self._loaded for public in publics):
            raise LedgerError(
                f"the signing key of {chain.origin} is not in {self._keys}",
                next_step="Put the key back; if it is lost, begin a new ledger that follows this one.",
                code="key-missing",
            )
        return [self._loaded[public] for public in publics]

    def sign(self, chain: Chain, newest: Checkpoint | None, file: EventFile) -> Checkpoint:
        """Sign all lines of the chain and put the checkpoint in place; see ``Ledger.checkpoint``."""
        signers = self._require(chain, chain.signers(chain.size, newest.size if newest else 0))
        mark = self._keys / HIGH_WATER
        if os.path.lexists(mark) and parse_checkpoint(read_mark(mark)).size > chain.size:
            raise LedgerError("a larger checkpoint than this was signed", next_step=LOOK, code="high-water")
        root = chain.tree.root()
        note = format_checkpoint(chain.origin, chain.size, root, *signers)
        path = self._folder / CHECKPOINTS / f"{chain.size:012}"
        file.beside(lambda: write_durably(mark, note))
        file.beside(lambda: write_durably(path, note))
        self.retire(chain, chain.size)
        return Checkpoint(chain.size, root, path, note)

    def retire(self, chain: Chain, signed: int) -> None:
        """Remove private keys that others followed, once a checkpoint of ``signed`` lines carries both signatures."""
        followed = [old for (_, old), (start, _new) in zip(chain.keys, chain.keys[1:], strict=False) if start <= signed]
        for public in followed:
            if public in self._loaded:
                self._loaded.pop(public).path.unlink(missing_ok=True)
                sync_folder(self._keys)

    def add_key(self, origin: str) -> SigningKey:
        """Make the key that is to follow the present one."""
        new = create_signing_key(self._keys, rotated_for=origin)
        self._loaded[new.public] = new
        return new


def export_checkpoint(checkpoint: Checkpoint, to: Path) -> Path:
    """Put a checkpoint into a folder outside; see ``Ledger.export_checkpoint``."""
    path = to / f"{checkpoint.size:012}"
    try:
        make_private_folder(to)
        if not os.path.lexists(path):
            write_durably(path, checkpoint.note)
        present = read_bounded(path, MAX_NOTE)
    except OSError as error:
        raise LocationError(
            f"the checkpoint cannot be written to {to} ({error.strerror})", code="checkpoint-export"
        ) from error
    # Witnesses may have added their lines: what is compared is the text that was signed.
    if present.partition(b"\n\n")[0] != checkpoint.note.partition(b"\n\n")[0]:
        raise LedgerError(f"{path} is a checkpoint of another history", next_step=LOOK, code="fork")
    return path
