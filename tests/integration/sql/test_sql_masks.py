"""Fields cleared and masked under constraints: the same on every engine, over real databases."""

import re
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mariadb_bed import opened as opened_mariadb
from sql_bed import CUTOFF, NOW, ZONE, dataset

from connectors.sql import TYPE
from connectors.sql.blanks import randoms
from connectors.sql.catalogue import Kind, TableColumn
from connectors.sql.identifiers import Needles
from connectors.sql.sqlite_checks import read_checks, read_computed, read_outside
from ropa.clock import start_of_day
from ropa.connector import (
    Action,
    Batch,
    Before,
    Condition,
    FieldChange,
    LocationSpec,
    Mask,
    Outcomes,
    OutcomeWord,
    Selection,
    Spare,
)

OLD, NEW = "2020-01-02", "2026-11-01"
ENGINES = ["sqlite", "postgres", "mariadb"]


class Bed:
    """One database of one engine, and short ways to fill it and to ask."""

    def __init__(self, engine, url, folder, execute):
        self.engine, self.url, self.folder, self.execute = engine, url, folder, execute

    @contextmanager
    def opened(self, *datasets, batch_size=2):
        options = {"url": self.url, "folder": str(self.folder)}
        spec = LocationSpec("crm", "sql", ZONE, options, {d.name: d for d in datasets}, batch_size)
        with closing(TYPE.open(spec)) as connector:
            yield connector

    def column(self, statement):
        return [plain(row[0]) for row in self.execute(statement)]

    def rows(self, statement):
        return [tuple(map(plain, row)) for row in self.execute(statement)]


def plain(value):
    """Return a value as it is compared here, whatever type the engine's driver gives."""
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return value if value is None or isinstance(value, str | int) else str(value)


@pytest.fixture(params=ENGINES)
def bed(request, tmp_path):
    if request.param == "sqlite":
        path = tmp_path / "crm.sqlite"

        def execute(script):
            with closing(sqlite3.connect(path)) as raw, raw:
                if ";" in script:
                    raw.executescript(script)
                    return []
                return raw.execute(script).fetchall()

        execute("SELECT 1;")
        yield Bed("sqlite", "sqlite:///crm.sqlite", tmp_path, execute)
        return
    with request.getfixturevalue(request.param).create() as database:
        yield Bed(request.param, database.url, tmp_path, database.execute)


def due(name="t", *fields, **more):
    before = (Before("created", CUTOFF, start_of_day(CUTOFF, ZONE)),)
    fields = tuple(FieldChange(*((f,) if isinstance(f, str) else f)) for f in fields)
    return replace(Selection(name, ZONE, NOW, before=before, anchors=("created",), fields=fields), **more)


def anonymise(connector, selection):
    """Change batch by batch as a sweep does; return the outcomes as {key: word}."""
    found = {}
    for batch in list(connector.find(selection)):
        outcomes = connector.act(selection, batch, Action.ANONYMISE)
        assert len(outcomes) == len(batch)
        left = connector.remaining(selection, batch)
        for outcome in outcomes:
            is_left = outcome.key in left
            found[outcome.key[0]] = "pending" if is_left and outcome.word == "anonymised" else outcome.word.value
    return found


def is_done(connector, selection):
    """Tell whether a second run finds nothing."""
    return list(connector.find(selection)) == []


T = dataset("t")


def table(columns, *rows, old=OLD):
    """Return the script of table ``t``: due rows with these values, numbered from 1, and one row that is not due."""
    names = [part.split()[0] for part in re.split(r",\s*(?![^()]*\))", columns) if part.split()[0].islower()]
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, created DATE, {columns});"
    for number, row in enumerate(rows, 1):
        script += f"INSERT INTO t (id, created, {', '.join(names)}) VALUES ({number}, '{old}', {row});"
    return script


# --- what a cleared column becomes ----------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize(
    ("columns", "value", "expected"),
    [
        ("c VARCHAR(40)", "'canary'", None),
        ("c VARCHAR(40) NOT NULL", "'canary'", ""),
        ("c VARCHAR(40) NOT NULL CHECK (c <> '')", "'canary'", "-"),
        ("c VARCHAR(40) CHECK (c IS NOT NULL)", "'canary'", ""),
        ("c VARCHAR(40) NOT NULL CHECK (LENGTH(c) > 4 AND c <> 'x')", "'canary'", "[redacted]"),
        ("c VARCHAR(8) NOT NULL CHECK (LENGTH(c) = 6)", "'canary'", "xxxxxx"),
        ("c VARCHAR(40) NOT NULL CHECK (c LIKE '%@%')", "'canary@b.be'", "anon@example.invalid"),
        ("c INTEGER NOT NULL", "17", 0),
        ("c INTEGER NOT NULL CHECK (c > 0)", "17", 1),
        ("c INTEGER NOT NULL CHECK (c BETWEEN 1890 AND 2100)", "1984", 1900),
        ("c DATE NOT NULL", "'1984-05-17'", "1900-01-01"),
        ("c DATE NOT NULL CHECK (c > '1950-01-01')", "'1984-05-17'", "1970-01-01"),
    ],
)
def test_a_cleared_column_gets_the_first_documented_value_that_passes(bed, columns, value, expected):
    bed.execute(table(columns, value, value, value))
    with bed.opened(T) as crm:
        assert crm.problems("t", due("t", "c")) == []
        assert anonymise(crm, due("t", "c")) == {"1": "anonymised", "2": "anonymised", "3": "anonymised"}
        assert is_done(crm, due("t", "c"))
    assert bed.column("SELECT c FROM t") == [expected] * 3


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(
    ("columns", "mask", "value", "said"),
    [
        ("c VARCHAR(40) NOT NULL, CONSTRAINT strict_c CHECK (c IN ('m', 'f'))", Mask.CLEAR, "'m'", "strict_c"),
        ("c VARCHAR(40), CONSTRAINT strict_c CHECK (c LIKE 'NL%')", Mask.REDACT, "'NL1'", "strict_c"),
        ("c VARCHAR(40), CONSTRAINT strict_c CHECK (c LIKE 'NL%')", Mask.RANDOM, "'NL1'", "strict_c"),
        ("c DATE NOT NULL, CONSTRAINT strict_c CHECK (c = '1984-05-17')", Mask.CLEAR, "'1984-05-17'", "strict_c"),
        ("c VARCHAR(5) NOT NULL UNIQUE", Mask.CLEAR, "'a'", "unique"),
        ("c VARCHAR(40) NOT NULL UNIQUE", Mask.REDACT, "'a'", "unique"),
        ("c VARCHAR(40) UNIQUE", Mask.YEAR, "'1984-05-17'", "unique"),
        ("c DATE, CONSTRAINT strict_c CHECK (c > '1984-02-01')", Mask.YEAR, "'1984-05-17'", "strict_c"),
    ],
)
def test_what_cannot_be_changed_is_refused_when_planning(bed, columns, mask, value, said):
    bed.execute(table(columns, value))
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", ("c", mask)))
        assert "'c'" in told
        assert said in told
        assert value not in told


