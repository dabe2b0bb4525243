"""The evidence as the commands show it: verify, show, prove, export.

Invariant: reading the evidence never writes it, and works while a run is under way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Key
from ropa.errors import CallError, CheckError
from ropa.ledger.proof import prove
from ropa.ledger.verify import Verification, verify
from ropa.sweep.site import Site
from ropa.sweep.tables import ActorRow, BatchRow


def checkpoints_outside(site: Site) -> list[bytes]:
    """Return the checkpoints exported so far: a ledger that was cut short contradicts one of them."""
    folders = [site.exports_folder, *([site.config.checkpoint_export] if site.config.checkpoint_export else [])]
    return [
        path.read_bytes()
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if _is_size(path)
    ]


def _is_size(path: Path) -> bool:
    return path.is_file() and len(path.name) == 12 and path.name.isdigit()


def verify_site(site: Site) -> Verification:
    """Verify the whole ledger, also against the checkpoints that were exported."""
    return verify(site.ledger_folder, checkpoints=checkpoints_outside(site))


def verification_document(found: Verification) -> dict[str, Any]:
    """Return ``ropa.verification/1``."""
    return {
        "schema": "ropa.verification/1",
        "sound": found.is_sound,
        "origin": found.origin,
        "size": found.size,
        "root": found.root,
        "signed_size": found.signed_size,
        "unsigned_lines": found.unsigned_lines,
        "open_intents": list(found.open_intents),
        "debris": found.debris,
        "events": dict(found.events),
        "unknown_types": dict(found.unknown_types),
        "problems": [{"code": problem.code, "seq": problem.seq} for problem in found.problems],
    }


def prove_record(site: Site, dataset: str, key: Key) -> list[dict[str, Any]]:
    """Return what the ledger shows about one record, a proof for each batch it was in. Raises CallError for an unknown
    dataset, CheckError when no batch of this database holds it (or its batch key was destroyed)."""
    location, _, name = dataset.partition(".")
    with Session(site.engine) as session:
        rows = session.execute(
            select(col(BatchRow.root), col(BatchRow.key)).where(
                col(BatchRow.location) == location, col(BatchRow.dataset) == name, col(BatchRow.key).is_not(None)
            )
        ).all()
    known = location in site.config.locations and name in site.config.locations[location].datasets
    if not rows and not known:
        raise CallError(f"there is no dataset {dataset!r} in config/retention.toml or in the evidence")
    proofs = prove(
        site.ledger_folder, [(root, secret) for root, secret in rows if secret is not None], location, name, key
    )
    if not proofs:
        raise CheckError(
            f"the ledger has nothing about a record with this key in {dataset}",
            next_step="Give the key as it was in the plan; where the evidence period has ended nothing can be shown.",
        )
    return [proof.as_dict() for proof in proofs]


def actor_names(site: Site) -> dict[str, str]:
    """Map the ledger's actor ids to names, which stand in this database only."""
    with Session(site.engine) as session:
        return {row.id: row.name for row in session.scalars(select(ActorRow)).all()}
