"""How mail and contacts go: each part's own answer is one outcome, none is lost and none counted twice."""

from __future__ import annotations

from collections import Counter
from datetime import date

import httpx
import pytest
from outlook_graph import CANARY, INFO, NOW, SALES, Graph, days_ago, drained, due, fault, opened

from connectors.microsoft365 import graph_batch, http, pace
from connectors.microsoft365.outlook import reading
from ropa.connector import (
    Action,
    Batch,
    Condition,
    FieldChange,
    Mask,
    Outcome,
    OutcomeWord,
    Record,
    Selection,
    Spare,
)
from ropa.errors import LocationError

PURGED, RECOVERABLE, ABSENT = OutcomeWord.PURGED, OutcomeWord.RECOVERABLE, OutcomeWord.ABSENT
CHANGED, REFUSED, FAILED = OutcomeWord.CHANGED, OutcomeWord.REFUSED, OutcomeWord.FAILED


@pytest.fixture
def slept(monkeypatch):
    told, ahead = [], [0.0]
    monkeypatch.setattr(pace.clock, "monotonic", lambda: ahead[0])
    monkeypatch.setattr(
        http.time, "sleep", lambda seconds: (told.append(seconds), ahead.__setitem__(0, ahead[0] + seconds))
    )
    return told


def filled(count=50, **more):
    graph = Graph(**more)
    for number in range(count):
        graph.add(f"m{number:03}", days_ago(1000), subject=CANARY)
    return graph


def only(connector, selection=None):
    (batch,) = drained(connector.find(selection or due()))[0]
    return batch


def told(outcomes):
    return Counter(f"{one.word}:{one.code}" if one.code else str(one.word) for one in outcomes)


def purge(graph, selection=None, **options):
    connector = opened(graph, **options)
    batch = only(connector, selection)
    graph.log.clear()
    graph.parts.clear()
    return connector, batch, connector.act(selection or due(), batch, Action.PURGE)


def test_twenty_go_in_each_request_and_one_reads_back():
    graph = filled(50)
    connector, batch, outcomes = purge(graph)
    assert told(outcomes) == {"purged": 50}
    assert graph.log == [("POST", "$batch")] * 3
    assert {method for method, _ in graph.parts} == {"POST"}
    graph.log.clear()
    assert connector.remaining(due(), batch) == set()
    assert graph.log == [("POST", "$batch")]
    assert graph.ids() == []


def test_ten_thousand_messages_take_510_requests_and_five_to_read_back():
    graph = Graph()
    graph.is_checked = False
    for number in range(10_000):
        graph.add(f"m{number:05}", days_ago(1000 + number % 365))
    connector = opened(graph)
    batches, tally = drained(connector.find(due()))
    outcomes = Counter(one.word for batch in batches for one in connector.act(due(), batch, Action.PURGE))
    assert (outcomes, tally.population, len(graph.log)) == ({PURGED: 10_000}, 10_000, 510)
    assert not any(connector.remaining(due(), batch) for batch in batches)
    assert len(graph.log) == 515
    assert graph.most_at_once <= 4


def test_the_deletion_is_addressed_through_the_planned_folder_so_a_moved_message_stays():
    graph = filled(3)
    connector = opened(graph, "messages:inbox")
    batch = only(connector)
    graph.touch("m001", parentFolderId="f-cv")
    assert told(connector.act(due(), batch, Action.PURGE)) == {"purged": 2, "absent": 1}
    assert graph.ids() == ["m001"]
    assert all("/mailFolders/f-inbox/messages/" in url for method, url in graph.parts if method == "POST")