def test_bytes_take_random_values_on_every_engine(bed):
    binary = {"sqlite": "BLOB", "postgres": "BYTEA", "mariadb": "VARBINARY(16)"}[bed.engine]
    bed.execute(table(f"c {binary} NOT NULL UNIQUE", "'canary1'", "'canary2'", "'canary3'"))
    fields = due("t", ("c", Mask.RANDOM))
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
        assert is_done(crm, due("t", "c"))
    left = bed.column("SELECT c FROM t")
    assert len(set(left)) == 3
    assert all(value.startswith(b"anon") and len(value) == 16 for value in left)


def test_masks_that_a_type_cannot_take_are_refused_when_planning(bed):
    bed.execute(table("n INTEGER, d DATE, b BOOLEAN", "1, '2020-01-01', NULL"))
    with bed.opened(T) as crm:
        told = crm.problems("t", due("t", ("n", Mask.REDACT), ("d", Mask.RANDOM), ("b", Mask.REDACT)))
        assert len(told) == 3
        assert all(any(repr(name) in sentence for sentence in told) for name in "ndb")


def test_a_check_over_several_columns_is_tried_with_the_rows_that_are_due(bed):
    bed.execute(
        table(
            "state VARCHAR(9), mail VARCHAR(40), phone VARCHAR(40), CHECK (mail IS NOT NULL OR phone IS NOT NULL),"
            " CHECK (state <> 'open' OR mail LIKE '%@%')",
            "'closed', 'canary@b.be', '1'",
            "'closed', NULL, '2'",
            "'closed', '', '3'",
        )
        + f"INSERT INTO t (id, created, state, mail) VALUES (9, '{NEW}', 'open', 'kept@b.be');"
    )
    closed = due("t", "mail", "phone", match=(Condition("state", ("closed",)),))
    with bed.opened(T) as crm:
        assert crm.problems("t", closed) == []
        assert set(anonymise(crm, closed).values()) == {"anonymised"}
        assert is_done(crm, closed)
    rows = bed.rows("SELECT mail, phone FROM t ORDER BY id")
    assert not any("canary" in str(row) or "2" in str(row[1]) for row in rows[:3])
    assert rows[3][0] == "kept@b.be"


def test_two_columns_that_may_not_both_be_missing_are_refused_where_nothing_else_fits(bed):
    bed.execute(table("a INTEGER, b INTEGER, CONSTRAINT twin CHECK (a = b + 100)", "200, 100"))
    with bed.opened(T) as crm:
        assert crm.problems("t", due("t", "a", "b")) == []  # NULL breaks no check
        assert anonymise(crm, due("t", "a", "b")) == {"1": "anonymised"}
    assert bed.rows("SELECT a, b FROM t") == [(None, None)]


# --- unique ---------------------------------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(
    ("columns", "pattern"),
    [
        ("c VARCHAR(40) NOT NULL UNIQUE", r"anon-[0-9a-f]{16}"),
        ("c VARCHAR(15) NOT NULL UNIQUE", r"anon-[0-9a-f]{10}"),
        ("c VARCHAR(9) NOT NULL UNIQUE", r"~[a-z2-7]{8}"),
        ("c VARCHAR(60) NOT NULL UNIQUE CHECK (c LIKE '%@%')", r"anon-[0-9a-f]{16}@example\.invalid"),
        ("c VARCHAR(11) NOT NULL UNIQUE CHECK (LENGTH(c) = 11 AND c < 'a')", r"9999[0-9]{7}"),
        ("c BIGINT NOT NULL UNIQUE", r"-[0-9]{18,19}"),
        ("c BIGINT NOT NULL UNIQUE CHECK (c > 0)", r"[0-9]{19}"),
    ],
)
def test_a_unique_column_that_may_not_be_null_gets_random_values_that_pass(bed, columns, pattern):
    start = "'8507300018%d'" if "VARCHAR(11)" in columns else "'a%d@b.be'" if "VARCHAR" in columns else "17%d"
    bed.execute(table(columns, *(start % number for number in range(5))))
    with bed.opened(T) as crm:
        assert crm.problems("t", due("t", "c")) == []
        assert set(anonymise(crm, due("t", "c")).values()) == {"anonymised"}
        first = bed.column("SELECT c FROM t ORDER BY id")
        assert is_done(crm, due("t", "c"))
    assert len(set(first)) == 5
    assert all(re.fullmatch(pattern, str(value)) for value in first)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("c NUMERIC(11,0) NOT NULL UNIQUE CHECK (c > 0)", [85010112345, 96052312345, 99010154321, 99999999999]),
        ("c BIGINT NOT NULL UNIQUE", [-(2**63), -(2**63) + 1, 2**63 - 1, 17]),
        ("c INTEGER NOT NULL UNIQUE CHECK (c > 0)", [2147483647, 2147483646, 2013265920, 17]),
    ],
)
def test_a_real_number_however_high_or_low_is_never_taken_for_cleared(bed, columns, values):
    bed.execute(table(columns, *values))
    with bed.opened(T) as crm:
        assert crm.problems("t", due("t", "c")) == []
        assert anonymise(crm, due("t", "c")) == dict.fromkeys("1234", "anonymised")
        assert is_done(crm, due("t", "c"))
    left = bed.column("SELECT c FROM t")
    assert len(set(map(int, left))) == 4
    assert not set(map(int, left)) & set(values)


