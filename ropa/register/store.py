"""The register in its database: the rows are the register, and every change is a revision with who, when and why.

Invariants: a save is one transaction that rewrites the rows and appends one revision, or does nothing at all; revisions
are numbered from 1 without gaps and never changed; two saves from the same starting point cannot both succeed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ropa.clock import calendar_day
from ropa.errors import BusyError, CheckError, RegisterError
from ropa.register.edit import Change, differences
from ropa.register.models import Register
from ropa.register.parse import from_data
from ropa.register.text import digest, from_json, to_data, to_json

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of the register."""

    number: int
    at: datetime
    by: str
    reason: str
    digest: str
    """``sha256:`` and 64 hex digits of the register as it then was, whatever the order of its entries."""


@dataclass(frozen=True, slots=True)
class Dated:
    """When an entry came and when it changed last."""

    first_on: date
    last_on: date


class RegisterStore:
    """The register in an open, migrated database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def current(self) -> tuple[int, Register]:
        """Return the newest revision's number and the register as the tables hold it; 0 and an empty one at first."""
        from sqlmodel import Session

        from ropa.register.rows import from_rows

        with Session(self._engine) as session, session.begin():
            _freeze(session)
            return self._newest(session), from_rows(session)

    def revision(self) -> int:
        """Return the newest revision's number, without reading the register; 0 at first."""
        from sqlalchemy.orm import Session

        with Session(self._engine) as session:
            return self._newest(session)

    def activities(self) -> tuple[int, frozenset[str]]:
        """Return the newest revision's number and the keys of its activities, without reading the register."""
        from sqlalchemy import column, select, table
        from sqlalchemy.orm import Session

        with Session(self._engine) as session, session.begin():
            _freeze(session)
            keys: list[str] = list(session.scalars(select(column("key")).select_from(table("activity"))))
            return self._newest(session), frozenset(keys)

    def at(self, revision: int) -> Register:
        """Return the register as it was at a revision; 0: the empty one. Raises CheckError: no such revision."""
        from sqlmodel import Session

        from ropa.register.tables import RevisionRow

        if revision == 0:
            return Register()
        with Session(self._engine) as session:
            row = session.get(RevisionRow, revision)
            if row is None:
                newest = self._newest(session)
                raise CheckError(
                    f"there is no revision {revision} of the register; the newest is {newest}",
                    next_step="See `ropa register history`.",
                    code="revision-absent",
                )
            return from_json(row.snapshot, f"revision {revision}")

    def save(self, register: Register, *, by: str, reason: str, at: datetime, base: int | None = None) -> int:
        """Make the register current and return its revision; the present number comes back when nothing changed.

        ``base``: the revision that was edited; when another save came in between, BusyError is raised and nothing is
        written. Raises RegisterError when the register could not be read back from its own text, or who or why is
        not said.
        """
        from sqlalchemy.exc import IntegrityError
        from sqlmodel import Session

        from ropa.register.tables import RevisionRow

        if not by.strip() or not reason.strip():
            raise RegisterError("a change of the register says who made it and why", (), next_step="Give both.")
        from_data(to_data(register))
        new = digest(register)
        try:
            with Session(self._engine) as session, session.begin():
                newest = self._newest(session)
                if base is not None and base != newest:
                    raise _overtaken(base)
                before = session.get(RevisionRow, newest) if newest else None
                if (before.digest if before else digest(Register())) == new:
                    return newest
                # First of all, so that of two savers at once the second meets the first one's number and stops.
                session.add(
                    RevisionRow(
                        number=newest + 1,
                        at=at,
                        by=by,
                        reason=reason,
                        digest=new,
                        snapshot=to_json(register, indent=None),
                    )
                )
                session.flush()
                _rewrite(session, register)
                return newest + 1
        except IntegrityError as failure:
            raise _overtaken(base) from failure

    def history(self) -> list[Revision]:
        """Return every revision, the oldest first."""
        from sqlmodel import Session, col, select

        from ropa.register.tables import RevisionRow

        with Session(self._engine) as session:
            rows = session.exec(select(RevisionRow).order_by(col(RevisionRow.number))).all()
            return [Revision(row.number, row.at, row.by, row.reason, row.digest) for row in rows]

    def dated(self, revision: int, zone: ZoneInfo) -> dict[str, Dated]:
        """Return, for each activity of a revision, on which days in ``zone`` it came and was changed last.

        One that had left and came back came when it came back.
        """
        from sqlmodel import Session, col, select

        from ropa.register.tables import RevisionRow

        found: dict[str, Dated] = {}
        before: dict[str, Any] = {}
        with Session(self._engine) as session:
            rows = select(RevisionRow).where(col(RevisionRow.number) <= revision).order_by(col(RevisionRow.number))
            for row in session.exec(rows.execution_options(yield_per=10)):
                day = calendar_day(row.at, zone)
                entries: dict[str, Any] = json.loads(row.snapshot).get("activity", {})
                for key in found.keys() - entries.keys():
                    del found[key]
                for key, entry in entries.items():
                    if key not in found:
                        found[key] = Dated(day, day)
                    elif before[key] != entry:
                        found[key] = Dated(found[key].first_on, day)
                before = entries
        return found

    def diff(self, before: int, after: int) -> list[Change]:
        """Return what changed between two revisions, by key path. Raises CheckError: no such revision."""
        return differences(self.at(before), self.at(after))

    @staticmethod
    def _newest(session: Session) -> int:
        from sqlalchemy import column, func, select, table

        # Not by its class: every command asks this, and most need none of the register's other tables.
        return session.scalar(select(func.max(column("number"))).select_from(table("register_revision"))) or 0


def _freeze(session: Session) -> None:
    """Make every read of this transaction see one and the same state, whoever saves meanwhile."""
    if session.get_bind().dialect.name != "sqlite":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return
    connection = session.connection()
    # The driver begins a transaction for writes only; reads would each see the newest state.
    if not getattr(connection.connection.driver_connection, "in_transaction", False):
        connection.exec_driver_sql("BEGIN")


def _rewrite(session: Session, register: Register) -> None:
    from itertools import groupby

    from sqlalchemy import delete

    from ropa.register.rows import IN_ORDER, to_rows

    for table in reversed(IN_ORDER):
        session.execute(delete(table))
    session.expire_all()
    for _, rows in groupby(to_rows(register), key=type):
        session.add_all(rows)
        session.flush()


def _overtaken(base: int | None) -> BusyError:
    since = "" if base is None else f" since revision {base}"
    return BusyError(
        f"the register was changed by someone else{since}; nothing was written",
        next_step="Look at the change with `ropa register history` and make yours again.",
        code="register-overtaken",
    )
