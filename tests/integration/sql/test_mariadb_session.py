"""Sessions with a MariaDB server: what they may do, what ends them, and what is told of it."""

# ruff: noqa: PT012 - what happens before the error is part of the story

import threading
import time
from datetime import UTC, datetime

import pytest
from mariadb_bed import backend, other, until_somebody_waits
from sql_bed import ZONE
from sqlalchemy import delete, make_url, select, text
from sqlalchemy.exc import DBAPIError

from connectors.sql.backend import UnevenError
from connectors.sql.catalogue import bound
from connectors.sql.conditions import is_one_of
from connectors.sql.faults import fault_code
from connectors.sql.mariadb import MariadbBackend
from connectors.sql.mariadb_faults import code_of
from connectors.sql.mariadb_health import Rights
from ropa.connector import LocationSpec
from ropa.errors import LocationError


@pytest.fixture
def database(mariadb):
    with mariadb.create() as made:
        made.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
        yield made


def test_a_session_is_in_utc_strict_and_bounded(database):
    with backend(database, lock_timeout=3, statement_timeout=7) as made, made.writing() as connection:
        found = connection.exec_driver_sql(
            "SELECT @@time_zone, @@sql_mode, @@innodb_lock_wait_timeout, @@max_statement_time, @@foreign_key_checks,"
            " @@character_set_connection, @@tx_isolation, @@autocommit"
        ).one()
    assert found[0] == "+00:00"
    assert "STRICT_TRANS_TABLES" in found[1]
    assert "NO_ZERO" not in found[1]
    assert found[2:] == (3, 7, 1, "utf8mb4", "READ-COMMITTED", 1)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM t", "UPDATE t SET v = 0", "INSERT INTO t VALUES (9, 9)", "CREATE TABLE u (id INT)"]
)
def test_a_reading_session_cannot_write_whoever_it_is(database, statement):
    with backend(database) as made, made.reading() as connection:
        with pytest.raises(DBAPIError) as caught, made.snapshot(connection):
            connection.exec_driver_sql(statement)
        assert fault_code(caught.value) == "denied"
        with pytest.raises(DBAPIError):
            connection.exec_driver_sql(statement)
    assert database.execute("SELECT * FROM t") == [(1, 1), (2, 2), (3, 3)]


def test_a_snapshot_sees_one_state(database):
    with backend(database) as made, made.reading() as connection:
        with made.snapshot(connection):
            database.execute("DELETE FROM t")
            assert connection.execute(text("SELECT COUNT(*) FROM t")).scalar() == 3
        assert connection.execute(text("SELECT COUNT(*) FROM t")).scalar() == 0


def test_a_user_that_may_only_read_can_plan(database):
    reader = database.role("reader", "SELECT")
    with backend(database, "t", url=reader) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        with made.snapshot(connection):
            keys = made.load_keys(connection, "some", table.columns[:1], [(0, (1,)), (1, (7,))])
            statement = select(own.c.id, *made.versions(table).columns(own)).where(is_one_of([own.c.id], keys))
            assert [row[0] for row in made.fetch(connection, statement)] == [1]
        health = made.health()
        assert (health.is_reachable, health.may_read, health.may_delete) == (True, True, False)
        assert "triggers cannot be seen without the privilege TRIGGER" in health.notes
        with made.writing() as writing, pytest.raises(DBAPIError) as caught, made.transaction(writing):
            made.remove(writing, own, [own.c.id == bound(1)], [own.c.id])
        assert fault_code(caught.value) == "denied"


def test_two_users_are_told_apart(database):
    reader, remover = database.role("reader", "SELECT"), database.role("remover", "SELECT", "DELETE")
    with backend(database, "t", url=reader, write_url=remover) as made:
        health = made.health()
        assert (health.may_read, health.may_delete, health.planning_may_delete) == (True, True, False)
        assert "reader" in health.identity
        assert health.now is not None
        assert abs(health.now - datetime.now(UTC)).total_seconds() < 60
        with made.reading() as connection:
            own = made.read_catalogue(connection).tables["t"].plain()
        with made.writing() as connection, made.transaction(connection):
            assert made.remove(connection, own, [own.c.id == bound(1)], [own.c.id, own.c.v]) == [(1, 1)]
    with backend(database, "t", url=remover, write_url=remover) as made:
        assert any("could delete as well" in note for note in made.health().notes)
        assert made.health().planning_may_delete is True
    with backend(database, "t") as made:
        assert any("may do everything" in note for note in made.health().notes)
        assert not any("TRIGGER" in note for note in made.health().notes)


