"""The statements of the generic path, as SQL Server and Oracle would get them, and what becomes of keys and errors."""

import re
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import bindparam, create_engine, delete, select, text, tuple_, types
from sqlalchemy.dialects import mssql, oracle
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from connectors.sql.backend import KeyTable
from connectors.sql.catalogue import Kind, bound
from connectors.sql.conditions import is_one_of
from connectors.sql.faults import fault_code
from connectors.sql.generic_catalogue import GenericColumn, GenericTable, kind_of, native_of
from connectors.sql.generic_keys import key_sources
from connectors.sql.generic_statements import lock_first, portable
from connectors.sql.generic_values import normalised

GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
ID = GenericColumn("id", "INTEGER", Kind.NUMBER, found=types.INTEGER())
CODE = GenericColumn("code", "NVARCHAR(5)", Kind.TEXT, length=5, found=types.NVARCHAR(5))
LINES = GenericTable("order lines", "table", (ID, CODE), key=("id", "code"), is_quoted=True)
SERVERS = [mssql.dialect(), oracle.dialect()]


def written(statement, dialect):
    made = portable(statement, dialect.name, lambda source: None)
    return " ".join(str(made.compile(dialect=dialect)).split())


def joined(values=((1, "a"), (2, "b"))):
    own = LINES.plain()
    source = key_sources("batch", LINES.columns, list(enumerate(values)))[0]
    keys = KeyTable(source, source.c.pos, (source.c.k0, source.c.k1))
    statement = select(keys.pos, own.c.code).select_from(source).join(own, own.c.id == source.c.k0)
    return own, keys, statement.with_for_update(of=own)


@pytest.mark.parametrize("dialect", SERVERS, ids=lambda each: each.name)
def test_no_row_is_compared_with_a_row(dialect):
    own, keys, _ = joined()
    columns = [own.c.id, own.c.code]
    gone = written(delete(own).where(is_one_of(columns, keys)), dialect)
    after = written(select(own.c.id).where(tuple_(*columns) > tuple_(bound(1), bound("a"))).order_by(*columns), dialect)
    assert " EXISTS (SELECT 1 FROM" in gone
    assert gone.count("UNION ALL") == 1
    for statement in (gone, after):
        assert not re.search(r"\([^()]*,[^()]*\) (IN|>)", statement)
    assert after.count(">") == 2
    assert after.count(" = ") == 1


def test_sql_server_locks_the_rows_it_reads_and_only_those():
    _, _, statement = joined()
    assert lock_first(statement, "mssql") is None
    assert written(statement, mssql.dialect()).count("[order lines] WITH (UPDLOCK, HOLDLOCK)") == 1
    assert "UPDLOCK" not in written(select(LINES.plain().c.id), mssql.dialect())


def test_where_a_join_cannot_be_locked_the_rows_are_locked_before():
    _, _, statement = joined()
    locking, bare = lock_first(statement, "oracle")
    locked, read = written(locking, oracle.dialect()), written(bare, oracle.dialect())
    assert locked.endswith("FOR UPDATE")
    assert "JOIN" not in locked
    assert "EXISTS" in locked
    assert "JOIN" in read
    assert "FOR UPDATE" not in read
    assert "FROM DUAL" in read
    assert lock_first(bare, "oracle") is None


def test_what_is_not_empty_is_asked_in_a_way_that_oracle_answers():
    own = LINES.plain()
    statement = select(own.c.id).where(own.c.code.is_not(None), own.c.code != bound(""))
    assert "!=" not in written(statement, oracle.dialect())
    assert "!=" in written(statement, mssql.dialect())


def test_oracle_names_are_left_to_the_dialect_and_others_are_quoted():
    plain = GenericTable("person", "table", (ID,), is_quoted=False).plain()
    quoted = GenericTable("person", "table", (ID,)).plain()
    assert written(select(plain.c.id), oracle.dialect()) == "SELECT person.id FROM person"
    assert written(select(quoted.c.id), mssql.dialect()) == "SELECT [person].[id] FROM [person]"


def test_text_keys_are_bound_and_numbers_take_no_parameter():
    _, _, statement = joined([(n, "o'hara") for n in range(50)])
    sql = written(statement, mssql.dialect())
    assert "hara" not in sql
    assert len(re.findall(r":param_\d+", sql)) == 50


def test_a_key_is_never_cut_or_rounded_to_another():
    own = create_engine("sqlite://")
    decimal = GenericColumn("amount", "NUMERIC(10, 2)", Kind.NUMBER, found=types.NUMERIC(10, 2))
    sql = written(select(key_sources("x", [decimal], [(0, ("1.256789",)), (1, ("abc",))])[0].c.k0), mssql.dialect())
    assert "NUMERIC(38, 6)" in sql
    assert "UNION" not in sql
    with own.connect() as connection:
        source = key_sources("x", [CODE], [(0, ("longer than five",)), (1, ("🎂🎂🎂",)), (2, ("a\0b",))])[0]
        assert connection.execute(select(source.c.pos, source.c.k0)).all() == [(0, "longer than five"), (1, "🎂🎂🎂")]
    assert "NVARCHAR(6)" in written(select(key_sources("x", [CODE], [(0, ("🎂🎂🎂",))])[0].c.k0), mssql.dialect())
    own.dispose()


def test_keys_of_more_rows_than_a_statement_takes_come_in_several_tables():
    sources = key_sources("x", [ID], [(n, (n * 7,)) for n in range(4500)])
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        rows = [tuple(row) for source in sources for row in connection.execute(select(source.c.pos, source.c.k0))]
        assert connection.execute(select(key_sources("x", [ID], [])[0].c.k0)).all() == []
    engine.dispose()
    assert [len(sources), rows] == [3, [(n, n * 7) for n in range(4500)]]


