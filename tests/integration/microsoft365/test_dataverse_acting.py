"""Acting on Dataverse: what each answer becomes, what is asked when none came, what stays behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from dataverse_fake import Dataverse, Refusal, guid

from ropa.clock import calendar_day, start_of_day
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Batch,
    Before,
    Condition,
    DatasetSpec,
    FieldChange,
    Mask,
    OutcomeWord,
    Parent,
    Selection,
    Spare,
)
from ropa.errors import LocationError

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
DAY = date(2026, 5, 21)
OLD = "2020-02-03T10:00:00Z"
W = OutcomeWord
CONTACTS = DatasetSpec(
    "contacts",
    "contact",
    ZONE,
    subject=("emailaddress1",),
    anchors={"created": Anchor("created", (AnchorPart("createdon"),))},
    options={"flag_column": "marked", "flag_value": True},
)
NOTES = DatasetSpec("notes", "annotation", ZONE, parent=Parent("contacts", ("objectid",), with_parent=True))


def due(**more):
    cut_off = (Before("created", DAY, start_of_day(DAY, ZONE)),)
    return replace(Selection("contacts", ZONE, NOW, before=cut_off, anchors=("created",)), **more)


@pytest.fixture
def place():
    place = Dataverse()
    place.table("contact", {"emailaddress1": "String", "fullname": "String", "birthdate": "DateOnly", "born": "UserLocal",
                            "ip": "String", "marked": "Boolean", "number": "Integer"}, is_audited=True)  # fmt: skip
    place.tables["contact"].fixed.add("fullname")
    place.table("annotation", {"documentbody": "Memo", "objectid": "Lookup"}, is_audited=True)
    place.table("deleteditemreference", {"deletedobject": "Lookup"})
    place.link("annotation", "objectid", "contact", "Cascade")
    return place


def fill(place, count, **values):
    for number in range(1, count + 1):
        place.add(
            "contact", contactid=guid(number), **{"createdon": OLD, "emailaddress1": f"p{number}@example.org"} | values
        )


def opened(place, datasets=(CONTACTS, NOTES), **options):
    given = {"parts_per_batch": 2, "at_once": 3, "delete_history": False} | options
    return place.location({dataset.name: dataset for dataset in datasets}, batch_size=100, **given)


def only(location, selection):
    (batch,) = location.find(selection)
    return batch


def told(outcomes):
    return [(o.word, o.code) for o in outcomes]


def purge(location, selection=None):
    selection = selection or due()
    return location.act(selection, only(location, selection), Action.PURGE)


def on(number, answer, times=1):
    """Answer so many requests for one row with something else."""
    left = [times]

    def fault(method, url):
        if method in {"DELETE", "PATCH"} and guid(number) in url and left[0]:
            left[0] -= 1
            return answer
        return None

    return fault


# --- answers ------------------------------------------------------------------------------------------------------


def test_each_answer_becomes_its_own_outcome(place):
    fill(place, 9)
    location = opened(place)
    batch = only(location, due())
    for number, answer in {
        2: Refusal(412, "0x80060882"),
        3: Refusal(404, "0x80040217"),
        4: Refusal(403, "0x80040220"),
        5: Refusal(405, "0x80040227"),
        6: Refusal(423, "Locked!"),
        7: Refusal(424, "FailedDependency"),
        8: Refusal(500, "0x80040216"),
    }.items():
        place.part_faults.append(on(number, answer))
    assert told(location.act(due(), batch, Action.PURGE)) == [
        (W.PURGED, None),
        (W.CHANGED, None),
        (W.ABSENT, None),
        (W.REFUSED, None),
        (W.BLOCKED, "referenced"),
        (W.FAILED, "locked"),
        (W.FAILED, "faileddependency"),
        (W.FAILED, "0x80040216"),
        (W.PURGED, None),
    ]
    assert sorted(place.tables["contact"].rows) == [guid(n) for n in range(2, 9)]


@pytest.mark.parametrize("code", ["0x80072322", "0x80072321", "0x80072326"])
@pytest.mark.parametrize("after", ["0.02", "0"])
def test_a_part_that_is_told_to_wait_is_sent_again_alone(place, code, after):
    fill(place, 6)
    location = opened(place, parts_per_batch=6)
    place.part_faults += [
        on(3, Refusal(429, code, {"Retry-After": after})),
        on(5, Refusal(429, code, {"Retry-After": after})),
    ]
    after == "0" and setattr(location._applying, "put_off", lambda *_: None)
    assert Counter(told(purge(location))) == {(W.PURGED, None): 6}
    deletions = Counter(url for method, url in place.parts if method == "DELETE")
    assert sorted(deletions.values()) == [1, 1, 1, 1, 2, 2], "what was carried out is never sent again"


def test_a_part_that_must_wait_beyond_the_budget_stays_and_says_so(place):
    fill(place, 3)
    location = opened(place, max_wait=1)
    place.part_faults.append(on(2, Refusal(429, "0x80072322", {"Retry-After": "3600"}), times=9))
    assert told(purge(location)) == [(W.PURGED, None), (W.FAILED, "throttled"), (W.PURGED, None)]


def test_a_whole_batch_beyond_the_budget_stays_while_the_others_go(place):
    fill(place, 4)
    location = opened(place, max_wait=1, at_once=1)
    batch = only(location, due())
    real = place._batch

    def throttled(request):
        if b"DELETE" in request.content and guid(3).encode() in request.content:
            raise Refusal(429, "0x80072322", {"Retry-After": "3600"})
        return real(request)

    place._batch = throttled
    outcomes = told(location.act(due(), batch, Action.PURGE))
    assert outcomes == [(W.PURGED, None)] * 2 + [(W.FAILED, "throttled")] * 2
    assert len(place.tables["contact"].rows) == 2


def test_an_answer_that_was_lost_is_asked_for_before_anything_is_told(place):
    fill(place, 6)
    location = opened(place)
    batch = only(location, due())
    real, place_answer = place._batch, []

    def batch_that_is_lost(request):
        response = real(request)
        if b"DELETE" in request.content and guid(3).encode() in request.content and not place_answer:
            place_answer.append(response)
            raise httpx.ReadError("canary")
        return response

    place._batch = batch_that_is_lost
    assert told(location.act(due(), batch, Action.PURGE)) == [(W.PURGED, None)] * 6
    assert place.tables["contact"].rows == {}
    assert sum(method == "DELETE" for method, _ in place.parts) == 6, "nothing that was carried out is sent again"


def test_a_batch_that_never_arrived_leaves_its_rows_and_says_so(place):
    fill(place, 4)
    location = opened(place, at_once=1)
    batch = only(location, due())
    real = place._batch

    def never(request):
        if b"DELETE" in request.content and guid(1).encode() in request.content:
            raise httpx.WriteError("canary")
        return real(request)

    place._batch = never
    outcomes = told(location.act(due(), batch, Action.PURGE))
    assert outcomes == [(W.FAILED, "no-answer")] * 2 + [(W.PURGED, None)] * 2
    place._batch = real
    assert told(purge(opened(place))) == [(W.PURGED, None)] * 2


def test_a_service_that_stops_at_the_first_error_is_asked_for_the_rest(place):
    fill(place, 6)
    place.stops_at_first_error = True
    location = opened(place, parts_per_batch=6)
    place.part_faults += [on(1, Refusal(403, "x"), 9), on(4, Refusal(412, "0x80060882"), 9)]
    assert [word for word, _ in told(purge(location))] == [W.REFUSED, W.PURGED, W.PURGED, W.CHANGED, W.PURGED, W.PURGED]


def test_a_row_touched_between_looking_and_deleting_stays(place):
    fill(place, 3)
    location = opened(place, parts_per_batch=1, at_once=1)

    def touch(_name, key):
        if key == guid(1):
            place.change("contact", guid(2), emailaddress1="other@example.org")

    place.before_delete = touch
    assert told(purge(location)) == [(W.PURGED, None), (W.CHANGED, None), (W.PURGED, None)]


def test_a_kill_between_batches_and_again_ends_in_the_same_place(place):
    fill(place, 6)
    location = opened(place, at_once=1)
    batch = only(location, due())
    real, sent = place._batch, []

    def killed(request):
        if b"DELETE" in request.content:
            sent.append(1)
            if len(sent) == 2:
                raise KeyboardInterrupt
        return real(request)

    place._batch = killed
    with pytest.raises(KeyboardInterrupt):
        location.act(due(), batch, Action.PURGE)
    assert len(place.tables["contact"].rows) == 4
    place._batch = real
    again = opened(place)
    assert [word for word, _ in told(again.act(due(), batch, Action.PURGE))] == [W.ABSENT] * 2 + [W.PURGED] * 4
    assert again.remaining(due(), batch) == set()


def test_never_more_are_under_way_than_is_allowed(place):
    fill(place, 60)
    place.latency = 0.01
    location = opened(place, parts_per_batch=1, at_once=4)
    assert Counter(told(purge(location))) == {(W.PURGED, None): 60}
    assert 1 < place.most_under_way <= 4


def test_keys_in_capitals_name_the_same_rows(place):
    fill(place, 2)
    location = opened(place)
    batch = only(location, due(keys=((guid(2).upper(),),)))
    assert batch.keys == [(guid(2),)]
    assert told(location.act(due(), replace(batch, keys=[(guid(2).upper(),)]), Action.PURGE)) == [(W.PURGED, None)]
    assert list(place.tables["contact"].rows) == [guid(1)]


# --- what goes together -------------------------------------------------------------------------------------------


def with_riders(location, selection=None):
    selection = selection or due()
    main = only(location, selection)
    parents = ("contacts", tuple(main.keys))
    rest = [
        r for b in location.find(Selection("notes", ZONE, NOW, parents=parents, check_anchors=False)) for r in b.records
    ]
    return replace(main, companions=(Batch.of("notes", rest),))


def test_a_record_and_its_notes_are_one_change_set(place):
    fill(place, 2)
    for number in (11, 12):
        place.add("annotation", annotationid=guid(number), objectid=guid(1), documentbody="canary")
    location = opened(place, parts_per_batch=4)
    outcomes = location.act(due(), with_riders(location), Action.PURGE)
    assert [(o.dataset, o.word) for o in outcomes] == [(None, W.PURGED)] * 2 + [("notes", W.PURGED)] * 2
    deletions = [url.rpartition("/")[2] for method, url in place.parts if method == "DELETE"]
    assert deletions[:3] == [f"annotations({guid(11)})", f"annotations({guid(12)})", f"contacts({guid(1)})"]


def test_a_change_set_that_fails_is_rolled_back_and_nothing_of_it_is_told_to_be_gone(place):
    fill(place, 2)
    place.add("annotation", annotationid=guid(11), objectid=guid(1))
    place.add("annotation", annotationid=guid(12), objectid=guid(2))
    location = opened(place, parts_per_batch=4)
    batch = with_riders(location)
    place.part_faults.append(on(1, Refusal(403, "0x80040220"), 9))
    outcomes = location.act(due(), batch, Action.PURGE)
    assert [(o.key[0], o.word) for o in outcomes] == [
        (guid(1), W.REFUSED),
        (guid(2), W.PURGED),
        (guid(11), W.REFUSED),
        (guid(12), W.PURGED),
    ]
    assert list(place.tables["annotation"].rows) == [guid(11)]


def test_a_note_touched_in_the_very_act_keeps_its_record(place):
    fill(place, 1)
    place.add("annotation", annotationid=guid(11), objectid=guid(1))
    place.add("annotation", annotationid=guid(12), objectid=guid(1))
    location = opened(place, parts_per_batch=4)
    batch = with_riders(location)
    place.part_faults.append(
        lambda method, url: (
            place.change("annotation", guid(12), documentbody="new") if method == "DELETE" and guid(11) in url else None
        )
    )
    outcomes = {o.key[0]: (o.word, o.code) for o in location.act(due(), batch, Action.PURGE)}
    # The change set was undone, and with it what touched the note; what failed is told all the same.
    assert W.PURGED not in {word for word, _ in outcomes.values()}
    assert guid(1) in place.tables["contact"].rows
    assert len(place.tables["annotation"].rows) == 2


def test_a_lost_answer_to_a_change_set_is_asked_for_too(place):
    fill(place, 1)
    place.add("annotation", annotationid=guid(11), objectid=guid(1))
    location = opened(place, parts_per_batch=4)
    batch = with_riders(location)
    real, lost = place._batch, []

    def once(request):
        response = real(request)
        if b"DELETE" in request.content and not lost:
            lost.append(1)
            raise httpx.ReadError("x")
        return response

    place._batch = once
    assert told(location.act(due(), batch, Action.PURGE)) == [(W.PURGED, None)] * 2


def test_a_row_that_refers_to_another_of_the_batch_goes_before_it(place):
    place.tables["contact"].columns["manager"] = "Lookup"
    place.link("contact", "manager", "contact", "RemoveLink")
    fill(place, 3, manager=None)
    place.change("contact", guid(2), manager=guid(1))
    place.change("contact", guid(3), manager=guid(2))
    location = opened(place)
    assert told(purge(location)) == [(W.PURGED, None)] * 3
    order = [url[-37:-1] for method, url in place.parts if method == "DELETE"]
    assert order == [guid(3), guid(2), guid(1)]


def test_rows_of_tables_that_are_not_declared_block_whatever_the_service_would_do_with_them(place):
    place.table("opportunity", {"customer": "Customer"}, path="opportunities")
    place.table("asyncoperation", {"regarding": "Lookup"})
    for index, on_delete in enumerate(("Cascade", "RemoveLink", "Restrict", "NoCascade")):
        name = f"visit{index}"
        place.table(name, {"who": "Lookup"})
        place.link(name, "who", "contact", on_delete)
        place.add(name, who=guid(index + 1))
    place.link("asyncoperation", "regarding", "contact", "Cascade")
    place.add("asyncoperation", regarding=guid(5))
    fill(place, 5)
    location = opened(place)
    batch = only(location, due())
    assert [[(r.source, r.count) for r in found.referred_by] for found in batch.records] == [
        [("visit0", 1)],
        [("visit1", 1)],
        [("visit2", 1)],
        [],
        [],
    ]
    assert told(location.act(due(), batch, Action.PURGE)) == [(W.BLOCKED, "referenced")] * 3 + [(W.PURGED, None)] * 2


def test_rows_are_not_deleted_where_it_cannot_be_seen_what_goes_with_them(place):
    for index in range(4):
        place.table(f"visit{index}", {"who": "Lookup"})
        place.link(f"visit{index}", "who", "contact", "Cascade" if index == 2 else "Restrict")
    fill(place, 1)
    place.part_faults.append(lambda _m, url: Refusal(403, "0x80040220") if "/visit2s?" in url else None)
    location = opened(place)
    batch = only(location, due())
    assert [found.obstacle for found in batch.records] == ["references-unseen"]
    assert told(location.act(due(), batch, Action.PURGE)) == [(W.BLOCKED, "references-unseen")]


def test_every_activity_is_counted_once(place):
    place.table("activitypointer", {"regarding": "Lookup", "activitytypecode": "String"}, key="activityid")
    place.table("email", {"regarding": "Lookup"}, key="activityid")
    place.table("task", {"regarding": "Lookup"}, key="activityid")
    for child in ("activitypointer", "email", "task"):
        place.link(child, "regarding", "contact", "Cascade")
    for number, kind in ((21, "email"), (22, "task")):
        place.add(kind, activityid=guid(number), regarding=guid(1))
        place.add("activitypointer", activityid=guid(number), regarding=guid(1), activitytypecode=kind)
    fill(place, 1)
    batch = only(opened(place), due())
    assert [(r.source, r.count) for r in batch.records[0].referred_by] == [("activitypointer", 2)]
    mails = DatasetSpec("mails", "email", ZONE)
    batch = only(opened(place, (CONTACTS, NOTES, mails)), due())
    assert [(r.source, r.is_declared, r.count) for r in batch.records[0].referred_by] == [
        ("activitypointer", False, 1),
        ("mails", True, 1),
    ]


# --- holds --------------------------------------------------------------------------------------------------------


def test_a_hold_on_a_person_covers_the_notes_of_its_contact(place):
    fill(place, 2)
    place.add("annotation", annotationid=guid(11), objectid=guid(1))
    place.add("annotation", annotationid=guid(12), objectid=guid(2))
    location = opened(place)
    spare = Spare(subjects=frozenset({"p1@example.org"}))
    selection = Selection("notes", ZONE, NOW, spare=spare)
    assert [found.is_spared for batch in location.find(selection) for found in batch.records] == [True, False]
    (batch,) = location.find(replace(selection, spare=Spare()))
    assert [word for word, _ in told(location.act(selection, batch, Action.PURGE))] == [W.HELD, W.PURGED]


# --- fields -------------------------------------------------------------------------------------------------------


def test_masks_are_written_in_the_columns_own_form_and_the_new_version_is_told(place):
    fill(place, 1, birthdate="1984-05-17", born="1984-05-17T10:11:12Z", ip="192.0.2.77", number=7)
    fields = tuple(
        FieldChange(*pair)
        for pair in [
            ("birthdate", Mask.YEAR),
            ("born", Mask.YEAR),
            ("ip", Mask.TRUNCATE_IP),
            ("emailaddress1", Mask.REDACT),
            ("number",),
        ]
    )
    location, selection = opened(place), due(fields=fields)
    batch = only(location, selection)
    (outcome,) = location.act(selection, batch, Action.ANONYMISE)
    row = place.tables["contact"].rows[guid(1)]
    assert (outcome.word, outcome.version) == (W.ANONYMISED, f'W/"{row["@version"]}"')
    assert (row["birthdate"], row["born"], row["ip"], row["emailaddress1"], row["number"]) == (
        "1984-01-01",
        "1984-01-01T00:00:00Z",
        "192.0.2.0",
        "[redacted]",
        None,
    )
    assert location.remaining(selection, batch) == set()
    assert list(location.find(selection)) == []
    assert only(location, due()).versions == [outcome.version]


def test_the_birth_date_goes_while_name_and_number_stay(place):
    fill(place, 3, birthdate="1984-05-17", number=7)
    selection = due(fields=(FieldChange("birthdate"),))
    location = opened(place)
    assert told(location.act(selection, only(location, selection), Action.ANONYMISE)) == [(W.ANONYMISED, None)] * 3
    assert {(row["birthdate"], row["number"]) for row in place.tables["contact"].rows.values()} == {(None, 7)}
    assert all(method != "PATCH" or "If-Match" for method, _ in place.parts)


def test_a_row_that_is_gone_is_never_made_again_by_changing_its_fields(place):
    fill(place, 2, birthdate="1984-05-17")
    selection = due(fields=(FieldChange("birthdate"),))
    location = opened(place)
    batch = only(location, selection)
    place.part_faults.append(
        lambda method, url: place.tables["contact"].rows.pop(guid(2), None) and None if method == "PATCH" else None
    )
    assert [word for word, _ in told(location.act(selection, batch, Action.ANONYMISE))] == [W.ANONYMISED, W.ABSENT]
    assert list(place.tables["contact"].rows) == [guid(1)]


def test_a_lost_answer_to_a_change_is_read_back(place):
    fill(place, 4, birthdate="1984-05-17")
    selection = due(fields=(FieldChange("birthdate"),))
    location = opened(place, at_once=1)
    batch = only(location, selection)
    real, lost = place._batch, []

    def lossy(request):
        if b"PATCH" in request.content:
            lost.append(1)
            if len(lost) == 1:  # carried out, and its answer lost
                real(request)
            raise httpx.ReadError("x")
        return real(request)

    place._batch = lossy
    assert (
        told(location.act(selection, batch, Action.ANONYMISE))
        == [(W.ANONYMISED, None)] * 2 + [(W.FAILED, "no-answer")] * 2
    )


def test_what_cannot_be_changed_is_said_before_anything_is_planned(place):
    fill(place, 1)
    place.tables["contact"].required.add("number")
    place.tables["contact"].columns["parent"] = "Lookup"
    place.link("contact", "parent", "contact", "NoCascade")
    location = opened(place)
    fields = tuple(map(FieldChange, ("contactid", "fullname", "number", "parent", "gone", "birthdate")))
    problems = location.problems("contacts", due(fields=fields))
    assert len(problems) == 5
    assert [sum(word in p for p in problems) for word in ("contactid", "fullname", "number", "parent", "gone")] == [
        1
    ] * 5


def test_what_is_due_is_marked_in_the_source_where_a_column_for_it_is_named(place):
    fill(place, 3)
    location = opened(place)
    batch = only(location, due())
    place.change("contact", guid(1), number=5)
    held = due(spare=Spare(keys={"contacts": frozenset({(guid(2),)})}))
    assert [word for word, _ in told(location.act(held, batch, Action.FLAG))] == [W.FLAGGED, W.HELD, W.FLAGGED]
    assert [row["marked"] for row in place.tables["contact"].rows.values()] == [True, None, True]
    before = len(place.parts)
    again = location.act(held, only(location, due()), Action.FLAG)
    assert [word for word, _ in told(again)] == [W.FLAGGED, W.HELD, W.FLAGGED]
    assert not any(method == "PATCH" for method, _ in place.parts[before:]), "what is marked is left as it is"
    plain = opened(place, (replace(CONTACTS, options={}), NOTES))
    assert [word for word, _ in told(plain.act(due(), batch, Action.FLAG))] == [W.FLAGGED] * 3


# --- what stays behind --------------------------------------------------------------------------------------------


def test_a_table_that_keeps_deleted_rows_makes_them_recoverable_until_a_day(place):
    fill(place, 1)
    place.add("annotation", annotationid=guid(11), objectid=guid(1))
    place.keep_deleted(20, contact=-1, annotation=7)
    location = opened(place)
    today = calendar_day(NOW, ZONE)
    outcomes = location.act(due(), with_riders(location), Action.PURGE)
    assert [(o.word, o.until) for o in outcomes] == [
        (W.RECOVERABLE, today + timedelta(20)),
        (W.RECOVERABLE, today + timedelta(7)),
    ]
    assert location.remaining(due(), Batch.of("contacts", ())) == set()


def test_a_table_whose_bin_is_switched_off_keeps_nothing(place):
    fill(place, 1)
    place.keep_deleted(20, contact=-1)
    place.configs[1]["statecode"] = 1
    assert told(purge(opened(place))) == [(W.PURGED, None)]


def test_a_bin_that_may_not_be_looked_into_is_taken_for_one_that_keeps_rows(place):
    fill(place, 1)
    place.faults.append(lambda _m, url: Refusal(403, "x") if "recyclebinconfigs" in url else None)
    location = opened(place)
    (outcome,) = purge(location)
    assert (outcome.word, outcome.until) == (W.RECOVERABLE, calendar_day(NOW, ZONE) + timedelta(30))
    assert any("30 days are assumed" in note for note in location.check().notes)


def test_rows_are_taken_out_of_the_bin_where_that_is_asked_for_and_read_back(place):
    fill(place, 5)
    place.keep_deleted(20, contact=-1)
    location = opened(place, purge_recycle_bin=True)
    assert told(purge(location)) == [(W.PURGED, None)] * 5
    assert place.bin["contact"] == {}


def test_rows_that_the_bin_shows_all_the_same_are_recoverable(place):
    fill(place, 2)
    place.keep_deleted(20, contact=-1)
    place.bin_is_deaf = True
    assert [word for word, _ in told(purge(opened(place, purge_recycle_bin=True)))] == [W.RECOVERABLE] * 2


def test_a_bin_that_cannot_be_asked_proves_nothing(place):
    fill(place, 1)
    place.keep_deleted(20, contact=-1)
    place.part_faults.append(lambda _m, url: Refusal(403, "x") if "deleteditemreferences" in url else None)
    assert [word for word, _ in told(purge(opened(place, purge_recycle_bin=True)))] == [W.RECOVERABLE]


def test_audit_history_of_purged_rows_goes_where_the_privilege_is_there(place):
    fill(place, 3)
    place.privileges = {"prvDeleteRecordChangeHistory": "Global"}
    location = opened(place, delete_history="auto")
    place.part_faults.append(on(2, Refusal(403, "x")))
    assert [word for word, _ in told(purge(location))] == [W.PURGED, W.REFUSED, W.PURGED]
    assert place.history_calls == [("contact", guid(1)), ("contact", guid(3))]


def test_without_the_privilege_it_is_said_aloud_that_audit_history_stays(place):
    fill(place, 1)
    place.privileges = {"prvReadContact": "Global"}
    location = opened(place, delete_history="auto")
    assert told(purge(location)) == [(W.PURGED, None)]
    assert place.history_calls == []
    assert any("prvDeleteRecordChangeHistory is missing" in note for note in location.check().notes)
    assert any(
        "prvDeleteRecordChangeHistory" in problem for problem in opened(place, delete_history=True).problems("contacts")
    )


# --- very many at once --------------------------------------------------------------------------------------------


def test_a_bulk_job_deletes_only_what_is_as_it_was_planned_and_tells_each_row(place, monkeypatch):
    monkeypatch.setattr("connectors.microsoft365.dataverse.bulk._LONGEST_LOOK", 0.001)
    monkeypatch.setattr("connectors.microsoft365.dataverse.bulk._FIRST_LOOK", 0.001)
    monkeypatch.setattr("connectors.microsoft365.dataverse.bulk.bulk_delete.__kwdefaults__", {"look": 0.001})
    fill(place, 6)
    place.keep_deleted(20, contact=-1)
    location = opened(place, bulk_delete_over=3, purge_recycle_bin=True)
    batch = only(location, due())
    real = place._bulk

    def meanwhile(body):
        place.change("contact", guid(2), number=5)
        place.add("annotation", objectid=guid(3))
        place.links[0] = ("annotation", "objectid", "contact", "Restrict")
        return real(body)

    place._bulk = meanwhile
    outcomes = told(location.act(due(), batch, Action.PURGE))
    assert outcomes == [(W.PURGED, None), (W.CHANGED, None), (W.BLOCKED, "referenced"), *[(W.PURGED, None)] * 3]
    (job,) = place.jobs.values()
    assert job["body"]["Options"] == {"CanRecoverDeletedRecords": False}
    assert not any(method == "DELETE" and "/contacts(" in url for method, url in place.parts)
    assert place.bin["contact"] == {}


def test_a_bulk_job_that_is_not_over_leaves_what_is_still_there_unverified(place, monkeypatch):
    monkeypatch.setattr("connectors.microsoft365.dataverse.bulk.bulk_delete.__kwdefaults__", {"look": 0.5})
    fill(place, 2)
    location = opened(place, bulk_delete_over=0, max_wait=0.1)
    place._bulk = lambda _body: httpx.Response(200, json={"JobId": guid(77)})
    place.jobs[guid(77)] = {"looks": 99, "failures": {}}
    location._applying.pace.put_off = lambda _seconds: None
    assert told(purge(location)) == [(W.UNVERIFIED, None)] * 2


# --- who we are ---------------------------------------------------------------------------------------------------


def test_check_says_what_is_missing_and_what_is_too_much(place):
    place.privileges = {"prvReadContact": "Local", "prvDeleteContact": "Global", "prvDeleteAccount": "Global"}
    health = opened(place).check()
    assert (health.may_read, health.may_delete, health.identity) == (
        False,
        False,
        "aaaaaaaa-0000-4000-8000-000000000001",
    )
    assert abs(health.now - datetime.now(UTC)) < timedelta(seconds=5)
    notes = "\n".join(health.notes)
    assert "prvReadAnnotation is missing" in notes
    assert "prvReadContact has the depth Local" in notes
    assert "allow more than is needed: prvDeleteAccount" in notes


def test_check_finds_nothing_to_say_where_everything_is_as_it_should_be(place):
    names = [f"prv{kind}{table}" for kind in ("Read", "Write", "Delete") for table in ("Contact", "Annotation")]
    place.privileges = dict.fromkeys([*names, "prvDeleteRecordChangeHistory"], "Global")
    health = opened(place, delete_history="auto").check()
    assert (health.may_read, health.may_delete) == (True, True)
    assert [note for note in health.notes if "fields" not in note] == []


def test_planning_and_applying_sign_in_apart_where_both_are_given(place):
    fill(place, 1)
    place.privileges = {"prvReadContact": "Global", "prvReadAnnotation": "Global", "prvDeleteContact": "Global"}
    location = opened(place, apply={"client_id": "other", "client_secret": "s2"})
    assert place.tokens == 0, "nothing is asked while opening"
    batch = only(location, due())
    assert place.tokens == 1
    assert told(location.act(due(), batch, Action.PURGE)) == [(W.PURGED, None)]
    assert place.tokens == 2
    assert any("planning: its security roles allow more than is needed" in note for note in location.check().notes)
    assert location.check().planning_may_delete is True


def test_an_application_that_plans_and_only_reads_is_told_to_be_so(place):
    fill(place, 1)
    place.privileges = {"prvReadContact": "Global", "prvReadAnnotation": "Global"}
    assert opened(place, apply={"client_id": "other", "client_secret": "s2"}).check().planning_may_delete is False


def test_a_401_is_answered_with_a_new_token_once(place):
    fill(place, 1)
    place.faults.append(lambda _m, _u: Refusal(401, "x") if place.tokens < 2 else None)
    assert told(purge(opened(place))) == [(W.PURGED, None)]
    assert place.tokens == 2
    place.faults.append(lambda _m, _u: Refusal(401, "x"))
    with pytest.raises(LocationError, match="refuses the token"):
        list(opened(place).find(due()))


def test_conditions_hold_for_dates_and_names_as_they_are_spelled(place):
    fill(place, 3, birthdate="1984-05-17")
    place.change("contact", guid(2), emailaddress1="Gent")
    place.change("contact", guid(3), emailaddress1="gent", birthdate=None)
    location = opened(place)

    def found(*conditions):
        return [key[0][-1] for batch in location.find(due(match=conditions)) for key in batch.keys]

    assert found(Condition("emailaddress1", ("gent",))) == ["3"]
    assert found(Condition("emailaddress1", ("gent",), negated=True)) == ["1", "2"]
    assert found(Condition("birthdate", (date(1984, 5, 17),))) == ["1", "2"]
    assert found(Condition("birthdate", ("1984-05-17",))) == ["1", "2"]
    assert found(Condition("contactid", (guid(2).upper(),))) == ["2"]
    assert found(Condition("emailaddress1", ("o'neil", "gent"))) == ["3"]