@pytest.mark.parametrize("columns", ["c NUMERIC(9,2) NOT NULL UNIQUE", "c NUMERIC(9) NOT NULL UNIQUE"])
def test_a_number_among_which_a_drawn_one_cannot_be_told_is_refused_when_planning(bed, columns):
    bed.execute(table(columns, "17"))
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", "c"))
        assert "'c'" in told
        assert "unique" in told


@given(st.integers(-(10**11), 10**11), st.integers(0, 5000))
def test_of_real_numbers_in_a_row_hardly_any_is_taken_for_a_drawn_one(start, count):
    column = TableColumn("c", "NUMERIC(11,0)", Kind.NUMBER, bounds=(1 - 10**11, 10**11 - 1))
    for filler in randoms(column):
        assert sum(map(filler.is_own, range(start, start + count))) <= 1
        assert all(filler.is_own(written(filler.make())) for written in (int, str, float, "{}.0".format))
        assert not any(map(filler.is_own, ("NaN", float("inf"), "Infinity", True, None, "x", 0)))


def test_drawn_numbers_do_not_come_twice_before_all_have_come():
    for filler in randoms(TableColumn("c", "INTEGER", Kind.NUMBER, bounds=(-(2**31), 2**31 - 1))):
        assert len({filler.make() for _ in range(50_000)}) == 50_000


def test_a_column_of_a_unique_pair_gets_random_values_too(bed):
    bed.execute(table("shop INTEGER NOT NULL, c VARCHAR(40) NOT NULL, UNIQUE (shop, c)", "1, 'a'", "1, 'b'", "1, 'c'"))
    with bed.opened(T) as crm:
        assert set(anonymise(crm, due("t", "c")).values()) == {"anonymised"}
        assert is_done(crm, due("t", "c"))
    assert len(set(bed.column("SELECT c FROM t"))) == 3


@pytest.mark.parametrize("mask", [Mask.REDACT, Mask.YEAR])
def test_a_mask_that_could_make_two_rows_of_a_unique_pair_the_same_is_refused_when_planning(bed, mask):
    pair = "shop INTEGER NOT NULL, c VARCHAR(40) NOT NULL, UNIQUE (shop, c)"
    bed.execute(table(pair, "1, '1984-05-17'", "1, '1984-05-18'", "2, '1984-05-17'"))
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", ("c", mask)))
        assert "'c'" in told
        assert "'shop'" in told
        assert mask.value in told
        assert "1984" not in told


@pytest.mark.parametrize(
    ("columns", "others"),
    [
        ("shop INTEGER NOT NULL, c VARCHAR(40) NOT NULL, UNIQUE (id, c)", []),
        ("shop INTEGER NOT NULL UNIQUE, c VARCHAR(40) NOT NULL, UNIQUE (shop, c)", []),
        ("shop VARCHAR(40), c VARCHAR(40) NOT NULL, UNIQUE (shop, c)", ["shop"]),
        ("shop VARCHAR(40), c VARCHAR(40) NOT NULL, UNIQUE (shop, c)", [("shop", Mask.RANDOM)]),
    ],
)
def test_a_unique_pair_takes_any_mask_where_its_rows_surely_stay_different(bed, columns, others):
    bed.execute(table(columns, "1, 'a'", "2, 'b'", "3, 'c'"))
    fields = due("t", ("c", Mask.REDACT), *others)
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
    assert len(set(bed.column("SELECT c FROM t"))) == 1


def test_random_values_are_as_long_as_the_column_takes(bed):
    bed.execute(table("c VARCHAR(14), d CHAR(30)", "'canary', 'canary'", "NULL, ''"))
    fields = due("t", ("c", Mask.RANDOM), ("d", Mask.RANDOM))
    with bed.opened(T) as crm:
        assert anonymise(crm, fields) == {"1": "anonymised"}
        assert is_done(crm, fields)
    assert re.fullmatch(r"anon-[0-9a-f]{9}", bed.column("SELECT c FROM t ORDER BY id")[0])
    assert re.fullmatch(r"anon-[0-9a-f]{16} *", bed.column("SELECT d FROM t ORDER BY id")[0])


# --- what is computed of a column, and other constraints that see it --------------------------------------------------

COMPUTED = "l {} GENERATED ALWAYS AS ({}) STORED"


def on_engines(*cases):
    """Return cases of several engines one by one."""
    return [(engine, *case) for engines, *case in cases for engine in engines.split()]


