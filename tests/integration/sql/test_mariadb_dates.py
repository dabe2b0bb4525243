"""Dates of MariaDB: read as everywhere, and conditions that leave out no row that is meant."""

# ruff: noqa: DTZ001 - columns without a zone hold dates without one

from datetime import UTC, date, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mariadb_bed import backend, opened, twice
from sql_bed import NOW, dataset, keys, undated
from sqlalchemy import func, or_, select

from connectors.sql import lookups
from connectors.sql.anchors import FUTURE, NO_DATE, UNREADABLE, number_of
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn
from connectors.sql.mariadb import MariadbBackend
from connectors.sql.mariadb_dates import MariadbDates
from ropa.clock import start_of_day
from ropa.connector import Before

BRUSSELS, UTC_ZONE = ZoneInfo("Europe/Brussels"), ZoneInfo("UTC")
ZONES = [
    BRUSSELS, UTC_ZONE, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia"), ZoneInfo("Asia/Beirut"),
    ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"),
]  # fmt: skip
HARD = [
    datetime(2022, 3, 27, 2, 30), datetime(2022, 3, 27, 1, 59, 59), datetime(2022, 3, 27, 3), datetime(2022, 10, 30, 2, 30),
    datetime(2011, 12, 30, 12), datetime(2011, 12, 29, 23, 59), datetime(2009, 11, 1, 0, 1), datetime(2009, 11, 1, 23, 59),
    datetime(2022, 3, 27, 0, 30), datetime(1, 1, 1), datetime(1, 1, 2, 3), datetime(9999, 12, 31, 23, 59, 59), datetime(1969, 12, 31, 23),
    datetime(2026, 11, 22, 3, 30), datetime(2026, 11, 22, 3, 30, 1), datetime(2026, 11, 22, 2, 30), datetime(2026, 11, 22),
    datetime(2026, 11, 23), datetime(2026, 5, 21), datetime(2026, 5, 20, 23, 59, 59, 999999), datetime(2026, 5, 20, 22), datetime(2024, 2, 29),
]  # fmt: skip
ODD = [
    "0000-00-00 00:00:00",
    "2020-00-00 00:00:00",
    "2020-02-00 10:00:00",
    "0000-05-05 00:00:00",
    "2020-00-15 00:00:00",
    "2020-02-30 00:00:00",
    "2019-02-29 00:00:00",
    "1900-02-29 23:59:59",
    "2020-04-31 10:00:00",
]


def dates_of(kind, zone=BRUSSELS, local=BRUSSELS, form=None, declared="x", bounds=None):
    return MariadbDates.of(TableColumn("at", declared, kind, bounds=bounds), Dating(zone, form, local, NOW))


def spelled(moment):
    return moment.isoformat(" ")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2035, 1, 1)), st.sampled_from(ZONES), st.sampled_from(ZONES))
@example(datetime(2011, 12, 30, 12), ZoneInfo("Pacific/Apia"), ZoneInfo("Pacific/Apia"))
@example(datetime(2022, 10, 30, 2, 30), BRUSSELS, UTC_ZONE)
def test_a_moment_has_the_number_it_has_everywhere(moment, zone, local):
    number = dates_of(Kind.NAIVE, zone, local).number
    for near in (moment, moment.replace(hour=0, minute=0, second=0, microsecond=0), moment.replace(hour=23, minute=59)):
        assert number(spelled(near)) == number_of(near, Dating(zone, None, local, NOW))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("local", ZONES, ids=str)
def test_hard_moments_have_the_number_they_have_everywhere(zone, local):
    number = dates_of(Kind.NAIVE, zone, local).number
    moments = [moment + timedelta(minutes=m) for moment in HARD[:9] for m in range(-1500, 1501, 15)] + HARD
    for moment in moments:
        assert number(spelled(moment)) == number_of(moment, Dating(zone, None, local, NOW)), moment


def test_instants_are_utc_whatever_the_dataset_says():
    dates = dates_of(Kind.INSTANT, ZoneInfo("America/New_York"))
    assert dates.number("2026-05-20 22:00:00") == date(2026, 5, 21).toordinal()
    assert dates.number("2026-05-20 21:59:59.999") == date(2026, 5, 20).toordinal()


