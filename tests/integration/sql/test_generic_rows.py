"""The generic path over real tables: dates with types, keys of every sort, and what must stop it."""

from datetime import date
from uuid import UUID

import pytest
from generic_bed import opened
from sql_bed import ZONE, act, dataset, due, every, found, keys, purge, undated, words
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from connectors.sql.generic import GenericBackend
from ropa.connector import Action, AnchorPart, Condition, FieldChange, LocationSpec, Mask, Parent
from ropa.errors import LocationError

GUIDS = [f"6f9619ff-8b86-d011-b42d-00c04fc9640{n}" for n in range(4)]


def run(url, *statements):
    engine = create_engine(make_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
    rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def ids(url, table="t"):
    with create_engine(make_url(url), poolclass=NullPool).connect() as connection:
        return [row[0] for row in connection.execute(text(f"SELECT id FROM {table} ORDER BY id"))]


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path / 'crm.sqlite'}"


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    with request.getfixturevalue(request.param).create() as database:
        yield database.url


@pytest.fixture
def postgres_url(postgres):
    with postgres.create() as database:
        yield database.url


# --- dates ----------------------------------------------------------------------------------------------------------


def test_dates_with_a_type_are_due_by_the_wall_clock_of_the_dataset(server):
    kind = "timestamp" if server.startswith("postgresql") else "datetime(6)"
    run(
        server,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, created {kind}, born date)",
        "INSERT INTO t VALUES (1, '2026-05-20 23:59:59.999999', '2026-05-20'), (2, '2026-05-21 00:00:00', '2026-05-21'),"
        " (3, NULL, NULL), (4, '2026-11-22 03:31:00', '2026-11-23'), (5, '2024-02-29 12:00:00', '2024-02-29')",
    )
    with opened(server, dataset("t", anchors=("created", "born"))) as location:
        told = {record.key: record.anchored for record in found(location, due("t"))}
        assert told == {("1",): (date(2026, 5, 20),), ("5",): (date(2024, 2, 29),)}
        assert keys(location, due("t", "born")) == [("1",), ("5",)]
        assert keys(location, undated("t", "created")) == [("3",), ("4",)]
        assert keys(location, undated("t", "born")) == [("3",), ("4",)]
        assert purge(location, due("t")) == [("1",), ("5",)]
    assert ids(server) == [2, 3, 4]


def test_instants_are_due_by_the_day_of_the_controller(postgres_url):
    run(
        postgres_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created timestamptz)",
        "INSERT INTO t VALUES (1, '2026-05-20 21:59:59Z'), (2, '2026-05-20 22:00:00Z'), (3, NULL), (4, '2026-11-23 00:00Z')",
    )
    with opened(postgres_url, dataset("t")) as location:
        assert keys(location, due("t")) == [("1",)]
        assert keys(location, undated("t")) == [("3",), ("4",)]


def test_seconds_since_1970_are_read_by_their_declared_form(server):
    run(
        server,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created NUMERIC(20, 3))",
        "INSERT INTO t VALUES (1, 1779314399.999), (2, 1779314400), (3, NULL), (4, 99999999999), (5, -99999999999999)",
    )
    spec = dataset("t", anchors={"created": [AnchorPart("created", form="epoch")]})
    with opened(server, spec) as location:
        assert keys(location, due("t")) == [("1",)]
        assert keys(location, undated("t")) == [("3",), ("4",), ("5",)]


def family(url, kind, *orders):
    run(
        url,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, created {kind})",
        f"CREATE TABLE o (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id), placed {kind})",
        "INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-01'), (3, NULL)",
        "INSERT INTO o VALUES (1, 1, '2019-01-01'), (2, 2, '2026-07-01'), (3, 2, '2019-01-01'), (4, 3, '2019-03-01')",
    )
    parts = {"latest": [AnchorPart("created"), AnchorPart("placed", dataset="o")]}
    return dataset("t", anchors=parts), dataset("o", anchors=("placed",), parent=Parent("t", ("t",)))


