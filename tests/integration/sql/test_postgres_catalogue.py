"""What is read from the catalogue of PostgreSQL: tables, keys, references, triggers, partitions, and when it changed."""

import itertools
from dataclasses import replace

import psycopg
import pytest
from postgres_bed import backend_on, catalogue_of, opened_on
from sql_bed import BEDS, ZONE

from connectors.sql.catalogue import Kind
from ropa.connector import DatasetSpec, Parent
from ropa.errors import LocationError


@pytest.fixture
def database(postgres):
    with postgres.create() as made:
        yield made


def tables_of(database, *datasets, **options):
    with backend_on(database.url, *datasets, **options) as backend:
        return catalogue_of(backend).tables


def references(table):
    return {(key.columns, key.to_table, key.to_columns, key.on_delete) for key in table.foreign_keys}


def test_columns_have_their_kind_length_and_bounds(database):
    database.execute(
        "CREATE DOMAIN postcode AS varchar(4) NOT NULL CHECK (VALUE ~ '^[0-9]+$');"
        "CREATE TYPE mood AS ENUM ('sad', 'happy, \"very\"');"
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, small smallint, big bigint, exact numeric(5,0),"
        " money numeric(5,2), double float8, body text, short varchar(10), fixed char(3), post postcode, m mood,"
        " blob bytea, flag boolean, day date, wall timestamp, instant timestamptz, u uuid, ip inet, net cidr, doc jsonb,"
        " twice int GENERATED ALWAYS AS (small * 2) STORED, gone int); ALTER TABLE t DROP COLUMN gone"
    )
    table = tables_of(database)["t"]
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {
        "id": Kind.NUMBER, "small": Kind.NUMBER, "big": Kind.NUMBER, "exact": Kind.NUMBER, "money": Kind.NUMBER,
        "double": Kind.NUMBER, "body": Kind.TEXT, "short": Kind.TEXT, "fixed": Kind.TEXT, "post": Kind.TEXT,
        "m": Kind.OTHER, "blob": Kind.BYTES, "flag": Kind.BOOLEAN, "day": Kind.DATE, "wall": Kind.NAIVE,
        "instant": Kind.INSTANT, "u": Kind.UUID, "ip": Kind.ADDRESS, "net": Kind.ADDRESS, "doc": Kind.OTHER,
        "twice": Kind.NUMBER,
    }  # fmt: skip
    assert {c.name: c.length for c in table.columns if c.length} == {"short": 10, "fixed": 3, "post": 4}
    assert table.column("small").bounds == (-32768, 32767)
    assert table.column("exact").bounds == (-99999, 99999)
    assert table.column("money").bounds is None
    assert {c.name for c in table.columns if c.is_computed} == {"id", "twice"}
    assert {c.name for c in table.columns if not c.is_nullable} == {"id", "post"}
    assert table.column("m").labels == ("sad", 'happy, "very"')
    assert [(check.columns, "VALUE" in check.expression) for check in table.checks] == [({"post"}, True)]
    assert table.column("short").type == "character varying(10)"


def test_only_whole_plain_and_valid_indexes_make_unique_or_found(database):
    database.execute(
        "CREATE TABLE t (a int, b int, c text, d int, e text, f int, PRIMARY KEY (b, a));"
        "CREATE UNIQUE INDEX ON t (c); CREATE UNIQUE INDEX ON t (d) WHERE a > 1; CREATE UNIQUE INDEX ON t (lower(e));"
        "CREATE INDEX ON t (f) WHERE a > 1; CREATE UNIQUE INDEX ON t (e) INCLUDE (f); CREATE INDEX ON t USING hash (d)"
    )
    table = tables_of(database)["t"]
    assert table.key == ("b", "a")
    assert set(table.uniques) == {frozenset("ab"), frozenset("c"), frozenset("e")}
    assert table.indexed == {"b", "c", "e"}


def test_checks_tell_their_columns(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int, CONSTRAINT order_of CHECK (a < b), CHECK (true))"
    )
    checks = {check.name: check for check in tables_of(database)["t"].checks}
    assert checks["order_of"].columns == {"a", "b"}
    assert checks["order_of"].expression == "(a < b)"
    assert [check.columns for name, check in checks.items() if name != "order_of"] == [frozenset()]