def test_what_is_moved_can_be_brought_back_until_a_day_where_that_is_configured(monkeypatch):
    monkeypatch.setattr("connectors.microsoft365.outlook.location.now", lambda: NOW)
    _, _, outcomes = purge(filled(1), removal="deleted-items", recoverable_days=14)
    assert list(outcomes) == [Outcome((INFO, "m000"), RECOVERABLE, until=date(2026, 12, 6))]
    graph = filled(2)
    connector, batch, outcomes = purge(graph, removal="deleted-items")
    assert [(one.word, one.until) for one in outcomes] == [(RECOVERABLE, None)] * 2
    assert {method for method, _ in graph.parts} == {"DELETE"}
    assert connector.remaining(due(), batch) == set()
    assert told(connector.act(due(), batch, Action.PURGE)) == {"absent": 2}
    assert connector.settle("items") == connector.finish("items") == "logical"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "accessDenied", "refused"),
        (403, "ErrorAccessDenied", "refused"),
        (412, "ErrorIrresolvableConflict", "changed"),
        (423, "accessDenied", "failed:locked"),
        (424, "failedDependency", "failed:dependency"),
        (500, "ErrorInternalServerError", "failed:errorinternalservererror"),
        (400, f"Bad {CANARY * 9}!", f"failed:{f'bad-{CANARY * 9}'[:32]}"),
        (404, "ErrorItemNotFound", "failed:not-found"),
    ],
)
def test_each_part_has_its_own_outcome(status, code, expected):
    graph = filled(50)
    graph.instead = lambda method, url: fault(status, code) if method == "POST" and "m007" in url else None
    _, _, outcomes = purge(graph)
    assert told(outcomes) == {"purged": 49, expected: 1}
    assert graph.ids() == ["m007"]


def test_parts_that_must_wait_are_sent_again_alone(slept):
    graph = filled(50)
    left = [3]

    def instead(method, url):
        if method == "POST" and "m007" in url and left[0]:
            left[0] -= 1
            return 429, {"Retry-After": "5"}, {"error": {"code": "ApplicationThrottled", "message": ""}}
        return None

    graph.instead = instead
    _, _, outcomes = purge(graph)
    assert told(outcomes) == {"purged": 50}
    assert Counter("m007" in url for method, url in graph.parts if method == "POST") == {True: 4, False: 49}
    assert sum(slept) >= 15


def test_parts_told_to_wait_beyond_the_budget_fail_and_the_others_do_not(slept):
    graph = filled(30)
    graph.instead = lambda method, url: (
        (429, {"Retry-After": "500"}, None) if method == "POST" and "m007" in url else None
    )
    _, _, outcomes = purge(graph, max_wait=60)
    assert told(outcomes) == {"purged": 29, "failed:throttled": 1}


def test_a_lost_answer_is_asked_for_and_neither_lost_nor_done_twice(slept):
    """The service did it, but nobody was told; or the request never arrived."""
    for name in ("after", "before"):
        graph = filled(50)
        lost = [None, httpx.ReadTimeout("x")]
        connector = opened(graph)
        batch = only(connector)
        setattr(graph, name, lambda method, path, lost=lost: lost.pop() if path == "$batch" and lost else None)
        assert told(connector.act(due(), batch, Action.PURGE)) == {"purged": 50}, name
        assert graph.ids() == []
    graph = filled(50)
    connector = opened(graph)
    batch = only(connector)
    graph.after = lambda _method, path: (
        httpx.ReadTimeout("x") if len([p for p in graph.log if p[1] == path]) % 2 == 0 else None
    )
    assert told(connector.act(due(), batch, Action.PURGE)) == {"purged": 50}


def test_a_part_that_is_never_answered_fails():
    graph = filled(25)
    connector = opened(graph)
    batch = only(connector)
    taken = graph._answer
    graph._answer = lambda method, url, body: (
        (0, {}, None) if method == "POST" and "m007" in url else taken(method, url, body)
    )
    assert told(connector.act(due(), batch, Action.PURGE)) == {"purged": 24, "failed:no-answer": 1}


def test_what_was_told_before_the_service_closed_stays_told():
    graph = filled(50)
    connector = opened(graph)
    batch = only(connector)
    graph.log.clear()
    graph.before = lambda _method, _path: (
        httpx.Response(403, json={"error": {"code": "x"}}) if len(graph.log) > 1 else None
    )
    assert told(connector.act(due(), batch, Action.PURGE)) == {"purged": 20, "failed:denied": 30}
    with pytest.raises(LocationError):
        connector.act(due(), batch, Action.PURGE)