@pytest.mark.parametrize("text", [*ODD, "2020-02-31 00:00:00"])
def test_zero_dates_cannot_be_read_and_are_no_error(text):
    for kind in (Kind.NAIVE, Kind.INSTANT):
        assert dates_of(kind).number(text) == UNREADABLE
    assert dates_of(Kind.DATE).number(text[:10]) == UNREADABLE
    assert dates_of(Kind.NAIVE).number(None) == NO_DATE


def test_what_is_later_than_now_lies_in_the_future():
    number = dates_of(Kind.NAIVE).number
    assert number("2026-11-22 03:30:00") == date(2026, 11, 22).toordinal()
    assert number("2026-11-22 03:30:01") == date(2026, 11, 22).toordinal() + FUTURE
    day = dates_of(Kind.DATE).number
    assert [day("2026-11-22"), day("2026-11-23")] == [
        date(2026, 11, 22).toordinal(),
        date(2026, 11, 23).toordinal() + FUTURE,
    ]


TYPED = {
    "DATETIME(6)": (Kind.NAIVE, [spelled(m) for m in HARD] + ODD, None),
    "DATE": (Kind.DATE, [spelled(m)[:10] for m in HARD] + [odd[:10] for odd in ODD], None),
    "TIMESTAMP(6) NULL": (
        Kind.INSTANT, [spelled(m) for m in HARD if 1970 < m.year < 2038] + ["0000-00-00 00:00:00", "1970-01-01 00:00:01"], None,
    ),
    "VARCHAR(40)": (
        Kind.TEXT,
        [spelled(m) for m in HARD] + [m.isoformat() + "Z" for m in HARD] + [*ODD, "", " ", "2020-01-01\n", "2020-01-01t10:00", "31-12-2020",
         "2020-01-01 10:00+23:00", "2026-05-22 10:00+23:59", "2020-06-31", "999", "2020-01-01 25:00", "x", "é", "2020-1-1", "2020-01-01,"],
        None,
    ),
    "BIGINT": (Kind.NUMBER, [0, -1, -62135596800, -62135596801, 253402300799, 253402300800, 1779314399, 1779314400, 1795314600, 1795314601, 2**62], "epoch"),
    "DECIMAL(20,3)": (Kind.NUMBER, ["1779314399.999", "1779314400", "1795314600.001", "0", "-5.5"], "epoch"),
    "BIGINT UNSIGNED": (Kind.NUMBER, [0, 1779314399999, 1779314400000, 2**64 - 1], "epoch-ms"),
    "DOUBLE": (Kind.NUMBER, [1779314399.5, 1779314400, 1e300, -1e300], "epoch"),
    "VARCHAR(30)": (Kind.TEXT, ["20/05/2026", "21/05/2026", "1/1/2099", "", "x"], "%d/%m/%Y"),
    "VARBINARY(30)": (Kind.BYTES, ["2020-01-01"], None),
    "YEAR": (Kind.NUMBER, [2020], None),
    "ENUM('2020-01-01', 'x')": (Kind.OTHER, ["2020-01-01", "x"], None),
    "INET6": (Kind.ADDRESS, ["::"], None),
    "POINT": (Kind.OTHER, [], None),
}  # fmt: skip
DAYS = [date(2026, 5, 21), date(2022, 3, 27), date(2022, 3, 28), date(2022, 10, 30), date(2022, 10, 31), date(2009, 11, 1), date(2009, 11, 2),
        date(2011, 12, 31), date(2011, 12, 30), date(2, 1, 1), date(1, 1, 1), date(9999, 12, 31), date(1970, 1, 1), date(2024, 2, 29)]  # fmt: skip


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("declared", TYPED)
def test_no_condition_leaves_out_a_row_that_is_meant(mariadb, declared):
    kind, values, form = TYPED[declared]
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, at {declared})")
        for value in [*values, None]:
            database.execute("INSERT INTO t (at) VALUES (%s)", (value,)) if value not in ODD and value not in {
                odd[:10] for odd in ODD
            } else database.execute(f"SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t (at) VALUES ('{value}')")
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own, column = table.plain(), table.columns[1]
            assert column.kind is kind
            for zone in ZONES[:5]:
                for local in ZONES[:5]:
                    dating = Dating(zone, form, local, NOW)
                    dates = made.dates(column, dating)
                    rows = twice(made, connection, select(own.c.id, dates.value(own.c.at)).order_by(own.c.id))
                    numbers = {row[0]: dates.number(row[1]) for row in rows}
                    assert numbers[len(rows)] == NO_DATE
                    if kind in {Kind.NAIVE, Kind.DATE, Kind.TEXT, Kind.NUMBER}:
                        assert numbers == {row[0]: number_of(row[1], dating) for row in rows}
                    elif kind is not Kind.INSTANT and "ENUM" not in declared:
                        assert set(numbers.values()) <= {UNREADABLE, NO_DATE}
                    for day in DAYS:
                        before = Before("at", day, start_of_day(day, local))
                        meant = {pos for pos, n in numbers.items() if NO_DATE < n < day.toordinal()}
                        may = dates.may_be_before(own.c.at, before)
                        if may is not None:
                            let_through = {row[0] for row in made.fetch(connection, select(own.c.id).where(may))}
                            assert meant <= let_through, (zone, local, day)
                    undated = {pos for pos, n in numbers.items() if not NO_DATE < n < FUTURE}
                    may = dates.may_be_undated(own.c.at)
                    if may is not None:
                        assert undated <= {row[0] for row in made.fetch(connection, select(own.c.id).where(may))}, (
                            zone,
                            local,
                        )
                    ranges = made.undated_ranges(connection, own, own.c.at, dates)
                    if ranges is not None:
                        found = {
                            row[0]
                            for row in made.fetch(connection, select(own.c.id).where(or_(*chain.from_iterable(ranges))))
                        }
                        assert undated <= found, (zone, local)
                    if declared != "POINT":
                        grouped = select(own.c.id, dates.gathered(own.c.at)).group_by(own.c.id).order_by(own.c.id)
                        assert {row[0]: dates.latest(row[1]) for row in twice(made, connection, grouped)} == numbers
                        everything = twice(made, connection, select(dates.gathered(own.c.at)))
                        assert dates.latest(everything[0][0]) == max(numbers.values())