def test_names_of_any_sort_are_read_and_quoted(database):
    long = "n" * 63
    names = ['a "quoted" one', "with space", "dotted.name", "UPPER", "per%cent", "semi;colon--", "colon:x", "été", long]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        database.execute(f'CREATE TABLE {quoted} ("k%({name.replace(chr(34), "")[:20]})s" int PRIMARY KEY, "Ü:x" text)')
        database.execute(f"INSERT INTO {quoted} VALUES (7, 'x')")
    with backend_on(database.url, after_purge="vacuum") as backend, backend.reading() as connection:
        from sqlalchemy import select

        tables = backend.read_catalogue(connection).tables
        assert set(tables) == set(names)
        for table in tables.values():
            own = table.plain()
            columns = [own.c[column.name] for column in table.columns]
            versions = backend.versions(table)
            keys = backend.load_keys(connection, "some", table.columns[:1], [(0, (7,)), (1, (8,))])
            statement = select(keys.pos, *columns, *versions.columns(own)).join(own, columns[0] == keys.parts[0])
            assert [row[:3] for row in backend.fetch(connection, statement)] == [(0, 7, "x")]
            assert backend.finish(table) == "logical"


def test_kinds_of_relations_are_told(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t;"
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE TEMP TABLE hidden (id int);"
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (id int) SERVER s"
    )
    tables = tables_of(database)
    assert {name: table.kind for name, table in tables.items()} == {
        "t": "table", "v": "view", "m": "materialized view", "f": "foreign table",
    }  # fmt: skip
    with backend_on(database.url) as backend:
        assert backend.versions(tables["v"]).columns(tables["v"].plain()) == []
        assert backend.versions(tables["v"]).texts([(), ()]) == ["", ""]


def test_triggers_that_delete_are_told_from_those_that_do_not(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int);"
        "CREATE FUNCTION notes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN -- DELETE FROM other\n"
        " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;"
        "CREATE FUNCTION helper() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM other; END;"
        "CREATE FUNCTION calls() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM helper(); RETURN OLD; END $$;"
        "CREATE FUNCTION dynamic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('DELETE FROM %I', 'other'); RETURN OLD; END $$;"
        "CREATE TRIGGER a BEFORE INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION notes();"
        "CREATE TRIGGER b AFTER DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION calls();"
        "CREATE TRIGGER c AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION dynamic();"
        "CREATE TRIGGER d BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION calls();"
        "CREATE TRIGGER e AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION calls(); ALTER TABLE t DISABLE TRIGGER e;"
        "CREATE TABLE ruled (id int PRIMARY KEY); CREATE RULE keep AS ON DELETE TO ruled DO INSTEAD NOTHING;"
        "CREATE TABLE told (id int PRIMARY KEY); CREATE RULE tell AS ON DELETE TO told DO ALSO NOTIFY gone"
    )
    tables = tables_of(database)
    assert tables["t"].delete_triggers == ("a", "b", "c")
    assert tables["t"].deleting_triggers == ("b", "c")
    assert tables["ruled"].deleting_triggers == ("rule keep",)
    assert (tables["told"].delete_triggers, tables["told"].deleting_triggers) == (("rule tell",), ())


def test_references_have_their_action_and_index(database):
    database.execute(
        "CREATE TABLE p (a int, b int, c int UNIQUE, PRIMARY KEY (a, b));"
        "CREATE TABLE k1 (x int, y int, FOREIGN KEY (y, x) REFERENCES p (a, b) ON DELETE CASCADE); CREATE INDEX ON k1 (x, y);"
        "CREATE TABLE k2 (z int REFERENCES p (c) ON DELETE SET NULL); CREATE INDEX ON k2 (z) WHERE z > 1;"
        "CREATE TABLE k3 (z int REFERENCES p (c) ON DELETE SET DEFAULT); CREATE TABLE k4 (z int REFERENCES p (c) ON DELETE RESTRICT)"
    )
    tables = tables_of(database)
    assert references(tables["k1"]) == {(("y", "x"), "p", ("a", "b"), "CASCADE")}
    assert [tables[f"k{n}"].foreign_keys[0].on_delete for n in (2, 3, 4)] == ["SET NULL", "SET DEFAULT", "RESTRICT"]
    assert tables["k1"].foreign_keys[0].has_index
    assert not tables["k2"].foreign_keys[0].has_index


PARTITIONED = """
CREATE TABLE p (id int PRIMARY KEY);
CREATE TABLE e (n int, id bigint, at date NOT NULL, p int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE e1 (gone int, p int, at date NOT NULL, n int, id bigint NOT NULL, q int);
ALTER TABLE e1 DROP COLUMN gone, DROP COLUMN q;
ALTER TABLE e ATTACH PARTITION e1 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE e2 PARTITION OF e FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY RANGE (at);
CREATE TABLE e2a PARTITION OF e2 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE TABLE child (id int PRIMARY KEY, e bigint, at date, FOREIGN KEY (e, at) REFERENCES e ON DELETE CASCADE);
CREATE INDEX ON e1 (p); CREATE INDEX ON e2a (p);
"""


