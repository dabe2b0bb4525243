"""The servers that other tests rely on keep what ``tests/servers.py`` promises."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import servers
from servers import ServerFailed, ServerMissing
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

TABLE = "CREATE TABLE person (id INT PRIMARY KEY, name VARCHAR(40), seen BOOLEAN)"


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def people(server):
    with server.create() as database:
        database.execute(TABLE)
        database.execute("INSERT INTO person VALUES (2, 'Bo', NULL), (1, 'An', TRUE)")
        yield database


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds):
    until = time.monotonic() + 30
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def may(url, statement):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError:
        return False
    finally:
        engine.dispose()
    return True


def test_databases_of_one_server_do_not_see_each_other(server):
    with server.create() as one, server.create() as other:
        one.execute(TABLE)
        assert one.name != other.name
        assert one.tables() == ["person"]
        assert other.tables() == []


def test_the_url_reaches_the_same_database(people):
    engine = create_engine(people.url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM person ORDER BY id")).scalars().all() == ["An", "Bo"]
    engine.dispose()


def test_execute_returns_the_rows_of_the_last_statement(people):
    assert people.execute("DELETE FROM person WHERE id = 2; SELECT id, name FROM person") == [(1, "An")]
    assert people.execute("SELECT name FROM person WHERE id = %s", [1]) == [("An",)]
    assert people.execute("DELETE FROM person") == []


def test_a_dump_shows_rows_in_one_order_and_every_change(people):
    before = people.dump()
    assert [row[:2] for row in before["person"]] == [("1", "An"), ("2", "Bo")]
    assert before["person"][1][2] is None
    people.execute("UPDATE person SET seen = FALSE WHERE id = 2")
    assert people.dump() != before
    people.execute("UPDATE person SET seen = NULL WHERE id = 2")
    assert people.dump() == before
    people.execute("CREATE TABLE other (id INT)")
    assert people.dump() == before | {"other": []}
    assert people.dump("other") == {"other": []}


def test_a_dump_of_postgresql_has_partitions_infinity_and_odd_names(postgres):
    with postgres.create() as database:
        database.execute('CREATE SCHEMA "Odd One"')
        database.execute('CREATE TABLE "Odd One"."a ""b""" ("x y" DATE) PARTITION BY RANGE ("x y")')
        database.execute('CREATE TABLE part PARTITION OF "Odd One"."a ""b""" DEFAULT')
        database.execute("INSERT INTO part VALUES ('infinity')")
        assert database.dump() == {"part": [("infinity",)]}


def test_a_dump_of_mariadb_has_zero_dates_bytes_and_odd_names(mariadb):
    with mariadb.create() as database:
        database.execute("CREATE TABLE `a ``b` (day DATETIME, raw VARBINARY(4))")
        database.execute("INSERT INTO `a ``b` VALUES ('0000-00-00', X'00FF')")
        assert database.dump() == {"a `b": [("0000-00-00 00:00:00", b"\x00\xff")]}


def test_a_role_that_may_select_may_do_nothing_else(people):
    url = people.role("reader", "SELECT")
    before = people.dump()
    assert may(url, "SELECT count(*) FROM person")
    assert not may(url, "DELETE FROM person")
    assert not may(url, "UPDATE person SET name = 'x'")
    assert not may(url, "INSERT INTO person VALUES (3, 'x', NULL)")
    assert not may(url, "CREATE TEMPORARY TABLE t (id INT)")
    assert not may(url, "CREATE TABLE t (id INT)")
    assert people.dump() == before


def test_a_role_may_do_each_thing_that_it_was_granted(people):
    url = people.role("purger", "SELECT", "DELETE", "UPDATE", "TEMPORARY")
    assert may(url, "UPDATE person SET name = 'x' WHERE id = 1")
    assert may(url, "DELETE FROM person WHERE id = 2")
    assert may(url, "CREATE TEMPORARY TABLE t (id INT)")
    assert not may(url, "INSERT INTO person VALUES (3, 'x', NULL)")
    assert people.execute("SELECT id, name FROM person") == [(1, "x")]