@pytest.mark.parametrize("declared", ["DATE", "DATETIME"])
def test_of_dates_of_the_calendar_none_may_be_undated(mariadb, declared):
    """Leap days among them; else the whole table would be listed, for what is none of it."""
    days = [date(1999, 12, 31) + timedelta(days=number) for number in range(9_000)]
    assert {date(2000, 2, 29), date(2024, 2, 29)} <= set(days)
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, at {declared})")
        database.execute("INSERT INTO t (at) VALUES " + ", ".join(f"('{day}')" for day in days))
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own, dating = table.plain(), Dating(BRUSSELS, None, BRUSSELS, NOW)
            dates = made.dates(table.columns[1], dating)
            for may in (
                dates.may_be_undated(own.c.at),
                or_(*chain.from_iterable(made.undated_ranges(connection, own, own.c.at, dates))),
            ):
                assert made.fetch(connection, select(own.c.id).where(may)) == []


@pytest.mark.parametrize("declared", ["DATE", "DATETIME", "DATETIME(6)"])
def test_every_date_that_no_calendar_has_is_in_a_gap_between_months(mariadb, declared):
    """Also where it is the first or the last of the table; and where one is too far from the others all are read."""
    odd = [f"{year}-{month:02}-00" for year in (1970, 2000, 2023, 2024) for month in (0, 1, 2, 3, 12)]
    odd += [f"{year}-{day}" for year in (2000, 2023, 2024) for day in ("02-30", "02-31", "04-31", "11-31", "00-31")]
    odd += ["2023-02-29", "1970-02-29"]
    moment = "" if declared == "DATE" else " 23:59:59.999999"
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, at {declared}, KEY (at))")
        database.execute("INSERT INTO t (at) VALUES (%s), (%s), (NULL)", (f"2000-02-29{moment}", "2023-03-01"))
        anything = "SET sql_mode = 'ALLOW_INVALID_DATES'; "
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own, dates = table.plain(), made.dates(table.columns[1], Dating(BRUSSELS, None, BRUSSELS, NOW))
            for value in odd:
                database.execute(f"{anything}UPDATE t SET at = '{value}' WHERE id = 3")
                ranges = made.undated_ranges(connection, own, own.c.at, dates)
                assert made.fetch(connection, select(own.c.id).where(or_(*chain.from_iterable(ranges)))) == [(3,)], (
                    value
                )
            database.execute(f"{anything}UPDATE t SET at = '1850-00-00' WHERE id = 3")
            assert made.undated_ranges(connection, own, own.c.at, dates) is None
            database.execute("DELETE FROM t")
            assert [len(step) for step in made.undated_ranges(connection, own, own.c.at, dates)] == [3]