@pytest.mark.parametrize(
    ("value", "kind", "native"),
    [
        (GUID, Kind.UUID, UUID(GUID)),
        (GUID + "0", Kind.UUID, None),
        ("{" + GUID + "}", Kind.UUID, None),
        (1, Kind.BOOLEAN, True),
        (2, Kind.BOOLEAN, None),
        ("2026-02-28", Kind.DATE, date(2026, 2, 28)),
        ("2026-02-30", Kind.DATE, None),
        ("2026-02-28T01:02:03.5", Kind.NAIVE, datetime(2026, 2, 28, 1, 2, 3, 500000)),  # noqa: DTZ001 - of no zone
        ("2026-02-28T01:02:03Z", Kind.NAIVE, None),
        ("2026-02-28T01:02:03Z", Kind.INSTANT, datetime(2026, 2, 28, 1, 2, 3, tzinfo=UTC)),
        ("2026-02-28T01:02:03", Kind.INSTANT, None),
        (b"\x00\xff", Kind.BYTES, b"\x00\xff"),
    ],
)
def test_a_keys_text_becomes_what_the_driver_takes(value, kind, native):
    assert native_of(value, kind) == native


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, 1),
        (Decimal("5.00"), 5),
        (Decimal("-1.50"), -1.5),
        (Decimal("0.12345678901234567891"), "0.12345678901234567891"),
        (Decimal("NaN"), "NaN"),
        (memoryview(b"ab"), b"ab"),
        (UUID(GUID), GUID),
        (date(2026, 2, 28), "2026-02-28"),
        (datetime(2026, 2, 28, 1, 2, tzinfo=UTC), "2026-02-28T01:02:00Z"),
        (datetime(2026, 2, 28, 1, 2), "2026-02-28T01:02:00"),  # noqa: DTZ001 - of no zone
        ({"b": 1, "a": None}, '{"a": null, "b": 1}'),
    ],
)
def test_values_are_told_alike_whatever_the_driver_makes_of_them(value, told):
    found = normalised(value)
    assert (type(found), found) == (type(told), told)


@pytest.mark.parametrize(
    ("found", "dialect", "kind"),
    [
        (mssql.UNIQUEIDENTIFIER(), "mssql", Kind.UUID),
        (mssql.DATETIME2(), "mssql", Kind.NAIVE),
        (mssql.DATETIMEOFFSET(), "mssql", Kind.INSTANT),
        (mssql.BIT(), "mssql", Kind.BOOLEAN),
        (mssql.NTEXT(), "mssql", Kind.OTHER),
        (mssql.XML(), "mssql", Kind.OTHER),
        (mssql.TIMESTAMP(), "mssql", Kind.BYTES),
        (mssql.VARBINARY(16), "mssql", Kind.BYTES),
        (mssql.NVARCHAR(40), "mssql", Kind.TEXT),
        (oracle.DATE(), "oracle", Kind.NAIVE),
        (oracle.TIMESTAMP(timezone=True), "oracle", Kind.INSTANT),
        (oracle.NUMBER(10, 0), "oracle", Kind.NUMBER),
        (oracle.CLOB(), "oracle", Kind.OTHER),
        (oracle.VARCHAR2(10), "oracle", Kind.TEXT),
        (types.Interval(), "mssql", Kind.OTHER),
        (types.TIME(), "mssql", Kind.OTHER),
        (types.DATE(), "mssql", Kind.DATE),
        (types.DATETIME(), "sqlite", Kind.ANY),
        (types.NullType(), "mssql", Kind.OTHER),
    ],
)
def test_kinds_follow_from_the_types_of_the_dialect(found, dialect, kind):
    assert kind_of(found, dialect) is kind


class DriverError(Exception):
    """What a driver raises."""


class OracleCode:
    """What python-oracledb puts into its errors."""

    def __init__(self, code):
        self.code = code
        self.full_code = f"ORA-{code:05}"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("40001", "text of a row"), "busy"),
        (("HYT00", "text"), "busy"),
        (("23000", "text"), "integrity"),
        (("28000", "Login failed for user 'x'"), "denied"),
        (("08S01", "text"), "unreachable"),
        (("42S02", "text"), "missing"),
        ((1205, b"deadlock victim"), "busy"),
        ((547, b"REFERENCE constraint"), "integrity"),
        ((18456, b"Login failed"), "denied"),
        ((OracleCode(60),), "busy"),
        ((OracleCode(2292),), "integrity"),
        ((OracleCode(942),), "missing"),
        (("Transaction was deadlocked on lock resources",), "busy"),
        (("something else",), "failed"),
        ((), "failed"),
    ],
)
def test_errors_of_other_drivers_have_codes(arguments, code):
    assert fault_code(DBAPIError("SELECT 1", {}, DriverError(*arguments))) == code


def test_errors_without_a_number_are_told_by_their_class():
    assert fault_code(IntegrityError("", {}, DriverError("no code"))) == "integrity"
    assert fault_code(OperationalError("", {}, DriverError("gone"), connection_invalidated=True)) == "unreachable"
    assert fault_code(OperationalError("", {}, DriverError("no code"))) == "failed"


def test_errors_of_sqlite_keep_their_codes(tmp_path):
    path = tmp_path / "x.sqlite"
    sqlite3.connect(path).close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER NOT NULL)"))
        with pytest.raises(IntegrityError) as refused:
            connection.execute(text("INSERT INTO t VALUES (:a)").bindparams(bindparam("a", None)))
    engine.dispose()
    assert fault_code(refused.value) == "integrity"