def test_rights_on_single_tables_patterns_and_columns():
    def rights(*lines):
        class Session:
            def exec_driver_sql(self, _):
                return [(line,) for line in lines]

        return Rights.of(Session())

    some = rights(
        "GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*0000'",
        "GRANT SELECT, DELETE ON `crm`.`a ``b` TO `u`@`%`",
        r"GRANT SELECT ON `my\_app`.* TO `u`@`%`",
        "GRANT SELECT (`id`), DELETE ON `crm`.`cut` TO `u`@`%`",
        "GRANT ALL PRIVILEGES ON `shop%`.* TO `u`@`%`",
    )
    assert some.may("DELETE", "crm", "a `b")
    assert not some.may("DELETE", "crm", "ab")
    assert some.may("SELECT", "my_app", "x")
    assert not some.may("SELECT", "myxapp", "x")
    assert not some.may("SELECT", "crm", "cut")
    assert some.may("DELETE", "crm", "cut")
    assert some.may("DELETE", "shop_1", "x")
    assert not some.is_everything


# --- removing -----------------------------------------------------------------------------------------------------


def removing(database, made, connection, *conditions):
    own = made.read_catalogue(connection).tables["t"].plain()
    return own, [condition(own) for condition in conditions]


def test_what_was_read_is_locked_until_it_is_gone(database):
    with backend(database) as made, made.writing() as connection, other(database, autocommit=True) as session:
        own, conditions = removing(database, made, connection, lambda own: own.c.v <= bound(2))
        cursor = session.cursor()
        cursor.execute("SET innodb_lock_wait_timeout = 1")
        fetch = made.fetch

        def fetched(connection, statement):
            rows = fetch(connection, statement)
            with pytest.raises(Exception, match="Lock wait timeout"):
                cursor.execute("UPDATE t SET v = 9 WHERE id = 1")
            cursor.execute("UPDATE t SET v = 9 WHERE id = 3")
            return rows

        for _ in range(2):  # row by row, and by way of one text
            made.fetch = fetched
            with pytest.raises(ZeroDivisionError), made.transaction(connection):
                assert sorted(made.remove(connection, own, conditions, [own.c.id])) == [(1,), (2,)]
                raise ZeroDivisionError
        assert database.execute("SELECT * FROM t") == [(1, 1), (2, 2), (3, 9)]


def test_a_row_that_comes_to_meet_the_conditions_in_between_is_one_too_many(database):
    with backend(database) as made, made.writing() as connection:
        own, conditions = removing(database, made, connection, lambda own: own.c.v <= bound(2))
        fetch = made.fetch

        def fetched(connection, statement):
            rows = fetch(connection, statement)
            database.execute("INSERT INTO t VALUES (4, 0)")
            return rows

        made.fetch = fetched
        with pytest.raises(UnevenError), made.transaction(connection):
            made.remove(connection, own, conditions, [own.c.id])
    assert len(database.execute("SELECT * FROM t")) == 4


@pytest.mark.parametrize("action", ["RESTRICT", "CASCADE", "SET NULL"])
def test_rows_that_refer_to_each_other_go_together(mariadb, action):
    with mariadb.create() as database:
        database.execute(
            f"CREATE TABLE staff (id INT PRIMARY KEY, boss INT, FOREIGN KEY (boss) REFERENCES staff (id) ON DELETE {action});"
            "INSERT INTO staff VALUES (1, NULL), (2, 1), (3, 2), (4, 1), (9, NULL)"
        )
        with backend(database) as made, made.writing() as connection:
            table = made.read_catalogue(connection).tables["staff"]
            own = table.plain()
            keys = made.load_keys(connection, "some", table.columns[:1], [(n, (n,)) for n in (1, 2, 3, 4)])
            for conditions in ([own.c.id < bound(9)], [is_one_of([own.c.id], keys)]):
                with pytest.raises(ZeroDivisionError), made.transaction(connection):
                    assert sorted(made.remove(connection, own, conditions, [own.c.id])) == [(1,), (2,), (3,), (4,)]
                    assert connection.execute(text("SELECT id FROM staff")).all() == [(9,)]
                    raise ZeroDivisionError
        assert database.execute("SELECT boss FROM staff ORDER BY id") == [(None,), (1,), (2,), (1,), (None,)]


TIED = (
    "CREATE TABLE staff (id INT PRIMARY KEY, boss INT{null}, seen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
    " ON UPDATE CURRENT_TIMESTAMP, FOREIGN KEY (boss) REFERENCES staff (id));"
    "INSERT INTO staff VALUES (1, 1, '2020-01-01'), (2, 2, '2020-01-01'), (3, 2, '2020-01-01'), (9, 9, '2020-01-01');"
    "UPDATE staff SET boss = 3, seen = '2020-01-01' WHERE id = 2"
)
"""1 refers to itself, 2 and 3 to each other."""


