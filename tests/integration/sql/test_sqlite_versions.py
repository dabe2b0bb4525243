"""Versions of rows in SQLite: what they tell apart, and that both ways of fetching give the same rows."""

import sqlite3
from contextlib import closing, contextmanager
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sql_bed import act, ask, dataset, due, make, opened, undated, whole, words
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from connectors.sql import alteration, removal, sqlite_fetch
from connectors.sql.catalogue import columns_of
from connectors.sql.sqlite import SqliteBackend
from connectors.sql.sqlite_versions import RowText
from ropa.connector import Action, FieldChange, Mask

ODD = [
    *(
        None,
        "",
        "null",
        "[]",
        0,
        1,
        "1",
        1.0,
        "1.0",
        b"1",
        -1,
        2**62,
        float(2**62),
        1e300,
        float("inf"),
        0.1 + 0.2,
        0.3,
    ),
    *(
        "a",
        b"a",
        "a\0",
        "a\0b",
        "a\n",
        '"',
        '","',
        '"]["',
        '["r","1.0"]',
        '["b","61"]',
        "\\",
        "\\n",
        "\n",
        "é",
        "e\u0301",
    ),
    *("]", "[", "{}", b"", b"\0", "\x7f", "\u2028"),
]
DUE = "2020-01-01 10:00:00"


@contextmanager
def fetched(path, *names, table="t"):
    """Lend a backend with its connection, and the statement that asks for these columns and the version."""
    with closing(SqliteBackend("crm", path)) as backend, backend.reading() as connection:
        found = backend.read_catalogue(connection).tables[table]
        own = found.plain()
        versions = backend.versions(found)
        yield backend, connection, versions, select(*columns_of(own, names), *versions.columns(own)).order_by(own.c.id)


def texts(path, table="t"):
    with fetched(path, "id", table=table) as (backend, connection, versions, statement):
        return versions.texts([row[-1:] for row in backend.fetch(connection, statement)])


@pytest.mark.parametrize("declared", ["", "BLOB", "TEXT", "VARCHAR(9)", "INTEGER", "REAL", "NUMERIC", "DATE"])
def test_rows_that_differ_in_anything_have_different_texts(tmp_path, declared):
    rows = [(n, first, second) for n, (first, second) in enumerate([(o, "x") for o in ODD] + [("x", o) for o in ODD])]
    path = make(
        tmp_path / "a.sqlite",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a {declared}, b {declared})",
        [("INSERT INTO t VALUES (?, ?, ?)", rows)],
    )
    kept = ask(path, "SELECT 0, typeof(a), CAST(a AS BLOB), typeof(b), CAST(b AS BLOB), a, b FROM t ORDER BY id")
    with fetched(path) as (backend, connection, _, statement):
        (version,) = (c for c in statement.selected_columns if isinstance(c, RowText))
        spelled = [row[0] for row in backend.fetch(connection, select(version).order_by("id"))]
    without_id = [text.partition(",")[2] for text in spelled]
    for one, other in combinations(range(len(rows)), 2):
        is_same = kept[one] == kept[other] and repr(kept[one][5:]) == repr(kept[other][5:])
        assert (without_id[one] == without_id[other]) is is_same, (kept[one], kept[other])


def test_what_stands_in_one_column_is_not_taken_for_what_stands_in_the_next(tmp_path):
    rows = [(0, "ab", "c"), (0, "a", "bc"), (0, "abc", ""), (0, "abc", None), (0, 'a","b', "c"), (0, "a", 'b","c')]
    path = make(
        tmp_path / "a.sqlite",
        "CREATE TABLE t (id INTEGER, a TEXT, b TEXT, c TEXT DEFAULT '1') STRICT",
        [("INSERT INTO t (id, a, b) VALUES (?, ?, ?)", rows)],
    )
    assert len(set(texts(path))) == len(rows)


def test_a_table_of_more_columns_than_a_function_takes_arguments_has_versions(tmp_path):
    names = ", ".join(f"c{n}" for n in range(300))
    path = make(
        tmp_path / "a.sqlite", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {names}); INSERT INTO t (id) VALUES (1)"
    )
    seen = texts(path)
    for column in ("c0", "c48", "c49", "c50", "c299"):
        ask(path, f"UPDATE t SET {column} = 1")
        with fetched(path, "id") as (backend, connection, versions, statement):
            rows = [row[-1:] for row in backend.fetch(connection, statement)]
            assert versions.are_same(rows, [seen[-1]]) == [False]
            seen += versions.texts(rows)


