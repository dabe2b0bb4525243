"""Connections to PostgreSQL: rights, bounds, what a version is, what health tells, and what errors say."""

# ruff: noqa: PT012 - errors in the middle of a transaction are what is tested

import socket
import time
from datetime import UTC, datetime

import pytest
from postgres_bed import backend_on, catalogue_of, spec_of
from sql_bed import ZONE
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DBAPIError

from connectors.sql.faults import fault_code, location_error
from connectors.sql.postgres import PostgresBackend
from ropa.connector import DatasetSpec
from ropa.errors import LocationError

CANARY = "canary-7f3a"


@pytest.fixture
def database(postgres):
    with postgres.create() as made:
        made.execute(
            "CREATE TABLE t (id bigint PRIMARY KEY, body text, CHECK (body <> 'bad'));"
            "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 10) g"
        )
        yield made


def code_of(backend, statement, *, is_writing=True):
    with backend.writing() if is_writing else backend.reading() as connection, pytest.raises(DBAPIError) as raised:
        if is_writing:
            with backend.transaction(connection):
                connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql(statement)
    return fault_code(raised.value)


def test_planning_works_with_select_alone_and_can_change_nothing(database):
    reader = database.role("reader", "SELECT")
    with backend_on(reader, DatasetSpec("t", "t", ZONE)) as backend:
        table = catalogue_of(backend).tables["t"]
        with backend.reading() as connection, backend.snapshot(connection):
            own = table.plain()
            keys = backend.load_keys(connection, "some", table.columns[:1], [(n, (n,)) for n in range(20_000)])
            versions = backend.versions(table)
            statement = select(keys.pos, *versions.columns(own)).join(own, own.c.id == keys.parts[0])
            assert len(backend.fetch(connection, statement)) == 10
        assert code_of(backend, "DELETE FROM t", is_writing=False) == "denied"
        assert code_of(backend, "DELETE FROM t") == "denied"
        health = backend.health()
        assert (health.may_read, health.may_delete) == (True, False)
    # A superuser cannot write either over a connection that plans.
    with backend_on(database.url) as backend:
        assert code_of(backend, "DELETE FROM t", is_writing=False) == "denied"
        assert code_of(backend, "CREATE TEMP TABLE x AS SELECT 1", is_writing=False) == "denied"
    assert database.execute("SELECT count(*) FROM t") == [(10,)]


def test_a_snapshot_sees_one_state_and_leaves_the_connection_whole_after_an_error(database):
    with backend_on(database.url) as backend, backend.reading() as connection:
        count = text("SELECT count(*) FROM t")
        with backend.snapshot(connection):
            assert backend.fetch(connection, count) == [(10,)]
            database.execute("DELETE FROM t WHERE id = 1")
            assert backend.fetch(connection, count) == [(10,)]
        with pytest.raises(DBAPIError), backend.snapshot(connection):
            connection.exec_driver_sql("SELECT 1/0")
        with pytest.raises(ZeroDivisionError), backend.snapshot(connection):
            raise ZeroDivisionError
        with backend.snapshot(connection):
            assert backend.fetch(connection, count) == [(9,)]


def test_a_transaction_is_all_or_nothing_even_when_an_error_was_swallowed(database):
    with backend_on(database.url) as backend, backend.writing() as connection:
        with pytest.raises(ValueError), backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM t WHERE id = 1")
            raise ValueError
        with pytest.raises(DBAPIError) as raised, backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM t WHERE id = 2")
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql("SELECT 1/0")
        assert fault_code(raised.value) == "failed"
        assert database.execute("SELECT count(*) FROM t") == [(10,)]
        with backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM t WHERE id = 3")
        assert database.execute("SELECT count(*) FROM t") == [(9,)]


def test_deferrable_references_are_checked_at_the_end(database):
    database.execute(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE; INSERT INTO a VALUES (1, NULL);"
        "INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1"
    )
    with backend_on(database.url) as backend, backend.writing() as connection:
        with backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM a")
            connection.exec_driver_sql("DELETE FROM b")
        database.execute("INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1)")
        with pytest.raises(DBAPIError) as raised, backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM a")
        assert fault_code(raised.value) == "referenced"
    assert database.execute("SELECT count(*) FROM a") == [(1,)]


