"""How mailboxes are listed: whole or not at all, by as few requests as there are pages, and nowhere but where it was opened."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from functools import partial

import httpx
import pytest
from outlook_graph import CANARY, INFO, NOW, SALES, ZONE, Folder, Graph, days_ago, drained, due, fault, located, opened

from connectors.microsoft365 import http, pace, records
from connectors.microsoft365.outlook import reading
from connectors.microsoft365.outlook.sources import Source, parse_source, spell_source
from connectors.microsoft365.records import Sorter
from ropa.connector import Condition, DatasetSpec, Spare, Tally
from ropa.errors import ConfigurationError, IncompleteListingError, LocationError


@pytest.fixture
def slept(monkeypatch):
    """No test waits: what is slept is written down, and the clock put forward."""
    told, ahead = [], [0.0]
    monkeypatch.setattr(pace.clock, "monotonic", lambda: ahead[0])
    monkeypatch.setattr(
        http.time, "sleep", lambda seconds: (told.append(seconds), ahead.__setitem__(0, ahead[0] + seconds))
    )
    return told


def filled(count=25, *, page=10, mailbox=INFO, folder="f-inbox"):
    graph = Graph(page=page)
    for number in range(count):
        graph.add(f"m{number:03}", days_ago(1000 + number), folder=folder, subject=CANARY)
    return graph


def keys(batches):
    return [key for batch in batches for key in batch.keys]


# --- how many requests --------------------------------------------------------------------------------------------


def test_one_request_a_page_tells_the_population_too():
    graph = filled(25)
    graph.add("new", days_ago(3))
    with_future = filled(25)
    with_future.add("new", days_ago(3))
    with_future.add("zz", NOW + timedelta(days=9))
    batches, tally = drained(opened(graph).find(due()))
    assert (len(keys(batches)), tally) == (25, Tally(26, 0))
    assert graph.log == [("POST", "$batch"), *[("GET", f"users/{INFO}/messages")] * 2]
    assert drained(opened(with_future).find(due()))[1] == Tally(27, 1)


def test_a_night_where_nothing_is_due_is_one_request_a_mailbox():
    graph = Graph(INFO, SALES)
    graph.add("a", days_ago(3))
    for source in ("messages", "messages:inbox"):
        graph.log.clear()
        assert drained(opened(graph, source).find(due())) == ([], Tally(1, 0))
        assert graph.log == [("POST", "$batch")] * 2


def test_of_a_message_only_ids_dates_and_what_is_asked_for_is_fetched():
    graph = filled(1)
    drained(opened(graph).find(due()))
    asked = {url.partition("$select=")[2].partition("&")[0] for _, url in graph.parts}
    assert asked == {"id,receivedDateTime,changeKey,parentFolderId", "id"}
    graph.parts.clear()
    drained(opened(graph).find(due(match=(Condition("isRead", (True,)),))))
    assert "isRead" in graph.parts[0][1]


def test_several_mailboxes_are_read_with_at_most_four_requests_at_once():
    names = [f"m{number}@example.org" for number in range(9)]
    graph = Graph(*names, page=10)
    for name in names:
        for number in range(40):
            graph.add(f"{number:03}", days_ago(900), mailbox=name)
    graph.latency = 0.005
    batches, tally = drained(opened(graph, batch_size=50).find(due()))
    assert keys(batches) == sorted((name, f"{number:03}") for name in names for number in range(40))
    assert tally == Tally(360, 0)
    assert 1 < graph.most_at_once <= 4


# --- whole or not at all ------------------------------------------------------------------------------------------


def test_a_page_cut_short_without_a_link_is_followed_by_the_rest():
    graph = filled(25)
    graph.changed = lambda _url, body: {name: value for name, value in body.items() if name != "@odata.nextLink"}
    assert len(keys(drained(opened(graph).find(due()))[0])) == 25


def test_a_relative_link_and_a_link_of_a_query_alone_are_followed():
    for spell in (
        lambda link: link.removeprefix("https://graph.microsoft.com/v1.0/"),
        lambda link: "?" + link.partition("?")[2],
    ):
        graph = filled(25)
        graph.changed = lambda _url, body, spell=spell: (
            body | ({"@odata.nextLink": spell(body["@odata.nextLink"])} if "@odata.nextLink" in body else {})
        )
        assert len(keys(drained(opened(graph).find(due()))[0])) == 25


def test_an_empty_last_page_and_a_page_that_repeats_ids_change_nothing():
    graph = filled(25)

    def repeat(url, body):
        if "$skip=20" in url and "again" not in url:
            return body | {
                "@odata.nextLink": f"https://graph.microsoft.com/v1.0/{url}&again=1".replace("$skip=20", "$skip=5")
            }
        if "again" in url:
            return {
                "value": body["value"],
                "@odata.nextLink": f"https://graph.microsoft.com/v1.0/users/{INFO}/messages?$top=10&empty=1",
            }
        return body if "empty" not in url else {"value": []}

    graph.changed, graph.is_checked = repeat, False
    found = keys(drained(opened(graph).find(due()))[0])
    assert found == sorted(set(found))
    assert len(found) == 25


def test_fewer_records_than_were_counted_are_an_incomplete_listing():
    graph = filled(25)
    graph.changed = lambda url, body: (
        body | ({"value": body["value"][:4]} if "$skip=20" in url else {"value": []} if "$skip=24" in url else {})
    )
    with pytest.raises(IncompleteListingError):
        drained(opened(graph).find(due()))
    graph = filled(25)  # as many lines, but one of them twice
    graph.changed = lambda url, body: (
        body | ({"value": [*body["value"][:-1], body["value"][0]]} if "$skip=20" in url else {})
    )
    with pytest.raises(IncompleteListingError):
        drained(opened(graph).find(due()))


@pytest.mark.parametrize("link", [7, "https://graph.microsoft.com/v1.0/users/info@example.org/messages?$top=1000"])
def test_links_that_are_none_or_lead_in_a_circle_end_the_listing(link):
    graph = filled(25)
    graph.changed, graph.is_checked = (lambda _url, body: body | {"@odata.nextLink": link}), False
    with pytest.raises(IncompleteListingError):
        drained(opened(graph).find(due(undated=True, before=())))


@pytest.mark.parametrize(
    "link",
    ["https://evil.test/v1.0/x", "http://graph.microsoft.com/x", "https://graph.microsoft.com:8443/x", "//evil.test/"],
)
def test_a_link_to_another_host_is_not_followed(link):
    graph = filled(25)
    graph.changed, graph.is_checked = (lambda _url, body: body | {"@odata.nextLink": link}), False
    with pytest.raises(LocationError) as caught:
        drained(opened(graph).find(due()))
    assert caught.value.code == "foreign-origin"


def test_a_filter_that_leaves_out_too_much_is_not_believed():
    """An answer without rows although rows fit, as SharePoint gave in 2025: the sums do not agree."""
    graph = filled(25)
    graph.changed = lambda url, body: {"value": [], "@odata.count": 0} if "$filter" in url else body
    batches, tally = drained(opened(graph).find(due()))
    assert (len(keys(batches)), tally) == (25, Tally(25, 0))


def test_a_service_that_counts_nothing_is_listed_whole():
    graph = filled(25)
    graph.changed = lambda _url, body: {name: value for name, value in body.items() if name != "@odata.count"}
    connector = opened(graph)
    batches, tally = drained(connector.find(due()))
    assert (len(keys(batches)), tally) == (25, Tally(25, 0))
    assert connector.count("items") == 25


def test_mail_without_a_date_is_told_and_never_due():
    graph = filled(5)
    graph.add("none", None)
    batches, tally = drained(opened(graph).find(due()))
    assert (len(keys(batches)), tally) == (5, Tally(6, 1))


def test_a_mailbox_that_is_not_there_or_closed_is_an_error_without_its_address():
    for status, code in ((404, "missing"), (403, "denied")):
        graph = filled(5)
        graph.instead = lambda _method, _url, status=status: fault(status, "ErrorAccessDenied")
        with pytest.raises(LocationError) as caught:
            drained(opened(graph).find(due()))
        assert caught.value.code == code
        assert INFO not in str(caught.value)
        assert CANARY not in str(caught.value)


# --- waiting ------------------------------------------------------------------------------------------------------


def test_what_the_service_asks_to_wait_is_waited(slept):
    graph = filled(25)
    answers = [httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(503)]
    graph.before = lambda _method, _path: answers.pop() if answers else None
    assert len(keys(drained(opened(graph).find(due()))[0])) == 25
    assert sum(slept) >= 7


def test_a_wait_beyond_the_budget_is_an_error(slept):
    graph = filled(25)
    graph.before = lambda _method, _path: httpx.Response(429, headers={"Retry-After": "120"})
    with pytest.raises(LocationError) as caught:
        drained(opened(graph, max_wait=60).find(due()))
    assert (caught.value.code, sum(slept)) == ("throttled", 0)


def test_a_refused_token_is_renewed_once_and_a_lost_page_asked_again(slept):
    graph = filled(25)
    answers = [httpx.Response(401), httpx.ReadError("x"), None]
    graph.before = lambda _method, _path: answers.pop() if answers else None
    assert len(keys(drained(opened(graph).find(due()))[0])) == 25


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_has_its_own_messages_and_with_subfolders_those_below():
    graph = Graph(page=2)
    for number, folder in enumerate(["f-inbox", "f-cv", "f-cv-old", "f-sent"]):
        graph.add(f"m{number}", days_ago(999), folder=folder)
    for source, more, expected in [
        ("messages", {}, ["m0", "m1", "m2", "m3"]),
        ("messages:inbox", {}, ["m0"]),
        ("messages:/postvak in", {}, ["m0"]),
        ("messages:INBOX", {"subfolders": True}, ["m0", "m1", "m2"]),
        ("messages:Inbox/Sollicitaties", {}, ["m1"]),
        ("messages:Postvak IN/Sollicitaties/Oud", {}, ["m2"]),
    ]:
        connector = opened(graph, source, **more)
        assert connector.problems("items", due()) == []
        assert keys(drained(connector.find(due()))[0]) == [(INFO, number) for number in expected], source
        assert connector.count("items") == len(expected)


def test_contacts_are_those_of_the_default_folder_and_all_below():
    graph = Graph(page=2)
    for number, folder in enumerate(["c-", "c-", "c-", "c-klanten", "c-oud"]):
        graph.add(f"c{number}", days_ago(999), folder=folder)
    for source, more, expected in [
        ("contacts", {}, 5),
        ("contacts:Klanten", {}, 1),
        ("contacts:Klanten", {"subfolders": True}, 2),
        ("contacts:klanten/OUD", {}, 1),
    ]:
        connector = opened(graph, source, **more)
        assert connector.problems("items", due("created")) == []
        batches, tally = drained(connector.find(due("created")))
        assert (len(keys(batches)), tally) == (expected, Tally(expected, 0))


def test_folders_that_are_missing_or_twofold_are_problems():
    graph = filled(1)
    assert any("no folder" in text for text in opened(graph, "messages:Inbox/Nergens").problems("items"))
    graph.mailboxes[INFO].folders["messages"]["f-twin"] = type(graph.mailboxes[INFO].folder("messages", "inbox"))(
        "f-twin", "Inbox"
    )
    assert any("two folders" in text for text in opened(graph, "messages:inbox").problems("items"))
    assert opened(graph, "messages:/Inbox").problems("items") == []
    graph.mailboxes[INFO].folders["messages"]["f-other"] = Folder("f-other", "SOLLICITATIES", "f-inbox")
    assert any("two folders" in text for text in opened(graph, "messages:inbox/Sollicitaties").problems("items"))


def test_deleted_items_are_no_records_of_a_whole_mailbox_where_a_purge_only_moves():
    graph = filled(3)
    graph.add("gone", days_ago(999), folder="f-deleted")
    assert drained(opened(graph).find(due()))[1] == Tally(4, 0)
    moving = opened(graph, removal="deleted-items")
    batches, tally = drained(moving.find(due()))
    assert (len(keys(batches)), tally, moving.count("items")) == (3, Tally(3, 0), 3)
    assert len(keys(drained(opened(graph, "messages:deleteditems", removal="deleted-items").find(due()))[0])) == 1


def test_a_group_means_its_direct_members_that_have_a_mailbox():
    graph = Graph("0b1c", SALES)
    graph.groups["8b6f0f9e-0000-4000-8000-000000000001"] = (
        "team@example.org",
        [
            {"@odata.type": "#microsoft.graph.user", "id": "0b1c", "mail": "a@example.org"},
            {"@odata.type": "#microsoft.graph.user", "id": "0b1d", "mail": None},
            {"@odata.type": "#microsoft.graph.group", "id": "0b1e", "mail": "x@example.org"},
            {"@odata.type": "#microsoft.graph.user", "id": "0b1f", "mail": SALES.upper()},
        ],
    )
    for number in range(3):
        graph.add(f"m{number}", days_ago(999), mailbox="0b1c")
    for group in ("team@example.org", "8b6f0f9e-0000-4000-8000-000000000001"):
        connector = opened(graph, group=group, mailboxes=[SALES])
        assert {key[0] for key in keys(drained(connector.find(due()))[0])} == {"0b1c"}
        assert any("1 groups are members" in note for note in connector.check().notes)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("messages", Source("messages")),
        ("messages:Inbox", Source("messages", ("inbox",), is_known=True)),
        ("messages:/Inbox", Source("messages", ("Inbox",))),
        ("messages:SentItems/2019", Source("messages", ("sentitems", "2019"), is_known=True)),
        ("messages:A\\/B/C\\\\D", Source("messages", ("A/B", "C\\D"))),
        ("contacts:Inbox", Source("contacts", ("Inbox",))),
    ],
)
def test_a_source_names_one_thing(text, source):
    assert parse_source(text) == source
    if not source.is_known:
        assert parse_source(spell_source(source.kind, source.path)) == source


@pytest.mark.parametrize(
    "text",
    ["", "mail", "messages:", "messages:/", "messages:a//b", "messages:a/", "messages:a\\b", "messages: a", "Contacts"],
)
def test_a_source_that_names_nothing_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_source(text)
    with pytest.raises(ConfigurationError):
        opened(Graph(), text)


def test_what_cannot_be_configured_is_told_at_once():
    for options in (
        {"mailboxes": "a@b.example"},
        {"mailboxes": []},
        {"mailboxes": ["a b"]},
        {"mailboxes": ["a@b.example", "A@b.example"]},
        {"removal": "soft"},
        {"recoverable_days": 30},
        {"cloud": "china"},
    ):
        with pytest.raises(ConfigurationError):
            opened(Graph(), **options)
    opened(Graph(), cloud="china", removal="deleted-items", recoverable_days=30)


def test_problems_name_what_there_is_not():
    graph = Graph()
    two = {
        "items": DatasetSpec(
            "items", "messages", ZONE, subject=("nobody",), data={"name": ("nothing",)}, options={"subfolders": True}
        ),
        "cv": DatasetSpec("cv", "messages:Inbox", ZONE),
    }
    told = " ".join(located(graph, two).problems("items", due("created", match=(Condition("toRecipients", ("x",)),))))
    for part in ("nobody", "nothing", "subfolders", "cv too", "toRecipients"):
        assert part in told
    assert opened(graph, "contacts").problems("items", due("received"))


# --- nothing leaks, memory stays ----------------------------------------------------------------------------------


def test_no_content_address_or_query_is_logged_or_in_an_error(caplog):
    caplog.set_level(logging.DEBUG)
    graph = filled(25)
    connector = opened(graph, subject=("from", "subject"))
    batches, _ = drained(
        connector.find(due(match=(Condition("subject", (CANARY,)),), spare=Spare(subjects=frozenset({CANARY}))))
    )
    said = (
        caplog.text
        + repr(batches)
        + repr(connector.check())
        + repr(connector.datasets())
        + repr(vars(connector._planning))
    )
    assert CANARY not in said
    assert not re.search(r"\$filter|\$select|s3cret|eyJ", caplog.text)


@pytest.mark.whole
def test_memory_does_not_grow_with_the_mailbox(monkeypatch, peak_of):
    monkeypatch.setattr(reading, "Sorter", partial(Sorter, run=2000))
    monkeypatch.setattr(records, "_BLOCK", 20)

    def peak(count):
        graph = Graph()
        graph.is_checked = False
        rows = [
            {"id": f"{n:07}", "parentFolderId": "f", "changeKey": "k", "receivedDateTime": "2019-01-01T00:00:00Z"}
            for n in range(1000)
        ]

        def page(url, body):
            at = int((re.search(r"\$skip=(\d+)", url) or [0, 0])[1])
            told = [row | {"id": f"{at:07}{row['id']}"} for row in rows] if "ge%20" not in url and at < count else []
            told_count = 0 if "ge%20" in url else count
            link = (
                {"@odata.nextLink": f"https://graph.microsoft.com/v1.0/users/{INFO}/messages?$skip={at + 1000}"}
                if told and at + 1000 < count
                else {}
            )
            return {"value": told, "@odata.count": told_count, **link}

        graph.changed = page
        connector = opened(graph)
        found: list[int] = []
        most = peak_of(lambda: found.append(sum(len(batch) for batch in connector.find(due()))))
        assert found == [count]
        return most

    peak(1000)
    few, many = peak(4000), peak(16_000)
    assert many < 1.5 * few, (few, many)