def test_a_view_may_hold_what_no_column_is_declared_for(tmp_path):
    path = make(
        tmp_path / "a.sqlite",
        "CREATE TABLE o (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO o VALUES (1, 'x'), (2, 'x'), (3, 'x');"
        "CREATE VIEW t AS SELECT id, CASE id WHEN 1 THEN 0.1 + 0.2 WHEN 2 THEN 0.3 ELSE x'61' END AS a FROM o",
    )
    with fetched(path, "id", "a") as (backend, connection, _, statement):
        rows = backend.fetch(connection, statement)
    assert [row[:2] for row in rows] == [(1, 0.1 + 0.2), (2, 0.3), (3, b"a")]
    assert len({row[2].partition(",")[2] for row in rows}) == 3


@pytest.mark.parametrize("declared", ["", "TEXT", "INTEGER", "NUMERIC"])
@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            st.sampled_from(['"', '"\n"', "\n", "1\n2", "\\", "\0", "1_0", " 1", "null"]),
            st.binary(max_size=3),
        ),
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_of_fetching_give_the_same_rows(tmp_path, declared, values):
    path = tmp_path / "a.sqlite"
    path.unlink(missing_ok=True)
    rows = list(enumerate(values))
    make(path, f"CREATE TABLE t (id INTEGER PRIMARY KEY, a {declared})", [("INSERT INTO t VALUES (?, ?)", rows)])
    with fetched(path, "id", "a") as (backend, connection, versions, statement):
        found = backend.fetch(connection, statement)
        each = sqlite_fetch._lenient(connection, statement)
        assert [(row[:2], list(map(type, row[:2]))) for row in found] == [
            (row[:2], list(map(type, row[:2]))) for row in each
        ]
        assert versions.texts([row[2:] for row in found]) == versions.texts([row[2:] for row in each])
    assert [row[:2] for row in found] == ask(path, "SELECT id, a FROM t ORDER BY id")


def test_text_that_is_no_utf8_has_the_same_version_however_it_is_fetched(tmp_path):
    path = make(
        tmp_path / "a.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);"
        "INSERT INTO t VALUES (1, CAST(x'ff61' AS TEXT)), (2, CAST(x'fe61' AS TEXT)), (3, 'a')",
    )
    for names in ((), ("id",), ("id", "a")):
        with fetched(path, *names) as (backend, connection, versions, statement):
            rows = [row[-1:] for row in backend.fetch(connection, statement)]
            if not names:
                planned = versions.texts(rows)
            assert versions.are_same(rows, planned) == [True] * 3
            assert len(set(versions.texts(rows))) == 3


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_lines_and_signs_of_all_encodings_are_kept_apart(tmp_path, encoding):
    path = tmp_path / "a.sqlite"
    rows = [(1, "\u0a0a"), (2, "\u0a0a\n"), (3, "ä\n"), (4, "a")]
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(f"PRAGMA encoding = '{encoding}'")
        raw.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        raw.executemany("INSERT INTO t VALUES (?, ?)", rows)
    with fetched(path, "id", "a") as (backend, connection, versions, statement):
        found = backend.fetch(connection, statement)
    assert [row[:2] for row in found] == rows
    assert len(set(versions.texts([row[2:] for row in found]))) == 4


TABLE = (
    "CREATE TABLE contact (id INTEGER PRIMARY KEY, a, b TEXT, created TEXT); CREATE INDEX by_date ON contact (created);"
)


def contacts(tmp_path, first=1):
    rows = [(n, first, "x", DUE) for n in range(1, 6)]
    return make(tmp_path / "crm.sqlite", TABLE, [("INSERT INTO contact VALUES (?, ?, ?, ?)", rows)])


@pytest.mark.parametrize(
    ("first", "change"),
    [
        *((1, f"a = {value}") for value in ("'1'", "1.0", "x'31'", "NULL", "2")),
        *((0.1 + 0.2, f"a = {value}") for value in ("0.3", "'0.30000000000000004'")),
        *((1, f"b = {value}") for value in ("'x '", "x'78'", "NULL", "'x' || char(0)", "'x' || char(10)")),
        (1, "created = '2020-01-01T10:00:00'"),
        (1, "created = '2020-01-01 10:00:01'"),
    ],
)
def test_a_row_touched_in_one_column_since_it_was_planned_stays(tmp_path, first, change):
    path = contacts(tmp_path, first)
    with opened(path, dataset("contacts", "contact"), batch_size=10) as crm:
        batch = whole(crm, due("contacts"))
    ask(path, f"UPDATE contact SET {change} WHERE id = 3")
    with opened(path, dataset("contacts", "contact"), batch_size=10) as crm:
        outcomes = words(act(crm, due("contacts"), batch=batch))
    assert outcomes == {str(n): "changed" if n == 3 else "purged" for n in range(1, 6)}
    assert ask(path, "SELECT id FROM contact") == [(3,)]


