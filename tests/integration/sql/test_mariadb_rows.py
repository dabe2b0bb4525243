"""Rows of MariaDB: fetched, found by their keys, told apart from what they were."""

import pytest
from mariadb_bed import backend, twice
from sqlalchemy import select

from connectors.sql.catalogue import bound
from connectors.sql.conditions import is_one_of, joined
from connectors.sql.keys import is_faithful, parse_keys, spell_key

KEYS = {
    "BIGINT UNSIGNED": ["0", "18446744073709551615", "9223372036854775807"],
    "INT": ["-2147483648", "0", "7"],
    "TINYINT": ["-128", "127"],
    "VARCHAR(40)": [
        "'a'",
        "'B '",
        "''",
        r"'quo\'te\"s\\\\ %s :x'",
        "'é'",
        "'😀'",
        "'tab\tnew\nline'",
        "'[1,2]'",
        "CHAR(0)",
    ],
    "VARCHAR(40) COLLATE utf8mb4_bin": ["'a'", "'A'", "'é'"],
    "VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german1_ci": ["'a'", "'?'", "'ö'"],
    "CHAR(36) CHARACTER SET ascii": ["'6f1c2f62-0000-4000-8000-000000000001'", "'x'"],
    "BINARY(16)": ["X'00'", "X'FF0A275C'", "X'000102030405060708090A0B0C0D0E0F'"],
    "VARBINARY(20)": ["X''", "X'00'", "X'0000'", "'a'", "'a '"],
    "DECIMAL(20,0)": ["1", "-99999999999999999999"],
    "DECIMAL(10,3)": ["1.5", "-0.001"],
    "DATE": ["'2020-02-29'", "'0000-00-00'"],
    "DATETIME(3)": ["'2020-02-29 12:00:00.125'", "'2020-01-01'", "'2020-00-00'"],
    "UUID": ["'6f1c2f62-0000-4000-8000-000000000001'"],
    "INET6": ["'::1'", "'::ffff:10.0.0.1'", "'2001:db8::'"],
    "YEAR": ["1999", "2020"],
}


@pytest.fixture
def database(mariadb):
    with mariadb.create() as made:
        yield made


def keys_of(made, connection, table):
    own = table.plain()
    names = table.key
    kinds = tuple(table.column(name).kind for name in names)
    rows = twice(made, connection, select(*(own.c[name] for name in names)).order_by(*(own.c[name] for name in names)))
    assert all(is_faithful(value, kind) for row in rows for value, kind in zip(row, kinds, strict=True)), rows
    return rows, kinds


@pytest.mark.parametrize("declared", KEYS)
def test_a_key_as_text_finds_its_own_row_and_no_other(database, declared):
    database.execute(f"CREATE TABLE t (k {declared} PRIMARY KEY)")
    for value in KEYS[declared]:
        database.execute(f"SET sql_mode = ''; INSERT INTO t VALUES ({value.replace('%', '%')})")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        rows, kinds = keys_of(made, connection, table)
        assert len(rows) == len(KEYS[declared])
        parsed = parse_keys(enumerate(spell_key(row) for row in rows), kinds)
        assert len(parsed) == len(rows)
        own = table.plain()
        loaded = made.load_keys(connection, "some", table.columns, parsed)
        hits = select(loaded.pos, own.c.k).select_from(loaded.source).join(own, joined([own.c.k], loaded, made))
        assert sorted(twice(made, connection, hits)) == sorted((pos, row[0]) for pos, row in enumerate(rows))
        for pos in range(len(rows)):
            alone = made.load_keys(connection, "some", table.columns, parsed[pos : pos + 1])
            assert twice(made, connection, select(own.c.k).where(is_one_of([own.c.k], alone))) == [rows[pos]]


