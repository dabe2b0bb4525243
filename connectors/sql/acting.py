"""``act``: the only file that deletes or changes rows of somebody's database.

Design. One transaction for a batch and its companions, begun with the write lock, so that what is looked at is what is
acted upon. Inside it every record is read again; it goes only if it is there once, is unchanged since it was found, is
still selected, is not spared, and nothing refers to it that does not go in this very transaction, whatever ON DELETE
says: no cascade ever does our work. The statement that deletes carries the selection's condition once more, and
afterwards none of the records may be left; otherwise all is undone. A batch that the database refuses as a whole is
halved until the records it refuses are alone. ``purged`` here means "the database said so": the caller reads back.

Invariant: whatever happens, a record is wholly there or wholly gone, and its outcome does not say more than was done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from connectors.sql.backend import Backend, KeyTable
from connectors.sql.catalogue import columns_of
from connectors.sql.conditions import Question, ask, is_one_of, joined
from connectors.sql.entries import Entries, Entry, Verdict, companions_of, spread
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.finding import belongs
from connectors.sql.layout import Declared, Layout
from connectors.sql.masking import changed
from connectors.sql.relations import fetch, referring_rows
from connectors.sql.sparing import Sparing
from connectors.sql.versions import Comparer
from ropa.connector import Action, Batch, Found, Key, Outcome, OutcomeWord, Selection
from ropa.errors import LocationError

_ATTEMPTS = 4
"""A locked database is tried again three times; each attempt waits for the lock by itself."""
_PAUSE_SECONDS = 0.05

REFERRED_TO = "referenced"


class _UnevenError(Exception):
    """More or fewer rows went than should have: undo."""


class Actor:
    """Acts on one batch over one connection that can write."""

    def __init__(self, selection: Selection, batch: Batch, action: Action, layout: Layout, backend: Backend) -> None:
        self._selection = selection
        self._batch = batch
        self._is_purge = action is Action.PURGE
        self._layout = layout
        self._backend = backend
        self._question = ask(selection, layout, backend)
        self._sparing = Sparing(selection.spare, layout, backend)
        self._comparer = Comparer()
        self._keys = None if selection.keys is None else frozenset(selection.keys)
        self._is_halved = False
        self._changed: dict[Key, str] = {}
        """Versions of records after our own change."""

    def outcomes(self, connection: Connection) -> list[Outcome]:
        """Act, and return one outcome per record: the batch's own in their order, then each companion's."""
        entries = Entries.of(self._batch, self._layout)
        verdicts = self._halve(connection, list(self._batch.records), entries)
        if self._is_halved:
            verdicts |= self._again(connection, verdicts)
        done = OutcomeWord.PURGED if self._is_purge else OutcomeWord.ANONYMISED
        found = []
        for entry in entries.all:
            word, code = verdicts.get((entry.dataset, entry.found.key), (OutcomeWord.CHANGED, None)) or (done, None)
            version = self._changed.get(entry.found.key) if word is OutcomeWord.ANONYMISED else None
            dataset = None if entry.is_main else entry.dataset
            found.append(Outcome(entry.found.key, word, code, dataset=dataset, version=version))
        return found

    # --- when the whole is refused ---

    def _halve(
        self, connection: Connection, records: list[Found], entries: Entries | None = None
    ) -> dict[tuple[str, Any], Verdict]:
        """Act on records with their companions; where the database refuses the whole, on each half by itself."""
        if entries is None:
            part = Batch(self._batch.dataset, tuple(records), companions_of(self._batch, records))
            entries = Entries.of(part, self._layout)
        for attempt in range(_ATTEMPTS):
            try:
                with self._backend.transaction(connection):
                    verdicts = self._attempt(connection, entries)
                return {(entry.dataset, entry.found.key): verdicts[entry.pos] for entry in entries.all}
            except _UnevenError:
                code = "not-deleted" if self._is_purge else "not-changed"
                break
            except DBAPIError as error:
                code = fault_code(error)
                if code in STOPPING:
                    raise location_error(self._layout.location, error) from None
                if code != "busy":
                    break
                time.sleep(_PAUSE_SECONDS * (attempt + 1))
        if code in {"busy", "full", "io"} or len(records) <= 1:
            return {(entry.dataset, entry.found.key): (OutcomeWord.FAILED, code) for entry in entries.all}
        self._is_halved = True
        middle = len(records) // 2
        return self._halve(connection, records[:middle]) | self._halve(connection, records[middle:])

    def _again(
        self, connection: Connection, verdicts: dict[tuple[str, Any], Verdict]
    ) -> dict[tuple[str, Any], Verdict]:
        """Try again, as long as that helps, the records that only hung on others of a batch that was halved."""
        name = self._batch.dataset
        latest: dict[tuple[str, Any], Verdict] = {}
        while True:
            current = verdicts | latest
            waiting = [r for r in self._batch.records if current[name, r.key] == (OutcomeWord.BLOCKED, REFERRED_TO)]
            retried = self._halve(connection, waiting) if waiting else {}
            latest |= retried
            if not any(retried.get((name, record.key), 0) is None for record in waiting):
                return latest

    # --- one transaction ---

    def _attempt(self, connection: Connection, entries: Entries) -> dict[int, Verdict]:
        """Judge every record and act on those that may go; None as verdict: done."""
        if self._backend.schema_version(connection) != self._layout.catalogue.version:
            msg = f"location {self._layout.location}: its tables were changed while a batch was prepared"
            raise LocationError(msg, code="schema-changed", next_step="Run again; nothing of this batch was touched.")
        members: list[tuple[Declared, KeyTable]] = []
        verdicts: dict[int, Verdict] = {}
        present: set[int] = set()
        for number, name in enumerate(entries.by_dataset):
            declared = self._layout.declared(name)
            keys = entries.parsed(name, declared)
            is_searched = bool(self._layout.links_from(declared.table.name))
            table = self._backend.load_keys(connection, f"batch{number}", declared.kinds, keys, is_searched=is_searched)
            members.append((declared, table))
            judged, seen = self._judge(connection, declared, table, entries)
            verdicts |= judged
            present |= seen
        if self._is_purge:
            references = [
                pair
                for declared, table in members
                for pair in referring_rows(connection, declared, self._layout, table, members, backend=self._backend)
            ]
            spread(entries, verdicts, references, present, REFERRED_TO)
        for declared, table in members:
            going = [pos for pos in entries.positions(declared.name) if pos not in verdicts]
            if not going:
                continue
            self._backend.drop_keys(connection, table, (p for p in entries.positions(declared.name) if p in verdicts))
            is_main = declared.name == self._batch.dataset and not entries.has_companions_in(declared.name)
            conditions = self._question.exact if is_main else ()
            if self._is_purge:
                self._delete(connection, declared, table, conditions, len(going))
            else:
                self._update(connection, self._question, table, len(going))
                self._note_versions(connection, declared, table, entries)
        return {entry.pos: verdicts.get(entry.pos) for entry in entries.all}

    def _judge(
        self, connection: Connection, declared: Declared, table: KeyTable, entries: Entries
    ) -> tuple[dict[int, Verdict], set[int]]:
        """Read the records of one dataset again; return those that may not go, with why, and those that exist."""
        is_main_dataset = declared.name == self._batch.dataset
        own = self._question.own if is_main_dataset else declared.table.plain()
        flag: Any = literal_column("1")
        if is_main_dataset:
            conditions = list(self._question.exact)
            if self._selection.parents is not None:
                parents = self._selection.parents
                conditions.append(belongs(connection, self._question, parents, self._layout, self._backend))
            flag = case((and_(*conditions), 1), else_=0) if conditions else flag
        names = tuple(column.name for column in declared.table.columns)
        statement = (
            select(table.pos, flag, *columns_of(own, names))
            .select_from(table.source)
            .join(own, joined(columns_of(own, declared.key), table, self._backend))
        )
        rows: dict[int, tuple[Any, ...]] = {}
        selected: set[int] = set()
        doubles: set[int] = set()
        for pos, is_selected, *row in fetch(connection, statement):
            if pos in rows:
                doubles.add(pos)
            rows[pos] = tuple(row)
            if is_selected:
                selected.add(pos)
        spared = self._sparing.spared(connection, declared.table, rows)
        verdicts: dict[int, Verdict] = {}
        for entry in entries.of_dataset(declared.name):
            pos = entry.pos
            verdict: Verdict = None
            if pos not in rows:
                verdict = (OutcomeWord.ABSENT, None)
            elif pos in doubles:
                verdict = (OutcomeWord.BLOCKED, "key-not-unique")
            elif entry.found.obstacle:
                verdict = (OutcomeWord.BLOCKED, entry.found.obstacle)
            elif pos in spared:
                verdict = (OutcomeWord.HELD, None)
            elif not self._comparer.is_same(rows[pos], entry.found.version) or (
                entry.is_main and (pos not in selected or not self._is_named(entry))
            ):
                verdict = (OutcomeWord.CHANGED, None)
            if verdict:
                verdicts[pos] = verdict
        return verdicts, set(rows)

    def _is_named(self, entry: Entry) -> bool:
        return self._keys is None or entry.found.key in self._keys

    # --- the two statements ---

    def _delete(
        self, connection: Connection, declared: Declared, table: KeyTable, conditions: Sequence[Any], expected: int
    ) -> None:
        own = self._question.own if declared.name == self._batch.dataset else declared.table.plain()
        key = columns_of(own, declared.key)
        gone = connection.execute(delete(own).where(is_one_of(key, table), *conditions)).rowcount
        if gone == expected:
            return
        # Fewer may have gone by this statement where rows of the batch refer to each other with ON DELETE CASCADE.
        left = select(func.count()).select_from(table.source).join(own, joined(key, table, self._backend))
        if gone > expected or connection.execute(left).scalar() != 0:
            raise _UnevenError

    def _update(self, connection: Connection, question: Question, table: KeyTable, expected: int) -> None:
        own, fields = question.own, self._selection.fields
        values = {
            own.c[change.column]: changed(own, question.declared.table, change, self._backend) for change in fields
        }
        statement = update(own).where(is_one_of(question.key, table), *question.exact).values(values)
        if connection.execute(statement).rowcount != expected:
            raise _UnevenError

    def _note_versions(self, connection: Connection, declared: Declared, table: KeyTable, entries: Entries) -> None:
        """Read the changed rows once more, still in the transaction that changed them."""
        own = self._question.own
        names = tuple(column.name for column in declared.table.columns)
        statement = (
            select(table.pos, *columns_of(own, names))
            .select_from(table.source)
            .join(own, joined(columns_of(own, declared.key), table, self._backend))
        )
        by_pos = {entry.pos: entry.found for entry in entries.of_dataset(declared.name)}
        for pos, *row in fetch(connection, statement):
            found = by_pos[pos]
            version = self._comparer.version(tuple(row), found.version)
            if version is not None:
                self._changed[found.key] = version


def refuse(batch: Batch, code: str) -> list[Outcome]:
    """Return an outcome ``refused`` for every record of a batch, companions included."""
    found = [Outcome(record.key, OutcomeWord.REFUSED, code) for record in batch.records]
    for companion in batch.companions:
        for outcome in refuse(companion, code):
            name = outcome.dataset or companion.dataset
            found.append(Outcome(outcome.key, OutcomeWord.REFUSED, code, dataset=name))
    return found


def why_refused(selection: Selection, batch: Batch, action: Action) -> str | None:
    """Return the code of why a call cannot be meant, None where it can."""
    if action not in {Action.PURGE, Action.ANONYMISE}:
        return "unsupported"
    if selection.undated or not selection.check_anchors:
        return "undated"
    if batch.dataset != selection.dataset:
        return "other-dataset"
    if (action is Action.PURGE) == bool(selection.fields):
        return "fields"
    if action is Action.ANONYMISE and batch.companions:
        return "companions"
    return None