def due_rows(script, *values):
    """Return a script and the rows of ``t`` that are due."""
    return script + "".join(
        f"INSERT INTO t (id, created, e, f) VALUES ({number}, '{OLD}', {value});"
        for number, value in enumerate(values, 1)
    )


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(
    ("bed", "columns", "more", "pattern"),
    on_engines(
        ("sqlite postgres mariadb", "e VARCHAR(50) NOT NULL, " + COMPUTED.format("INT", "LENGTH(e)") + ", CHECK (l > 2)", "", r"\[redacted\]"),
        ("sqlite postgres mariadb", "e VARCHAR(50), " + COMPUTED.format("INT", "LENGTH(e)"), "", None),
        ("sqlite postgres", "e VARCHAR(50), " + COMPUTED.format("VARCHAR(50)", "LOWER(e)") + " NOT NULL", "", ""),
        ("sqlite postgres mariadb", "e VARCHAR(50), " + COMPUTED.format("VARCHAR(50)", "LOWER(e)") + " UNIQUE", "", None),
        ("sqlite postgres mariadb", "e VARCHAR(50), " + COMPUTED.format("VARCHAR(50)", "COALESCE(e, '')") + " UNIQUE", "", r"anon-\w{16}"),
        ("postgres", "e VARCHAR(50) UNIQUE NULLS NOT DISTINCT", "", r"anon-\w{16}"),
        ("sqlite postgres", "e VARCHAR(50)", "CREATE UNIQUE INDEX u ON t (COALESCE(e, ''));", r"anon-\w{16}"),
        ("sqlite postgres", "e VARCHAR(50)", "CREATE UNIQUE INDEX u ON t (LOWER(e) DESC, f);", None),
        ("sqlite postgres", "e VARCHAR(50)", "CREATE UNIQUE INDEX u ON t (f) WHERE e IS NULL;", r"anon-\w{16}"),
        ("sqlite postgres", "e VARCHAR(50)", "CREATE UNIQUE INDEX u ON t (f) WHERE e IS NOT NULL AND id > 1;", None),
        ("postgres", "e VARCHAR(50), EXCLUDE USING btree (e WITH =)", "", None),
    ),
    indirect=["bed"],
)  # fmt: skip
def test_what_sees_a_column_in_another_way_than_a_check_passes_too(bed, columns, more, pattern):
    rows = ["'canary1', 1", "'canary2', 2" if "WHERE e IS NOT" in more else "'canary2', 1"]
    bed.execute(due_rows(f"CREATE TABLE t (id INTEGER PRIMARY KEY, created DATE, f INTEGER, {columns});{more}", *rows))
    with bed.opened(T, batch_size=5) as crm:
        assert crm.problems("t", due("t", "e")) == []
        assert anonymise(crm, due("t", "e")) == {"1": "anonymised", "2": "anonymised"}
        assert is_done(crm, due("t", "e"))
    left = bed.column("SELECT e FROM t")
    assert all(value is None if pattern is None else re.fullmatch(pattern, value) for value in left)


@pytest.mark.parametrize(
    ("bed", "columns", "more", "said"),
    on_engines(
        ("sqlite postgres", "e VARCHAR(5)", "CREATE UNIQUE INDEX odd ON t (COALESCE(e, ''));", "odd"),
        ("postgres", "e VARCHAR(50) NOT NULL, CONSTRAINT odd EXCLUDE USING btree (e WITH =)", "", "odd"),
        ("postgres", "e INTEGER, CONSTRAINT odd FOREIGN KEY (e, f) REFERENCES p (a, b) MATCH FULL", "", "odd"),
        ("sqlite postgres", "e DATE, " + COMPUTED.format("DATE", "e") + " NOT NULL CHECK (l > '2019-01-01')", "", "'e'"),
    ),
    indirect=["bed"],
)  # fmt: skip
def test_what_no_value_satisfies_is_refused_when_planning_with_column_and_constraint(bed, columns, more, said):
    value = {"INT": "1, 1", "VAR": "'canar', 1", "DAT": "'2020-01-01', 1"}[columns[2:5]]
    script = "CREATE TABLE p (a INTEGER, b INTEGER, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 1);"
    script += f"CREATE TABLE t (id INTEGER PRIMARY KEY, created DATE, f INTEGER, {columns});{more}"
    bed.execute(due_rows(script, value))
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", "e"))
        assert "'e'" in told
        assert said in told
        if "MATCH FULL" in columns:
            assert crm.problems("t", due("t", "e", "f")) == []
            assert anonymise(crm, due("t", "e", "f")) == {"1": "anonymised"}


def test_a_column_that_takes_something_is_not_named_for_another_that_takes_nothing(bed):
    bed.execute(
        table(
            "a VARCHAR(9) NOT NULL, b VARCHAR(9) NOT NULL, CONSTRAINT a1 CHECK (a IN ('m', 'f')),"
            " CONSTRAINT b1 CHECK (LENGTH(b) = 2 AND b > 'A')",
            "'m', 'BE'",
        )
    )
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", "a", "b"))
        assert "'a'" in told
        assert "'b'" not in told


# --- masks ----------------------------------------------------------------------------------------------------------


def test_a_date_keeps_its_year_in_every_type(bed):
    stamp = {"sqlite": "TEXT", "postgres": "TIMESTAMPTZ", "mariadb": "TIMESTAMP NULL"}[bed.engine]
    naive = {"sqlite": "TEXT", "postgres": "TIMESTAMP", "mariadb": "DATETIME"}[bed.engine]
    bed.execute(
        table(
            f"d DATE, s {stamp}, n {naive}, w VARCHAR(30), e BIGINT, o VARCHAR(30) NOT NULL",
            "'1984-05-17', '1984-05-17 10:11:12', '1984-05-17 10:11:12', '1984-05-17', 455630400, 'in May'",
            "'1984-01-01', '1984-01-01 00:00:00', '1984-01-01 00:00:00', '1984', 1984, ''",
        )
    )
    fields = due("t", *((name, Mask.YEAR) for name in "dsnweo"))
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert anonymise(crm, fields) == {"1": "anonymised"}
        assert is_done(crm, fields)
    first, second = bed.rows("SELECT d, s, n, w, e, o FROM t ORDER BY id")
    assert [str(value)[:10] for value in first[:4]] == ["1984-01-01"] * 4
    assert "10:11" not in str(first)
    assert first[4:] == (441763200, "")
    assert second[3:] == ("1984", 1984, "")


