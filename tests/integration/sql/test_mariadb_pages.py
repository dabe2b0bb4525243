"""Rows of MariaDB as columns, and statements that prove by themselves what they take: the same as row by row, or nothing."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta

import pytest
from mariadb_bed import backend, opened
from sql_bed import CUTOFF, NOW, ZONE, act, dataset, due, every, found, whole, words
from sqlalchemy import event, select

from connectors.sql.backend import Dating
from connectors.sql.mariadb_dates import MariadbDates
from connectors.sql.mariadb_versions import HashVersions
from connectors.sql.versions import new_salt
from ropa.clock import start_of_day
from ropa.connector import Action, Before, FieldChange, Mask

OLD, NEW = "2020-01-02 10:00:00", "2026-11-01 10:00:00"
T = dataset("t")
SWAPPED = "name = IF(id = 2, 'n3', 'n2'), email = IF(id = 2, '3@x', '2@x'), amount = 5 - amount"


@pytest.fixture(params=["window", "list"])
def database(mariadb, request, monkeypatch):
    """Its records are named by a window of keys, or, as where few of many are due, one by one."""
    if request.param == "list":
        monkeypatch.setattr("connectors.sql.swift._SPARSEST", 0)
    with mariadb.create() as made:
        made.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(80), email VARCHAR(80), note TEXT, amount DECIMAL(9,2),"
            " created DATETIME, KEY (created))"
        )
        for number in range(1, 9):
            row = number, f"n{number}", f"{number}@x", "", number, NEW if number == 4 else OLD
            made.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s)", row)
        yield made


@contextmanager
def statements(crm):
    """The statements of the sessions that write."""
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(crm._backend._writes, "before_cursor_execute", note)
    yield seen
    event.remove(crm._backend._writes, "before_cursor_execute", note)


def left(database):
    return [row[0] for row in database.execute("SELECT id FROM t ORDER BY id")]


def test_a_batch_goes_by_one_delete_that_reads_nothing_first(database, request):
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        with statements(crm) as seen:
            assert set(words(act(crm, due("t"), batch=batch)).values()) == {"purged"}
        assert sum("DELETE FROM" in each for each in seen) == 1
        assert not any("FOR UPDATE" in each for each in seen)
        assert any("json_table" in each for each in seen) is ("list" in request.node.callspec.id)
        assert crm.remaining(due("t"), batch) == set()
    assert left(database) == [4]


CHANGES = [
    ("UPDATE t SET name = 'other' WHERE id = 3", {"3"}),
    ("UPDATE t SET email = NULL WHERE id = 3", {"3"}),
    ("UPDATE t SET note = NULL WHERE id = 3", {"3"}),
    ("UPDATE t SET amount = amount + 0.01 WHERE id = 8", {"8"}),
    ("UPDATE t SET name = 'n3 ' WHERE id = 3", {"3"}),
    ("UPDATE t SET name = 'N3' WHERE id = 3", {"3"}),
    ("UPDATE t SET name = CONCAT(name, email), email = '' WHERE id = 1", {"1"}),
    ("UPDATE t SET created = created - INTERVAL 1 SECOND WHERE id = 1", {"1"}),
    ("UPDATE t SET name = IF(id = 2, 'n3', 'n2') WHERE id IN (2, 3)", {"2", "3"}),
    (f"UPDATE t SET {SWAPPED} WHERE id IN (2, 3)", {"2", "3"}),
    ("UPDATE t SET id = IF(id = 2, 20, 2) WHERE id IN (2, 3) ORDER BY id", {"3"}),
]
"""What somebody else does after the plan, and whose rows are not as they were."""


@pytest.mark.parametrize(("change", "changed"), CHANGES)
@pytest.mark.sampled(one_in=3)
def test_whatever_changes_of_a_row_it_stays_and_the_others_go(database, change, changed):
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        database.execute(change)
        outcomes = words(act(crm, due("t"), batch=batch))
    expected = {"2": "changed", "3": "absent"} if "SET id" in change else dict.fromkeys(changed, "changed")
    assert outcomes == dict.fromkeys("1235678", "purged") | expected
    rows = {str(number) for number in left(database)}
    assert rows == {"4"} | ({"2", "20"} if "SET id" in change else changed)


CLEARED = due("t", fields=(FieldChange("name", Mask.CLEAR), FieldChange("amount", Mask.CLEAR)))
LAST = replace(CLEARED, tells_versions=False)


@pytest.mark.parametrize("selection", [CLEARED, LAST], ids=["followed", "last"])
def test_a_batch_is_cleared_and_told_how_it_reads_where_that_is_asked(database, selection):
    with opened(database, T) as crm:
        batch = whole(crm, selection)
        with statements(crm) as seen:
            told = crm.act(selection, batch, Action.ANONYMISE)
        assert {one.word.value for one in told} == {"anonymised"}
        assert sum("UPDATE `t`" in each for each in seen) == 1
        assert any("FOR UPDATE" in each for each in seen) is selection.tells_versions
        assert [one.version is None for one in told] == [not selection.tells_versions] * 7
        assert crm.remaining(selection, batch) == set()
        assert found(crm, selection) == []
    rows = database.execute("SELECT id, name, email, amount FROM t ORDER BY id")
    assert [row[2] for row in rows] == [f"{number}@x" for number in range(1, 9)]
    assert [row[0] for row in rows if row[1] is not None or row[3] is not None] == [4]


@pytest.mark.parametrize(("change", "changed"), CHANGES)
@pytest.mark.sampled(one_in=3)
def test_whatever_changes_of_a_row_nothing_of_it_is_cleared(database, change, changed):
    with opened(database, T) as crm:
        batch = whole(crm, LAST)
        database.execute(change)
        before = {row[0]: row for row in database.execute("SELECT * FROM t")}
        outcomes = words(act(crm, LAST, Action.ANONYMISE, batch=batch))
    expected = {"2": "changed", "3": "absent"} if "SET id" in change else dict.fromkeys(changed, "changed")
    assert outcomes == dict.fromkeys("1235678", "anonymised") | expected
    for row in database.execute("SELECT * FROM t"):
        if outcomes.get(str(row[0])) == "anonymised":
            assert row == (row[0], None, *before[row[0]][2:4], None, before[row[0]][5])
        else:
            assert row == before[row[0]]


def test_a_row_that_was_not_planned_and_lies_between_stays(database):
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        database.execute("UPDATE t SET created = %s WHERE id = 4", (OLD,))
        assert words(act(crm, due("t"), batch=batch)) == dict.fromkeys("1235678", "purged")
    assert left(database) == [4]


def test_one_planned_row_in_the_place_of_another_that_is_gone_is_noticed(database):
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        database.execute("DELETE FROM t WHERE id = 3")
        database.execute("UPDATE t SET created = %s WHERE id = 4", (OLD,))
        assert words(act(crm, due("t"), batch=batch)) == dict.fromkeys("125678", "purged") | {"3": "absent"}
    assert left(database) == [4]


def test_records_planned_under_several_salts_go(database):
    with opened(database, T) as first, opened(database, T) as second:
        batches = whole(first, due("t")), whole(second, due("t"))
        pairs = enumerate(zip(batches[0].versions, batches[1].versions, strict=True))
        mixed = [pair[place % 2] for place, pair in pairs]
        assert mixed not in [list(batch.versions) for batch in batches]
        batch = replace(batches[0], versions=mixed)
        assert set(words(act(second, due("t"), batch=batch)).values()) == {"purged"}


def test_the_server_makes_the_version_that_is_made_here(database):
    database.execute("UPDATE t SET name = NULL, note = 'é😀' WHERE id = 2")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own, versions = table.plain(), HashVersions(table, new_salt())
        salt, hashed = versions.salted(own)
        rows = made.fetch(connection, select(*versions.columns(own), hashed).order_by(own.c.id))
        here = versions.texts([row[:1] for row in rows])
    assert here == [f"{salt}.{row[1]}" for row in rows]
    assert len(set(here)) == 8


def test_what_is_read_back_is_every_planned_record_that_is_there_whatever_became_of_it(database):
    database.execute("INSERT INTO t (id, created) VALUES (-3, %s), (0, %s)", (OLD, OLD))
    with opened(database, T) as crm:
        batch = whole(crm, due("t"))
        database.execute("DELETE FROM t WHERE id IN (1, 5)")
        database.execute("UPDATE t SET created = %s WHERE id IN (-3, 7)", (NEW,))
        there = {key[0] for key in crm.remaining(due("t"), batch)}
    assert there == {"-3", "0", "2", "3", "6", "7", "8"}


@pytest.mark.parametrize("declared", ["CHAR(36) CHARACTER SET ascii", "VARCHAR(40)", "BIGINT UNSIGNED", "INT ZEROFILL"])
def test_keys_of_other_types_are_told_as_they_are_and_go(mariadb, declared):
    is_text = "CHAR" in declared
    names = ["", "a\x1fb", "a,b", "quo'te", "z"] if is_text else ["0", "7", "31", "1000", "4294967295"]
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id {declared} PRIMARY KEY, created DATETIME)")
        for name in names:
            database.execute("INSERT INTO t VALUES (%s, %s)", (name, OLD))
        with opened(database, T) as crm:
            records = found(crm, due("t"))
            assert [record.key[0] for record in records] == sorted(names, key=str if is_text else int)
            with statements(crm) as seen:
                assert words(act(crm, due("t"))) == dict.fromkeys(names, "purged")
            assert sum("DELETE FROM" in each for each in seen) == 1
            assert crm.remaining(every("t"), whole(crm, every("t"))) == set() if left(database) else True
        assert left(database) == []


# --- dates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["DATE", "DATETIME", "DATETIME(3)", "TIMESTAMP NULL"])
@pytest.mark.parametrize("day", [CUTOFF, date(2024, 2, 29), date(2023, 3, 26), date(2023, 10, 29), date(2023, 3, 1)])
def test_what_is_surely_before_is_exactly_what_is_read_as_before(mariadb, declared, day):
    before = Before("created", day, start_of_day(day, ZONE))
    moments = {str(day + timedelta(days=n)) for n in range(-3, 4)}
    moments |= {f"{each} {clock}" for each in moments for clock in ("00:00:00", "01:59:59", "22:00:00", "23:59:59")}
    odd = set() if "TIMESTAMP" in declared else {"2020-02-29", "2020-02-31", "2020-00-05", "2020-05-00", "0000-00-00"}
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, created {declared} NULL)")
        database.execute("INSERT INTO t (created) VALUES (NULL)")
        for moment in sorted(moments | odd):
            database.execute(f"SET sql_mode = 'ALLOW_INVALID_DATES'; INSERT INTO t (created) VALUES ('{moment}')")
        with backend(database, "t") as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            own, column = table.plain(), table.column("created")
            dates = MariadbDates.of(column, Dating(ZONE, None, ZONE, NOW))
            surely = dates.surely_before(own.c.created, before)
            if surely is None:
                assert declared != "DATE"
                assert day.month in {3, 10}
                return
            told = made.fetch(connection, select(own.c.created, surely))
    assert [bool(is_before) for _, is_before in told] == [0 < dates.number(raw) < day.toordinal() for raw, _ in told]


def test_many_dates_read_at_once_are_read_as_one_by_one(mariadb):
    values = [None, OLD, "0000-00-00 00:00:00", "2026-11-21 23:30:00", "2026-11-22 23:30:00", "2020-03-29 02:30:00"]
    with mariadb.create() as database:
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, created DATETIME)")
        with backend(database, "t") as made, made.reading() as connection:
            column = made.read_catalogue(connection).tables["t"].column("created")
    for zone in ("UTC", "Europe/Brussels", "America/Havana"):
        number = MariadbDates.of(column, Dating(type(ZONE)(zone), None, ZONE, NOW)).number
        assert number.all(values) == [number(value) for value in values]
        assert number.all(values[1:3] * 2) == [number(value) for value in values[1:3]] * 2