def test_a_run_that_was_killed_between_requests_is_repeated_without_harm(monkeypatch):
    graph = filled(50)
    connector = opened(graph)
    batch = only(connector)
    real, calls = graph_batch._send_once, []

    def killed(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(graph_batch, "_send_once", killed)
        with pytest.raises(KeyboardInterrupt):
            connector.act(due(), batch, Action.PURGE)
    assert len(graph.ids()) == 30
    assert told(connector.act(due(), batch, Action.PURGE)) == {"absent": 20, "purged": 30}
    assert told(connector.act(due(), batch, Action.PURGE)) == {"absent": 50}


def test_with_conditions_or_persons_or_recheck_a_message_touched_since_stays():
    match = due(match=(Condition("isRead", (True,)),))
    for selection, options in (
        (match, {}),
        (due(spare=Spare(subjects=frozenset({"zoe@example.org"}))), {"subject": ("from", "toRecipients")}),
        (due(), {"recheck": True}),
    ):
        graph = Graph()
        for number in range(3):
            graph.add(f"m{number}", days_ago(999), isRead=True)
        connector = opened(graph, **options)
        batch = only(connector, selection)
        graph.touch("m1", subject="another")
        assert told(connector.act(selection, batch, Action.PURGE)) == {"purged": 2, "changed": 1}


def test_a_message_to_or_from_a_held_person_stays():
    graph = filled(3)
    graph.touch(
        "m001",
        toRecipients=[{"emailAddress": {"address": "x@example.org"}}, {"emailAddress": {"address": "Zoe@Example.org"}}],
    )
    connector = opened(graph, subject=("from", "toRecipients"))
    batch = only(connector)
    held = due(spare=Spare(subjects=frozenset({"zoe@example.org"})))
    assert [found.is_spared for found in only(connector, held).records] == [False, True, False]
    assert told(connector.act(held, batch, Action.PURGE)) == {"purged": 2, "held": 1}


def test_contacts_are_listed_just_before_and_go_only_as_they_were():
    graph = Graph(page=3)
    for number in range(9):
        graph.add(f"c{number}", days_ago(999), folder=["c-", "c-klanten", "c-oud"][number % 3])
    connector = opened(graph, "contacts")
    batch = only(connector, due("created"))
    graph.touch("c4", companyName="new")
    graph.touch("c5", parentFolderId="c-")
    del graph.mailboxes[INFO].items["contacts"]["c6"]
    outcomes = connector.act(due("created"), batch, Action.PURGE)
    assert told(outcomes) == {"purged": 6, "changed": 2, "absent": 1}
    assert graph.ids("contacts") == ["c4", "c5"]
    assert connector.remaining(due("created"), batch) == {(INFO, "c4"), (INFO, "c5")}


def test_only_configured_mailboxes_are_touched():
    graph = Graph(INFO, SALES)
    graph.add("a", days_ago(999))
    graph.add("b", days_ago(999), mailbox=SALES)
    batch = only(opened(graph))
    graph.parts.clear()
    narrow = opened(graph, mailboxes=[INFO])
    assert told(narrow.act(due(), batch, Action.PURGE)) == {"purged": 1, "refused": 1}
    assert graph.ids(mailbox=SALES) == ["b"]


def test_other_credentials_may_act():
    graph = filled(2)
    graph.roles = ("Mail.ReadWrite",)
    connector = opened(graph, apply={"client_id": "another", "client_secret": "t0p"})
    assert told(connector.act(due(), only(connector), Action.PURGE)) == {"purged": 2}
    assert connector._applying is not connector._planning


# --- fields and marks ---------------------------------------------------------------------------------------------

FIELDS = (
    FieldChange("birthday"),
    FieldChange("mobilePhone"),
    FieldChange("homeAddress"),
    FieldChange("emailAddresses"),
)


def test_columns_of_contacts_are_cleared_and_the_rest_stays():
    graph = Graph()
    graph.add("c1", days_ago(999), folder="c-", displayName="Zoé", birthday="1970-05-05T11:59:00Z", mobilePhone="+32 1",
              personalNotes=CANARY, homeAddress={"city": "Gent"}, emailAddresses=[{"address": "z@example.org"}])  # fmt: skip
    graph.add("c2", days_ago(999), folder="c-", displayName="Anna")
    connector = opened(graph, "contacts")
    selection = due("created", fields=(*FIELDS, FieldChange("personalNotes", Mask.REDACT)))
    assert connector.problems("items", selection) == []
    batch = only(connector, selection)
    assert batch.keys == [(INFO, "c1")]
    (outcome,) = connector.act(selection, batch, Action.ANONYMISE)
    item = graph.item("c1")
    assert outcome.word is OutcomeWord.ANONYMISED
    assert outcome.version == f"|c-|{item['changeKey']}"
    assert (item["displayName"], item["birthday"], item["mobilePhone"]) == ("Zoé", None, None)
    assert (item["homeAddress"], item["emailAddresses"], item["personalNotes"]) == ({}, [], "[redacted]")
    assert connector.remaining(selection, batch) == set()
    assert told(connector.act(selection, batch, Action.ANONYMISE)) == {"absent": 1}


def test_a_change_whose_answer_was_lost_is_told_as_done_when_it_is_seen():
    graph = Graph()
    graph.add("c1", days_ago(999), folder="c-", mobilePhone="+32 1")
    connector = opened(graph, "contacts")
    selection = due("created", fields=(FieldChange("mobilePhone"),))
    batch = only(connector, selection)
    graph.after = lambda _method, path: httpx.ReadTimeout("x") if path == "$batch" else None
    (outcome,) = connector.act(selection, batch, Action.ANONYMISE)
    assert (outcome.word, outcome.version) == (OutcomeWord.ANONYMISED, f"|c-|{graph.item('c1')['changeKey']}")


def test_what_cannot_be_changed_is_a_problem_and_refused():
    for source, fields in (
        ("messages", (FieldChange("subject"),)),
        ("contacts", (FieldChange("birthday", Mask.YEAR),)),
        ("contacts", (FieldChange("categories"),)),
    ):
        graph = Graph()
        graph.add(
            "x",
            days_ago(999),
            folder="c-" if source == "contacts" else "f-inbox",
            subject="s",
            birthday="1970-05-05T11:59:00Z",
        )
        connector = opened(graph, source)
        anchor = "created" if source == "contacts" else "received"
        batch = only(connector, due(anchor))
        assert connector.problems("items", due(anchor, fields=fields))
        assert told(connector.act(due(anchor, fields=fields), batch, Action.ANONYMISE)) == {"refused": 1}
        assert told(connector.act(due(anchor), batch, Action.KEEP)) == {"refused": 1}
    riders = Batch.of("items", (), (batch,))
    assert told(connector.act(due("created"), riders, Action.PURGE)) == {"refused": 1}


def test_flagging_marks_in_the_mailbox_where_a_category_is_configured():
    graph = filled(3)
    graph.touch("m000", categories=["Rood"])
    connector = opened(graph, flag_category="Te wissen")
    batch = only(connector)
    graph.touch("m002", parentFolderId="f-sent")
    assert told(connector.act(due(), batch, Action.FLAG)) == {"flagged": 2, "changed": 1}
    assert [graph.item(number)["categories"] for number in graph.ids()] == [["Rood", "Te wissen"], ["Te wissen"], []]
    graph.parts.clear()
    assert told(connector.act(due(), only(connector), Action.FLAG)) == {"flagged": 3}
    assert [method for method, _ in graph.parts].count("PATCH") == 1, "a mark is set once"


def test_flagging_without_a_category_changes_nothing():
    graph = filled(3)
    connector = opened(graph)
    batch = only(connector)
    graph.parts.clear()
    held = due(spare=Spare(keys={"items": frozenset({(INFO, "m001")})}))
    assert told(connector.act(held, batch, Action.FLAG)) == {"flagged": 2, "held": 1}
    assert {method for method, _ in graph.parts} <= {"GET"}


# --- looking ------------------------------------------------------------------------------------------------------


def test_check_says_what_is_missing_and_what_is_too_much():
    graph = filled(1)
    for roles, may_delete, parts in (
        (("Mail.ReadWrite",), True, ["Mail.ReadWrite reach every mailbox"]),
        (
            ("Mail.Read", "Directory.Read.All"),
            None,
            ["does not name Mail.ReadWrite", "more is granted than is needed: Directory.Read.All"],
        ),
        ((), None, ["RBAC for Applications"]),
    ):
        graph.roles = roles
        health = opened(graph).check()
        assert (health.is_reachable, health.may_read, health.may_delete, health.now) == (True, True, may_delete, NOW)
        assert health.planning_may_delete is may_delete
        said = " ".join(health.notes)
        assert all(part in said for part in parts), said
    graph.instead = lambda _method, _url: fault(403, "ErrorAccessDenied")
    health = opened(graph).check()
    assert health.may_read is False
    assert "mailboxes[0]: messages cannot be read (403 erroraccessdenied)" in health.notes
    assert INFO not in repr(health)


def test_folders_that_no_dataset_covers_are_discovered():
    graph = filled(1)
    listed = {info.source: info.declared_as for info in opened(graph, "messages:inbox", subfolders=True).datasets()}
    assert listed == {
        "messages:inbox": "items",
        "messages:Verzonden items": None,
        "messages:Verwijderde items": None,
        "contacts": None,
        "contacts:Klanten": None,
        "contacts:Klanten/Oud": None,
    }
    assert [info.source for info in opened(graph).datasets()][:2] == ["messages", "contacts"]
    shown = []
    for source in ("messages:Inbox", "messages:Postvak IN", "messages:Nergens", "nonsense"):
        opened(graph).inspect(source, lambda column, text: shown.append((column, text)), limit=5)
    assert Counter(shown)["subject", CANARY] == 2


def test_a_persons_mail_is_read_with_its_content():
    graph = filled(2)
    graph.touch(
        "m001",
        **{"from": {"emailAddress": {"address": "Zoe@example.org"}}},
        body={"contentType": "text", "content": CANARY},
    )
    connector = opened(graph, subject=("from",))
    (record,) = connector.read("items", "zoe@example.org")
    assert isinstance(record, Record)
    assert (record.key, record.values["body"], record.values["from"]) == ((INFO, "m001"), CANARY, "Zoe@example.org")


def test_reading_back_does_not_trust_a_filter_that_answers_nothing():
    graph = filled(30)
    connector = opened(graph)
    batch = only(connector)
    graph.changed = lambda url, body: {"value": [], "@odata.count": 0} if "$filter" in url else body
    assert len(connector.remaining(due(), batch)) == 30
    bare = Selection("items", due().zone, NOW, check_anchors=False)
    assert len(connector.remaining(bare, Batch("items", batch.keys))) == 30


@pytest.mark.parametrize("source", ["messages", "messages:inbox", "messages:/Postvak IN"])
def test_few_messages_among_very_many_are_asked_for_one_by_one(source, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_LISTED", 0)
    monkeypatch.setattr(reading, "PAGE", 10)
    graph = filled(45)
    for number in range(90):
        graph.add(f"x{number:03}", days_ago(1000))
    connector = opened(graph, source)
    (batch,) = drained(connector.find(due(keys=tuple((INFO, f"m{number:03}") for number in range(45)))))[0]
    assert len(batch) == 45
    graph.touch("m001", parentFolderId="f-sent")
    del graph.mailboxes[INFO].items["messages"]["m002"]
    graph.parts.clear()
    there = connector.remaining(due(), batch)
    assert len([url for _, url in graph.parts if "/messages/m" in url]) == 45
    assert (INFO, "m002") not in there
    assert ((INFO, "m001") in there) is (source == "messages")
    assert len(there) == (44 if source == "messages" else 43)


def test_one_message_is_explained_without_listing_the_mailbox():
    graph = filled(45)
    connector = opened(graph)
    graph.log.clear()
    found = only(connector, due(keys=((INFO, "m007"), (INFO, "gone"), ("x", "y", "z")), before=(), check_anchors=False))
    assert found.keys == [(INFO, "m007")]
    assert graph.log == [("POST", "$batch")]
