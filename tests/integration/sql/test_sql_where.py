"""Values of ``where`` that a column can never hold, and references between columns of different sorts: they are refused,
because the database would answer them with none, or all, or others' rows. On every engine, over real databases."""

from datetime import date, datetime

import pytest
from sql_bed import dataset
from test_sql_masks import T, bed, due, table  # noqa: F401 - the fixture

from ropa.connector import Condition, Parent

ENUM = {"sqlite": "VARCHAR(9)", "postgres": "level", "mariadb": "ENUM('0', '1', 'be')"}


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    ("columns", "value"),
    [
        ("c DATE", "9999-12-31"),
        ("c DATE", 20201231),
        ("c TIMESTAMP NULL", "2020-01-01 00:00:00"),
        ("c INTEGER", "x"),
        ("c INTEGER", 1.5),
        ("c INTEGER", date(2020, 1, 1)),
        ("c VARCHAR(9)", True),
        ("c ENUM", 1),
        ("c ENUM", "nl"),
    ],
)
def test_a_value_that_a_column_can_never_hold_is_refused(bed, columns, value, negated):  # noqa: F811
    make = "CREATE TYPE level AS ENUM ('0', '1', 'be'); " if bed.engine == "postgres" and "ENUM" in columns else ""
    bed.execute(make + table(columns.replace("ENUM", ENUM[bed.engine]), "NULL"))
    selection = due("t", match=(Condition("c", ("be", value) if value == "nl" else (value,), negated),))
    with bed.opened(T) as crm:
        told = [problem for problem in crm.problems("t", selection) if problem.startswith("where:")]
    if bed.engine == "sqlite":  # any value may stand in any column
        assert told == []
    else:
        assert len(told) == 1
        assert "'c'" in told[0]


@pytest.mark.parametrize(
    ("columns", "literal", "value"),
    [
        ("c DATE", "'9999-12-31'", date(9999, 12, 31)),
        ("c TIMESTAMP NULL", "'2020-01-01 00:00:00'", datetime(2020, 1, 1)),  # noqa: DTZ001 - the column has no zone
        ("c INTEGER", "7", 7),
        ("c INTEGER", "7", "7"),
        ("c NUMERIC(9,2)", "1.5", 1.5),
        ("c VARCHAR(9)", "'7'", 7),
        ("c ENUM", "'be'", "be"),
        ("c BOOLEAN", "TRUE", True),
    ],
)
def test_a_value_that_it_can_hold_is_found_and_kept_by_not(bed, columns, literal, value):  # noqa: F811
    make = "CREATE TYPE level AS ENUM ('0', '1', 'be'); " if bed.engine == "postgres" and "ENUM" in columns else ""
    bed.execute(make + table(columns.replace("ENUM", ENUM[bed.engine]), literal, "NULL"))
    found = {}
    with bed.opened(T) as crm:
        for negated in (False, True):
            selection = due("t", match=(Condition("c", (value,), negated),))
            assert [problem for problem in crm.problems("t", selection) if problem.startswith("where:")] == []
            found[negated] = [key for batch in crm.find(selection) for key in batch.keys]
    assert found == {False: [("1",)], True: [("2",)]}


@pytest.mark.parametrize(
    ("parent", "child"), [("VARCHAR(10)", "INTEGER"), ("INTEGER", "VARCHAR(10)"), ("BIGINT", "VARCHAR(20)")]
)
def test_an_undeclared_reference_between_text_and_number_is_refused(bed, parent, child):  # noqa: F811
    bed.execute(
        f"CREATE TABLE firm (id {parent} NOT NULL PRIMARY KEY, created DATE);"
        f"CREATE TABLE visit (id INTEGER NOT NULL PRIMARY KEY, firm {child}, created DATE);"
    )
    firm = dataset("firm")
    visit = dataset("visit", parent=Parent("firm", ("firm",)))
    with bed.opened(firm, visit) as crm:
        told = [problem for name in ("firm", "visit") for problem in crm.problems(name) if "parent.via" in problem]
    assert len(told) == (0 if bed.engine == "sqlite" else 2)
    assert all("give them one type" in problem for problem in told)


@pytest.mark.parametrize("bed", ["postgres"], indirect=True)
def test_what_postgresql_numbers_itself_cannot_be_cleared(bed):  # noqa: F811
    bed.execute(table("c INTEGER GENERATED ALWAYS AS IDENTITY, d VARCHAR(9)", "DEFAULT, 'a'"))
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t", "c"))
    assert "'c'" in told
    assert "computed" in told


@pytest.mark.parametrize("bed", ["postgres"], indirect=True)
def test_a_domain_over_an_enum_is_refused_as_a_key(bed):  # noqa: F811
    bed.execute(
        "CREATE TYPE state AS ENUM ('open', 'closed'); CREATE DOMAIN stage AS state;"
        "CREATE TABLE t (id stage PRIMARY KEY, created DATE);"
    )
    with bed.opened(T) as crm:
        (told,) = crm.problems("t", due("t"))
    assert "'id'" in told
    assert "cannot be part of a key" in told


@pytest.mark.parametrize("bed", ["mariadb"], indirect=True)
def test_labels_of_a_set_stand_in_its_order(bed):  # noqa: F811
    bed.execute(table("c SET('a', 'b')", "'b,a'", "''"))
    with bed.opened(T) as crm:
        for value, is_refused in {"a,b": False, "": False, "b": False, "b,a": True, "a,a": True, "z": True}.items():
            selection = due("t", match=(Condition("c", (value,), negated=True),))
            assert bool(crm.problems("t", selection)) == is_refused
