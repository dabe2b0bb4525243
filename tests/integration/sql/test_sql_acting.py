"""Acting: re-checks, masks, trouble with the database, interruptions, and what is left in the bytes."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sql_bed import act, ask, column, dataset, due, found, keys, make, opened, purge, spec, undated, whole, words

from connectors.sql import TYPE, sqlite
from ropa.connector import Action, Batch, Condition, FieldChange, Mask, OutcomeWord, Spare
from ropa.errors import LocationError

OLD, NEW = "2020-01-02", "2026-11-01"
TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, created TEXT);"
T = dataset("t", subject=("name",))


@pytest.fixture
def path(tmp_path):
    return make(
        tmp_path / "crm.sqlite", TABLE, [("INSERT INTO t VALUES (?, ?, ?)", [(n, f"n{n}", OLD) for n in range(1, 7)])]
    )


def test_what_changed_went_or_was_held_since_it_was_found_is_told_and_stays(path):
    with opened(path, T) as crm:
        batch = whole(crm, due("t"))
        ask(path, "UPDATE t SET name = 'other' WHERE id = 2")
        ask(path, "UPDATE t SET created = ? WHERE id = 3", NEW)
        ask(path, "DELETE FROM t WHERE id = 4")
        ask(path, "DELETE FROM t WHERE id = 5")
        ask(path, "INSERT INTO t VALUES (5, 'another', ?)", OLD)
        selection = due("t", spare=Spare(keys={"t": frozenset({("6",)})}))
        told = {"1": "purged", "2": "changed", "3": "changed", "4": "absent", "5": "changed", "6": "held"}
        assert words(act(crm, selection, batch=batch)) == told
        assert crm.remaining(selection, batch) == {("2",), ("3",), ("5",), ("6",)}
        assert words(act(crm, selection, batch=batch)) == told | {"1": "absent"}
    assert column(path, "SELECT id FROM t") == [2, 3, 5, 6]


def test_the_selection_decides_also_where_no_version_was_kept(path):
    with opened(path, T) as crm:
        batch = whole(crm, due("t"))
        bare = Batch.of(batch.dataset, (replace(record, version="") for record in batch.records))
        ask(path, "UPDATE t SET name = NULL WHERE id = 1")
        ask(path, "UPDATE t SET created = ? WHERE id = 2", NEW)
        selection = due("t", match=(Condition("name", (None,), negated=True),), keys=(("3",), ("1",), ("2",)))
        assert words(act(crm, selection, batch=bare)) == {
            "1": "changed",
            "2": "changed",
            "3": "purged",
        } | dict.fromkeys("456", "changed")


def test_a_version_made_by_another_process_is_understood_and_nonsense_is_a_change(path):
    with opened(path, T) as planner:
        batch = whole(planner, due("t"))
    assert len({record.version for record in batch.records}) == 6
    odd = (
        replace(batch.records[0], version="nonsense"),
        replace(batch.records[1], version="00.11"),
        *batch.records[2:],
    )
    with opened(path, T) as crm:
        assert words(act(crm, due("t"), batch=Batch.of(batch.dataset, odd))) == {
            "1": "changed",
            "2": "changed",
        } | dict.fromkeys("3456", "purged")


def test_what_stands_against_a_record_is_told_again(path):
    with opened(path, T) as crm:
        batch = whole(crm, due("t", keys=(("1",),)))
        marked = Batch.of(batch.dataset, (replace(batch.records[0], obstacle="hard-link"),))
        assert act(crm, due("t"), batch=marked) == [("1", OutcomeWord.BLOCKED, "hard-link")]


def test_calls_that_cannot_be_meant_are_refused(path):
    fields = (FieldChange("name"),)
    with opened(path, T) as crm:
        batch = whole(crm, due("t"))
        ridden = replace(batch, companions=(Batch.of("t", batch.records[:1], (Batch.of("t", batch.records[1:2]),)),))
        for selection, action, given in [
            (due("t"), Action.FLAG, batch), (due("t"), Action.ANONYMISE, batch), (due("t", fields=fields), Action.PURGE, batch),
            (undated("t"), Action.PURGE, batch), (due("t", check_anchors=False), Action.PURGE, batch),
            (due("t", fields=fields), Action.ANONYMISE, ridden), (due("x"), Action.PURGE, batch),
        ]:  # fmt: skip
            told = act(crm, selection, action, batch=given)
            assert {word for _, word, _ in told} == {OutcomeWord.REFUSED}
    assert column(path, "SELECT count(*) FROM t") == [6]


# --- masks --------------------------------------------------------------------------------------------------------

PEOPLE = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT, must TEXT NOT NULL, born DATE, ip TEXT, nick TEXT UNIQUE NOT NULL,
                notes TEXT, year INTEGER NOT NULL DEFAULT 1, boss INTEGER REFERENCES p, age INTEGER CHECK (age <> 3),
                twice TEXT AS (name || name), created TEXT);
INSERT INTO p (id, name, must, born, ip, nick, notes, age, created) VALUES
  (1, 'canary', 'm', '1984-05-17', '192.0.2.77', 'a', 'n', 1, '2020-01-02'),
  (2, '', '', NULL, NULL, '', NULL, NULL, '2020-01-02'),
  (3, NULL, 'm', '1984-05-17T10:11:12Z', '2001:db8:0:8d3:0:8a2e:70:7344', 'b', 'n', 2, '2020-01-02'),
  (4, 'x', 'm', 'in May', 'nowhere', 'c', x'6e', 2, '2020-01-02'),
  (5, 'y', 'm', '1984-01-01', '192.0.2.0', 'd', '[redacted]', 2, '2026-11-01');
"""
FIELDS = tuple(
    FieldChange(name, mask)
    for name, mask in {
        "name": Mask.RANDOM, "must": Mask.CLEAR, "born": Mask.YEAR, "ip": Mask.TRUNCATE_IP, "nick": Mask.CLEAR, "notes": Mask.REDACT,
    }.items()
)  # fmt: skip