def test_the_latest_of_childrens_dates_counts(server):
    specs = family(server, "date")
    with opened(server, *specs) as location:
        told = {record.key: record.anchored for record in found(location, due("t", "latest"))}
    assert told == {("1",): (date(2020, 1, 1),), ("3",): (date(2019, 3, 1),)}


def test_the_latest_of_childrens_dates_in_text_is_refused_and_not_guessed(server):
    specs = family(server, "varchar(20)")
    with opened(server, *specs) as location:
        with pytest.raises(LocationError, match="cannot be told from text") as refused:
            list(location.find(due("t", "latest")))
        assert keys(location, due("o", "placed")) == [("1",), ("3",), ("4",)]
    assert refused.value.code == "unsupported"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uuid", GUIDS),
        ("bytea", [r"\x00ff", r"\x01", r"\x0102", r"\xff"]),
        ("date", ["2020-01-01", "2020-01-02", "2024-02-29", "2025-12-31"]),
        ("timestamptz", [f"2020-01-01 00:00:00.00000{n}Z" for n in range(4)]),
        ("timestamp", [f"2020-01-01 00:00:00.00000{n}" for n in range(4)]),
        ("char(9)", ["a", "b", "c''d", "e"]),
        ("varchar(9)", ["", "B", "a", "ÿ🎂"]),
        ("numeric(10,2)", ["-1.25", "0.50", "1", "10.10"]),
        ("double precision", ["-1.25", "0.1", "1", "1e300"]),
        ("boolean", ["false", "true"]),
        ("bigint", ["-9223372036854775807", "-1", "0", "9223372036854775807"]),
    ],
)
def test_records_are_found_by_keys_of_every_sort_and_only_the_planned_go(postgres_url, kind, values):
    listed = ", ".join(f"('{value}', '2020-01-01')" for value in values)
    run(
        postgres_url,
        f'CREATE TABLE "order lines" (id {kind} PRIMARY KEY, created date)',
        f'CREATE TABLE child (n INTEGER PRIMARY KEY, id {kind} REFERENCES "order lines")',
        f'INSERT INTO "order lines" VALUES {listed}',
        f"INSERT INTO child VALUES (1, '{values[0]}')",
    )
    with opened(postgres_url, dataset("lines", "order lines")) as location:
        first, *others = found(location, due("lines"))
        assert len(others) == len(values) - 1
        assert [reference.count for reference in first.referred_by] == [1]
        assert not any(record.referred_by for record in others)
        assert keys(location, due("lines", keys=(first.key, others[-1].key))) == [first.key, others[-1].key]
        outcomes = act(location, due("lines"))
        assert [(word.value, code) for _, word, code in outcomes] == [
            ("blocked", "referenced"),
            *[("purged", None)] * len(others),
        ]
    assert run(postgres_url, 'SELECT count(*) FROM "order lines"') == [(1,)]


def test_keys_of_several_columns_need_no_comparison_of_rows(server):
    kind = "uuid" if server.startswith("postgresql") else "varchar(36)"
    run(
        server,
        f"CREATE TABLE t (a INTEGER, b varchar(9), g {kind}, id INTEGER, created date, PRIMARY KEY (a, b, g))",
        "INSERT INTO t VALUES "
        + ", ".join(f"({n % 2}, '{n % 3}', '{GUIDS[n % 4]}', {n}, '2020-01-01')" for n in range(12)),
    )
    with opened(server, dataset("t")) as location:
        listed = keys(location, due("t"))
        assert len(set(listed)) == 12
        assert listed == sorted(listed)
        assert UUID(listed[0][2])
        assert len(purge(location, due("t", match=(Condition("id", (0,), negated=True),)))) == 11
    assert ids(server) == [0]


# --- changing and removing -------------------------------------------------------------------------------------------


