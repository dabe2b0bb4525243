"""What a process that helps does: it takes an item, does what it asks at the place, and tells what became of it.

It holds no run lock, writes no ledger, and is told nothing but the name of an item; keys, holds and configuration it
reads for itself, at that moment. What it tells carries positions, never keys. Invariant: an act is begun only while the
item is ours and the run that offered it holds the run lock; a listing is committed only so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa import errors
from ropa.connector import Outcome, Outcomes, OutcomeWord
from ropa.errors import LocationError, RopaError
from ropa.sweep import items, units
from ropa.sweep.hand import Hand, Told
from ropa.sweep.items import HeldItemError, Item, StaleItemError
from ropa.sweep.place import Listed, PlanAtPlace
from ropa.sweep.site import Site
from ropa.sweep.tables import BatchRow
from ropa.sweep.units import Portion

WAIT_SECONDS = 1.0
"""How often an item is asked for that another worker holds."""


class Helper:
    """Does items, one at a time."""

    def __init__(self, open_site: Callable[[], Site]) -> None:
        self._open_site = open_site
        self.site = open_site()
        self._run: int | None = None
        """The run that the site was opened for: by its fencing number."""
        self._one_at_a_time = threading.Lock()
        self.is_stopping = threading.Event()
        """Set when this process is to end: what is waited for is then left to others."""

    def do(self, name: str) -> dict[str, Any]:
        """Do an item and return what became of it, as plain values. Never raises: the text of an error that is not
        ours may hold data, and whoever carries it here would log it."""
        with self._one_at_a_time:  # the engine may call again before it noticed that we are still at work
            try:
                return self._do(self._claim(name))
            except RopaError as error:
                return {"error": _spelled_error(error)}
            except Exception as error:  # noqa: BLE001 - see above
                return {"error": {"kind": "RopaError", "message": f"unexpected {type(error).__name__} in a worker"}}

    def wait(self, seconds: float) -> None:
        """Wait for the end of the item in hand, no longer than this."""
        if self._one_at_a_time.acquire(timeout=seconds):
            self._one_at_a_time.release()

    def close(self) -> None:
        """Let go of places and database."""
        self.is_stopping.set()
        self.site.close()

    def _do(self, item: Item) -> dict[str, Any]:
        with self._kept(item):
            try:
                told = self._list(item) if item.kind == items.LIST else self._act(item)
            except Exception:
                with suppress(RopaError):
                    items.let_go(self.site, item)
                raise
            items.let_go(self.site, item)
        return told

    def _claim(self, name: str) -> Item:
        self._open_for(name)
        while True:
            try:
                return items.claim(self.site, name)
            except HeldItemError:
                if self.is_stopping.wait(WAIT_SECONDS):
                    raise

    def _open_for(self, name: str) -> None:
        """Open everything anew for the first item of a run, as a process of its own would: configuration, secrets,
        connections and what a place tells of its references are no older than the run."""
        try:
            run = items.run_of(self.site, name)
        except LocationError:  # the connection may have been idle for a day; now it is a new one
            run = items.run_of(self.site, name)
        if run is not None and run != self._run:
            self.site.close()
            self.site = self._open_site()
            self._run = run

    @contextmanager
    def _kept(self, item: Item) -> Iterator[None]:
        """Renew the lease of an item for the time of the block."""
        is_over = threading.Event()

        def renew() -> None:
            while not is_over.wait(items.RENEW_SECONDS):
                with suppress(RopaError):  # what it means is found where the work is committed, begun or finished
                    items.keep(self.site, item)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _list(self, item: Item) -> dict[str, Any]:
        here = PlanAtPlace(
            self.site,
            item.plan_id,
            item.location,
            watches=item.watches,
            guard=lambda session: items.guard(self.site, item, session),
        )
        return spelled_listing(here.write(is_again=item.is_again))

    def _act(self, item: Item) -> dict[str, Any]:
        query = select(BatchRow).where(col(BatchRow.plan_id) == item.plan_id, col(BatchRow.unit) == item.unit)
        with Session(self.site.engine, expire_on_commit=False) as session:
            rows = session.scalars(query.order_by(col(BatchRow.number))).all()
        portions = [units.read_back(self.site, row) for row in rows]
        if not portions or any(row.settled_at is not None for row in rows):
            raise StaleItemError("this unit has been settled", code="item-stale")
        hand = Hand(self.site, lambda: items.holding(self.site, item))
        return spelled_told(hand.act(portions, is_again=item.is_again))


# --- what is told, as plain values ----------------------------------------------------------------------------------


def spelled_told(told: Told) -> dict[str, Any]:
    """Return the outcomes of a unit without its keys, which whoever asked has."""
    return {
        "level": told.level,
        "is_again": told.is_again,
        "outcomes": [
            {
                "word": str(one.word),
                "odd": {
                    pos: (str(odd.word), odd.code, odd.until and odd.until.isoformat(), odd.version)
                    for pos, odd in one.odd.items()
                },
                "versions": list(one.versions),
            }
            for one in told.outcomes
        ],
    }


def read_told(document: Mapping[str, Any], portions: Sequence[Portion]) -> Told:
    """Return what ``spelled_told`` spelled. Raises LocationError when it does not account for every record."""
    outcomes = []
    for portion, one in zip(portions, document["outcomes"], strict=True):
        odd = {
            int(pos): Outcome(
                portion.keys[int(pos)],
                OutcomeWord(word),
                code,
                date.fromisoformat(until) if until else None,
                None if portion is portions[-1] else portion.row.dataset,
                version,
            )
            for pos, (word, code, until, version) in one["odd"].items()
        }
        if len(one["versions"]) not in {0, len(portion.keys)}:
            raise LocationError(f"a worker did not account for every record of {portion.row.location}")
        outcomes.append(Outcomes(portion.keys, OutcomeWord(one["word"]), odd, one["versions"]))
    return Told(tuple(outcomes), document["level"], document["is_again"])


def spelled_listing(listed: Listed) -> dict[str, Any]:
    """Return what the planning of a place tells, as plain values."""
    return {"returned": dict(listed.returned), "why": [_spelled_error(error) for error in listed.why]}


def read_listing(document: Mapping[str, Any]) -> Listed:
    """Return what ``spelled_listing`` spelled."""
    why = [error for told in document["why"] if isinstance(error := read_error(told), LocationError)]
    return Listed(Counter(document["returned"]), why)


def _spelled_error(error: RopaError) -> dict[str, Any]:
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "next_step": error.next_step,
        "code": error.code,
    }


def read_error(told: Mapping[str, Any]) -> RopaError:
    """Return the error that a worker told of: of the same kind where it is one of ``ropa.errors``."""
    kind = getattr(errors, told["kind"], RopaError)
    plain = kind in {
        errors.LocationError,
        errors.IncompleteListingError,
        errors.LedgerError,
        errors.RefusedError,
        errors.BusyError,
    }
    made: RopaError = (kind if plain else RopaError)(
        told["message"], next_step=told.get("next_step"), code=told.get("code")
    )
    return made