def remove_tied(database, made, connection):
    """Remove 1, 2 and 3 as what was seen before a day."""
    own = made.read_catalogue(connection).tables["staff"].plain()
    with made.transaction(connection):
        conditions = [own.c.id < bound(9), own.c.seen < bound("2021-01-01")]
        return sorted(made.remove(connection, own, conditions, [own.c.id]))


def test_a_row_that_refers_to_itself_and_rows_in_a_circle_go(mariadb):
    """Also where their being cut loose would count as a change, from which the limit runs."""
    with mariadb.create() as database:
        database.execute(TIED.format(null=""))
        with backend(database) as made, made.writing() as connection:
            assert remove_tied(database, made, connection) == [(1,), (2,), (3,)]
        assert [row[:2] for row in database.execute("SELECT * FROM staff")] == [(9, 9)]


@pytest.mark.parametrize(
    ("null", "more"),
    [
        (" NOT NULL", ""),
        ("", ";CREATE TRIGGER told AFTER UPDATE ON staff FOR EACH ROW SET @told = OLD.boss"),
        ("", ";CREATE TABLE cars (boss INT, FOREIGN KEY (boss) REFERENCES staff (boss) ON UPDATE CASCADE)"),
        ("", ";ALTER TABLE staff ADD CHECK (boss IS NOT NULL)"),
    ],
    ids=["no-null", "trigger", "referred-to", "check"],
)
def test_rows_that_cannot_be_cut_loose_stay(mariadb, null, more):
    with mariadb.create() as database:
        database.execute(TIED.format(null=null) + more)
        with backend(database) as made, made.writing() as connection:
            with pytest.raises(DBAPIError) as caught:
                remove_tied(database, made, connection)
            assert fault_code(caught.value) == "integrity"
        assert [row[1] for row in database.execute("SELECT * FROM staff ORDER BY id")] == [1, 3, 2, 9]


def test_rows_are_not_cut_loose_by_one_who_may_not_change_them(mariadb):
    with mariadb.create() as database:
        database.execute(TIED.format(null=""))
        eraser = database.role("eraser", "SELECT, DELETE")
        with backend(database, url=eraser) as made, made.writing() as connection:
            with pytest.raises(DBAPIError) as caught:
                remove_tied(database, made, connection)
            assert fault_code(caught.value) == "integrity"
        assert len(database.execute("SELECT * FROM staff")) == 4


# --- faults -------------------------------------------------------------------------------------------------------


def test_a_lock_is_waited_for_no_longer_than_configured(database):
    with backend(database, lock_timeout=1) as made, made.writing() as connection, other(database) as session:
        own, conditions = removing(database, made, connection, lambda own: own.c.id == bound(1))
        session.cursor().execute("UPDATE t SET v = 9 WHERE id = 1")
        begun = time.monotonic()
        with pytest.raises(DBAPIError) as caught, made.transaction(connection):
            made.remove(connection, own, conditions, [own.c.id])
        assert fault_code(caught.value) == "busy"
        assert time.monotonic() - begun < 15
        session.rollback()
        with made.transaction(connection):
            assert made.remove(connection, own, conditions, [own.c.id]) == [(1,)]


def test_a_deadlock_undoes_everything_and_is_worth_another_try(database):
    with backend(database) as made, made.writing() as connection, other(database) as session:
        own, _ = removing(database, made, connection)
        session.cursor().execute(
            "INSERT INTO t SELECT seq + 10, seq FROM seq_1_to_50"
        )  # so that the other is worth more
        session.cursor().execute("UPDATE t SET v = 9 WHERE id = 2")
        waiting = threading.Thread(target=lambda: session.cursor().execute("UPDATE t SET v = 9 WHERE id = 1"))
        with pytest.raises(DBAPIError) as caught, made.transaction(connection):
            made.remove(connection, own, [own.c.id == bound(1)], [own.c.id])
            waiting.start()
            until_somebody_waits(database)
            made.remove(connection, own, [own.c.id == bound(2)], [own.c.id])
        waiting.join()
        assert fault_code(caught.value) == "busy"
        session.rollback()
        assert database.execute("SELECT * FROM t") == [(1, 1), (2, 2), (3, 3)]
        with made.transaction(connection):
            assert made.remove(connection, own, [own.c.id == bound(1)], [own.c.id]) == [(1,)]


def test_a_statement_that_takes_too_long_is_given_up(database):
    with backend(database, statement_timeout=0.2) as made, made.reading() as connection:
        with pytest.raises(DBAPIError) as caught:
            connection.exec_driver_sql("SELECT COUNT(*) FROM t a JOIN (SELECT SLEEP(5) s) b ON b.s = a.id")
        assert fault_code(caught.value) == "timeout"