@pytest.mark.parametrize("key", ["id INT PRIMARY KEY", "id VARCHAR(9) PRIMARY KEY"])
@pytest.mark.parametrize("declared", ["DATE", "DATETIME"])
def test_by_an_index_the_same_rows_are_undated_whether_they_are_few_or_not(mariadb, declared, key, monkeypatch):
    monkeypatch.setattr(MariadbBackend, "most_surveyed", 0)
    days = [
        *(str(date(2020, 1, 1) + timedelta(days=n)) for n in range(0, 900, 30)),
        None,
        None,
        "2020-02-30",
        "2021-00-00",
    ]
    days += ["0000-00-00", "9999-12-31", "2020-02-31"]
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t ({key}, created {declared}, KEY (created))")
        values = ", ".join(f"({n}, {'NULL' if day is None else repr(day)})" for n, day in enumerate(days, 10))
        database.execute(f"SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t VALUES {values}")
        meant = [(str(n),) for n in range(40, 10 + len(days))]
        for few in (0, 3, 1000):
            monkeypatch.setattr(lookups, "_FEW", few)
            with opened(database, dataset("t")) as crm:
                assert keys(crm, undated("t")) == meant, few


@pytest.mark.parametrize(
    ("declared", "form"), [("DATETIME", None), ("TIMESTAMP NULL", None), ("DATE", None), ("BIGINT", "epoch")]
)
def test_away_from_clock_changes_the_condition_is_exact(mariadb, declared, form):
    """So that a batch goes by one statement, which finds nothing but what was planned."""
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, at {declared})")
        for hours in range(-60, 61):
            moment = datetime(2026, 5, 20, 22, tzinfo=UTC) + timedelta(hours=hours)
            local = moment.astimezone(BRUSSELS) if declared == "DATETIME" else moment
            database.execute(
                "INSERT INTO t (at) VALUES (%s)", (int(moment.timestamp()) if form else local.replace(tzinfo=None),)
            )
        if declared in {"DATETIME", "DATE"}:
            database.execute("SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t (at) VALUES ('0000-00-00')")
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own = table.plain()
            dates = made.dates(table.columns[1], Dating(BRUSSELS, form, BRUSSELS, NOW))
            rows = made.fetch(connection, select(own.c.id, dates.value(own.c.at)))
            day = date(2026, 5, 21)
            before = Before("at", day, start_of_day(day, BRUSSELS))
            meant = {row[0] for row in rows if NO_DATE < dates.number(row[1]) < day.toordinal()}
            for condition in (dates.may_be_before, dates.is_likely_before):
                found = {row[0] for row in made.fetch(connection, select(own.c.id).where(condition(own.c.at, before)))}
                assert found == meant
            assert 40 < len(meant) < 80


def test_an_index_answers_what_may_be_before(mariadb):
    with mariadb.create() as database:
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, KEY (at))")
        database.execute("INSERT INTO t SELECT seq, '2000-01-01' + INTERVAL seq HOUR FROM seq_1_to_20000")
        database.execute("ANALYZE TABLE t")
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own = table.plain()
            dates = made.dates(table.columns[1], Dating(BRUSSELS, None, BRUSSELS, NOW))
            before = Before("at", date(2000, 1, 3), start_of_day(date(2000, 1, 3), BRUSSELS))
            connection.exec_driver_sql("FLUSH STATUS")
            found = made.fetch(
                connection, select(func.count()).select_from(own).where(dates.may_be_before(own.c.at, before))
            )
            assert found == [(47,)]
            reads = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read_next'").one()
            assert int(reads[1]) < 60


def test_a_list_that_was_cut_cannot_be_read():
    dates = dates_of(Kind.NAIVE)
    assert dates.latest("2|2020-01-01 00:00:00,2020-01-02 00:00:00") == date(2020, 1, 2).toordinal()
    assert dates.latest("3|2020-01-01 00:00:00,2020-01-02 00:00:00") == UNREADABLE
    assert dates.latest("?") == UNREADABLE
    assert dates.latest(None) == NO_DATE
