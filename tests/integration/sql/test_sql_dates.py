"""Which rows are due: dates as SQLite really holds them."""

import contextlib
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sql_bed import CUTOFF, NOW, ZONE, act, ask, dataset, due, every, found, keys, make, opened, purge, undated, words
from sqlalchemy import column, create_engine, event, func, select

from connectors.sql import lookups, sqlite
from connectors.sql.anchors import FUTURE, NO_DATE, number_of
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn
from connectors.sql.days import text_reader
from connectors.sql.sqlite_catalogue import kind_of_type
from connectors.sql.sqlite_dates import SqliteDates
from ropa.clock import calendar_day, read_moment, start_of_day
from ropa.connector import Action, AnchorPart, Before

TABLE = "CREATE TABLE contact (id INTEGER PRIMARY KEY, created {type}); CREATE INDEX by_date ON contact (created);"
INSERT = "INSERT INTO contact VALUES (?, ?)"


def contacts(tmp_path, values, *, declared="TEXT"):
    return make(tmp_path / "crm.sqlite", TABLE.format(type=declared), [(INSERT, list(enumerate(values, 1)))])


UNREADABLE = [
    "",
    "0000-00-00",
    "31-12-2030",
    "2030-02-30",
    "1600000000",
    1600000000,
    0,
    b"2020-01-01",
    "2020",
    "soon",
    3.5,
]


@pytest.mark.parametrize("declared", ["TEXT", "DATETIME", "INTEGER", "", "BLOB"])
def test_what_is_no_date_is_never_due_and_is_listed_as_undated(tmp_path, declared):
    path = contacts(
        tmp_path, [*UNREADABLE, None, "9999-12-31", "2020-01-02", "2026-11-23", CUTOFF.isoformat()], declared=declared
    )
    with opened(path, dataset("contacts", "contact")) as crm:
        assert keys(crm, due("contacts")) == [("14",)]
        listed = found(crm, undated("contacts"))
        assert [record.key for record in listed] == [(str(n),) for n in (*range(1, 14), 15)]
        days = {record.key[0]: record.anchored[0] for record in listed}
        assert days.pop("13") == date(9999, 12, 31)
        assert days.pop("15") == date(2026, 11, 23)
        assert set(days.values()) == {None}
        assert purge(crm, due("contacts")) == [("14",)]
    assert ask(path, "SELECT count(*) FROM contact") == [(15,)]


def test_text_that_is_not_utf8_stops_no_listing_and_is_no_date(tmp_path):
    path = contacts(tmp_path, ["2020-01-02", "2020-01-03"])
    ask(path, "INSERT INTO contact VALUES (3, CAST(x'323032302d30312d3031ff' AS TEXT))")
    with opened(path, dataset("contacts", "contact", subject=("created",))) as crm:
        assert keys(crm, due("contacts")) == [("1",), ("2",)]
        assert keys(crm, undated("contacts")) == [("3",)]
        assert list(crm.read("contacts", "nobody")) == []


@pytest.mark.parametrize(
    ("text", "is_due"),
    [
        ("2026-05-20T23:59:59", True),
        ("2026-05-20 23:59:59.999", True),
        ("2026-05-21", False),
        ("2026-05-21 00:00:00", False),
        ("2026-05-20T21:59:59Z", True),
        ("2026-05-20T22:00:00Z", False),
        ("2026-05-21T11:59:59+14:00", True),
        ("2026-05-21T12:00:00+14:00", False),
        ("2026-05-20T09:59:59-12:00", True),
        ("2026-05-20T10:00:00-12:00", False),
        ("2026-05-21T21:58:00+23:59", True),
    ],
)
def test_the_cut_off_is_an_instant_in_the_controllers_zone_however_it_is_written(tmp_path, text, is_due):
    path = contacts(tmp_path, [text])
    with opened(path, dataset("contacts", "contact")) as crm:
        assert bool(keys(crm, due("contacts"))) is is_due


def test_a_naive_date_is_read_in_the_datasets_zone(tmp_path):
    path = contacts(tmp_path, ["2026-05-20 23:00:00", "2026-05-20 17:59:59", "2026-05-20 18:00:00", "2026-05-20"])
    with opened(path, dataset("contacts", "contact", zone=ZoneInfo("America/New_York"))) as crm:
        assert keys(crm, due("contacts")) == [("2",), ("4",)]