@pytest.fixture
def people(tmp_path):
    return make(tmp_path / "crm.sqlite", PEOPLE)


def test_masks_change_what_is_due_and_a_second_run_changes_nothing(people):
    with opened(people, dataset("p")) as crm:
        selection = due("p", fields=FIELDS)
        assert crm.problems("p", selection) == []
        batch = whole(crm, selection)
        assert [r.key[0] for r in batch.records] == ["1", "3", "4"]
        assert all(r.referred_by == () for r in batch.records)
        assert crm.remaining(selection, batch) == {("1",), ("3",), ("4",)}
        assert words(act(crm, selection, Action.ANONYMISE)) == {"1": "anonymised", "3": "anonymised", "4": "anonymised"}
        assert crm.remaining(selection, batch) == set()
        first = ask(people, "SELECT * FROM p")
        assert keys(crm, selection) == []
        assert words(act(crm, selection, Action.ANONYMISE, batch=batch)) == {
            "1": "changed",
            "3": "changed",
            "4": "changed",
        }
        assert ask(people, "SELECT * FROM p") == first
    rows = ask(people, "SELECT name, must, born, ip, nick, notes FROM p")
    assert rows[1] == ("", "", None, None, "", None)
    assert rows[4] == ("y", "m", "1984-01-01", "192.0.2.0", "d", "[redacted]")
    assert [row[1:4] for row in rows[:1] + rows[2:4]] == [
        ("", "1984-01-01", "192.0.2.0"), ("", "1984-01-01", "2001:db8:0:8d3::"), ("", None, None),
    ]  # fmt: skip
    assert [row[5] for row in rows] == ["[redacted]", None, "[redacted]", None, "[redacted]"]
    random = [rows[n][0] for n in (0, 3)] + [rows[n][4] for n in (0, 2, 3)]
    assert all(text.startswith("anon-") and len(text) == 21 for text in random)
    assert len(set(random)) == 5