def test_nothing_waits_or_runs_without_end(database):
    with backend_on(database.url, lock_timeout=0.2, statement_timeout=0.5) as backend:
        started = time.monotonic()
        assert code_of(backend, "SELECT pg_sleep(30)", is_writing=False) == "timeout"
        with backend.writing() as other, backend.transaction(other):
            other.exec_driver_sql("LOCK TABLE t")
            assert code_of(backend, "DELETE FROM t") == "busy"
            assert code_of(backend, "SELECT count(*) FROM t", is_writing=False) == "busy"
        assert time.monotonic() - started < 20
    for name, value in (("lock_timeout", 0), ("statement_timeout", -1), ("lock_timeout", "5"), ("lock_timeout", True),
                        ("statement_timeout", 1e9), ("lock_timeout", float("nan")), ("after_purge", "shred")):  # fmt: skip
        with pytest.raises(LocationError, match=name) as raised, backend_on(database.url, **{name: value}):
            pass
        assert raised.value.code == "option"


def test_the_version_changes_with_the_row_and_not_with_its_place(database):
    with backend_on(database.url, after_purge="vacuum full") as backend, backend.writing() as connection:
        table = backend.read_catalogue(connection).tables["t"]
        own, versions = table.plain(), backend.versions(table)
        statement = select(*versions.columns(own)).order_by(own.c.id)
        planned = versions.texts(backend.fetch(connection, statement))
        assert all(len(version) <= 60 and version.isascii() and " " not in version for version in planned)
        database.execute(
            "DELETE FROM t WHERE id = 1; UPDATE t SET body = body WHERE id = 2; SELECT * FROM t FOR UPDATE"
        )
        assert backend.finish(table) == "logical"
        database.execute("VACUUM (FULL, FREEZE) t")
        database.execute("CLUSTER t USING t_pkey")
        rows = backend.fetch(connection, statement)
        moved = versions.texts(rows)
        assert moved[1] != planned[2], "the row lies elsewhere now, or this tests nothing"
        assert versions.are_same(rows, planned[1:]) == [False] + [True] * 8
        assert versions.are_same(rows[:4], ["", "x1", "", "other"]) == [True, False, True, False]
        assert backend.versions(table).are_same(rows[2:3], [planned[3].partition(".")[0]]) == [False]


def test_rows_are_found_by_their_places(database):
    with backend_on(database.url) as backend, backend.writing() as connection:
        table = backend.read_catalogue(connection).tables["t"]
        own, versions = table.plain(), backend.versions(table)
        some = select(*versions.columns(own)).where(own.c.id.in_([3, 5]))
        planned = versions.texts(backend.fetch(connection, some))
        where = versions.whereabouts(own, planned)
        database.execute("UPDATE t SET body = 'moved' WHERE id = 5")
        with backend.transaction(connection):
            removed = backend.remove(connection, own, [where], [own.c.id, *versions.columns(own)])
        assert [row[0] for row in removed] == [3]
        assert versions.are_same([row[1:] for row in removed], planned[:1]) == [True]
        for odd in ("", "x1", "x1.zz", "x1.0000000000zz"):
            assert versions.whereabouts(own, [odd]) is None


def test_what_is_removed_comes_back_as_it_was_and_by_loaded_keys(database):
    with backend_on(database.url) as backend, backend.writing() as connection:
        table = backend.read_catalogue(connection).tables["t"]
        own = table.plain()
        for _ in range(2):  # the second time in binary
            database.execute("INSERT INTO t VALUES (4, 'row 4') ON CONFLICT DO NOTHING")
            with backend.transaction(connection):
                keys = backend.load_keys(connection, "going", table.columns[:1], [(0, (4,)), (1, (99,))])
                conditions = [own.c.id.in_(select(keys.parts[0]))]
                assert backend.remove(connection, own, conditions, [own.c.id, own.c.body]) == [(4, "row 4")]
    assert database.execute("SELECT count(*) FROM t") == [(9,)]


def test_row_level_security_hides_nothing_in_silence(database):
    reader = database.role("limited", "SELECT", "DELETE")
    database.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON t USING (id < 3)")
    with backend_on(reader, DatasetSpec("t", "t", ZONE)) as backend:
        assert code_of(backend, "SELECT count(*) FROM t", is_writing=False) == "denied"
        assert code_of(backend, "DELETE FROM t") == "denied"
        assert any("row level security" in note for note in backend.health().notes)
    with backend_on(database.url, DatasetSpec("t", "t", ZONE)) as backend:
        assert not any("row level security" in note for note in backend.health().notes)