def test_a_blob_in_one_row_changes_no_version_of_another(tmp_path):
    path = contacts(tmp_path)
    with opened(path, dataset("contacts", "contact"), batch_size=10) as crm:
        batch = whole(crm, due("contacts"))
        ask(path, "INSERT INTO contact VALUES (0, x'00', x'00', '2019-01-01'), (9, 1, x'ff', NULL)")
        assert len(whole(crm, due("contacts"))) == 6
        assert len(whole(crm, undated("contacts"))) == 1
        assert set(words(act(crm, due("contacts"), Action.PURGE, batch=batch)).values()) == {"purged"}
    assert sorted(ask(path, "SELECT id FROM contact")) == [(0,), (9,)]


@pytest.mark.parametrize("touched", range(1, 8))
@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_batch_removed_in_parts_is_undone_as_a_whole_where_one_row_changed(tmp_path, monkeypatch, touched, part):
    monkeypatch.setattr(removal, "_ROWS_AT_ONCE", part)
    rows = [(n, 1, "x", DUE) for n in range(1, 8)]
    path = make(tmp_path / "crm.sqlite", TABLE, [("INSERT INTO contact VALUES (?, ?, ?, ?)", rows)])
    with opened(path, dataset("contacts", "contact"), batch_size=10) as crm:
        batch = whole(crm, due("contacts"))
        ask(path, "UPDATE contact SET b = 'y' WHERE id = ?", touched)
        outcomes = words(act(crm, due("contacts"), batch=batch))
    assert outcomes == {str(n): "changed" if n == touched else "purged" for n in range(1, 8)}
    assert ask(path, "SELECT id FROM contact") == [(touched,)]


@pytest.mark.parametrize("touched", [1, 4, 7])
def test_a_batch_changed_in_parts_is_undone_as_a_whole_where_one_row_changed(tmp_path, monkeypatch, touched):
    monkeypatch.setattr(alteration, "AT_ONCE", 3)
    rows = [(n, 1, "x", DUE) for n in range(1, 8)]
    path = make(tmp_path / "crm.sqlite", TABLE, [("INSERT INTO contact VALUES (?, ?, ?, ?)", rows)])
    selection = due("contacts", fields=(FieldChange("b", Mask.CLEAR),))
    with opened(path, dataset("contacts", "contact"), batch_size=10) as crm:
        batch = whole(crm, selection)
        ask(path, "UPDATE contact SET a = 2 WHERE id = ?", touched)
        outcomes = crm.act(selection, batch, Action.ANONYMISE)
        assert [outcome.word.value for outcome in outcomes] == [
            "changed" if n == touched else "anonymised" for n in range(1, 8)
        ]
        ask(path, "UPDATE contact SET b = 'y'")
        again = whole(crm, selection)
        done = crm.act(selection, again, Action.ANONYMISE)
        assert [outcome.word.value for outcome in done] == ["anonymised"] * 7
        assert len({outcome.version for outcome in done}) == 7
    assert ask(path, "SELECT count(*) FROM contact WHERE b IS NULL") == [(7,)]


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("is_late", [False, True])
def test_a_blob_in_any_row_of_a_page_that_is_fetched_row_by_row_stops_nothing(tmp_path, at, is_late):
    """SQLite says of it when it comes to that row, past SQLAlchemy. ``is_late``: it came after the plan."""
    script = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created TEXT, name TEXT, photo BLOB, up INTEGER REFERENCES t (id));"
    )
    rows = [(number, DUE, "x") for number in range(1, 6)]
    path = make(tmp_path / "crm.sqlite", script, [("INSERT INTO t VALUES (?, ?, ?, NULL, NULL)", rows)])
    blob = "UPDATE t SET photo = x'ff00' WHERE id = ?"
    if not is_late:
        ask(path, blob, at)
    with opened(path, dataset("t"), batch_size=10) as crm:
        batch = whole(crm, due("t"))
        if is_late:
            ask(path, blob, at)
        outcomes = words(act(crm, due("t"), batch=batch))
    assert outcomes == {str(n): "changed" if is_late and n == at else "purged" for n in range(1, 6)}
    assert ask(path, "SELECT id FROM t") == ([(at,)] if is_late else [])


def test_an_error_that_a_later_row_meets_is_told_as_one_of_the_database(tmp_path):
    backend = SqliteBackend("crm", make(tmp_path / "crm.sqlite", "CREATE TABLE t (a TEXT);"))
    with closing(backend), backend.reading() as connection, pytest.raises(DBAPIError):
        backend.fetch(connection, text("SELECT json_array(1) UNION ALL SELECT json_array(x'00')"))