def test_addresses_lose_their_host_as_text_and_as_bytes(bed):
    binary = {"sqlite": "BLOB", "postgres": "BYTEA", "mariadb": "VARBINARY(16)"}[bed.engine]
    write = {"sqlite": "x'{}'", "postgres": "'\\x{}'", "mariadb": "x'{}'"}[bed.engine].format
    bed.execute(
        table(
            f"a VARCHAR(45), b {binary}",
            f"'192.0.2.77', {write('c000024d')}",
            f"'2001:db8:0:8d3:0:8a2e:70:7344', {write('20010db8000008d300008a2e00707344')}",
            f"'nowhere', {write('00000000000000000000ffffc000024d')}",
            f"'192.0.2.0', {write('c0000200')}",
        )
    )
    fields = due("t", ("a", Mask.TRUNCATE_IP), ("b", Mask.TRUNCATE_IP))
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert anonymise(crm, fields) == {"1": "anonymised", "2": "anonymised", "3": "anonymised"}
        assert is_done(crm, fields)
    assert bed.column("SELECT a FROM t ORDER BY id") == ["192.0.2.0", "2001:db8:0:8d3::", None, "192.0.2.0"]
    assert [value.hex() for value in bed.column("SELECT b FROM t ORDER BY id")] == [
        "c0000200", "20010db8000008d30000000000000000", "00000000000000000000ffffc0000200", "c0000200",
    ]  # fmt: skip


@pytest.mark.parametrize("bed", ["postgres", "mariadb"], indirect=True)
def test_columns_of_network_addresses_keep_their_network_and_how_it_is_written(bed):
    if bed.engine == "postgres":
        bed.execute(
            table(
                "a INET, c CIDR, m INET NOT NULL",
                "'192.0.2.77/24', '192.0.2.77/32', '10.1.2.3'",
                "'2001:db8::7', NULL, '::'",
            )
        )
    else:
        bed.execute(table("a INET6, c INET4, m INET6 NOT NULL", "'::ffff:192.0.2.77', '192.0.2.77', '2001:db8::7'"))
    fields = due("t", ("a", Mask.TRUNCATE_IP), ("c", Mask.TRUNCATE_IP), "m")
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
    text = "::text" if bed.engine == "postgres" else ""
    rows = bed.rows(f"SELECT a{text}, c{text}, m{text} FROM t ORDER BY id")
    if bed.engine == "postgres":
        assert rows == [("192.0.2.0/24", "192.0.2.0/32", "0.0.0.0/32"), ("2001:db8::/128", None, "0.0.0.0/32")]
    else:
        assert rows == [("::ffff:192.0.2.0", "192.0.2.0", "::")]


@pytest.mark.parametrize("bed", ["mariadb"], indirect=True)
def test_an_address_of_four_bytes_filled_up_to_sixteen_loses_its_host(bed):
    bed.execute(table("b BINARY(16) NOT NULL", "x'c000024d'"))
    fields = due("t", ("b", Mask.TRUNCATE_IP))
    with bed.opened(T) as crm:
        assert anonymise(crm, fields) == {"1": "anonymised"}
        assert is_done(crm, fields)
    assert bed.column("SELECT b FROM t")[0].hex() == "c0000200" + "00" * 12


@pytest.mark.parametrize("bed", ["postgres"], indirect=True)
def test_types_of_postgresql_get_their_own_constants(bed):
    bed.execute(
        "CREATE DOMAIN code AS VARCHAR(8) CHECK (VALUE ~ '^[a-z]{3,}$');"
        + table(
            "u UUID NOT NULL, v UUID NOT NULL UNIQUE, b BOOLEAN NOT NULL, n NUMERIC(9,2) NOT NULL, f CHAR(5) NOT NULL,"
            " s TIMESTAMPTZ NOT NULL, x BYTEA NOT NULL, d code NOT NULL",
            "gen_random_uuid(), gen_random_uuid(), true, 3.14, 'abc', now(), '\\x01', 'canary'",
            "gen_random_uuid(), gen_random_uuid(), true, 3.14, 'abc', now(), '\\x01', 'canary'",
        )
    )
    fields = due("t", *"uvbnfsxd")
    with bed.opened(T) as crm:
        assert crm.problems("t", fields) == []
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
    row = bed.rows("SELECT u, b, n, s::date, x, d FROM t")[0]
    assert row == ("00000000-0000-0000-0000-000000000000", False, "0.00", "1900-01-01", b"", "unknown")
    assert len(set(bed.column("SELECT v FROM t"))) == 2


@pytest.mark.parametrize("bed", ["postgres"], indirect=True)
def test_an_enumeration_can_only_be_null(bed):
    bed.execute(
        "CREATE TYPE mood AS ENUM ('ok', 'sad');" + table("m mood NOT NULL, n mood", "'ok', 'sad'"),
    )
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", "m", "n"))
        assert "'m'" in told
        assert anonymise(crm, due("t", "n")) == {"1": "anonymised"}


def test_checks_are_tried_by_someone_who_may_only_read(bed, request):
    bed.execute(
        table("c VARCHAR(40) NOT NULL CHECK (c <> ''), d VARCHAR(9), CHECK (d IS NOT NULL OR id > 0)", "'a', 'b'")
    )
    if bed.engine == "sqlite":
        (bed.folder / "crm.sqlite").chmod(0o400)
    else:
        server = request.getfixturevalue(bed.engine)
        with server.create() as database:
            database.execute(table("c VARCHAR(40) NOT NULL CHECK (c <> ''), d VARCHAR(9), CHECK (c <> d)", "'a', 'b'"))
            bed.url = database.role("reader", "SELECT")
            with bed.opened(T) as crm:
                assert crm.problems("t", due("t", "c", "d")) == []
        return
    with bed.opened(T) as crm:
        assert crm.problems("t", due("t", "c", "d")) == []


# --- what else is true of a change ----------------------------------------------------------------------------------