@pytest.mark.parametrize(
    ("declared", "held", "asked"),
    [
        ("INT", "2147483647", 9999999999999),
        ("TINYINT", "127", 128),
        ("INT UNSIGNED", "0", -1),
        ("BIGINT", "9223372036854775807", 2**63),
        ("INT", "1", 1.5),
        ("INT", "0", "x"),
        ("VARCHAR(3)", "'abc'", "abcdefgh"),
        ("VARCHAR(9) CHARACTER SET latin1", "'?'", "😀"),
        ("VARCHAR(9) CHARACTER SET latin1", "'?'", "ł"),
        ("VARCHAR(9) CHARACTER SET utf8mb3", "'?'", "😀"),
        ("VARBINARY(4)", "X'00010203'", bytes(range(5))),
        ("DECIMAL(5,2)", "999.99", "1000"),
        ("DECIMAL(5,2)", "1.23", "1.234"),
        ("UUID", "'6f1c2f62-0000-4000-8000-000000000001'", "x"),
        ("INET6", "'::'", "x"),
    ],
)
def test_a_value_that_no_row_can_hold_finds_none(database, declared, held, asked):
    """JSON_TABLE would cut it to one that fits."""
    database.execute(f"CREATE TABLE t (k {declared} PRIMARY KEY); INSERT INTO t VALUES ({held})")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        loaded = made.load_keys(connection, "some", table.columns, [(0, (asked,))])
        assert twice(made, connection, select(own.c.k).where(is_one_of([own.c.k], loaded))) == []


def test_where_the_collation_takes_two_texts_for_one_key_the_row_is_found_by_either(database):
    database.execute(
        "CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_unicode_ci PRIMARY KEY); INSERT INTO t VALUES ('Ana')"
    )
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        loaded = made.load_keys(connection, "some", table.columns, [(0, ("ana",)), (1, ("Ana",)), (2, ("an",))])
        hits = select(loaded.pos, own.c.k).select_from(loaded.source).join(own, joined([own.c.k], loaded, made))
        assert sorted(twice(made, connection, hits)) == [(0, "Ana"), (1, "Ana")]


def test_keys_of_several_columns_of_different_sorts(database):
    database.execute("CREATE TABLE t (a BINARY(2), b VARCHAR(9) CHARACTER SET latin1, c INT, PRIMARY KEY (a, b, c))")
    database.execute("INSERT INTO t VALUES (X'0001', 'x', 1), (X'0001', 'x', 2), (X'0002', 'x', 1)")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        rows, _ = keys_of(made, connection, table)
        own = table.plain()
        columns = [own.c[name] for name in table.key]
        loaded = made.load_keys(connection, "some", table.columns, [(5, rows[1]), (6, rows[2])])
        hits = select(loaded.pos, *columns).select_from(loaded.source).join(own, joined(columns, loaded, made))
        assert sorted(twice(made, connection, hits)) == [(5, *rows[1]), (6, *rows[2])]
        assert sorted(twice(made, connection, select(*columns).where(is_one_of(columns, loaded)))) == rows[1:]


def test_no_keys_find_nothing(database):
    database.execute("CREATE TABLE t (k INT PRIMARY KEY); INSERT INTO t VALUES (1)")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        loaded = made.load_keys(connection, "some", table.columns, [])
        assert twice(made, connection, select(loaded.pos)) == []


def test_keys_are_looked_up_and_the_table_is_not_walked(database):
    database.execute(
        "CREATE TABLE t (k INT PRIMARY KEY, v VARCHAR(99)); INSERT INTO t SELECT seq, seq FROM seq_1_to_5000"
    )
    database.execute("ANALYZE TABLE t")
    with backend(database) as made, made.writing() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        keys = [(n, (n * 7,)) for n in range(100)]
        loaded = made.load_keys(connection, "some", table.columns[:1], keys)

        def handled(act):
            connection.exec_driver_sql("FLUSH STATUS")
            act()
            rows = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").all()
            return sum(int(number) for name, number in rows if name != "Handler_read_rnd_deleted")

        conditions = [is_one_of([own.c.k], loaded)]
        with made.transaction(connection):
            assert handled(lambda: made.remove(connection, own, conditions, [own.c.k])) < 2500
        assert database.execute("SELECT COUNT(*) FROM t") == [(4901,)]


# --- fetching -----------------------------------------------------------------------------------------------------


