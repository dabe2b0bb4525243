"""What is found at SharePoint: whole, once, and nothing that a label keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sharepoint_fake import CHILD_ID, LIST_ID, Item, column
from sharepoint_kit import child_spec, fill_library, fill_list, library_spec, list_spec, open_site

from connectors.suite import CANARY, CHILDREN, CUTOFF, DATASET, Row, due, found_keys
from ropa.connector import Action, Condition, OutcomeWord, Reference
from ropa.errors import ConfigurationError, IncompleteListingError, LocationError

ROWS = [Row(str(number)) for number in range(901, 908)]
KEYS = [(row.id,) for row in ROWS]


def tally(connector, selection):
    """Return what a whole listing says in the end."""
    batches = connector.find(selection)
    while True:
        try:
            next(batches)
        except StopIteration as end:
            return end.value


@pytest.fixture(params=["library", "list"])
def place(request):
    is_list = request.param == "list"
    fake = fill_list(ROWS) if is_list else fill_library(ROWS)
    fake.page = 3
    return fake, open_site(fake, list_spec() if is_list else library_spec())


@pytest.mark.parametrize("oddity", ["", "relative", "empty-last", "repeat"])
def test_every_record_is_found_once_however_the_pages_come(place, oddity):
    fake, connector = place
    fake.oddity = oddity
    assert found_keys(connector, due()) == KEYS
    assert tally(connector, due()).population == len(ROWS)
    assert connector.count(DATASET) == len(ROWS)


@pytest.mark.parametrize("oddity", ["circle", "no-values"])
def test_pages_that_lead_nowhere_are_an_incomplete_listing(place, oddity):
    fake, connector = place
    fake.oddity = oddity
    with pytest.raises(IncompleteListingError):
        list(connector.find(due()))


def test_a_link_to_another_host_is_not_followed(place):
    fake, connector = place
    fake.oddity = "foreign"
    with pytest.raises(LocationError) as caught:
        list(connector.find(due()))
    assert caught.value.code == "foreign-origin"
    assert "https://evil.test" not in fake.seen_origins


def test_nothing_due_takes_one_request_a_page(place):
    fake, connector = place
    connector.problems(DATASET)
    fake.log.clear()
    empty = due(match=(Condition("createdDateTime", ("never",)),))
    assert found_keys(connector, empty) == []
    pages = [path for _, path in fake.log if path.endswith(("items", "delta"))]
    assert len(pages) in {3, -(-(len(ROWS) + 1) // 3)}
    assert len(fake.log) - len(pages) <= 1, "columns of the site's lists, once"
    fake.log.clear()
    assert found_keys(connector, empty) == []
    assert len(fake.log) == len(pages)


def test_a_delta_that_must_start_over_starts_over_with_nothing_kept():
    fake = fill_library(ROWS)
    fake.page, fake.gone_after = 3, [3]
    connector = open_site(fake, library_spec())
    assert found_keys(connector, due()) == KEYS
    assert fake.gone_after == []


def test_a_delta_that_starts_over_without_end_is_an_incomplete_listing():
    fake = fill_library(ROWS)
    fake.page, fake.gone_after = 3, [3] * 50
    connector = open_site(fake, library_spec())
    with pytest.raises(IncompleteListingError):
        list(connector.find(due()))
    assert len(fake.gone_after) > 40


def test_of_a_file_that_comes_twice_the_last_counts():
    fake = fill_library(ROWS)
    fake.page = 4
    connector = open_site(fake, library_spec())
    changed = fake.files["902"]

    def entries(path, query, original=fake._delta):
        status, headers, page = original(path, query)
        if "$skiptoken" in query:
            page["value"] += [fake._file(Item("902", created="2026-11-01T00:00:00Z", name=changed.name), query),
                              {"id": "903", "deleted": {"state": "deleted"}}]  # fmt: skip
        return status, headers, page

    fake._delta = entries
    assert found_keys(connector, due()) == [key for key in KEYS if key not in {("902",), ("903",)}]
    assert tally(connector, due()).population == len(ROWS) - 1


def test_only_files_below_the_folder_that_match_a_glob_are_records():
    fake = fill_library([Row("901")])
    fake.files |= {
        "f1": Item("f1", name="CVs", is_folder=True),
        "f2": Item("f2", name="2020", folder="f1", is_folder=True),
        "f3": Item("f3", name="CVs oud", is_folder=True),
        "a": Item("a", name="a.pdf", folder="f2"),
        "b": Item("b", name="b.docx", folder="f1"),
        "c": Item("c", name="c.pdf", folder="f3"),
    }
    for order in (list(fake.files), list(reversed(fake.files))):
        fake.files = {name: fake.files[name] for name in order}
        connector = open_site(fake, library_spec("library:Documenten/CVs"))
        assert found_keys(connector, due()) == [("a",)]
        assert connector.count(DATASET) == 1
    connector = open_site(fake, library_spec("library:Documenten", data={"cv": ("CVs/**",)}))
    assert found_keys(connector, due()) == [("a",), ("b",)]


def test_a_file_in_a_folder_that_was_not_listed_makes_the_listing_incomplete():
    fake = fill_library([Row("901")], folder="nowhere")
    connector = open_site(fake, library_spec("library:Documenten/CVs"))
    with pytest.raises(IncompleteListingError):
        list(connector.find(due()))


def test_folders_of_a_list_are_no_records():
    fake = fill_list(ROWS[:2])
    fake.lists[LIST_ID].items["902"].is_folder = True
    connector = open_site(fake, list_spec())
    assert found_keys(connector, due()) == [("901",)]
    assert connector.count(DATASET) == 1


def test_a_server_without_delta_must_say_how_many_there_are_and_give_as_many():
    fake = fill_library(ROWS)
    fake.has_delta, fake.page = False, 3
    connector = open_site(fake, library_spec())
    assert found_keys(connector, due()) == KEYS
    whole = fake._paged

    def short(*given, **more):
        status, headers, page = whole(*given, **more)
        if "@odata.count" in page:
            page["@odata.count"] += 1
        return status, headers, page

    fake._paged = short
    with pytest.raises(IncompleteListingError):
        list(connector.find(due()))


@pytest.mark.parametrize(
    ("label", "is_kept"),
    [
        ({"name": "Contracten"}, True),
        ({"name": "Contracten", "retentionSettings": {"behaviorDuringRetentionPeriod": "retain"}}, True),
        ({"name": "Weg", "retentionSettings": {"behaviorDuringRetentionPeriod": "doNotRetain"}}, False),
        (
            {
                "name": "Weg",
                "retentionSettings": {"behaviorDuringRetentionPeriod": "doNotRetain", "isRecordLocked": True},
            },
            True,
        ),
        ({"name": None, "retentionSettings": None}, False),
        ({}, False),
    ],
)
def test_a_label_that_keeps_a_file_is_a_hold_from_the_plan_on(label, is_kept):
    fake = fill_library(ROWS[:3])
    fake.files["902"].label = label
    connector = open_site(fake, library_spec(), batch_size=10)
    (batch,) = connector.find(due())
    assert [(found.is_spared, found.obstacle) for found in batch.records] == [
        (False, None), (is_kept, "retention-label" if is_kept else None), (False, None),
    ]  # fmt: skip
    words = [outcome.word for outcome in connector.act(due(), batch, Action.PURGE)]
    assert words[1] is (OutcomeWord.HELD if is_kept else OutcomeWord.PURGED)
    assert not [
        part for part in fake.parts if part[0] == "DELETE" or ("retentionLabel" in part[1] and part[0] != "GET")
    ]


def test_a_label_set_after_the_plan_is_seen_before_acting():
    fake = fill_library(ROWS[:2])
    connector = open_site(fake, library_spec())
    (batch,) = connector.find(due())
    fake.files["901"].label = {"name": "Contracten"}
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert [(outcome.word, outcome.code) for outcome in outcomes] == [
        (OutcomeWord.HELD, "retention-label"), (OutcomeWord.PURGED, None),
    ]  # fmt: skip


def test_labels_are_asked_of_due_files_only():
    fake = fill_library([*ROWS, Row("990", CUTOFF)])
    connector = open_site(fake, library_spec())
    list(connector.find(due()))
    asked = [path for _, path, _, _ in fake.parts if path.endswith("retentionLabel")]
    assert sorted(path.split("/")[-2] for path in asked) == [row.id for row in ROWS]


def test_labels_that_cannot_be_read_stop_the_plan():
    fake = fill_library(ROWS)
    fake.parts_told["GET", "904/retentionLabel"] = [(403, {}, {"error": {"code": "accessDenied"}})]
    connector = open_site(fake, library_spec())
    with pytest.raises(LocationError) as caught:
        list(connector.find(due()))
    assert "Sites.Read.All" in caught.value.next_step


def test_the_label_of_a_list_item_is_a_hold_too():
    fake = fill_list(ROWS[:2])
    fake.lists[LIST_ID].columns.append(column("_ComplianceTag", readOnly=True))
    fake.lists[LIST_ID].items["902"].fields["_ComplianceTag"] = "Contracten"
    connector = open_site(fake, list_spec())
    (batch,) = connector.find(due())
    assert [found.is_spared for found in batch.records] == [False, True]
    assert [outcome.word for outcome in connector.act(due(), batch, Action.PURGE)][1] is OutcomeWord.HELD


def test_no_list_is_ever_filtered_at_the_source():
    fake = fill_list(ROWS)
    fake.lists[LIST_ID].columns[2]["indexed"] = True
    connector = open_site(fake, list_spec())
    seen = []
    original = fake.handle_request
    fake.handle_request = lambda request: (seen.append(str(request.url)), original(request))[1]
    assert found_keys(connector, due()) == KEYS
    assert not [url for url in seen if "filter" in url]


def test_many_records_go_through_the_sorters_file_and_come_out_in_order(monkeypatch):
    monkeypatch.setattr("connectors.microsoft365.records.Sorter.__init__.__kwdefaults__", {"run": 4})
    fake = fill_list([Row(str(2000 - number)) for number in range(30)])
    connector = open_site(fake, list_spec(), batch_size=7)
    assert found_keys(connector, due()) == sorted((str(2000 - number),) for number in range(30))
    assert tally(connector, due()).population == 30


def test_what_names_a_record_is_counted_where_columns_say_so_and_where_the_configuration_does():
    for has_columns in (True, False):
        fake = fill_list(ROWS[:2], [Row("801", parent="901"), Row("802", parent="901")])
        fake.has_columns = has_columns
        if not has_columns:
            for item in fake.lists[CHILD_ID].items.values():
                item.fields["Klant"] = item.fields.pop("KlantLookupId")
        connector = open_site(fake, list_spec(), child_spec())
        (batch,) = connector.find(due())
        told = [[(one.source, one.count) for one in found.referred_by] for found in batch.records]
        assert told == [[(CHILDREN, 2)], []]


def test_an_item_belongs_by_via_alone_though_it_has_another_lookup_to_the_same_list():
    fake = fill_list(ROWS[:2], [Row("801", parent="901")])
    facet = {"listId": LIST_ID, "columnName": "Title"}
    fake.lists[CHILD_ID].columns.append(column("Factuur", "lookup", facet=facet))
    fake.lists[CHILD_ID].items["801"].fields["FactuurLookupId"] = "902"
    connector = open_site(fake, list_spec(), child_spec())
    everything = due(dataset=CHILDREN, anchors=(), before=())
    (batch,) = connector.find(everything)
    one, two = Reference(DATASET, ("901",)), Reference(DATASET, ("902",), is_parent=False)
    assert [record.refers_to for record in batch.records] == [(one, two)]
    of_two = replace(everything, parents=(DATASET, (("902",),)), check_anchors=False)
    assert list(connector.find(of_two)) == []


def test_an_undeclared_list_that_names_a_record_blocks_it():
    fake = fill_list(ROWS[:2], [Row("801", parent="901")])
    connector = open_site(fake, list_spec())
    (batch,) = connector.find(due())
    assert [(one.source, one.is_declared, one.count) for one in batch.records[0].referred_by] == [("Orders", False, 1)]
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert [(o.word, o.code) for o in outcomes] == [
        (OutcomeWord.BLOCKED, "referenced"), (OutcomeWord.RECOVERABLE, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    ["Klanten", "list:", "table:x", "library:Docs//x", "library:Docs/../x", "drive:", "list: Klanten", "mail:x"],
)
def test_a_source_that_says_nothing_or_two_things_is_refused(source):
    with pytest.raises(ConfigurationError):
        open_site(fill_list([]), list_spec(source=source))


def test_a_title_that_two_lists_bear_is_refused_and_an_id_is_not():
    fake = fill_list(ROWS)
    fake.lists[CHILD_ID].title = "Klanten"
    with pytest.raises(LocationError) as caught:
        open_site(fake, list_spec()).count(DATASET)
    assert caught.value.code == "ambiguous"
    assert open_site(fake, list_spec(source=f"list:{LIST_ID}")).count(DATASET) == len(ROWS)


def test_a_library_is_not_a_list_and_what_is_missing_is_a_problem():
    fake = fill_library([])
    for source in ("list:Documenten", "list:Weg", "library:Weg", "drive:b!gone"):
        assert open_site(fake, list_spec(source=source)).problems(DATASET)


def test_options_that_mean_nothing_are_all_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        open_site(
            fill_list([]), list_spec(options={"flag_value": "x", "pattern": "*"}), site="http://x.test/?a=1", site_id="x",
            removal="maybe", recycle_bin_days=0, sharepoint_rest=True,
        )  # fmt: skip
    assert len(caught.value.problems) == 7


def test_a_listing_tells_nothing_of_what_records_hold(place, caplog):
    _, connector = place
    batches = list(connector.find(due()))
    assert CANARY not in repr(batches)
    assert CANARY not in caplog.text