@pytest.mark.parametrize("where", ["the table", "one partition", "each partition"])
def test_the_references_of_partitions_count_once_and_for_the_whole_table(database, where):
    names = {"the table": ["e"], "one partition": ["e1"], "each partition": ["e1", "e2a"]}[where]
    database.execute(PARTITIONED + "".join(f"ALTER TABLE {name} ADD FOREIGN KEY (p) REFERENCES p;" for name in names))
    tables = tables_of(database)
    assert references(tables["e"]) == {(("p",), "p", ("id",), "NO ACTION")}
    assert tables["e"].foreign_keys[0].has_index
    assert tables["e1"].foreign_keys == tables["e2"].foreign_keys == tables["e2a"].foreign_keys == ()
    assert references(tables["child"]) == {(("e", "at"), "e", ("id", "at"), "CASCADE")}
    assert tables["e"].key == ("id", "at")
    assert {name: table.partition_of for name, table in tables.items() if table.partition_of} == {
        "e1": "e", "e2": "e", "e2a": "e2",
    }  # fmt: skip
    # Where partitions are what is configured, they stand for themselves.
    tables = tables_of(database, DatasetSpec("old", "e1", ZONE), DatasetSpec("new", "e2a", ZONE))
    assert tables["e"].foreign_keys == ()
    found = {name for name in ("e1", "e2a") if references(tables[name]) == {(("p",), "p", ("id",), "NO ACTION")}}
    assert found == ({"e1"} if where == "one partition" else {"e1", "e2a"})
    assert {key.to_table for key in tables["child"].foreign_keys} == {"e1", "e2a"}


def test_a_place_tells_nothing_where_there_are_partitions(database):
    database.execute(PARTITIONED + "INSERT INTO e VALUES (1, 1, '2020-05-05'), (1, 2, '2021-05-05')")
    with backend_on(database.url) as backend, backend.reading() as connection:
        tables = backend.read_catalogue(connection).tables
        from sqlalchemy import select

        for name, has_places in (("e", False), ("e1", True)):
            own = tables[name].plain()
            versions = backend.versions(tables[name])
            texts = versions.texts(backend.fetch(connection, select(*versions.columns(own)).order_by(own.c.id)))
            assert (versions.whereabouts(own, texts) is not None) is has_places
            assert texts[0].startswith("x")


def test_children_by_inheritance_keep_a_table_from_being_purged(database):
    database.execute(
        "CREATE TABLE base (id int PRIMARY KEY); CREATE TABLE more (extra int) INHERITS (base); CREATE INDEX ON base (id)"
    )
    tables = tables_of(database)
    assert tables["base"].deleting_triggers == ("INHERITS more",)
    assert (tables["base"].key, tables["base"].uniques, tables["base"].partition_of) == ((), (), None)
    assert tables["more"].deleting_triggers == ()


def test_tables_of_other_schemas_are_there_when_they_hang_on_the_locations(database):
    database.execute(
        'CREATE TABLE person (id int PRIMARY KEY); CREATE SCHEMA audit; CREATE SCHEMA apart; CREATE SCHEMA "Od.d";'
        "CREATE TABLE audit.visit (id int PRIMARY KEY, person int REFERENCES person ON DELETE CASCADE);"
        'CREATE TABLE "Od.d"."of visit" (visit int REFERENCES audit.visit ON DELETE SET NULL);'
        "CREATE TABLE apart.person (id int PRIMARY KEY); CREATE TABLE apart.other (id int PRIMARY KEY)"
    )
    tables = tables_of(database)
    assert set(tables) == {"person", "audit.visit", "Od.d.of visit"}
    assert references(tables["audit.visit"]) == {(("person",), "person", ("id",), "CASCADE")}
    assert (tables["audit.visit"].schema, tables["audit.visit"].own_name) == ("audit", "visit")
    tables = tables_of(database, DatasetSpec("others", "apart.other", ZONE))
    assert set(tables) == {"person", "audit.visit", "Od.d.of visit", "apart.other"}
    tables = tables_of(database, schema="audit")
    assert set(tables) == {"visit", "public.person", "Od.d.of visit"}
    with pytest.raises(LocationError, match="no schema 'none'") as raised, backend_on(database.url, schema="none"):
        pass
    assert raised.value.code == "missing"