def test_values_come_as_they_are_by_either_way(database):
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, i BIGINT, d DECIMAL(9,2), f FLOAT, g DOUBLE, t TEXT, b BLOB, at DATETIME(6), day DATE,"
        " clock TIME, bits BIT(9), e ENUM('x', ''), u UUID, l VARCHAR(9) CHARACTER SET latin1, n INT)"
    )
    database.execute(
        "SET sql_mode = ''; INSERT INTO t VALUES (1, -5, 1.10, 0.5, 1e300, '=', X'1F00FF', '2020-01-02 03:04:05.000006', '0000-00-00',"
        " '-100:00:01', 257, '', UUID(), 'ö', NULL), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        " (3, 0, 0, 0, 0, '', '', '0000-00-00', '2020-00-00', '0', 0, 'x', UUID(), '', 1)"
    )
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own = table.plain()
        rows = twice(
            made, connection, select(*(own.c[c.name] for c in table.columns if c.name != "u")).order_by(own.c.id)
        )
    assert rows == [
        (1, -5, "1.10", 0.5, 1e300, "=", b"\x1f\0\xff", "2020-01-02 03:04:05.000006", "0000-00-00", "-100:00:01", 257, "", "ö", None),
        (2, *[None] * 13),
        (3, 0, "0.00", 0.0, 0.0, "", b"", "0000-00-00 00:00:00.000000", "2020-00-00", "00:00:00", 0, "x", "", 1),
    ]  # fmt: skip


def test_text_with_the_sign_that_parts_the_columns_is_read_row_by_row(database):
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, t VARCHAR(99), u VARCHAR(99))")
    database.execute("INSERT INTO t VALUES (1, 'a\x1f=b', ''), (2, '\x1f', '\x1f\x1f'), (3, NULL, 'x')")
    with backend(database) as made, made.reading() as connection:
        own = made.read_catalogue(connection).tables["t"].plain()
        assert twice(made, connection, select(own.c.t, own.c.u).order_by(own.c.id)) == [
            ("a\x1f=b", ""), ("\x1f", "\x1f\x1f"), (None, "x"),
        ]  # fmt: skip


@pytest.mark.parametrize("key", ["INT", "VARCHAR(9)", "VARBINARY(9)"])
def test_the_order_asked_for_is_kept(database, key):
    """Long texts make the server keep the rows of a derived table in another order than they came."""
    database.execute(f"CREATE TABLE t (k {key} PRIMARY KEY, v INT, long_text LONGTEXT)")
    database.execute("INSERT INTO t SELECT seq, 100 - seq, REPEAT('x', (seq * 7919) % 9000) FROM seq_1_to_99")
    with backend(database) as made, made.reading() as connection:
        own = made.read_catalogue(connection).tables["t"].plain()
        rows = twice(made, connection, select(own.c.k, own.c.long_text, own.c.v).order_by(own.c.k))
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        rows = twice(made, connection, select(own.c.k, own.c.long_text, own.c.v).order_by(own.c.v, own.c.k).limit(40))
        assert [row[2] for row in rows] == list(range(1, 41))


def test_more_than_the_server_can_say_at_once_is_read_row_by_row(database):
    database.execute("CREATE TABLE t (k INT PRIMARY KEY, v LONGTEXT)")
    database.execute("INSERT INTO t SELECT seq, REPEAT(seq, 6000000) FROM seq_1_to_4")
    with backend(database) as made, made.reading() as connection:
        own = made.read_catalogue(connection).tables["t"].plain()
        statement = select(own.c.k, own.c.v).order_by(own.c.k)
        assert [(k, len(v)) for k, v in twice(made, connection, statement)] == [(n, 6000000) for n in (1, 2, 3, 4)]


# --- versions -----------------------------------------------------------------------------------------------------