def test_only_the_planned_rows_change_and_each_tells_its_new_version(bed):
    bed.execute(
        table("c VARCHAR(40), kept VARCHAR(40)", *(f"'canary{n}', 'k{n}'" for n in range(7)))
        + f"INSERT INTO t VALUES (8, '{NEW}', 'stays', 'k');"
    )
    fields = due("t", "c")
    with bed.opened(T, batch_size=5) as crm:
        first, second = crm.find(fields)
        bed.execute("UPDATE t SET kept = 'touched' WHERE id = 2;")
        held = replace(fields, spare=Spare(keys={"t": frozenset({("3",)})}))
        outcomes = crm.act(held, first, Action.ANONYMISE)
        assert [outcome.word.value for outcome in outcomes] == [
            "anonymised",
            "changed",
            "held",
            "anonymised",
            "anonymised",
        ]
        later = crm.act(fields, second, Action.ANONYMISE)
        assert isinstance(later, Outcomes)
        assert [outcome.word for outcome in later] == [OutcomeWord.ANONYMISED] * 2
        versions = {o.key: o.version for o in (*outcomes, *later) if o.word is OutcomeWord.ANONYMISED}
        assert all(versions.values())
        # With the versions told, another change of the same plan goes on where this one ended.
        other = due("t", ("kept", Mask.REDACT))
        planned = [r for batch in crm.find(other) for r in batch.records if r.key in versions]
        again = Batch.of("t", [replace(record, version=versions[record.key]) for record in planned])
        assert {o.word for o in crm.act(other, again, Action.ANONYMISE)} == {OutcomeWord.ANONYMISED}
    assert bed.column("SELECT c FROM t ORDER BY id") == [None, "canary1", "canary2", None, None, None, None, "stays"]


def test_a_row_that_came_to_be_due_meanwhile_is_not_changed_with_the_others(bed):
    bed.execute(table("c VARCHAR(40)", "'a'", "'b'", "'c'"))
    fields = due("t", "c")
    with bed.opened(T, batch_size=5) as crm:
        (batch,) = crm.find(replace(fields, exclude=((Condition("id", (2,)),),)))
        outcomes = crm.act(fields, batch, Action.ANONYMISE)
        assert {outcome.word for outcome in outcomes} == {OutcomeWord.ANONYMISED}
    assert bed.column("SELECT c FROM t ORDER BY id") == [None, "b", None]


def test_a_trigger_that_puts_something_back_leaves_the_field_pending(bed):
    bed.execute(table("c VARCHAR(40), n INTEGER", "'canary', 1", "'b', 2"))
    back = "CREATE TRIGGER back {} UPDATE ON t FOR EACH ROW {}"
    if bed.engine == "sqlite":
        bed.execute(
            back.format("AFTER", "WHEN new.id = 1 AND new.c IS NULL BEGIN UPDATE t SET c = 'canary' WHERE id = 1; END;")
        )
    elif bed.engine == "mariadb":
        bed.execute(back.format("BEFORE", "SET NEW.c = IF(NEW.id = 1, 'canary', NEW.c)"))
    else:
        bed.execute(
            "CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF NEW.id = 1 THEN NEW.c := 'canary'; END IF; RETURN NEW; END $$;"
            + back.format("BEFORE", "EXECUTE FUNCTION back();")
        )
    with bed.opened(T) as crm:
        assert anonymise(crm, due("t", "c")) == {"1": "pending", "2": "anonymised"}


def moving_trigger(engine, only="", name="moves"):
    """Return a trigger that writes today into ``created`` of each row that is changed."""
    if engine == "sqlite":
        when = only and f"WHEN new.{only}"
        return (
            f"CREATE TRIGGER {name} AFTER UPDATE ON t {when} BEGIN"
            " UPDATE t SET created = '2026-11-01' WHERE id = new.id; END;"
        )
    if engine == "mariadb":
        condition = f"NEW.{only or 'id > 0'}"
        return (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON t FOR EACH ROW"
            f" SET NEW.created = IF({condition}, '2026-11-01', NEW.created);"
        )
    condition = f"NEW.{only or 'id > 0'}"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {condition} THEN"
        " NEW.created := '2026-11-01'; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER {name} BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION {name}();"
    )


@pytest.mark.parametrize("mask", [Mask.CLEAR, Mask.RANDOM])
def test_a_row_whose_anchor_a_trigger_would_move_is_left_as_it_was_and_the_others_change(bed, mask):
    bed.execute(table("c VARCHAR(40), n INTEGER", *(f"'canary{n}', {n}" for n in range(1, 6))))
    bed.execute(moving_trigger(bed.engine, only="id IN (2, 5)"))
    fields = due("t", ("c", mask))
    with bed.opened(T, batch_size=5) as crm:
        (batch,) = crm.find(fields)
        outcomes = {o.key[0]: (o.word.value, o.code) for o in crm.act(fields, batch, Action.ANONYMISE)}
        moved, changed = ("failed", "anchor-moved"), ("anonymised", None)
        assert outcomes == {"1": changed, "2": moved, "3": changed, "4": changed, "5": moved}
        assert any("'moves'" in note and "changed" in note for note in crm.check().notes)
    assert {str(day)[:10] for day in bed.column("SELECT created FROM t")} == {OLD}
    assert [n for n, c in bed.rows("SELECT id, c FROM t ORDER BY id") if str(c).startswith("canary")] == [2, 5]


def test_a_column_that_only_another_dataset_runs_from_stays_as_well(bed):
    bed.execute(table("c VARCHAR(40), seen DATE", "'canary', '2020-05-05'"))
    bed.execute(moving_trigger(bed.engine).replace("created", "seen"))
    fields = due("t", "c")
    with bed.opened(T, dataset("other", "t", anchors=("seen",))) as crm:
        assert anonymise(crm, fields) == {"1": "failed"}
    with bed.opened(T) as crm:
        assert anonymise(crm, fields) == {"1": "anonymised"}


def test_a_computed_anchor_that_follows_what_is_cleared_stays(bed):
    columns = "a DATE, b DATE, seen DATE GENERATED ALWAYS AS (COALESCE(a, b)) STORED"
    bed.execute(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns});"
        "INSERT INTO t (id, a, b) VALUES (1, '2020-01-02', '2026-11-01'), (2, '2020-01-02', '2020-01-02');"
    )
    before = (Before("seen", CUTOFF, start_of_day(CUTOFF, ZONE)),)
    fields = replace(due("t", "a"), before=before, anchors=("seen",))
    with bed.opened(dataset("t", anchors=("seen",)), batch_size=5) as crm:
        assert anonymise(crm, fields) == {"1": "failed", "2": "anonymised"}