def test_a_session_that_was_ended_is_told_and_the_next_one_works(database):
    with backend(database) as made:
        with made.reading() as connection, pytest.raises(DBAPIError) as caught:
            number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
            database.execute(f"KILL {number}")
            connection.exec_driver_sql("SELECT 1")
        assert fault_code(caught.value) == "unreachable"
        with made.reading() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [(1213, "busy"), (1205, "busy"), (1969, "timeout"), (1451, "integrity"), (1062, "integrity"), (4025, "integrity"), (1142, "denied"),
     (2013, "unreachable"), (1114, "full"), (1644, "trigger"), (1146, "missing"), (1290, "denied"), (0, "unreachable"), (31000, "failed")],
)  # fmt: skip
def test_numbers_of_errors_have_a_code(number, code):
    import pymysql

    assert code_of(pymysql.err.OperationalError(number, "text with a value")) == code


def test_errors_of_others_are_not_ours():
    assert code_of(ValueError(1213)) is None


def test_constraints_and_triggers_are_told_apart(mariadb):
    with mariadb.create() as database:
        database.execute(
            "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id));"
            "CREATE TABLE g (id INT PRIMARY KEY, v INT NOT NULL CHECK (v > 0)); INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1);"
            "INSERT INTO g VALUES (1, 1); CREATE TRIGGER no BEFORE DELETE ON g FOR EACH ROW SIGNAL SQLSTATE '45000'"
        )
        with backend(database) as made, made.writing() as connection:
            codes = []
            for statement in (
                "DELETE FROM p",
                "UPDATE g SET v = -1",
                "UPDATE g SET v = NULL",
                "DELETE FROM g",
                "DELETE FROM nowhere",
            ):
                with pytest.raises(DBAPIError) as caught:
                    connection.exec_driver_sql(statement)
                codes.append(fault_code(caught.value))
    assert codes == ["integrity", "integrity", "integrity", "trigger", "missing"]


# --- opening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("mysql://nobody@127.0.0.1:{port}/{name}", "denied"), ("mysql://root@127.0.0.1:{port}/no_such_database", "unreachable"),
        ("mysql://root@127.0.0.1:1/{name}", "unreachable"), ("mysql://root@127.0.0.1:{port}/", "url"),
        ("mysql+mysqldb://root@127.0.0.1:{port}/{name}", "url"), ("mysql://root@127.0.0.1:{port}/{name}?local_infile=1", "url"),
        ("mysql://root@127.0.0.1:{port}/{name}?read_default_file=/etc/passwd", "url"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_told_without_the_url(database, url, code):
    written = url.format(port=database.server.port, name=database.name)
    with pytest.raises(LocationError) as caught:
        MariadbBackend(LocationSpec("crm", "sql", ZONE), make_url(written))
    assert caught.value.code == code
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_driver_is_told_with_what_to_install(database, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    with pytest.raises(LocationError) as caught:
        MariadbBackend(LocationSpec("crm", "sql", ZONE), make_url(database.url))
    assert "ropa[mysql]" in (caught.value.next_step or "")


def test_a_socket_will_do(database):
    with backend(database, url=f"mariadb://root@/{database.name}?unix_socket={database.server.socket}") as made:
        assert made.health().is_reachable


# --- what stays ---------------------------------------------------------------------------------------------------


def test_what_stays_behind_is_told_honestly(database):
    with backend(database, after_purge="vacuum") as made:
        with made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            before = made.schema_version(connection)
        assert made.settle() == "logical"
        time.sleep(1.1)
        assert made.finish(table) == "logical"
        with made.reading() as connection:
            assert made.schema_version(connection) != before, "the table was not written anew"
    with backend(database, after_purge="vacuum", url=database.role("reader", "SELECT")) as made:
        assert made.finish(table) == "logical"


def test_a_server_that_copies_none_has_no_lag(database):
    with backend(database) as made, made.reading() as connection:
        assert made.replica_lag_seconds(connection) is None


def test_an_update_by_keys_looks_them_up(database):
    database.execute("INSERT INTO t SELECT seq + 10, seq FROM seq_1_to_5000; ANALYZE TABLE t")
    with backend(database) as made, made.writing() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        keys = made.load_keys(connection, "some", table.columns[:1], [(0, (1,)), (1, (2,)), (2, (2,))])
        connection.exec_driver_sql("FLUSH STATUS")
        assert (
            connection.execute(own.update().where(is_one_of([own.c.id], keys)).values({own.c.v: bound(2)})).rowcount
            == 2
        )
        assert connection.execute(delete(own).where(is_one_of([own.c.id], keys), own.c.v == bound(2))).rowcount == 2
        rows = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read_%%'").all()
        assert sum(int(number) for name, number in rows if name != "Handler_read_rnd_deleted") < 200
