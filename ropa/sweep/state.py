"""Small facts of a site, and the persons who decide.

Invariant: the ledger carries a person's random id; the name stands in this database only.
"""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import normalise_identifier
from ropa.errors import CallError
from ropa.sweep.site import Site
from ropa.sweep.tables import ActorRow, StateRow


def get_state(site: Site, key: str) -> str | None:
    """Return a small fact, None where it was never written."""
    with Session(site.engine) as session:
        row = session.get(StateRow, key)
        return row.value if row else None


def set_state(site: Site, **facts: str | None) -> None:
    """Write small facts in one transaction; None removes one."""
    with Session(site.engine) as session, session.begin():
        for key, value in facts.items():
            row = session.get(StateRow, key)
            if value is None:
                if row:
                    session.delete(row)
            elif row:
                row.value = value
            else:
                session.add(StateRow(key=key, value=value))


def actor_id(site: Site, name: str) -> str:
    """Return the random id of a person; the same person under another spelling of case or spaces has the same id."""
    normalised = normalise_identifier(name)
    if not normalised:
        raise CallError("--by needs a name", next_step="Say who decides: --by 'First Last'.")
    with Session(site.engine) as session, session.begin():
        row = session.scalars(select(ActorRow).where(col(ActorRow.normalised) == normalised)).first()
        if row is None:
            row = ActorRow(id=secrets.token_hex(8), name=name.strip(), normalised=normalised)
            session.add(row)
        return row.id