@pytest.mark.parametrize("bed", ["mariadb"], indirect=True)
@pytest.mark.parametrize("mask", [Mask.CLEAR, Mask.RANDOM])
def test_an_anchor_that_the_server_renews_by_itself_stays_as_it_was(bed, mask):
    renewed = "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"
    bed.execute(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, created {renewed}, touched {renewed}, c VARCHAR(40));"
        f"INSERT INTO t VALUES (1, '{OLD}', '{OLD}', 'a'), (2, '{OLD}', '{OLD}', 'b'), (3, '{OLD}', '{OLD}', 'c');"
    )
    with bed.opened(T) as crm:
        fields = due("t", ("c", mask))
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
    assert {created[:10] for created in bed.column("SELECT created FROM t")} == {OLD}
    assert OLD not in {touched[:10] for touched in bed.column("SELECT touched FROM t")}


def test_references_keys_and_computed_columns_are_left_alone(bed):
    bed.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, created DATE, code INTEGER UNIQUE, boss INTEGER REFERENCES t (id),"
        " must INTEGER NOT NULL, name VARCHAR(20), twice VARCHAR(20) GENERATED ALWAYS AS (LOWER(name)) STORED,"
        " FOREIGN KEY (boss) REFERENCES t (id), FOREIGN KEY (must) REFERENCES t (id));"
        "CREATE TABLE line (id INTEGER PRIMARY KEY, code INTEGER, FOREIGN KEY (code) REFERENCES t (code));"
        f"INSERT INTO t (id, created, code, boss, must, name) VALUES (1, '{OLD}', 5, NULL, 1, 'canary');"
        f"INSERT INTO t (id, created, code, boss, must, name) VALUES (2, '{OLD}', 6, 1, 1, 'canary');"
    )
    with bed.opened(T) as crm:
        told = crm.problems("t", due("t", "id", "code", ("boss", Mask.RANDOM), "must", "twice"))
        assert len(told) == 5
        fields = due("t", "boss", "name")
        assert crm.problems("t", fields) == []
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
    assert bed.rows("SELECT boss, name, twice FROM t") == [(None, None, None)] * 2


# --- free text and the record's own identifiers ---------------------------------------------------------------------

NOTES = dataset("t", options={"own_identifiers": {"note": ["first", "last", "mail", "phone"]}})
PEOPLE = table(
    "first VARCHAR(40), last VARCHAR(40), mail VARCHAR(60), phone VARCHAR(40), note VARCHAR(200)",
    "'Jan', 'Peeters', 'jan@peeters.be', '+32 456 15 44 87', 'PEETERS belde: 0456/15.44.87 of Jan@Peeters.BE, januari'",
    "'Zoé', NULL, NULL, NULL, 'offerte voor Zoe\u0301 en mevr. ZOÉ'",
    "'Li', 'de Wit', '', '', 'de klant is niet in Lille, Li wel; witte muur; De  Wit ook'",
    "'An', 'Smet', NULL, NULL, 'wil een offerte'",
    "NULL, NULL, NULL, NULL, 'mevrouw canary belde'",
)


def test_own_identifiers_go_from_the_text_and_the_rest_of_it_stays(bed):
    bed.execute(PEOPLE)
    fields = due("t", ("note", Mask.REDACT))
    with bed.opened(NOTES) as crm:
        assert crm.problems("t", fields) == []
        assert anonymise(crm, fields) == {"1": "anonymised", "2": "anonymised", "3": "anonymised", "5": "anonymised"}
        assert is_done(crm, fields)
    assert bed.column("SELECT note FROM t ORDER BY id") == [
        "[redacted] belde: [redacted] of [redacted], januari",
        "offerte voor [redacted] en mevr. [redacted]",
        "de klant is niet in Lille, [redacted] wel; witte muur; [redacted] ook",
        "wil een offerte",
        "[redacted]",
    ]


def test_a_text_that_grows_past_its_column_by_marks_goes_as_a_whole(mariadb):
    with mariadb.create() as database:
        database.execute("CREATE TABLE t (id INT PRIMARY KEY, created DATETIME, first VARCHAR(40), note TEXT)")
        for key, text in ((1, "Piet " * 10_000), (2, "x" * 60_000 + " Piet")):
            database.execute("INSERT INTO t VALUES (%s, '2020-01-01', 'Piet', %s)", (key, text))
        notes = dataset("t", options={"own_identifiers": {"note": ["first"]}})
        with opened_mariadb(database, notes) as crm:
            assert anonymise(crm, due("t", ("note", Mask.REDACT))) == {"1": "anonymised", "2": "anonymised"}
        kept = [text for (text,) in database.execute("SELECT note FROM t ORDER BY id")]
    assert kept == ["[redacted]", "x" * 60_000 + " [redacted]"]


def test_text_and_identifiers_that_go_together_leave_a_text_that_is_done(bed):
    bed.execute(PEOPLE)
    fields = due("t", "first", "last", "mail", "phone", ("note", Mask.REDACT))
    with bed.opened(NOTES) as crm:
        assert set(anonymise(crm, fields).values()) == {"anonymised"}
        assert is_done(crm, fields)
        assert is_done(crm, due("t", ("note", Mask.REDACT)))
    rows = bed.rows("SELECT first, last, note FROM t ORDER BY id")
    assert rows[0] == (None, None, "[redacted] belde: [redacted] of [redacted], januari")
    assert rows[3] == (None, None, "wil een offerte [redacted]")


