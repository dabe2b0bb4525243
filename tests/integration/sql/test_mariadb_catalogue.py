"""What is read of a MariaDB database, and how it is noticed that it changed."""

import pytest
from mariadb_bed import backend

from connectors.sql.catalogue import Kind

SCHEMA = """
CREATE TABLE person (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, small TINYINT(1), name VARCHAR(80) NOT NULL, short CHAR(5) CHARACTER SET latin1,
    born DATE, seen DATETIME(3), stamp TIMESTAMP NULL, y YEAR, raw VARBINARY(16), doc JSON, state ENUM('a', 'b'), tags SET('x', 'y'),
    ip INET6, uid UUID, flags BIT(3), place POINT, price DECIMAL(10,2), long_name TINYTEXT, content LONGTEXT,
    shout VARCHAR(80) AS (UPPER(name)) STORED, tiny TINYINT UNSIGNED,
    CONSTRAINT adult CHECK (born < '2010-01-01' AND price > 0),
    UNIQUE (uid), UNIQUE half (content(10)), UNIQUE pair (name, born), KEY (seen), KEY cut (name(3)), FULLTEXT (content)
);
CREATE TABLE `odd ``name` (`a b` INT, `c``d` INT, PRIMARY KEY (`c``d`, `a b`), CHECK (`c``d` > 0));
CREATE TABLE child (id INT PRIMARY KEY, person BIGINT UNSIGNED, boss INT, c INT, d INT,
    FOREIGN KEY (person) REFERENCES person (id) ON DELETE SET NULL, FOREIGN KEY (boss) REFERENCES child (id) ON DELETE CASCADE,
    FOREIGN KEY (c, d) REFERENCES `odd ``name` (`c``d`, `a b`) ON DELETE RESTRICT);
CREATE TABLE kept (id INT PRIMARY KEY) WITH SYSTEM VERSIONING;
CREATE TABLE parts (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY HASH (id) PARTITIONS 2;
CREATE VIEW people AS SELECT id, name FROM person;
CREATE SEQUENCE numbers;
CREATE TABLE lasting (id INT PRIMARY KEY) ENGINE=MyISAM;
CREATE TRIGGER tidy BEFORE DELETE ON person FOR EACH ROW DELETE FROM kept WHERE id = OLD.id;
CREATE TRIGGER tell AFTER DELETE ON person FOR EACH ROW SET @gone = 'delete from kept';
CREATE TRIGGER other AFTER UPDATE ON person FOR EACH ROW DELETE FROM kept
"""


@pytest.fixture(scope="module")
def tables(mariadb):
    with mariadb.create() as database:
        database.execute(SCHEMA)
        with backend(database) as made, made.reading() as connection:
            catalogue = made.read_catalogue(connection)
            assert catalogue.version == made.schema_version(connection)
            yield catalogue.tables


def test_tables_and_views_are_listed_and_sequences_are_not(tables):
    assert {name: table.kind for name, table in tables.items()} == {
        "person": "table", "odd `name": "table", "child": "table", "kept": "table", "parts": "table", "people": "view", "lasting": "table without transactions",
    }  # fmt: skip
    assert [table.name for table in tables.values() if table.is_versioned] == ["kept"]
    assert tables["parts"].key == ("id", "at")


def test_columns_have_kinds_bounds_and_lengths(tables):
    person = tables["person"]
    kinds = {column.name: column.kind for column in person.columns}
    assert kinds == {
        "id": Kind.NUMBER, "small": Kind.NUMBER, "name": Kind.TEXT, "short": Kind.TEXT, "born": Kind.DATE,
        "seen": Kind.NAIVE, "stamp": Kind.INSTANT, "y": Kind.NUMBER, "raw": Kind.BYTES, "doc": Kind.OTHER,
        "state": Kind.OTHER, "tags": Kind.OTHER, "ip": Kind.ADDRESS, "uid": Kind.UUID, "flags": Kind.NUMBER,
        "place": Kind.OTHER, "price": Kind.NUMBER, "long_name": Kind.TEXT, "content": Kind.TEXT, "shout": Kind.TEXT,
        "tiny": Kind.NUMBER,
    }  # fmt: skip
    assert {c.name: c.bounds for c in person.columns if c.bounds} == {
        "id": (0, 2**64 - 1), "small": (-128, 127), "y": (0, 2155), "flags": (0, 7), "tiny": (0, 255),
    }  # fmt: skip
    assert {c.name: c.length for c in person.columns if c.length} == {
        "name": 80, "short": 5, "raw": 16, "long_name": 63, "shout": 80,
    }  # fmt: skip
    assert [c.name for c in person.columns if c.is_computed] == ["shout"]
    assert [c.name for c in person.columns if not c.is_nullable] == ["id", "name"]
    assert [c.type for c in person.columns if c.name in {"doc", "state"}] == ["json", "enum('a','b')"]