ROW = (
    "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9) COLLATE utf8mb4_unicode_ci, b VARCHAR(9), n INT, f FLOAT, g DOUBLE, raw BLOB,"
    " l LONGTEXT, doc JSON, at DATETIME(6), place POINT, bits BIT(4), u UUID, lat VARCHAR(9) CHARACTER SET latin1, e ENUM('x', 'X1'))"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 'ana'", "a = 'Ana'"), ("a = 'a'", "a = 'a '"), ("a = 'a'", "a = 'á'"), ("a = NULL", "a = ''"),
        ("a = 'x', b = ''", "a = '', b = 'x'"), ("a = 'ab', b = 'c'", "a = 'a', b = 'bc'"), ("a = 'x', b = NULL", "a = NULL, b = 'x'"),
        ("a = 'n'", "a = NULL"), ("a = ',1'", "a = '1,'"), ("n = 0", "n = NULL"), ("n = 1", "n = 2"),
        ("f = 16777216", "f = 16777217e1"), ("f = 1.0000001", "f = 1.0000002"), ("g = 0.1", "g = 0.1 + 1e-17 * 2"),
        ("raw = X'00'", "raw = X'0000'"), ("raw = NULL", "raw = X''"), ("l = ''", "l = NULL"), ("l = 'a'", "l = 'A'"),
        ("doc = '{\"a\": 1}'", "doc = '{\"a\":1}'"), ("at = '2020-01-01'", "at = '2020-01-01 00:00:00.000001'"),
        ("at = '0000-00-00'", "at = NULL"), ("place = POINT(1, 2)", "place = POINT(1, 2.0000000001)"), ("bits = 1", "bits = 2"),
        ("u = '6f1c2f62-0000-4000-8000-000000000001'", "u = '6f1c2f62-0000-4000-8000-000000000002'"), ("lat = 'o'", "lat = 'ö'"),
        ("e = 'x'", "e = 'X1'"),
    ],
)  # fmt: skip
def test_whatever_changes_in_a_row_its_version_changes(database, before, after):
    database.execute(f"SET sql_mode = ''; {ROW}; INSERT INTO t (id) VALUES (1); UPDATE t SET {before}")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        own, versions = table.plain(), made.versions(table)
        statement = select(*versions.columns(own))
        planned = versions.texts(twice(made, connection, statement))
        assert versions.are_same(made.fetch(connection, statement), planned) == [True]
        assert made.fetch(connection, statement)[0][0] not in planned[0]
        database.execute(f"SET sql_mode = ''; UPDATE t SET {after}")
        assert database.execute("SELECT COUNT(*) FROM t") == [(1,)]
        assert versions.are_same(made.fetch(connection, statement), planned) == [False]
        assert 20 < len(planned[0]) <= 60
        assert planned[0].isascii()
        assert " " not in planned[0]


def test_a_version_holds_for_another_process_and_cannot_be_linked_to_another_listing(database):
    database.execute(f"{ROW}; INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'x')")
    made_by = []
    for _ in range(2):
        with backend(database) as made, made.reading() as connection:
            table = made.read_catalogue(connection).tables["t"]
            versions = made.versions(table)
            rows = made.fetch(connection, select(*versions.columns(table.plain())))
            made_by.append(versions.texts(rows))
            assert versions.are_same(rows, made_by[0]) == [True, True]
            assert versions.are_same(rows, ["", made_by[0][0]]) == [True, False]
    assert not set(made_by[0]) & set(made_by[1])


def test_a_row_too_long_to_be_hashed_is_never_the_same(database):
    columns = ", ".join(f"c{n} BLOB" for n in range(300))
    database.execute(f"CREATE TABLE t (id INT PRIMARY KEY, l LONGTEXT, {columns})")
    database.execute("INSERT INTO t (id, l) VALUES (1, REPEAT('x', 15000000))")
    with backend(database) as made, made.reading() as connection:
        table = made.read_catalogue(connection).tables["t"]
        versions = made.versions(table)
        rows = made.fetch(connection, select(*versions.columns(table.plain())))
        assert versions.are_same(rows, versions.texts(rows)) == [True]  # long columns are hashed by themselves
    assert versions.are_same([(None,)], versions.texts([(None,)])) == [False]


# --- statements ---------------------------------------------------------------------------------------------------


def test_other_columns_of_a_row_with_zero_dates_can_be_changed(database):
    database.execute("CREATE TABLE t (id INT PRIMARY KEY, at DATETIME NOT NULL, name VARCHAR(9))")
    database.execute("SET sql_mode = ''; INSERT INTO t VALUES (1, '0000-00-00', 'x'), (2, '2020-00-00', 'x')")
    with backend(database) as made, made.writing() as connection:
        own = made.read_catalogue(connection).tables["t"].plain()
        table = made.read_catalogue(connection).tables["t"]
        loaded = made.load_keys(connection, "some", table.columns[:1], [(0, (1,)), (1, (2,))])
        changed = connection.execute(
            own.update().where(is_one_of([own.c.id], loaded)).values({own.c.name: bound(None)})
        )
        assert changed.rowcount == 2
    assert database.execute("SELECT COUNT(*) FROM t WHERE name IS NULL AND YEAR(at) IN (0, 2020)") == [(2,)]


def test_a_column_in_no_index_means_the_same(database):
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, KEY (at)); INSERT INTO t VALUES (1, '2020-01-01'), (2, NULL)"
    )
    with backend(database) as made, made.reading() as connection:
        own = made.read_catalogue(connection).tables["t"].plain()
        assert made.fetch(connection, select(own.c.id).where(made.unhinted(own.c.at) < bound("2020-01-02"))) == [(1,)]
