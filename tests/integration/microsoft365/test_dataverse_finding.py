"""Finding in Dataverse: pages that misbehave, what is asked for, how often, and what never leaves."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import httpx
import pytest
from dataverse_fake import Dataverse, Refusal, guid

from connectors.microsoft365.dataverse import TYPE
from connectors.microsoft365.records import Sorter
from ropa.clock import start_of_day
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Before,
    Condition,
    DatasetSpec,
    Note,
    OutcomeWord,
    Parent,
    Reference,
    Referring,
    Selection,
    Spare,
    Tally,
)
from ropa.errors import CallError, ConfigurationError, IncompleteListingError, LocationError

ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
DAY = date(2026, 5, 21)
OLD, NEW, LATER = "2020-02-03T10:00:00Z", "2026-10-01T10:00:00Z", "2031-01-01T00:00:00Z"
CANARY = "canary-3f9d"
CONTACTS = DatasetSpec(
    "contacts",
    "contact",
    ZONE,
    subject=("emailaddress1",),
    anchors={
        "created": Anchor("created", (AnchorPart("createdon"),)),
        "active": Anchor("active", (AnchorPart("createdon"), AnchorPart("on", "orders"))),
        "text": Anchor("text", (AnchorPart("said", form="%d/%m/%Y"),)),
        "lost": Anchor("lost", (AnchorPart("createdon"), AnchorPart("on", "nowhere"))),
    },
)
ORDERS = DatasetSpec(
    "orders",
    "salesorder",
    ZONE,
    parent=Parent("contacts", ("customerid",)),
    anchors={"parent": Anchor("parent", (AnchorPart("createdon", "contacts"),))},
)


def due(anchor="created", **more):
    cut_off = (Before(anchor, DAY, start_of_day(DAY, ZONE)),)
    return replace(Selection("contacts", ZONE, NOW, before=cut_off, anchors=(anchor,)), **more)


@pytest.fixture
def place():
    place = Dataverse()
    place.table("contact", {"emailaddress1": "String", "fullname": "String", "said": "String", "statecode": "State"})
    place.table("account", {"name": "String"})
    place.table("salesorder", {"customerid": "Customer", "on": "DateOnly"})
    place.link("salesorder", "customerid", "contact", "Restrict")
    place.link("salesorder", "customerid", "account", "Restrict")
    return place


def fill(place, count, on=OLD, start=1, **values):
    for number in range(start, start + count):
        place.add(
            "contact", contactid=guid(number), createdon=on, **{"emailaddress1": f"p{number}@example.org"} | values
        )


def opened(place, **options):
    return place.location({"contacts": CONTACTS, "orders": ORDERS}, batch_size=100, **options)


def listed(location, selection):
    batches, found = location.find(selection), []
    while True:
        try:
            found += next(batches).records
        except StopIteration as end:
            return found, end.value


def keys(location, selection):
    return [found.key[0] for found in listed(location, selection)[0]]


# --- pages --------------------------------------------------------------------------------------------------------


def paged(place, change):
    """Let ``change`` alter each page of contacts, given with its number."""

    def hook(name, start, page):
        return (
            change(start // place.max_page, page)
            if name == "contact" and "n" not in str(page.get("value"))[:4]
            else page
        )

    place.max_page = 2
    place.page_hook = hook


def test_a_relative_link_and_one_that_is_a_query_alone_are_followed(place):
    fill(place, 6)

    def relative(number, page):
        if "@odata.nextLink" in page:
            link = page["@odata.nextLink"].split("/api/data/v9.2/")[1]
            page["@odata.nextLink"] = link if number else "?" + link.partition("?")[2]
        return page

    paged(place, relative)
    assert len(keys(opened(place), due())) == 6


def test_an_empty_last_page_and_one_that_repeats_rows_add_nothing(place):
    fill(place, 5)
    fill(place, 3, on=None, start=11)

    def repeat(number, page):
        page["value"] = page["value"] * 2
        if "@odata.nextLink" not in page:
            page["@odata.nextLink"] = f"{place.url}/api/data/v9.2/contacts?$select=contactid,createdon&$skiptoken=98"
        if number == 49:
            return {"value": []}
        return page

    paged(place, repeat)
    found, tally = listed(opened(place), due())
    assert [one.key[0] for one in found] == [guid(n) for n in range(1, 6)]
    assert tally == Tally(8, 3)


@pytest.mark.parametrize(
    "link",
    ["https://evil.example/api/data/v9.2/contacts", "//evil.example/x", "http://{host}/x", "https://{host}:444/x"],
)
def test_a_link_to_another_origin_is_an_error_and_nothing_is_sent_there(place, link):
    fill(place, 3)
    paged(place, lambda _n, page: page | {"@odata.nextLink": link.format(host=place.host)})
    with pytest.raises(LocationError, match="another host"):
        listed(opened(place), due())


@pytest.mark.parametrize(
    "page",
    [{"value": None}, {}, {"value": ["x"]}, {"value": [{"createdon": OLD}]}, {"value": [], "@odata.nextLink": 7}],
)
def test_a_page_that_is_none_makes_the_listing_incomplete(place, page):
    fill(place, 5)
    paged(place, lambda number, real: page if number == 1 else real)
    with pytest.raises(IncompleteListingError):
        listed(opened(place), due())


def test_pages_in_a_circle_make_the_listing_incomplete(place):
    fill(place, 5)
    paged(place, lambda _n, page: page | {"@odata.nextLink": f"{place.url}/api/data/v9.2/contacts?$skiptoken=2"})
    with pytest.raises(IncompleteListingError, match="circle"):
        listed(opened(place), due())


def test_a_listing_cut_off_by_a_refusal_is_an_error(place):
    fill(place, 5)
    place.max_page = 2
    place.faults.append(lambda _m, url: Refusal(403, "0x80040220") if "skiptoken=4" in unquote(url) else None)
    with pytest.raises(LocationError, match="denied"):
        listed(opened(place), due())


def test_the_same_preferences_go_with_each_page(place):
    fill(place, 5)
    seen = []
    real = place._list
    place._list = lambda table, options, headers, url: (
        seen.append(headers.get("prefer")) or real(table, options, headers, url)
    )
    place.max_page = 2
    listed(opened(place, page_size=2), due())
    listings = [one for one in seen if one and "maxpagesize=2," in one]
    assert len(listings) >= 3
    assert len(set(listings)) == 1


@pytest.mark.parametrize("header", ["0.05", "date"])
def test_a_listing_that_is_told_to_wait_goes_on(place, header):
    from email.utils import format_datetime

    fill(place, 5)
    place.max_page = 2
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True) if header == "date" else header
    waits = [Refusal(429, "0x80072322", {"Retry-After": when})] * 2
    place.faults.append(lambda _m, url: waits.pop() if waits and "skiptoken" in url else None)
    assert len(keys(opened(place), due())) == 5
    assert waits == []


def test_a_question_whose_answer_was_lost_is_asked_again(place):
    fill(place, 5)
    lost = [httpx.ReadError("x"), httpx.ReadError("x")]
    place.faults.append(lambda _m, url: lost.pop() if len(lost) > 1 and "/contacts?" in url else None)
    place.faults.append(lambda _m, url: lost.pop() if lost and "$batch" in url else None)
    assert len(keys(opened(place), due())) == 5
    assert lost == []


# --- what is asked for --------------------------------------------------------------------------------------------


def test_only_the_columns_that_are_needed_are_asked_for(place):
    fill(place, 1)
    listed(opened(place), due())
    listing = next(unquote(url) for method, url in place.log if method == "GET" and "/contacts?" in url)
    assert "$select=contactid,createdon&" in listing
    assert "emailaddress1" not in "".join(url for _, url in place.log + place.parts)


def test_dates_and_conditions_leave_out_at_the_source_what_is_not_meant(place):
    fill(place, 2)
    fill(place, 30, on=NEW, start=100)
    fill(place, 2, start=200, statecode=1)
    sent = []
    real = place._spell
    place._spell = lambda table, row, *more: sent.append(row["contactid"]) or real(table, row, *more)
    assert keys(opened(place), due(match=(Condition("statecode", (0, None)),))) == [guid(1), guid(2)]
    assert len(sent) == 2
    sent.clear()
    assert keys(opened(place), due(match=(Condition("statecode", (1,)),))) == [guid(200), guid(201)]
    assert len(sent) == 2


def test_one_listing_tells_what_is_due_what_has_no_date_and_the_population(place):
    fill(place, 3)
    fill(place, 2, on=None, start=10)
    fill(place, 1, on=LATER, start=20)
    fill(place, 9, on=NEW, start=30)
    location = opened(place)
    assert len(listed(location, due())[0]) == 3
    before = len(place.log)
    found, tally = listed(location, due())
    assert (len(found), tally) == (3, Tally(15, 3))
    assert len(place.log) - before == 3, "one for the page, one for what refers to the rows, one for the population"


def test_a_night_with_nothing_due_takes_one_page_and_one_count(place):
    fill(place, 50, on=NEW)
    location = opened(place)
    listed(location, due())
    before = len(place.log)
    assert listed(location, due()) == ([], Tally(50, 0))
    assert len(place.log) - before == 2


def test_a_population_too_large_to_be_counted_there_is_counted_here(place):
    fill(place, 7, on=NEW)
    place.aggregate_limit, place.max_page = 5, 3
    location = opened(place)
    assert location.count("contacts") == 7
    assert listed(location, due())[1] == Tally(7, 0)


@pytest.mark.whole
def test_a_table_with_thousands_of_rows_is_found_and_purged_with_few_requests(place):
    fill(place, 3000)
    location = place.location({"contacts": CONTACTS, "orders": ORDERS}, page_size=1000, delete_history=False)
    listed(location, due())
    before = len(place.log)
    (batch,) = location.find(due())
    assert len(batch) == 3000
    assert len(place.log) - before <= 3 + 2, "the pages, one for what refers to the rows and one for the population"
    before = len(place.log)
    assert {o.word for o in location.act(due(), batch, Action.PURGE)} == {OutcomeWord.PURGED}
    assert len(place.log) - before <= 3000 / 100 * 1.1 + 1, "and one for the recycle bin"
    before = len(place.log)
    assert location.remaining(due(), batch) == set()
    assert len(place.log) - before == 1


def test_a_condition_that_the_service_does_not_take_leaves_nothing_out(place):
    fill(place, 3)
    fill(place, 2, on=NEW, start=10)
    place.faults.append(
        lambda _m, url: Refusal(400, "0x80060888") if "/contacts?" in url and "$filter" in unquote(url) else None
    )
    assert listed(opened(place), due()) == (listed(opened(place), due())[0], Tally(5, 0))
    assert keys(opened(place), due()) == [guid(1), guid(2), guid(3)]
    place.faults.append(lambda _m, url: Refusal(400, "0x80060888") if "/contacts?" in url else None)
    with pytest.raises(LocationError):
        listed(opened(place), due())


# --- dates elsewhere ----------------------------------------------------------------------------------------------


def test_an_anchor_may_be_the_latest_of_children_and_the_parents_own(place):
    fill(place, 4)
    for number, (owner, on) in enumerate([(1, "2021-05-05"), (1, "2019-01-01"), (2, "2026-10-10"), (3, None)]):
        place.add("salesorder", salesorderid=guid(50 + number), createdon=OLD, customerid=guid(owner), on=on)
    location = opened(place)
    found = listed(location, due("active"))[0]
    assert [(one.key[0][-1], one.anchored[0]) for one in found] == [
        ("1", date(2021, 5, 5)),
        ("3", date(2020, 2, 3)),
        ("4", date(2020, 2, 3)),
    ]
    selection = Selection("orders", ZONE, NOW, anchors=("parent",))
    assert {one.anchored for one in listed(location, selection)[0]} == {(date(2020, 2, 3),)}
    assert location.problems("contacts", due("active")) == ["anchor lost: there is no dataset nowhere"]


def test_an_anchor_that_nobody_can_read_is_never_due(place):
    fill(place, 2)
    location = opened(place)
    assert listed(location, due("lost")) == ([], Tally(2, 2))
    place.add("contact", contactid=guid(9), said="03/02/2020")
    place.add("contact", contactid=guid(8), said="soon")
    assert [one.key[0][-1] for one in listed(location, due("text"))[0]] == ["9"]


def test_a_lookup_that_may_refer_to_several_tables_refers_to_the_one_that_is_told(place):
    fill(place, 1)
    place.add("account", accountid=guid(70))
    place.add("salesorder", salesorderid=guid(51), customerid=guid(1))
    place.add("salesorder", salesorderid=guid(52), customerid=guid(70))
    accounts = DatasetSpec("accounts", "account", ZONE)
    location = place.location({"contacts": CONTACTS, "orders": ORDERS, "accounts": accounts})
    found = listed(location, Selection("orders", ZONE, NOW))[0]
    assert [one.refers_to for one in found] == [
        (Reference("contacts", (guid(1),)),),
        (Reference("accounts", (guid(70),), is_parent=False),),
    ]


def test_a_row_belongs_by_via_alone_though_it_has_another_lookup_to_the_same_table(place):
    fill(place, 2)
    place.table("salesorder", {"customerid": "Customer", "billtoid": "Lookup", "on": "DateOnly"})
    place.link("salesorder", "billtoid", "contact", "Restrict")
    place.add("salesorder", salesorderid=guid(51), customerid=guid(1), billtoid=guid(2))
    place.add("salesorder", salesorderid=guid(52), billtoid=guid(2))
    location = place.location({"contacts": CONTACTS, "orders": ORDERS})
    one, two = Reference("contacts", (guid(1),)), Reference("contacts", (guid(2),), is_parent=False)
    found = listed(location, Selection("orders", ZONE, NOW))[0]
    assert [record.refers_to for record in found] == [(one, two), (two,)]
    of_two = Selection("orders", ZONE, NOW, parents=("contacts", ((guid(2),),)), check_anchors=False)
    assert listed(location, of_two)[0] == []


def test_holds_are_looked_up_once_for_many_rows_and_not_at_all_where_there_are_none(place):
    fill(place, 300)
    for number in range(300):
        place.add("salesorder", customerid=guid(1 + number % 300))
    location = opened(place)
    selection = Selection("orders", ZONE, NOW)
    listed(location, selection)
    location.count("contacts")
    before = len(place.log)
    assert len(listed(location, selection)[0]) == 300
    assert len(place.log) - before == 2
    before = len(place.log)
    held = replace(selection, spare=Spare(subjects=frozenset({"p7@example.org"})))
    assert sum(one.is_spared for one in listed(location, held)[0]) == 1
    assert len(place.log) - before == 3


# --- errors and privacy -------------------------------------------------------------------------------------------


def test_unknown_datasets_and_tables_are_told_as_such(place):
    location = opened(place)
    with pytest.raises(CallError):
        location.find(due(dataset="nothing"))
    wrong = replace(CONTACTS, source="kontakt", anchors={})
    lost = place.location({"contacts": wrong})
    assert lost.problems("contacts") == ["there is no table kontakt"]
    with pytest.raises(LocationError, match="no table kontakt"):
        lost.count("contacts")


def test_a_configuration_that_fits_nothing_is_told_in_sentences(place):
    wrong = DatasetSpec(
        "contacts", "contacts", ZONE, key=("emailaddress1",), subject=("mail",), data={"name": ("nick",)},
        parent=Parent("elsewhere", ("up",)), options={"flag_column": "createdon"},
        anchors={"a": Anchor("a", (AnchorPart("statecode"),)), "b": Anchor("b", (AnchorPart("gone"),))},
    )  # fmt: skip
    problems = " / ".join(place.location({"contacts": wrong}).problems("contacts", due("c")))
    for words in ("the key is contactid", "no column mail", "no column nick", "elsewhere", "createdon cannot be written",
                  "statecode holds no date", "no column gone", "no anchor c"):  # fmt: skip
        assert words in problems


@pytest.mark.parametrize(
    "options",
    [
        {"parts_per_batch": 1001},
        {"at_once": 53},
        {"page_size": 0},
        {"delete_history": "maybe"},
        {"url": "http://crm.example"},
        {"at_once": True},
    ],
)
def test_options_that_cannot_be_are_refused_when_the_location_is_opened(place, options):
    with pytest.raises(ConfigurationError) as caught:
        opened(place, **options)
    assert [problem.path.rpartition(".")[2] for problem in caught.value.problems] == list(options)


def test_nothing_of_a_row_gets_into_logs_errors_or_representations(place, caplog):
    caplog.set_level(logging.DEBUG)
    fill(place, 3, fullname=CANARY, emailaddress1=f"{CANARY}@example.org")
    location = opened(place, max_wait=1, delete_history=True)
    selection = due(spare=Spare(subjects=frozenset({f"{CANARY}2@example.org"})))
    (batch,) = location.find(selection)
    place.part_faults.append(lambda method, _u: Refusal(403, CANARY) if method in {"DELETE", "POST"} else None)
    outcomes = list(location.act(selection, batch, Action.PURGE))
    spoken = [repr(batch), repr(outcomes), repr(location), repr(location.check()), caplog.text]
    place.faults.append(lambda _m, _u: Refusal(500, "0x1"))
    for call in (lambda: location.count("contacts"), lambda: list(location.find(selection))):
        with pytest.raises(LocationError) as caught:
            call()
        spoken += [str(caught.value), repr(caught.value.__cause__), str(caught.value.next_step)]
    assert not [text for text in spoken if CANARY in text or "canary-message" in text or "$filter" in text]
    assert CANARY not in "".join(url for _, url in place.log + place.parts)


def test_a_persons_records_are_read_without_their_name_in_an_address(place):
    fill(place, 3, emailaddress1=f"{CANARY}@example.org", fullname="A")
    place.change("contact", guid(2), emailaddress1=f" {CANARY.upper()}@example.ORG")
    place.change("contact", guid(3), emailaddress1="other@example.org")
    place.add("salesorder", salesorderid=guid(50), customerid=guid(1), on="2021-05-05")
    location = opened(place)
    assert [record.key[0][-1] for record in location.read("contacts", f"{CANARY}@EXAMPLE.org")] == ["1", "2"]
    assert [record.values["on"] for record in location.read("orders", f"{CANARY}@example.org")] == [date(2021, 5, 5)]
    assert CANARY not in "".join(url for _, url in place.log + place.parts).lower()


def test_tables_are_listed_with_columns_types_and_references(place):
    infos = {info.source: info for info in opened(place).datasets()}
    assert {source: info.declared_as for source, info in infos.items()} == {
        "contact": "contacts",
        "salesorder": "orders",
        "account": None,
    }
    assert [(c.name, c.type) for c in infos["account"].columns if c.name == "name"] == [("name", "Edm.String")]
    assert [(r.columns, r.to_source) for r in infos["salesorder"].references] == [
        (("_customerid_value",), "contact"),
        (("_customerid_value",), "account"),
    ]


def test_the_type_can_be_loaded_without_what_it_needs_later():
    import subprocess
    import sys

    code = "import sys, connectors.microsoft365.dataverse; print(sorted({'httpx', 'msal'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
    assert TYPE.options["url"].is_required


# --- memory -------------------------------------------------------------------------------------------------------


def test_notes_are_kept_where_keys_are_and_come_back_as_they_were():
    note = Note(True, (Reference("a", ("k", "l")),), (Referring("b", False, 3),), "obstacle")
    sorter = Sorter("x", run=2)
    for number in (3, 1, 4, 2, 5):
        sorter.add((str(number),), "v", (), note if number % 2 else None)
    batches = list(sorter.batches(2))
    assert [dict(batch.notes) for batch in batches] == [{0: note}, {0: note}, {0: note}]


@pytest.mark.whole
def test_memory_does_not_grow_with_what_is_listed(monkeypatch, peak_of):
    monkeypatch.setattr("connectors.microsoft365.records._BLOCK", 20)
    monkeypatch.setattr("connectors.microsoft365.records.Sorter.__init__.__kwdefaults__", {"run": 500})
    monkeypatch.setattr("connectors.microsoft365.dataverse.finding._AT_A_TIME", 500)

    def peak(count):
        place = Dataverse()
        place.table("contact", {"owner": "Lookup"})
        place.table("account", {})
        place.link("contact", "owner", "account")
        fill(place, count, owner=guid(1))
        del place.tables["contact"].columns["owner"]
        place.tables["contact"].columns["owner"] = "Lookup"
        location = place.location(
            {"contacts": CONTACTS, "accounts": DatasetSpec("accounts", "account", ZONE)}, page_size=250, batch_size=100
        )
        location.count("contacts")
        found: list[int] = []
        most = peak_of(lambda: found.append(sum(len(batch) for batch in location.find(due()))))
        assert found == [count]
        return most

    peak(1000)
    few, many = peak(1000), peak(8000)
    assert many < few * 2, (few, many)