def test_fields_that_cannot_be_changed_are_told_when_planning(people):
    asked = {
        "id": Mask.CLEAR, "twice": Mask.CLEAR, "boss": Mask.RANDOM, "age": Mask.REDACT, "nick": Mask.REDACT,
        "none": Mask.CLEAR,
    }  # fmt: skip
    with opened(people, dataset("p")) as crm:
        told = crm.problems("p", due("p", fields=tuple(FieldChange(*each) for each in asked.items())))
        assert len(told) == len(asked)
        assert all(any(repr(name) in sentence for sentence in told) for name in asked)
        assert crm.problems("p", due("p", fields=(FieldChange("boss"), FieldChange("year", Mask.YEAR)))) == []


def test_a_change_that_the_database_refuses_fails_for_that_record_alone(people):
    ask(people, "UPDATE p SET age = NULL, year = 7")
    make(people, "CREATE TRIGGER no BEFORE UPDATE ON p WHEN old.id = 3 BEGIN SELECT RAISE(ABORT, 'canary'); END;")
    with opened(people, dataset("p")) as crm:
        told = act(crm, due("p", fields=FIELDS), Action.ANONYMISE)
        assert told == [
            ("1", OutcomeWord.ANONYMISED, None),
            ("3", OutcomeWord.FAILED, "trigger"),
            ("4", OutcomeWord.ANONYMISED, None),
        ]
        assert keys(crm, due("p", fields=FIELDS)) == [("3",)]


def test_an_index_that_forbids_the_cleared_value_fails_for_that_record_alone(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created TEXT, a TEXT NOT NULL, b TEXT AS (length(a) || min(id, 2)));"
        "CREATE UNIQUE INDEX once ON t (b);"
        "INSERT INTO t (id, created, a) VALUES (1, '2020-01-02', 'x'), (2, '2020-01-02', 'y'), (3, '2020-01-02', 'zz');",
    )
    with opened(path, dataset("t")) as crm:
        told = act(crm, due("t", fields=(FieldChange("a"),)), Action.ANONYMISE)
    assert told == [
        ("1", OutcomeWord.ANONYMISED, None),
        ("2", OutcomeWord.ANONYMISED, None),
        ("3", OutcomeWord.FAILED, "integrity"),
    ]
    assert [len(text) for text in column(path, "SELECT a FROM t")] == [21, 21, 2]


# --- trouble ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("SELECT RAISE(ABORT, 'canary')", "trigger"),
        ("SELECT RAISE(ROLLBACK, 'canary')", "trigger"),
        ("SELECT RAISE(IGNORE)", "not-deleted"),
    ],
)
def test_a_trigger_that_refuses_fails_for_that_record_alone(path, body, code):
    make(path, f"CREATE TRIGGER no BEFORE DELETE ON t WHEN old.id = 4 BEGIN {body}; END;")
    with opened(path, T) as crm:
        assert any("'no'" in note for note in crm.check().notes)
        told = act(crm, due("t"))
        assert told == [(k, OutcomeWord.FAILED, code) if k == "4" else (k, OutcomeWord.PURGED, None) for k in "123456"]
        assert "canary" not in repr(told)
    assert column(path, "SELECT id FROM t") == [4]


def test_a_trigger_that_deletes_other_rows_is_told_when_planning(path):
    make(path, "CREATE TABLE log (x); CREATE TRIGGER gone AFTER DELETE ON t BEGIN DELETE FROM log; END;")
    with opened(path, T) as crm:
        assert "'gone'" in crm.problems("t", due("t"))[0]
        assert crm.problems("t") == []


