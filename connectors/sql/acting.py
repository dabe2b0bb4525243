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
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from connectors.sql.backend import Backend, KeyTable
from connectors.sql.catalogue import columns_of
from connectors.sql.conditions import Question, ask, is_one_of, joined
from connectors.sql.entries import Entries, Verdict, companions_of, spread
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

Named = tuple[str, Key]
"""A record: its dataset and key."""


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
        self._changed: dict[Key, str] = {}
        """Versions of records after our own change."""

    def outcomes(self, connection: Connection) -> list[Outcome]:
        """Act, and return one outcome per record: the batch's own in their order, then each companion's."""
        entries = Entries.of(self._batch, self._layout)
        verdicts = self._try(connection, entries)
        if isinstance(verdicts, str):
            verdicts = self._in_parts(connection, entries, verdicts)
        done: tuple[OutcomeWord, str | None] = (
            OutcomeWord.PURGED if self._is_purge else OutcomeWord.ANONYMISED,
            None,
        )
        outcomes = []
        for name, found, pos, is_main in entries.all:
            word, code = verdicts.get(pos) or done
            version = self._changed.get(found.key) if word is OutcomeWord.ANONYMISED else None
            outcomes.append(Outcome(found.key, word, code, dataset=None if is_main else name, version=version))
        return outcomes

    # --- when the whole is refused ---

    def _try(self, connection: Connection, entries: Entries) -> dict[int, Verdict] | str:
        """Act in one transaction; return why records stay, by position, or the code of why the whole was refused."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._backend.transaction(connection):
                    return self._attempt(connection, entries)
            except _UnevenError:
                return "not-deleted" if self._is_purge else "not-changed"
            except DBAPIError as error:
                code = fault_code(error)
                if code in STOPPING:
                    raise location_error(self._layout.location, error) from None
                if code != "busy":
                    return code
                time.sleep(_PAUSE_SECONDS * (attempt + 1))
        return "busy"

    def _in_parts(self, connection: Connection, entries: Entries, code: str) -> dict[int, Verdict]:
        """Act on ever smaller parts of a batch that was refused as a whole; return verdicts by position in ``entries``.

        Afterwards the records that only hung on others of the batch are tried again, as long as that helps.
        """
        name = self._batch.dataset
        waiting = list(self._batch.records)
        verdicts = self._halve(connection, waiting, code)
        while waiting := [r for r in waiting if verdicts[name, r.key] == (OutcomeWord.BLOCKED, REFERRED_TO)]:
            latest = self._act_on(connection, waiting)
            verdicts |= latest
            if not any(latest[name, record.key] is None for record in waiting):
                break
        # A companion that goes with no record of the batch was in none of the parts.
        stays: Verdict = (OutcomeWord.CHANGED, None)
        return {entry.pos: verdicts.get((entry.dataset, entry.found.key), stays) for entry in entries.all}

    def _act_on(self, connection: Connection, records: list[Found]) -> dict[Named, Verdict]:
        """Act on some records of the batch, with their companions."""
        entries = self._entries_of(records)
        verdicts = self._try(connection, entries)
        if isinstance(verdicts, str):
            return self._halve(connection, records, verdicts)
        return {(entry.dataset, entry.found.key): verdicts.get(entry.pos) for entry in entries.all}

    def _halve(self, connection: Connection, records: list[Found], code: str) -> dict[Named, Verdict]:
        """Act on each half of records that were refused together with that code; one that is alone has failed."""
        if code in {"busy", "full", "io"} or len(records) <= 1:
            entries = self._entries_of(records)
            return {(entry.dataset, entry.found.key): (OutcomeWord.FAILED, code) for entry in entries.all}
        middle = len(records) // 2
        return self._act_on(connection, records[:middle]) | self._act_on(connection, records[middle:])

    def _entries_of(self, records: list[Found]) -> Entries:
        part = Batch(self._batch.dataset, tuple(records), companions_of(self._batch, records))
        return Entries.of(part, self._layout)

    # --- one transaction ---

    def _attempt(self, connection: Connection, entries: Entries) -> dict[int, Verdict]:
        """Judge every record and act on those that may go; return why the others stay."""
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
            positions = entries.positions(declared.name)
            staying = [pos for pos in positions if pos in verdicts]
            expected = len(positions) - len(staying)
            if not expected:
                continue
            self._backend.drop_keys(connection, table, staying)
            is_main = declared.name == self._batch.dataset and not entries.has_companions_in(declared.name)
            conditions = self._question.exact if is_main else ()
            if self._is_purge:
                self._delete(connection, declared, table, conditions, expected)
            else:
                self._update(connection, self._question, table, expected)
                self._note_versions(connection, declared, table, entries)
        return verdicts

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
        read = fetch(connection, statement)
        rows = {row[0]: row[2:] for row in read}
        selected = {row[0] for row in read if row[1]}
        times = Counter(row[0] for row in read) if len(rows) < len(read) else {}
        spared = self._sparing.spared(connection, declared.table, rows)
        verdicts: dict[int, Verdict] = {}
        is_same = self._comparer.is_same
        for _, found, pos, is_main in entries.of_dataset(declared.name):
            row = rows.get(pos)
            if row is None:
                verdicts[pos] = (OutcomeWord.ABSENT, None)
            elif times.get(pos, 1) > 1:
                verdicts[pos] = (OutcomeWord.BLOCKED, "key-not-unique")
            elif found.obstacle:
                verdicts[pos] = (OutcomeWord.BLOCKED, found.obstacle)
            elif pos in spared:
                verdicts[pos] = (OutcomeWord.HELD, None)
            elif not is_same(row, found.version) or (is_main and (pos not in selected or not self._is_named(found))):
                verdicts[pos] = (OutcomeWord.CHANGED, None)
        return verdicts, set(rows)

    def _is_named(self, found: Found) -> bool:
        return self._keys is None or found.key in self._keys

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
