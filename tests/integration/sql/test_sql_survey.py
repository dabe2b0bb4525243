"""The usual night: what one statement tells of a table of which nothing is due, and when it tells nothing."""

import os
import sqlite3
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_bed import CUTOFF, NOW, dataset, due, make, opened

from connectors.sql import location, sqlite, sqlite_kept, survey
from ropa.connector import AnchorPart, Condition, FieldChange, Mask, Tally

TABLE = 'CREATE TABLE "contact" (id INTEGER PRIMARY KEY, created TEXT, name TEXT, kind TEXT);'
INSERT = 'INSERT INTO "contact" VALUES (?, ?, ?, ?)'
LATER = (CUTOFF + timedelta(days=30)).isoformat()
EARLIER = (CUTOFF - timedelta(days=30)).isoformat()


def contacts(tmp_path, dates, *, table=TABLE, kind="new"):
    rows = [(number, written, "Jan", kind) for number, written in enumerate(dates, 1)]
    return make(tmp_path / "crm.sqlite", table, [(INSERT, rows)])


SURVEYED = []
"""What one statement told, of each listing of what is due."""


@pytest.fixture(autouse=True, scope="module")
def watched():
    def watch(connection, selection, layout, backend):
        found = survey.survey(connection, selection, layout, backend)
        if survey.is_whole(selection):
            SURVEYED.append(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(location, "survey", watch)
        yield


def told(place, selection):
    """Return the number of records listed, and what one statement told of the whole; None: the listing decided."""
    listing, count = place.find(selection), 0
    while True:
        try:
            count += len(next(listing))
        except StopIteration as end:
            tally = end.value
            break
    without = sum(len(batch) for batch in place.find(replace(selection, before=(), undated=True)))
    assert tally == Tally(place.count(selection.dataset), without)
    assert SURVEYED[-1] in {None, tally}
    return count, SURVEYED[-1]


@pytest.mark.parametrize("index", ["", "CREATE INDEX by_date ON contact (created);"])
@pytest.mark.parametrize("written", [LATER, f"{LATER} 10:11:12"])
def test_a_table_of_which_nothing_is_due_is_told_in_one_statement(tmp_path, index, written):
    path = contacts(tmp_path, [written] * 7, table=TABLE + index)
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, Tally(7, 0))


@pytest.mark.parametrize(
    ("odd", "listed"),
    [
        (EARLIER, 1),
        (None, 0),
        ("", 0),
        ("soon", 0),
        ("2026-02-30", 0),
        ("0000-01-01", 0),
        ("9999-12-31", 0),
        ((NOW + timedelta(days=3)).date().isoformat(), 0),
        (20_000_101, 0),
        (b"2020-01-01", 0),
        (f"{CUTOFF.isoformat()} 00:00:00", 0),
        (f"{LATER}T10:11:12", 0),
    ],
)
def test_where_a_record_might_be_meant_or_have_no_date_the_listing_decides(tmp_path, odd, listed):
    path = contacts(tmp_path, [LATER, odd, LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (listed, None)


def test_an_empty_table_is_left_to_the_listing(tmp_path):
    with opened(contacts(tmp_path, []), dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, None)


def test_records_that_a_condition_leaves_out_are_counted_all_the_same(tmp_path):
    path = contacts(tmp_path, [LATER, EARLIER, None, LATER], kind="old")
    with opened(path, dataset("contacts", "contact")) as crm:
        selection = replace(due("contacts"), match=(Condition("kind", ("new",)),))
        assert told(crm, selection) == (0, Tally(4, 0))
        excluded = replace(due("contacts"), exclude=((Condition("kind", ("old",)),),))
        assert told(crm, excluded) == (0, Tally(4, 0))
        matching = replace(due("contacts"), match=(Condition("kind", ("old",)),))
        assert told(crm, matching) == (1, None)


def test_fields_that_hold_nothing_any_more_are_not_due(tmp_path):
    path = contacts(tmp_path, [EARLIER, LATER])
    make(path, "UPDATE contact SET name = NULL WHERE id = 1;")
    with opened(path, dataset("contacts", "contact")) as crm:
        selection = replace(due("contacts"), fields=(FieldChange("name", Mask.CLEAR),))
        assert told(crm, selection) == (0, Tally(2, 0))


def test_a_key_that_the_database_does_not_keep_apart_is_left_to_the_listing(tmp_path):
    table = TABLE.replace("id INTEGER PRIMARY KEY", "id INTEGER")
    path = contacts(tmp_path, [LATER, LATER], table=table)
    with opened(path, dataset("contacts", "contact", key=("id",))) as crm:
        assert told(crm, due("contacts")) == (0, None)


def test_a_table_that_is_too_large_for_one_statement_is_left_to_the_listing(tmp_path, monkeypatch):
    path = contacts(tmp_path, [LATER] * 5)
    monkeypatch.setattr(sqlite.SqliteBackend, "most_surveyed", 5)
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, Tally(5, 0))
    monkeypatch.setattr(sqlite.SqliteBackend, "most_surveyed", 4)
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, None)