def test_a_locked_database_fails_as_busy_and_goes_once_it_is_free(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    with opened(path, T) as crm, closing(sqlite3.connect(path, isolation_level=None)) as other:
        batch = whole(crm, due("t"))
        other.execute("BEGIN IMMEDIATE")
        assert {(word, code) for _, word, code in act(crm, due("t"), batch=batch)} == {(OutcomeWord.FAILED, "busy")}
        other.execute("ROLLBACK")
        assert set(words(act(crm, due("t"), batch=batch)).values()) == {"purged"}


def test_a_lock_that_passes_is_waited_for(path):
    with opened(path, T) as crm, closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        batch = whole(crm, due("t"))
        other.execute("BEGIN IMMEDIATE")
        freed = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
        freed.start()
        assert set(words(act(crm, due("t"), batch=batch)).values()) == {"purged"}
        freed.join()


def test_a_listing_holds_no_lock_while_its_batches_are_acted_upon(path):
    with opened(path, T) as crm:
        assert purge(crm, due("t")) == [(str(n),) for n in range(1, 7)]
        assert crm.count("t") == 0


def test_tables_that_change_while_a_location_is_open_are_read_anew(path):
    with opened(path, T) as crm:
        batch = whole(crm, due("t"))
        make(path, "CREATE TABLE child (t INTEGER REFERENCES t ON DELETE CASCADE); INSERT INTO child VALUES (1);")
        assert words(act(crm, due("t"), batch=batch)) == {"1": "blocked"} | dict.fromkeys("23456", "purged")
    assert column(path, "SELECT t FROM child") == [1]


def test_threads_may_act_at_the_same_time(path):
    with opened(path, T) as crm:
        batches = list(crm.find(due("t")))
        told = []
        threads = [
            threading.Thread(target=lambda b=b: told.extend(crm.act(due("t"), b, Action.PURGE))) for b in batches
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(o.key[0] for o in told if o.word is OutcomeWord.PURGED) == list("123456")


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_not_created_and_a_wrong_one_is_told(tmp_path):
    for name in ("gone.sqlite", "no/such/folder.sqlite", ""):
        with pytest.raises(LocationError) as caught:
            TYPE.open(spec(tmp_path / name if name else tmp_path, T))
        assert caught.value.code in {"unreachable", "url"}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.sqlite").write_text("no database at all " * 100)
    with pytest.raises(LocationError) as caught:
        TYPE.open(spec(tmp_path / "text.sqlite", T))
    assert caught.value.code == "corrupt"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
        "nonsense",
        "postgresql://u:canary@h/d",
        "nodb://u:canary@h/d?p=canary",
        "sqlite+canary:///x",
    ],
)
def test_urls_that_name_no_file_are_refused_without_repeating_a_secret(tmp_path, url):
    with pytest.raises(LocationError) as caught:
        TYPE.open(spec(tmp_path / "x", T, url=url))
    assert "canary@" not in str(caught.value)
    assert "p=canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_relative_path_starts_at_the_project_folder_and_an_absolute_one_stands(path, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    with opened(path, T) as crm:
        assert crm.count("t") == 6
    with closing(TYPE.open(spec(path, T, url=f"sqlite:///{path}", folder="/nowhere"))) as crm:
        assert crm.count("t") == 6
    with pytest.raises(LocationError):
        TYPE.open(spec(path, T, schema="other"))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_planning_needs_no_right_to_write_and_changes_no_byte(path, journal):
    ask(path, f"PRAGMA journal_mode={journal}")
    before = path.read_bytes()
    path.chmod(0o444)
    with opened(path, T) as crm:
        assert len(found(crm, due("t"))) == 6
        assert crm.problems("t", due("t")) == []
        assert crm.check().is_reachable
        assert crm.remaining(due("t"), whole(crm, due("t"))) == {(str(n),) for n in range(1, 7)}
        with crm._backend.reading() as connection, pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("DELETE FROM t")
    assert path.read_bytes() == before


def test_errors_in_the_middle_carry_no_content(path):
    with opened(path, T) as crm:
        batches = crm.find(due("t"))
        next(batches)
        with path.open("r+b") as file:  # never empty, which would be a sound database without tables
            file.write(b"canary" * 1000)
        with pytest.raises(LocationError) as caught:
            list(batches)
        assert caught.value.code in {"corrupt", "io"}
        assert "canary" not in repr(caught.value.args)
        assert not crm.check().may_read
        with pytest.raises(LocationError):
            crm.act(due("t"), Batch.of("t", ()), Action.PURGE)