def test_fields_are_cleared_and_masked_once(server):
    run(
        server,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created date, name varchar(40) NOT NULL, born date, ip varchar(40))",
        "INSERT INTO t VALUES (1, '2020-01-01', 'An', '1980-05-06', '192.0.2.77'), (2, '2026-07-01', 'Bo', NULL, NULL)",
    )
    changes = (FieldChange("name"), FieldChange("born", Mask.YEAR), FieldChange("ip", Mask.TRUNCATE_IP))
    with opened(server, dataset("t")) as location:
        assert words(act(location, due("t", fields=changes), Action.ANONYMISE)) == {"1": "anonymised"}
        assert keys(location, due("t", fields=changes)) == []
    assert run(server, "SELECT name, born, ip FROM t ORDER BY id") == [
        ("", date(1980, 1, 1), "192.0.2.0"),
        ("Bo", None, None),
    ]


def test_a_trigger_that_keeps_a_row_undoes_the_batch(sqlite):
    run(
        sqlite,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created VARCHAR(20))",
        "INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-01'), (3, '2020-01-01')",
        "CREATE TRIGGER keeps AFTER DELETE ON t WHEN old.id = 2 BEGIN INSERT INTO t VALUES (2, '2020-01-01'); END",
    )
    with opened(sqlite, dataset("t")) as location:
        assert words(act(location, due("t"))) == {"1": "purged", "2": "failed", "3": "purged"}
    assert ids(sqlite) == [2]


def test_a_driver_that_cannot_count_removes_nothing(sqlite, monkeypatch):
    run(
        sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY, created VARCHAR(20))", "INSERT INTO t VALUES (1, '2020-01-01')"
    )
    monkeypatch.setattr("sqlalchemy.engine.CursorResult.rowcount", -1)
    with opened(sqlite, dataset("t")) as location:
        assert words(act(location, due("t"))) == {"1": "failed"}
    assert ids(sqlite) == [1]


def test_a_table_that_was_changed_is_noticed_before_anything_goes(server):
    run(server, "CREATE TABLE t (id INTEGER PRIMARY KEY, created date)", "INSERT INTO t VALUES (1, '2020-01-01')")
    with opened(server, dataset("t")) as location:
        (batch,) = location.find(due("t"))
        run(
            server,
            "CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)",
        )
        run(server, "INSERT INTO child VALUES (7, 1)")
        with pytest.raises(LocationError, match="changed while a batch was prepared"):
            location.act(due("t"), batch, Action.PURGE)
        assert words(act(location, due("t"), batch=batch)) == {"1": "blocked"}
    assert (ids(server), ids(server, "child")) == ([1], [7])


def test_a_reference_from_another_schema_is_seen(postgres_url):
    run(
        postgres_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created date)",
        "CREATE SCHEMA audit",
        "CREATE TABLE audit.child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t ON DELETE CASCADE)",
        "INSERT INTO t VALUES (1, '2020-01-01'), (2, '2020-01-01')",
        "INSERT INTO audit.child VALUES (1, 2)",
    )
    with opened(postgres_url, dataset("t"), dataset("child", "audit.child", anchors=())) as location:
        assert keys(location, every("child")) == [("1",)]
        assert words(act(location, due("t"))) == {"1": "purged", "2": "blocked"}


# --- opening, looking and saying so -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code", "step"),
    [
        ("nosuchbase://canary-secret@host/db", "unsupported", "install the SQLAlchemy dialect"),
        ("mssql://canary-secret:canary-secret@host/db", "driver", "pip install mssql-python"),
        ("oracle://canary-secret:canary-secret@host/db", "driver", "pip install oracledb"),
    ],
)
def test_what_is_not_installed_is_told_with_how_to_install_it(url, code, step):
    with pytest.raises(LocationError) as refused:
        GenericBackend(LocationSpec("erp", "sql", ZONE), make_url(url))
    assert refused.value.code == code
    assert step in refused.value.next_step
    assert "canary" not in f"{refused.value} {refused.value.next_step} {refused.value.__cause__}"


