"""The connector contract over tables in memory, and what this connector adds for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from connectors.memory import TYPE, MemoryConnector
from connectors.suite import ANCHOR, CHILDREN, DATASET, DUE, ZONE, ConnectorContract, due, found_keys, words
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    CatalogueReference,
    Condition,
    Connector,
    DatasetSpec,
    FieldChange,
    LocationSpec,
    Mask,
    OutcomeWord,
    Parent,
    Referring,
    Selection,
    Spare,
)
from ropa.errors import CallError, IncompleteListingError

OWN = Anchor(ANCHOR, (AnchorPart(ANCHOR),))


def make_spec(*datasets: DatasetSpec, batch_size: int | None = 2) -> LocationSpec:
    return LocationSpec("mem", "memory", ZONE, datasets={d.name: d for d in datasets}, batch_size=batch_size)


ITEMS = DatasetSpec(
    DATASET,
    "t_items",
    ZONE,
    key=("id",),
    subject=("person",),
    anchors={ANCHOR: OWN},
    data={"name": ("person",), "correspondence": ("note",)},
)
LINES = DatasetSpec(
    CHILDREN, "t_lines", ZONE, key=("id",), anchors={ANCHOR: OWN}, parent=Parent(DATASET, ("item",), with_parent=True)
)


def as_table_row(row):
    made = {"id": int(row.id), ANCHOR: row.on, "person": row.person or None, "note": row.note or None}
    return made | ({"item": int(row.parent)} if row.parent else {})


class TestMemory(ConnectorContract):
    has_children = True
    fields = (FieldChange("note"),)
    note_column = "note"

    def build(self, rows, children=(), *, batch_size=2):
        tables = {DATASET: [as_table_row(row) for row in rows], CHILDREN: [as_table_row(row) for row in children]}
        return MemoryConnector(make_spec(ITEMS, LINES, batch_size=batch_size), tables)

    def change(self, connector, row_id):
        for table in connector.rows.values():
            for row in table:
                if row["id"] == int(row_id):
                    row["note"] = "something else"

    def break_listing(self, connector):
        connector.incomplete = True
        return True


def make_location(rows, **more):
    return MemoryConnector(make_spec(ITEMS, LINES), {DATASET: rows, CHILDREN: []}, **more)


def only(connector, selection=None):
    return next(iter(connector.find(selection or due())))


def test_it_is_a_connector():
    assert isinstance(make_location([]), Connector)


def test_it_opens_from_configuration_with_rows_as_tables_each_time_anew():
    spec = make_spec(replace(ITEMS, options={"rows": [{"id": 7, ANCHOR: DUE, "person": "a", "note": "n"}]}))
    first, second = TYPE.open(spec), TYPE.open(spec)
    assert words(first.act(due(), only(second), Action.PURGE)) == [OutcomeWord.PURGED]
    assert (first.count(DATASET), second.count(DATASET)) == (0, 1)


def test_it_opens_from_configuration_without_any_option():
    assert TYPE.open(make_spec(ITEMS)).count(DATASET) == 0


def test_keys_are_in_the_order_of_numbers():
    assert found_keys(make_location([{"id": n, ANCHOR: DUE} for n in (10, 9, 100)]), due()) == [
        ("9",),
        ("10",),
        ("100",),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("07", "07"),
        (True, "1"),
        (b"\x00\xff", "00ff"),
        (date(2020, 2, 3), "2020-02-03"),
        (datetime(2020, 2, 3, 1, tzinfo=ZONE), "2020-02-03T00:00:00Z"),
        (datetime(2020, 2, 3, 1, 0, 0, 5), "2020-02-03T01:00:00.000005"),  # noqa: DTZ001 - as a source gives it
        (UUID("C0FFEE00-0000-4000-8000-00000000ABCD"), "c0ffee00-0000-4000-8000-00000000abcd"),
    ],
)
def test_keys_are_spelled_as_the_contract_says(value, text):
    assert found_keys(make_location([{"id": value, ANCHOR: DUE}]), due()) == [(text,)]


def test_calls_are_recorded_with_the_number_of_records():
    connector = make_location([{"id": n, ANCHOR: DUE} for n in (1, 2, 3)])
    batches = list(connector.find(due()))
    connector.act(due(), batches[0], Action.PURGE)
    connector.remaining(due(), batches[0])
    connector.count(DATASET)
    assert connector.calls == [
        ("find", DATASET, 3),
        ("act", DATASET, 2),
        ("remaining", DATASET, 2),
        ("count", DATASET, 1),
    ]


def test_something_can_happen_just_before_the_act():
    connector = make_location([{"id": 1, ANCHOR: DUE}, {"id": 2, ANCHOR: DUE}])
    batch = only(connector)
    connector.before_act = lambda _selection, given: connector.rows[DATASET][len(given.records) - 1].update(note="new")
    assert words(connector.act(due(), batch, Action.PURGE)) == [OutcomeWord.PURGED, OutcomeWord.CHANGED]


def test_a_record_can_be_made_to_fail_or_to_have_an_obstacle():
    connector = make_location([{"id": 1, ANCHOR: DUE}, {"id": 2, ANCHOR: DUE}])
    connector.fail[("1",)] = "eacces"
    connector.obstacles[("2",)] = "hard-link"
    batch = only(connector)
    assert [found.obstacle for found in batch.records] == [None, "hard-link"]
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert [(o.word, o.code) for o in outcomes] == [(OutcomeWord.FAILED, "eacces"), (OutcomeWord.BLOCKED, "hard-link")]
    assert connector.count(DATASET) == 2


def test_a_lie_is_seen_when_it_is_read_back():
    connector = make_location([{"id": 1, ANCHOR: DUE}, {"id": 2, ANCHOR: DUE}])
    connector.lies.add(("2",))
    batch = only(connector)
    assert words(connector.act(due(), batch, Action.PURGE)) == [OutcomeWord.PURGED] * 2
    assert connector.remaining(due(), batch) == {("2",)}


def test_an_incomplete_listing_gives_a_batch_and_then_breaks_off():
    connector = make_location([{"id": n, ANCHOR: DUE} for n in (1, 2, 3)])
    connector.incomplete = True
    batches = connector.find(due())
    assert len(next(batches).records) == 2
    with pytest.raises(IncompleteListingError):
        next(batches)


def test_actions_it_does_not_know_are_refused():
    connector = make_location([{"id": 1, ANCHOR: DUE}])
    batch = only(connector)
    for action in (Action.FLAG, Action.KEEP, Action.ANONYMISE):
        assert words(connector.act(due(), batch, action)) == [OutcomeWord.REFUSED]
    assert connector.count(DATASET) == 1


def test_an_unknown_dataset_is_an_error_before_anything_is_asked_for():
    with pytest.raises(CallError):
        make_location([]).find(due(dataset="nothing"))


# --- anchors of several parts -------------------------------------------------------------------------------------

LATEST = replace(
    ITEMS,
    anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart("made"), AnchorPart("seen"), AnchorPart("on", dataset=CHILDREN)))},
)
LATEST_LINES = replace(LINES, anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart("opened", dataset=DATASET),))})


def anchored(row, lines=()):
    tables = {DATASET: [{"id": 1} | row], CHILDREN: [{"id": n, "item": 1, "on": on} for n, on in enumerate(lines)]}
    connector = MemoryConnector(make_spec(LATEST, LATEST_LINES), tables)
    (batch,) = connector.find(due(before=(), check_anchors=False))
    return batch.records[0].anchored[0], bool(list(connector.find(due())))


def test_the_latest_of_several_parts_counts_and_parts_without_a_date_are_passed_over():
    assert anchored({"made": date(2019, 1, 1), "seen": date(2020, 1, 1)}) == (date(2020, 1, 1), True)
    assert anchored({"made": None, "seen": date(2020, 1, 1)}, [None]) == (date(2020, 1, 1), True)
    assert anchored({"made": date(2019, 1, 1)}, [date(2021, 1, 1), date(2020, 1, 1)]) == (date(2021, 1, 1), True)
    assert anchored({"made": date(2019, 1, 1)}, [date(2026, 8, 1)]) == (date(2026, 8, 1), False)
    assert anchored({}) == (None, False)


@pytest.mark.parametrize("text", ["", "0000-00-00", "31-12-2030", "1700000000", "soon", 1700000000, b"2020-01-01"])
def test_one_part_that_cannot_be_read_leaves_no_anchor(text):
    assert anchored({"made": date(2019, 1, 1), "seen": text}) == (None, False)
    assert anchored({"made": date(2019, 1, 1)}, [text]) == (None, False)


def test_one_part_in_the_future_is_never_due():
    assert anchored({"made": date(2019, 1, 1), "seen": "9999-12-31"}) == (date(9999, 12, 31), False)


def test_a_childs_date_may_be_its_parents():
    tables = {DATASET: [{"id": 1, "opened": "2020-05-05"}], CHILDREN: [{"id": 1, "item": 1}, {"id": 2, "item": None}]}
    connector = MemoryConnector(make_spec(LATEST, LATEST_LINES), tables)
    (batch,) = connector.find(due(dataset=CHILDREN))
    assert [(found.key, found.anchored) for found in batch.records] == [(("1",), (date(2020, 5, 5),))]


def test_dates_of_children_are_read_in_the_childrens_zone():
    lines = replace(LATEST_LINES, zone=ZoneInfo("America/New_York"))
    tables = {DATASET: [{"id": 1}], CHILDREN: [{"id": 1, "item": 1, "on": "2020-05-05 23:00:00"}]}
    (batch,) = MemoryConnector(make_spec(LATEST, lines), tables).find(due())
    assert batch.records[0].anchored == (date(2020, 5, 6),)


def test_an_anchor_over_a_dataset_that_is_not_related_is_a_problem_and_never_due():
    lost = replace(ITEMS, anchors={ANCHOR: Anchor(ANCHOR, (AnchorPart("x", dataset="elsewhere"),))})
    connector = MemoryConnector(make_spec(lost), {DATASET: [{"id": 1, "person": "", "note": ""}]})
    assert connector.problems(DATASET) == [f"anchor {ANCHOR}: elsewhere is neither a child nor the parent"]
    assert list(connector.find(due())) == []


# --- references ---------------------------------------------------------------------------------------------------


def make_catalogue():
    """items <- notes (undeclared) <- scans (undeclared), and lines."""
    tables = {
        "t_items": [{"id": 1, ANCHOR: DUE, "person": "Zoé"}, {"id": 2, ANCHOR: DUE}],
        "t_lines": [{"id": 8, "item": 1}],
        "notes": [{"id": 5, "item": 1}, {"id": 6, "item": 1}],
        "scans": [{"id": 7, "note": 5, "line": 8}],
    }
    references = {
        "notes": [CatalogueReference(("item",), "t_items", ("id",))],
        "scans": [CatalogueReference(("note",), "notes", ("id",)), CatalogueReference(("line",), "t_lines", ("id",))],
        "t_lines": [CatalogueReference(("item",), "t_items", ("id",))],
    }
    return tables, references


def test_undeclared_rows_that_refer_are_counted_and_block():
    tables, references = make_catalogue()
    connector = MemoryConnector(make_spec(ITEMS, LINES), tables, references=references)
    batch = only(connector)
    assert batch.records[0].referred_by == (Referring(CHILDREN, True, 1), Referring("notes", False, 2))
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert [(o.word, o.code) for o in outcomes] == [(OutcomeWord.BLOCKED, "referenced"), (OutcomeWord.PURGED, None)]


def test_what_is_held_covers_descendants_through_undeclared_tables():
    tables, references = make_catalogue()
    scans = DatasetSpec("scans", "scans", ZONE)
    connector = MemoryConnector(make_spec(ITEMS, LINES, scans), tables, references=references)
    for spare in (Spare(subjects=frozenset({"zoé"})), Spare(keys={DATASET: frozenset({("1",)})})):
        selection = due(dataset="scans", anchors=(), before=(), spare=spare)
        assert [found.is_spared for batch in connector.find(selection) for found in batch.records] == [True]


def test_a_child_of_a_companion_that_is_not_named_keeps_them_all():
    tables, references = make_catalogue()
    connector = MemoryConnector(make_spec(ITEMS, LINES), tables | {"notes": []}, references=references)
    batch = only(connector, due(keys=(("1",),)))
    riders = only(connector, due(dataset=CHILDREN, anchors=(), before=(), parents=(DATASET, (("1",),))))
    outcomes = connector.act(due(), replace(batch, companions=(riders,)), Action.PURGE)
    assert [(o.word, o.code) for o in outcomes] == [(OutcomeWord.BLOCKED, "referenced")] * 2
    assert connector.count(CHILDREN) == 1


def test_undeclared_tables_are_listed():
    tables, references = make_catalogue()
    connector = MemoryConnector(make_spec(ITEMS, LINES), tables, references=references)
    listed = {info.source: info.declared_as for info in connector.datasets()}
    assert listed == {"t_items": DATASET, "t_lines": CHILDREN, "notes": None, "scans": None}
    assert {info.source: len(info.references) for info in connector.datasets()}["scans"] == 2


def test_records_that_refer_to_each_other_go_together_or_not_at_all():
    node = DatasetSpec("nodes", "nodes", ZONE, anchors={ANCHOR: OWN}, parent=Parent("nodes", ("up",), with_parent=True))
    rows = [{"id": n, "up": up, ANCHOR: DUE} for n, up in ((1, 3), (2, 1), (3, 2), (4, None))]
    connector = MemoryConnector(make_spec(node, batch_size=10), {"nodes": rows})
    (batch,) = connector.find(due(dataset="nodes"))
    alone = connector.act(due(dataset="nodes"), batch, Action.PURGE)
    assert words(alone) == [OutcomeWord.BLOCKED] * 3 + [OutcomeWord.PURGED]
    ring = Batch.of(batch.dataset, batch.records[:1], (Batch.of(batch.dataset, batch.records[1:3]),))
    assert words(connector.act(due(dataset="nodes"), ring, Action.PURGE)) == [OutcomeWord.PURGED] * 3
    assert rows == []


# --- problems and content -----------------------------------------------------------------------------------------


def test_problems_name_what_no_row_has_ever_had():
    wrong = replace(
        ITEMS, key=("nr",), subject=("mail",), data={"name": ("person", "nick")}, parent=Parent("nowhere", ("up",))
    )
    connector = MemoryConnector(make_spec(wrong), {DATASET: [{"id": 1, ANCHOR: DUE, "person": "canary"}]})
    problems = connector.problems(
        DATASET, due(fields=(FieldChange("nr"), FieldChange("iban", Mask.YEAR)), anchors=("gone",))
    )
    named = " ".join(problems)
    assert all(word in named for word in ("nr", "mail", "nick", "up", "nowhere", "iban", "gone"))
    assert "part of the key" in named
    assert "canary" not in named


def test_a_table_that_never_had_a_row_has_no_columns_to_miss():
    assert make_location([]).problems(DATASET, due(match=(Condition("anything", ("x",)),))) == []


def test_masks_are_applied_as_asked():
    row = {"id": 1, ANCHOR: DUE, "born": date(1984, 5, 17), "ip": "192.0.2.77", "name": "Zoé", "nick": "z", "note": "n"}
    connector = make_location([row])
    fields = tuple(
        FieldChange(column, mask)
        for column, mask in [
            ("born", Mask.YEAR),
            ("ip", Mask.TRUNCATE_IP),
            ("name", Mask.REDACT),
            ("nick", Mask.RANDOM),
            ("note", Mask.CLEAR),
        ]
    )
    selection = due(fields=fields)
    assert words(connector.act(selection, only(connector, selection), Action.ANONYMISE)) == [OutcomeWord.ANONYMISED]
    assert row["nick"].startswith("anon-")
    assert {k: row[k] for k in ("born", "ip", "name", "note")} == {
        "born": date(1984, 1, 1),
        "ip": "192.0.2.0",
        "name": "[redacted]",
        "note": None,
    }
    assert list(connector.find(selection)) == []


def test_a_persons_children_are_read_with_their_parent():
    rows = [{"id": 1, ANCHOR: DUE, "person": "Zoé"}, {"id": 2, ANCHOR: DUE, "person": "Anna"}]
    lines = [{"id": 1, "item": 1}, {"id": 2, "item": 2}]
    connector = MemoryConnector(make_spec(ITEMS, LINES), {DATASET: rows, CHILDREN: lines})
    assert [record.key for record in connector.read(CHILDREN, "ZOÉ")] == [("1",)]
    assert [record.values["person"] for record in connector.read(DATASET, "zoé")] == ["Zoé"]


def test_its_clock_can_be_set():
    connector = make_location([])
    connector.clock = lambda: datetime(2030, 1, 1, tzinfo=UTC)
    assert connector.check().now == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_selection_without_conditions_means_every_record():
    connector = make_location([{"id": 1}, {"id": 2}])
    assert found_keys(connector, Selection(DATASET, ZONE, datetime(2026, 1, 1, tzinfo=UTC))) == [("1",), ("2",)]
