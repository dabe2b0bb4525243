"""Small facts of a site, and the persons who decide.

Invariant: the ledger carries a person's random id; the name stands in this database only.
"""

from __future__ import annotations

import secrets

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import normalise_identifier
from ropa.database import insert_missing
from ropa.errors import CallError
from ropa.sweep.site import Site
from ropa.sweep.tables import ActorRow, StateRow


def get_state(site: Site, key: str) -> str | None:
    """Return a small fact, None where it was never written."""
    with Session(site.engine) as session:
        row = session.get(StateRow, key)
        return row.value if row else None


def set_state(site: Site, **facts: str | None) -> None:
    """Write small facts in one transaction; None removes one. Of two writers of one fact the later one counts."""
    with site.engine.begin() as connection:
        for key, value in sorted(facts.items()):  # two that write several lock them in one order
            if value is None:
                connection.execute(delete(StateRow).where(col(StateRow.key) == key))
            else:
                connection.execute(insert_missing(site.engine, StateRow), {"key": key, "value": value})
                connection.execute(update(StateRow).where(col(StateRow.key) == key).values(value=value))


def actor_id(site: Site, name: str) -> str:
    """Return the random id of a person; the same person under another spelling of case or spaces has the same id."""
    normalised = normalise_identifier(name)
    if not normalised:
        raise CallError("--by needs a name", next_step="Say who decides: --by 'First Last'.")
    wanted = select(col(ActorRow.id)).where(col(ActorRow.normalised) == normalised)
    with site.engine.begin() as connection:
        found = connection.scalar(wanted)
        if found is None:
            row = {"id": secrets.token_hex(8), "name": name.strip(), "normalised": normalised}
            connection.execute(insert_missing(site.engine, ActorRow), row)  # or another process was faster
            found = connection.scalar(wanted)
        return str(found)