def test_a_place_that_does_not_answer_is_unreachable(tmp_path):
    with pytest.raises(LocationError) as refused:
        GenericBackend(LocationSpec("erp", "sql", ZONE), make_url(f"sqlite:///{tmp_path / 'none' / 'x.sqlite'}"))
    assert refused.value.code == "unreachable"


def test_what_cannot_be_done_after_a_purge_is_refused(sqlite):
    with pytest.raises(LocationError, match="after_purge"):
        GenericBackend(LocationSpec("erp", "sql", ZONE, {"after_purge": "vacuum"}), make_url(sqlite))


def test_health_says_who_and_when_and_what_is_not_known(server):
    run(server, "CREATE TABLE t (id INTEGER PRIMARY KEY, created date)")
    with opened(server, dataset("t")) as location:
        health = location.check()
    assert health.is_reachable
    assert health.may_read is True
    assert health.may_delete is None
    assert ("postgres" if server.startswith("postgresql") else "root") in health.identity
    assert (health.now is not None) is server.startswith("postgresql")
    assert any("triggers are not seen" in note for note in health.notes)
    assert any("not tested" in note for note in health.notes)


def test_a_user_who_may_read_only_can_plan(postgres):
    with postgres.create() as database:
        run(
            database.url,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, created date)",
            "INSERT INTO t VALUES (1, '2020-01-01')",
        )
        reader = database.role("reader", "SELECT")
        with opened(reader, dataset("t")) as location:
            assert location.check().may_read is True
            assert keys(location, due("t")) == [("1",)]
            with pytest.raises(LocationError) as refused:
                act(location, due("t"))
            assert refused.value.code == "denied"
        assert ids(database.url) == [1]


def test_what_the_catalogue_tells_is_told(postgres_url):
    run(
        postgres_url,
        "CREATE TABLE t (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, created date NOT NULL, code varchar(7) UNIQUE,"
        " twice INTEGER GENERATED ALWAYS AS (id * 2) STORED, CONSTRAINT sane CHECK (code <> ''))",
        "CREATE INDEX ON t (created)",
        "CREATE INDEX ON t (twice) WHERE twice > 5",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t ON DELETE SET NULL)",
    )
    backend = GenericBackend(LocationSpec("crm", "sql", ZONE), make_url(postgres_url))
    with backend.reading() as connection:
        tables = backend.read_catalogue(connection).tables
    backend.close()
    table = tables["t"]
    assert {name: found.kind for name, found in tables.items()} == {
        "t": "table", "c": "table", "v": "view", "m": "materialized view"
    }  # fmt: skip
    assert table.key == ("id",)
    assert set(table.uniques) == {frozenset({"id"}), frozenset({"code"})}
    assert table.indexed == {"id", "code", "created"}
    assert [(c.name, c.is_nullable, c.is_computed, c.length) for c in table.columns] == [
        ("id", False, False, None), ("created", False, False, None), ("code", True, False, 7), ("twice", True, True, None)
    ]  # fmt: skip
    assert [(check.name, check.columns) for check in table.checks] == [("sane", {"code"})]
    (key,) = tables["c"].foreign_keys
    assert (key.columns, key.to_table, key.to_columns, key.on_delete, key.has_index) == (
        ("t",), "t", ("id",), "SET NULL", False
    )  # fmt: skip


def test_nothing_is_committed_by_a_connection_that_reads(sqlite):
    run(sqlite, "CREATE TABLE t (id INTEGER PRIMARY KEY, created date)")
    backend = GenericBackend(LocationSpec("crm", "sql", ZONE), make_url(sqlite))
    with backend.reading() as connection, backend.snapshot(connection):
        connection.execute(text("INSERT INTO t VALUES (1, '2020-01-01')"))
    with backend.reading() as connection:
        connection.execute(text("INSERT INTO t VALUES (2, '2020-01-01')"))
    backend.close()
    assert ids(sqlite) == []