def test_of_a_repeated_hour_the_later_instant_counts(tmp_path):
    day = date(2026, 10, 25)
    path = contacts(tmp_path, ["2026-10-25 02:30:00", "2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00"])
    edge = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    with opened(path, dataset("contacts", "contact")) as crm:
        records = found(crm, due("contacts", day=day + timedelta(days=1)))
        assert [record.anchored for record in records] == [(day,)] * 3
        assert edge < start_of_day(day + timedelta(days=1), ZONE)
        assert keys(crm, due("contacts", day=day)) == []


@pytest.mark.parametrize(
    ("form", "unit", "declared"),
    [("epoch", 1, "INTEGER"), ("epoch-ms", 1000, "INTEGER"), ("epoch", 1, "TEXT"), ("epoch", 1, "")],
)
def test_numbers_are_dates_only_with_a_declared_form(tmp_path, form, unit, declared):
    edge = int(start_of_day(CUTOFF, ZONE).timestamp())
    path = contacts(
        tmp_path, [999 * unit, (edge - 1) * unit, edge * unit, (edge + 1) * unit, "1_0", ""], declared=declared
    )
    with opened(path, dataset("contacts", "contact", anchors={"created": [AnchorPart("created", form=form)]})) as crm:
        assert keys(crm, due("contacts")) == [("1",), ("2",)]
        assert keys(crm, undated("contacts")) == [("5",), ("6",)]
    with opened(path, dataset("contacts", "contact")) as crm:
        assert keys(crm, due("contacts")) == []


def test_other_patterns_are_read_as_declared(tmp_path):
    path = contacts(tmp_path, ["20/05/2026", "21/05/2026", "2020-01-01", "31/02/2020"])
    parts = [AnchorPart("created", form="%d/%m/%Y")]
    with opened(path, dataset("contacts", "contact", anchors={"created": parts})) as crm:
        assert keys(crm, due("contacts")) == [("1",)]
        assert keys(crm, undated("contacts")) == [("3",), ("4",)]


