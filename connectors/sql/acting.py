"""``act``: with ``removal.py`` and ``alteration.py`` the only file that deletes or changes rows of somebody's database.

Design. One transaction for a batch and its companions. Plain batches (nothing refers to the table, nothing rides along)
are tried in one statement first, see ``removal.py``; where that finds anything but exactly the planned rows, it is
undone and the careful way is gone: every record is locked and read again; it goes only if it is there once, is
unchanged since it was found, is still selected, is not spared, and nothing refers to it that does not go in this very
transaction, whatever ON DELETE says: no cascade ever does our work. The statement that deletes carries the selection's
condition once more, and afterwards none of the records may be left; otherwise all is undone. A batch that the database
refuses as a whole is halved until the records it refuses are alone. ``purged`` here means "the database said so": the
caller reads back.

Invariant: whatever happens, a record is wholly there or wholly gone, and its outcome does not say more than was done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import NullType

from connectors.sql.alteration import Alteration
from connectors.sql.backend import Backend, KeyTable, Row, UnevenError
from connectors.sql.catalogue import columns_of
from connectors.sql.conditions import ask, is_one_of, joined
from connectors.sql.entries import Entries, Verdict, companions_of, spread
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.fetched import Fetched, taker
from connectors.sql.finding import belongs, load
from connectors.sql.keys import parse_keys
from connectors.sql.layout import Declared, Layout
from connectors.sql.order import put_in_order
from connectors.sql.relations import referring_rows
from connectors.sql.removal import Removal
from connectors.sql.sparing import Sparing
from connectors.sql.steady import AnchorMovedError, Anchors
from ropa.connector import Action, Batch, Found, Key, Outcome, Outcomes, OutcomeWord, Selection, WithdrawnError
from ropa.errors import LocationError

_ATTEMPTS = 4
"""A locked database is tried again three times; each attempt waits for the lock by itself."""
_PAUSE_SECONDS = 0.05

REFERRED_TO = "referenced"
ANCHOR_MOVED = "anchor-moved"
_WITHDRAWN = "withdrawn"
_HOPELESS = frozenset({"busy", "full", "io", _WITHDRAWN})
"""Codes of a refusal that smaller parts would meet too."""

Named = tuple[str, Key]
"""A record: its dataset and key."""


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
        self._anchors = Anchors(self._question, layout, backend)
        self._keys = None if selection.keys is None else frozenset(selection.keys)
        self._is_durable = False
        """Whether a transaction of ours is over."""
        self._changed: dict[Key, str] = {}
        """Versions of records after our own change."""

    def outcomes(self, connection: Connection) -> Outcomes:
        """Act, and tell what became of each record."""
        done = OutcomeWord.PURGED if self._is_purge else OutcomeWord.ANONYMISED
        removal = Removal(self._question, self._batch, self._layout, self._backend, self._sparing)
        if self._is_purge and removal.is_possible:
            found = self._attempts(connection, lambda: removal.carry_out(connection))
            if found is True:
                return Outcomes(self._batch.keys, done)
        if not self._is_purge:
            change = Alteration(self._question, self._batch, self._layout, self._backend, self._sparing)
            if change.is_possible and self._attempts(connection, lambda: change.carry_out(connection)) is True:
                return Outcomes(self._batch.keys, done, None, change.versions)
        entries = Entries.of(self._batch, self._layout)
        verdicts = self._try(connection, entries)
        if isinstance(verdicts, str):
            verdicts = self._in_parts(connection, entries, verdicts)
        odd: dict[int, Outcome] = {}
        for place, (name, record, pos, is_main) in enumerate(entries.all):
            verdict = verdicts.get(pos)
            if verdict is not None or not is_main:
                word, code = verdict or (done, None)
                odd[place] = Outcome(record.key, word, code, dataset=None if is_main else name)
        keys = [entry.found.key for entry in entries.all]
        versions = [self._changed.get(key) for key in keys] if self._changed else ()
        return Outcomes(keys, done, odd, versions)

    # --- when the whole is refused ---

    def _attempts(self, connection: Connection, act: Any) -> Any:
        """Act in one transaction; return what ``act`` returns, or the code of why the whole was refused."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._backend.transaction(connection):
                    found = act()
                    # A statement of ours may have waited for whoever gave the tables a cascade or a trigger.
                    expect_schema(connection, self._layout, self._backend)
                    self._selection.guard()
            except WithdrawnError:
                if not self._is_durable:
                    raise
                return _WITHDRAWN
            except UnevenError:
                return "not-deleted" if self._is_purge else "not-changed"
            except DBAPIError as error:
                code = fault_code(error)
                if code in STOPPING:
                    raise location_error(self._layout.location, error) from None
                if code != "busy":
                    return code
                time.sleep(_PAUSE_SECONDS * (attempt + 1))
            else:
                self._is_durable = True
                return found
        return "busy"

    def _try(self, connection: Connection, entries: Entries) -> dict[int, Verdict] | str:
        """Act in one transaction; return why records stay, by position, or the code of why the whole was refused."""
        moved: dict[int, Verdict] = {}
        while True:
            try:
                found: dict[int, Verdict] | str
                found = self._attempts(connection, partial(self._attempt, connection, entries, moved))
            except AnchorMovedError as error:
                # The others go without these.
                moved |= dict.fromkeys(error.positions, (OutcomeWord.FAILED, ANCHOR_MOVED))
            else:
                return found

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
        if code in _HOPELESS or len(records) <= 1:
            entries = self._entries_of(records)
            return {(entry.dataset, entry.found.key): (OutcomeWord.FAILED, code) for entry in entries.all}
        middle = len(records) // 2
        return self._act_on(connection, records[:middle]) | self._act_on(connection, records[middle:])

    def _entries_of(self, records: list[Found]) -> Entries:
        part = Batch.of(self._batch.dataset, tuple(records), companions_of(self._batch, records))
        return Entries.of(part, self._layout)

    # --- one transaction ---

    def _attempt(self, connection: Connection, entries: Entries, stay: Mapping[int, Verdict]) -> dict[int, Verdict]:
        """Judge every record and act on those that may go; return why the others stay, as those of ``stay`` do."""
        expect_schema(connection, self._layout, self._backend)
        members, tables = [self._layout.declared(name) for name in entries.by_dataset], list[KeyTable]()
        verdicts = dict(stay)
        present: dict[int, Row] = {}
        for number, declared in enumerate(members):
            parsed = entries.parsed(declared.name, declared)
            table = self._backend.load_keys(connection, f"batch{number}", declared.key_columns, parsed)
            tables.append(table)
            judged, seen = self._judge(connection, declared, table, entries)
            verdicts |= judged
            present |= seen
        if self._is_purge:
            known = {d.name: entries.by_key(d.name, d) for d in members}
            references = [
                pair
                for declared, table in zip(members, tables, strict=True)
                for pair in referring_rows(connection, declared, self._layout, table, known, backend=self._backend)
            ]
            spread(entries, verdicts, references, set(present), REFERRED_TO)
            if len(members) > 1:
                members = put_in_order(
                    connection, entries, verdicts, references, layout=self._layout, backend=self._backend
                )
        for number, declared in enumerate(members):
            going = {pos: key for key, pos in entries.by_dataset[declared.name].items() if pos not in verdicts}
            if not going:
                continue
            keys = parse_keys(going.items(), declared.kinds)
            table = self._backend.load_keys(connection, f"going{number}", declared.key_columns, keys)
            is_main = declared.name == self._batch.dataset and not entries.has_companions_in(declared.name)
            if self._is_purge:
                self._delete(connection, declared, table, len(going), is_main=is_main)
            else:
                before = self._anchors.read(connection, table)
                self._update(connection, table, keys, present)
                self._anchors.expect(connection, table, before)
                self._note_versions(connection, declared, entries, going)
        return verdicts

    def _judge(
        self, connection: Connection, declared: Declared, table: KeyTable, entries: Entries
    ) -> tuple[dict[int, Verdict], dict[int, Row]]:
        """Lock and read the records of one dataset; return those that may not go, with why, and those that exist
        (with what ``Question.changes`` needs)."""
        is_main_dataset = declared.name == self._batch.dataset
        own = self._question.own if is_main_dataset else declared.table.plain()
        entry_list = entries.of_dataset(declared.name)
        versions = self._backend.versions(declared.table)
        fetched = Fetched()
        fetched.add([table.pos, self._flag(connection, is_asked=is_main_dataset)])
        version_of = taker(fetched.add(versions.columns(own)))
        content_of = taker(fetched.add(columns_of(own, tuple(column.name for column in declared.table.columns))))
        values = fetched.add(self._question.values()) if is_main_dataset else ()
        change_of = taker(values[len(values) - len(self._question.judged) :] if is_main_dataset else ())
        are_they = joined(columns_of(own, declared.key), table, self._backend)
        if is_main_dataset and self._question.reads_others:
            # What stands in other tables is as old as the statement that reads it: so that waits for nobody.
            waiting = select(table.pos).select_from(table.source).join(own, are_they).with_for_update(of=own)
            self._backend.fetch(connection, waiting)
        asked = select(*fetched.expressions).select_from(table.source).join(own, are_they).with_for_update(of=own)
        rows = self._backend.fetch(connection, asked)
        by_pos = {row[0]: row for row in rows}
        times = Counter(row[0] for row in rows) if len(by_pos) < len(rows) else {}
        are_meant = self._question.judge(rows, values)[0] if is_main_dataset else None
        selected = {
            row[0] for row, is_meant in zip(rows, are_meant or [True] * len(rows), strict=True) if is_meant and row[1]
        }
        spared = set[int]()
        if not self._sparing.is_idle:
            contents = {pos: content_of(row) for pos, row in by_pos.items()}
            spared = self._sparing.spared(connection, declared.table, contents)
        there = [entry for entry in entry_list if entry.pos in by_pos]
        planned = [entry.found.version for entry in there]
        same = versions.are_same([version_of(by_pos[entry.pos]) for entry in there], planned)
        unchanged = {id(entry.found) for entry, is_same in zip(there, same, strict=True) if is_same}
        verdicts: dict[int, Verdict] = {}
        for _, found, pos, is_main in entry_list:
            if pos not in by_pos:
                verdicts[pos] = (OutcomeWord.ABSENT, None)
            elif times.get(pos, 1) > 1:
                verdicts[pos] = (OutcomeWord.BLOCKED, "key-not-unique")
            elif found.obstacle:
                verdicts[pos] = (OutcomeWord.BLOCKED, found.obstacle)
            elif pos in spared:
                verdicts[pos] = (OutcomeWord.HELD, None)
            elif id(found) not in unchanged or (is_main and (pos not in selected or not self._is_named(found))):
                verdicts[pos] = (OutcomeWord.CHANGED, None)
        return verdicts, {pos: change_of(row) for pos, row in by_pos.items()}

    def _flag(self, connection: Connection, *, is_asked: bool) -> ColumnElement[int]:
        """Return what tells whether a row still meets the conditions that the database decides."""
        conditions = [*self._question.hinted(self._backend), *self._question.conditions] if is_asked else []
        if is_asked and self._selection.parents is not None:
            parents = self._selection.parents
            conditions.append(belongs(connection, self._question, parents, self._layout, self._backend))
        one: ColumnElement[int] = literal_column("1")
        return case((and_(*conditions), one), else_=literal_column("0")) if conditions else one

    def _is_named(self, found: Found) -> bool:
        return self._keys is None or found.key in self._keys

    # --- the two statements ---

    def _delete(
        self, connection: Connection, declared: Declared, table: KeyTable, expected: int, *, is_main: bool
    ) -> None:
        own = self._question.own if declared.name == self._batch.dataset else declared.table.plain()
        key = columns_of(own, declared.key)
        conditions = [*self._question.hinted(self._backend), *self._question.conditions] if is_main else []
        gone = len(self._backend.remove(connection, own, [is_one_of(key, table), *conditions], key))
        if gone == expected:
            return
        # Fewer may have gone by this statement where rows of the batch refer to each other with ON DELETE CASCADE.
        left = select(func.count()).select_from(table.source).join(own, joined(key, table, self._backend))
        if gone > expected or connection.execute(left).scalar() != 0:
            raise UnevenError

    def _update(
        self, connection: Connection, table: KeyTable, keys: Sequence[tuple[int, Row]], present: dict[int, Row]
    ) -> None:
        question = self._question
        own = question.own
        if question.changes.is_constant:
            statement = (
                update(own)
                .where(is_one_of(question.key, table), *question.conditions)
                .values(question.changes.expressions(own))
            )
            if connection.execute(statement).rowcount != len(keys):
                raise UnevenError
            return
        # Other masks depend on the value, and are made here. The rows are locked, and were judged as they stand.
        named = [_named("key", n) for n in range(len(question.key))]
        each = (
            update(own)
            .where(*(column == value for column, value in zip(question.key, named, strict=True)))
            .values({own.c[name]: _named("new", n) for n, name in enumerate(question.changes.targets)})
            .values(question.changes.as_they_are(own))
        )
        rows = []
        for pos, key in keys:
            news = question.changes.changed(present[pos])
            rows.append(
                {f"key_{n}": part for n, part in enumerate(key)} | {f"new_{n}": new for n, new in enumerate(news)}
            )
        if connection.execute(each, rows).rowcount not in {len(rows), -1}:
            raise UnevenError

    def _note_versions(
        self, connection: Connection, declared: Declared, entries: Entries, going: dict[int, Key]
    ) -> None:
        """Read the changed rows once more, still in the transaction that changed them."""
        own = self._question.own
        by_pos = {entry.pos: entry.found for entry in entries.of_dataset(declared.name)}
        if not self._selection.tells_versions or not any(found.version for found in by_pos.values()):
            return
        versions = self._backend.versions(declared.table)
        table = load(connection, "noted", declared, list(going.values()), self._backend)
        keys = list(going.values())
        statement = (
            select(table.pos, *versions.columns(own))
            .select_from(table.source)
            .join(own, joined(columns_of(own, declared.key), table, self._backend))
        )
        rows = self._backend.fetch(connection, statement)
        texts = versions.texts([row[1:] for row in rows])
        self._changed |= {keys[row[0]]: text for row, text in zip(rows, texts, strict=True)}


def _named(word: str, number: int) -> BindParameter[Any]:
    """Return a value that each row of an executemany gives anew, as the driver takes it."""
    return bindparam(f"{word}_{number}", type_=NullType())


def expect_schema(connection: Connection, layout: Layout, backend: Backend) -> None:
    """Raise LocationError where the tables are no longer what the layout was made from."""
    if backend.schema_version(connection) != layout.catalogue.version:
        msg = f"location {layout.location}: its tables were changed while a batch was prepared"
        raise LocationError(msg, code="schema-changed", next_step="Run again; nothing of this batch was touched.")


def refuse(batch: Batch, code: str) -> list[Outcome]:
    """Return an outcome ``refused`` for every record of a batch, companions included."""
    found = [Outcome(key, OutcomeWord.REFUSED, code) for key in batch.keys]
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