def test_names_that_need_quoting_are_quoted_also_in_a_statement_that_was_made_before(tmp_path):
    names = ["contact", 'od"d', "ropa table", 'x" WHERE 0 --', "ropa column"]
    path = tmp_path / "crm.sqlite"
    for count, name in enumerate(names, 1):
        quoted = name.replace('"', '""')
        make(path, f'CREATE TABLE "{quoted}" (id INTEGER PRIMARY KEY, "{quoted}" TEXT);')
        make(path, "", [(f'INSERT INTO "{quoted}" VALUES (?, ?)', [(n, LATER) for n in range(count)])])
    for count, name in enumerate(names, 1):
        with opened(path, dataset("contacts", name, anchors={"created": [AnchorPart(name)]})) as crm:
            assert told(crm, due("contacts")) == (0, Tally(count, 0))


def test_statements_that_were_made_before_are_not_kept_without_end(tmp_path):
    path = contacts(tmp_path, [LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        for days in range(survey._MOST_KNOWN + 10):
            told(crm, replace(due("contacts"), now=NOW + timedelta(seconds=days)))
    assert len(survey._KNOWN) <= survey._MOST_KNOWN


DATES = st.dates(date(2015, 1, 1), date(2027, 12, 31)).map(date.isoformat) | st.sampled_from(
    ["", "soon", "2026-02-30", "2019", None, 5, 1.5, b"x", "2020-01-01T00:00:00+23:59"]
)


@given(st.lists(DATES, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_told_is_what_the_listing_and_the_count_tell(tmp_path_factory, dates):
    path = contacts(tmp_path_factory.mktemp("survey"), dates)
    with opened(path, dataset("contacts", "contact")) as crm:
        listed, tally = told(crm, due("contacts"))
        if tally is not None:
            assert listed == 0


# --- connections that stay open -----------------------------------------------------------------------------------


def idle():
    return len(sqlite_kept.KEPT._idle)


def test_a_connection_stays_open_between_questions_and_goes_with_its_place(tmp_path):
    path = contacts(tmp_path, [LATER])
    before = idle()
    with opened(path, dataset("contacts", "contact")) as crm:
        told(crm, due("contacts"))
        assert idle() == before + 1
        crm.count("contacts")
        assert idle() == before + 1
    assert idle() == before


def test_few_connections_stay_open_however_many_places_there_are(tmp_path):
    places = []
    for number in range(sqlite_kept.MOST + 3):
        (tmp_path / str(number)).mkdir()
        places.append(opened(contacts(tmp_path / str(number), [LATER]), dataset("contacts", "contact")))
    entered = [place.__enter__() for place in places]
    for crm in entered:
        assert crm.count("contacts") == 1
    assert idle() <= sqlite_kept.MOST
    for crm in entered:
        assert crm.count("contacts") == 1
    for place in places:
        place.__exit__(None, None, None)
    assert idle() == 0


def test_a_file_that_took_the_place_of_another_is_read_and_never_the_one_before(tmp_path):
    path = contacts(tmp_path, [LATER])
    (tmp_path / "backup").mkdir()
    restored = contacts(tmp_path / "backup", [LATER, EARLIER, LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, Tally(1, 0))
        restored.replace(path)
        assert told(crm, due("contacts")) == (1, None)
        assert crm.count("contacts") == 3


def test_what_others_write_is_seen_by_a_connection_that_stayed_open(tmp_path):
    path = contacts(tmp_path, [LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        assert told(crm, due("contacts")) == (0, Tally(1, 0))
        make(path, "", [(INSERT, [(2, EARLIER, "Piet", "new")])])
        assert told(crm, due("contacts")) == (1, None)
        make(path, "ALTER TABLE contact RENAME COLUMN name TO first_name;")
        assert crm.problems("contacts") == []
        assert {column.name for info in crm.datasets() for column in info.columns} >= {"first_name"}


def test_a_connection_that_stayed_open_keeps_nobody_from_writing(tmp_path):
    path = contacts(tmp_path, [LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        told(crm, due("contacts"))
        other = sqlite3.connect(path, timeout=0)
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM contact")
        other.commit()
        other.close()
        assert crm.count("contacts") == 0


def test_a_process_that_is_forked_off_opens_its_own(tmp_path):
    path = contacts(tmp_path, [LATER])
    with opened(path, dataset("contacts", "contact")) as crm:
        crm.count("contacts")
        child = os.fork()
        if child == 0:
            os._exit(0 if idle() == 0 and crm.count("contacts") == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert crm.count("contacts") == 1