def test_health_tells_who_we_are_and_the_servers_clock(database):
    reader, writer = (
        database.role("plans", "SELECT"),
        database.role("applies", "SELECT", "DELETE", "UPDATE (id)", on=["t"]),
    )
    declared = DatasetSpec("t", "t", ZONE)
    with backend_on(reader, declared, write_url=writer, after_purge="vacuum") as backend:
        health = backend.health()
        assert (health.is_reachable, health.may_read, health.may_delete) == (True, True, True)
        assert all(part in health.identity for part in ("plans", "PostgreSQL 1", database.name))
        assert abs((datetime.now(UTC) - health.now).total_seconds()) < 60
        assert any("applies" in note for note in health.notes)
        assert any("after_purge" in note for note in health.notes)
        assert not any("could also delete" in note for note in health.notes)
        with backend.reading() as connection:
            assert backend.replica_lag_seconds(connection) is None
        assert backend.settle() == "logical"
        assert backend.finish(catalogue_of(backend).tables["t"]) == "logical"
    with backend_on(writer, declared, write_url=writer) as backend:
        assert any("could also delete" in note for note in backend.health().notes)
    with backend_on(database.url, declared) as backend:
        assert any("superuser" in note for note in backend.health().notes)
    unlocking = database.role("unlocking", "SELECT", "DELETE")
    with backend_on(unlocking, declared) as backend:
        assert backend.health().may_delete is False
        assert any("grant UPDATE on one column" in note for note in backend.health().notes)
    stranger = database.role("stranger")
    with backend_on(stranger, declared) as backend:
        assert (backend.health().may_read, backend.health().may_delete) == (False, False)


def test_a_server_that_is_not_there_is_told_without_its_url():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://someone:{CANARY}@127.0.0.1:{taken.getsockname()[1]}/nowhere"
        with pytest.raises(LocationError) as raised:
            PostgresBackend(spec_of(url), make_url(url))
    assert raised.value.code == "unreachable"
    assert raised.value.__cause__ is None
    assert CANARY not in str(raised.value)
    assert "nowhere" not in str(raised.value)


def test_a_role_that_is_not_there_is_denied_and_a_database_is_unreachable(database):
    for url, code in (
        (make_url(database.url).set(username="nobody-here", password=CANARY), "denied"),
        (make_url(database.url).set(database="no-such-database"), "unreachable"),
    ):
        with pytest.raises(LocationError) as raised:
            PostgresBackend(spec_of(url), url)
        assert raised.value.code == code
        assert CANARY not in str(raised.value)


def test_a_connection_that_is_cut_is_told_and_the_next_one_works(database):
    with backend_on(database.url) as backend:
        with backend.writing() as connection, pytest.raises(DBAPIError) as raised, backend.transaction(connection):
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            database.execute(f"SELECT pg_terminate_backend({pid})")
            connection.exec_driver_sql("DELETE FROM t")
        assert fault_code(raised.value) == "unreachable"
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ropa'")
        with backend.writing() as connection, backend.transaction(connection):
            connection.exec_driver_sql("DELETE FROM t WHERE id = 1")
    assert database.execute("SELECT count(*) FROM t") == [(9,)]


def test_errors_become_codes_and_carry_no_value(database):
    database.execute(
        "CREATE TABLE k (t bigint REFERENCES t, CONSTRAINT needed CHECK (t > 0)); INSERT INTO k VALUES (1);"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no: %', OLD.body; END $$;"
        "CREATE TABLE r (body text); INSERT INTO r VALUES ('canary-7f3a');"
        "CREATE TRIGGER refuses BEFORE DELETE ON r FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    cases = {
        "DELETE FROM t WHERE id = 1": "referenced",
        "INSERT INTO t VALUES (2, 'canary-7f3a')": "integrity",
        "UPDATE t SET body = 'bad'": "integrity",
        "UPDATE t SET id = NULL": "integrity",
        "DELETE FROM r": "trigger",
        "DELETE FROM nothing": "missing",
        "SELECT nothing FROM t": "missing",
        "SELECT 'canary-7f3a'::int": "failed",
    }
    with backend_on(database.url) as backend:
        for statement, code in cases.items():
            assert code_of(backend, statement) == code, statement
            with backend.writing() as connection, pytest.raises(DBAPIError) as raised:
                connection.exec_driver_sql(statement)
            told = location_error("crm", raised.value)
            assert CANARY not in f"{told} {told.code} {told.next_step}"


def test_the_server_can_be_asked_by_the_short_name_of_its_scheme(database):
    url = database.url.replace("postgresql+psycopg", "postgres")
    with backend_on(url) as backend, backend.reading() as connection:
        settings = (
            "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('row_security')"
        )
        assert tuple(connection.exec_driver_sql(settings).one()) == ("ropa", "UTC", "off")


def test_a_missing_driver_names_the_extra_to_install(database, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LocationError, match="not installed") as raised:
        PostgresBackend(spec_of(database.url), make_url(database.url))
    assert "ropa[postgres]" in raised.value.next_step