def test_a_change_of_the_schema_is_noticed_and_nothing_else(database):
    database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE k (t int REFERENCES t); INSERT INTO t VALUES (1, 'x');"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin return old; end'"
    )
    quiet = [
        "INSERT INTO t SELECT g, 'y' FROM generate_series(2, 5000) g",
        "UPDATE t SET a = 'z'",
        "DELETE FROM t WHERE id > 10",
        "ANALYZE",
        "VACUUM",
        "CREATE TEMP TABLE passing (id int)",
    ]
    loud = [
        "ALTER TABLE t ADD COLUMN b int",
        "ALTER TABLE t RENAME COLUMN b TO c",
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        "CREATE INDEX i ON t (a)",
        "DROP INDEX i",
        "ALTER TABLE t ADD CHECK (id > 0)",
        "CREATE TRIGGER tr AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'begin delete from k; return old; end'",
        "ALTER TABLE t DISABLE TRIGGER tr",
        "ALTER TABLE k DROP CONSTRAINT k_t_fkey",
        "ALTER TABLE k ADD FOREIGN KEY (t) REFERENCES t ON DELETE CASCADE",
        "CREATE RULE r AS ON DELETE TO k DO INSTEAD NOTHING",
        "CREATE SCHEMA s; CREATE TABLE s.t2 (t int REFERENCES t)",
        "ALTER TABLE s.t2 SET SCHEMA public",
        "ALTER TABLE t RENAME TO u",
        "DROP TABLE k",
    ]
    with backend_on(database.url) as backend, backend.reading() as connection:
        version = backend.schema_version(connection)
        for statement in quiet:
            database.execute(statement)
            assert backend.schema_version(connection) == version, statement
        for statement in loud:
            database.execute(statement)
            changed = backend.schema_version(connection)
            assert changed != version, statement
            version = changed
        assert backend.read_catalogue(connection).version == version


# --- schemas of others ----------------------------------------------------------------------------------------------


def bed(postgres, name):
    path = BEDS / "databases" / f"{name}.pg.sql"
    if not path.exists():
        pytest.skip(f"beds absent: {path}")
    database = postgres.create()
    database.load(path)
    return database


def test_pagila_keeps_what_its_partitions_refer_to(postgres):
    with bed(postgres, "pagila") as database:
        tables = tables_of(database)
        assert {key.to_table for key in tables["payment"].foreign_keys} == {"customer", "rental", "staff"}
        assert tables["payment"].key == ("payment_date", "payment_id")
        assert tables["payment_p2022_07"].partition_of == "payment"
        assert tables["rental_by_category"].kind == "materialized view"
        assert tables["film"].column("release_year").kind is Kind.NUMBER
        assert not any(table.deleting_triggers for table in tables.values())


def test_tryton_has_25_references_to_its_parties(postgres):
    with bed(postgres, "tryton") as database:
        tables = tables_of(database)
        actions = [key.on_delete for t in tables.values() for key in t.foreign_keys if key.to_table == "party_party"]
        assert sorted(actions) == ["CASCADE"] * 12 + ["RESTRICT"] * 9 + ["SET NULL"] * 4
        assert sum(table.kind == "table" for table in tables.values()) > 200


def test_northwind_and_chinook_are_read_with_their_names(postgres):
    with bed(postgres, "northwind") as database:
        tables = tables_of(database)
        assert tables["customers"].key == ("customer_id",)
        assert tables["order_details"].key == ("order_id", "product_id")
        assert tables["orders"].column("order_date").kind is Kind.DATE
    with bed(postgres, "chinook") as database:
        tables = tables_of(database)
        assert references(tables["employee"]) == {(("reports_to",), "employee", ("employee_id",), "NO ACTION")}


def test_what_the_server_refuses_to_compare_is_known(database):
    types = (
        "int", "bigint", "smallint", "numeric(9,0)", "float8", "text", "varchar(9)", "char(3)", "uuid", "bytea", "boolean",
        "date", "timestamp", "timestamptz", "inet", "cidr",
    )  # fmt: skip
    database.execute(f"CREATE TABLE t ({', '.join(f'c{n} {name}' for n, name in enumerate(types))})")
    table = tables_of(database)["t"]
    refused = set()
    for one, other in itertools.product(range(len(types)), repeat=2):
        said = table.compares(table.column(f"c{one}"), table.column(f"c{other}"))
        try:
            database.execute(f"SELECT c{one} = c{other} FROM t")
        except psycopg.errors.UndefinedFunction:
            refused.add((types[one], types[other]))
            assert not said, (types[one], types[other])
        else:
            assert said, (types[one], types[other])
    assert ("text", "uuid") in refused


@pytest.mark.parametrize("asked", ["children", "parents"])
def test_a_parent_named_by_a_column_of_another_sort_is_told(database, asked):
    database.execute(
        "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int PRIMARY KEY, p text, q bigint)"
    )
    parents = DatasetSpec("parents", "parents", ZONE)
    children = DatasetSpec("children", "children", ZONE, parent=Parent("parents", ("p",)))
    with opened_on(database.url, parents, children) as connector:
        (problem,) = connector.problems(asked)
    assert "'p' of 'children' (text)" in problem
    assert "'id' of 'parents' (integer)" in problem
    with opened_on(database.url, parents, replace(children, parent=Parent("parents", ("q",)))) as connector:
        assert connector.problems(asked) == []
