"""What becomes of records at SharePoint, and what is said of it."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date

import pytest
from sharepoint_fake import LIST_ID, Item, column
from sharepoint_kit import child_spec, fill_library, fill_list, library_spec, list_spec, open_site, rest_options

from connectors.suite import CANARY, CHILDREN, DATASET, Row, due, found_keys, words
from ropa.connector import Action, Batch, FieldChange, Mask, OutcomeWord, Spare
from ropa.errors import LocationError

ROWS = [Row(str(number)) for number in range(901, 906)]
BIN = date(2027, 2, 23)
"""93 days after the 22nd of November 2026."""


def planned(connector, **more):
    """Return the one batch of what is due."""
    (batch,) = connector.find(due(**more))
    return batch


def rest_site(fake, *specs, **more):
    """Return a connector that removes list items for good."""
    return open_site(fake, *specs, client_secret=None, certificate=rest_options()["certificate"], sharepoint_rest=True,
                     batch_size=100, **more)  # fmt: skip


def told(outcomes):
    return [(outcome.word, outcome.code) for outcome in outcomes]


def test_a_file_goes_for_good_and_into_the_recycle_bin_where_configured():
    for removal, word, until, how in (
        ("permanent", OutcomeWord.PURGED, None, "gone"),
        ("recycle-bin", OutcomeWord.RECOVERABLE, BIN, "bin"),
    ):
        fake = fill_library(ROWS[:1])
        connector = open_site(fake, library_spec(), removal=removal)
        (outcome,) = connector.act(due(), planned(connector), Action.PURGE)
        assert (outcome.word, outcome.until) == (word, until)
        assert fake.removed == {"901": how}


@pytest.mark.parametrize(("read", "configured", "days"), [(None, None, 93), (None, 30, 30), (14, 30, 14)])
def test_a_list_item_is_recoverable_until_the_bin_is_emptied(read, configured, days):
    fake = fill_list(ROWS[:1])
    fake.bin_days = read
    connector = open_site(fake, list_spec(), **({"recycle_bin_days": configured} if configured else {}))
    (outcome,) = connector.act(due(), planned(connector), Action.PURGE)
    assert (outcome.word, (outcome.until - date(2026, 11, 22)).days) == (OutcomeWord.RECOVERABLE, days)


def test_list_items_go_for_good_by_sharepoints_own_interface_with_a_token_of_its_own():
    fake = fill_list(ROWS)
    connector = rest_site(fake, list_spec(), resource="https://graph.test")
    batch = planned(connector)
    fake.lists[LIST_ID].items["902"].touch()
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert Counter(words(outcomes)) == {OutcomeWord.PURGED: 4, OutcomeWord.CHANGED: 1}
    assert fake.removed == dict.fromkeys(("901", "903", "904", "905"), "gone")
    assert fake.tokens == ["https://graph.test/.default", "https://contoso.test/.default"]


def test_what_changes_between_the_last_look_and_the_deletion_stays():
    for spec, options in ((list_spec(), {}), (library_spec(), {"removal": "recycle-bin"})):
        fake = fill_list(ROWS[:1]) if spec.source.startswith("list") else fill_library(ROWS[:1])
        connector = open_site(fake, spec, **options)
        batch = planned(connector)

        def meddle(parts, fake=fake):
            if parts[0]["method"] == "DELETE":
                for item in (*fake.lists[LIST_ID].items.values(), *fake.files.values()):
                    item.touch()

        fake.before_batch = meddle
        assert words(connector.act(due(), batch, Action.PURGE)) == [OutcomeWord.CHANGED]
        assert connector.remaining(due(), batch) == {("901",)}


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (403, OutcomeWord.REFUSED, "on-hold"),
        (404, OutcomeWord.ABSENT, None),
        (412, OutcomeWord.CHANGED, None),
        (423, OutcomeWord.FAILED, "locked"),
        (424, OutcomeWord.FAILED, "accessdenied"),
        (409, OutcomeWord.FAILED, "accessdenied"),
    ],
)
def test_each_part_has_its_own_outcome(status, word, code):
    fake = fill_library(ROWS)
    fake.files["903"].status = status
    connector = open_site(fake, library_spec(), batch_size=100)
    outcomes = connector.act(due(), planned(connector), Action.PURGE)
    assert told(outcomes)[2] == (word, code)
    assert Counter(words(outcomes))[OutcomeWord.PURGED] == 4


def test_a_refusal_that_does_not_speak_of_a_hold_is_called_either():
    fake = fill_library(ROWS[:1])
    fake.parts_told["POST", "901/permanentDelete"] = [(403, {}, {"error": {"code": "accessDenied", "message": "No."}})]
    connector = open_site(fake, library_spec())
    assert told(connector.act(due(), planned(connector), Action.PURGE)) == [(OutcomeWord.REFUSED, "hold-or-permission")]


def test_parts_that_are_told_to_wait_are_sent_again_alone_and_none_twice(monkeypatch):
    slept = []
    monkeypatch.setattr("connectors.microsoft365.http.time.sleep", slept.append)
    monkeypatch.setattr("connectors.microsoft365.http.Pace.delay", lambda self: 0.0)
    fake = fill_library(ROWS)
    wait = (429, {"Retry-After": "1"}, {"error": {"code": "activityLimitReached"}})
    fake.parts_told["POST", "902/permanentDelete"] = [wait, wait]
    fake.parts_told["GET", "items/904"] = [wait]
    connector = open_site(fake, library_spec(), batch_size=100)
    assert set(words(connector.act(due(), planned(connector), Action.PURGE))) == {OutcomeWord.PURGED}
    sent = Counter(path.split("/")[-2] for method, path, _, _ in fake.parts if method == "POST")
    assert sent == {"901": 1, "902": 3, "903": 1, "904": 1, "905": 1}


def test_a_part_that_waits_beyond_the_budget_is_told_and_the_rest_goes():
    fake = fill_library(ROWS[:2])
    fake.parts_told["POST", "902/permanentDelete"] = [(429, {"Retry-After": "9999"}, {"error": {"code": "x"}})]
    connector = open_site(fake, library_spec())
    outcomes = connector.act(due(), planned(connector), Action.PURGE)
    assert told(outcomes) == [(OutcomeWord.PURGED, None), (OutcomeWord.FAILED, "throttled")]


def test_what_got_no_answer_is_asked_for_and_not_sent_again():
    fake = fill_library(ROWS)
    fake.parts_told["POST", "902/permanentDelete"] = ["lost"]
    fake.parts_told["POST", "903/permanentDelete"] = ["dropped"]
    connector = open_site(fake, library_spec(), batch_size=100)
    outcomes = connector.act(due(), planned(connector), Action.PURGE)
    assert told(outcomes)[1:3] == [(OutcomeWord.PURGED, None), (OutcomeWord.FAILED, "no-answer")]
    sent = Counter(path for method, path, _, _ in fake.parts if method == "POST")
    assert set(sent.values()) == {1}


def test_a_batch_whose_answer_is_lost_is_asked_for_record_by_record():
    fake = fill_list(ROWS)
    connector = open_site(fake, list_spec(), batch_size=100)
    batch = planned(connector)

    def lose(parts):
        if parts[0]["method"] == "DELETE":
            fake.before_batch = None
            raise_lost()

    fake.before_batch = lose
    assert set(told(connector.act(due(), batch, Action.PURGE))) == {(OutcomeWord.FAILED, "no-answer")}
    assert connector.remaining(due(), batch) == set(batch.keys)
    assert set(words(connector.act(due(), batch, Action.PURGE))) == {OutcomeWord.RECOVERABLE}


def raise_lost():
    import httpx

    raise httpx.ReadError("lost")


class KilledError(BaseException):
    """Somebody pulls the plug."""


@pytest.mark.parametrize("at", range(1, 7))
def test_killed_between_any_two_requests_it_can_be_done_again(at):
    for fake, spec in ((fill_list([Row(str(n)) for n in range(901, 946)]), list_spec()),
                       (fill_library([Row(str(n)) for n in range(901, 946)]), library_spec())):  # fmt: skip
        connector = open_site(fake, spec, batch_size=100)
        batch = planned(connector)
        left = [at]

        def kill(_parts, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise KilledError

        fake.before_batch = kill
        with suppress(KilledError):
            connector.act(due(), batch, Action.PURGE)
        assert left[0] <= 0 or "list" in spec.source
        fake.before_batch = None
        gone = len(fake.removed)
        again = Counter(words(connector.act(due(), batch, Action.PURGE)))
        assert again[OutcomeWord.ABSENT] == gone
        assert again[OutcomeWord.ABSENT] + again[OutcomeWord.PURGED] + again[OutcomeWord.RECOVERABLE] == 45
        assert connector.remaining(due(), batch) == set()


# --- fields and flags ----------------------------------------------------------------------------------------------


def fields_due(*changes):
    return due(fields=changes)


def test_a_birth_date_is_cleared_and_the_rest_stays_with_a_new_version():
    fake = fill_list(ROWS[:2])
    own = fake.lists[LIST_ID]
    own.columns.append(column("Geburtsdatum", "dateTime"))
    for item in own.items.values():
        item.fields["Geburtsdatum"] = "1980-05-05T00:00:00Z"
    connector = open_site(fake, list_spec())
    selection = fields_due(FieldChange("Geburtsdatum"))
    batch = planned(connector, fields=selection.fields)
    outcomes = connector.act(selection, batch, Action.ANONYMISE)
    assert [(o.word, o.version) for o in outcomes] == [
        (OutcomeWord.ANONYMISED, own.items[key].list_etag()) for key in ("901", "902")
    ]
    assert own.items["901"].fields == {
        "Title": CANARY,
        "Email": None,
        "Datum": "2020-02-03T11:00:00Z",
        "Geburtsdatum": None,
    }
    assert all(headers["if-match"].endswith(',1"') for method, _, headers, _ in fake.parts if method == "PATCH")
    # The next change of the same plan takes the version after ours for its own.
    both = replace(batch, versions=[outcome.version for outcome in outcomes])
    more = fields_due(FieldChange("Title", Mask.REDACT))
    assert words(connector.act(more, both, Action.ANONYMISE)) == [OutcomeWord.ANONYMISED] * 2


def test_a_version_after_ours_is_not_told_where_somebody_else_wrote_too():
    selection = fields_due(FieldChange("Nota"))
    for is_meddling in (False, True):
        fake = fill_library(ROWS[:1])
        connector = open_site(fake, library_spec())
        batch = planned(connector, fields=selection.fields)
        methods = []

        def meddle(parts, fake=fake, methods=methods, is_meddling=is_meddling):
            methods.append(parts[0]["method"])
            if is_meddling and methods[-2:] == ["PATCH", "GET"]:
                fake.files["901"].touch()

        fake.before_batch = meddle
        (outcome,) = connector.act(selection, batch, Action.ANONYMISE)
        assert methods[-2:] == ["PATCH", "GET"]
        assert outcome.word is OutcomeWord.ANONYMISED
        assert outcome.version == (None if is_meddling else fake.files["901"].etag())


def test_a_change_of_fields_without_an_answer_is_asked_for():
    fake = fill_library(ROWS[:2])
    fake.parts_told["PATCH", "901/listItem/fields"] = ["lost"]
    fake.parts_told["PATCH", "902/listItem/fields"] = ["dropped"]
    connector = open_site(fake, library_spec())
    selection = fields_due(FieldChange("Nota"))
    outcomes = connector.act(selection, planned(connector, fields=selection.fields), Action.ANONYMISE)
    assert told(outcomes) == [(OutcomeWord.ANONYMISED, None), (OutcomeWord.FAILED, "no-answer")]


def test_a_record_that_went_before_its_fields_is_not_created():
    fake = fill_list(ROWS[:1])
    connector = open_site(fake, list_spec())
    selection = fields_due(FieldChange("Title"))
    batch = planned(connector, fields=selection.fields)
    fake.lists[LIST_ID].items.clear()
    assert words(connector.act(selection, batch, Action.ANONYMISE)) == [OutcomeWord.ABSENT]
    assert not [part for part in fake.parts if part[0] == "PATCH"]


def test_columns_that_cannot_be_changed_are_told_at_planning():
    fake = fill_list(ROWS[:1])
    fake.lists[LIST_ID].columns += [
        column("Nummer", required=True), column("Som", "calculated"), column("Zelf", readOnly=True),
        column("Keuze", "lookup", facet={"listId": "x"}), column("Uniek", enforceUniqueValues=True),
        column("Verjaardag", "dateTime"), column("Naam"),
    ]  # fmt: skip
    connector = open_site(fake, list_spec())

    def stands_against(name, mask=Mask.CLEAR):
        return connector.problems(DATASET, fields_due(FieldChange(name, mask)))

    assert all(map(stands_against, ("Nummer", "Som", "Zelf", "Nergens", "createdDateTime")))
    assert stands_against("Keuze", Mask.REDACT)
    assert stands_against("Uniek", Mask.REDACT)
    assert stands_against("Verjaardag", Mask.RANDOM)
    assert not stands_against("Nummer", Mask.REDACT)
    assert not stands_against("Verjaardag", Mask.YEAR)
    assert not stands_against("Naam")


def test_what_is_configured_and_not_there_is_told():
    fake = fill_list(ROWS[:1])
    spec = replace(
        list_spec(options={"flag_column": "Weg"}), subject=("Mail",), key=("Nummer",), data={"name": ("Naam",)}
    )
    assert len(open_site(fake, spec).problems(DATASET)) == 4
    spec = replace(library_spec(), data={"cv": ("*.pdf", "Naam")})
    assert len(open_site(fill_library([]), spec).problems(DATASET)) == 1
    connector = open_site(fill_library([]), library_spec())
    assert connector.problems(DATASET, fields_due(FieldChange("*.pdf")))


def test_a_flag_is_shown_in_a_column_once():
    for fake, spec in ((fill_list(ROWS), list_spec(options={"flag_column": "ropa", "flag_value": "te wissen"})),
                       (fill_library(ROWS), library_spec(options={"flag_column": "ropa"}))):  # fmt: skip
        connector = open_site(fake, spec, batch_size=100)
        for _ in range(2):
            batch = planned(connector)
            assert set(words(connector.act(due(), batch, Action.FLAG))) == {OutcomeWord.FLAGGED}
        assert Counter(part[0] for part in fake.parts)["PATCH"] == len(ROWS)
        items = fake.lists[LIST_ID].items or fake.files
        assert {items[row.id].fields["ropa"] for row in ROWS} == {spec.options.get("flag_value", "ropa")}


def test_without_a_column_a_flag_changes_nothing_and_says_who_is_held():
    fake = fill_list(ROWS[:2])
    connector = open_site(fake, list_spec())
    batch = planned(connector)
    held = due(spare=Spare(keys={DATASET: frozenset({("902",)})}))
    assert words(connector.act(held, batch, Action.FLAG)) == [OutcomeWord.FLAGGED, OutcomeWord.HELD]
    assert not [part for part in fake.parts if part[0] != "GET"]


# --- items that belong together ------------------------------------------------------------------------------------


def with_children(connector, *keys):
    batch = planned(connector, keys=tuple((key,) for key in keys))
    parents = (DATASET, tuple((key,) for key in keys))
    riders = [
        r for b in connector.find(due(dataset=CHILDREN, anchors=(), before=(), parents=parents)) for r in b.records
    ]
    return replace(batch, companions=(Batch.of(CHILDREN, riders),))


def test_children_go_first_and_a_parent_stays_whose_child_stays():
    fake = fill_list(ROWS[:2], [Row("801", parent="901"), Row("802", parent="902")])
    connector = rest_site(fake, list_spec(), child_spec())
    batch = with_children(connector, "901", "902")
    next(one for one in fake.lists.values() if "801" in one.items).items["801"].status = 423
    outcomes = connector.act(due(), batch, Action.PURGE)
    assert told(outcomes) == [
        (OutcomeWord.BLOCKED, "child-stays"), (OutcomeWord.PURGED, None),
        (OutcomeWord.FAILED, "locked"), (OutcomeWord.PURGED, None),
    ]  # fmt: skip
    assert list(fake.removed) == ["802", "902"]
    assert found_keys(connector, due()) == [("901",)]


# --- privacy -------------------------------------------------------------------------------------------------------


def test_nothing_of_a_record_no_secret_and_no_query_reaches_a_log_or_an_error(caplog):
    caplog.set_level(logging.DEBUG)
    fake = fill_list([Row("901", person="zoe@example.org")])
    connector = open_site(fake, list_spec())
    batch = planned(connector)
    fake.lists[LIST_ID].items["901"].status = 409
    outcomes = connector.act(due(), batch, Action.PURGE)
    fake.answers["GET", "/items"] = [(500, {}, {"error": {"code": "x", "message": CANARY}})]
    with pytest.raises(LocationError) as caught:
        list(connector.find(due()))
    said = caplog.text + repr(outcomes) + str(caught.value) + repr(caught.value) + str(caught.value.next_step)
    said += repr(connector) + repr(batch)
    for unwanted in (CANARY, "zoe@example.org", "secret-canary-1c2d", "$select", "$expand", "e30."):
        assert unwanted not in said


def test_a_token_that_is_refused_is_renewed_once():
    fake = fill_list(ROWS[:1])
    fake.answers["GET", "/items"] = [(401, {}, {"error": {"code": "InvalidAuthenticationToken"}})]
    connector = open_site(fake, list_spec())
    assert found_keys(connector, due()) == [("901",)]
    assert len(fake.tokens) == 2
    fake.answers["GET", "/items"] = [(401, {}, {"error": {}})] * 2
    with pytest.raises(LocationError) as caught:
        list(connector.find(due()))
    assert caught.value.code == "unauthenticated"


def test_what_a_person_has_there_is_read_whole():
    fake = fill_library([Row("901", person="Zoé Peeters"), Row("902", person="Anna")])
    fake.files["903"] = Item("903", {"Nota": "x"}, name="CV zoé peeters 2020.pdf")
    connector = open_site(fake, library_spec(subject=("Kandidaat", "name")))
    records = list(connector.read(DATASET, "ZOÉ peeters"))
    assert [record.key for record in records] == [("901",), ("903",)]
    assert records[0].values["Nota"] == CANARY
    assert records[0].values["name"] == "CV 901.pdf"


def test_many_records_are_looked_at_by_listing_where_that_takes_fewer_requests_and_one_by_one_where_not():
    rows = [Row(str(number)) for number in range(1001, 1101)]
    for page, is_listed in ((200, True), (20, False)):
        fake = fill_list([*rows, Row("2000", None)])
        fake.page = page
        connector = open_site(fake, list_spec(), batch_size=100)
        batch = planned(connector)
        fake.lists[LIST_ID].items["1002"].touch()
        del fake.lists[LIST_ID].items["1003"]
        fake.log.clear()
        outcomes = connector.act(due(), batch, Action.PURGE)
        assert words(outcomes)[:4] == [
            OutcomeWord.RECOVERABLE,
            OutcomeWord.CHANGED,
            OutcomeWord.ABSENT,
            OutcomeWord.RECOVERABLE,
        ]
        assert Counter(words(outcomes))[OutcomeWord.RECOVERABLE] == 98
        batches = sum(path.endswith("$batch") for _, path in fake.log)
        reads = {path for method, path, _, _ in fake.parts if method == "GET" and "/items/" in path}
        assert len(reads) == (1 if is_listed else 100)
        assert batches == (5 + 1 if is_listed else 10)


def test_a_record_that_cannot_be_read_by_itself_has_its_own_outcome_and_the_rest_goes():
    for fake, spec in ((fill_list(ROWS), list_spec()), (fill_library(ROWS), library_spec())):
        connector = open_site(fake, spec, batch_size=100)
        batch = planned(connector)
        refused = (403, {}, {"error": {"code": "accessDenied", "message": "No."}})
        fake.parts_told["GET", "items/902"] = [refused] * 2
        fake.parts_told["GET", "items/903"] = [(423, {}, {"error": {"code": "locked"}})]
        outcomes = connector.act(due(), batch, Action.PURGE)
        assert told(outcomes)[1:3] == [(OutcomeWord.REFUSED, "hold-or-permission"), (OutcomeWord.FAILED, "locked")]
        assert len(fake.removed) == 3
        assert connector.remaining(due(), batch) == {("902",), ("903",)}


def test_a_file_of_two_datasets_is_blocked():
    fake = fill_library(ROWS[:2])
    fake.files["903"] = Item("903", name="brief.docx")
    other = replace(library_spec(), name="other", data={"correspondence": ("*902*", "*.docx")})
    connector = open_site(fake, library_spec(), other, batch_size=100)
    batch = planned(connector)
    assert [(found.key, found.obstacle) for found in batch.records] == [(("901",), None), (("902",), "two-datasets")]
    assert told(connector.act(due(), batch, Action.PURGE)) == [
        (OutcomeWord.PURGED, None), (OutcomeWord.BLOCKED, "two-datasets"),
    ]  # fmt: skip


def test_a_label_that_cannot_be_read_of_one_file_blocks_that_file():
    fake = fill_library(ROWS[:2])
    fake.parts_told["GET", "902/retentionLabel"] = [(400, {}, {"error": {"code": "notSupported"}})] * 2
    connector = open_site(fake, library_spec(), batch_size=100)
    batch = planned(connector)
    assert [(found.is_spared, found.obstacle) for found in batch.records] == [
        (False, None),
        (False, "label-unreadable"),
    ]
    assert told(connector.act(due(), batch, Action.PURGE))[1] == (OutcomeWord.BLOCKED, "label-unreadable")


def test_a_notebook_is_blocked_because_it_holds_more_than_one_document():
    fake = fill_library(ROWS[:2])
    original = fake._file
    fake._file = lambda item, *more, **others: (
        original(item, *more, **others) | ({"package": {"type": "oneNote"}} if item.id == "902" else {})
    )
    connector = open_site(fake, library_spec(), batch_size=100)
    batch = planned(connector)
    assert [found.obstacle for found in batch.records] == [None, "package"]
    assert told(connector.act(due(), batch, Action.PURGE))[1] == (OutcomeWord.BLOCKED, "package")


def test_a_column_of_several_values_never_counts_as_empty():
    fake = fill_list(ROWS[:2])
    own = fake.lists[LIST_ID]
    own.columns.append(column("Talen", "choice", facet={"choices": ["nl", "fr"]}))
    own.items["901"].fields["Talen"], own.items["902"].fields["Talen"] = ["nl", "fr"], []
    connector = open_site(fake, list_spec())
    selection = fields_due(FieldChange("Talen"))
    batch = planned(connector, fields=selection.fields)
    assert batch.keys == [("901",)]
    assert words(connector.act(selection, batch, Action.ANONYMISE)) == [OutcomeWord.ANONYMISED]
    assert own.items["901"].fields["Talen"] is None
    assert connector.remaining(selection, batch) == set()


def test_a_person_column_cannot_identify_a_person():
    fake = fill_list(ROWS[:1])
    fake.lists[LIST_ID].columns.append(column("Beheerder", "personOrGroup"))
    spec = replace(list_spec(), subject=("Beheerder",))
    assert any("Beheerder" in problem for problem in open_site(fake, spec).problems(DATASET))


def test_an_item_without_a_version_does_not_go_by_sharepoints_own_interface():
    fake = fill_list(ROWS[:1])
    original = fake._list_item
    fake._list_item = lambda item, query: original(item, query) | {"eTag": '"odd"'}
    connector = rest_site(fake, list_spec())
    assert told(connector.act(due(), planned(connector), Action.PURGE)) == [(OutcomeWord.FAILED, "no-version")]
    assert not fake.removed


def test_what_was_done_before_the_budget_of_waiting_was_spent_is_told():
    rows = [Row(str(number)) for number in range(1001, 1101)]
    for where in ("GET", "POST"):
        fake = fill_library(rows)
        connector = open_site(fake, library_spec(), batch_size=100)
        batch = planned(connector)
        seen = []

        def throttle(parts, fake=fake, where=where, seen=seen):
            if parts[0]["method"] == where and not parts[0]["url"].endswith("retentionLabel"):
                seen.append(1)
            if len(seen) == 3:
                fake.answers["POST", "/$batch"] = [(429, {"Retry-After": "9999"}, {"error": {"code": "x"}})] * 99

        fake.before_batch = throttle
        outcomes = connector.act(due(), batch, Action.PURGE)
        counts = Counter(told(outcomes))
        assert set(counts) <= {(OutcomeWord.PURGED, None), (OutcomeWord.FAILED, "throttled")}
        assert counts[OutcomeWord.PURGED, None] == len(fake.removed) > 0 or where == "GET"
        assert counts[OutcomeWord.FAILED, "throttled"] >= 20
