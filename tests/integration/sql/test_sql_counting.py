"""What a plan asks of the whole: by an index where there is one, and over other connections while it is listed."""

import sqlite3
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sql_bed import NOW, dataset, due, make, opened, undated
from sqlalchemy import literal_column, select
from sqlalchemy.exc import OperationalError

from connectors.sql.finding import Finder
from connectors.sql.location import SqlLocation
from connectors.sql.sqlite_fetch import Fetching
from connectors.sql.sqlite_versions import RowText
from ropa.connector import AnchorPart, Tally

TABLE = "CREATE TABLE visit (id INTEGER PRIMARY KEY, at INTEGER, name TEXT);"
INDEX = "CREATE INDEX by_day ON visit (at);"
VISITS = dataset("visits", "visit", anchors={"at": [AnchorPart("at", form="epoch")]})
LATELY = int((NOW - timedelta(days=10)).timestamp())
LONG_AGO = int((NOW - timedelta(days=3650)).timestamp())


def visits(tmp_path, moments, script):
    rows = [(number, moment, "Jan") for number, moment in enumerate(moments, 1)]
    return make(tmp_path / "web.sqlite", script, [("INSERT INTO visit VALUES (?, ?, ?)", rows)])


@pytest.fixture
def pages(monkeypatch):
    """Every page of a table that is fetched."""
    real, fetched = Finder._page, []

    def page(self, *arguments, **options):
        fetched.append(self._selection.undated)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Finder, "_page", page)
    return fetched


@pytest.mark.parametrize(("script", "walked"), [(TABLE + INDEX, False), (TABLE, True)])
def test_where_an_index_tells_that_no_record_is_undated_the_table_is_not_walked(tmp_path, pages, script, walked):
    with opened(visits(tmp_path, [LATELY] * 4, script), VISITS) as web:
        assert sum(len(batch) for batch in web.find(undated("visits", "at"))) == 0
    assert bool(pages) is walked


@pytest.mark.parametrize("odd", [None, "soon", b"x", int((NOW + timedelta(days=3)).timestamp())])
@pytest.mark.parametrize("script", [TABLE + INDEX, TABLE])
def test_a_record_without_a_date_is_found_with_an_index_and_without(tmp_path, odd, script):
    with opened(visits(tmp_path, [LATELY, odd, LONG_AGO, LATELY], script), VISITS) as web:
        assert [batch.keys for batch in web.find(undated("visits", "at"))] == [[("2",)]]


def test_where_an_index_tells_that_nothing_is_due_no_page_is_fetched(tmp_path, pages, monkeypatch):
    monkeypatch.setattr("connectors.sql.sqlite.SqliteBackend.most_surveyed", 0)
    with opened(visits(tmp_path, [LATELY] * 4, TABLE + INDEX), VISITS) as web:
        assert list(web.find(due("visits", "at"))) == []
    assert pages == []


def test_the_counts_are_asked_in_threads_of_their_own_and_not_of_a_busy_source(tmp_path, monkeypatch):
    real, asked = SqlLocation.count, []

    def count(self, name):
        asked.append(threading.current_thread())
        return real(self, name)

    monkeypatch.setattr(SqlLocation, "count", count)
    path = visits(tmp_path, [LATELY, LONG_AGO, None], TABLE)
    for options, number in (({}, 1), ({"max_rows_per_second": 1000}, 0)):
        asked.clear()
        with opened(path, VISITS, **options) as web:
            listing = web.find(due("visits", "at"))
            assert [key for batch in _drained(listing) for key in batch.keys] == [("2",)]
        assert len(asked) == number
        assert threading.main_thread() not in asked


def _drained(listing):
    told = None
    while True:
        try:
            yield next(listing)
        except StopIteration as end:
            told = end.value
            break
    assert told in {None, Tally(3, 1)}


def test_a_thread_that_meets_a_blob_when_another_has_just_met_one_reads_again(monkeypatch):
    fetching, calls = Fetching(), []

    def versions(self, _connection, _statement):
        calls.append(self.has_blobs)
        if len(calls) == 1:
            self.has_blobs = True  # as the other thread does meanwhile
            raise OperationalError("", {}, sqlite3.OperationalError("JSON cannot hold BLOB values"))
        return [(1,)]

    monkeypatch.setattr(Fetching, "_versions", versions)
    statement = select(RowText(literal_column("x"), {}))
    assert fetching.rows(SimpleNamespace(), statement) == [(1,)]
    assert calls == [False, True]


def test_a_blob_that_is_refused_again_is_told(monkeypatch):
    def versions(self, _connection, _statement):
        raise OperationalError("", {}, sqlite3.OperationalError("JSON cannot hold BLOB values"))

    monkeypatch.setattr(Fetching, "_versions", versions)
    with pytest.raises(OperationalError):
        Fetching().rows(SimpleNamespace(), select(RowText(literal_column("x"), {})))