def test_an_identifier_takes_its_traces_in_the_text_along(bed):
    bed.execute(PEOPLE)
    with bed.opened(NOTES) as crm:
        assert set(anonymise(crm, due("t", "phone", "mail")).values()) == {"anonymised"}
        notes = bed.column("SELECT note FROM t ORDER BY id")
        assert notes[0] == "PEETERS belde: [redacted] of [redacted], januari"
        assert notes[4] == "mevrouw canary belde"
        anonymise(crm, due("t", "first", "last"))
        assert is_done(crm, due("t", "first", "last"))
        # What is left of a text whose identifiers are gone without a trace cannot be looked through any more.
        assert set(anonymise(crm, due("t", ("note", Mask.REDACT)))) == {"4", "5"}
    notes = bed.column("SELECT note FROM t ORDER BY id")
    assert not any(name in str(notes) for name in ("PEETERS", "Zo", "canary", "offerte wil"))
    assert notes[3:] == ["[redacted]", "[redacted]"]


@pytest.mark.parametrize(
    "given_option",
    [{"nota": ["first"]}, {"note": ["firstt"]}, {"id": ["first"]}, {"note": ["note"]}, {"note": []}],
)
def test_own_identifiers_that_do_not_exist_are_told_when_planning(bed, given_option):
    bed.execute(PEOPLE)
    with bed.opened(replace(NOTES, options={"own_identifiers": given_option})) as crm:
        assert any("own_identifiers" in told for told in crm.problems("t"))


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (["+32 (0)456 15 44 87"], "tel 0032456154487!", "tel [redacted]!"),
        (["0456154487"], "tel +32 456 15-44-87.", "tel [redacted]."),
        ([456154487], "0456 15 44 87", "[redacted]"),
        (["BE68 5390 0754 7034"], "op be68539007547034 graag", "op [redacted] graag"),
        (["85.07.30-001.84"], "rr 850730 00184", "rr [redacted]"),
        (["Jean-Pierre"], "jean pierre, JEANPIERRE", "[redacted], [redacted]"),
        (["van den Berg"], "Van den Berg uit den Haag; Bergs", "[redacted] uit den Haag; [redacted]s"),
        (["Peeters", "Ann"], "Peetersann", "[redacted][redacted]"),
        (["Ann"], "Annemie, ann", "Annemie, [redacted]"),
        (["Müller"], "MULLER, Mu\u0308ller, Mül\u200bler", "[redacted], [redacted], [redacted]"),
        (["王伟"], "客户王伟来电", "客户[redacted]来电"),
        (["李"], "客户李先生来电", "客户[redacted]先生来电"),
        (["x"], "x marks", "x marks"),
        (["Łukasz", "Jørgensen", "Đorđević"], "LUKASZ, Jorgensen, dordevic", "[redacted], [redacted], [redacted]"),
        (["Lukasz", "Oeuvre"], "łukasz en Œuvre", "[redacted] en [redacted]"),
        (["+32 456 15 44 87"], "bel 0456‑15‑44‑87 nu", "bel [redacted] nu"),
        (["+32 456 15 44 87"], "bel 0456_15,44'87 nu", "bel [redacted] nu"),
        (["+32 456 15 44 87"], "12, 0456|15|44|87", "12, [redacted]"),
        (["+32 456 15 44 87"], "[0456] 15     44 87", "[[redacted]"),
        (["Redacted"], "[redacted] Redacted", "[redacted] [redacted]"),
        (["", None, "[redacted]", "anon-0123456789abcdef", b"x", True, "-"], "anon - x true", "anon - x true"),
        (["a.b+c@d.be", "(", "x|y"], "A.B+C@D.BE axb ( x|y", "[redacted] axb ( [redacted]"),
    ],
)
def test_identifiers_are_found_however_they_are_written(values, text, expected):
    assert Needles(values).replaced(text) == expected


@given(
    st.lists(st.one_of(st.text(max_size=12), st.from_regex(r"\+?[0-9 ]{6,14}", fullmatch=True)), max_size=4),
    st.data(),
)
def test_nothing_of_the_identifiers_is_found_again(values, data):
    needles = Needles(values)
    parts = data.draw(st.lists(st.one_of(st.sampled_from([*values, " "]), st.text(max_size=8)), max_size=8))
    left = needles.replaced("".join(parts))
    assert not needles.is_in(left)
    assert needles.replaced(left) == left


# --- the checks of SQLite -------------------------------------------------------------------------------------------


def test_how_columns_are_computed_is_read_from_the_statement_that_made_the_table():
    sql = """CREATE TABLE t (a TEXT DEFAULT ('x, as (1)'), "l" INT GENERATED ALWAYS AS (length(a) + (1)) STORED CHECK
        (l > 0), /* m AS (2) */ [m] AS (l || ')') VIRTUAL, CHECK (cast(a AS TEXT) > 'b'), n)"""
    assert read_computed(sql, ["a", "l", "m", "n"]) == {"l": "length(a) + (1)", "m": "l || ')'"}


def test_what_an_index_does_not_look_at_is_read_from_the_statement_that_made_it():
    sql = "CREATE UNIQUE INDEX \"u (\" ON t (coalesce(a, ','), b COLLATE nocase DESC) WHERE c = ')' -- all"
    found = read_outside("u", sql, ["a", "b", "c", "d"])
    assert found.columns == {"a", "b", "c"}
    assert re.sub(r"\s+", " ", found.expression) == (
        "NOT ( c = ')' -- all ) OR (coalesce(a, ',') ) IS NULL OR ( b COLLATE nocase ) IS NULL"
    )


def test_checks_are_read_from_the_statement_that_made_the_table():
    sql = """CREATE TABLE "t, check (x)" (a TEXT DEFAULT 'check (1)' CHECK (a <> ')' -- a comment ) of b
        AND length("b c") > 1), /* CHECK (no) */ "b c" INT CONSTRAINT [my own] CHECK (([b c]) > 0),
        d AS (a || 'x'), CONSTRAINT both CHECK (a IN ('(', ')') OR d IS NULL))"""
    first, own, both = read_checks(sql, ["a", "b c", "d"])
    assert (first.columns, own.name, both.name) == (frozenset({"a", "b c"}), "my own", "both")
    assert own.expression == "([b c]) > 0"
    assert both.columns == frozenset({"a", "d"})
    assert both.expression == "a IN ('(', ')') OR d IS NULL"