def test_importing_the_package_loads_no_database_library():
    code = "import sys, connectors.sql; print([m for m in sys.modules if m.startswith('sqlalchemy')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# --- a person's own data ------------------------------------------------------------------------------------------


def test_a_persons_rows_are_read_however_the_identifier_is_written(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, mail TEXT, nr INTEGER, photo BLOB, amount REAL);"
        "INSERT INTO t VALUES (1, 'Zoé@X.be ', 5, x'ff', 1.5), (2, 'other', 7, NULL, NULL), (3, NULL, NULL, NULL, NULL);",
    )
    with opened(path, dataset("t", anchors=(), subject=("mail", "nr"))) as crm:
        (record,) = crm.read("t", "{zoe\u0301@x.be}")
        assert (record.key, record.values) == (
            ("1",),
            {"id": 1, "mail": "Zoé@X.be ", "nr": 5, "photo": "ff", "amount": 1.5},
        )
        assert [r.key for r in crm.read("t", "7")] == [("2",)]
        assert list(crm.read("t", "nobody")) == []
    with opened(path, dataset("t", anchors=())) as crm:
        assert list(crm.read("t", "7")) == []


# --- bytes --------------------------------------------------------------------------------------------------------


def bytes_of(path):
    return b"".join(each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(path.name))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_what_was_purged_or_cleared_is_gone_from_every_byte(tmp_path, journal):
    values = [(n, f"canary-{n}-{'due' if n % 3 else 'kept'}", OLD if n % 3 else NEW) for n in range(1, 200)]
    path = make(
        tmp_path / "crm.sqlite", TABLE + "CREATE INDEX n ON t (name)", [("INSERT INTO t VALUES (?, ?, ?)", values)]
    )
    ask(path, f"PRAGMA journal_mode={journal}")
    with opened(path, T) as crm:
        assert b"-due" in bytes_of(path)
        cleared = due("t", keys=tuple((str(n),) for n in range(1, 100)), fields=(FieldChange("name"),))
        for batch in crm.find(cleared):
            crm.act(cleared, batch, Action.ANONYMISE)
        rest = due("t", match=(Condition("name", (None,), negated=True),))
        assert len(purge(crm, rest)) == 67
        level = crm.settle("t")
        left = bytes_of(path)
    assert level == "physical"
    assert b"-kept" in left
    assert b"-due" not in left


def test_a_reader_that_stands_in_the_way_of_the_log_makes_it_logical(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.01)
    ask(path, "PRAGMA journal_mode=wal")
    with opened(path, T) as crm, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t").fetchall()
        assert len(purge(crm, due("t"))) == 6
        assert crm.settle("t") == "logical"
        reader.execute("COMMIT")
        assert crm.settle("t") == "physical"


KILLED = """
import sqlite3, sys, os, signal
sys.path[:0] = {paths!r}
from pathlib import Path
from sql_bed import *
path = Path({path!r})
point = {point!r}
from connectors.sql.sqlite import SqliteBackend
def kill(*a, **k):
    os.kill(os.getpid(), signal.SIGKILL)
real = SqliteBackend.remove
def remove(self, *a, **k):
    if point == "before": kill()
    rows = real(self, *a, **k)
    if point == "after": kill()
    return rows
SqliteBackend.remove = remove
with opened(path, dataset("t"), batch_size=1000) as crm:
    for batch in crm.find(due("t")):
        crm.act(due("t"), batch, Action.PURGE)
        kill()
"""


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize(("point", "left"), [("before", 500), ("after", 500), ("done", 0)])
def test_a_process_killed_in_the_act_leaves_all_or_nothing(tmp_path, journal, point, left):
    path = make(
        tmp_path / "crm.sqlite", TABLE, [("INSERT INTO t VALUES (?, ?, ?)", [(n, "x" * 500, OLD) for n in range(500)])]
    )
    ask(path, f"PRAGMA journal_mode={journal}")
    paths = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]
    code = KILLED.format(paths=paths, path=str(path), point=point)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with opened(path, dataset("t")) as crm:
        assert crm.count("t") == left
        assert len(purge(crm, due("t"))) == left
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
