"""The tests that every connector passes, to be run by whoever writes one. Needs pytest and nothing else.

    from connectors.suite import CHILDREN, DATASET, ConnectorContract, Row

    class TestMine(ConnectorContract):
        def build(self, rows, children=(), *, batch_size=2):
            # fill a fresh place with `rows`; its spec has the dataset DATASET with the anchor "created", with `person`
            # in its `subject` columns; if it has_children, the dataset CHILDREN with DATASET as its parent
            return MyType.open(spec)
        def change(self, connector, row_id):
            # change something in that record behind the connector's back, but neither its date nor its person

and, where they apply, ``break_listing``, ``has_children``, ``fields`` and the rest below. Tests of what a connector
cannot do say so and pass: what it can do is what its ``capabilities`` declare. Rows have ids of the same length, so
that they have one order, as numbers and as text. Invariant: every test goes through the public contract alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from ropa.clock import Moment, calendar_day, start_of_day
from ropa.connector import (
    Action,
    Batch,
    Before,
    Condition,
    Connector,
    FieldChange,
    Found,
    Key,
    Outcome,
    OutcomeWord,
    Reference,
    Selection,
    Spare,
    Tally,
    normalise_identifier,
)
from ropa.errors import IncompleteListingError, RopaError

DATASET = "items"
CHILDREN = "lines"
ANCHOR = "created"
ZONE = ZoneInfo("Europe/Brussels")
"""The controller's zone, and the datasets'."""
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
CUTOFF = date(2026, 5, 21)
"""The first day that is not due."""
DUE = date(2020, 2, 3)
CANARY = "canary-7b1f"
"""Stands in the content of records and must never leave but through ``read``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record that a place is filled with."""

    id: str
    on: Moment | None = DUE
    """The anchor: a calendar day, an instant, or none (NULL, or whatever stands for none there)."""
    person: str = ""
    """What the ``subject`` columns hold."""
    note: str = CANARY
    """Other content."""
    parent: str | None = None
    """Of a row of CHILDREN: the id of the row of DATASET that it belongs to."""


class ConnectorContract:
    """The contract as tests; see the module for how to use it."""

    has_children: ClassVar[bool] = False
    """Whether the place knows references: then ``build`` takes ``children``."""
    has_instants: ClassVar[bool] = True
    """Whether ``Row.on`` may be an instant."""
    fields: ClassVar[tuple[FieldChange, ...]] = ()
    """Columns to be anonymised, holding ``Row.note``; for a connector that can ANONYMISE."""
    note_column: ClassVar[str | None] = None
    """The column that holds ``Row.note``, NULL where the note is empty, if conditions can be put on it."""

    # --- what the author supplies ---------------------------------------------------------------------------------

    def build(self, rows: Sequence[Row], children: Sequence[Row] = (), *, batch_size: int = 2) -> Connector:
        """Fill a fresh place and return an open connector to it."""
        raise NotImplementedError

    def change(self, connector: Connector, row_id: str) -> None:
        """Change a record of DATASET, or else of CHILDREN, behind the connector's back."""
        raise NotImplementedError

    def break_listing(self, connector: Connector) -> bool:
        """Make the next listing incomplete; False where that cannot be provoked."""
        del connector
        return False

    def key(self, row_id: str) -> Key:
        """Return the key of a row."""
        return (row_id,)

    # --- what the tests use ---------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, rows: Sequence[Row], children: Sequence[Row] = (), *, batch_size: int = 2) -> Iterator[Connector]:
        """Build, and close in the end."""
        with closing(self.build(rows, children, batch_size=batch_size)) as connector:
            yield connector

    def keys(self, *ids: str) -> list[Key]:
        return [self.key(row_id) for row_id in ids]

    def does_not_apply(self, reason: str) -> None:
        """Say aloud why a test has nothing to test."""
        sys.stdout.write(f"{type(self).__name__}: does not apply: {reason}\n")

    def can_purge(self, connector: Connector) -> bool:
        """Tell whether the connector declares that it purges; say so where it does not."""
        if Action.PURGE in connector.capabilities.actions and connector.capabilities.is_enforcing:
            return True
        self.does_not_apply("it does not purge")
        return False

    # --- looking --------------------------------------------------------------------------------------------------

    def test_the_place_can_be_reached_and_checking_is_repeatable(self) -> None:
        with self.opened(_rows(3)) as connector:
            assert connector.check().is_reachable
            assert connector.check().is_reachable
            assert connector.count(DATASET) == 3

    def test_at_least_one_batch_may_be_acted_on_at_once(self) -> None:
        with self.opened(_rows(1)) as connector:
            allowed = connector.capabilities.batches_at_once
            assert isinstance(allowed, int)
            assert allowed >= 1

    def test_declared_datasets_are_listed(self) -> None:
        with self.opened(_rows(1)) as connector:
            assert [info.declared_as for info in connector.datasets() if info.declared_as == DATASET] == [DATASET]

    def test_values_are_shown_to_the_caller_and_only_counts_come_back(self) -> None:
        shown: dict[str, list[str]] = {}

        def look(column: str, text: str) -> str | None:
            shown.setdefault(column, []).append(text)
            return "marked" if CANARY in text else None

        with self.opened([*_rows(3), Row("904", note="")]) as connector:
            counts = connector.inspect(self._source(connector), look, limit=100)
            if not shown:
                assert counts == {}
                return self.does_not_apply("nothing can be looked into")
            expected = {column: sum(CANARY in text for text in texts) for column, texts in shown.items()}
            assert any(expected.values()), "the content of records was shown"
            assert all(len(texts) <= 4 and all(type(text) is str for text in texts) for texts in shown.values())
            told = {column: dict(answers) for column, answers in counts.items() if answers}
            assert told == {column: {"marked": number} for column, number in expected.items() if number}
            assert CANARY not in repr(counts)
            assert connector.count(DATASET) == 4, "it reads only"
        return None

    def test_no_more_records_are_looked_into_than_asked(self) -> None:
        shown: dict[str, int] = {}

        def look(column: str, _text: str) -> str | None:
            shown[column] = shown.get(column, 0) + 1
            return "any"

        with self.opened(_rows(5)) as connector:
            counts = connector.inspect(self._source(connector), look, limit=2)
            if not shown:
                return self.does_not_apply("nothing can be looked into")
            assert max(shown.values()) == 2
            assert {column: answers["any"] for column, answers in counts.items() if answers} == shown
        return None

    @staticmethod
    def _source(connector: Connector) -> str:
        return next(info.source for info in connector.datasets() if info.declared_as == DATASET)

    def test_a_sound_dataset_has_no_problems(self) -> None:
        with self.opened(_rows(2)) as connector:
            assert connector.problems(DATASET) == []
            assert connector.problems(DATASET, due()) == []

    def test_an_unknown_dataset_is_a_problem_and_an_error(self) -> None:
        with self.opened(_rows(2)) as connector:
            assert connector.problems("no-such-dataset")
            assert _raises(lambda: connector.count("no-such-dataset"))
            assert _raises(lambda: list(connector.find(due(dataset="no-such-dataset"))))

    def test_an_unknown_column_in_a_condition_is_a_problem(self) -> None:
        with self.opened(_rows(2)) as connector:
            assert connector.problems(DATASET, due(match=(Condition("no_such_column", ("x",)),)))

    def test_the_population_is_counted_due_or_not(self) -> None:
        with self.opened([*_rows(3), Row("904", None), Row("905", CUTOFF)]) as connector:
            assert connector.count(DATASET) == 5

    def test_an_empty_place_has_nothing_due(self) -> None:
        with self.opened([]) as connector:
            assert connector.count(DATASET) == 0
            assert list(connector.find(due())) == []

    def test_find_gives_each_key_once_in_key_order_whatever_the_order_of_arrival(self) -> None:
        rows = [Row("905"), Row("901"), Row("904"), Row("902"), Row("903")]
        with self.opened(rows) as connector:
            assert found_keys(connector, due()) == self.keys("901", "902", "903", "904", "905")

    def test_batches_are_no_larger_than_asked_and_never_empty(self) -> None:
        with self.opened(_rows(5), batch_size=2) as connector:
            sizes = [len(batch.records) for batch in connector.find(due())]
            assert sum(sizes) == 5
            assert set(sizes) <= {1, 2}

    def test_find_is_lazy_and_changes_nothing(self) -> None:
        with self.opened(_rows(5)) as connector:
            batches = connector.find(due())
            assert iter(batches) is batches
            first = next(batches)
            del batches
            assert first.dataset == DATASET
            assert connector.count(DATASET) == 5
            assert _all(connector, due()) == _all(connector, due())

    def test_records_are_found_with_a_version_and_without_content(self) -> None:
        with self.opened(_rows(3)) as connector:
            batches = list(connector.find(due()))
            assert all(found.version for batch in batches for found in batch.records)
            assert CANARY not in repr(batches)

    def test_a_version_changes_with_the_record_and_only_then(self) -> None:
        with self.opened(_rows(3)) as connector:
            before = {found.key: found.version for found in _all(connector, due())}
            self.change(connector, "902")
            after = {found.key: found.version for found in _all(connector, due())}
            assert {key for key in before if before[key] != after[key]} == {self.key("902")}

    # --- when -----------------------------------------------------------------------------------------------------

    def test_a_day_before_the_cut_off_is_due_and_the_cut_off_itself_is_not(self) -> None:
        day = timedelta(days=1)
        rows = [Row("901", CUTOFF - day), Row("902", CUTOFF), Row("903", CUTOFF + day)]
        with self.opened(rows) as connector:
            assert found_keys(connector, due()) == self.keys("901")

    def test_an_instant_is_due_up_to_the_last_second_before_the_cut_off_in_the_controllers_zone(self) -> None:
        if not self.has_instants:
            return self.does_not_apply("its anchors are calendar days")
        edge, second = start_of_day(CUTOFF, ZONE), timedelta(seconds=1)
        rows = [Row("901", edge - second), Row("902", edge), Row("903", edge + second)]
        with self.opened(rows) as connector:
            assert found_keys(connector, due()) == self.keys("901")
        return None

    def test_the_anchors_day_is_reported_in_the_controllers_zone(self) -> None:
        late = datetime(2020, 6, 30, 22, 30, tzinfo=UTC)  # half past midnight of 1 July in Brussels
        rows = [Row("901", DUE), Row("902", late if self.has_instants else date(2020, 7, 1))]
        with self.opened(rows) as connector:
            assert [found.anchored for found in _all(connector, due())] == [(DUE,), (date(2020, 7, 1),)]

    def test_a_record_without_a_date_is_never_due_and_is_listed_as_undated(self) -> None:
        with self.opened([Row("901"), Row("902", None), Row("903", CUTOFF)]) as connector:
            assert found_keys(connector, due()) == self.keys("901")
            undated = _all(connector, due(before=(), undated=True))
            assert [(found.key, found.anchored) for found in undated] == [(self.key("902"), (None,))]

    def test_a_date_in_the_future_is_never_due_and_is_listed_as_undated(self) -> None:
        tomorrow = calendar_day(NOW, ZONE) + timedelta(days=1)
        rows = [Row("901"), Row("902", date(2099, 1, 1)), Row("903", tomorrow), Row("904", date(2026, 11, 21))]
        far = Before(ANCHOR, date(2100, 1, 1), start_of_day(date(2100, 1, 1), ZONE))
        with self.opened(rows) as connector:
            assert found_keys(connector, due(before=(far,))) == self.keys("901", "904")
            assert found_keys(connector, due(before=(), undated=True)) == self.keys("902", "903")

    def test_what_a_listing_tells_of_the_whole_is_what_is_counted(self) -> None:
        rows = [Row("900"), Row("901"), Row("902", None), Row("903", date(2099, 1, 1)), Row("904", CUTOFF)]
        with self.opened(rows) as connector:
            self._expect_tally(connector, rows)

    def test_what_a_listing_without_records_tells_of_the_whole_is_what_is_counted(self) -> None:
        rows = [Row("902", None), Row("904", CUTOFF)]
        with self.opened(rows) as connector:
            self._expect_tally(connector, rows)

    def _expect_tally(self, connector: Connector, rows: Sequence[Row]) -> None:
        listing = iter(connector.find(due()))
        while True:
            try:
                next(listing)
            except StopIteration as end:
                told = end.value
                break
        if told is None:
            return self.does_not_apply("a listing tells nothing of the whole")
        assert told == Tally(len(rows), sum(row.on is None or row.on == date(2099, 1, 1) for row in rows))
        return None

    def test_without_looking_at_anchors_every_record_is_given_with_what_can_be_read(self) -> None:
        with self.opened([Row("901"), Row("902", None), Row("903", CUTOFF)]) as connector:
            found = _all(connector, due(before=(), check_anchors=False))
            assert [item.anchored for item in found] == [(DUE,), (None,), (CUTOFF,)]

    # --- which ----------------------------------------------------------------------------------------------------

    def test_keys_narrow_what_is_found(self) -> None:
        with self.opened([*_rows(4), Row("905", CUTOFF)]) as connector:
            wanted = self.keys("904", "902", "905", "999")
            assert found_keys(connector, due(keys=tuple(wanted))) == self.keys("902", "904")
            assert found_keys(connector, due(keys=())) == []

    def test_conditions_are_never_unknown(self) -> None:
        column = self.note_column
        if column is None:
            return self.does_not_apply("no condition can be put on the note")
        rows = [Row("901", note="a"), Row("902", note="b"), Row("903", note="")]
        expected = {
            Condition(column, ("a",)): ("901",),
            Condition(column, ("a", "b")): ("901", "902"),
            Condition(column, ("a",), negated=True): ("902", "903"),
            Condition(column, (None,)): ("903",),
            Condition(column, (None, "a")): ("901", "903"),
            Condition(column, (None,), negated=True): ("901", "902"),
        }
        with self.opened(rows) as connector:
            for condition, ids in expected.items():
                others = [row.id for row in rows if row.id not in ids]
                assert found_keys(connector, due(match=(condition,))) == self.keys(*ids), condition
                assert found_keys(connector, due(exclude=((condition,),))) == self.keys(*others), condition
            both = (Condition(column, ("a",)), Condition(column, ("b",)))
            assert found_keys(connector, due(match=both)) == []
            assert found_keys(connector, due(exclude=(both,))) == self.keys("901", "902", "903")
        return None

    def test_records_spared_by_key_are_found_as_spared(self) -> None:
        with self.opened(_rows(3)) as connector:
            spare = Spare(keys={DATASET: frozenset(self.keys("902"))})
            assert [found.is_spared for found in _all(connector, due(spare=spare))] == [False, True, False]

    def test_records_of_a_spared_person_are_found_as_spared_however_the_name_is_written(self) -> None:
        rows = [Row("901", person="Zoé Peeters"), Row("902", person="anna de smet"), Row("903", person="Anna")]
        with self.opened(rows) as connector:
            if not connector.capabilities.has_subjects:
                return self.does_not_apply("it knows no persons")
            spare = Spare(subjects=frozenset({normalise_identifier("ZOE\u0301  peeters")}))
            assert [found.is_spared for found in _all(connector, due(spare=spare))] == [True, False, False]
        return None

    def test_a_persons_records_can_be_read(self) -> None:
        rows = [Row("901", person="zoe@example.org"), Row("902", person="anna@example.org")]
        with self.opened(rows) as connector:
            if not connector.capabilities.has_subjects:
                return self.does_not_apply("it knows no persons")
            assert [record.key for record in connector.read(DATASET, " Zoe@Example.org")] == self.keys("901")
        return None

    # --- acting ---------------------------------------------------------------------------------------------------

    def test_purging_removes_the_batch_and_nothing_else(self) -> None:
        with self.opened([*_rows(5), Row("906", CUTOFF)]) as connector:
            if not self.can_purge(connector):
                return
            batches = list(connector.find(due()))
            outcomes = connector.act(due(), batches[0], Action.PURGE)
            assert [(o.key, o.dataset) for o in outcomes] == [(found.key, None) for found in batches[0].records]
            assert set(words(outcomes)) <= {OutcomeWord.PURGED, OutcomeWord.RECOVERABLE}
            assert connector.remaining(due(), batches[0]) == set()
            assert found_keys(connector, due()) == self.keys("903", "904", "905")
            assert connector.count(DATASET) == 4

    def test_everything_remains_before_the_act_and_the_rest_after_it(self) -> None:
        with self.opened(_rows(3), batch_size=3) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due())
            assert connector.remaining(due(), batch) == {found.key for found in batch.records}
            connector.act(due(), Batch.of(DATASET, batch.records[:1]), Action.PURGE)
            assert connector.remaining(due(), batch) == set(self.keys("902", "903"))

    def test_purging_again_finds_the_records_absent(self) -> None:
        with self.opened(_rows(2)) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due())
            connector.act(due(), batch, Action.PURGE)
            assert words(connector.act(due(), batch, Action.PURGE)) == [OutcomeWord.ABSENT] * 2

    def test_a_record_changed_since_it_was_found_stays(self) -> None:
        with self.opened(_rows(2)) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due())
            self.change(connector, "901")
            outcomes = connector.act(due(), batch, Action.PURGE)
            assert words(outcomes) == [OutcomeWord.CHANGED, OutcomeWord.PURGED]
            assert connector.remaining(due(), batch) == set(self.keys("901"))

    def test_a_record_that_the_selection_does_not_mean_stays(self) -> None:
        with self.opened([Row("901"), Row("902", CUTOFF), Row("903", None)], batch_size=3) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due(before=(), check_anchors=False))
            assert words(connector.act(due(), batch, Action.PURGE)) == [
                OutcomeWord.PURGED,
                OutcomeWord.CHANGED,
                OutcomeWord.CHANGED,
            ]
            assert connector.count(DATASET) == 2

    def test_a_record_held_since_it_was_found_stays(self) -> None:
        with self.opened(_rows(2)) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due())
            held = due(spare=Spare(keys={DATASET: frozenset(self.keys("902"))}))
            assert words(connector.act(held, batch, Action.PURGE)) == [OutcomeWord.PURGED, OutcomeWord.HELD]
            assert connector.remaining(held, batch) == set(self.keys("902"))

    def test_a_person_held_since_the_record_was_found_keeps_it(self) -> None:
        with self.opened([Row("901", person="zoe@example.org"), Row("902", person="anna@example.org")]) as connector:
            if not self.can_purge(connector) or not connector.capabilities.has_subjects:
                return
            (batch,) = connector.find(due())
            held = due(spare=Spare(subjects=frozenset({"zoe@example.org"})))
            assert words(connector.act(held, batch, Action.PURGE)) == [OutcomeWord.HELD, OutcomeWord.PURGED]

    def test_an_empty_batch_has_no_outcomes(self) -> None:
        with self.opened(_rows(2)) as connector:
            assert connector.act(due(), Batch.of(DATASET, ()), Action.PURGE) == []
            assert connector.count(DATASET) == 2

    def test_a_record_that_was_never_there_is_absent(self) -> None:
        with self.opened(_rows(1)) as connector:
            if not self.can_purge(connector):
                return
            (batch,) = connector.find(due())
            stranger = Batch.of(DATASET, (replace(batch.records[0], key=self.key("999")),))
            assert words(connector.act(due(), stranger, Action.PURGE)) == [OutcomeWord.ABSENT]
            assert connector.remaining(due(), stranger) == set()
            assert connector.count(DATASET) == 1

    def test_settling_says_what_became_of_the_bytes(self) -> None:
        with self.opened(_rows(1)) as connector:
            assert connector.settle(DATASET) in {"physical", "logical"}

    def test_closing_is_repeatable(self) -> None:
        connector = self.build(_rows(1))
        connector.close()
        connector.close()

    def test_an_incomplete_listing_is_an_error(self) -> None:
        with self.opened(_rows(5)) as connector:
            if not self.break_listing(connector):
                return self.does_not_apply("an incomplete listing cannot be provoked")
            assert _raises(lambda: list(connector.find(due())), IncompleteListingError)
        return None

    # --- fields ---------------------------------------------------------------------------------------------------

    def test_anonymising_changes_the_fields_and_keeps_the_record(self) -> None:
        with self.opened([Row("901"), Row("902"), Row("903", CUTOFF)]) as connector:
            if Action.ANONYMISE not in connector.capabilities.actions:
                return self.does_not_apply("it does not anonymise")
            selection = due(fields=self.fields)
            (batch,) = connector.find(selection)
            assert connector.remaining(selection, batch) == set(self.keys("901", "902"))
            assert words(connector.act(selection, batch, Action.ANONYMISE)) == [OutcomeWord.ANONYMISED] * 2
            assert connector.remaining(selection, batch) == set()
            assert found_keys(connector, selection) == []
            assert connector.count(DATASET) == 3
            again = connector.act(selection, batch, Action.ANONYMISE)
            assert set(words(again)) <= {OutcomeWord.ABSENT, OutcomeWord.CHANGED}
        return None

    def test_fields_of_a_record_that_changed_or_is_held_stay(self) -> None:
        with self.opened(_rows(2)) as connector:
            if Action.ANONYMISE not in connector.capabilities.actions:
                return self.does_not_apply("it does not anonymise")
            (batch,) = connector.find(due(fields=self.fields))
            self.change(connector, "901")
            held = due(fields=self.fields, spare=Spare(keys={DATASET: frozenset(self.keys("902"))}))
            assert words(connector.act(held, batch, Action.ANONYMISE)) == [OutcomeWord.CHANGED, OutcomeWord.HELD]
            assert connector.remaining(held, batch) == set(self.keys("901", "902"))
        return None

    def test_records_are_never_purged_for_the_sake_of_their_fields(self) -> None:
        with self.opened(_rows(2)) as connector:
            fields = self.fields or (FieldChange("*"),)
            (batch,) = connector.find(due())
            outcomes = connector.act(due(fields=fields), batch, Action.PURGE)
            assert OutcomeWord.PURGED not in words(outcomes)
            assert connector.count(DATASET) == 2

    # --- records that refer to each other -------------------------------------------------------------------------

    def test_a_parent_says_how_many_refer_to_it_and_a_child_to_whom(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        children = [Row("801", parent="901"), Row("802", parent="901"), Row("803", parent="902")]
        with self.opened(_rows(3), children) as connector:
            counts = [sum(r.count for r in found.referred_by) for found in _all(connector, due())]
            assert counts == [2, 1, 0]
            found = _all(connector, due(dataset=CHILDREN, anchors=(), before=()))
            assert [child.refers_to for child in found] == [
                (Reference(DATASET, self.key(row.parent or "")),) for row in children
            ]
        return None

    def test_parents_narrow_what_is_found_of_their_children(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        children = [Row("801", parent="901"), Row("802", parent="902"), Row("803", parent="901")]
        with self.opened(_rows(2), children) as connector:
            assert [found.key for found in self._riders(connector, "901")] == self.keys("801", "803")
        return None

    def test_children_of_a_spared_record_are_spared(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        with self.opened(_rows(2), [Row("801", parent="901"), Row("802", parent="902")]) as connector:
            spare = Spare(keys={DATASET: frozenset(self.keys("901"))})
            selection = due(dataset=CHILDREN, anchors=(), before=())
            (batch,) = connector.find(selection)
            (marked,) = connector.find(replace(selection, spare=spare))
            assert [found.is_spared for found in marked.records] == [True, False]
            outcomes = connector.act(replace(selection, spare=spare), batch, Action.PURGE)
            assert words(outcomes) == [OutcomeWord.HELD, OutcomeWord.PURGED]
        return None

    def test_a_record_that_others_refer_to_stays(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        with self.opened(_rows(2), [Row("801", parent="901")]) as connector:
            (batch,) = connector.find(due())
            outcomes = connector.act(due(), batch, Action.PURGE)
            assert words(outcomes) == [OutcomeWord.BLOCKED, OutcomeWord.PURGED]
            assert connector.remaining(due(), batch) == set(self.keys("901"))
            assert connector.count(CHILDREN) == 1
        return None

    def test_a_record_goes_together_with_its_companions(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        children = [Row("801", parent="901"), Row("802", CUTOFF, parent="901"), Row("803", parent="902")]
        with self.opened(_rows(2), children) as connector:
            batch = self._with_riders(connector, "901", "902")
            outcomes = connector.act(due(), batch, Action.PURGE)
            assert [(o.dataset, o.key) for o in outcomes] == [
                *((None, key) for key in self.keys("901", "902")),
                *((CHILDREN, key) for key in self.keys("801", "802", "803")),
            ]
            assert set(words(outcomes)) == {OutcomeWord.PURGED}
            assert connector.count(DATASET) == connector.count(CHILDREN) == 0
            assert set(words(connector.act(due(), batch, Action.PURGE))) == {OutcomeWord.ABSENT}
        return None

    def test_a_record_whose_companion_changed_or_is_held_stays_with_all_of_them(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        children = [Row("801", parent="901"), Row("802", parent="901"), Row("803", parent="902")]
        with self.opened(_rows(3), children, batch_size=3) as connector:
            batch = self._with_riders(connector, "901", "902", "903")
            self.change(connector, "801")
            held = due(spare=Spare(keys={CHILDREN: frozenset(self.keys("803"))}))
            outcomes = connector.act(held, batch, Action.PURGE)
            assert len(outcomes) == 6
            assert [o.key for o in outcomes if o.word is OutcomeWord.PURGED] == self.keys("903")
            assert (connector.count(DATASET), connector.count(CHILDREN)) == (2, 3)
        return None

    def test_an_undeclared_or_new_child_keeps_its_parent(self) -> None:
        if not self.has_children:
            return self.does_not_apply("records do not refer to each other")
        with self.opened(_rows(1), [Row("801", parent="901"), Row("802", parent="901")]) as connector:
            batch = self._with_riders(connector, "901")
            (riders,) = batch.companions
            missed = replace(batch, companions=(Batch.of(CHILDREN, riders.records[:1]),))
            outcomes = connector.act(due(), missed, Action.PURGE)
            assert OutcomeWord.PURGED not in words(outcomes)
            assert (connector.count(DATASET), connector.count(CHILDREN)) == (1, 2)
        return None

    def _riders(self, connector: Connector, *ids: str) -> list[Found]:
        parents = (DATASET, tuple(self.keys(*ids)))
        return _all(connector, due(dataset=CHILDREN, anchors=(), before=(), parents=parents))

    def _with_riders(self, connector: Connector, *ids: str) -> Batch:
        batch = Batch.of(DATASET, tuple(_all(connector, due(keys=tuple(self.keys(*ids))))))
        return replace(batch, companions=(Batch.of(CHILDREN, tuple(self._riders(connector, *ids))),))


def due(
    *,
    dataset: str = DATASET,
    before: tuple[Before, ...] | None = None,
    anchors: tuple[str, ...] = (ANCHOR,),
    **more: object,
) -> Selection:
    """Return the selection of what is before CUTOFF, with anything else that a test asks for."""
    cut_off = (Before(ANCHOR, CUTOFF, start_of_day(CUTOFF, ZONE)),)
    selection = Selection(dataset, ZONE, NOW, before=cut_off if before is None else before, anchors=anchors)
    return replace(selection, **more)  # type: ignore[arg-type]


def found_keys(connector: Connector, selection: Selection) -> list[Key]:
    """Return the keys of everything found, in the order found."""
    return [found.key for found in _all(connector, selection)]


def words(outcomes: Sequence[Outcome]) -> list[OutcomeWord]:
    """Return what became of the records."""
    return [outcome.word for outcome in outcomes]


def _all(connector: Connector, selection: Selection) -> list[Found]:
    return [found for batch in connector.find(selection) for found in batch.records]


def _rows(count: int) -> list[Row]:
    return [Row(str(900 + number)) for number in range(1, count + 1)]


def _raises(call: object, kind: type[RopaError] = RopaError) -> bool:
    try:
        call()  # type: ignore[operator]
    except kind:
        return True
    return False