def test_a_role_reaches_only_the_tables_it_was_given(people):
    people.execute("CREATE TABLE other (id INT)")
    url = people.role("reader", "SELECT", on=["other"])
    assert may(url, "SELECT count(*) FROM other")
    assert not may(url, "SELECT count(*) FROM person")


def test_a_dropped_database_takes_its_roles_along(server):
    database = server.create()
    database.execute(TABLE)
    url = database.role("reader", "SELECT")
    assert may(url, "SELECT count(*) FROM person")
    database.drop()
    assert not may(url, "SELECT 1")


def test_loading_stays_in_the_database_whatever_the_file_says(server, tmp_path):
    script = "DROP DATABASE IF EXISTS elsewhere;\nCREATE DATABASE elsewhere;\nUSE elsewhere;\n\\c elsewhere;\n"
    (tmp_path / "dump.sql").write_text(f"{script}CREATE TABLE here (id INT);\n")
    with server.create() as database:
        database.load(tmp_path / "dump.sql")
        assert database.tables() == ["here"]


def test_loading_stops_at_the_first_error_and_says_so(server, tmp_path):
    (tmp_path / "dump.sql").write_text("SELECT 1 FROM nothing_here;\nCREATE TABLE after (id INT);\n")
    with server.create() as database:
        with pytest.raises(ServerFailed, match="nothing_here"):
            database.load(tmp_path / "dump.sql")
        assert database.tables() == []


def test_a_copy_of_a_database_is_its_own(postgres):
    with postgres.create() as first:
        first.execute(TABLE)
        first.execute("INSERT INTO person VALUES (1, 'An', NULL)")
        with postgres.create(first) as copy:
            copy.execute("DELETE FROM person")
            assert first.dump()["person"] == [("1", "An", None)]
            assert not may(copy.role("reader", "SELECT"), "CREATE TEMPORARY TABLE t (id INT)")


def test_a_stopped_server_is_gone_with_its_folder(server):
    other = type(server).start()
    with other.create() as database:
        database.execute(TABLE)
    assert is_alive(other.pid)
    other.stop()
    assert not is_alive(other.pid)
    assert not other.folder.exists()
    other.stop()
    assert server.create().tables() == []


def test_a_server_is_gone_when_the_process_that_started_it_is_killed(server):
    kind = type(server).__name__
    code = f"from servers import {kind}; import time; s = {kind}.start(); print(s.pid, s.folder, flush=True); time.sleep(300)"
    environment = os.environ | {"PYTHONPATH": str(Path(servers.__file__).parent)}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True)
    with child:
        pid, folder = child.stdout.readline().split()
        assert is_alive(pid)
        child.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid) and not Path(folder).exists())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(server, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own can be entered by its owner only
        Path(folder).chmod(0o755)
        monkeypatch.setattr("tempfile.tempdir", folder)
        with pytest.raises(ServerFailed, match=r"no_such_setting|no-such-setting"):
            type(server).start(no_such_setting=1)
        assert list(Path(folder).iterdir()) == []


def test_a_server_whose_folder_cannot_be_prepared_leaves_nothing(server, monkeypatch):
    started = []
    monkeypatch.setattr(servers, "program", lambda *_: "/bin/false")
    monkeypatch.setattr(
        "tempfile.mkdtemp",
        lambda **_: (
            started.append(Path("/tmp") / f"ropa-no-{time.time_ns()}") or started[-1].mkdir() or str(started[-1])
        ),
    )
    with pytest.raises(ServerFailed):
        type(server).start()
    assert started
    assert not any(folder.exists() for folder in started)


def test_a_server_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ServerMissing, match="make servers"):
        servers.program("no-such-program", "/usr/lib/nowhere/*/bin")