OFFSETS = st.sampled_from(["", "Z", "+14:00", "-12:00", "+23:59", "-23:59", "+0530", "-03", " UTC"])
MOMENTS = st.builds(
    lambda when, sep, offset, is_day: str(when.date()) if is_day else f"{when:%Y-%m-%d}{sep}{when:%H:%M:%S}{offset}",
    st.integers(0, 9 * 86_400).map(lambda seconds: datetime(2026, 5, 17, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.sampled_from("T "),
    OFFSETS,
    st.booleans(),
)


@given(
    st.lists(MOMENTS, min_size=1, max_size=30), st.sampled_from(["Europe/Brussels", "Pacific/Kiritimati", "Etc/GMT+12"])
)
@settings(max_examples=25, deadline=None)
def test_the_cheap_condition_never_drops_a_due_row(tmp_path_factory, texts, name):
    zone = ZoneInfo(name)
    path = contacts(tmp_path_factory.mktemp("dates"), texts)
    before = Before("created", CUTOFF, start_of_day(CUTOFF, zone))
    with opened(path, dataset("contacts", "contact", zone=zone)) as crm:
        expected = [
            (str(n),) for n, text in enumerate(texts, 1) if calendar_day(read_moment(text, zone=zone), zone) < CUTOFF
        ]
        assert keys(crm, replace(due("contacts"), zone=zone, before=(before,))) == expected


def test_the_cheap_condition_uses_the_index_when_few_rows_are_due(tmp_path):
    path = contacts(tmp_path, ["2020-01-01"] * 3 + ["2026-11-01"] * 300)
    seen = []
    with opened(path, dataset("contacts", "contact")) as crm:
        event.listen(crm._backend._reads, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
        assert len(keys(crm, due("contacts"))) == 3
    statement, values = next((s, v) for s, v in seen if "ORDER BY +" in s)
    raw = sqlite3.connect(path)
    raw.create_function("ropa_day_0", 1, lambda value: 1)
    plan = " ".join(row[3] for row in raw.execute("EXPLAIN QUERY PLAN " + statement, values))
    raw.close()
    assert "by_date" in plan


ODD = [
    "2026-02-30",
    "2026-05-01T10:00:00",
    "2026-05-01 10:00:00.5",
    "2026-05-01 10:00:00+02:00",
    "0000-01-01",
    "9999-12-31",
    "2026-05-01 ",
]
ANY = st.one_of(MOMENTS, st.sampled_from([*ODD, *UNREADABLE, None, "2026-05-01", "2024-02-29 12:00:00"]))


@given(
    st.lists(ANY, min_size=1, max_size=40),
    st.sampled_from(["TEXT", "TEXT COLLATE NOCASE", "TEXT COLLATE RTRIM", "DATETIME", ""]),
)
@example(["2020-01-15 ", "2020-01-15"], "TEXT COLLATE RTRIM")
@settings(max_examples=40, deadline=None)
def test_by_an_index_the_same_rows_are_undated_as_one_by_one(tmp_path_factory, values, declared):
    """In parts of three entries, whether they are few (then by their keys) or not."""
    path = contacts(tmp_path_factory.mktemp("d"), values, declared=declared)
    dating = Dating(ZONE, None, ZONE, NOW)
    read = SqliteDates.of(TableColumn("created", "TEXT", Kind.TEXT), dating).number
    meant = [(str(n),) for n, value in enumerate(as_kept(path), 1) if not NO_DATE < read(value) < FUTURE]
    for few in (0, 4, 1000):
        with (
            mock.patch.object(sqlite, "_IN_GOOD_TIME", 3),
            mock.patch.object(lookups, "_FEW", few),
            mock.patch.object(sqlite.SqliteBackend, "most_surveyed", 0),
            opened(path, dataset("contacts", "contact")) as crm,
        ):
            assert keys(crm, undated("contacts")) == meant, few


def as_kept(path):
    return [value for (value,) in ask(path, "SELECT created FROM contact ORDER BY id")]


@pytest.mark.parametrize(
    "declared", ["INTEGER PRIMARY KEY, created TEXT)", "TEXT PRIMARY KEY, created TEXT) WITHOUT ROWID"]
)
def test_few_undated_rows_are_looked_up_and_no_other_row_is_read(tmp_path, declared, monkeypatch):
    monkeypatch.setattr(sqlite.SqliteBackend, "most_surveyed", 0)
    monkeypatch.setattr(sqlite, "_IN_GOOD_TIME", 100)
    table = f"CREATE TABLE contact (id {declared}; CREATE INDEX by_date ON contact (created);"
    values = [str(datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(hours=n)) for n in range(1000)]
    values[500], values[700] = None, "2020-02-30 00:00:00"
    path = make(tmp_path / "crm.sqlite", table, [(INSERT, list(enumerate(values, 1000)))])
    with opened(path, dataset("contacts", "contact")) as crm:
        asked = plans_of(crm, path)
        assert keys(crm, undated("contacts")) == [("1500",), ("1700",)]
        assert asked
        assert not [plan for plan in asked if "SCAN contact" in plan and "USING" not in plan]


def plans_of(crm, path):
    """Collect how SQLite goes about each statement about contacts that is put to it from now on."""
    found = []

    def look(_connection, _cursor, statement, parameters, _context, _many):
        if '"contact"' in statement:
            # Temporary keys are known to the other connection alone.
            with contextlib.closing(sqlite3.connect(path)) as raw, contextlib.suppress(sqlite3.OperationalError):
                found.extend(row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    for engine in (crm._backend._reads, crm._backend._writes):
        event.listen(engine, "before_cursor_execute", look)
    return found


@pytest.mark.parametrize("zone", ["Europe/Brussels", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize("local", ["Europe/Brussels", "Pacific/Kiritimati"])
def test_whatever_the_clocks_do_a_date_of_the_future_may_be_undated(tmp_path, zone, local):
    """In the hours around a change of the clock, read in the dataset's zone and compared in the controller's."""
    changes = [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 3, 8, 7, tzinfo=UTC),
    ]
    for change in changes:
        for minutes in range(-180, 181, 45):
            now = change + timedelta(minutes=minutes)
            texts = [
                *((now + timedelta(minutes=15 * n)).strftime("%Y-%m-%d %H:%M:%S") for n in range(-80, 81)),
                *(str(now.date() + timedelta(days=n)) for n in range(-2, 3)),
            ]
            dates = SqliteDates.of(
                TableColumn("created", "TEXT", Kind.TEXT), Dating(ZoneInfo(zone), None, ZoneInfo(local), now)
            )
            future = {text for text in texts if dates.number(text) >= FUTURE}
            assert future
            listed = func.json_each(json.dumps(texts)).table_valued("value")
            with create_engine("sqlite://").connect() as connection:
                told = set(connection.scalars(select(listed.c.value).where(dates.may_be_undated(listed.c.value))))
            assert future <= told, (now, future - told)
            assert len(told) < len(texts)


# --- the latest of several ----------------------------------------------------------------------------------------

ORDERS = """
CREATE TABLE contact (id INTEGER PRIMARY KEY, created TEXT, seen TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, contact INTEGER REFERENCES contact, placed TEXT);
"""
LATEST = {"last": [AnchorPart("created"), AnchorPart("seen"), AnchorPart("placed", dataset="orders")]}


def with_orders(tmp_path, contacts, orders):
    rows = [("INSERT INTO contact VALUES (?, ?, ?)", contacts), ("INSERT INTO orders VALUES (?, ?, ?)", orders)]
    return make(tmp_path / "crm.sqlite", ORDERS, rows)


def test_the_latest_of_own_and_childrens_dates_counts(tmp_path):
    path = with_orders(
        tmp_path,
        [
            (1, "2020-01-01", None),
            (2, None, "2020-01-01"),
            (3, None, None),
            (4, "2020-01-01", "2026-06-01"),
            (5, "2020-01-01", ""),
            (6, "2020-01-01", None),
            (7, "2020-01-01", None),
            (8, None, None),
            (9, "2020-01-01", None),
        ],
        [
            (1, 1, "2021-05-05"),
            (2, 1, None),
            (3, 6, "2026-07-01"),
            (4, 7, "soon"),
            (5, 8, "2019-01-01"),
            (6, 9, "2099-01-01"),
        ],
    )
    with opened(path, dataset("contacts", "contact", anchors=LATEST), dataset("orders", anchors=("placed",))) as crm:
        assert crm.problems("contacts") == []
        days = {record.key[0]: record.anchored[0] for record in found(crm, due("contacts", "last"))}
        assert days == {"1": date(2021, 5, 5), "2": date(2020, 1, 1), "8": date(2019, 1, 1)}
        assert keys(crm, undated("contacts", "last")) == [("3",), ("5",), ("7",), ("9",)]
        given = act(crm, due("contacts", "last", keys=(("1",), ("2",))))
        assert words(given) == {"1": "blocked", "2": "purged"}


def test_a_childs_date_may_be_its_parents_and_is_read_in_the_parents_zone(tmp_path):
    path = with_orders(
        tmp_path,
        [(1, "2026-05-20 20:00:00", None), (2, "2026-05-19", None)],
        [(1, 1, None), (2, 2, None), (3, None, None)],
    )
    parent = dataset("contacts", "contact", zone=ZoneInfo("America/New_York"))
    child = dataset("orders", anchors={"last": [AnchorPart("created", dataset="contacts")]})
    with opened(path, parent, child) as crm:
        assert keys(crm, due("orders", "last")) == [("2",)]
        assert keys(crm, undated("orders", "last")) == [("3",)]


def test_a_new_childs_date_saves_its_parent_at_the_last_moment(tmp_path):
    path = with_orders(tmp_path, [(1, "2020-01-01", None)], [])
    with opened(path, dataset("contacts", "contact", anchors=LATEST), dataset("orders", anchors=("placed",))) as crm:
        (batch,) = crm.find(due("contacts", "last"))
        ask(path, "INSERT INTO orders VALUES (1, 1, '2026-11-01')")
        (outcome,) = crm.act(due("contacts", "last"), batch, Action.PURGE)
        assert outcome.word.value == "changed"


def test_two_anchors_must_both_be_past(tmp_path):
    path = with_orders(
        tmp_path, [(1, "2020-01-01", "2020-01-01"), (2, "2020-01-01", None), (3, "2020-01-01", "2026-06-01")], []
    )
    both = (*due("contacts", "created").before, *due("contacts", "seen").before)
    with opened(path, dataset("contacts", "contact", anchors=("created", "seen"))) as crm:
        assert keys(crm, due("contacts", before=both, anchors=("seen", "created"))) == [("1",)]
        assert keys(crm, undated("contacts", "created", "seen")) == [("2",)]
        looked = found(crm, every("contacts", anchors=("seen",), check_anchors=False))
        assert [record.anchored for record in looked] == [(date(2020, 1, 1),), (None,), (date(2026, 6, 1),)]


def test_a_future_date_is_one_later_than_today_in_the_zone(tmp_path):
    path = contacts(tmp_path, ["2026-11-22", "2026-11-23", "2026-11-22T02:30:00Z", "2026-11-22T02:30:01Z"])
    with opened(path, dataset("contacts", "contact")) as crm:
        assert datetime(2026, 11, 22, 2, 30, tzinfo=UTC) == NOW
        assert keys(crm, due("contacts", day=date(2030, 1, 1))) == [("1",), ("3",)]
        assert keys(crm, undated("contacts")) == [("2",), ("4",)]


def test_the_last_days_of_the_calendar_need_no_cheap_condition(tmp_path):
    path = contacts(tmp_path, ["2020-01-01"])
    with opened(path, dataset("contacts", "contact")) as crm:
        last = Before("created", date.max, start_of_day(date.max, ZONE))
        assert keys(crm, due("contacts", before=(last,))) == [("1",)]
    dates = SqliteDates.of(TableColumn("created", "TEXT", Kind.TEXT), Dating(ZONE, None, ZONE, NOW))
    assert dates.may_be_before(column("created"), last) is None


def test_affinities_are_sqlites_own():
    kinds = {
        "INTEGER": "number",
        "VARCHAR(9)": "text",
        "": "any",
        "BLOB": "bytes",
        "DATETIME": "number",
        "FLOATING POINT": "number",
    }
    assert {name: kind_of_type(name).value for name in kinds} == kinds


PLACES = ["UTC", "Europe/Brussels", "America/St_Johns", "Pacific/Apia", "America/Havana", "Etc/GMT+12", "Asia/Kolkata"]


@pytest.mark.parametrize("local", PLACES)
@pytest.mark.parametrize("zone", PLACES)
def test_moments_read_many_at_once_have_the_days_that_reading_each_gives(zone, local):
    dating = Dating(ZoneInfo(zone), None, ZoneInfo(local), NOW)
    reader = text_reader(dating)
    days = [
        f"{y}-{m:02}-{d:02}" for y in (1985, 2011, 2020) for m in (3, 4, 10, 11, 12) for d in (1, 7, *range(24, 31))
    ]
    times = [f"{h:02}:{m}" for h in (0, 1, 4, 12, 20, 22, 23) for m in ("00:00", "00:59", "59:59")]
    texts = [f"{day} {time}" for day in days for time in times]
    wanted = [number_of(text, dating) for text in texts]
    assert reader.all(texts) == wanted
    assert list(map(reader, texts)) == wanted
    assert reader.all([text.replace(" ", "T") for text in texts]) == wanted
    brief = [text[:16] for text in texts]
    assert list(map(reader, brief)) == reader.all(brief) == [number_of(text, dating) for text in brief]


@pytest.mark.parametrize(
    "odd",
    [
        *("2020-01-01 24:00:00", "2020-01-01 10:60:00", "2020-01-01 10:00:61", "2020-02-30 10:00:00"),
        *("2020-01-01T10:00:00", "2020-01-01", "2020-01-01 10:00:00Z", "2020-01-01 10:00:00\n", " ", "", None),
        *("٢٠٢٠-01-01 10:00:00", "2026-11-22 02:30:01", "9999-12-31 23:59:59"),
        *("2020-01-01 10:00:00\n2020-01-01 10:00:00", "0000-00-00 00:00:00", 5, 1.5, b"2020-01-01 10:00:00"),
    ],
)
def test_one_odd_date_among_others_is_read_as_it_would_be_alone(odd):
    dating = Dating(ZoneInfo("UTC"), None, ZONE, NOW)
    plain = ["2020-01-01 10:00:00", "2020-06-30 23:30:00"]
    for values in ([odd], [odd, *plain], [*plain, odd], [plain[0], odd, plain[1]]):
        assert text_reader(dating).all(values) == [number_of(value, dating) for value in values]
    assert text_reader(dating).all([]) == []