def test_only_whole_unique_keys_count_as_unique(tables):
    assert set(tables["person"].uniques) == {frozenset({"id"}), frozenset({"uid"}), frozenset({"name", "born"})}
    assert tables["person"].indexed == {"id", "uid", "name", "seen"}


def test_names_with_backquotes_and_spaces_come_as_they_are(tables):
    assert tables["odd `name"].key == ("c`d", "a b")
    assert [check.columns for check in tables["odd `name"].checks] == [{"c`d"}]


def test_checks_name_their_columns(tables):
    checks = {check.name: check.columns for check in tables["person"].checks}
    assert checks["adult"] == {"born", "price"}


def test_foreign_keys_have_their_actions(tables):
    found = {
        key.columns: (key.to_table, key.to_columns, key.on_delete, key.has_index)
        for key in tables["child"].foreign_keys
    }
    assert found == {
        ("person",): ("person", ("id",), "SET NULL", True),
        ("boss",): ("child", ("id",), "CASCADE", True),
        ("c", "d"): ("odd `name", ("c`d", "a b"), "RESTRICT", True),
    }


def test_triggers_that_delete_are_told_from_those_that_speak_of_it(tables):
    assert tables["person"].delete_triggers == ("tell", "tidy")
    assert tables["person"].deleting_triggers == ("tidy",)


def test_other_databases_are_read_where_they_are_named_or_referred_to(mariadb):
    with mariadb.create() as own, mariadb.create() as named, mariadb.create() as referring:
        own.execute("CREATE TABLE person (id INT PRIMARY KEY)")
        named.execute("CREATE TABLE visit (id INT PRIMARY KEY)")
        referring.execute(
            f"CREATE TABLE note (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES {own.name}.person (id))"
        )
        with backend(own, f"{named.name}.visit") as made, made.reading() as connection:
            tables = made.read_catalogue(connection).tables
            assert set(tables) == {"person", f"{named.name}.visit", f"{referring.name}.note"}
            assert [key.to_table for key in tables[f"{referring.name}.note"].foreign_keys] == ["person"]
            visit = tables[f"{named.name}.visit"]
            assert (visit.schema, visit.own_name) == (named.name, "visit")
            before = made.schema_version(connection)
            named.execute("ALTER TABLE visit ADD v INT")
            assert made.schema_version(connection) != before


def test_the_option_schema_names_another_database(mariadb):
    with mariadb.create() as own, mariadb.create() as another:
        another.execute("CREATE TABLE person (id INT PRIMARY KEY)")
        with backend(own, schema=another.name) as made, made.reading() as connection:
            assert set(made.read_catalogue(connection).tables) == {"person"}


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE t ADD b INT, ALGORITHM=INSTANT",
        "ALTER TABLE t MODIFY a BIGINT",
        "ALTER TABLE t CHANGE a b INT",
        "CREATE TABLE u (id INT)",
        "DROP TABLE v",
        "CREATE TRIGGER x AFTER DELETE ON t FOR EACH ROW SET @a = 1",
    ],
)
def test_the_version_changes_with_the_schema_at_once(mariadb, change):
    with mariadb.create() as database:
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT); CREATE TABLE v (id INT)")
        with backend(database) as made, made.reading() as connection:
            before = made.schema_version(connection)
            database.execute(change)
            assert made.schema_version(connection) != before


def test_the_version_stays_when_rows_are_written(mariadb):
    with mariadb.create() as database:
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT)")
        with backend(database) as made, made.reading() as connection:
            before = made.schema_version(connection)
            database.execute("INSERT INTO t VALUES (1, 1), (2, 2); UPDATE t SET a = 3; DELETE FROM t WHERE id = 1")
            database.execute("ANALYZE TABLE t")
            assert made.schema_version(connection) == before
